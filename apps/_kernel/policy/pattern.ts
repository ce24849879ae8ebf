/**
 * Patterns of operations, such as /v1/orders/*\/cancel and /mall.order.v1.OrderService/List*: segments are compared one
 * by one, so the time is linear in the length of both, whatever they hold.
 */
const form = /^(?:\/(?:\*|[A-Za-z0-9._-]+\*?))*(?:\/\*\*)?$/;

/** Whether a text is a pattern. The expression takes each character once. */
export const isPattern = (text: string): boolean => text.length > 1 && text.length <= 200 && form.test(text);

const segmentMatches = (pattern: string, segment: string): boolean => {
  if (pattern === "*") return segment !== "";
  // the parameter of a path is nobody's literal
  if (segment.startsWith("{")) return false;
  return pattern.endsWith("*") ? segment.startsWith(pattern.slice(0, -1)) : pattern === segment;
};

/** Whether a pattern matches the name of an operation. A last segment ** matches any number of segments, also none. */
export function matchesPattern(pattern: string, name: string): boolean {
  const wanted = pattern.split("/");
  const given = name.split("/");
  const isOpenEnded = wanted.at(-1) === "**";
  if (isOpenEnded) wanted.pop();
  if (isOpenEnded ? given.length < wanted.length : given.length !== wanted.length) return false;
  return wanted.every((segment, at) => (at === 0 ? given[0] === "" : segmentMatches(segment, given[at]!)));
}
