import type { PKCS11 } from "pkcs11js";
import { HeraldError, reasonOf } from "../../kit/errors.ts";
import { IssuerError } from "../error.ts";
import { ck, ckr } from "./cryptoki.ts";

/** Which token, and how it is opened. */
export interface Pkcs11TokenOptions {
  /** Path of the vendor's library. */
  readonly module: string;
  /** The token's label. */
  readonly token: string;
  /** Asked for at each login, and never kept. */
  readonly pin: () => Promise<string>;
}

/** One session, borrowed for one operation. */
export interface TokenSession {
  readonly library: PKCS11;
  readonly handle: Buffer;
  /** Counts logins: what was found under one is looked for again under the next. */
  readonly login: number;
}

/** As many as Node's thread pool has threads: more would only wait there. */
const mostSessions = 4;

/**
 * The operator's token. A session does one operation at a time, so a few are lent in turns; an operation that fails is tried
 * once more after everything was opened anew, for tokens forget their sessions when they are pulled or their daemon restarts.
 */
export class Pkcs11Token {
  readonly #options: Pkcs11TokenOptions;
  readonly #library: PKCS11;
  #free: Buffer[] = [];
  #lent = 0;
  #login = 0;
  readonly #waiting: (() => void)[] = [];
  /** Who waits for the last session to come back. */
  #onIdle: () => void = () => undefined;
  #reopening: Promise<void> | undefined;
  /** Said once by the token; asked again it would lock itself. */
  #pinRefused: IssuerError | undefined;

  private constructor(options: Pkcs11TokenOptions, library: PKCS11) {
    this.#options = options;
    this.#library = library;
  }

  /** @throws IssuerError KEY_STORE when pkcs11js, the module, the token or the PIN is missing or refused */
  static async open(options: Pkcs11TokenOptions): Promise<Pkcs11Token> {
    const { PKCS11: Library } = await loadBinding();
    const library = new Library();
    try {
      library.load(options.module);
    } catch (cause) {
      throw keyStore(
        `the PKCS#11 module ${options.module} cannot be loaded; is keys.module the path of the token's library?`,
        cause,
      );
    }
    const token = new Pkcs11Token(options, library);
    await token.#reopen(0);
    return token;
  }

  /** Runs one operation. @throws IssuerError KEY_STORE, KEY_STORE_AWAY; what `run` throws as a HeraldError comes through at once */
  async use<T>(run: (session: TokenSession) => Promise<T>): Promise<T> {
    const first = await this.#borrow();
    try {
      return await this.#lend(first, run);
    } catch (thrown) {
      if (thrown instanceof HeraldError) throw thrown;
      await this.#reopen(first.login);
    }
    try {
      return await this.#lend(await this.#borrow(), run);
    } catch (thrown) {
      if (thrown instanceof HeraldError) throw thrown;
      throw away(`token ${this.#options.token} does not do what it is asked`, thrown);
    }
  }

  /** Ends its sessions. The module stays initialised: others in this process may use it. */
  close(): void {
    for (const handle of this.#free.splice(0)) this.#closeQuietly(handle);
  }

  async #lend<T>(session: TokenSession, run: (session: TokenSession) => Promise<T>): Promise<T> {
    try {
      return await run(session);
    } finally {
      this.#lent -= 1;
      if (session.login === this.#login) this.#free.push(session.handle);
      this.#waiting.shift()?.();
      if (this.#lent === 0) this.#onIdle();
    }
  }

  async #borrow(): Promise<TokenSession> {
    for (;;) {
      await this.#reopening;
      const handle = this.#reopening === undefined ? this.#free.pop() : undefined;
      if (handle !== undefined) {
        this.#lent += 1;
        return { library: this.#library, handle, login: this.#login };
      }
      if (this.#reopening !== undefined) continue;
      // None is out and none is left: the last attempt to open the token failed.
      if (this.#lent === 0) await this.#reopen(this.#login);
      else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  /** Opens everything anew, unless somebody did since `seen`. Waits for operations under way: closing their sessions would crash some modules. */
  async #reopen(seen: number): Promise<void> {
    if (this.#reopening !== undefined) return await this.#reopening;
    if (this.#login !== seen) return;
    const reopening = this.#openAll();
    this.#reopening = reopening;
    try {
      await reopening;
    } finally {
      this.#reopening = undefined;
      for (const wake of this.#waiting.splice(0)) wake();
    }
  }

  async #openAll(): Promise<void> {
    if (this.#lent > 0)
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve;
      });
    if (this.#pinRefused !== undefined) throw this.#pinRefused;
    const { token } = this.#options;
    try {
      this.#initialize();
      const slot = this.#findSlot();
      for (const handle of this.#free.splice(0)) this.#closeQuietly(handle);
      const flags = ck.flagSerialSession | ck.flagRwSession;
      const opened = Array.from({ length: mostSessions }, () =>
        this.#library.C_OpenSession(slot, flags),
      );
      const [first] = opened;
      if (first !== undefined) await this.#logIn(first);
      this.#free = opened;
      this.#login += 1;
    } catch (thrown) {
      if (thrown instanceof HeraldError) throw thrown;
      throw away(`token ${token} cannot be opened; is it there, and its daemon up?`, thrown);
    }
  }

  #initialize(): void {
    try {
      this.#library.C_Initialize({ flags: ck.flagOsLockingOk });
    } catch (thrown) {
      if (codeOf(thrown) !== ckr.cryptokiAlreadyInitialized) throw thrown;
    }
  }

  #findSlot(): Buffer {
    const { module, token } = this.#options;
    const slots = this.#library.C_GetSlotList(true);
    const labels = slots.map((slot) => this.#library.C_GetTokenInfo(slot).label.trim());
    const found = slots.filter((_, at) => labels[at] === token);
    const [slot, ...more] = found;
    if (slot === undefined || more.length > 0)
      throw keyStore(
        `${module} has ${found.length} tokens with the label ${token}; it has: ${labels.filter((label) => label !== "").join(", ") || "none"}. Set keys.token to exactly one of them`,
      );
    return slot;
  }

  async #logIn(session: Buffer): Promise<void> {
    const pin = await this.#options.pin();
    try {
      this.#library.C_Login(session, ck.userTypeUser, pin);
    } catch (thrown) {
      const code = codeOf(thrown);
      if (code === ckr.userAlreadyLoggedIn) return;
      const { pinIncorrect, pinInvalid, pinLenRange, pinExpired, pinLocked } = ckr;
      if (
        ![pinIncorrect, pinInvalid, pinLenRange, pinExpired, pinLocked].some((one) => one === code)
      )
        throw thrown;
      this.#pinRefused = keyStore(
        `token ${this.#options.token} refuses the PIN (${reasonOf(thrown)}); it is not tried again, for tokens lock themselves: correct keys.pin and restart`,
      );
      throw this.#pinRefused;
    }
  }

  #closeQuietly(handle: Buffer): void {
    try {
      this.#library.C_CloseSession(handle);
    } catch {
      // A session that the token has forgotten is closed already.
    }
  }
}

async function loadBinding(): Promise<{ readonly PKCS11: typeof PKCS11 }> {
  try {
    return await import("pkcs11js");
  } catch (cause) {
    throw keyStore(
      "keys.store is pkcs11, and the optional package pkcs11js is not installed; `npm install pkcs11js` (it is built on installation: a C++ compiler is needed, and npm must allow its script)",
      cause,
    );
  }
}

/** The CKR_ value of what a module refused; undefined for other failures. */
function codeOf(thrown: unknown): number | undefined {
  return thrown instanceof Error && "code" in thrown && typeof thrown.code === "number"
    ? thrown.code
    : undefined;
}

function keyStore(message: string, cause?: unknown): IssuerError {
  return new IssuerError("KEY_STORE", message, { cause });
}

function away(message: string, cause: unknown): IssuerError {
  return new IssuerError("KEY_STORE_AWAY", `${message}: ${reasonOf(cause)}`, { cause });
}
