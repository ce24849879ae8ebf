import type { Proof } from "../proof";
import { lastUnit } from "./01-last-unit";
import { doubleClick } from "./03-double-click";

/** Every proof, in order. */
export const proofs: readonly Proof[] = [lastUnit, doubleClick];
