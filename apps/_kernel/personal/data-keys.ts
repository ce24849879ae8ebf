import { createHmac, randomBytes } from "node:crypto";
import { sql } from "drizzle-orm";
import { deriveKeys, masterKeysOf } from "../crypto/derive";
import { sealer } from "../crypto/seal";
import { type Db, databaseCode, type Session, type Tx } from "../db/client";
import { sqlStatement } from "../db/statement";

/** The subject of a service's own key. */
const ownSubject = "00000000-0000-0000-0000-000000000000";

/** Most keys that one transaction of a rotation wraps anew. */
const rotatedAtOnce = 500;

/** Somebody started a service with the key of another mall, or without the former one. */
class WrongMasterKey extends Error {
  constructor(service: string) {
    const sentence = `MALL_MASTER_KEY is not the key that the ${service} service sealed its data with.`;
    super(`${sentence} Give that key; to change it give both, as <new>,<former>.`);
  }
}

/** What a master key is called in the database; tells nothing of the key. */
const nameOf = (masterKey: string): string =>
  Buffer.from(deriveKeys(masterKey, "master-key-name")[0]!.subarray(0, 8)).toString("hex");

function statements(service: string) {
  const table = sql.raw(`"${service}".data_keys`);
  return {
    find: sqlStatement<{ subject: string }, { wrapped: Buffer | null }>(
      (p) => sql`select wrapped from ${table} where subject = ${p.subject}::uuid`,
    ),
    // without a row another transaction has just made the key: the next look sees it
    findOrMake: sqlStatement<
      { subject: string; wrapped: Uint8Array; wrappedBy: string; now: Date },
      { wrapped: Buffer | null }
    >(
      (p) => sql`with made as (
          insert into ${table} (subject, wrapped, wrapped_by, created_at)
          values (${p.subject}::uuid, ${p.wrapped}::bytea, ${p.wrappedBy}::text, ${p.now}::timestamptz)
          on conflict do nothing returning wrapped)
        select wrapped from made union all select wrapped from ${table} where subject = ${p.subject}::uuid`,
    ),
    // a subject that has no key yet cannot get one afterwards
    destroy: sqlStatement<{ subject: string; now: Date }, object>(
      (p) => sql`insert into ${table} as held (subject, created_at, destroyed_at)
        values (${p.subject}::uuid, ${p.now}::timestamptz, ${p.now}::timestamptz)
        on conflict (subject) do update set wrapped = null, wrapped_by = null, destroyed_at = excluded.destroyed_at
          where held.destroyed_at is null`,
    ),
    toRotate: sqlStatement<{ after: string | null; newest: string }, { subject: string; wrapped: Buffer }>(
      (p) => sql`select subject, wrapped from ${table}
        where wrapped is not null and wrapped_by <> ${p.newest}::text
          and (${p.after}::uuid is null or subject > ${p.after}::uuid)
        order by subject limit ${sql.raw(String(rotatedAtOnce))} for update`,
    ),
    rotate: sqlStatement<{ keys: string; newest: string }, object>(
      (
        p,
      ) => sql`update ${table} as held set wrapped = decode(k.wrapped, 'base64'), wrapped_by = ${p.newest}::text
        from jsonb_to_recordset(${p.keys}::text::jsonb) as k(subject uuid, wrapped text)
        where held.subject = k.subject and held.wrapped is not null`,
    ),
  };
}

/** The keys of people in one service, each wrapped by a master key. */
export interface DataKeys {
  /**
   * The key of a subject, made when there is none; undefined when it was destroyed. In the transaction that stores what
   * is sealed with it. One statement.
   */
  keyOf(tx: Session, subject: string): Promise<Uint8Array | undefined>;
  /** Opens a key as it is stored. Throws when it is another subject's, another service's or under an unknown master key. */
  unwrap(subject: string, wrapped: Uint8Array): Uint8Array;
  /** Destroys the key of a subject, for good; once more changes nothing. */
  destroy(tx: Session, subject: string): Promise<void>;
  /** 32 bytes for one purpose that outlive changes of the master key. */
  ownKey(session: Session, purpose: string): Promise<Uint8Array>;
  /**
   * Whether the master keys are those of the database; false while the database cannot tell. Throws a sentence when they
   * are not. The first service ever to be asked decides which key that is.
   */
  verify(db: Db): Promise<boolean>;
  /** Wraps all keys by the newest master key and tells how many; safe beside everything else, also a second time. */
  rotate(db: Db): Promise<number>;
}

/** The data keys of one service; `masterKey` is the list of the environment. */
export function dataKeysOf(service: string, masterKey: string, clock: () => Date): DataKeys {
  const { find, findOrMake, destroy, toRotate, rotate } = statements(service);
  const seal = sealer(masterKey, `${service}/data-keys`);
  const newest = nameOf(masterKeysOf(masterKey)[0]!);
  const contextOf = (subject: string) => `data-key|${service}|${subject}`;
  const wrap = (subject: string, key: Uint8Array) => seal.seal(key, contextOf(subject));
  const unwrap = (subject: string, wrapped: Uint8Array) => seal.open(wrapped, contextOf(subject));
  let own: Uint8Array | undefined;

  async function stored(session: Session, subject: string): Promise<Uint8Array | null> {
    for (;;) {
      const wrapped = wrap(subject, randomBytes(32));
      const [row] = await findOrMake(session, { subject, wrapped, wrappedBy: newest, now: clock() });
      if (row) return row.wrapped;
    }
  }

  /** Kept only when it was read outside a transaction: what one makes may never come to be. */
  async function readOwn(session: Session): Promise<Uint8Array> {
    if (own) return own;
    const [found] = await find(session, { subject: ownSubject });
    const wrapped = found?.wrapped ?? (await stored(session, ownSubject));
    try {
      const key = unwrap(ownSubject, wrapped!);
      if (!("inTransaction" in session)) own = key;
      return key;
    } catch {
      throw new WrongMasterKey(service);
    }
  }

  async function rotateBatch(tx: Tx, after: string | null): Promise<string[]> {
    const rows = await toRotate(tx, { after, newest });
    const keys = rows.map(({ subject, wrapped }) => ({
      subject,
      wrapped: wrap(subject, unwrap(subject, wrapped)).toString("base64"),
    }));
    if (keys.length > 0) await rotate(tx, { keys: JSON.stringify(keys), newest });
    return rows.map(({ subject }) => subject);
  }

  return {
    unwrap,
    async keyOf(tx, subject) {
      await readOwn(tx); // no key is made by who cannot open the others
      const wrapped = await stored(tx, subject);
      return wrapped ? unwrap(subject, wrapped) : undefined;
    },
    async destroy(tx, subject) {
      await destroy(tx, { subject, now: clock() });
    },
    async ownKey(session, purpose) {
      return createHmac("sha256", await readOwn(session))
        .update(purpose)
        .digest();
    },
    async verify(db) {
      try {
        await readOwn(db);
        return true;
      } catch (error) {
        // away, or not migrated yet
        if (databaseCode(error) !== "") return false;
        throw error;
      }
    },
    async rotate(db) {
      await readOwn(db);
      let [total, after] = [0, null as string | null];
      for (;;) {
        const subjects = await db.tx((tx) => rotateBatch(tx, after));
        total += subjects.length;
        if (subjects.length < rotatedAtOnce) return total;
        after = subjects.at(-1)!;
      }
    },
  };
}
