import type { RateClass } from "@mall/gen/mall/common/v1/options_pb";
import table from "@mall/gen/routes.json";
import type { ServiceName } from "@mall/kernel/topology";

/** A rate limit class by the name that the contract gives it. */
export type RateClassName = keyof typeof RateClass;

/** One public RPC: where it lives and how it is reached. */
export interface Route {
  service: ServiceName;
  /** Connect, gRPC-Web and gRPC path. */
  rpcPath: string;
  /** REST form, if it has one. */
  rest?: { verb: string; pattern: string };
  bodyBytesMax: number;
  /** The contract says that a repetition has no further effect. */
  isRepeatable: boolean;
  /** It answers everybody alike. */
  isPublicRead: boolean;
  rateClass: RateClassName;
}

/**
 * The route table of the gateway, made by `bun run gen` from the contract. At run time the gateway knows no descriptors: they
 * would be a third of its Worker.
 */
export const routes = table as readonly Route[];
