import { invalidRequest, missing } from "./api-error";
import type { Form } from "./form";
import type { Kind, Kinds } from "./objects";
import { type Operation, ok } from "./operation";
import { groupOf, listOf, positiveOf, refuseUnknown, textOf } from "./parameters";

const limitMax = 100;
const limitDefault = 10;

/** How many of a list are asked for. */
export function limitOf(form: Form): number {
  const limit = positiveOf(form, "limit") ?? limitDefault;
  if (limit > limitMax)
    throw invalidRequest(`Invalid limit: must be at most ${limitMax}`, { param: "limit" });
  return limit;
}

/** Whether a time lies within what `created` asks for: a second, or gt, gte, lt and lte. */
function createdFilter(form: Form): (created: number) => boolean {
  if (typeof form.created === "string") {
    const second = positiveOf(form, "created");
    return (created) => second === undefined || created === second;
  }
  const range = groupOf(form, "created") ?? {};
  refuseUnknown(range, ["gt", "gte", "lt", "lte"], "created");
  const [gt, gte, lt, lte] = ["gt", "gte", "lt", "lte"].map((name) => positiveOf(range, name));
  return (created) =>
    created > (gt ?? -1) &&
    created >= (gte ?? 0) &&
    created < (lt ?? Number.POSITIVE_INFINITY) &&
    created <= (lte ?? Number.POSITIVE_INFINITY);
}

/** A page of a list whose newest element is first, from behind `starting_after` or before `ending_before`. */
function pageOf<T extends { id: string }>(
  all: readonly T[],
  form: Form,
  kind: Kind,
): { data: T[]; has_more: boolean } {
  const limit = limitOf(form);
  const after = textOf(form, "starting_after");
  const before = textOf(form, "ending_before");
  const placeOf = (id: string, param: string) => {
    const place = all.findIndex((object) => object.id === id);
    if (place < 0) throw missing(kind, id, param);
    return place;
  };
  if (before !== undefined) {
    const end = placeOf(before, "ending_before");
    return { data: all.slice(Math.max(0, end - limit), end), has_more: end > limit };
  }
  const start = after === undefined ? 0 : placeOf(after, "starting_after") + 1;
  return { data: all.slice(start, start + limit), has_more: all.length > start + limit };
}

/** Lists one kind of object, newest first. `matches` reads the filters of its own, which `filters` names. */
export function listing<K extends Kind>(
  kind: K,
  url: string,
  filters: readonly string[],
  matches: (form: Form) => (object: Kinds[K]) => boolean,
): Operation {
  return (form) => {
    refuseUnknown(form, ["limit", "starting_after", "ending_before", "created", ...filters]);
    const isAsked = matches(form);
    const isWhen = createdFilter(form);
    limitOf(form);
    return (draft) => {
      const all = draft.list(kind).filter((object) => isWhen(object.created) && isAsked(object));
      return ok({ object: "list", url, ...pageOf(all, form, kind) });
    };
  };
}

/** Reads one object. */
export const retrieval =
  (kind: Kind): Operation =>
  (form, id) => {
    refuseUnknown(form, ["client_secret"]);
    return (draft) => {
      const object = draft.get(kind, id);
      if (!object) throw missing(kind, id);
      return ok(object);
    };
  };

/** Refunds or charges, of one intent or charge if asked. */
export const ofPayment =
  (form: Form) =>
  (object: { charge?: string; payment_intent: string }): boolean => {
    const intent = textOf(form, "payment_intent");
    const charge = textOf(form, "charge");
    return (
      (intent === undefined || object.payment_intent === intent) &&
      (charge === undefined || object.charge === charge)
    );
  };

/** Events, of one type or several if asked; `payment_intent.*` stands for all that begin so. */
export function ofType(form: Form): (event: Kinds["event"]) => boolean {
  const types = [textOf(form, "type"), ...listOf(form, "types")].filter((type) => type !== undefined);
  const begins = (type: string, asked: string) =>
    asked.endsWith("*") ? type.startsWith(asked.slice(0, -1)) : type === asked;
  return ({ type }) => types.length === 0 || types.some((asked) => begins(type, asked));
}
