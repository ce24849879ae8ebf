import type postgres from "postgres";
import type { Cluster } from "./cluster";
import { Violation } from "./proof";
import type { LedgerEntry } from "./provider";

type Row = Record<string, unknown>;

/** A sentence that must always be true, and a query for the rows that contradict it. */
interface Invariant {
  sentence: string;
  query: string;
}

const sold = "('PAID', 'SHIPPED', 'DELIVERED', 'COMPLETED', 'REFUNDED')";

/** True in every snapshot, while anything runs and anything fails (design §6.1, §6.2). */
const always: readonly Invariant[] = [
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
      from product.stock s
      left join (select variant_id, sum(quantity)::int as quantity from product.hold_lines
        join product.holds h on h.id = hold_id where h.state = 'active' group by 1) h using (variant_id)
      where s.reserved <> coalesce(h.quantity, 0)`,
  },
  {
    sentence: "no stock is negative",
    query: "select * from product.stock where on_hand < 0 or reserved < 0 or reserved > on_hand",
  },
  {
    sentence: "sold units are those of claimed holds, restocked units those of returned ones",
    query: `select coalesce(m.variant_id, h.variant_id) as variant_id, m.sold, h.claimed, m.restocked, h.returned
      from (select variant_id, -sum(delta) filter (where kind = 'sale') as sold,
          sum(delta) filter (where kind = 'restock') as restocked
        from product.stock_movements where kind in ('sale', 'restock') group by 1) m
      full join (select variant_id, sum(quantity) as claimed,
          sum(quantity) filter (where h.state = 'returned') as returned
        from product.hold_lines join product.holds h on h.id = hold_id
        where h.state in ('claimed', 'returned') group by 1) h using (variant_id)
      where coalesce(m.sold, 0) <> coalesce(h.claimed, 0) or coalesce(m.restocked, 0) <> coalesce(h.returned, 0)`,
  },
];

/** True once nothing runs any more (design §6.2 to §6.6). */
const atRest: readonly Invariant[] = [
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
    sentence: "a hold is claimed exactly when its order is paid, and returned when that was cancelled",
    query: `select coalesce(h.checkout_id, o.checkout_id) as checkout_id, h.state, o.state as order_state, o.paid_at
      from product.holds h full join "order".orders o using (checkout_id)
      where coalesce(h.state = 'claimed', false) <> coalesce(o.state in ${sold}, false)
          and (h.id is not null or exists (select from "order".order_lines l
            join product.stock s using (variant_id) where l.order_id = o.id and s.tracked))
        or coalesce(h.state = 'returned', false) <> coalesce(o.state = 'CANCELLED' and o.paid_at is not null, false)
          and (h.id is not null)`,
  },
  {
    sentence: "a hold is active only for an order that waits for payment",
    query: `select h.checkout_id, h.state, o.state as order_state from product.holds h
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
        join product.hold_lines l on l.hold_id = h.id where h.state in ('claimed', 'returned') group by 1, 2) h
      using (checkout_id, variant_id)
      where coalesce(ordered, 0) <> coalesce(held, 0)`,
  },
  {
    sentence: "an order was paid exactly when one payment of its total and currency took money",
    query: `select coalesce(o.id, p.order_id) as order_id, o.state, o.total, o.paid_at, p.taken, p.amount
      from "order".orders o full join
        (select order_id, count(*) as taken, sum(amount) as amount, min(currency) as currency, min(id::text) as id
          from payment.payments where state in ('CAPTURED', 'REFUNDED') group by 1) p on p.order_id = o.id
      where o.paid_at is not null
        and (p.taken is distinct from 1 or p.amount <> o.total or p.currency <> o.currency or p.id <> o.payment_id::text)`,
  },
  {
    sentence: "an order that was not paid keeps no money",
    query: `select p.* from payment.payments p left join "order".orders o on o.id = p.order_id
      where p.state in ('PROCESSING', 'AUTHORIZED', 'CAPTURED') and o.paid_at is null`,
  },
  {
    sentence: "a paid order tells so once in its timeline",
    query: `select o.id, o.state, count(e.id) as told from "order".orders o
      left join "order".order_events e on e.order_id = o.id and e.kind = 'paid'
      where o.paid_at is not null group by 1, 2 having count(e.id) <> 1`,
  },
  {
    sentence: "a cart is locked only while its checkout waits, and ended exactly when it completed",
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
    sentence: "no key of a checkout is left without an answer",
    query: `select i.scope, i.rpc, i.key from checkout.idempotency i where i.state = 'in_flight'
      and not exists (select from checkout.checkouts c where c.state = 'AWAITING_PAYMENT' and c.owes is not null)`,
  },
  {
    sentence: "no message is dead",
    query: `select schema, id, type, last_error from (
      ${["auth", "user", "cart", "product", "order", "payment", "checkout"]
        .map((s) => `select '${s}' as schema, id, type, last_error, dead_at from "${s}".outbox`)
        .join(" union all ")}) o where dead_at is not null`,
  },
];

const shown = (value: unknown): string =>
  JSON.stringify(value, (_, v) => (typeof v === "bigint" ? `${v}` : v)) ?? "";

const sentenceOf = ({ sentence }: Pick<Invariant, "sentence">, rows: readonly Row[]): string =>
  `NOT TRUE: ${sentence}: ${rows.length} times, such as ${rows.slice(0, 3).map(shown).join(" ")}`;

/** Runs invariants in one snapshot; returns what is not true. */
async function broken(sql: postgres.Sql, invariants: readonly Invariant[]): Promise<string[]> {
  return sql.begin("isolation level repeatable read read only", async (tx) => {
    const sentences: string[] = [];
    for (const invariant of invariants) {
      const rows = await tx.unsafe<Row[]>(invariant.query);
      if (rows.length > 0) sentences.push(sentenceOf(invariant, rows));
    }
    return sentences;
  });
}

interface Book {
  id: string;
  order_id: string;
  state: string;
  amount: string;
  total: string | null;
  order_state: string | null;
  paid_at: Date | null;
  refunded: string;
}

/** What the provider must have done for one of our payments. */
function expected(book: Book): { captured: bigint; kept: bigint } {
  const kept = book.paid_at !== null && book.order_state !== "CANCELLED" && book.state === "CAPTURED";
  return {
    captured: book.paid_at === null ? 0n : BigInt(book.amount),
    kept: kept ? BigInt(book.amount) - BigInt(book.refunded) : 0n,
  };
}

/** Compares our payments with the provider's books, entry by entry (design §6.3). */
async function brokenMoney(sql: postgres.Sql, ledger: readonly LedgerEntry[]): Promise<string[]> {
  const books = await sql<Book[]>`
    select p.id, p.order_id, p.state, p.amount, o.total, o.state as order_state,
      case when o.payment_id = p.id then o.paid_at end as paid_at, ${refundedColumn(sql)} as refunded
    from payment.payments p left join "order".orders o on o.id = p.order_id`;
  const entries = new Map(ledger.map((entry) => [entry.paymentId, entry]));
  const wrong: Row[] = [];
  for (const book of books) {
    const entry = entries.get(book.id) ?? { captures: 0, captured: 0n, refunded: 0n };
    entries.delete(book.id);
    const { captured, kept } = expected(book);
    const paidOnce = captured === 0n || (entry.captures === 1 && entry.captured === captured);
    if (!paidOnce || entry.captured - entry.refunded !== kept || entry.captures > 1)
      wrong.push({ ...book, provider: entry, kept });
  }
  const stray = [...entries.values()].filter(({ captured, refunded }) => captured !== refunded);
  return [
    ...(wrong.length > 0
      ? [
          sentenceOf(
            { sentence: "the provider took exactly what paid orders cost, once, and keeps what they keep" },
            wrong,
          ),
        ]
      : []),
    ...(stray.length > 0
      ? [
          sentenceOf(
            { sentence: "the provider holds no money that we do not know of" },
            stray as unknown as Row[],
          ),
        ]
      : []),
  ];
}

/** Refunded minor units of a payment p. */
const refundedColumn = (sql: postgres.Sql) => sql`0`;

/** Throws a Violation when the stock contradicts itself now; callable while everything runs. */
export async function checkStock({ sql }: Pick<Cluster, "sql">): Promise<void> {
  const sentences = await broken(sql, always);
  if (sentences.length > 0) throw new Violation(sentences.join("\n"));
}

/** Throws a Violation unless every invariant holds; for the end of a proof, when nothing runs any more. */
export async function checkInvariants({ sql, provider }: Pick<Cluster, "sql" | "provider">): Promise<void> {
  const sentences = [
    ...(await broken(sql, [...always, ...atRest])),
    ...(await brokenMoney(sql, await provider.ledger(sql))),
  ];
  if (sentences.length > 0) throw new Violation(sentences.join("\n"));
}

const unfinished = `
  select 'checkout' as what, id::text, state from checkout.checkouts
    where state not in ('COMPLETED', 'FAILED') and not (state = 'AWAITING_PAYMENT' and expires_at > now())
  union all select 'payment', id::text, state from payment.payments where state = 'PROCESSING'
  ${["auth", "user", "cart", "product", "order", "payment", "checkout"]
    .map((s) => `union all select '${s} message', id::text, type from "${s}".outbox where due_at is not null`)
    .join("\n")}`;

/**
 * Waits until every checkout has an end, every payment an outcome and every message arrived, without any client.
 * Returns how long it took; throws a Violation after 30 s.
 */
export async function untilSettled({ sql }: Pick<Cluster, "sql">): Promise<number> {
  const started = Date.now();
  for (;;) {
    const left = await sql.unsafe<Row[]>(unfinished);
    const elapsedMs = Date.now() - started;
    if (left.length === 0) return elapsedMs;
    if (elapsedMs > 30_000)
      throw new Violation(
        `not finished within 30 s after the faults ended: ${left.length}, such as ${shown(left[0])}`,
      );
    await Bun.sleep(200);
  }
}
