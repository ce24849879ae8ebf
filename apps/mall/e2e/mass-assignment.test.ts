import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type ClientHttp2Session, connect as connectHttp2 } from "node:http2";
import { create, type DescMethod, type JsonObject, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { contract } from "@mall/gateway/contract";
import { routes } from "@mall/gateway/routes";
import { RegisterRequestSchema } from "@mall/gen/mall/auth/v1/auth_pb";
import { httpRuleOf } from "@mall/kernel/rpc/http-rule";
import { newUserWith } from "./command";
import { host, hostKind } from "./host";
import { connect, newKey, type Options, type Problem, rest } from "./shop";

/** Fields that nobody may set, by the names that the answers and the tables have for them. */
const smuggled = [
  ...["role", "roles", "userId", "user_id", "status", "paid", "price", "total", "state"],
  ...["tokenVersion", "emailVerified", "isAdmin", "constructor", "__proto__"],
];

const isPublic = new Set(routes.map(({ rpcPath }) => rpcPath));
const methods = contract
  .flatMap((service): readonly DescMethod[] => service.methods)
  .filter((method) => isPublic.has(`/${method.parent.typeName}/${method.name}`));

/** Smuggled fields that a method has no field of: some of them, others for the next method, but all on one process. */
function foreign(method: DescMethod, most = hostKind === "one" ? smuggled.length : 3): string[] {
  const known = new Set(method.input.fields.flatMap((field) => [field.name, field.jsonName]));
  const names = smuggled.filter((name) => !known.has(name));
  const first = methods.indexOf(method) % names.length;
  return [...names.slice(first), ...names.slice(0, first)].slice(0, most);
}

const bodyWith = (name: string): string => `{${JSON.stringify(name)}: "admin"}`;

let everything: Options;
let session: ClientHttp2Session | undefined;
beforeAll(async () => {
  const { grpc } = await host();
  everything = await newUserWith("customer", "staff", "admin");
  if (grpc) session = connectHttp2(`http://${grpc}`);
});
afterAll(() => session?.close());

const keyed = () => ({ ...everything, key: newKey() });

/** The status of a gRPC call whose message is JSON. */
const grpcJson = (path: string, json: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const stream = session!.request({
      ":method": "POST",
      ":path": path,
      "content-type": "application/grpc+json",
      te: "trailers",
      authorization: `Bearer ${everything.token}`,
      "idempotency-key": newKey(),
    });
    let status = "";
    const read = (headers: Record<string, unknown>) => {
      status = String(headers["grpc-status"] ?? status);
    };
    stream
      .on("response", read)
      .on("trailers", read)
      .on("error", reject)
      .on("data", () => {});
    stream.on("end", () => resolve(status));
    const message = Buffer.from(json);
    const prefix = Buffer.alloc(5);
    prefix.writeUInt32BE(message.length, 1);
    stream.end(Buffer.concat([prefix, message]));
  });

describe(`a field that an operation has not (${hostKind})`, () => {
  test("is refused by every operation over REST, by its name", async () => {
    const taken: string[] = [];
    for (const method of methods) {
      const rule = httpRuleOf(method);
      if (!rule) continue;
      const path = rule.pattern.replaceAll(/:(\w+)/g, "none-such");
      for (const name of foreign(method)) {
        const query = rule.hasBody ? "" : `?${encodeURIComponent(name)}=admin`;
        const body = rule.hasBody ? bodyWith(name) : undefined;
        const answer = await rest<Problem>(rule.verb.toUpperCase(), path + query, body, keyed());
        const named = answer.body.errors?.map(({ pointer, parameter }) => parameter ?? pointer?.slice(2));
        if (answer.status !== 400 || !named?.includes(name))
          taken.push(`${method.name} ${name}: ${answer.status} ${named}`);
      }
    }
    expect(methods.length).toBeGreaterThan(50);
    expect(taken).toEqual([]);
  });

  test("is refused by every operation over Connect", async () => {
    const taken: string[] = [];
    for (const method of methods) {
      const path = `${method.parent.typeName}/${method.name}`;
      for (const name of foreign(method, 3)) {
        const answer = await connect<{ code: string }>(path, bodyWith(name), keyed());
        if (answer.body.code !== "invalid_argument") taken.push(`${method.name} ${name}: ${answer.text}`);
      }
    }
    expect(taken).toEqual([]);
  });

  test.skipIf(hostKind === "edge")("is refused by every operation over gRPC with JSON", async () => {
    const taken: string[] = [];
    for (const method of methods) {
      const path = `/${method.parent.typeName}/${method.name}`;
      for (const name of foreign(method, 3)) {
        const status = await grpcJson(path, bodyWith(name));
        if (status !== "3") taken.push(`${method.name} ${name}: ${status}`);
      }
    }
    expect(taken).toEqual([]);
  });

  test("is nothing in binary: whoever registers with roles and a status is a customer", async () => {
    const email = `binary-${crypto.randomUUID()}@example.com`;
    const request = create(RegisterRequestSchema, { email, password: "correct horse battery staple" });
    const more = new BinaryWriter();
    for (const number of [4, 5, 6, 50, 1000]) more.tag(number, WireType.LengthDelimited).string("admin");
    const body = Buffer.concat([toBinary(RegisterRequestSchema, request), more.finish()]);
    const { url } = await host();
    const response = await fetch(`${url}/mall.auth.v1.AuthService/Register`, {
      method: "POST",
      headers: { "content-type": "application/proto" },
      body,
    });
    expect(response.status).toBe(200);
    const signedIn = await rest<JsonObject>("POST", "/v1/auth/login", {
      email,
      password: "correct horse battery staple",
    });
    expect(signedIn.body.user).toMatchObject({ roles: ["customer"], emailVerified: false });
  });
});
