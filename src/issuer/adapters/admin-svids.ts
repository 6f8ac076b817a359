import { parseSpiffeId } from "../../core/spiffe/spiffe-id.ts";
import { type CrlReason, crlReasons } from "../../core/x509/crl-writer.ts";
import { parseSerial } from "../../core/x509/serial.ts";
import { reasonOf } from "../../kit/errors.ts";
import * as wire from "../../wire/herald/v1/svids.ts";
import { IssuerError } from "../error.ts";
import type { HistoryState } from "../revocation/ledger-history.ts";
import type { ListedSvid } from "../revocation/listed-svids.ts";
import type { Condemned } from "../revocation/revocations.ts";
import type { SvidTarget } from "../revocation/revoke-orders.ts";
import { type AdminOptions, unaryHandler } from "./admin-calls.ts";

const defaultPage = 100;
const longestPage = 1000;

/** Issued SVIDs over the admin API. */
export function svidService(options: AdminOptions): wire.SvidServiceServer {
  const { svids } = options.issuer;
  const unary = unaryHandler(options);
  return {
    listSvids: unary((request: wire.ListSvidsRequest) => {
      const { revoked, pageSize, pageToken: from } = request;
      const limit = Math.min(pageSize === 0 ? defaultPage : pageSize, longestPage);
      const page = svids.list(filterOf(request), { limit, from, revoked });
      return Promise.resolve({
        svids: page.svids.map(svidMessage),
        nextPageToken: page.next ?? "",
        history: histories[svids.history],
      });
    }),
    getSvid: unary((request: wire.GetSvidRequest) => {
      const svid = svids.show(serialOf(request.serial));
      return Promise.resolve({ svid: svidMessage(svid) });
    }),
    revokeSvids: unary(async (request: wire.RevokeSvidsRequest, by) => {
      const order = { target: targetOf(request), reason: reasonFrom(request.reason), by };
      const { revoked, already, unenforced, history } = await svids.revoke(order);
      const shown = (some: readonly Condemned[]): wire.Svid[] =>
        svids.showAll(some.map(({ serial }) => serial)).map(svidMessage);
      return {
        revoked: shown(revoked),
        already: shown(already),
        unenforced: [...unenforced],
        history: histories[history],
      };
    }),
    mintSvid: unary(async (request: wire.MintSvidRequest, by) => {
      const { csr, ttlSeconds, dnsNames, reason } = request;
      const spiffeId = parseSpiffeId(request.spiffeId);
      const minted = await svids.minting.mint({ spiffeId, csr, ttlSeconds, dnsNames, reason, by });
      return {
        svid: svidMessage(svids.show(minted.serial)),
        chain: minted.chain.map((der) => Buffer.from(der)),
        bundle: minted.bundle.map((der) => Buffer.from(der)),
      };
    }),
  };
}

const histories: Readonly<Record<HistoryState, wire.History>> = {
  whole: wire.History.WHOLE,
  reading: wire.History.READING,
  gap: wire.History.GAP,
};

function filterOf(
  request: wire.ListSvidsRequest,
): Parameters<AdminOptions["issuer"]["svids"]["list"]>[0] {
  const { entry, node, spiffeId, authority } = request;
  return {
    ...(entry === "" ? {} : { entry }),
    ...(node === "" ? {} : { node }),
    ...(spiffeId === "" ? {} : { spiffeId }),
    ...(authority === "" ? {} : { authority }),
  };
}

function targetOf({ target, authority, notAfter }: wire.RevokeSvidsRequest): SvidTarget {
  if (target === undefined)
    throw new IssuerError(
      "REVOCATION_INVALID",
      "target: say which: a serial, an entry, a node or a SPIFFE ID",
    );
  const { $case: kind, value } = target;
  if (kind === "serial") {
    const serial = serialOf(value);
    const isKnown = authority !== "" && notAfter > 0n;
    return isKnown
      ? { kind, serial, known: { authority, notAfter: Number(notAfter) } }
      : { kind, serial };
  }
  return { kind: kind === "spiffeId" ? "id" : kind, name: value };
}

function reasonFrom(text: string): CrlReason {
  if (Object.hasOwn(crlReasons, text)) return text as CrlReason;
  throw new IssuerError(
    "REVOCATION_INVALID",
    `reason: ${JSON.stringify(text)} is none; choose one of ${Object.keys(crlReasons).join(", ")}`,
  );
}

function serialOf(text: string): string {
  try {
    return parseSerial(text);
  } catch (cause) {
    throw new IssuerError("REVOCATION_INVALID", reasonOf(cause), { cause });
  }
}

function svidMessage(svid: ListedSvid): wire.Svid {
  return {
    ...svid,
    issuedAt: BigInt(svid.issuedAt),
    notAfter: BigInt(svid.notAfter),
    revokedAt: BigInt(svid.revokedAt),
  };
}
