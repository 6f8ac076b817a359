import {
  experimental,
  type Metadata,
  ServerCredentials,
  ServerInterceptingCall,
  type status,
} from "@grpc/grpc-js";
import type { PeerCall } from "./call-peer.ts";

/** What a caller is told who may not call. */
export interface RefusedCall {
  readonly code: status;
  readonly details: string;
  readonly metadata?: Metadata;
}

/** Who makes a call over TLS, and whether he may: asked anew for each call, since either may have changed since the connection was opened. */
export class TlsCallers<Caller> {
  readonly #callers = new WeakMap<Metadata, Caller>();

  /** Whoever made this call; undefined for one that came another way. */
  callerOf(call: PeerCall): Caller | undefined {
    return this.#callers.get(call.metadata);
  }

  /**
   * Credentials for an injector whose sockets are verified already. `callerAt` says by a socket's `remoteAddress` who calls and throws for
   * whom it does not let in; `refusal` is what he is told. No header takes part, and no handler runs for who is refused.
   */
  credentials(
    callerAt: (remoteAddress: string) => Caller,
    refusal: (thrown: unknown) => RefusedCall,
  ): ServerCredentials {
    const admit = (metadata: Metadata, remoteAddress: string): RefusedCall | undefined => {
      try {
        this.#callers.set(metadata, callerAt(remoteAddress));
        return undefined;
      } catch (thrown) {
        return refusal(thrown);
      }
    };
    return experimental.createServerCredentialsWithInterceptors(
      ServerCredentials.createInsecure(),
      [
        (_method, call) =>
          new ServerInterceptingCall(call, {
            start(next) {
              next({
                onReceiveMetadata(metadata, pass) {
                  const refused = admit(metadata, call.getConnectionInfo().remoteAddress ?? "");
                  if (refused === undefined) pass(metadata);
                  else call.sendStatus(refused);
                },
              });
            },
          }),
      ],
    );
  }
}
