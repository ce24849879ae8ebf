import { afterAll, beforeAll, expect, test } from "bun:test";
import { AuthService } from "@mall/gen/mall/auth/v1/auth_pb";
import { SessionService } from "@mall/gen/mall/auth/v1/sessions_pb";
import type { Resources } from "@mall/kernel/app";
import { asCommand } from "@mall/kernel/rpc/context";
import { type Harness, harness } from "@mall/kernel/testing/harness";
import { decodeProtectedHeader } from "jose";
import { bunPasswords } from "./password/bun";
import { type AuthCommands, createAuthCommands, createAuthService } from "./service";

let mall: Harness;
let resources: Resources;
let commands: AuthCommands;
const passwords = bunPasswords({ memoryKib: 64, passes: 1 });
beforeAll(async () => {
  mall = await harness("auth", (given) => {
    resources = given;
    return createAuthService(given, passwords);
  });
  commands = createAuthCommands(resources, passwords);
});
afterAll(() => mall.stop());

let people = 0;
const signUp = async () => {
  const email = `person-${++people}@example.com`;
  const { tokens } = await mall.client(AuthService).register({ email, password: "correct horse battery" });
  return tokens!.accessToken;
};
const kidOf = (token: string) => decodeProtectedHeader(token).kid;
const isGood = (token: string) =>
  mall
    .client(SessionService, { service: "user" })
    .validateToken({ accessToken: token })
    .then(({ active }) => active);
const published = async () => {
  const answer = await mall.app.fetch(new Request("http://auth/.well-known/jwks.json"));
  return ((await answer.json()) as { keys: { kid: string }[] }).keys.map(({ kid }) => kid);
};

test("a new key is published before it signs, and the one before as long as its tokens live and longer", async () => {
  const old = await signUp();
  const { kid } = await asCommand(commands.rotateSigningKeys);
  mall.clock.advance(11);
  expect(await published()).toEqual([kid, kidOf(old)!]);
  mall.clock.advance(40);
  expect(kidOf(await signUp())).toBe(kidOf(old));
  mall.clock.advance(20);
  const fresh = await signUp();
  expect(kidOf(fresh)).toBe(kid);
  expect([await isGood(old), await isGood(fresh)]).toEqual([true, true]);
  mall.clock.advance(800);
  expect([await isGood(old), await isGood(fresh)]).toEqual([true, true]);
  mall.clock.advance(3600);
  expect(await published()).toEqual([kid]);
  await mall.app.sweep();
  expect((await commands.listSigningKeys()).map((key) => key.kid)).toEqual([kid]);
  expect(await mall.db.sql`select kid from auth.signing_keys`).toHaveLength(1);
  expect(await mall.audit({ action: "RotateSigningKeys" })).toMatchObject([
    { subject: kid, actor: { kind: "command" } },
  ]);
});

test("rotations at once come one after the other: one key signs, all are published, and there is always one that signs", async () => {
  const rotations = await Promise.all(Array.from({ length: 5 }, () => asCommand(commands.rotateSigningKeys)));
  for (let seconds = 0; seconds <= 130; seconds += 10) {
    expect(await published()).toContain(kidOf(await signUp())!);
    mall.clock.advance(10);
  }
  const kids = await published();
  for (const { kid } of rotations) expect(kids).toContain(kid);
  const signing = (await commands.listSigningKeys()).filter(({ retiredAt }) => !retiredAt);
  expect(signing.map(({ kid }) => kid)).toEqual([kidOf(await signUp())!]);
});
