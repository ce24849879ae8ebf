import type { Session } from "@mall/kernel/db/client";
import { sqlStatement } from "@mall/kernel/db/statement";
import { sql } from "drizzle-orm";
import type { ConfigStore, Revision, Values } from "./port";

interface Row {
  revision: number;
  at: string;
  author: string;
  changes: Revision["changes"];
  values: Values;
}

const columns = sql.raw("revision, at, author, changes, values");

const selectList = sqlStatement<{ before: number | null; limit: number }, Row>(
  (p) => sql`select ${columns} from auth.config_revisions
    where ${p.before}::int is null or revision < ${p.before}::int order by revision desc limit ${p.limit}`,
);

const select = sqlStatement<{ revision: number }, Row>(
  (p) => sql`select ${columns} from auth.config_revisions where revision = ${p.revision}::int`,
);

// the number before it must be there, so that there are no gaps
const insert = sqlStatement<
  { revision: number; at: Date; author: string; changes: string; values: string },
  { revision: number }
>(
  (p) => sql`insert into auth.config_revisions (revision, at, author, changes, values)
    select ${p.revision}::int, ${p.at}::timestamptz, ${p.author}::text, ${p.changes}::text::jsonb,
      ${p.values}::text::jsonb
    where ${p.revision}::int = 1
      or exists (select from auth.config_revisions where revision = ${p.revision}::int - 1)
    on conflict (revision) do nothing returning revision`,
);

const rowToRevision = ({ at, ...rest }: Row): Revision => ({
  ...rest,
  at: new Date(at),
});

/** Keeps the configuration in the database of the auth service. */
export function postgresConfig(session: Session): ConfigStore {
  const list = async (before: number | undefined, limit: number) =>
    (await selectList(session, { before: before ?? null, limit })).map(rowToRevision);
  return {
    list,
    newest: async () => (await list(undefined, 1))[0],
    async find(revision) {
      const [row] = await select(session, { revision });
      return row && rowToRevision(row);
    },
    async add({ revision, at, author, changes, values }) {
      const texts = { changes: JSON.stringify(changes), values: JSON.stringify(values) };
      return (await insert(session, { revision, at, author, ...texts })).length === 1;
    },
  };
}
