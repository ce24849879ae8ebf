import { audited } from "@mall/kernel/audit/refusal";
import type { Session, Tx } from "@mall/kernel/db/client";
import { hasReason } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import { networkOf } from "@mall/kernel/identity/network";
import { currentRequest } from "@mall/kernel/rpc/context";
import { type Attempt, clearAttempts, countAttempt, rewardAttempt, settleAttempt } from "../db/attempts";
import type { Deps } from "../deps";
import { type AttemptScope, attemptWindows, checkAttempts } from "../domain/attempts";

type Own = Pick<Deps, "db" | "clock" | "people" | "settings">;

const settingOf = {
  pair: "login.wrong-by-pair",
  account: "login.wrong-by-account",
  address: "login.wrong-by-address",
} as const;

const mostOf =
  ({ settings }: Own) =>
  (scope: AttemptScope) =>
    settings.get(settingOf[scope]) ?? attemptWindows[scope].most;

/** Whose password is tried: of the account of an address, whether there is one or not, or of a user. */
export type Subject = { email: string } | { userId: Id<"usr"> };

const textOf = (subject: Subject): string =>
  "email" in subject ? `email|${subject.email}` : `user|${subject.userId}`;

const accountKey = (people: Own["people"], session: Session, subject: Subject) =>
  people.attemptKey(session, `account|${textOf(subject)}`);

async function keysOf({ people }: Own, session: Session, subject: Subject): Promise<Attempt["keys"]> {
  const client = currentRequest.getStore()?.client;
  const address = client?.address && networkOf(client.address);
  const key = (text: string) => people.attemptKey(session, text);
  return {
    account: await accountKey(people, session, subject),
    pair: await key(`pair|${address ?? ""}|${textOf(subject)}`),
    ...(address ? { address: await key(`address|${address}`) } : {}),
  };
}

/** An attempt that was let in. */
export interface Admitted {
  /** In the transaction of what the right password leads to. */
  reward(tx: Tx): Promise<void>;
}

/**
 * Lets somebody try a password unless too many were wrong, and counts it before it is looked at, so that many at once
 * are counted like one after the other. `verify` fails with INVALID_CREDENTIALS when it is wrong; when it fails otherwise, the
 * attempt does not count. Costs and answers the same for accounts that do not exist. Fault RATE_LIMITED.
 */
export const attempt =
  (deps: Own) =>
  async <T>(
    action: string,
    subject: Subject,
    verify: () => Promise<T>,
  ): Promise<{ result: T; admitted: Admitted }> => {
    const keys = await keysOf(deps, deps.db, subject);
    const tried: Attempt = { at: deps.clock(), keys };
    await deps.db
      .tx(async (tx) => checkAttempts(await countAttempt(tx, tried), tried.at, mostOf(deps)))
      .catch((error: unknown) => {
        const id = "userId" in subject ? subject.userId : undefined;
        throw hasReason(error, "RATE_LIMITED") ? audited(error, { action, subject: id }) : error;
      });
    try {
      return { result: await verify(), admitted: { reward: (tx) => rewardAttempt(tx, tried) } };
    } catch (error) {
      await settleAttempt(deps.db, tried, hasReason(error, "INVALID_CREDENTIALS"));
      throw error;
    }
  };

/** Forgives all wrong passwords of an account, in the transaction that gives it another one. */
export const forgiveAttempts =
  ({ people }: Pick<Deps, "people">) =>
  async (tx: Tx, userId: Id<"usr">, email: string): Promise<void> => {
    for (const subject of [{ userId }, { email }])
      await clearAttempts(tx, await accountKey(people, tx, subject));
  };
