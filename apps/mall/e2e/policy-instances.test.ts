import { afterAll, expect, test } from "bun:test";
import { freePorts } from "@mall/kernel/testing/ports";
import type { ServiceName } from "@mall/kernel/topology";
import { newAdmin } from "./command";
import { host, hostKind, spawn } from "./host";
import { newUser, type Options, type Problem, rest } from "./shop";

const children: { kill(): Promise<unknown> }[] = [];
afterAll(() => Promise.all(children.map((child) => child.kill())));

/** One more process of a service of the mall under test, which finds auth at an address of its own. */
async function another(service: ServiceName, port: number, authUrl: string) {
  const { databaseUrl } = await host();
  const [grpcPort] = (await freePorts(1)) as [number];
  const child = spawn(["bun", "apps/mall/start.ts"], {
    ...{ SERVICE: service, DATABASE_URL: databaseUrl, AUTH_URL: authUrl },
    ...{ PORT: String(port), GRPC_PORT: String(grpcPort), LOG_LEVEL: "silent" },
  });
  children.push(child);
  const url = `http://127.0.0.1:${port}`;
  for (const until = Date.now() + 30_000; Date.now() < until; await Bun.sleep(50)) {
    const isReady = await fetch(`${url}/readyz`).then(
      ({ ok }) => ok,
      () => false,
    );
    if (isReady) return { url, ...child };
  }
  throw new Error(`another ${service} was not ready within 30 s`);
}

test.skipIf(hostKind !== "many")(
  "every process of a service follows within a second, and keeps what it knows while auth is away",
  async () => {
    const [authPort, productPort] = (await freePorts(2)) as [number, number];
    const authUrl = `http://127.0.0.1:${authPort}`;
    const auth = await another("auth", authPort, authUrl);
    const product = await another("product", productPort, authUrl);
    const urls = [(await host()).services!.product, product.url];
    const [user, other, admin] = [await newUser(), await newUser(), await newAdmin()];
    /** What each process of the product service answers a user. */
    const answers = ({ token }: Options) =>
      Promise.all(
        urls.map(async (url) => {
          const headers = { authorization: `Bearer ${token}` };
          const response = await fetch(`${url}/v1/products?pageSize=1`, { headers });
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

    await another("auth", authPort, authUrl);
    // who got no answer asks again now and then only
    for (let tries = 0; tries < 40 && (await answers(user))[1] !== "in"; tries++) await Bun.sleep(250);
    expect(await answers(user)).toEqual(["in", "in"]);
  },
);
