import type { ApiError } from "./api-error";

/** What becomes of a request: an answer, whole or cut in the middle, or a closed connection. */
export type Reply = { kind: "answer" | "reset"; answer: HttpAnswer } | { kind: "drop" };

export interface HttpAnswer {
  status: number;
  headers: Record<string, string>;
  body: string;
}

/** A request whose body was read. */
export interface HttpRequest {
  method: string;
  path: string;
  query: string;
  header(name: string): string | undefined;
  body: string;
}

export const json = (status: number, value: unknown, headers: Record<string, string> = {}): HttpAnswer => ({
  status,
  headers: { "content-type": "application/json", ...headers },
  body: JSON.stringify(value, null, 2),
});

export const errorAnswer = ({ status, body }: ApiError, headers: Record<string, string> = {}): HttpAnswer =>
  json(status, { error: body }, headers);
