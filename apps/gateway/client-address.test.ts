import { describe, expect, test } from "bun:test";
import { clientAddresses } from "./client-address";

/** The client of a connection from `connection` that says so in X-Forwarded-For. */
const clientOf = (setting: string, connection: string | undefined, forwarded?: string) =>
  clientAddresses(setting)(
    connection,
    new Headers(forwarded === undefined ? {} : { "x-forwarded-for": forwarded }),
  );

describe("the client's address", () => {
  test("is that of the connection, whatever X-Forwarded-For says, where no proxy is trusted", () => {
    for (const setting of ["", "0", "10.0.0.0/8"])
      expect(clientOf(setting, "192.0.2.1", "198.51.100.7")).toBe("192.0.2.1");
    expect(clientOf("", "::ffff:192.0.2.1")).toBe("192.0.2.1");
    expect(clientOf("1", undefined, "198.51.100.7")).toBeUndefined();
  });

  test("is what the outermost of so many proxies saw; what a client wrote before that is not reached", () => {
    const forged = "203.0.113.9, 10.9.9.9, 198.51.100.7, 10.0.0.2";
    expect(clientOf("1", "10.0.0.3", forged)).toBe("10.0.0.2");
    expect(clientOf("2", "10.0.0.3", forged)).toBe("198.51.100.7");
  });

  test("is that of the first hop outside of the trusted networks", () => {
    const forged = "203.0.113.9, 198.51.100.7, 10.0.0.2, fd00::2";
    expect(clientOf("10.0.0.0/8, fd00::/8", "::ffff:10.0.0.3", forged)).toBe("198.51.100.7");
    expect(clientOf("10.0.0.3", "10.0.0.3", forged)).toBe("fd00::2");
    expect(clientOf("10.0.0.0/8,fd00::/8", "192.0.2.1", forged)).toBe("192.0.2.1");
  });

  test("is that of the last proxy known when the chain is shorter or does not consist of addresses", () => {
    expect(clientOf("3", "10.0.0.3", "198.51.100.7")).toBe("198.51.100.7");
    for (const text of ["", "unknown", "198.51.100.7, ", "1", "0x7f000001", "198.51.100.7:80"])
      expect(clientOf("1", "10.0.0.3", text)).toBe("10.0.0.3");
    expect(clientOf("1", "10.0.0.3")).toBe("10.0.0.3");
  });

  test("has a setting that can be wrong, and then nothing starts", () => {
    for (const wrong of ["10.0.0.0/33", "proxy.internal", "-1", "1, x"])
      expect(() => clientAddresses(wrong)).toThrow("TRUSTED_PROXIES");
  });
});
