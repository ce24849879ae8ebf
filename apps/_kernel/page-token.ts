import { createHash } from "node:crypto";
import { invalid } from "./fault";

const digest = (query: string) => createHash("sha256").update(query).digest("base64url").slice(0, 12);

/** An opaque token for the next page: a position, bound to the query it belongs to. */
export const pageToken = (query: string, position: string): string =>
  Buffer.from(`${digest(query)}${position}`).toString("base64url");

/** Fault VALIDATION: the token is none, or belongs to another query. */
export const foreignToken = () =>
  invalid([{ parameter: "pageToken", pointer: "#/pageToken", detail: "is not a page token of this query" }]);

/** The position in a token; undefined for the first page. It comes from the client: check it before use. */
export function pagePosition(query: string, token: string): string | undefined {
  if (token === "") return undefined;
  const text = Buffer.from(token, "base64url").toString();
  if (text.length > 12 && text.startsWith(digest(query))) return text.slice(12);
  throw foreignToken();
}
