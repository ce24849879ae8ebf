import { conformanceServer } from "./service";

interface Env {
  /** What `buf build` makes of the suite's protos, in base64. */
  DESCRIPTORS: string;
}

let server: ReturnType<typeof conformanceServer> | undefined;

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    server ??= conformanceServer(Buffer.from(env.DESCRIPTORS, "base64"));
    return (await server.fetch(request)) ?? new Response(null, { status: 404 });
  },
};
