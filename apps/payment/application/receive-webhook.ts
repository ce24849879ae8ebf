import { createHash } from "node:crypto";
import { fault, invalid } from "@mall/kernel/fault";
import { type Id, isId } from "@mall/kernel/id";
import { recordNotice } from "../db/inbox";
import { findByRef, findPayment, makeDue, postpone } from "../db/payments";
import { lockRefund } from "../db/refunds";
import type { Deps } from "../deps";
import { dueOf, owedOf, type Payment } from "../domain/payment";
import type { Notice } from "../providers/port";
import { advance, leaveToSweeper, look } from "./advance";
import { sendRefund } from "./refund";

/** The UUID (version 8) that stands for a provider's message id, which may be any text. */
function uuidOfText(text: string): string {
  const bytes = createHash("sha256").update(text).digest().subarray(0, 16);
  bytes[6] = 0x80 | (bytes[6]! & 0x0f);
  bytes[8] = 0x80 | (bytes[8]! & 0x3f);
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

/** The payment a message is about. Every payment is stored before the provider hears of it: an unknown one is not ours. */
async function paymentOf(deps: Deps, notice: Notice): Promise<Payment | undefined> {
  const { paymentId, ref } = notice;
  if (isId(paymentId) && paymentId.startsWith("pay_")) return findPayment(deps.db, paymentId as Id<"pay">);
  return ref === "" ? undefined : findByRef(deps.db, ref);
}

/** The refund a message is about, if its outcome is not known yet. */
async function pendingRefund(deps: Deps, { refundId }: Notice) {
  if (!isId(refundId) || !refundId.startsWith("ref_")) return undefined;
  const refund = await deps.db.tx((tx) => lockRefund(tx, deps.notes, refundId as Id<"ref">));
  return refund?.state === "PENDING" ? refund : undefined;
}

/** Asks the provider about what a message named and records the answer. Rejects when that is not known. */
async function follow(deps: Deps, notice: Notice, payment: Payment): Promise<void> {
  const refund = await pendingRefund(deps, notice);
  if (refund) await sendRefund(deps, payment, refund);
  const current = refund ? (await findPayment(deps.db, payment.id))! : payment;
  const seen = await look(deps, current, notice.ref || current.providerRef);
  // an attempt that is still open is left to the request that makes it
  if (seen.state === "PROCESSING") return;
  await advance(deps, seen);
  // another message may have changed it meanwhile
  const row = (await findPayment(deps.db, payment.id))!;
  if (owedOf(row) === "nothing") await postpone(deps.db, row, dueOf(row, deps.clock(), deps.openTtlSeconds));
}

/**
 * Takes a message of a provider. It only says that there is something to look at: what happened is asked of the
 * provider and recorded like the answer to a call. A message that came before has no effect. Faults: ROUTE_NOT_FOUND
 * for a provider that sends none, VALIDATION when the provider has not signed it or did so too long ago.
 */
export const receiveWebhook =
  (deps: Deps) =>
  async (provider: string, body: string, header: (name: string) => string | undefined): Promise<void> => {
    if (provider !== deps.provider.name || !deps.provider.parseWebhook)
      throw fault("not_found", "ROUTE_NOT_FOUND", "Nothing is served at this path.");
    const notice = await deps.provider.parseWebhook(body, header);
    if (!notice) throw invalid([{ pointer: "#", detail: "is not signed by the provider, or too old" }]);
    const payment = await paymentOf(deps, notice);
    if (!payment || payment.provider !== provider) return;
    const isFirst = await deps.db.tx(async (tx) => {
      const now = deps.clock();
      const first = await recordNotice(tx, provider, uuidOfText(notice.id), now);
      // whatever fails from here on, the sweeper looks in our place
      if (first) await makeDue(tx, payment.id, now);
      return first;
    });
    if (!isFirst) return;
    try {
      await follow(deps, notice, payment);
    } catch (error) {
      await leaveToSweeper(deps, payment, error);
    }
  };
