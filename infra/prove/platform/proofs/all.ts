import type { PlatformProof } from "../proof";
import { rollingRestart } from "./01-rolling-restart";
import { instanceDeath } from "./02-instance-death";
import { hangingDependency } from "./03-hanging-dependency";

/** Every proof of the platform, in order. */
export const platformProofs: readonly PlatformProof[] = [rollingRestart, instanceDeath, hangingDependency];
