import { fault, invalid } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";

/** What is personal in a profile. */
export interface Person {
  email: string;
  displayName: string;
  /** E.164, or empty. */
  phone: string;
}

/** What a user tells about itself. */
export interface Profile extends Person {
  id: Id<"usr">;
  version: number;
  createdAt: Date;
  updatedAt: Date;
}

/** The fields a user wants to have changed; what is absent stays. */
export interface ProfileChanges {
  displayName?: string;
  phone?: string;
}

/** VERSION_MISMATCH: something is not at the version the change is based on. */
export const versionMismatch = (what: string, expected: number, actual: number) =>
  fault("aborted", "VERSION_MISMATCH", `The ${what} was changed meanwhile; read it again.`, {
    metadata: { expectedVersion: String(expected), version: String(actual) },
  });

/** The profile of an account at its beginning. */
export const newProfile = (account: Pick<Profile, "id" | "email" | "displayName">, now: Date): Profile => ({
  ...account,
  phone: "",
  version: 1,
  createdAt: now,
  updatedAt: now,
});

/** A name as it is stored. Fault VALIDATION when nothing is left of it or it has control characters. */
function nameOf(text: string): string {
  const name = text.normalize("NFC").trim();
  if (name !== "" && [...name].length <= 100 && !/\p{Cc}/u.test(name)) return name;
  const detail = "must be 1 to 100 characters, not only spaces and no control characters";
  throw invalid([{ pointer: "#/displayName", detail }]);
}

/**
 * The profile after the changes; the same object when they change nothing, so that a repetition has no effect.
 * Faults VERSION_MISMATCH, VALIDATION.
 */
export function changeProfile(
  profile: Profile,
  changes: ProfileChanges,
  expectedVersion: number | undefined,
  now: Date,
): Profile {
  if (expectedVersion !== undefined && expectedVersion !== profile.version) {
    throw versionMismatch("profile", expectedVersion, profile.version);
  }
  const displayName = changes.displayName === undefined ? profile.displayName : nameOf(changes.displayName);
  const phone = changes.phone ?? profile.phone;
  if (displayName === profile.displayName && phone === profile.phone) return profile;
  return { ...profile, displayName, phone, version: profile.version + 1, updatedAt: now };
}

/** The profile with the address that its account has now. */
export const withEmail = (profile: Profile, email: string, now: Date): Profile => ({
  ...{ ...profile, email },
  ...{ version: profile.version + 1, updatedAt: now },
});
