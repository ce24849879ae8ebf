import { type CallerName, calls } from "../topology";

/** Who a certificate speaks for: a service of one mall. */
export interface SpiffeName {
  readonly trustDomain: string;
  readonly name: CallerName;
}

/** The SPIFFE id of a service: the URI in its certificate. */
export const spiffeIdOf = ({ trustDomain, name }: SpiffeName): string => `spiffe://${trustDomain}/${name}`;

/** The whole text must be one id: whatever stands beside it could mean somebody else. */
const form = /^URI:spiffe:\/\/([a-z0-9._-]{1,255})\/([a-z]+)$/;

/**
 * The service that a certificate names, from its alternative names as OpenSSL prints them. Undefined unless there is
 * exactly one, which is the SPIFFE id of somebody in the call table (SPIFFE X.509-SVID, section 2).
 */
export function spiffeNameIn(alternativeNames: string | undefined): SpiffeName | undefined {
  const [, trustDomain, name] = form.exec(alternativeNames ?? "") ?? [];
  if (trustDomain === undefined || !Object.hasOwn(calls, name!)) return undefined;
  return { trustDomain, name: name as CallerName };
}

/** The trust domain that an authority's certificate names; undefined when it names none. */
export const trustDomainIn = (alternativeNames: string | undefined): string | undefined =>
  /^URI:spiffe:\/\/([a-z0-9._-]{1,255})$/.exec(alternativeNames ?? "")?.[1];

/** Whether a text can be a trust domain. */
export const isTrustDomain = (text: string): boolean => /^[a-z0-9._-]{1,255}$/.test(text);
