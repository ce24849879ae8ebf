import { expect, test } from "bun:test";
import { forwardScope } from "@mall/kernel/identity/service-token";
import { freePorts } from "@mall/kernel/testing/ports";
import { serviceToken } from "./access-callers";
import { another } from "./another";
import { newAdmin } from "./command";
import { host, hostKind } from "./host";
import { newUser, type Options, type Problem, rest } from "./shop";

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
