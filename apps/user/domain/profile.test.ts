import { describe, expect, test } from "bun:test";
import { faultInfo } from "@mall/kernel/fault";
import { changeProfile, newProfile } from "./profile";

const born = new Date("2026-01-01T00:00:00Z");
const later = new Date("2026-01-02T00:00:00Z");
const id = "usr_01jjjjjjjjjjjjjjjjjjjjjjjj" as const;
const ada = {
  ...newProfile({ id, email: "ada@example.com", displayName: "Ada" }, born),
  phone: "+15551234567",
  version: 3,
};

function refusal(run: () => unknown) {
  try {
    run();
  } catch (error) {
    const info = faultInfo(error);
    return {
      reason: info?.reason,
      pointers: info?.violations.map((v) => v.pointer),
      metadata: info?.metadata,
    };
  }
}

describe("a profile", () => {
  test("starts as the account tells, without a phone, at version 1", () => {
    expect(newProfile({ id, email: "ada@example.com", displayName: "Ada" }, born)).toEqual({
      id,
      email: "ada@example.com",
      displayName: "Ada",
      phone: "",
      version: 1,
      createdAt: born,
      updatedAt: born,
    });
  });

  test("takes the fields that are present and keeps the others", () => {
    const named = changeProfile(ada, { displayName: "  Ada Lovelace " }, undefined, later);
    expect(named).toEqual({ ...ada, displayName: "Ada Lovelace", version: 4, updatedAt: later });
    const called = changeProfile(ada, { phone: "+15557654321" }, 3, later);
    expect(called).toEqual({ ...ada, phone: "+15557654321", version: 4, updatedAt: later });
  });

  test("stays the same object when nothing differs", () => {
    expect(changeProfile(ada, {}, undefined, later)).toBe(ada);
    expect(changeProfile(ada, { displayName: "Ada", phone: ada.phone }, 3, later)).toBe(ada);
  });

  test("refuses a change that is based on another version, even if it would change nothing", () => {
    for (const changes of [{ displayName: "Eve" }, {}]) {
      expect(refusal(() => changeProfile(ada, changes, 2, later))).toEqual({
        reason: "VERSION_MISMATCH",
        pointers: [],
        metadata: { expectedVersion: "2", version: "3" },
      });
    }
  });

  test("refuses a name that is empty once trimmed, too long or has control characters", () => {
    for (const displayName of ["", "   ", "\u3000", "A\u0000da", "Ada\nLovelace", "x".repeat(101)]) {
      expect(refusal(() => changeProfile(ada, { displayName }, undefined, later))).toMatchObject({
        reason: "VALIDATION",
        pointers: ["#/displayName"],
      });
    }
    expect(changeProfile(ada, { displayName: "🦄".repeat(100) }, undefined, later).version).toBe(4);
  });
});
