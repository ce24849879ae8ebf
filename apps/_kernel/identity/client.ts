/** Where a request comes from, as the edge of the mall saw it. Both are personal data. */
export interface RemoteClient {
  /** IP address of the connection at the edge. */
  readonly address?: string;
  /** What the client calls itself (User-Agent). */
  readonly device?: string;
}

const deviceLengthMax = 200;
const addressHeader = "x-client-address";
const deviceHeader = "x-client-device";

/** Headers that tell where a request comes from; believed only beside a service token. */
export const clientHeaderNames = [addressHeader, deviceHeader] as const;

/** A client by its connection's address and its User-Agent, in the one form that is passed on and stored. */
export function remoteClient(address: string | undefined, userAgent: string | null): RemoteClient {
  const device = userAgent
    ?.replaceAll(/\p{Cc}/gu, "")
    .trim()
    .slice(0, deviceLengthMax);
  return {
    // a socket for both families writes IPv4 as ::ffff:192.0.2.1
    address: address?.toLowerCase().replace(/^::ffff:(?=[0-9.]+$)/, "") || undefined,
    device: device || undefined,
  };
}

/** Puts a client in the place of whatever the headers told before. */
export function setClient(header: Headers, client: RemoteClient): void {
  for (const name of clientHeaderNames) header.delete(name);
  if (client.address) header.set(addressHeader, client.address);
  if (client.device) header.set(deviceHeader, client.device);
}

/** The client that headers tell of. */
export const clientIn = (header: Headers): RemoteClient => ({
  address: header.get(addressHeader) ?? undefined,
  device: header.get(deviceHeader) ?? undefined,
});
