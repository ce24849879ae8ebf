import { type DescField, getOption } from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import {
  BoolRulesSchema,
  EnumRulesSchema,
  type FieldRules,
  FieldRulesSchema,
  field as fieldRules,
  Ignore,
  Int32RulesSchema,
  RepeatedRulesSchema,
  StringRulesSchema,
} from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import { z } from "@hono/zod-openapi";

/** Rules of one kind: the name of the rule in validate.proto → what it adds to a schema. */
type RuleTable<S> = Record<string, (schema: S, value: never) => z.ZodType>;

const stringRules: RuleTable<z.ZodString> = {
  min_len: (schema, length: bigint) => schema.min(Number(length)),
  max_len: (schema, length: bigint) => schema.max(Number(length)),
  // JSON Schema counts characters, and each has at least one byte
  max_bytes: (schema, length: bigint) => schema.max(Number(length)),
  pattern: (schema, pattern: string) => schema.regex(new RegExp(pattern)),
  email: (schema) => schema.email(),
  in: (_schema, values: Iterable<string>) => z.enum([...values]),
};

const int32Rules: RuleTable<z.ZodInt> = {
  gte: (schema, limit: number) => schema.gte(limit),
  gt: (schema, limit: number) => schema.gt(limit),
  lte: (schema, limit: number) => schema.lte(limit),
  lt: (schema, limit: number) => schema.lt(limit),
  not_in: (schema, values: Iterable<number>) => schema.openapi({ not: { enum: [...values] } }),
};

const boolRules: RuleTable<z.ZodType> = {
  const: (_schema, value: boolean) => z.literal(value),
};

const enumRules: RuleTable<z.ZodType> = {
  // the schema of an enum lists the defined names
  defined_only: (schema) => schema,
};

const repeatedRules: RuleTable<z.ZodArray> = {
  min_items: (schema, count: bigint) => schema.min(Number(count)),
  max_items: (schema, count: bigint) => schema.max(Number(count)),
  unique: (schema) => schema.openapi({ uniqueItems: true }),
  // on the element's schema already
  items: (schema) => schema,
};

const tables = {
  string: [StringRulesSchema, stringRules],
  int32: [Int32RulesSchema, int32Rules],
  bool: [BoolRulesSchema, boolRules],
  enum: [EnumRulesSchema, enumRules],
  repeated: [RepeatedRulesSchema, repeatedRules],
} as const;

/** Rules that say when the others hold; `required` is found by asking the validator. */
const handledElsewhere = new Set(["required", "ignore"]);

/** The rules on a field. */
export const rulesOf = (field: DescField): FieldRules => getOption(field, fieldRules);

/** The rules on each element of a repeated field. */
export const itemRulesOf = (field: DescField): FieldRules | undefined => {
  const { type } = rulesOf(field);
  return type.case === "repeated" ? type.value.items : undefined;
};

/**
 * Adds what buf.validate asks of a field to its schema. Throws on a rule it does not know, so that the
 * documents never promise less than the validator demands.
 */
export function withRules(schema: z.ZodType, rules: FieldRules | undefined, where: string): z.ZodType {
  if (!rules) return schema;
  const unknown = (name: string) =>
    new Error(`${where}: the rule ${name} has no OpenAPI form yet (infra/openapi/rules.ts)`);
  const reflected = reflect(FieldRulesSchema, rules);
  for (const { name, oneof } of reflected.fields.filter((f) => reflected.isSet(f))) {
    if (!handledElsewhere.has(name) && oneof?.name !== "type") throw unknown(name);
  }
  const kind = rules.type.case;
  if (kind === undefined) return schema;
  const [desc, table] = tables[kind as keyof typeof tables] ?? [];
  if (!desc) throw unknown(kind);
  const values = reflect(desc, rules.type.value as never);
  let ruled = schema;
  for (const rule of values.fields.filter((f) => values.isSet(f))) {
    const add = (table as RuleTable<z.ZodType>)[rule.name];
    if (!add) throw unknown(`${kind}.${rule.name}`);
    ruled = add(ruled, values.get(rule) as never);
  }
  const mayBeEmpty = rules.ignore === Ignore.IF_ZERO_VALUE && kind === "string";
  return mayBeEmpty ? z.union([ruled, z.literal("")]) : ruled;
}
