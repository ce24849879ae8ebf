import type { Session, Tx } from "@mall/kernel/db/client";
import type { Id } from "@mall/kernel/id";
import type { ClearTable } from "@mall/kernel/personal/clear-rows";
import type { Personal, PersonalRows } from "@mall/kernel/personal/personal";
import type { Person } from "../domain/account";
import type { SessionClient } from "../domain/session";

/** What is personal in accounts, and how they are found by it. */
export interface People extends PersonalRows<Person> {
  /** The keyed hash of a normalised address. */
  lookup(session: Session, email: string): Promise<Uint8Array>;
  /** The address that an account shall have, in its code. */
  newEmail: PersonalRows<{ email: string }>;
  /** What a session tells of its client. */
  client: PersonalRows<SessionClient>;
  /** The keyed hash that wrong passwords are counted under. */
  attemptKey(session: Session, text: string): Promise<Uint8Array>;
  /** Erases a user in this service, for good. */
  erase(tx: Tx, id: Id<"usr">): Promise<void>;
}

const emailName = "accounts.email";

/** The people of the accounts. */
export const peopleOf = (personal: Personal): People => ({
  ...personal.rows<Person>("accounts"),
  lookup: (session, email) => personal.lookup(session, emailName, email),
  newEmail: personal.rows("codes"),
  client: personal.rows("sessions"),
  attemptKey: (session, text) => personal.lookup(session, "login_attempts.key", text),
  erase: (tx, id) => personal.erase(tx, id),
});

/** Accounts from before they were sealed. */
export const clearAccounts: ClearTable = {
  table: "accounts",
  subject: "id",
  value: "jsonb_build_object('email', email, 'displayName', display_name)",
  cleared: "email = null, display_name = ''",
  lookup: { field: "email", column: "email_lookup", name: emailName },
};
