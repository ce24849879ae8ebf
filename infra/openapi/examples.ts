import type { JsonObject } from "@bufbuild/protobuf";

const shippingAddress = {
  name: "Ada Lovelace",
  line1: "1 Analytical Way",
  city: "San Francisco",
  region: "CA",
  postalCode: "94107",
  country: "US",
};

const cartId = "cart_01jd8x5v6mfkr9q3w7t2y4b6nc";

/** A valid body for the requests of a purchase; a test decodes and validates each. */
export const bodyExamples: Record<string, JsonObject> = {
  Register: { email: "ada@example.com", password: "correct horse battery", displayName: "Ada" },
  Login: { email: "ada@example.com", password: "correct horse battery" },
  AddItem: { variantId: "var_01jd8x4q0ze8gbh2d5r7m9k1tp", quantity: 2 },
  SetItemQuantity: { quantity: 3 },
  QuoteCheckout: { cartId, shippingAddress, shippingOption: "standard" },
  PlaceOrder: {
    cartId,
    email: "ada@example.com",
    shippingAddress,
    shippingOption: "standard",
    payment: { method: "fake", token: "tok_ok" },
    expectedTotal: { currency: "USD", minor: "4299" },
  },
  PayCheckout: { payment: { method: "fake", token: "tok_ok" } },
};

/** Examples of single fields, by full name, where tools would make up something odd from the pattern. */
export const fieldExamples: Record<string, string> = {
  "mall.common.v1.Money.currency": "USD",
  "mall.common.v1.Money.minor": "4299",
};
