import { expect, test } from "bun:test";
import { idGenerator, idOf, isId, uuidOf, uuidv7 } from "./id";

test("an id is the TypeID of its UUID, both ways (vectors of the specification)", () => {
  expect(idOf("usr", "00000000-0000-0000-0000-000000000000")).toBe("usr_00000000000000000000000000");
  expect(idOf("usr", "01890a5d-ac96-774b-bcce-b302099a8057")).toBe("usr_01h455vb4pex5vsknk084sn02q");
  expect(uuidOf("usr_7zzzzzzzzzzzzzzzzzzzzzzzzz")).toBe("ffffffff-ffff-ffff-ffff-ffffffffffff");
});

test("texts that are no ids are refused", () => {
  for (const text of [
    "",
    "usr_",
    "usr_8zzzzzzzzzzzzzzzzzzzzzzzzz",
    "usr_01h455vb4pex5vsknk084sn02l",
    "abc_01h455vb4pex5vsknk084sn02q",
  ]) {
    expect(isId(text)).toBe(false);
  }
  expect(() => uuidOf("usr_8zzzzzzzzzzzzzzzzzzzzzzzzz")).toThrow(RangeError);
});

test("new ids are UUIDv7 in the order of their time", () => {
  expect(uuidv7(0x0123456789ab, new Uint8Array(10))).toBe("01234567-89ab-7000-8000-000000000000");
  let nowMs = 1_700_000_000_000;
  const newId = idGenerator(() => new Date(nowMs++));
  const ids = Array.from({ length: 100 }, () => newId("ord"));
  expect(ids.toSorted()).toEqual(ids);
  expect(ids.every(isId)).toBe(true);
});
