import type { Kernel } from "@mall/kernel/app";

/** What the order service needs. */
export type Deps = Pick<Kernel, "db" | "clock" | "announce" | "secrets">;
