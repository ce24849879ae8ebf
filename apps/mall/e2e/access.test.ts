import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type DescMethod, fromBinary, type JsonObject } from "@bufbuild/protobuf";
import { contract } from "@mall/gateway/contract";
import { FaultInfoSchema } from "@mall/gen/mall/common/v1/fault_pb";
import { rpcScope } from "@mall/kernel/identity/service-token";
import { httpRuleOf } from "@mall/kernel/rpc/http-rule";
import { type CallerName, calls, serviceOfPackage } from "@mall/kernel/topology";
import { claimedIdentity, type Inside, inside, newCallers, serviceToken } from "./access-callers";
import { doors, type Expected, expected, type Person, reaches, refused } from "./access-verdicts";
import { hostKind } from "./host";
import { isMutual } from "./network";
import { newKey, newUser, type Options, rest, unknownId } from "./shop";
import { send } from "./surfaces";

const methods: readonly DescMethod[] = contract.flatMap((service) => service.methods);
const nameOf = (method: DescMethod): string => `${method.parent.name}/${method.name}`;
const expectedOf = (method: DescMethod): Expected => expected[nameOf(method)]!;
const serviceOf = (method: DescMethod) => serviceOfPackage(method.parent.typeName)!;
const isInside = (method: DescMethod): boolean => expectedOf(method).door === "services";

/** An operation as the mall's own OpenAPI document names it. */
const documented = async (): Promise<string[]> => {
  const { body } = await rest<{ paths: Record<string, Record<string, { operationId: string }>> }>(
    "GET",
    "/openapi.json",
  );
  return Object.values(body.paths).flatMap((verbs) => Object.values(verbs).map((o) => o.operationId));
};

/** Operations that no verdict is written down for, and verdicts about operations that do not exist. */
function unmatched(operations: readonly string[], verdicts: readonly string[]): string[] {
  const missing = operations.filter((name) => !verdicts.includes(name));
  const stale = verdicts.filter((name) => !operations.includes(name));
  return [
    ...missing.map((name) => `${name}: say in apps/mall/e2e/access-verdicts.ts who may call it`),
    ...stale.map((name) => `${name}: apps/mall/e2e/access-verdicts.ts expects it, and it is gone`),
  ];
}

describe(`the access matrix (${hostKind})`, () => {
  test("has an expected verdict for every operation of the contract and of the document, and no other", async () => {
    const rpcs = methods.map(nameOf);
    const routes = (await documented()).map((id) => rpcs.find((name) => name.endsWith(`/${id}`)) ?? id);
    expect(rpcs.length).toBeGreaterThan(50);
    expect(unmatched([...new Set([...rpcs, ...routes])], Object.keys(expected))).toEqual([]);
    const served = methods.filter((method) => httpRuleOf(method)).map(nameOf);
    expect(served.filter((name) => !routes.includes(name))).toEqual([]);
  });

  test("notices an operation that nobody decided on, and one that is gone", () => {
    const names = Object.keys(expected);
    expect(unmatched([...names, "CartService/StealCart"], names).join()).toContain(
      "CartService/StealCart: say",
    );
    expect(unmatched(names.slice(1), names).join()).toContain("GetPublicKeys: apps");
  });
});

/** A request that decodes and does nothing: ids that nobody has, and nothing else. */
function emptyMessage(method: DescMethod): JsonObject {
  const ids = Object.entries({
    cart: "cart",
    variant: "var",
    order: "ord",
    checkout: "chk",
    payment: "pay",
    api_key: "key",
    address: "adr",
  } as const);
  const known = new Map<string, string>(ids.map(([name, prefix]) => [`${name}_id`, unknownId(prefix)]));
  known
    .set("product_id", unknownId("prod"))
    .set("user_id", unknownId("usr"))
    .set("code", "NONE-SUCH")
    .set("name", "none-such");
  const rule = httpRuleOf(method);
  const fields = rule ? rule.pathFields : method.input.fields;
  return Object.fromEntries(
    fields.flatMap((field) => (known.has(field.name) ? [[field.jsonName, known.get(field.name)!]] : [])),
  );
}

/** What a caller met: the reason of a refusal of the caller, "in" for every other answer that is no fault of ours. */
function verdictOf(status: number, reason: string): string {
  if ([401, 403].includes(status) || reason === "ROUTE_NOT_FOUND") return reason;
  return status < 500 ? "in" : `${status} ${reason}`;
}

/** The status that REST would have for a code of Connect, as far as verdicts tell them apart. */
const statusOfCode: Record<string, number> = { unauthenticated: 401, permission_denied: 403, ok: 200 };

type Answers = Partial<Record<"rest" | "connect", string>>;

/** The verdict in an answer of a service's own Connect surface. */
async function serviceVerdict(response: Response): Promise<string> {
  if (response.ok) return "in";
  const { details = [] } = (await response.json()) as { details?: { type: string; value: string }[] };
  const detail = details.find(({ type }) => type === FaultInfoSchema.typeName);
  const reason = detail ? fromBinary(FaultInfoSchema, Buffer.from(detail.value, "base64")).reason : "";
  return verdictOf(response.status, reason);
}

/** Knocks at an operation on both surfaces of the gateway. */
async function knock(method: DescMethod, optionsOf: () => Promise<Options>): Promise<Answers> {
  if (isInside(method)) {
    const path = `/${method.parent.typeName}/${method.name}`;
    const answer = await rest<{ reason: string }>("POST", path, {}, await optionsOf());
    return { connect: verdictOf(answer.status, answer.body.reason) };
  }
  const message = emptyMessage(method);
  const keyed = async () => ({ ...(await optionsOf()), key: newKey() });
  const overConnect = await send("connect", method, message, await keyed());
  const answers: Answers = {
    connect: verdictOf(statusOfCode[overConnect.code!] ?? overConnect.status ?? 400, overConnect.reason),
  };
  if (!httpRuleOf(method)) return answers;
  const overRest = await send("rest", method, message, await keyed());
  return { ...answers, rest: verdictOf(overRest.status!, overRest.reason) };
}

/** Operations that answer otherwise than expected, as lines. */
async function differences(
  who: string,
  optionsOf: (method: DescMethod) => Promise<Options>,
  verdictOn: (method: DescMethod) => string,
): Promise<string[]> {
  const found: string[] = [];
  for (const method of methods) {
    for (const [surface, met] of Object.entries(await knock(method, () => optionsOf(method)))) {
      if (met === verdictOn(method)) continue;
      found.push(`${nameOf(method)} over ${surface} answers ${who} ${met}, not ${verdictOn(method)}`);
    }
  }
  return found;
}

let callers: Awaited<ReturnType<typeof newCallers>>;
let mall: Inside;
beforeAll(async () => {
  callers = await newCallers();
  mall = await inside();
});
afterAll(() => mall.close());

describe(`every operation (${hostKind})`, () => {
  test.each<Person>(["guest", "customer", "staff", "admin"])("answers a %s as expected", async (person) => {
    const options = async (method: DescMethod): Promise<Options> =>
      person !== "guest" && expectedOf(method).endsSession ? newUser() : { token: callers.people[person] };
    const verdict = (method: DescMethod) => doors[expectedOf(method).door].people[person];
    expect(await differences(`a ${person}`, options, verdict)).toEqual([]);
  });

  test("answers a machine as its scopes say, and never as a user", async () => {
    const verdict = (method: DescMethod) => {
      const { door, isStockRead } = expectedOf(method);
      return isStockRead ? "in" : doors[door].machine;
    };
    expect(await differences("a machine", async () => ({ token: callers.machine }), verdict)).toEqual([]);
  });

  test.each(Object.entries(refused))(
    "refuses a token that is %s, also where none is needed",
    async (kind, reason) => {
      const verdict = (method: DescMethod) => (isInside(method) ? "ROUTE_NOT_FOUND" : reason);
      const token = callers[kind as keyof typeof refused];
      expect(await differences(`a token that is ${kind}`, async () => ({ token }), verdict)).toEqual([]);
    },
  );

  test("takes nobody at the gateway for a service or a user, whatever headers say", async () => {
    const claims = async (method: DescMethod): Promise<Options> => {
      const [service = "mall"] = expectedOf(method).services ?? [];
      return {
        headers: {
          ...claimedIdentity(),
          "x-service-token": await serviceToken(service, serviceOf(method), rpcScope(method)),
        },
      };
    };
    const verdict = (method: DescMethod) => doors[expectedOf(method).door].people.guest;
    expect(await differences("a claimed service", claims, verdict)).toEqual([]);
  });

  test.each<Person>(["guest", "customer"])(
    "takes a %s who got inside for nobody else, whatever headers say",
    async (person) => {
      const wrong: string[] = [];
      for (const method of methods) {
        const { door, endsSession } = expectedOf(method);
        const token = endsSession && person !== "guest" ? (await newUser()).token : callers.people[person];
        const headers = {
          ...claimedIdentity(),
          "content-type": "application/json",
          ...(token ? { authorization: `Bearer ${token}` } : {}),
        };
        const body = JSON.stringify(emptyMessage(method));
        const init = { method: "POST", headers, body };
        const met = await serviceVerdict(await mall.sendAs(serviceOf(method), rpcScope(method), init));
        // by mutual TLS nobody is heard without a service's own token, too
        const plainly = isInside(method) ? "FORBIDDEN" : doors[door].people[person];
        const wanted = isMutual ? "UNAUTHENTICATED" : plainly;
        if (met !== wanted) wrong.push(`${nameOf(method)} answers a ${person} ${met}, not ${wanted}`);
      }
      expect(wrong).toEqual([]);
    },
  );

  test.each(Object.keys(calls) as CallerName[])(
    "answers the service token of %s as expected",
    async (caller) => {
      const wrong: string[] = [];
      for (const method of methods) {
        const { door, services = [] } = expectedOf(method);
        const service = serviceOf(method);
        const isKnown = reaches[service].includes(caller);
        const wanted = services.includes(caller) ? "in" : isKnown ? doors[door].strangers : "UNAUTHENTICATED";
        const path = `/${method.parent.typeName}/${method.name}`;
        const response = await mall.send(service, caller, path, JSON.stringify(emptyMessage(method)));
        const met = await serviceVerdict(response);
        if (met !== wanted) wrong.push(`${nameOf(method)} answers ${caller} ${met}, not ${wanted}`);
      }
      expect(wrong).toEqual([]);
    },
  );
});
