/** A sentence that must be true, and a query for the rows that contradict it. */
export interface Invariant {
  sentence: string;
  query: string;
}

const schemas = ["auth", "user", "cart", "product", "order", "payment", "checkout"];
const ofEach = (select: (schema: string) => string): string => schemas.map(select).join(" union all ");
const sold = "('PAID', 'SHIPPED', 'DELIVERED', 'COMPLETED', 'REFUNDED')";

/** Tracked units of holds in these states, by variant. */
const heldUnits = (states: string) => `
  select variant_id, sum(quantity)::int as quantity from product.hold_lines join product.holds h on h.id = hold_id
  where h.state in (${states}) group by 1`;

/** True in every snapshot, while anything runs and anything fails (design §6.1, §6.2). */
export const always: readonly Invariant[] = [
  {
    sentence: "units on hand are the sum of the ledger",
    query: `select s.variant_id, s.on_hand, coalesce(m.delta, 0) as ledger
      from product.stock s
      left join (select variant_id, sum(delta)::int as delta from product.stock_movements group by 1) m using (variant_id)
      where s.tracked and s.on_hand <> coalesce(m.delta, 0)`,
  },
  {
    sentence: "reserved units are those of the active holds",
    query: `select s.variant_id, s.reserved, coalesce(h.quantity, 0) as held
      from product.stock s left join (${heldUnits("'active'")}) h using (variant_id)
      where s.reserved <> coalesce(h.quantity, 0)`,
  },
  {
    sentence: "no stock is negative",
    query: "select * from product.stock where on_hand < 0 or reserved < 0 or reserved > on_hand",
  },
  {
    sentence: "sold units are those of claimed holds",
    query: `select variant_id, m.sold, h.quantity as claimed
      from (select variant_id, -sum(delta) as sold from product.stock_movements where kind = 'sale' group by 1) m
      full join (${heldUnits("'claimed', 'returned'")}) h using (variant_id)
      where coalesce(m.sold, 0) <> coalesce(h.quantity, 0)`,
  },
  {
    sentence: "restocked units are those of returned holds",
    query: `select variant_id, m.restocked, h.quantity as returned
      from (select variant_id, sum(delta) as restocked from product.stock_movements where kind = 'restock' group by 1) m
      full join (${heldUnits("'returned'")}) h using (variant_id)
      where coalesce(m.restocked, 0) <> coalesce(h.quantity, 0)`,
  },
];

const saga: readonly Invariant[] = [
  {
    sentence: "every checkout has an end, or waits for its customer within the time it has",
    query: `select id, state, failure_reason, expires_at, lease_until from checkout.checkouts
      where state not in ('COMPLETED', 'FAILED') and not (state = 'AWAITING_PAYMENT' and expires_at > now())`,
  },
  {
    sentence: "a checkout is completed exactly when its order was paid",
    query: `select c.id, c.state, o.state as order_state, o.paid_at, c.failure_reason
      from checkout.checkouts c full join "order".orders o on o.checkout_id = c.id
      where (coalesce(c.state, '') = 'COMPLETED') <> (o.paid_at is not null)`,
  },
  {
    sentence: "an order waits for payment exactly when its checkout does",
    query: `select c.id, c.state, o.id as order_id, o.state as order_state
      from checkout.checkouts c full join "order".orders o on o.checkout_id = c.id
      where (coalesce(c.state, '') = 'AWAITING_PAYMENT') <> (coalesce(o.state, '') = 'PENDING_PAYMENT')`,
  },
  {
    sentence: "a paid order tells so once in its timeline",
    query: `select o.id, o.state, count(e.id) as told from "order".orders o
      left join "order".order_events e on e.order_id = o.id and e.kind = 'paid'
      where o.paid_at is not null group by 1, 2 having count(e.id) <> 1`,
  },
  {
    sentence: "no key of a checkout is left without an answer",
    query: "select scope, rpc, key from checkout.idempotency where state = 'in_flight'",
  },
  {
    sentence: "no message is dead",
    query: `select * from (${ofEach(
      (s) =>
        `select '${s}' as schema, id, consumer, error from "${s}".dead_letters where redriven_at is null`,
    )}) dead`,
  },
];

const holds: readonly Invariant[] = [
  {
    sentence: "a hold is claimed exactly when its order is paid",
    query: `select checkout_id, h.state, o.state as order_state, o.paid_at
      from product.holds h full join "order".orders o using (checkout_id)
      where coalesce(h.state = 'claimed', false) <> coalesce(o.state in ${sold}, false)
        and (h.id is not null or exists (select from "order".order_lines l
          join product.stock s using (variant_id) where l.order_id = o.id and s.tracked))`,
  },
  {
    // one that was cancelled between payment and claim had its units held still, so that they were released
    sentence: "a hold gave its units back when its order was paid and then cancelled, sold ones only then",
    query: `select checkout_id, h.state, o.state as order_state, o.paid_at
      from product.holds h left join "order".orders o using (checkout_id)
      where case when o.state = 'CANCELLED' and o.paid_at is not null then h.state not in ('returned', 'released')
        else h.state = 'returned' end`,
  },
  {
    sentence: "a hold is active only for an order that waits for payment",
    query: `select checkout_id, h.state, o.state as order_state from product.holds h
      left join "order".orders o using (checkout_id)
      where h.state = 'active' and (h.expires_at is null or h.expires_at > now())
        and o.state is distinct from 'PENDING_PAYMENT'`,
  },
  {
    sentence: "a paid order's tracked lines are the lines of its hold",
    query: `select checkout_id, variant_id, ordered, held from
      (select o.checkout_id, l.variant_id, sum(l.quantity) as ordered from "order".orders o
        join "order".order_lines l on l.order_id = o.id join product.stock s using (variant_id)
        where o.paid_at is not null and s.tracked group by 1, 2) o
      full join (select h.checkout_id, l.variant_id, sum(l.quantity) as held from product.holds h
        join product.hold_lines l on l.hold_id = h.id where h.state in ('claimed', 'returned')
          or exists (select from "order".orders o where o.checkout_id = h.checkout_id and o.paid_at is not null)
        group by 1, 2) h
      using (checkout_id, variant_id)
      where coalesce(ordered, 0) <> coalesce(held, 0)`,
  },
];

const money: readonly Invariant[] = [
  {
    sentence: "a paid order has one payment that took exactly its total in its currency",
    query: `select o.id, o.state, o.total, o.currency, p.* from "order".orders o
      left join payment.payments p on p.id = o.payment_id and p.order_id = o.id
      where o.paid_at is not null and (p.id is null or p.state not in ('CAPTURED', 'REFUNDED')
        or p.captured <> o.total or p.amount <> o.total or p.currency <> o.currency)`,
  },
  {
    sentence: "no money is kept but that of paid orders which were not cancelled",
    query: `select p.id, p.order_id, p.state, p.captured, p.refunded, p.returned, o.state as order_state
      from payment.payments p left join "order".orders o on o.payment_id = p.id
      where (o.paid_at is null or o.state = 'CANCELLED')
        and (p.captured <> p.returned or p.state in ('PROCESSING', 'AUTHORIZED', 'CAPTURED'))`,
  },
  {
    sentence: "what a payment gave back is the sum of its refunds, and none is under way",
    query: `select p.id, p.order_id, p.state, p.refunded, p.returned, r.succeeded, r.pending from payment.payments p
      left join (select payment_id, sum(amount) filter (where state = 'SUCCEEDED') as succeeded,
        count(*) filter (where state = 'PENDING') as pending from payment.refunds group by 1) r on r.payment_id = p.id
      where p.returned <> p.refunded or p.returned <> coalesce(r.succeeded, 0) or coalesce(r.pending, 0) > 0`,
  },
  {
    sentence: "an order is refunded exactly when all of its money went back and it was not cancelled",
    query: `select o.id, o.state, o.total, o.refunded_total, p.returned from "order".orders o
      join payment.payments p on p.id = o.payment_id
      where o.refunded_total <> p.returned
        or (o.state = 'REFUNDED') <> (o.state <> 'CANCELLED' and o.total > 0 and p.returned = o.total)`,
  },
];

const carts: readonly Invariant[] = [
  {
    sentence: "a cart is locked only while its checkout waits, and ended only by one that completed",
    query: `select k.id, k.state, c.id as checkout_id, c.state as checkout_state
      from cart.carts k left join checkout.checkouts c on c.id = k.checkout_id
      where (k.state = 'LOCKED' and c.state is distinct from 'AWAITING_PAYMENT')
        or (k.state = 'CONVERTED' and c.state is distinct from 'COMPLETED')`,
  },
  {
    sentence: "the cart of a completed checkout has ended",
    query: `select c.id, c.cart_id, k.state from checkout.checkouts c join cart.carts k on k.id = c.cart_id
      where c.state = 'COMPLETED' and (k.state <> 'CONVERTED' or k.checkout_id <> c.id)`,
  },
  {
    sentence: "a coupon counts its living redemptions, within its limit",
    query: `select c.code, c.redeemed, c.redemption_limit, count(r.*) as living from cart.coupons c
      left join cart.redemptions r on r.code = c.code and r.state = 'redeemed' group by 1, 2, 3
      having c.redeemed <> count(r.*) or c.redeemed > c.redemption_limit`,
  },
  {
    sentence: "a coupon is redeemed only for a checkout that completed or waits",
    query: `select r.checkout_id, r.code, c.state from cart.redemptions r
      left join checkout.checkouts c on c.id = r.checkout_id
      where r.state = 'redeemed' and coalesce(c.state, '') not in ('COMPLETED', 'AWAITING_PAYMENT')`,
  },
  {
    sentence: "an order with a discount redeemed its coupon",
    query: `select o.id, o.state, o.discount_total, r.state as redemption from "order".orders o
      left join cart.redemptions r using (checkout_id)
      where o.paid_at is not null and (o.discount_total > 0) <> coalesce(r.state = 'redeemed', false)`,
  },
];

/** True once nothing runs any more (design §6.2 to §6.6). */
export const atRest: readonly Invariant[] = [...saga, ...holds, ...money, ...carts];

/** What has not come to its end yet, by itself. */
export const unfinished = `
  select 'checkout' as what, id::text, state from checkout.checkouts
    where state not in ('COMPLETED', 'FAILED') and not (state = 'AWAITING_PAYMENT' and expires_at > now())
  union all select 'order', id::text, state from "order".orders
    where state = 'PENDING_PAYMENT' and (expires_at is null or expires_at <= now()) or undo_due_at is not null
  union all select 'payment', id::text, state from payment.payments where state = 'PROCESSING' or due_at is not null
  union all select 'refund', id::text, state from payment.refunds where state = 'PENDING'
  union all ${ofEach((s) => `select '${s} message', id::text, type from "${s}".outbox where due_at is not null`)}`;
