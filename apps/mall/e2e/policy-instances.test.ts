import { afterAll, expect, test } from "bun:test";
import { forwardScope } from "@mall/kernel/identity/service-token";
import { freePorts } from "@mall/kernel/testing/ports";
import type { ServiceName } from "@mall/kernel/topology";
import { serviceToken } from "./access-callers";
import { newAdmin } from "./command";
import { host, hostKind, spawn } from "./host";
import type { Ports } from "./network";
import { newUser, type Options, type Problem, rest } from "./shop";

const children: { kill(): Promise<unknown> }[] = [];
afterAll(() => Promise.all(children.map((child) => child.kill())));

/** One more process of a service of the mall under test, which finds auth at an address of its own. */
async function another(service: ServiceName, { port, grpcPort }: Ports, authUrl: string) {
  const { databaseUrl, network } = await host();
  const child = spawn(["bun", "apps/mall/start.ts"], {
    ...{ SERVICE: service, DATABASE_URL: databaseUrl, AUTH_URL: authUrl, ...network!.envOf(service) },
    ...{ PORT: String(port), GRPC_PORT: String(grpcPort), LOG_LEVEL: "silent" },
  });
  children.push(child);
  const url = `http://127.0.0.1:${port}`;
  for (const until = Date.now() + 30_000; Date.now() < until; await Bun.sleep(50)) {
    const isReady = await fetch(`${url}/readyz`).then(
      ({ ok }) => ok,
      () => false,
    );
    if (isReady) return child;
  }
  throw new Error(`another ${service} was not ready within 30 s`);
}

test.skipIf(hostKind !== "many")(
  "every process of a service follows within a second, and keeps what it knows while auth is away",
  async () => {
    const { services, network } = await host();
    const [port, grpcPort, ...others] = (await freePorts(4)) as [number, number, number, number];
    const productPorts = { port: others[0], grpcPort: others[1] };
    const authUrl = network!.originOf({ port, grpcPort });
    const auth = await another("auth", { port, grpcPort }, authUrl);
    await another("product", productPorts, authUrl);
    const urls = [services!.product, network!.originOf(productPorts)];
    const [user, other, admin] = [await newUser(), await newUser(), await newAdmin()];
    /** What each process of the product service answers a user. */
    const answers = ({ token }: Options) =>
      Promise.all(
        urls.map(async (url) => {
          const headers = {
            authorization: `Bearer ${token}`,
            "x-service-token": await serviceToken("gateway", "product", forwardScope),
          };
          const request = new Request(`${url}/v1/products?pageSize=1`, { headers });
          const response = await network!.send("gateway", "product", request);
          return response.ok ? "in" : ((await response.json()) as Problem).reason;
        }),
      );
    expect(await answers(user)).toEqual(["in", "in"]);

    const blocked = `/v1/policy/blocked-users/${user.id}`;
    expect((await rest("PUT", blocked, {}, admin)).status).toBe(200);
    await Bun.sleep(1_000);
    expect(await answers(user)).toEqual(["USER_BLOCKED", "USER_BLOCKED"]);

    await auth.kill();
    await Bun.sleep(2_000);
    expect(await answers(user)).toEqual(["USER_BLOCKED", "USER_BLOCKED"]);
    expect(await answers(other)).toEqual(["in", "in"]);
    expect((await rest("DELETE", blocked, undefined, admin)).status).toBe(200);
    await Bun.sleep(1_000);
    expect(await answers(user)).toEqual(["in", "USER_BLOCKED"]);

    await another("auth", { port, grpcPort }, authUrl);
    // who got no answer asks again now and then only
    for (let tries = 0; tries < 40 && (await answers(user))[1] !== "in"; tries++) await Bun.sleep(250);
    expect(await answers(user)).toEqual(["in", "in"]);
  },
);
