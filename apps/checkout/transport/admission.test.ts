import { expect, test } from "bun:test";
import { CheckoutService } from "@mall/gen/mall/checkout/v1/checkout_pb";
import { faultInfo } from "@mall/kernel/fault";
import { purchaseAdmission } from "./admission";

const { placeOrder, payCheckout, getCheckout } = CheckoutService.method;

type Call = (request: { method: unknown; run(): Promise<unknown> }) => Promise<unknown>;

const admitted = (limit: number, isOpen = true): Call => {
  const next = (request: unknown) => (request as { run(): Promise<unknown> }).run();
  return purchaseAdmission(
    () => limit,
    () => isOpen,
  )(next as never) as never;
};

test("what comes beyond the limit is refused at once and does nothing, and room comes back, also after failures", async () => {
  const call = admitted(2);
  const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const running = [placeOrder, payCheckout].map((method, i) =>
    call({ method, run: () => gates[i]!.promise }),
  );
  let ran = false;
  const run = async () => {
    ran = true;
  };
  for (const method of [placeOrder, payCheckout]) {
    const shed = await call({ method, run }).catch((error: unknown) => error);
    expect(faultInfo(shed)?.reason).toBe("OVERLOADED");
    expect((shed as { metadata: Headers }).metadata.get("retry-after")).toBe("1");
  }
  expect(ran).toBe(false);
  await call({ method: getCheckout, run });
  expect(ran).toBe(true);
  gates[0]!.reject(new Error("failed"));
  gates[1]!.resolve();
  await Promise.allSettled(running);
  const again = [1, 2].map((n) => call({ method: placeOrder, run: async () => n }));
  expect(await Promise.all(again)).toEqual([1, 2]);
});

test("nobody is let in while it is closed, and everything but purchases goes on", async () => {
  const call = admitted(2, false);
  let ran = 0;
  const run = async () => void ran++;
  for (const method of [placeOrder, payCheckout]) {
    const refused = await call({ method, run }).catch((error: unknown) => error);
    expect(faultInfo(refused)?.reason).toBe("CHECKOUT_CLOSED");
    expect((refused as { metadata: Headers }).metadata.get("retry-after")).toBe("60");
  }
  await call({ method: getCheckout, run });
  expect(ran).toBe(1);
});
