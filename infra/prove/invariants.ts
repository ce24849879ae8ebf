import type postgres from "postgres";
import type { Cluster } from "./cluster";
import { always, atRest, type Invariant, unfinished } from "./invariant-list";
import { Violation } from "./proof";
import type { LedgerEntry } from "./provider";

type Row = Record<string, unknown>;

const shown = (value: unknown): string =>
  JSON.stringify(value, (_, v) => (typeof v === "bigint" ? `${v}` : v)) ?? "";

const sentenceOf = (sentence: string, rows: readonly object[]): string =>
  `NOT TRUE: ${sentence}: ${rows.length} times, such as ${rows.slice(0, 3).map(shown).join(" ")}`;

/** Runs invariants in one statement, so in one snapshot; returns what is not true. */
async function broken(sql: postgres.Sql, invariants: readonly Invariant[]): Promise<string[]> {
  const found = await sql.unsafe<{ n: number; row: Row }[]>(
    invariants
      .map(({ query }, n) => `select ${n} as n, to_jsonb(r) as row from (${query}) r`)
      .join(" union all "),
  );
  return invariants.flatMap(({ sentence }, n) => {
    const rows = found.filter((each) => each.n === n).map(({ row }) => row);
    return rows.length > 0 ? [sentenceOf(sentence, rows)] : [];
  });
}

/** Compares our payments with the provider's books, entry by entry (design §6.3). */
async function brokenLedger(sql: postgres.Sql, ledger: readonly LedgerEntry[]): Promise<string[]> {
  const books = await sql<{ id: string; order_id: string; captured: string; returned: string }[]>`
    select id, order_id, captured, returned from payment.payments`;
  const entries = new Map(ledger.map((entry) => [entry.paymentId, entry]));
  const nothing = { captures: 0, captured: 0n, refunded: 0n };
  const wrong = books.flatMap((book) => {
    const entry = entries.get(book.id) ?? nothing;
    entries.delete(book.id);
    const agrees =
      entry.captured === BigInt(book.captured) &&
      entry.refunded === BigInt(book.returned) &&
      entry.captures === (entry.captured > 0n ? 1 : 0);
    return agrees ? [] : [{ ...book, provider: entry }];
  });
  const stray = [...entries.values()].filter(({ captured }) => captured > 0n);
  return [
    ...(wrong.length > 0
      ? [sentenceOf("the provider took and gave back, once, what our books say", wrong)]
      : []),
    ...(stray.length > 0 ? [sentenceOf("the provider took no money that we do not know of", stray)] : []),
  ];
}

/** Throws a Violation when the stock contradicts itself now; callable while everything runs. */
export async function checkStock({ sql }: Pick<Cluster, "sql">): Promise<void> {
  const sentences = await broken(sql, always);
  if (sentences.length > 0) throw new Violation(sentences.join("\n"));
}

/** Throws a Violation unless every invariant holds; for the end of a proof, when nothing runs any more. */
export async function checkInvariants({ sql, provider }: Pick<Cluster, "sql" | "provider">): Promise<void> {
  const sentences = [
    ...(await broken(sql, [...always, ...atRest])),
    ...(await brokenLedger(sql, await provider.ledger(sql))),
  ];
  if (sentences.length > 0) throw new Violation(sentences.join("\n"));
}

/** Everything the services know about the purchase that a checkout, an order or a payment belongs to. */
async function storyOf(sql: postgres.Sql, what: string, id: string): Promise<string> {
  const rows = await sql.unsafe<Row[]>(
    `select to_jsonb(c) as checkout, to_jsonb(o) - 'shipping_address' - 'email' - 'personal' as order, to_jsonb(h) as hold,
        (select jsonb_agg(p) from payment.payments p where p.order_id = c.order_id) as payments,
        (select jsonb_agg(e.kind || ' ' || e.detail order by e.id) from "order".order_events e where e.order_id = c.order_id)
          as timeline
      from checkout.checkouts c left join "order".orders o on o.id = c.order_id
        left join product.holds h on h.checkout_id = c.id
      where c.id = $1 or c.order_id = $1
        or c.order_id in (select order_id from payment.payments where payment.payments.id = $1)`,
    [id],
  );
  return `${what} ${id}: ${shown(rows)}`;
}

/** How long the mall may take to end everything by itself after the last fault; the only bound on time there is. */
const settleSecondsMax = 30;

/**
 * Waits until every checkout has an end, every payment an outcome and every message arrived, without any client.
 * Returns how many milliseconds it took; throws a Violation after 30 s.
 */
export async function untilSettled({ sql }: Pick<Cluster, "sql">): Promise<number> {
  const startedMs = performance.now();
  for (;;) {
    const left = await sql.unsafe<Row[]>(unfinished);
    const elapsedMs = performance.now() - startedMs;
    if (left.length === 0) return Math.round(elapsedMs);
    if (elapsedMs > settleSecondsMax * 1000) {
      const some = await Promise.all(
        left.slice(0, 3).map(({ what, id }) => storyOf(sql, String(what), String(id))),
      );
      throw new Violation(
        `not finished ${settleSecondsMax} s after the faults ended: ${left.length}, such as ${some.join(" ")}`,
      );
    }
    await Bun.sleep(200);
  }
}
