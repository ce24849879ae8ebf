import type { DescService } from "@bufbuild/protobuf";
import { createRoute, OpenAPIHono, z } from "@hono/zod-openapi";
import { batchLimits } from "@mall/gateway/batch";
import { serviceNames, serviceOfPackage } from "@mall/kernel/topology";
import { commentOf, restMethods } from "./contract";
import { problemExamples } from "./errors";
import { answerHeaders, operationOf, refusals, secretHeaders, tagOf } from "./operation";
import { createSchemas, type Schemas } from "./schema";

const about = `JSON is ProtoJSON: camelCase names, 64-bit integers as strings, enums by name, RFC 3339 times.
Answers carry every plain field, also when it is empty; more fields may come. Requests with unknown fields or
query parameters are refused. Money is integer minor units and an ISO 4217 code.

Errors are RFC 9457 problem details; programs look at \`reason\`. An object of somebody else answers exactly
like one that does not exist.

The same operations are served as Connect, gRPC-Web and gRPC at \`/<service>/<operationId>\`, such as
\`/mall.cart.v1.CartService/AddItem\`.`;

const license = { name: "MIT", identifier: "MIT" };

const securitySchemes = {
  bearer: { type: "http", scheme: "bearer", bearerFormat: "JWT", description: "Access token, from Login." },
  cartSecret: { type: "apiKey", in: "header", ...secretHeaders.cartSecret },
  orderSecret: { type: "apiKey", in: "header", ...secretHeaders.orderSecret },
} as const;

/** A route beside the contract: apps/auth/transport/jwks.ts. */
const publicKeys = createRoute({
  method: "get",
  path: "/.well-known/jwks.json",
  operationId: "GetPublicKeys",
  tags: ["Auth"],
  summary: "Reads the public keys that access tokens are verified with",
  description:
    "Reads the public keys that access tokens are verified with (RFC 7517). May be cached for 5 minutes.",
  security: [],
  responses: {
    200: {
      description: "The keys in use, and those that still verify tokens in use.",
      content: {
        "application/json": {
          schema: z
            .object({
              keys: z.array(
                z.object({
                  kty: z.literal("OKP"),
                  crv: z.literal("Ed25519"),
                  x: z.string().openapi({ description: "The key, base64url." }),
                  kid: z.string().openapi({ description: "Names the key in the header of a token." }),
                  alg: z.literal("EdDSA"),
                  use: z.literal("sig"),
                }),
              ),
            })
            .openapi("PublicKeys", { description: "A JSON Web Key Set." }),
        },
      },
    },
    ...refusals(["SERVICE_UNAVAILABLE", "DATABASE_UNAVAILABLE"], false),
  },
});

const batchPart = z.object({
  id: z.string().max(64).optional().openapi({ description: "Comes back with the answer." }),
  method: z
    .enum(["GET", "POST", "PUT", "PATCH", "DELETE"])
    .openapi({ description: "As of the request alone." }),
  path: z
    .string()
    .max(4096)
    .openapi({ description: "Path and query, under /v1.", example: "/v1/products?q=mug" }),
  headers: z
    .record(z.string(), z.string())
    .optional()
    .openapi({ description: "Idempotency-Key, If-Match, If-None-Match, X-Cart-Secret or X-Order-Secret." }),
  body: z.record(z.string(), z.unknown()).optional(),
});

const batchAnswer = z.object({
  id: z.string(),
  status: z.int().min(200).max(599),
  headers: z.record(z.string(), z.string()),
  body: z
    .unknown()
    .openapi({ description: "What the part answers, problems too; null when that is nothing." }),
});

/** A route of the gateway: apps/gateway/batch.ts. */
const batch = createRoute({
  method: "post",
  path: "/v1/batch",
  operationId: "Batch",
  tags: ["Batch"],
  summary: "Sends up to 10 requests in one",
  description:
    "Sends up to 10 requests in one. Each is answered as if it had come alone, under the token and secrets of the batch, with its own status; all run at the same time, in no order. Rate limits count each of them and the batch.",
  security: [{ bearer: [] }, { cartSecret: [] }, { orderSecret: [] }, {}],
  request: {
    body: {
      required: true,
      content: {
        "application/json": {
          schema: z
            .strictObject({
              requests: z
                .array(batchPart)
                .min(1)
                .max(batchLimits.partsMax)
                .openapi({ description: "What is asked for." }),
            })
            .openapi("BatchRequest"),
        },
      },
    },
  },
  responses: {
    200: {
      description: "An answer for each request, in their order.",
      content: {
        "application/json": {
          schema: z
            .object({ responses: z.array(batchAnswer).openapi({ description: "What each is answered." }) })
            .openapi("BatchResponse"),
        },
      },
    },
    ...refusals(
      [
        "VALIDATION",
        "PAYLOAD_TOO_LARGE",
        "REQUEST_TIMEOUT",
        "URI_TOO_LONG",
        "HEADERS_TOO_LARGE",
        "RATE_LIMITED",
      ],
      false,
    ),
  },
});

const isAuth = (service: DescService) => serviceOfPackage(service.typeName) === "auth";

const picked = (named: object, isUsed: (name: string) => boolean): object =>
  Object.fromEntries(Object.entries(named).filter(([name]) => isUsed(name)));

function documentOf(
  title: string,
  description: string,
  services: readonly DescService[],
  schemas: Schemas,
  isGateway = false,
): object {
  const app = new OpenAPIHono();
  const operations = restMethods(services).map((method) => operationOf(method, schemas));
  const keys = services.some(isAuth) ? [publicKeys] : [];
  const routes = [...operations, ...keys, ...(isGateway ? [batch] : [])];
  for (const route of routes) app.openAPIRegistry.registerPath(route);
  const { openapi, info, servers, tags, paths, components } = app.getOpenAPI31Document({
    openapi: "3.1.0",
    info: { title, version: "v1", description, license },
    servers: [{ url: "/", description: "Where this document comes from." }],
    tags: [
      ...services
        .filter((service) => restMethods([service]).length > 0)
        .map((service) => ({ name: tagOf(service.name), description: commentOf(service) })),
      ...(isGateway ? [{ name: "Batch", description: "Several requests in one." }] : []),
    ],
  });
  const text = JSON.stringify(paths);
  const used = {
    securitySchemes: picked(securitySchemes, (name) => text.includes(`{"${name}":[]}`)),
    headers: picked(answerHeaders, (name) => text.includes(`"#/components/headers/${name}"`)),
    examples: picked(problemExamples, (name) => text.includes(`"#/components/examples/${name}"`)),
    schemas: sorted(components?.schemas ?? {}),
  };
  return { openapi, info, servers, tags, paths, components: used };
}

const sorted = (named: object) =>
  Object.fromEntries(Object.entries(named).sort(([a], [b]) => (a < b ? -1 : 1)));

/** The OpenAPI 3.1 document of each service, and as "mall" the gateway's with the routes of all. */
export function documentsOf(contract: readonly DescService[]): Map<string, object> {
  const schemas = createSchemas(restMethods(contract));
  const documents = new Map<string, object>();
  const inOrder: DescService[] = [];
  for (const name of serviceNames) {
    const own = contract.filter((service) => serviceOfPackage(service.typeName) === name);
    inOrder.push(...own);
    const text = own.map(commentOf).join(" ");
    documents.set(name, documentOf(`EdgeMall ${name}`, `${text}\n\n${about}`, own, schemas));
  }
  documents.set(
    "mall",
    documentOf("EdgeMall", `A shop: catalogue, carts, checkout, orders.\n\n${about}`, inOrder, schemas, true),
  );
  return documents;
}
