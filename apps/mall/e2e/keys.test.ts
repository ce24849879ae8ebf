import { expect, test } from "bun:test";
import { decodeProtectedHeader } from "jose";
import { mall } from "./command";
import { hostKind } from "./host";
import { newUser, rest } from "./shop";

interface Refreshed {
  tokens: { accessToken: string; refreshToken: string };
}

/** Waits until each service has answered once: a Worker that just started may not know the policy yet. */
async function warmUp({ token }: { token: string }) {
  for (const path of ["/v1/orders", "/v1/me", "/v1/products?pageSize=1"]) {
    const until = performance.now() + 30_000;
    while ((await rest("GET", path, undefined, { token })).status !== 200)
      if (performance.now() > until) throw new Error(`${path} was not there within 30 s`);
  }
}

/** Seconds from a rotation until every process of auth signs with its key, and some more. */
const untilSigning = 75;
/** A second rotation while the first one's key signs not yet for long. */
const apart = 25;

// two minutes of waiting: where processes or Workers verify with keys of their own
test.skipIf(hostKind === "one")(
  "signing keys rotate twice under load without one failed request",
  async () => {
    const failures: string[] = [];
    const kids = new Set<string>();
    let isOver = false;
    let requests = 0;
    const check = ({ status, text }: { status: number; text: string }, what: string) => {
      requests++;
      if (status !== 200) failures.push(`${what}: ${status} ${text}`);
    };
    /** A shopper who looks around on several services, with a token that is never older than a second. */
    async function shopper() {
      let { token, refreshToken } = await newUser();
      while (!isOver) {
        kids.add(decodeProtectedHeader(token).kid!);
        check(await rest("GET", "/v1/orders", undefined, { token }), "orders");
        check(await rest("GET", "/v1/me", undefined, { token }), "me");
        check(await rest("GET", "/v1/products?pageSize=1", undefined, { token }), "products");
        await Bun.sleep(700);
        const refreshed = await rest<Refreshed>("POST", "/v1/auth/refresh", { refreshToken });
        check(refreshed, "refresh");
        ({ accessToken: token, refreshToken } = refreshed.body.tokens);
      }
    }
    /** Somebody who goes on with the token of before, as long as it is good. */
    async function patient(token: string) {
      while (!isOver) {
        check(await rest("GET", "/v1/orders", undefined, { token }), "orders by an old token");
        await Bun.sleep(500);
      }
    }
    const old = await newUser();
    await warmUp(old);
    const everybody = [...Array.from({ length: 4 }, shopper), patient(old.token)];
    const rotate = async () => {
      const rotated = await mall("keys", "rotate");
      expect([rotated.exitCode, rotated.text]).toEqual([0, expect.stringContaining("signs from")]);
      return rotated.text.split(" ")[0]!;
    };
    const second = await rotate();
    await Bun.sleep(apart * 1_000);
    const third = await rotate();
    await Bun.sleep(untilSigning * 1_000);
    isOver = true;
    await Promise.all(everybody);
    expect(failures).toEqual([]);
    expect([...kids]).toEqual([decodeProtectedHeader(old.token).kid!, second, third]);
    expect(requests).toBeGreaterThan(200);

    const listed = (await mall("keys", "list")).text.trim().split("\n");
    expect(listed).toEqual([
      expect.stringContaining(`${third}  signs since`),
      expect.stringContaining(`${second}  retired, published until`),
      expect.stringContaining(`${[...kids][0]}  retired, published until`),
    ]);
    for (const kid of [second, third]) {
      const audited = (await mall("audit", "list", `--subject=${kid}`)).text.trim().split("\n");
      expect(audited).toEqual([expect.stringMatching(/ RotateSigningKeys {2}ok {2}actor=command/)]);
    }
  },
  240_000,
);
