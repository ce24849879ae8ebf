import { describe, expect, test } from "bun:test";
import type { SavedAddress } from "@mall/gen/mall/user/v1/addresses_pb";
import { refusal } from "@mall/kernel/testing/refusal";
import { addressesMax } from "./domain/address";
import { mall, rest, someone, withUserService } from "./testing";

withUserService();

const home = {
  name: "Ada Lovelace",
  line1: "1 Analytical Way",
  line2: "",
  city: "Austin",
  region: "TX",
  postalCode: "78701",
  country: "US",
};
const work = { ...home, line1: "2 Engine Street" };
type Person = ReturnType<typeof someone>;

/** What a person sees: id, street and whether it is the default. */
const seen = async ({ addresses }: Person) =>
  (await addresses.listAddresses({})).addresses.map(({ id, address, isDefault }) => ({
    id,
    line1: address!.line1,
    isDefault,
  }));

/** A person who keeps this many addresses; the first one is the default. */
async function keeping(count: number): Promise<{ person: Person; kept: SavedAddress[] }> {
  const person = someone();
  const kept: SavedAddress[] = [];
  for (let i = 0; i < count; i++) {
    mall.clock.advance(1);
    kept.push((await person.addresses.createAddress({ address: { ...home, line1: `${i} Way` } })).address!);
  }
  return { person, kept };
}

const defaultsOf = async (person: Person) => (await seen(person)).filter(({ isDefault }) => isDefault);

describe("an address", () => {
  test("is kept as it was given, the first one as the default, also before the profile was ever read", async () => {
    const person = someone();
    expect(await seen(person)).toEqual([]);
    const made = await rest("POST", "/v1/me/addresses", person.as, { address: home });
    const at = mall.clock().toISOString().replace(".000Z", "Z");
    expect(made).toMatchObject({ status: 201, etag: '"1"', cacheControl: "no-store" });
    expect(made.body).toEqual({
      address: {
        id: expect.stringMatching(/^adr_/),
        address: home,
        isDefault: true,
        version: 1,
        createdAt: at,
        updatedAt: at,
      },
    });
    const { body } = await rest("GET", "/v1/me/addresses", person.as);
    expect(body).toEqual({ addresses: [made.body.address] });
  });

  test("comes after the default, the newest first", async () => {
    const { person, kept } = await keeping(4);
    expect((await seen(person)).map(({ id }) => id)).toEqual([0, 3, 2, 1].map((i) => kept[i]!.id));
  });

  test("can be made the default as it is saved and later, and takes that from the one before", async () => {
    const { person, kept } = await keeping(2);
    const { address: third } = await person.addresses.createAddress({ address: work, isDefault: true });
    expect(await defaultsOf(person)).toEqual([{ id: third!.id, line1: work.line1, isDefault: true }]);
    const { address: second } = await person.addresses.updateAddress({
      addressId: kept[1]!.id,
      isDefault: true,
    });
    expect(second).toMatchObject({ isDefault: true, version: 2, address: { line1: "1 Way" } });
    expect((await defaultsOf(person)).map(({ id }) => id)).toEqual([kept[1]!.id]);
  });

  test("is changed as a whole, counted, and left alone by what changes nothing", async () => {
    const { person, kept } = await keeping(1);
    const addressId = kept[0]!.id;
    mall.clock.advance(1);
    const { address: moved } = await person.addresses.updateAddress({ addressId, address: work });
    expect(moved).toMatchObject({
      address: work,
      version: 2,
      isDefault: true,
      createdAt: kept[0]!.createdAt,
    });
    mall.clock.advance(1);
    const again = await person.addresses.updateAddress({ addressId, address: work, isDefault: true });
    expect(again.address).toEqual(moved);
    expect((await person.addresses.updateAddress({ addressId })).address).toEqual(moved);
  });

  test("is not changed or deleted on the base of another version, by field and by If-Match", async () => {
    const { person, kept } = await keeping(1);
    const addressId = kept[0]!.id;
    const path = `/v1/me/addresses/${addressId}`;
    await person.addresses.updateAddress({ addressId, address: work });
    const before = await seen(person);
    const stale = { code: "Aborted", reason: "VERSION_MISMATCH" };
    const { addresses } = person;
    expect(await refusal(addresses.updateAddress({ addressId, address: home, expectedVersion: 1 }))).toEqual(
      stale,
    );
    expect(await refusal(addresses.deleteAddress({ addressId, expectedVersion: 1 }))).toEqual(stale);
    const old = { "if-match": '"1"' };
    expect(await rest("PATCH", path, person.as, { address: home }, old)).toMatchObject({ status: 412 });
    expect(await rest("DELETE", path, person.as, undefined, old)).toMatchObject({ status: 412 });
    expect(await seen(person)).toEqual(before);
    const changed = await rest("PATCH", path, person.as, { address: home }, { "if-match": '"2"' });
    expect(changed).toMatchObject({ status: 200, etag: '"3"' });
    expect(await rest("DELETE", path, person.as, undefined, { "if-match": '"3"' })).toMatchObject({
      status: 200,
    });
  });

  test("that goes leaves the default to the newest of the others, if it was that", async () => {
    const { person, kept } = await keeping(4);
    await person.addresses.deleteAddress({ addressId: kept[1]!.id });
    expect((await defaultsOf(person)).map(({ id }) => id)).toEqual([kept[0]!.id]);
    await person.addresses.deleteAddress({ addressId: kept[0]!.id });
    expect(await seen(person)).toMatchObject([
      { id: kept[3]!.id, isDefault: true },
      { id: kept[2]!.id, isDefault: false },
    ]);
    for (const i of [3, 2]) await person.addresses.deleteAddress({ addressId: kept[i]!.id });
    expect(await seen(person)).toEqual([]);
    await person.addresses.createAddress({ address: work });
    expect(await defaultsOf(person)).toHaveLength(1);
  });

  test("that is gone is not there to be changed or deleted once more", async () => {
    const { person, kept } = await keeping(1);
    const addressId = kept[0]!.id;
    await person.addresses.deleteAddress({ addressId });
    const gone = { code: "NotFound", reason: "ADDRESS_NOT_FOUND" };
    expect(await refusal(person.addresses.deleteAddress({ addressId }))).toEqual(gone);
    expect(await refusal(person.addresses.updateAddress({ addressId, address: work }))).toEqual(gone);
  });

  test("of somebody else answers like one that is not there, and stays", async () => {
    const [{ person, kept }, { person: stranger }] = [await keeping(2), await keeping(1)];
    const before = await seen(person);
    const addressId = kept[1]!.id;
    const unknown = mall.newId("adr");
    for (const attempt of [
      (id: string) => stranger.addresses.updateAddress({ addressId: id, isDefault: true }),
      (id: string) => stranger.addresses.updateAddress({ addressId: id, address: work, expectedVersion: 7 }),
      (id: string) => stranger.addresses.deleteAddress({ addressId: id }),
    ])
      expect(await refusal(attempt(addressId))).toEqual(await refusal(attempt(unknown)));
    expect(await seen(person)).toEqual(before);
    expect(await seen(stranger)).toHaveLength(1);
  });
});

describe("all addresses of a user", () => {
  test("are 20 at most, however many are saved at once", async () => {
    const { person } = await keeping(addressesMax - 2);
    const tries = Array.from({ length: 6 }, () => person.addresses.createAddress({ address: work }));
    const results = await Promise.allSettled(tries);
    expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(2);
    expect(await seen(person)).toHaveLength(20);
    expect(await refusal(person.addresses.createAddress({ address: work }))).toEqual({
      code: "FailedPrecondition",
      reason: "ADDRESS_LIMIT",
    });
  });

  test("have one default when all are saved, made it and deleted at once", async () => {
    const person = someone();
    const made = await Promise.all(
      Array.from({ length: 10 }, (_, i) =>
        person.addresses.createAddress({ address: work, isDefault: i % 2 === 0 }),
      ),
    );
    expect(await defaultsOf(person)).toHaveLength(1);
    const ids = made.map(({ address }) => address!.id);
    await Promise.all(ids.map((addressId) => person.addresses.updateAddress({ addressId, isDefault: true })));
    expect(await defaultsOf(person)).toHaveLength(1);
    await Promise.all(ids.slice(0, 7).map((addressId) => person.addresses.deleteAddress({ addressId })));
    expect(await seen(person)).toHaveLength(3);
    expect(await defaultsOf(person)).toHaveLength(1);
  });

  test("have one default at most by the table itself", async () => {
    const { person } = await keeping(2);
    const all = mall.db.sql`update "user".addresses set is_default = true where user_id in
      (select user_id from "user".addresses where id in
        (select id from "user".addresses order by created_at desc limit 1))`;
    expect(
      await all.then(
        () => "",
        (error: Error) => error.message,
      ),
    ).toContain("addresses_default");
    expect(await defaultsOf(person)).toHaveLength(1);
  });

  const wrong: [string, object, string][] = [
    ["no address", {}, "#/address"],
    ["an address without a street", { address: { ...home, line1: "" } }, "#/address/line1"],
    ["a country in words", { address: { ...home, country: "Texas" } }, "#/address/country"],
    ["a card number", { address: { ...home, line2: "4242 4242 4242 4242" } }, "#/address/line2"],
    ["somebody's id", { address: home, userId: "usr_01jjjjjjjjjjjjjjjjjjjjjjjj" }, "#/userId"],
    ["a version of one's own", { address: home, version: 7 }, "#/version"],
  ];
  for (const [what, body, pointer] of wrong) {
    test(`take no ${what}`, async () => {
      const person = someone();
      const answer = await rest("POST", "/v1/me/addresses", person.as, body);
      expect(answer).toMatchObject({ status: 400, body: { reason: "VALIDATION", errors: [{ pointer }] } });
      expect(await seen(person)).toEqual([]);
    });
  }

  test("keep a default: none is taken without giving it to another", async () => {
    const { person, kept } = await keeping(1);
    const path = `/v1/me/addresses/${kept[0]!.id}`;
    expect(await rest("PATCH", path, person.as, { isDefault: false })).toMatchObject({
      status: 400,
      body: { errors: [{ pointer: "#/isDefault" }] },
    });
    expect(await defaultsOf(person)).toHaveLength(1);
  });
});
