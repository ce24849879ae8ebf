import { fault, invalid } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import { normalEmail } from "./email";

/** What is personal in an account. */
export interface Person {
  /** Normalised. */
  email: string;
  displayName: string;
}

/** A person who can sign in. */
export interface Account extends Person {
  id: Id<"usr">;
  /** Built-in ones, and those that operators defined. */
  roles: string[];
  /** Goes up with each change that makes older access tokens stale. */
  tokenVersion: number;
  createdAt: Date;
  /** When the user showed that the address is theirs. */
  emailVerifiedAt?: Date;
}

const nameLengthMax = 100;

/** The normalised form of an address that somebody registers. Fault VALIDATION when it is none. */
export function registrableEmail(text: string): string {
  const email = normalEmail(text);
  if (email) return email;
  throw invalid([{ pointer: "#/email", detail: "must be an e-mail address" }]);
}

/** The name of a new account: as given, else what stands before the @. Fault VALIDATION for control characters. */
export function displayNameOf(given: string, email: string): string {
  const name = given.normalize("NFC").trim();
  if (/\p{Cc}/u.test(name))
    throw invalid([{ pointer: "#/displayName", detail: "must not contain control characters" }]);
  const chosen = name || email.slice(0, email.lastIndexOf("@"));
  return [...chosen].slice(0, nameLengthMax).join("");
}

/** REGISTRATION_CLOSED: the operators take no new accounts at the moment. */
export const registrationClosed = () =>
  fault("failed_precondition", "REGISTRATION_CLOSED", "No new accounts can be made at the moment.");

/** EMAIL_TAKEN: the address has an account already. */
export const emailTaken = () =>
  fault("already_exists", "EMAIL_TAKEN", "This e-mail address has an account already.");

/** INVALID_CREDENTIALS: the same for an unknown account and a wrong password. */
export const invalidCredentials = () =>
  fault("unauthenticated", "INVALID_CREDENTIALS", "The e-mail address or the password is wrong.");
