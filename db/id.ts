import { customType } from "drizzle-orm/pg-core";
import { type Id, type IdPrefix, idOf, isId, uuidOf } from "@mall/kernel/id";

/** A `uuid` column that reads and writes typed ids of one prefix. */
export const idColumn = <P extends IdPrefix>(prefix: P) =>
  customType<{ data: Id<P>; driverData: string }>({
    dataType: () => "uuid",
    toDriver: (id) => (isId(id) ? uuidOf(id) : id),
    fromDriver: (value) => idOf(prefix, value),
  });
