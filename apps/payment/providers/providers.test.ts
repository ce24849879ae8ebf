import { afterAll, beforeAll } from "bun:test";
import { idGenerator } from "@mall/kernel/id";
import { type Harness, harness } from "@mall/kernel/testing/harness";
import { createPaymentService } from "../service";
import { providerContract } from "./contract";
import { fakeProvider } from "./fake";

let mall: Harness;
beforeAll(async () => {
  mall = await harness("payment", createPaymentService);
});
afterAll(() => mall.stop());

providerContract("the fake provider", () => {
  const provider = fakeProvider(mall.db, mall.clock);
  return {
    provider,
    newId: idGenerator(mall.clock),
    clock: mall.clock,
    tokens: {
      ...{ pays: "tok_ok", declines: "tok_declined", declineCode: "card_declined", isNone: "tok_none" },
      ...{ losesPayment: "tok_lost", losesRefund: "tok_refund_lost" },
    },
    losingAnswer: (call) => call(),
  };
});
