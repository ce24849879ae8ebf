import { describe, expect, test } from "bun:test";
import { hostKind } from "./host";
import { newUser, type Problem, rest } from "./shop";

interface Session {
  id: string;
  address: string;
  device: string;
  isCurrent: boolean;
}
interface SignedIn {
  tokens: { accessToken: string; refreshToken: string };
}

const listed = async (token: string) =>
  (await rest<{ sessions: Session[] }>("GET", "/v1/me/sessions", undefined, { token })).body.sessions;

/** Waits until a token is refused by another service than auth; no longer than a second, and a moment for the answer. */
async function untilRefused(token: string): Promise<boolean> {
  for (const until = performance.now() + 2_500; performance.now() < until; )
    if ((await rest("GET", "/v1/orders", undefined, { token })).status === 401) return true;
  return false;
}

describe(`sessions (${hostKind})`, () => {
  test("are listed with where they come from, and end one by one and all at once", async () => {
    const { token, email, password } = await newUser();
    const signIn = async () =>
      (await rest<SignedIn>("POST", "/v1/auth/login", { email, password })).body.tokens;
    const [second, third] = [await signIn(), await signIn()];
    const all = await listed(token);
    expect(all).toHaveLength(3);
    expect(all.filter(({ isCurrent }) => isCurrent)).toHaveLength(1);
    for (const { address, device } of all) {
      expect(address).toMatch(/^(127\.0\.0\.1|::1)$/);
      expect(device).not.toBe("");
    }
    const [theirs] = (await listed(second.accessToken)).filter(({ isCurrent }) => isCurrent);
    const path = `/v1/me/sessions/${theirs!.id}`;
    expect((await rest("DELETE", path, undefined, { token })).status).toBe(200);
    expect(await untilRefused(second.accessToken)).toBe(true);
    expect((await rest("DELETE", path, undefined, { token })).status).toBe(404);
    expect((await rest("GET", "/v1/orders", undefined, { token: third.accessToken })).status).toBe(200);

    expect((await rest("POST", "/v1/auth/logout-all", {}, { token })).status).toBe(200);
    for (const ended of [token, third.accessToken]) expect(await untilRefused(ended)).toBe(true);
    const { refreshToken } = third;
    expect((await rest("POST", "/v1/auth/refresh", { refreshToken })).status).toBe(401);
  });

  test("are refused after too many wrong passwords, whatever a client says about proxies", async () => {
    const { email, password } = await newUser();
    const guess = (n: number, text: string) =>
      rest<Problem>(...(["POST", "/v1/auth/login", { email, password: text }] as const), {
        headers: { "x-forwarded-for": `203.0.113.${n}`, "x-client-address": `198.51.100.${n}` },
      });
    const statuses = [];
    for (let n = 0; n < 11; n++) statuses.push((await guess(n, "a wrong horse")).status);
    expect(statuses).toEqual([...Array.from({ length: 10 }, () => 401), 429]);
    const refused = await guess(99, password);
    expect([refused.status, refused.body.reason]).toEqual([429, "RATE_LIMITED"]);
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(60);
  });
});
