import { afterAll, beforeAll } from "bun:test";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { AuthService } from "@mall/gen/mall/auth/v1/auth_pb";
import { AddressService } from "@mall/gen/mall/user/v1/addresses_pb";
import { UserService } from "@mall/gen/mall/user/v1/user_pb";
import { fault, notFound } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import { type As, type Harness, harness } from "@mall/kernel/testing/harness";
import { createUserService } from "./service";

/** The password of every account that auth knows here. */
export const password = "correct horse battery";

/** The auth service as the tests play it. */
export const auth = {
  accounts: new Map<string, { email: string; displayName: string }>(),
  /** Users that GetAccount was asked about. */
  asked: [] as string[],
  isDown: false,
};

/** The service of this test file, from its first test to its last. */
export let mall: Harness;

/** Starts the service before the tests of a file, and stops it after them. */
export function withUserService(): void {
  beforeAll(async () => {
    mall = await harness("user", createUserService, {
      neighbours: (router) =>
        router.service(AuthService, {
          async getAccount(request, context) {
            if (!context.requestHeader.get("x-service-token"))
              throw fault("permission_denied", "FORBIDDEN", "no token");
            auth.asked.push(request.userId);
            if (auth.isDown) throw fault("unavailable", "DATABASE_UNAVAILABLE", "down");
            const account = auth.accounts.get(request.userId);
            if (!account) throw notFound("ACCOUNT");
            const createdAt = timestampFromDate(mall.clock());
            return { account: { id: request.userId, ...account, roles: ["customer"], createdAt } };
          },
          async verifyPassword(request) {
            if (auth.isDown) throw fault("unavailable", "DATABASE_UNAVAILABLE", "down");
            if (request.password !== password || !auth.accounts.has(request.userId))
              throw fault("unauthenticated", "INVALID_CREDENTIALS", "wrong");
            return {};
          },
        }),
    });
  });
  afterAll(() => mall.stop());
}

let people = 0;

/** An account that auth knows, and clients in its name. */
export function someone() {
  const id: Id<"usr"> = mall.newId("usr");
  const displayName = `Person ${++people}`;
  const email = `person-${people}@example.com`;
  auth.accounts.set(id, { email, displayName });
  const as = { user: { id } };
  return {
    id,
    as,
    email,
    displayName,
    me: mall.client(UserService, as),
    addresses: mall.client(AddressService, as),
  };
}

/** A REST request and its answer. */
export async function rest(
  method: string,
  path: string,
  as: As,
  body?: unknown,
  more: Record<string, string> = {},
) {
  const headers = await mall.headers(as);
  for (const [name, value] of Object.entries({ "content-type": "application/json", ...more }))
    headers.set(name, value);
  const request = new Request(`http://user${path}`, {
    method,
    headers,
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const response = await mall.app.fetch(request);
  return {
    status: response.status,
    etag: response.headers.get("etag"),
    cacheControl: response.headers.get("cache-control"),
    body: (await response.json()) as Record<string, unknown>,
  };
}
