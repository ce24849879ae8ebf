import { createHash } from "node:crypto";
import { invalid } from "./fault";

const digest = (query: string) => createHash("sha256").update(query).digest("base64url").slice(0, 12);

/** An opaque token for the next page: a position, bound to the query it belongs to. */
export const pageToken = (query: string, position: string): string =>
  Buffer.from(`${digest(query)}${position}`).toString("base64url");

/** The position in a token; undefined for the first page. Fault VALIDATION when it belongs to another query. */
export function pagePosition(query: string, token: string): string | undefined {
  if (token === "") return undefined;
  const text = Buffer.from(token, "base64url").toString();
  if (text.length > 12 && text.startsWith(digest(query))) return text.slice(12);
  throw invalid([{ pointer: "#/pageToken", parameter: "pageToken", detail: "is not a page token of this query" }]);
}
