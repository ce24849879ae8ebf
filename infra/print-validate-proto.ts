/**
 * Prints buf/validate/validate.proto from the descriptor inside @bufbuild/protovalidate, because the text is on
 * no package registry that npm reaches. Rerun after upgrading that package:
 *
 *   bun infra/print-validate-proto.ts > proto/third_party/buf/validate/validate.proto
 *
 * Comments and the CEL of the predefined rules are left out: buf only compiles against it, and the runtime reads
 * the library's own descriptor.
 */
import type { DescEnum, DescExtension, DescField, DescMessage } from "@bufbuild/protobuf";
import { ScalarType } from "@bufbuild/protobuf";
import { file_buf_validate_validate as file } from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";

const indent = (text: string) => text.replace(/^(?=.)/gm, "  ");

function typeName(field: DescField | DescExtension): string {
  if (field.message) return `.${field.message.typeName}`;
  if (field.enum) return `.${field.enum.typeName}`;
  return ScalarType[field.scalar!]!.toLowerCase();
}

function printField(field: DescField | DescExtension, inOneof = false): string {
  if (field.fieldKind === "map") throw new Error(`map field ${field.name} is not expected here`);
  const label = inOneof ? "" : field.fieldKind === "list" ? "repeated " : "optional ";
  return `${label}${typeName(field)} ${field.name} = ${field.number};\n`;
}

function printEnum(desc: DescEnum): string {
  return `enum ${desc.name} {\n${desc.values.map((v) => `  ${v.name} = ${v.number};\n`).join("")}}\n`;
}

function printMessage(desc: DescMessage): string {
  const parts = [...desc.nestedEnums.map(printEnum), ...desc.nestedMessages.map(printMessage)];
  for (const member of desc.members) {
    if (member.kind === "oneof") {
      parts.push(
        `oneof ${member.name} {\n${indent(member.fields.map((f) => printField(f, true)).join(""))}}\n`,
      );
    } else parts.push(printField(member));
  }
  const ranges = desc.proto.extensionRange.map(
    (r) => `extensions ${r.start} to ${r.end! >= 536870912 ? "max" : r.end! - 1};\n`,
  );
  return `message ${desc.name} {\n${indent([...parts, ...ranges].join(""))}}\n`;
}

const extensions = file.extensions.map(
  (e) => `extend .${e.extendee.typeName} {\n${indent(printField(e))}}\n`,
);
console.log(
  [
    "// Printed by infra/print-validate-proto.ts from @bufbuild/protovalidate (Apache-2.0, Buf Technologies, Inc.).",
    'syntax = "proto2";\n',
    "package buf.validate;\n",
    ...file.proto.dependency.map((path) => `import "${path}";`),
    "",
    ...file.enums.map(printEnum),
    ...file.messages.map(printMessage),
    ...extensions,
  ].join("\n"),
);
