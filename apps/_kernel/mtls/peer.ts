import type { X509Certificate } from "node:crypto";
import type { ClientHttp2Session, ServerHttp2Session } from "node:http2";
import type { TLSSocket } from "node:tls";
import { type Credentials, judge, type Usage, type Verdict } from "./credentials";
import type { LiveCredentials } from "./live";

type Session = ClientHttp2Session | ServerHttp2Session;

/** Who is at the other end of a connection, as of now. */
export type PeerOf = (session: Session) => Verdict;

const certificateOf = (session: Session): X509Certificate | undefined =>
  (session.socket as TLSSocket | undefined)?.getPeerX509Certificate?.();

/**
 * Decides who a peer is, for each request anew: a certificate that has ended, is of another mall, or whose authority is
 * trusted no longer is refused on a connection that was opened before, too. `usage` is what the peer uses it for.
 */
export function peersBy(live: LiveCredentials, usage: Usage, clock: () => Date): PeerOf {
  const known = new WeakMap<
    Session,
    { certificate?: X509Certificate; under?: Credentials; verdict?: Verdict }
  >();

  function verdictOn(certificate: X509Certificate | undefined): Verdict {
    if (!certificate) return { refusal: "is missing" };
    const verdict = judge(certificate, live.current.authorities, [usage], clock());
    if ("refusal" in verdict || verdict.trustDomain === live.current.trustDomain) return verdict;
    return { refusal: "is of another trust domain" };
  }

  return (session) => {
    const state = known.get(session) ?? { certificate: certificateOf(session) };
    known.set(session, state);
    if (state.under !== live.current || !state.verdict) {
      state.verdict = verdictOn(state.certificate);
      state.under = live.current;
    }
    const { verdict } = state;
    if ("validTo" in verdict && verdict.validTo <= clock()) return { refusal: "is not valid at this time" };
    return verdict;
  };
}
