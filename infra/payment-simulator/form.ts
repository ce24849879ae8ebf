/** A value of a form: text, or what its brackets hold. */
export type FormValue = string | Form;
/** A form-encoded body as a tree: `metadata[a]=1` is { metadata: { a: "1" } }, lists have their indices as names. */
export interface Form {
  [name: string]: FormValue;
}

const depthMax = 6;

/** Steps of a name: `a[b][]` is a, b and the next free index. */
function stepsOf(name: string): string[] {
  const [head = ""] = /^[^[]*/.exec(name)!;
  const steps = [...name.slice(head.length).matchAll(/\[([^\]]*)\]/g)].map(([, step]) => step!);
  return [head, ...steps].slice(0, depthMax);
}

function put(form: Form, [step = "", ...rest]: string[], value: string): void {
  const name = step === "" ? String(Object.keys(form).length) : step;
  if (rest.length === 0) {
    form[name] = value;
    return;
  }
  const inner = form[name];
  const next: Form = typeof inner === "object" ? inner : Object.create(null);
  form[name] = next;
  put(next, rest, value);
}

/** Reads what the library writes into bodies and query strings. */
export function parseForm(text: string): Form {
  const form: Form = Object.create(null);
  for (const [name, value] of new URLSearchParams(text)) put(form, stepsOf(name), value);
  return form;
}

/** The same text for the same parameters, in whatever order they came. */
export function canonical(value: FormValue): string {
  if (typeof value === "string") return JSON.stringify(value);
  const fields = Object.keys(value).sort();
  return `{${fields.map((name) => `${JSON.stringify(name)}:${canonical(value[name]!)}`).join(",")}}`;
}
