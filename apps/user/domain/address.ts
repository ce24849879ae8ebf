import { fault, notFound } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import { versionMismatch } from "./profile";

/** Where something is sent, in the form in which an order takes it. */
export interface Address {
  name: string;
  line1: string;
  line2: string;
  city: string;
  region: string;
  postalCode: string;
  /** ISO 3166-1 alpha-2. */
  country: string;
}

/** An address that a user keeps. */
export interface SavedAddress {
  id: Id<"adr">;
  address: Address;
  isDefault: boolean;
  version: number;
  createdAt: Date;
  updatedAt: Date;
}

/** What a user wants to have changed; what is absent stays. */
export interface AddressChanges {
  address?: Address;
  /** Makes it the default: another one loses that by it and in no other way. */
  isDefault?: true;
}

/** Addresses that one user may keep. */
export const addressesMax = 20;

/** All addresses of one user. Whoever has any has exactly one default, before and after each change. */
export type AddressBook = readonly SavedAddress[];

const tooMany = () =>
  fault("failed_precondition", "ADDRESS_LIMIT", `A user keeps ${addressesMax} addresses at most.`);

/** A new address of the user; the first one is the default. Fault ADDRESS_LIMIT. */
export function newAddress(
  book: AddressBook,
  draft: Pick<SavedAddress, "id" | "address" | "isDefault">,
  now: Date,
): SavedAddress {
  if (book.length >= addressesMax) throw tooMany();
  const isDefault = draft.isDefault || book.length === 0;
  return { ...draft, isDefault, version: 1, createdAt: now, updatedAt: now };
}

/** One's own address. Faults ADDRESS_NOT_FOUND, VERSION_MISMATCH. */
function addressIn(book: AddressBook, id: Id<"adr">, expectedVersion: number | undefined): SavedAddress {
  const found = book.find((saved) => saved.id === id);
  if (!found) throw notFound("ADDRESS");
  if (expectedVersion !== undefined && expectedVersion !== found.version)
    throw versionMismatch("address", expectedVersion, found.version);
  return found;
}

const fields = ["name", "line1", "line2", "city", "region", "postalCode", "country"] as const;

const isSame = (one: Address, other: Address): boolean => fields.every((name) => one[name] === other[name]);

/** The address after the changes; the same object when they change nothing. Faults ADDRESS_NOT_FOUND, VERSION_MISMATCH. */
export function changeAddress(
  book: AddressBook,
  id: Id<"adr">,
  changes: AddressChanges,
  expectedVersion: number | undefined,
  now: Date,
): SavedAddress {
  const saved = addressIn(book, id, expectedVersion);
  const { address = saved.address, isDefault = saved.isDefault } = changes;
  if (isDefault === saved.isDefault && isSame(address, saved.address)) return saved;
  return { ...saved, address, isDefault, version: saved.version + 1, updatedAt: now };
}

/** Who becomes the default when an address goes; nobody unless it was. Faults ADDRESS_NOT_FOUND, VERSION_MISMATCH. */
export function heirOf(
  book: AddressBook,
  id: Id<"adr">,
  expectedVersion: number | undefined,
  now: Date,
): SavedAddress | undefined {
  const saved = addressIn(book, id, expectedVersion);
  if (!saved.isDefault) return undefined;
  const others = book.filter((other) => other !== saved);
  const newest = others.toSorted((a, b) => (a.id < b.id ? 1 : -1))[0];
  return newest && { ...newest, isDefault: true, version: newest.version + 1, updatedAt: now };
}
