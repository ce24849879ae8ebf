const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** The id of a request: the caller's if it is a UUID, else a new one. */
export function requestIdOf(header: Headers): string {
  const given = header.get("x-request-id");
  return given && uuidPattern.test(given) ? given.toLowerCase() : crypto.randomUUID();
}
