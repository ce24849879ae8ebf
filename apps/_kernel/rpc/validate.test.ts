import { describe, expect, test } from "bun:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { HttpRuleSchema } from "@mall/gen/google/api/http_pb";
import { PlaceOrderRequestSchema } from "@mall/gen/mall/checkout/v1/checkout_pb";
import { FaultInfoSchema } from "@mall/gen/mall/common/v1/fault_pb";
import {
  BatchGetVariantsRequestSchema,
  ImportProductsRequestSchema,
} from "@mall/gen/mall/product/v1/product_pb";
import { explainJson, textViolations, violationsOf } from "./validate";

const pointers = (json: unknown) => explainJson(PlaceOrderRequestSchema, json as never).map((v) => v.pointer);

describe("JSON that is not of a message", () => {
  test("is explained field by field, also inside messages", () => {
    expect(pointers({ cartId: 5, shippingAddress: { city: [], planet: "Mars" }, payment: "cash" })).toEqual([
      "#/cartId",
      "#/shippingAddress/city",
      "#/shippingAddress/planet",
      "#/payment",
    ]);
    expect(pointers({ expectedTotal: { minor: "12.5" } })).toEqual(["#/expectedTotal/minor"]);
    expect(pointers({ "a/b~c": 1 })).toEqual(["#/a~1b~0c"]);
    expect(pointers([])).toEqual(["#"]);
  });

  test("that decodes needs no explanation", () => {
    expect(pointers({ cartId: "anything", expectedTotal: { currency: "USD", minor: "1" } })).toEqual([]);
  });
});

test("a rule that is broken inside a list points to the element", () => {
  const message = create(BatchGetVariantsRequestSchema, {
    variantIds: [`var_${"0".repeat(26)}`, "nonsense"],
  });
  expect(violationsOf(BatchGetVariantsRequestSchema, message).map((v) => v.pointer)).toEqual([
    "#/variantIds/1",
  ]);
});

describe("a text", () => {
  const card = "4111 1111 1111 1111";
  const detail = "must not contain a card number";
  const place = (body: MessageInitShape<typeof PlaceOrderRequestSchema>) =>
    textViolations(PlaceOrderRequestSchema, create(PlaceOrderRequestSchema, body));

  test("with a card number is refused with a pointer to it, however deep it is", () => {
    expect(place({ email: `${card}@example.com` })).toEqual([{ pointer: "#/email", detail }]);
    expect(place({ payment: { method: "fake", token: "4111111111111111" } })).toEqual([
      { pointer: "#/payment/token", detail },
    ]);
    expect(place({ shippingAddress: { line2: `c/o ${card}`, name: card } }).map((v) => v.pointer)).toEqual([
      "#/shippingAddress/name",
      "#/shippingAddress/line2",
    ]);
    const variantIds = [`var_${"0".repeat(26)}`, card];
    const list = create(BatchGetVariantsRequestSchema, { variantIds });
    expect(textViolations(BatchGetVariantsRequestSchema, list).map((v) => v.pointer)).toEqual([
      "#/variantIds/1",
    ]);
  });

  test("in a map is looked at, its key too, without saying it again", () => {
    const fault = create(FaultInfoSchema, {
      metadata: { note: card, "5555555555554444": "", "a/b": card },
      violations: [{ pointer: "#" }, { detail: card }],
    });
    expect(textViolations(FaultInfoSchema, fault).map((v) => v.pointer)).toEqual([
      "#/metadata/note",
      "#/metadata/[card number]",
      "#/metadata/a~1b",
      "#/violations/1/detail",
    ]);
  });

  test("in one of several alternatives is looked at", () => {
    const rule = create(HttpRuleSchema, { pattern: { case: "custom", value: { kind: card } }, body: "*" });
    expect(textViolations(HttpRuleSchema, rule)).toEqual([{ pointer: "#/custom/kind", detail }]);
    rule.pattern = { case: "put", value: card };
    expect(textViolations(HttpRuleSchema, rule)).toEqual([{ pointer: "#/put", detail }]);
  });

  test("with the NUL character is refused", () => {
    expect(place({ email: "a\0b" })).toEqual([
      { pointer: "#/email", detail: "must not contain the NUL character" },
    ]);
  });

  test("of a catalogue may hold what looks like a card number, but no NUL", () => {
    const catalogue = (csv: string) =>
      textViolations(ImportProductsRequestSchema, create(ImportProductsRequestSchema, { csv }));
    expect(catalogue("Handle,Variant Barcode\nmug,4111111111111111")).toEqual([]);
    expect(catalogue("a\0")).toHaveLength(1);
  });

  test("of a usual request passes", () => {
    const shippingAddress = { name: "Ada", line1: "1234 Way 5678", postalCode: "78701-1234", country: "US" };
    expect(place({ cartId: `cart_${"0".repeat(26)}`, email: "ada@example.com", shippingAddress })).toEqual(
      [],
    );
  });
});

test("a card number as the name of a field is not said again", () => {
  const [violation] = explainJson(PlaceOrderRequestSchema, { "4111111111111111": 1 });
  expect(violation).toEqual({ pointer: "#/[card number]", detail: 'unknown field "[card number]"' });
  const wrong = explainJson(PlaceOrderRequestSchema, { expectedTotal: { minor: "4111111111111111x" } });
  expect(JSON.stringify(wrong)).not.toContain("4111");
});
