import { describe, expect, test } from "bun:test";
import { faultInfo } from "@mall/kernel/fault";
import { checkDestination } from "./destination";

/** Where the fault of a destination points to; undefined when there is none. */
function pointerOf(country: string, region = ""): string | undefined {
  try {
    checkDestination({ country, region });
    return undefined;
  } catch (error) {
    return faultInfo(error)?.violations[0]?.pointer;
  }
}

describe("a destination", () => {
  test.each([
    ["US", "TX"],
    ["US", " tx "],
    ["US", "PR"],
    ["US", "AP"],
    ["GB", ""],
    ["DE", "anything at all"],
    ["AF", ""],
  ])("in %s %p is one", (country, region) => expect(pointerOf(country, region)).toBeUndefined());

  test.each(["ZZ", "XX", "UK", "EU", "us", ""])("in %p is none", (country) =>
    expect(pointerOf(country, "TX")).toBe("#/shippingAddress/country"),
  );

  // an unknown state would go untaxed
  test.each(["", "Texas", "XX", "T X", "ON"])("in the US in %p is none", (region) =>
    expect(pointerOf("US", region)).toBe("#/shippingAddress/region"),
  );
});
