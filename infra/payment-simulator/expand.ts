import { invalidRequest } from "./api-error";
import type { Kind } from "./objects";

const kinds: readonly (readonly [prefix: string, Kind])[] = [
  ["pi_", "payment_intent"],
  ["ch_", "charge"],
  ["re_", "refund"],
  ["pm_", "payment_method"],
];
const depthMax = 4;

type Lookup = (kind: Kind, id: string) => unknown;

/** What a field refers to: the object of its id, itself if it is one, null. */
function referred(value: unknown, lookUp: Lookup): unknown {
  if (typeof value !== "string") return typeof value === "object" ? value : undefined;
  const kind = kinds.find(([prefix]) => value.startsWith(prefix))?.[1];
  return kind && lookUp(kind, value);
}

function expanded(object: unknown, steps: readonly string[], path: string, lookUp: Lookup): unknown {
  const [step, ...rest] = steps;
  if (step === undefined || object === null) return object;
  if (Array.isArray(object)) return object.map((element) => expanded(element, steps, path, lookUp));
  const value = (object as Record<string, unknown>)[step];
  const found = referred(value, lookUp);
  if (found === undefined)
    throw invalidRequest(`This property cannot be expanded (${path}).`, { param: "expand" });
  return { ...(object as object), [step]: expanded(found, rest, path, lookUp) };
}

/** Puts objects in the place of their ids, as paths such as `latest_charge` or `data.charge` ask for. */
export function expand(body: unknown, paths: readonly string[], lookUp: Lookup): unknown {
  return paths.reduce((result, path) => {
    const steps = path.split(".");
    if (steps.length > depthMax)
      throw invalidRequest(`You cannot expand more than ${depthMax} levels.`, { param: "expand" });
    return expanded(result, steps, path, lookUp);
  }, body);
}
