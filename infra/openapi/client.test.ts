import { expect, test } from "bun:test";
import { rulesOf } from "@mall/client/rules";
import { contract } from "@mall/gateway/contract";
import { operations } from "@mall/gen/client/operations";
import { httpRuleOf } from "@mall/kernel/rpc/http-rule";

const camel = (name: string) => name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());

test("a REST client repeats exactly what a Connect client does", () => {
  const byRpc = contract
    .flatMap((service) => service.methods)
    .flatMap((method) => {
      const rule = httpRuleOf(method);
      const path = rule?.pattern.replace(/:(\w+)/g, (_, field: string) => `{${camel(field)}}`);
      return rule ? [[`${rule.verb} ${path}`, rulesOf(method)] as const] : [];
    });
  expect(byRpc.length).toBeGreaterThan(50);
  // no RPC stands behind these: a document, and what may hold anything
  const { "get /.well-known/jwks.json": keys, "post /v1/batch": batch, ...others } = operations;
  expect(keys).toEqual({ repeat: "freely", isPublic: true });
  expect(batch).toEqual({ repeat: "never", isPublic: false });
  expect<object>(others).toEqual(Object.fromEntries(byRpc));
});
