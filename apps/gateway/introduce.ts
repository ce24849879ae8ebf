import { remoteClient, setClient } from "@mall/kernel/identity/client";
import { forwardScope, type ServiceTokens } from "@mall/kernel/identity/service-token";
import type { ServiceName } from "@mall/kernel/topology";

/** Headers by which the gateway tells a service whose request it passes on: its own token, the client's address and device. */
export type Introduce = (
  service: ServiceName,
  given: Headers,
  address: string | undefined,
) => Promise<Headers>;

/**
 * Introductions under the gateway's token. The address is that of the connection: what a client says about itself in
 * X-Forwarded-For and the like is not looked at.
 */
export const introductions =
  (tokens: ServiceTokens): Introduce =>
  async (service, given, address) => {
    const header = new Headers({ "x-service-token": await tokens.tokenFor(service, forwardScope) });
    setClient(header, remoteClient(address, given.get("user-agent")));
    return header;
  };
