import { describe, expect, test } from "bun:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { AuthService } from "@mall/gen/mall/auth/v1/auth_pb";
import { GetPolicyResponseSchema, PolicyService, RuleEffect } from "@mall/gen/mall/auth/v1/policy_pb";
import { InventoryService } from "@mall/gen/mall/product/v1/inventory_pb";
import { ProductService } from "@mall/gen/mall/product/v1/product_pb";
import { UserService } from "@mall/gen/mall/user/v1/user_pb";
import type { Actor } from "../identity/actor";
import { checkIdentity, enforcePolicy } from "../rpc/policy";
import { reasonOf } from "../testing/refusal";
import { policyCopy } from "./policy";

type Answer = MessageInitShape<typeof GetPolicyResponseSchema>;
const { DENY, ALLOW, OPEN } = RuleEffect;

const copyOf = (...answers: Answer[]) => {
  const copy = policyCopy();
  for (const answer of answers) copy.merge(create(GetPolicyResponseSchema, answer));
  return copy;
};

const rule = (effect: RuleEffect, pattern: string, ...roles: string[]): Answer => ({
  policy: { revision: 1n, rules: [{ name: "rule", effect, pattern, roles }] },
});

const userId = "usr_00000000000000000000000001";
const sessionId = "ses_00000000000000000000000001";
const as = (...roles: string[]): Actor => ({ user: { id: userId, roles, sessionId, tokenVersion: 3 } });
const guest: Actor = {};

const { getStock, reserveStock } = InventoryService.method;
const { listProducts } = ProductService.method;
const { getMe } = UserService.method;
const { setRole } = PolicyService.method;

const met = (method: Parameters<typeof enforcePolicy>[0], actor: Actor, ...answers: Answer[]) =>
  reasonOf((async () => enforcePolicy(method, actor, copyOf(...answers)))());

describe("without rules of the operators", () => {
  test("the contract alone decides, and what it does not name is refused", async () => {
    expect(await met(getStock, as("staff"))).toBe("");
    expect(await met(getStock, as("customer", "packer"))).toBe("FORBIDDEN");
    expect(await met(getStock, guest)).toBe("UNAUTHENTICATED");
    expect(await met(listProducts, guest)).toBe("");
    const bare = { ...getStock, proto: { ...getStock.proto, options: undefined } } as typeof getStock;
    expect(await met(bare, as("admin"))).toBe("FORBIDDEN");
    expect(await met(bare, { service: "mall" })).toBe("FORBIDDEN");
  });
});

describe("a role of the operators", () => {
  const packer = { policy: { revision: 1n, roles: [{ name: "packer", permissions: ["stock.read"] }] } };

  test("gives its permissions where the contract asks for them", async () => {
    expect(await met(getStock, as("customer", "packer"), packer)).toBe("");
    expect(await met(InventoryService.method.adjustStock, as("packer"), packer)).toBe("FORBIDDEN");
    expect(await met(getStock, as("customer"), packer)).toBe("FORBIDDEN");
  });

  test("never reaches what is for built-in roles or services alone", async () => {
    const greedy = {
      policy: { revision: 1n, roles: [{ name: "packer", permissions: ["", "policy.write"] }] },
    };
    expect(await met(setRole, as("packer"), greedy)).toBe("FORBIDDEN");
    expect(await met(reserveStock, as("packer"), greedy)).toBe("FORBIDDEN");
  });

  test("that is gone gives nothing", async () => {
    const gone = { policy: { revision: 2n } };
    expect(await met(getStock, as("packer"), packer, gone)).toBe("FORBIDDEN");
    expect(await met(getStock, as("packer"), gone, packer)).toBe("FORBIDDEN");
  });
});

describe("a rule", () => {
  test("that allows lets in signed-in users with its roles, or all of them", async () => {
    expect(await met(getStock, as("customer"), rule(ALLOW, "/v1/inventory/*"))).toBe("");
    expect(await met(getStock, as("customer"), rule(ALLOW, "/v1/inventory/*", "packer"))).toBe("FORBIDDEN");
    expect(await met(getStock, as("packer"), rule(ALLOW, "/v1/inventory/*", "packer"))).toBe("");
    expect(await met(getStock, guest, rule(ALLOW, "/v1/inventory/*"))).toBe("UNAUTHENTICATED");
  });

  test("that opens lets in everyone, where a permission is needed and nowhere else", async () => {
    const everything = rule(OPEN, "/**");
    expect(await met(getStock, guest, everything)).toBe("");
    expect(await met(getMe, guest, everything)).toBe("UNAUTHENTICATED");
    expect(await met(setRole, guest, everything)).toBe("UNAUTHENTICATED");
    expect(await met(setRole, as("customer"), everything)).toBe("FORBIDDEN");
    expect(await met(reserveStock, guest, everything)).toBe("FORBIDDEN");
  });

  test("that denies is stronger than everything that lets in", async () => {
    const [allow, deny] = [rule(ALLOW, "/**"), rule(DENY, "/mall.product.v1.*/Get*")];
    const both = { policy: { revision: 1n, rules: [...allow.policy!.rules!, ...deny.policy!.rules!] } };
    expect(await met(getStock, as("admin"), both)).toBe("FORBIDDEN");
    expect(await met(ProductService.method.getProduct, guest, deny)).toBe("FORBIDDEN");
    expect(await met(listProducts, guest, deny)).toBe("");
    expect(await met(listProducts, as("customer"), rule(DENY, "/v1/products", "suspect"))).toBe("");
    expect(await met(listProducts, as("suspect"), rule(DENY, "/v1/products", "suspect"))).toBe("FORBIDDEN");
    expect(await met(AuthService.method.login, guest, rule(DENY, "/v1/auth/**"))).toBe("FORBIDDEN");
  });

  test("does not stand between a service and what the contract lets it call", async () => {
    expect(await met(reserveStock, { service: "checkout" }, rule(DENY, "/**"))).toBe("");
  });
});

describe("a user", () => {
  const checked = (...answers: Answer[]) =>
    reasonOf((async () => checkIdentity(as("customer"), copyOf(...answers)))());
  const at = (seconds: number) => timestampFromDate(new Date(Date.UTC(2026, 0, 1, 0, 0, seconds)));
  const revoked = (subject: string, belowVersion: number, asOf = 0, expires = 960): Answer => ({
    revocations: [{ subject, belowVersion, expiresAt: at(expires) }],
    asOf: at(asOf),
  });

  test("with nothing against them is let in", async () => {
    expect(await checked({ policy: {} })).toBe("");
    expect(
      await reasonOf((async () => checkIdentity(guest, copyOf({ blockedUserIds: [userId], policy: {} })))()),
    ).toBe("");
  });

  test("who is blocked is refused", async () => {
    expect(await checked({ policy: {}, blockedUserIds: [userId] })).toBe("USER_BLOCKED");
  });

  test("whose session has ended is refused, other sessions are not", async () => {
    expect(await checked(revoked(sessionId, 0))).toBe("UNAUTHENTICATED");
    expect(await checked(revoked("ses_00000000000000000000000002", 0))).toBe("");
  });

  test("with a token below the good version has a stale one, whatever order the news come in", async () => {
    expect(await checked(revoked(userId, 4))).toBe("TOKEN_STALE");
    expect(await checked(revoked(userId, 3))).toBe("");
    expect(await checked(revoked(userId, 4), revoked(userId, 3))).toBe("TOKEN_STALE");
  });

  test("is remembered until the tokens have expired, and no longer", () => {
    const copy = copyOf(revoked(sessionId, 0, 0, 960), { asOf: at(959) }, { asOf: at(900) });
    expect(copy.isEnded(sessionId)).toBe(true);
    copy.merge(create(GetPolicyResponseSchema, { asOf: at(1100) }));
    expect(copy.isEnded(sessionId)).toBe(false);
    expect(copy.known.revocationsAt).toEqual(new Date(Date.UTC(2026, 0, 1, 0, 0, 1100)));
  });
});
