import type { TestRedisRest } from "@mall/kernel/testing/redis-rest";
import type { CertificateFolder } from "@mall/mall/certificate-folder";
import type { ClusterMall, NodeService } from "../../cluster/mall";
import type { Random } from "../../random";
import type { Form, Result } from "../proof";
import type { Tap } from "../tap";
import type { Town } from "./deeds";
import type { FrontDoor } from "./front-door";

/** What a proof of the platform works with. */
export interface PlatformContext {
  form: Form;
  /** The number for this form. */
  size(counts: Record<Form, number>): number;
  random: Random;
  /** Requests a second. */
  pace: number;
  mall: ClusterMall;
  /** What its processes know each other by; undefined where a tap stands between them. */
  certificates?: CertificateFolder;
  door: FrontDoor;
  town: Town;
  /** In front of the services that the proof has named; counts what passes. */
  tap: Tap;
  /** What registry and rate limits of this proof's mall are in, where it asked for one of its own. */
  redisRest?: TestRedisRest;
  log(line: string): void;
}

/** A claim about the mall as many processes, and the attack on it. */
export interface PlatformProof {
  id: number;
  name: string;
  /** Services whose processes stand behind the tap; to all others callers connect directly. */
  tapped?: readonly NodeService[];
  /** It needs a Redis of its own, behind Upstash's protocol as well. */
  needsRedis?: true;
  /** Throws a Violation when the claim is wrong. */
  run(context: PlatformContext): Promise<Result>;
}
