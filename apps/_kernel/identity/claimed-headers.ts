/*
 * Who calls is told by Authorization, the secrets of carts and orders and, inside, the service token. By the names here
 * proxies and frameworks tell it elsewhere. Nothing in the mall reads them but what the gateway sets itself.
 */

const names = new Set([
  ...["cookie", "forwarded", "proxy-authorization", "remote-user", "true-client-ip", "via"],
  ...["cf-connecting-ip", "cf-connecting-ipv6", "cf-pseudo-ipv4", "fastly-client-ip", "fly-client-ip"],
]);

/** Beginnings of names, each followed by nothing or a dash. */
const families = [
  ...[
    "x-service",
    "x-client",
    "x-caller",
    "x-user",
    "x-username",
    "x-account",
    "x-customer",
    "x-role",
    "x-roles",
  ],
  ...[
    "x-auth",
    "x-authenticated",
    "x-authorization",
    "x-forwarded",
    "x-real",
    "x-remote",
    "x-original",
    "x-cluster",
  ],
  ...[
    "x-admin",
    "x-internal",
    "x-mall",
    "x-tenant",
    "x-jwt",
    "x-token",
    "x-spiffe",
    "x-ssl",
    "x-tls",
    "x-peer",
  ],
  ...[
    "x-envoy",
    "x-amzn-oidc",
    "x-goog-iap",
    "x-goog-authenticated",
    "x-ms-client",
    "cf-access",
    "ssl-client",
  ],
];

/** Whether a header of this name (in lower case) claims who somebody is or where somebody comes from. */
export const claimsIdentity = (name: string): boolean =>
  names.has(name) ||
  // what gRPC-Web in browsers calls itself
  (name !== "x-user-agent" && families.some((family) => name === family || name.startsWith(`${family}-`)));
