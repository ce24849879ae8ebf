import type { PlatformProof } from "../proof";
import { rollingRestart } from "./01-rolling-restart";
import { instanceDeath } from "./02-instance-death";
import { hangingDependency } from "./03-hanging-dependency";
import { newCertificates } from "./04-new-certificates";
import { redisAway } from "./05-redis-away";
import { hostileClients } from "./06-hostile-clients";

/** Every proof of the platform, in order. */
export const platformProofs: readonly PlatformProof[] = [
  rollingRestart,
  instanceDeath,
  hangingDependency,
  newCertificates,
  redisAway,
  hostileClients,
];
