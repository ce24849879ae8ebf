import { describe, expect, test } from "bun:test";
import { create } from "@bufbuild/protobuf";
import { PlaceOrderRequestSchema } from "@mall/gen/mall/checkout/v1/checkout_pb";
import { BatchGetVariantsRequestSchema } from "@mall/gen/mall/product/v1/product_pb";
import { explainJson, violationsOf } from "./validate";

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
