import { type Id, type IdPrefix, idOf, uuidOf } from "@mall/kernel/id";
import { customType } from "drizzle-orm/pg-core";

/** A `uuid` column that reads and writes typed ids of one prefix. */
export const idColumn = <P extends IdPrefix>(prefix: P) =>
  customType<{ data: Id<P>; driverData: string }>({
    dataType: () => "uuid",
    toDriver: (id) => uuidOf(id),
    fromDriver: (value) => idOf(prefix, value),
  });
