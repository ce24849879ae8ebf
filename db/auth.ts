import { sql } from "drizzle-orm";
import {
  bigint,
  check,
  index,
  integer,
  jsonb,
  pgSchema,
  primaryKey,
  text,
  timestamp,
  uniqueIndex,
  uuid,
} from "drizzle-orm/pg-core";
import { idColumn } from "./id";
import { bytea, instant, kernelTables } from "./kernel";

export const auth = pgSchema("auth");

/** People who can sign in. */
export const accounts = auth.table(
  "accounts",
  {
    id: idColumn("usr")("id").primaryKey(),
    /** E-mail address and name, sealed with the key of the user; null in rows from before they were. */
    personal: bytea("personal"),
    /** Keyed hash of the address, normalised: see domain/email.ts of the auth service. */
    emailLookup: bytea("email_lookup").unique(),
    /** In the clear until the row is sealed, then null. */
    email: text("email"),
    /** In the clear until the row is sealed, then empty. */
    displayName: text("display_name").notNull().default(""),
    /** PHC string of argon2id: algorithm, parameters, salt and hash. */
    passwordHash: text("password_hash").notNull(),
    roles: text("roles").array().notNull(),
    /** Tokens of lower versions are stale; counted up by db/revocations.ts of the auth service. */
    tokenVersion: integer("token_version").notNull().default(1),
    createdAt: instant("created_at").notNull(),
    /** When the user showed that the address is theirs. */
    emailVerifiedAt: instant("email_verified_at"),
    /** Set when the person was forgotten: address and name are gone, no password matches. */
    erasedAt: instant("erased_at"),
    /** Set while the user may not sign in. */
    bannedAt: instant("banned_at"),
    /** A word of the operators, while the user is banned. */
    banReason: text("ban_reason"),
  },
  (t) => [
    uniqueIndex("accounts_email").on(t.email),
    index("accounts_clear").on(t.id).where(sql`${t.personal} is null`),
    check(
      "accounts_sealed",
      sql`case when ${t.personal} is null then ${t.email} is not null and ${t.emailLookup} is null else ${t.email} is null and ${t.displayName} = '' end`,
    ),
    check(
      "accounts_email_form",
      sql`${t.email} ~ '^[^@[:space:]]+@[^@[:space:]]+$' and length(${t.email}) <= 254`,
    ),
    index("accounts_admins").on(t.id).where(sql`'admin' = any(${t.roles})`),
    check("accounts_roles", sql`cardinality(${t.roles}) > 0`),
    check("accounts_ban", sql`(${t.bannedAt} is null) = (${t.banReason} is null)`),
    check("accounts_token_version", sql`${t.tokenVersion} >= 1`),
    check(
      "accounts_erased",
      sql`${t.erasedAt} is null or (length(${t.personal}) = 0 and ${t.emailLookup} is null)`,
    ),
    check("accounts_password_hash", sql`${t.passwordHash} like '$argon2id$%'`),
  ],
);

/** Sign-ins. The refresh token is derived from id and generation, so no secret is stored. */
export const sessions = auth.table(
  "sessions",
  {
    id: idColumn("ses")("id").primaryKey(),
    userId: idColumn("usr")("user_id")
      .notNull()
      .references(() => accounts.id),
    /** Number of the only refresh token that rotates the session. */
    generation: integer("generation").notNull().default(1),
    createdAt: instant("created_at").notNull(),
    expiresAt: instant("expires_at").notNull(),
    /** When the current generation replaced the one before. */
    rotatedAt: instant("rotated_at"),
    revokedAt: instant("revoked_at"),
    /** Why it ended before its time. */
    revokeReason: text("revoke_reason"),
    /** Address and device it was used from last, sealed with the key of the user; null when nothing is known of them. */
    personal: bytea("personal"),
  },
  (t) => [
    index("sessions_by_user").on(t.userId),
    index("sessions_expiry").on(t.expiresAt),
    check(
      "sessions_generation",
      sql`${t.generation} >= 1 and (${t.generation} = 1) = (${t.rotatedAt} is null)`,
    ),
    check("sessions_expiry_after_start", sql`${t.expiresAt} > ${t.createdAt}`),
    check("sessions_revoked", sql`(${t.revokedAt} is null) = (${t.revokeReason} is null)`),
  ],
);

/** Wrong passwords within a sliding window, one row an account, an address, or both: under keyed hashes. */
export const loginAttempts = auth.table(
  "login_attempts",
  {
    key: bytea("key").primaryKey(),
    /** Length of the window. */
    seconds: integer("seconds").notNull(),
    times: timestamp("times", { withTimezone: true, precision: 3, mode: "date" }).array().notNull(),
    /** Attempts whose password is being looked at. */
    pending: timestamp("pending", { withTimezone: true, precision: 3, mode: "date" })
      .array()
      .notNull()
      .default(sql`'{}'`),
    /** Of an account and an address: until when the address counts as the owner's. */
    trustedUntil: instant("trusted_until"),
    expiresAt: instant("expires_at").notNull(),
  },
  (t) => [index("login_attempts_expiry").on(t.expiresAt)],
);

/**
 * Codes that were sent by mail, one row a user and kind. A code is derived from user, kind and generation, so no secret is
 * stored; only the present generation is good, and asking again or using it counts up.
 */
export const codes = auth.table(
  "codes",
  {
    userId: idColumn("usr")("user_id")
      .notNull()
      .references(() => accounts.id),
    kind: text("kind").notNull(),
    generation: integer("generation").notNull(),
    /** The address that the account shall have, sealed with the key of the user, while a change of it is asked for. */
    personal: bytea("personal"),
    requestedAt: instant("requested_at").notNull(),
    /** Null once it was used. */
    expiresAt: instant("expires_at"),
  },
  (t) => [
    primaryKey({ columns: [t.userId, t.kind] }),
    check("codes_kind", sql`${t.kind} in ('EMAIL_VERIFICATION', 'EMAIL_CHANGE')`),
    check(
      "codes_personal",
      sql`(${t.personal} is not null) = (${t.kind} = 'EMAIL_CHANGE' and ${t.expiresAt} is not null)`,
    ),
    check("codes_generation", sql`${t.generation} >= 1`),
  ],
);

/**
 * Passwords that somebody asked to reset, one row an address, whether it has an account or not. The code is derived from
 * the id, which is that of the last request.
 */
export const passwordResets = auth.table(
  "password_resets",
  {
    id: idColumn("rst")("id").primaryKey(),
    /** Keyed hash of the address, as in accounts. */
    emailLookup: bytea("email_lookup").notNull().unique(),
    requestedAt: instant("requested_at").notNull(),
    /** Null once it was used, or the password changed otherwise. */
    expiresAt: instant("expires_at"),
    /** By when the requests so far have come at their lasting rate; then the row is deleted. */
    paidUntil: instant("paid_until").notNull(),
  },
  (t) => [index("password_resets_paid").on(t.paidUntil)],
);

/**
 * Access tokens that are refused before they expire: all of a session, or those of a user below a version. Kept until
 * the last of them has expired.
 */
export const revocations = auth.table(
  "revocations",
  {
    /** Id of the session or of the user. */
    subject: uuid("subject").primaryKey(),
    /** Of a user: the lowest token version that is still good. Null for a session. */
    belowVersion: integer("below_version"),
    recordedAt: instant("recorded_at").notNull(),
    expiresAt: instant("expires_at").notNull(),
  },
  (t) => [
    index("revocations_recorded").on(t.recordedAt),
    index("revocations_expiry").on(t.expiresAt),
    check("revocations_below_version", sql`${t.belowVersion} > 1`),
  ],
);

/** Every revision of the settings; the newest is in force. Append-only. */
export const configRevisions = auth.table(
  "config_revisions",
  {
    revision: integer("revision").primaryKey(),
    at: instant("at").notNull(),
    /** Id of a user or key, or what kind of actor it was. */
    author: text("author").notNull(),
    /** What the change set, by key; null for what it took away. */
    changes: jsonb("changes").$type<Record<string, string | null>>().notNull(),
    /** Everything that is set since. */
    values: jsonb("values").$type<Record<string, string>>().notNull(),
  },
  (t) => [check("config_revisions_revision", sql`${t.revision} >= 1`)],
);

/** One row that every change of the policy locks and counts up. */
export const policyRevision = auth.table(
  "policy_revision",
  {
    id: integer("id").primaryKey().default(1),
    revision: bigint("revision", { mode: "bigint" }).notNull(),
  },
  (t) => [check("policy_revision_single", sql`${t.id} = 1`)],
);

/** Every change of the policy. */
export const policyRevisions = auth.table("policy_revisions", {
  revision: bigint("revision", { mode: "bigint" }).primaryKey(),
  at: instant("at").notNull(),
  /** Id of a user or key, or what kind of actor it was. */
  author: text("author").notNull(),
  /** What was done, and to which role, rule or user. */
  action: text("action").notNull(),
  subject: text("subject").notNull(),
  /** Roles and rules since; null where they stayed as they were. */
  roles: jsonb("roles"),
  rules: jsonb("rules"),
});

/** Roles that operators defined. */
export const roles = auth.table(
  "roles",
  {
    name: text("name").primaryKey(),
    description: text("description").notNull(),
    permissions: text("permissions").array().notNull(),
    changedAt: instant("changed_at").notNull(),
  },
  (t) => [check("roles_name", sql`${t.name} not in ('customer', 'staff', 'admin')`)],
);

/** Rules about operations. */
export const accessRules = auth.table(
  "access_rules",
  {
    name: text("name").primaryKey(),
    effect: text("effect").notNull(),
    pattern: text("pattern").notNull(),
    /** Whom it is about; everyone when empty. */
    roles: text("roles").array().notNull(),
    changedAt: instant("changed_at").notNull(),
  },
  (t) => [
    check("access_rules_effect", sql`${t.effect} in ('DENY', 'ALLOW', 'OPEN')`),
    check("access_rules_open", sql`${t.effect} <> 'OPEN' or cardinality(${t.roles}) = 0`),
  ],
);

/** Users whom every service refuses. */
export const blockedUsers = auth.table("blocked_users", {
  userId: idColumn("usr")("user_id").primaryKey(),
  blockedAt: instant("blocked_at").notNull(),
});

/** Keys of machines. A secret has 256 random bits, so its plain digest tells nothing about it. */
export const apiKeys = auth.table(
  "api_keys",
  {
    id: idColumn("key")("id").primaryKey(),
    userId: idColumn("usr")("user_id")
      .notNull()
      .references(() => accounts.id),
    name: text("name").notNull(),
    /** The part of the key by which it is found and shown. */
    prefix: text("prefix").notNull().unique(),
    scopes: text("scopes").array().notNull(),
    /** SHA-256 of the secret. */
    secretHash: bytea("secret_hash").notNull(),
    /** That of the secret before, and until when it is still good. */
    previousHash: bytea("previous_hash"),
    previousUntil: instant("previous_until"),
    createdAt: instant("created_at").notNull(),
    expiresAt: instant("expires_at").notNull(),
    lastUsedAt: instant("last_used_at"),
    revokedAt: instant("revoked_at"),
  },
  (t) => [
    index("api_keys_by_user").on(t.userId, t.id),
    check("api_keys_scopes", sql`cardinality(${t.scopes}) > 0`),
    check("api_keys_previous", sql`(${t.previousHash} is null) = (${t.previousUntil} is null)`),
  ],
);

/** Public half of a signing key, as /.well-known/jwks.json shows it. */
export interface PublicKeyRow {
  kty: string;
  crv: string;
  x: string;
}

/** Keys that sign access tokens. The unique generation lets only one of several processes make the next key. */
export const signingKeys = auth.table(
  "signing_keys",
  {
    kid: text("kid").primaryKey(),
    generation: integer("generation").notNull().unique(),
    publicJwk: jsonb("public_jwk").$type<PublicKeyRow>().notNull(),
    /** Private half, sealed with the master key and bound to the kid. */
    sealedPrivateKey: bytea("sealed_private_key").notNull(),
    createdAt: instant("created_at").notNull(),
    /** From when on it signs; null for since it was made. It is published before, so that everybody knows it by then. */
    activatesAt: instant("activates_at"),
    /** From when on it signs nothing, which may be in the future; it stays published while tokens signed by it can be valid. */
    retiredAt: instant("retired_at"),
  },
  (t) => [check("signing_keys_generation", sql`${t.generation} >= 1`)],
);

export const {
  dataKeys,
  outbox,
  inbox,
  deadLetters,
  idempotency,
  auditEvents,
  auditPending,
  auditSeals,
  auditHeads,
} = kernelTables(auth);
