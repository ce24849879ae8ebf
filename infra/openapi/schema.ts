import {
  create,
  type DescEnum,
  type DescField,
  type DescMessage,
  type DescMethod,
  ScalarType,
} from "@bufbuild/protobuf";
import { FeatureSet_FieldPresence } from "@bufbuild/protobuf/wkt";
import { z } from "@hono/zod-openapi";
import { violationsOf } from "@mall/kernel/rpc/validate";
import { commentOf } from "./contract";
import { fieldExamples } from "./examples";
import { itemRulesOf, rulesOf, withRules } from "./rules";

/** Requests are closed and carry the rules; responses are open, so that clients tolerate additions. */
type Direction = "request" | "response";

type Type = DescMessage | DescEnum;

const timestamp = "google.protobuf.Timestamp";

const described = <S extends z.ZodType>(schema: S, text: string, example?: string): S =>
  text === "" ? schema : schema.openapi({ description: text, ...(example && { example }) });

/** All messages and enums that a message leads to, itself among them. */
function typesFrom(desc: DescMessage, found = new Set<Type>()): Set<Type> {
  if (desc.typeName === timestamp || found.has(desc)) return found;
  found.add(desc);
  for (const field of desc.fields) {
    if (field.enum) found.add(field.enum);
    if (field.message) typesFrom(field.message, found);
  }
  return found;
}

/** "mall.cart.v1.Cart" → "Cart"; "CartCart" for one of several with the same name in different packages. */
export function componentNames(typeNames: readonly string[]): Map<string, string> {
  const parts = [...new Set(typeNames)].map((typeName) => {
    const [, service, , ...name] = typeName.split(".");
    return { typeName, service: service!, short: name.join("") };
  });
  const isShared = (short: string) => parts.filter((part) => part.short === short).length > 1;
  const prefix = (service: string) => service.charAt(0).toUpperCase() + service.slice(1);
  const names = new Map<string, string>();
  for (const { typeName, service, short } of parts) {
    const name = isShared(short) ? prefix(service) + short : short;
    if ([...names.values()].includes(name))
      throw new Error(`two types of the contract would be called ${name}`);
    names.set(typeName, name);
  }
  return names;
}

/** Names of the fields that an empty message is refused for, by the validator's own judgement. */
function demandedFields(desc: DescMessage): Set<string> {
  return new Set(violationsOf(desc, create(desc)).map((v) => v.pointer?.split("/")[1] ?? ""));
}

function scalarSchema(field: DescField): z.ZodType {
  switch (field.scalar) {
    case ScalarType.STRING:
      return z.string();
    case ScalarType.BOOL:
      return z.boolean();
    case ScalarType.INT32:
      return z.int().openapi({ format: "int32" });
    case ScalarType.INT64:
      return z.string().regex(/^-?[0-9]+$/);
    default:
      throw new Error(
        `${field.parent.typeName}.${field.name}: its type has no OpenAPI form yet (infra/openapi/schema.ts)`,
      );
  }
}

function enumSchema(desc: DescEnum, name: string): z.ZodType {
  const list = desc.values.map(
    (value) => `- \`${value.name}\`${commentOf(value) && `: ${commentOf(value)}`}`,
  );
  const names = desc.values.map((value) => value.name);
  return described(
    z.enum(names).openapi(name),
    [commentOf(desc), list.join("\n")].filter(Boolean).join("\n\n"),
  );
}

/** Gives the component of a message or an enum. */
type Use = (type: Type, direction: Direction) => z.ZodType;

function elementSchema(field: DescField, direction: Direction, use: Use): z.ZodType {
  if (field.enum) return use(field.enum, direction);
  if (!field.message) return scalarSchema(field);
  const isTime = field.message.typeName === timestamp;
  return isTime ? z.string().openapi({ format: "date-time" }) : use(field.message, direction);
}

function fieldSchema(field: DescField, direction: Direction, use: Use): z.ZodType {
  const where = `${field.parent.typeName}.${field.name}`;
  const rules = direction === "request" ? rulesOf(field) : undefined;
  const element = elementSchema(field, direction, use);
  if (field.fieldKind === "map") return withRules(z.record(z.string(), element), rules, where);
  if (field.fieldKind !== "list") return withRules(element, rules, where);
  const items = direction === "request" ? withRules(element, itemRulesOf(field), where) : element;
  return withRules(z.array(items), rules, where);
}

/** Schemas of some fields of a message, by their JSON names. */
function shapeOf(desc: DescMessage, direction: Direction, fields: readonly DescField[], use: Use) {
  const demanded = direction === "request" ? demandedFields(desc) : undefined;
  const isRequired = (field: DescField) =>
    demanded ? demanded.has(field.jsonName) : field.presence === FeatureSet_FieldPresence.IMPLICIT;
  const entries = fields.map((field) => {
    const schema = fieldSchema(field, direction, use);
    const example = fieldExamples[`${desc.typeName}.${field.name}`];
    return [
      field.jsonName,
      described(isRequired(field) ? schema : schema.optional(), commentOf(field), example),
    ] as const;
  });
  return Object.fromEntries(entries);
}

const fitsParameter = (field: DescField) =>
  field.fieldKind !== "list" &&
  field.fieldKind !== "map" &&
  (!field.message || field.message.typeName === timestamp);

/** The zod schemas of a contract's messages in their JSON form, each the OpenAPI component of its name. */
export interface Schemas {
  /** The body of a method: its request without the fields that are elsewhere. */
  body(method: DescMethod, elsewhere: readonly DescField[]): z.ZodObject;
  /** The parameters that carry these fields; undefined without any. */
  parameters(method: DescMethod, fields: readonly DescField[]): z.ZodObject | undefined;
  response(desc: DescMessage): z.ZodType;
}

/** Schemas for the requests and responses of these methods. Throws on what has no OpenAPI form yet. */
export function createSchemas(methods: readonly DescMethod[]): Schemas {
  const answered = new Set(methods.flatMap((method) => [...typesFrom(method.output)]));
  const asked = new Set(methods.flatMap((method) => [...typesFrom(method.input)]));
  const names = componentNames([...answered, ...asked].map((type) => type.typeName));
  const components = new Map<string, z.ZodType>();

  /** A message that is sent both ways has another component for requests. */
  function nameOf(type: Type, direction: Direction): string {
    const name = names.get(type.typeName)!;
    return direction === "request" && type.kind === "message" && answered.has(type) ? `${name}Input` : name;
  }

  function component(type: Type, direction: Direction): z.ZodType {
    const name = nameOf(type, direction);
    const known = components.get(name);
    if (known) return known;
    const made = type.kind === "enum" ? enumSchema(type, name) : messageSchema(type, direction, type.fields);
    components.set(name, made);
    return made;
  }

  // lazy: so a type may contain itself, and the text of a use does not end up in the component
  const use: Use = (type, direction) => z.lazy(() => component(type, direction));

  function messageSchema(desc: DescMessage, direction: Direction, fields: readonly DescField[]): z.ZodObject {
    const shape = shapeOf(desc, direction, fields, use);
    const schema = direction === "request" ? z.strictObject(shape) : z.object(shape);
    return described(schema.openapi(nameOf(desc, direction)), commentOf(desc));
  }

  return {
    body({ input }, elsewhere) {
      const fields = input.fields.filter((field) => !elsewhere.includes(field));
      return messageSchema(input, "request", fields);
    },
    parameters({ input }, fields) {
      const bulky = fields.find((field) => !fitsParameter(field));
      if (bulky) throw new Error(`${input.typeName}.${bulky.name} does not fit into a parameter`);
      return fields.length > 0 ? z.object(shapeOf(input, "request", fields, use)) : undefined;
    },
    response: (desc) => component(desc, "response"),
  };
}
