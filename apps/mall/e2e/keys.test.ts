import { expect, test } from "bun:test";
import { decodeProtectedHeader } from "jose";
import { mall } from "./command";
import { hostKind } from "./host";
import { newUser, rest } from "./shop";

interface Refreshed {
  tokens: { accessToken: string; refreshToken: string };
}

// a minute of waiting: where several processes verify with keys of their own
test.skipIf(hostKind !== "many")("signing keys rotate under load without one failed request", async () => {
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
  const shoppers = Array.from({ length: 4 }, shopper);
  await Bun.sleep(2_000);
  const rotated = await mall("keys", "rotate");
  expect([rotated.exitCode, rotated.text]).toEqual([0, expect.stringContaining("signs from")]);
  await Bun.sleep(80_000);
  isOver = true;
  await Promise.all(shoppers);
  expect(failures).toEqual([]);
  expect([...kids]).toEqual([expect.any(String), rotated.text.split(" ")[0]!]);
  expect(requests).toBeGreaterThan(200);
  expect((await mall("keys", "list")).text.split("\n")[0]).toContain("signs since");
});
