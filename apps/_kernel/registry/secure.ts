/** Whether an origin is reached with TLS. */
export const isSecure = (url: string): boolean => url.startsWith("https://");

/** What is wrong with one that is not. */
export const secureOnly = "must begin with https:// when TLS_* is set, and name the port of mutual TLS";
