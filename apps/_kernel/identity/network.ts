/** The eight groups of an IPv6 address; undefined when the text is none. */
function groupsOf(address: string): string[] | undefined {
  const [head, tail, ...more] = address.split("%")[0]!.split("::");
  if (head === undefined || more.length > 0 || !address.includes(":")) return undefined;
  const before = head === "" ? [] : head.split(":");
  const after = tail === undefined || tail === "" ? [] : tail.split(":");
  const missing = 8 - before.length - after.length;
  if (tail === undefined ? missing !== 0 : missing < 1) return undefined;
  const groups = [...before, ...Array.from({ length: Math.max(0, missing) }, () => "0"), ...after];
  return groups.every((group) => /^[0-9a-f]{1,4}$/i.test(group)) ? groups : undefined;
}

/**
 * What an address is counted under: an IPv4 address itself, of an IPv6 address its /64, which one customer has whole
 * (RFC 6177), so that rotating addresses gains nothing.
 */
export function networkOf(address: string): string {
  const groups = groupsOf(address);
  if (!groups) return address;
  const network = groups.slice(0, 4).map((group) => Number.parseInt(group, 16).toString(16));
  return `${network.join(":")}::/64`;
}
