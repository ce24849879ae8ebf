import type { Proof } from "../proof";
import { lastUnit } from "./01-last-unit";
import { flashSale } from "./02-flash-sale";
import { doubleClick } from "./03-double-click";
import { crashSweep } from "./05-crash-sweep";

/** Every proof, in order. */
export const proofs: readonly Proof[] = [lastUnit, flashSale, doubleClick, crashSweep];
