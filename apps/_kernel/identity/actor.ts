import type { CallerName } from "../topology";

/** Who calls: the end user, the calling service, and the secrets of guest objects, each if presented and valid. */
export interface Actor {
  readonly user?: {
    readonly id: `usr_${string}`;
    readonly roles: readonly string[];
    readonly sessionId: string;
    /** Version of the account that the token knows; a role, password or status change counts it up. */
    readonly tokenVersion: number;
  };
  readonly service?: CallerName;
  readonly cartSecret?: string;
  readonly orderSecret?: string;
}
