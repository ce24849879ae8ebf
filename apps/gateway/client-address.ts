import { incompleteEnv } from "@mall/kernel/env";
import ipaddr from "ipaddr.js";

type Address = ReturnType<typeof ipaddr.process>;

/** Which connections come from proxies of ours. */
interface Trust {
  /** Whether to believe what the hop that is `distance` hops from here says about the one before it. */
  isTrusted(hop: Address, distance: number): boolean;
}

/** An address in the usual forms; of IPv4 neither 127.1 nor 0x7f000001. IPv4 in IPv6 is IPv4. */
function parsed(given: string): Address | undefined {
  const text = given.trim();
  const isAddress = text.includes(":") ? ipaddr.IPv6.isValid(text) : ipaddr.IPv4.isValidFourPartDecimal(text);
  return isAddress ? ipaddr.process(text) : undefined;
}

function networkOf(text: string): [Address, number] | undefined {
  const address = parsed(text);
  if (address) return [address, address.kind() === "ipv4" ? 32 : 128];
  return ipaddr.isValidCIDR(text) ? (ipaddr.parseCIDR(text) as [Address, number]) : undefined;
}

function trustOf(setting: string): Trust {
  if (/^[0-9]{1,2}$/.test(setting)) return { isTrusted: (_, distance) => distance < Number(setting) };
  const listed = setting.split(",").filter((text) => text.trim() !== "");
  const networks = listed.map((text) => networkOf(text.trim()));
  const wrong = listed.find((_, i) => !networks[i]);
  if (wrong !== undefined)
    throw incompleteEnv([`TRUSTED_PROXIES: "${wrong.trim()}" is no number, address or network`]);
  const isIn = (hop: Address, [network, bits]: [Address, number]) =>
    hop.kind() === network.kind() && hop.match(network as never, bits);
  return { isTrusted: (hop) => networks.some((network) => isIn(hop, network!)) };
}

/** Tells a client's address from that of its connection and from what proxies say in X-Forwarded-For. */
export type ClientAddressOf = (connection: string | undefined, header: Headers) => string | undefined;

/**
 * The address of the first hop, seen from here, that is no trusted proxy. X-Forwarded-For is read from its end, each
 * entry only as long as the hop that wrote it is trusted; what a client writes into it is therefore never reached.
 * `setting` is TRUSTED_PROXIES. Throws Error naming what is wrong with it.
 */
export function clientAddresses(setting: string): ClientAddressOf {
  const { isTrusted } = trustOf(setting.trim());
  return (connection, header) => {
    let client = connection === undefined ? undefined : parsed(connection);
    if (!client) return connection;
    const forwarded = (header.get("x-forwarded-for") ?? "").split(",");
    for (let distance = 0; isTrusted(client, distance); distance++) {
      const before = parsed(forwarded.pop() ?? "");
      if (!before) break;
      client = before;
    }
    return client.toString();
  };
}
