import type { CallerName } from "../topology";

/** Who calls: the end user or machine, the calling service, and the secrets of guest objects, each if presented and valid. */
export interface Actor {
  readonly user?: {
    readonly id: `usr_${string}`;
    readonly roles: readonly string[];
    readonly sessionId: string;
    /** Version of the account that the token knows; a role, password or status change counts it up. */
    readonly tokenVersion: number;
  };
  /** A machine, in the name of nobody; it may do what its scopes name and the roles of who made it reach. */
  readonly apiKey?: {
    readonly id: `key_${string}`;
    readonly ownerId: `usr_${string}`;
    readonly roles: readonly string[];
    readonly scopes: readonly string[];
  };
  readonly service?: CallerName;
  readonly cartSecret?: string;
  readonly orderSecret?: string;
}
