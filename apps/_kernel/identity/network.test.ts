import { expect, test } from "bun:test";
import { networkOf } from "./network";

test("an IPv4 address counts by itself, an IPv6 address by its /64, however it is written", () => {
  expect(networkOf("192.0.2.1")).toBe("192.0.2.1");
  for (const text of ["2001:db8::1", "2001:DB8:0:0:ffff:0:0:2", "2001:0db8:0000:0000::", "2001:db8::1%eth0"])
    expect(networkOf(text)).toBe("2001:db8:0:0::/64");
  expect(networkOf("2001:db8:0:1::1")).toBe("2001:db8:0:1::/64");
  expect(networkOf("::1")).toBe("0:0:0:0::/64");
  for (const text of ["", "unknown", "1:2:3", "1::2::3", "::ffff:192.0.2.1", "12345::"])
    expect(networkOf(text)).toBe(text);
});
