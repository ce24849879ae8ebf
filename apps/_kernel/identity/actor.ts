import type { CallerName } from "../topology";

/** Roles a user can have. */
export type Role = "customer" | "staff" | "admin";

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

/** Whether the actor's user has one of these roles. */
export const hasRole = (actor: Actor, roles: readonly string[]): boolean =>
  actor.user?.roles.some((role) => roles.includes(role)) ?? false;
