import { describe, expect, test } from "bun:test";
import type { Id } from "@mall/kernel/id";
import type { Attempt, PaymentProvider } from "./port";

/** A provider with what its test needs to steer it. */
export interface ProviderWorld {
  provider: PaymentProvider;
  newId: <P extends "pay" | "ord" | "ref">(prefix: P) => Id<P>;
  clock: () => Date;
  tokens: {
    pays: string;
    declines: string;
    declineCode: string;
    isNone: string;
    /** They pay; the answer to the payment or to its refund is lost, for a provider that tokens steer. */
    losesPayment: string;
    losesRefund: string;
  };
  /** Runs a call whose answer is lost after the provider did what it was asked. */
  losingAnswer<T>(call: () => Promise<T>): Promise<T>;
}

/** What every payment provider must do. */
export function providerContract(name: string, world: () => ProviderWorld): void {
  const attempt = (over: Partial<Attempt> = {}): Attempt => ({
    ...{ id: world().newId("pay"), orderId: world().newId("ord"), capture: true, providerRef: "" },
    ...{ amount: { currency: "USD", minor: 4299n }, createdAt: world().clock(), attempts: 0 },
    ...over,
  });
  const provider = () => world().provider;
  const pays = () => world().tokens.pays;
  const back = (amount: bigint, attempts = 0) => ({
    ...{ id: world().newId("ref"), amount, createdAt: world().clock(), attempts },
  });

  /** An attempt that was sent, with the name the provider gave it. */
  async function sent(over: Partial<Attempt> = {}, token = pays()): Promise<Attempt> {
    const asked = attempt(over);
    const { ref } = await provider().authorize(asked, token);
    return { ...asked, providerRef: ref };
  }
  const kinds = async (asked: Attempt) => (await provider().lookUp({ ...asked, attempts: 1 })).kind;
  const settled = (results: PromiseSettledResult<unknown>[]) =>
    results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));

  describe(`payments by ${name}`, () => {
    test("are taken at once, in full and once", async () => {
      const asked = attempt();
      const outcome = await provider().authorize(asked, pays());
      expect(outcome).toMatchObject({ kind: "captured", captured: 4299n });
      await provider().authorize(asked, pays());
      const known = { ...asked, providerRef: outcome.ref };
      expect(await provider().books(known)).toEqual({ captured: 4299n, refunded: 0n });
      expect(await provider().lookUp(asked)).toEqual(outcome);
      expect(await provider().lookUp(known)).toEqual(outcome);
    });

    test("are promised first and taken later, once", async () => {
      const asked = await sent({ capture: false });
      expect(await kinds(asked)).toBe("authorized");
      expect(await provider().books(asked)).toEqual({ captured: 0n, refunded: 0n });
      const results = await Promise.allSettled(Array.from({ length: 10 }, () => provider().capture(asked)));
      for (const outcome of settled(results)) expect(outcome).toMatchObject({ kind: "captured" });
      expect(await provider().capture({ ...asked, attempts: 1 })).toMatchObject({ captured: 4299n });
      expect(await provider().books(asked)).toEqual({ captured: 4299n, refunded: 0n });
    });

    test("that are declined say why and take nothing", async () => {
      const { declines, declineCode } = world().tokens;
      const asked = attempt();
      const outcome = await provider().authorize(asked, declines);
      expect(outcome).toMatchObject({ kind: "declined", code: declineCode });
      expect(await provider().lookUp(asked)).toEqual(outcome);
      expect(await provider().books({ ...asked, providerRef: outcome.ref })).toMatchObject({ captured: 0n });
    });

    test("with a token that is none are declined, and take nothing later", async () => {
      const asked = attempt();
      const outcome = await provider().authorize(asked, world().tokens.isNone);
      expect(outcome.kind).toBe("declined");
      await provider()
        .authorize(asked, pays())
        .catch(() => undefined);
      expect((await provider().books({ ...asked, providerRef: outcome.ref })).captured).toBe(0n);
    });

    test("whose answer is lost reject, and are found taken", async () => {
      const asked = attempt();
      await expect(
        world().losingAnswer(() => provider().authorize(asked, world().tokens.losesPayment)),
      ).rejects.toThrow();
      expect(await provider().lookUp(asked)).toMatchObject({ kind: "captured", captured: 4299n });
    });

    test("that were never sent are open, and closed for good when they are dropped", async () => {
      const asked = attempt();
      expect(await kinds(asked)).toBe("open");
      expect(await kinds(asked)).toBe("open");
      expect((await provider().void(asked)).kind).toBe("voided");
      expect((await provider().authorize(asked, pays())).kind).toBe("voided");
      expect(await kinds(asked)).toBe("voided");
    });

    test("that are dropped while they are sent are taken or dropped, and everybody says the same", async () => {
      for (let trial = 0; trial < 10; trial++) {
        const asked = attempt({ capture: trial % 2 === 0 });
        await Promise.allSettled([provider().authorize(asked, pays()), provider().void(asked)]);
        const outcome = await provider().void({ ...asked, attempts: 1 });
        expect(["captured", "voided"]).toContain(outcome.kind);
        expect(await provider().lookUp({ ...asked, providerRef: outcome.ref })).toEqual(outcome);
      }
    });

    test("that were promised are dropped, and can no longer be taken", async () => {
      const asked = await sent({ capture: false });
      expect((await provider().void(asked)).kind).toBe("voided");
      expect((await provider().void({ ...asked, attempts: 1 })).kind).toBe("voided");
      expect((await provider().capture(asked)).kind).toBe("voided");
      expect(await provider().books(asked)).toEqual({ captured: 0n, refunded: 0n });
    });

    test("that were taken are not dropped", async () => {
      const asked = await sent();
      expect(await provider().void(asked)).toMatchObject({ kind: "captured", captured: 4299n });
      expect(await provider().books(asked)).toEqual({ captured: 4299n, refunded: 0n });
    });
  });

  describe(`refunds by ${name}`, () => {
    test("pay back parts until nothing is left, and no more", async () => {
      const asked = await sent();
      expect(await provider().refund(asked, back(1299n))).toBe("succeeded");
      expect(await provider().books(asked)).toEqual({ captured: 4299n, refunded: 1299n });
      expect(await provider().refund(asked, back(3001n))).toBe("failed");
      expect(await provider().refund(asked, back(3000n))).toBe("succeeded");
      expect(await provider().refund(asked, back(1n))).toBe("failed");
      expect(await provider().books(asked)).toEqual({ captured: 4299n, refunded: 4299n });
      expect(await kinds(asked)).toBe("captured");
    });

    test("pay back once, however often they are asked for", async () => {
      const asked = await sent();
      const refund = back(1000n);
      const results = await Promise.allSettled(
        Array.from({ length: 10 }, () => provider().refund(asked, refund)),
      );
      for (const outcome of settled(results)) expect(outcome).toBe("succeeded");
      for (const attempts of [0, 1, 2])
        expect(await provider().refund(asked, { ...refund, attempts })).toBe("succeeded");
      expect((await provider().books(asked)).refunded).toBe(1000n);
    });

    test("whose answer is lost reject, and are found made", async () => {
      const asked = await sent({}, world().tokens.losesRefund);
      const refund = back(1000n);
      await expect(world().losingAnswer(() => provider().refund(asked, refund))).rejects.toThrow();
      expect(await provider().refund(asked, { ...refund, attempts: 1 })).toBe("succeeded");
      expect((await provider().books(asked)).refunded).toBe(1000n);
    });

    test("of what was only promised are refused", async () => {
      const asked = await sent({ capture: false });
      expect(await provider().refund(asked, back(1n))).toBe("failed");
    });
  });

  test(`a message that ${name} has not signed is none`, async () => {
    const read = provider().parseWebhook;
    if (read) expect(await read('{"id":"evt_1","object":"event"}', () => undefined)).toBeUndefined();
  });
}
