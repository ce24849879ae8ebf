import { type DescMethod, getOption, hasOption } from "@bufbuild/protobuf";
import { Access, Idempotency, policy } from "@mall/gen/mall/common/v1/options_pb";

/** What the contract lets a client do with a call. */
export interface CallRules {
  /** Whether the same request may be sent again: always, with its Idempotency-Key only, or not at all. */
  repeat: "freely" | "with-key" | "never";
  /** Whether it is served without signing in. */
  isPublic: boolean;
}

const repeats: Partial<Record<Idempotency, CallRules["repeat"]>> = {
  [Idempotency.SAFE]: "freely",
  [Idempotency.IDEMPOTENT]: "freely",
  [Idempotency.KEY_REQUIRED]: "with-key",
};

/** The rules of an RPC, from its `(mall.common.v1.policy)`; without one nothing is taken for granted. */
export function rulesOf(method: DescMethod): CallRules {
  if (!hasOption(method, policy)) return { repeat: "never", isPublic: false };
  const { idempotency, access } = getOption(method, policy);
  return { repeat: repeats[idempotency] ?? "never", isPublic: access === Access.PUBLIC };
}
