import type { DescEnum, DescEnumValue, DescField, DescFile, DescMessage } from "@bufbuild/protobuf";
import { createFileRegistry, type DescMethod, type DescService, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { httpRuleOf } from "@mall/kernel/rpc/http-rule";

type Described = DescMessage | DescField | DescEnum | DescEnumValue | DescService | DescMethod;

const root = new URL("../..", import.meta.url).pathname;

/** The proto services of the mall as `buf build` sees them: unlike generated code, with their comments. */
export async function readContract(): Promise<DescService[]> {
  const buf = Bun.spawn([`${root}/node_modules/.bin/buf`, "build", "-o", "-"], {
    cwd: root,
    stderr: "inherit",
  });
  const image = new Uint8Array(await new Response(buf.stdout).arrayBuffer());
  if ((await buf.exited) !== 0) throw new Error("buf cannot build the contract");
  const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, image));
  return [...registry]
    .filter((desc) => desc.kind === "service")
    .filter((s) => s.typeName.startsWith("mall."));
}

/** The methods of services that have a REST route. */
export const restMethods = (services: readonly DescService[]): DescMethod[] =>
  services.flatMap((service) => service.methods.filter((method) => httpRuleOf(method)));

/** Where a descriptor is in its file, in the numbers of descriptor.proto. */
function pathOf(desc: Described): number[] {
  switch (desc.kind) {
    case "message":
      return desc.parent
        ? [...pathOf(desc.parent), 3, desc.parent.proto.nestedType.indexOf(desc.proto)]
        : [4, desc.file.proto.messageType.indexOf(desc.proto)];
    case "enum":
      return desc.parent
        ? [...pathOf(desc.parent), 4, desc.parent.proto.enumType.indexOf(desc.proto)]
        : [5, desc.file.proto.enumType.indexOf(desc.proto)];
    case "service":
      return [6, desc.file.proto.service.indexOf(desc.proto)];
    case "field":
      return [...pathOf(desc.parent), 2, desc.parent.proto.field.indexOf(desc.proto)];
    case "enum_value":
      return [...pathOf(desc.parent), 2, desc.parent.proto.value.indexOf(desc.proto)];
    case "rpc":
      return [...pathOf(desc.parent), 2, desc.parent.proto.method.indexOf(desc.proto)];
  }
}

const comments = new WeakMap<DescFile, Map<string, string>>();

function commentsOf(file: DescFile): Map<string, string> {
  const known = comments.get(file);
  if (known) return known;
  const locations = file.proto.sourceCodeInfo?.location ?? [];
  const found = new Map(locations.map((location) => [location.path.join("."), location.leadingComments]));
  comments.set(file, found);
  return found;
}

/** The comment above a declaration as one paragraph; empty when there is none. */
export function commentOf(desc: Described): string {
  const file = "file" in desc ? desc.file : desc.parent.file;
  const text = commentsOf(file).get(pathOf(desc).join(".")) ?? "";
  return text.replaceAll(/\s+/g, " ").trim();
}

/** The first sentence of a comment, without its full stop. */
export const summaryOf = (comment: string): string => comment.split(/\.(?= [A-Z]|$)/)[0]!;
