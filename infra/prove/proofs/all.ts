import type { Proof } from "../proof";
import { lastUnit } from "./01-last-unit";
import { flashSale } from "./02-flash-sale";
import { doubleClick } from "./03-double-click";
import { unknownOutcome } from "./04-unknown-outcome";
import { crashSweep } from "./05-crash-sweep";
import { money } from "./06-money";
import { payOrCancel } from "./07-pay-or-cancel";
import { queueChaos } from "./08-queue-chaos";
import { carts } from "./09-carts";
import { nemesis } from "./10-nemesis";

/** Every proof, in order. */
export const proofs: readonly Proof[] = [
  lastUnit,
  flashSale,
  doubleClick,
  unknownOutcome,
  crashSweep,
  money,
  payOrCancel,
  queueChaos,
  carts,
  nemesis,
];
