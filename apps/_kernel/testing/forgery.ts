import { createHmac, generateKeyPairSync, sign as signWith } from "node:crypto";

type Json = Record<string, unknown>;

/** A genuine token, taken apart, and what its attacker knows or has. */
export interface Genuine {
  token: string;
  /** Public key that verifies it, as JWK. */
  publicJwk: JsonWebKey;
  /** Key ids of other keys that the verifier knows. */
  otherKids?: readonly string[];
}

const base64url = (value: string | Uint8Array): string => Buffer.from(value).toString("base64url");
const part = (value: string | Json): string =>
  base64url(typeof value === "string" ? value : JSON.stringify(value));
const decoded = (text: string): Json => JSON.parse(Buffer.from(text, "base64url").toString()) as Json;

/** Header and claims of a token, unverified. */
export function takenApart(token: string): { header: Json; claims: Json } {
  const [header, claims] = token.split(".") as [string, string];
  return { header: decoded(header), claims: decoded(claims) };
}

/** Signs what is to be a header and claims; texts go out as they are. */
export type Sign = (header: string | Json, claims: string | Json) => Promise<string>;

/** Signatures with an Ed25519 key. */
export const signerOf =
  (key: CryptoKey): Sign =>
  async (header, claims) => {
    const text = `${part(header)}.${part(claims)}`;
    return `${text}.${base64url(new Uint8Array(await crypto.subtle.sign("Ed25519", key, Buffer.from(text))))}`;
  };

const nowhere = "http://127.0.0.1:9/jwks.json";

/** Key ids that are no key's, by what they try. */
const oddKids = (kid: unknown): Json => ({
  "of a file": "../../../../dev/null",
  "of a URL": nowhere,
  "of SQL": "x' union select 'AA' -- ",
  "of a prototype": "__proto__",
  "of a method": "constructor",
  "that is unknown": "nobody",
  "that is empty": "",
  "that is long": "k".repeat(4_000),
  "that is a number": 1,
  "that is a list": [kid],
  "that is an object": { kid },
  "that is null": null,
  "with a zero byte": `${kid}\0`,
});

/** Tokens that one can make who has a genuine one and the public key, and not the private one; by the name of the trick. */
export function forgeries({ token, publicJwk, otherKids = [] }: Genuine): Record<string, string> {
  const [head, body, signature] = token.split(".") as [string, string, string];
  const { header, claims } = takenApart(token);
  const own = generateKeyPairSync("ed25519");
  const jwk = own.publicKey.export({ format: "jwk" });
  const signed = (changes: Json | string, payload: string | Json = claims): string => {
    const first = typeof changes === "string" ? changes : { ...header, ...changes };
    const text = `${part(first)}.${part(payload)}`;
    return `${text}.${base64url(signWith(null, Buffer.from(text), own.privateKey))}`;
  };
  const unsigned = (changes: Json, last = "") => `${part({ ...header, ...changes })}.${body}.${last}`;
  const hmac = (key: string | Buffer, alg = "HS256") => {
    const text = `${part({ ...header, alg })}.${body}`;
    return `${text}.${createHmac(alg === "HS256" ? "sha256" : "sha512", key)
      .update(text)
      .digest("base64url")}`;
  };
  const x = publicJwk.x!;
  const spki = Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), Buffer.from(x, "base64url")]);
  const pem = `-----BEGIN PUBLIC KEY-----\n${spki.toString("base64")}\n-----END PUBLIC KEY-----\n`;
  return {
    "alg none": unsigned({ alg: "none" }),
    "alg None": unsigned({ alg: "None" }),
    "alg none with the signature": unsigned({ alg: "none" }, signature),
    "alg empty": unsigned({ alg: "" }, signature),
    "alg missing": unsigned({ alg: undefined }, signature),
    "alg a list": unsigned({ alg: ["EdDSA"] }, signature),
    "alg of another family": unsigned({ alg: "ES256" }, signature),
    "alg RS256": unsigned({ alg: "RS256" }, signature),
    "HS256 with the public key's text": hmac(x),
    "HS256 with the public key's bytes": hmac(Buffer.from(x, "base64url")),
    "HS256 with the public JWK": hmac(JSON.stringify(publicJwk)),
    "HS256 with the public key as DER": hmac(spki),
    "HS256 with the public key as PEM": hmac(pem),
    "HS512 with the public key as PEM": hmac(pem, "HS512"),
    "HS256 with an empty key": hmac(""),
    "empty signature": `${head}.${body}.`,
    "signature cut off": `${head}.${body}`,
    "signature of zeros": `${head}.${body}.${base64url(new Uint8Array(64))}`,
    "signature shortened": `${head}.${body}.${signature.slice(0, -4)}`,
    "signature with more after it": `${token}AAAA`,
    "signature of other claims": `${head}.${part({ ...claims, roles: ["admin"], scope: "/events" })}.${signature}`,
    "other key under the same id": signed({}),
    "other key, embedded": signed({ jwk }),
    "other key, embedded, without an id": signed({ jwk, kid: undefined }),
    "other key by jku": signed({ jku: nowhere }),
    "other key by x5u": signed({ x5u: nowhere }),
    "other key by x5c": signed({ x5c: [spki.toString("base64")] }),
    "other key by a thumbprint": signed({ x5t: "AA", "x5t#S256": "AA" }),
    ...Object.fromEntries(
      Object.entries(oddKids(header.kid)).map(([name, kid]) => [`key id ${name}`, signed({ kid })]),
    ),
    ...Object.fromEntries(
      otherKids.map((kid) => [`key id of another, ${kid}`, unsigned({ kid }, signature)]),
    ),
    "header twice, genuine last": signed(`{"alg":"none",${JSON.stringify(header).slice(1)}`),
    "header twice, genuine first": signed(`${JSON.stringify(header).slice(0, -1)},"alg":"none"}`),
    "claims twice": signed({}, `${JSON.stringify(claims).slice(0, -1)},"sub":"usr_x","iss":"x"}`),
    "header no JSON": signed("alg: EdDSA"),
    "header null": signed("null"),
    "header a list": signed("[]"),
    "claims no JSON": signed({}, "sub=1"),
    "claims null": signed({}, "null"),
    "header in another alphabet": `${head.slice(0, -1)}+.${body}.${signature}`,
    "five parts": `${head}.${body}.${signature}.${signature}.${signature}`,
    "one part": "x",
    "only dots": "..",
    "too long": `${head}.${base64url("x".repeat(9_000))}.${signature}`,
  };
}

/** Claims of a kind of token whose change must be refused. */
export interface Kind {
  /** Claims without which it is refused. */
  required: readonly string[];
  /** Claims that must be texts. */
  texts: readonly string[];
  /** Type of the other kind. */
  otherTyp: string;
}

/** Tokens under the genuine key that say something else than their kind may say; by the name of the trick. */
export async function misstatements(
  genuine: string,
  kind: Kind,
  sign: Sign,
  nowSeconds: number,
): Promise<Record<string, string>> {
  const { header, claims } = takenApart(genuine);
  const aud = claims.aud as string;
  const says = (changes: Json) => sign(header, { ...claims, ...changes });
  const headed = (changes: Json) => sign({ ...header, ...changes }, claims);
  const made: Record<string, Promise<string>> = {
    "another issuer": says({ iss: "evilmall" }),
    issuers: says({ iss: [claims.iss] }),
    "another audience": says({ aud: "evilmall" }),
    "audiences, ours among them": says({ aud: [aud, "evilmall"] }),
    "audience as a list": says({ aud: [aud] }),
    "audiences, none": says({ aud: [] }),
    "expiry as text": says({ exp: String(claims.exp) }),
    "expiry as a list": says({ exp: [claims.exp] }),
    "expiry null": says({ exp: null }),
    "expiry in the far future": says({ exp: 9_999_999_999 }),
    "expiry beyond numbers": sign(header, JSON.stringify(claims).replace(/"exp":\d+/, '"exp":1e999')),
    "a life longer than its kind's": says({ exp: (claims.exp as number) + 1 }),
    "issued in the future": says({ iat: nowSeconds + 3_600, exp: nowSeconds + 3_610 }),
    "issued at a text": says({ iat: String(claims.iat) }),
    "not yet valid": says({ nbf: nowSeconds + 120 }),
    "valid from a text": says({ nbf: "0" }),
    "type of the other kind": headed({ typ: kind.otherTyp }),
    "type of any token": headed({ typ: "JWT" }),
    "type missing": headed({ typ: undefined }),
    "type a list": headed({ typ: [header.typ] }),
    "any type, and its kind as content": sign(
      { ...header, typ: "JWT", cty: String(header.typ) },
      { ...claims },
    ),
    "a critical extension": headed({ crit: ["ext"], ext: 1 }),
    "critical, and nothing": headed({ crit: [] }),
    "critical, and no list": headed({ crit: "exp" }),
    "critical, and not there": headed({ crit: ["exp"] }),
    "payload unencoded": headed({ crit: ["b64"], b64: false }),
    "payload unencoded, not critical, and raw": rawPayload(sign, header, claims),
    "claims a list": sign(header, "[]"),
    "claims a text": sign(header, '"admin"'),
    "claims of the prototype": sign(header, '{"__proto__":{"sub":"x"}}'),
  };
  for (const name of kind.required) made[`no ${name}`] = says({ [name]: undefined });
  for (const name of kind.texts) {
    made[`${name} a number`] = says({ [name]: 1 });
    made[`${name} a list`] = says({ [name]: [claims[name]] });
    made[`${name} an object`] = says({ [name]: { toString: "x" } });
    made[`${name} null`] = says({ [name]: null });
  }
  const entries = Object.entries(made).map(async ([name, token]) => [name, await token] as const);
  return Object.fromEntries(await Promise.all(entries));
}

/** A token with b64=false whose claims stand in it as they are, as RFC 7797 would have it. */
async function rawPayload(sign: Sign, header: Json, claims: Json): Promise<string> {
  const [head, , signature] = (await sign({ ...header, b64: false }, claims)).split(".") as [
    string,
    string,
    string,
  ];
  return `${head}.${JSON.stringify(claims).replaceAll(".", "")}.${signature}`;
}

export const accessKind: Kind = {
  required: ["sub", "sid", "roles", "ver", "exp", "iat", "jti", "iss", "aud"],
  texts: ["sub", "sid", "jti", "iss", "aud"],
  otherTyp: "svc+jwt",
};

export const serviceKind: Kind = {
  required: ["iss", "aud", "scope", "exp", "iat"],
  texts: ["iss", "aud", "scope"],
  otherTyp: "at+jwt",
};
