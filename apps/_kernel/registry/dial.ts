import { type Dial, NotSent } from "./port";

/** Errors of fetch after which it is certain that nothing was sent. */
const connectFailures = new Set(["ConnectionRefused", "ECONNREFUSED", "FailedToOpenSocket", "ENOTFOUND"]);

/** HTTP/1.1 without TLS. */
export const fetchDial: Dial = async ({ url }, { path, ...init }) => {
  try {
    return await fetch(url + path, { ...init, redirect: "manual" });
  } catch (error) {
    if (connectFailures.has((error as { code?: string }).code ?? ""))
      throw new NotSent(url, { cause: error });
    throw error;
  }
};
