import type { Registry } from "./port";
import { fetchRegistry } from "./transport";

interface FetcherBinding {
  fetch(request: Request): Promise<Response>;
}

/** Workers service bindings: `env.CART` and so on. Which isolate answers is the platform's business. */
export function bindingsRegistry(env: Record<string, unknown>): Registry {
  return fetchRegistry((service) => async (request) => {
    const binding = env[service.toUpperCase()] as FetcherBinding | undefined;
    if (!binding) throw new Error(`no service binding ${service.toUpperCase()}`);
    return binding.fetch(request);
  });
}
