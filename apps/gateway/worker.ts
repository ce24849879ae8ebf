import { type ExecutionContext, textsOf, type WorkerEnv } from "@mall/kernel/host/bindings";
import { errorFields, jsonLog } from "@mall/kernel/log";
import { bindingLimiter } from "@mall/kernel/ratelimit/binding";
import { bindingsRegistry } from "@mall/kernel/registry/bindings";
import { serviceNames } from "@mall/kernel/topology";
import { createGateway } from "./service";

type Gateway = ReturnType<typeof createGateway>;

interface Assets {
  fetch(request: Request): Promise<Response>;
}

/** What a service's Worker offers beside fetch. */
interface ServiceBinding {
  sweep(event: null): Promise<void>;
}

/** A file of the documentation page from the Worker's static assets. */
async function asset(assets: Assets, name: string): Promise<Response | undefined> {
  const response = await assets.fetch(new Request(`http://assets/${name}`));
  return response.ok ? response : undefined;
}

let gateway: Gateway | undefined;

function gatewayOf(env: WorkerEnv): Gateway {
  gateway ??= createGateway({
    env: textsOf(env),
    registry: bindingsRegistry(env),
    docsAsset: (name) => asset(env.ASSETS as Assets, name),
    mayJoin: false,
    limiter: bindingLimiter(env),
  });
  return gateway;
}

export default {
  fetch(request: Request, env: WorkerEnv, context: ExecutionContext): Promise<Response> {
    const address = request.headers.get("cf-connecting-ip") ?? undefined;
    return gatewayOf(env).fetch(request, address, (work) => context.waitUntil(work));
  },

  /** One cron trigger for the mall: lets every service do what is due. */
  scheduled(_event: unknown, env: WorkerEnv, context: ExecutionContext): void {
    for (const name of serviceNames) {
      const swept = async () => (env[name.toUpperCase()] as ServiceBinding).sweep(null);
      const failed = (error: unknown) =>
        jsonLog("gateway", "info")("error", "sweep failed", { callee: name, ...errorFields(error) });
      context.waitUntil(swept().catch(failed));
    }
  },
};
