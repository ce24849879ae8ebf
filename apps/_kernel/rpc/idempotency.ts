import { createHash } from "node:crypto";
import { type DescMethod, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { type ConnectError, createContextKey, type Interceptor } from "@connectrpc/connect";
import { Idempotency } from "@mall/gen/mall/common/v1/options_pb";
import type { Seal } from "../crypto/seal";
import type { Db, Session, Tx } from "../db/client";
import type { IdempotencyStore, KeyRef } from "../db/idempotency";
import { codeName, type FaultCode, fault, faultInfo } from "../fault";
import type { Actor } from "../identity/actor";
import { currentRequest, requestKey, responseKey, statusKey } from "./context";
import { policyOf } from "./policy";

/** An answer that a key replays: a message, or a business refusal. */
export type Answer = { kind: "message"; status: number; message: Uint8Array } | Refusal;

/** A business refusal as it is stored. */
export interface Refusal {
  kind: "fault";
  code: FaultCode;
  reason: string;
  message: string;
  metadata: Record<string, string>;
  requestId: string;
}

/** Refusals that are answers: the same key replays them. All others leave no trace. */
const storedReasons = new Set(["PAYMENT_DECLINED", "OUT_OF_STOCK", "PRICE_CHANGED"]);

/** Whether an error is a refusal that a key must replay. */
export const isStoredRefusal = (error: unknown): boolean => storedReasons.has(faultInfo(error)?.reason ?? "");

/** The refusal as it is stored, with the id of the request that met it first. */
export function faultAnswer(error: ConnectError): Refusal {
  const info = faultInfo(error);
  return {
    kind: "fault",
    code: codeName(error.code) as FaultCode,
    reason: info?.reason ?? "",
    message: error.rawMessage,
    metadata: info?.metadata ?? {},
    requestId: info?.requestId || currentRequest.getStore()?.requestId || crypto.randomUUID(),
  };
}

/** Answers kept for keys in one service, sealed at rest. */
export interface Answers {
  /** Takes the key in the transaction of the effect. Throws when a request with the same key came first. */
  take(tx: Tx, ticket: Ticket): Promise<void>;
  /** Writes the answer in the transaction of the effect. */
  settle(session: Session, ref: KeyRef, answer: Answer): Promise<void>;
  /** Forgets a key that was taken by a request which is refused without an answer to keep. */
  abandon(session: Session, ref: KeyRef): Promise<void>;
  /** The interceptor that asks for keys, replays answers and hands out tickets. */
  interceptor: Interceptor;
  /** Deletes expired records. */
  clean(): Promise<void>;
}

/** A request's right to write the answer of its key. */
export interface Ticket extends KeyRef {
  fingerprint: Uint8Array;
}

/** Context value with the ticket of a request whose contract asks for a key. */
export const ticketKey = createContextKey<Ticket | undefined>(undefined, {
  description: "idempotency ticket",
});

const keyTaken = new Error("idempotency key was taken by a concurrent request");
const keyPattern = /^[\x21-\x7e]{1,255}$/;

/** Who a key belongs to; guests are known by the secret they hold. */
function scopeOf(actor: Actor): string {
  const hash = (secret: string) => createHash("sha256").update(secret).digest("base64url");
  if (actor.user) return `user:${actor.user.id}`;
  if (actor.service) return `service:${actor.service}`;
  if (actor.orderSecret) return `guest:${hash(actor.orderSecret)}`;
  return actor.cartSecret ? `guest:${hash(actor.cartSecret)}` : "anonymous";
}

function readKey(header: Headers): string {
  const key = header.get("idempotency-key");
  const violation = (detail: string) => ({ violations: [{ parameter: "Idempotency-Key", detail }] });
  if (key === null || key === "") {
    throw fault(
      "invalid_argument",
      "IDEMPOTENCY_KEY_REQUIRED",
      "This request needs an Idempotency-Key header.",
      violation("is required"),
    );
  }
  if (!keyPattern.test(key)) {
    const detail = "must be 1 to 255 visible ASCII characters";
    throw fault("invalid_argument", "VALIDATION", `The Idempotency-Key ${detail}.`, violation(detail));
  }
  return key;
}

export interface AnswersDeps {
  db: Db;
  store: IdempotencyStore;
  seal: Seal;
  clock: () => Date;
  ttlSeconds: number;
}

const contextOf = (ref: KeyRef) => `idempotency|${ref.scope}|${ref.rpc}|${ref.key}`;

function encode(answer: Answer): Buffer {
  const value =
    answer.kind === "message"
      ? { ...answer, message: Buffer.from(answer.message).toString("base64") }
      : answer;
  return Buffer.from(JSON.stringify(value));
}

function decode(bytes: Buffer): Answer {
  const value = JSON.parse(bytes.toString()) as Answer & { message: string };
  return value.kind === "message" ? { ...value, message: Buffer.from(value.message, "base64") } : value;
}

/** Idempotency of one service (draft-ietf-httpapi-idempotency-key-header-07, stricter: keys are required). */
export function createAnswers(deps: AnswersDeps): Answers {
  const { store, seal, clock } = deps;
  const expiry = () => new Date(clock().getTime() + deps.ttlSeconds * 1000);
  const settle = (session: Session, ref: KeyRef, answer: Answer, fingerprint?: Uint8Array) =>
    store.settle(session, ref, fingerprint, seal.seal(encode(answer), contextOf(ref)), expiry());

  /** The stored answer of a key, undefined when the key is new. */
  async function recall(ticket: Ticket): Promise<Answer | undefined> {
    const found = await store.find(deps.db, ticket, clock());
    if (!found) return undefined;
    if (!Buffer.from(found.fingerprint).equals(Buffer.from(ticket.fingerprint))) {
      throw fault(
        "failed_precondition",
        "IDEMPOTENCY_KEY_REUSED",
        "This Idempotency-Key was used for another request.",
      );
    }
    if (found.state === "in_flight" || !found.response) throw inFlight();
    return decode(seal.open(found.response, contextOf(ticket)));
  }

  const interceptor: Interceptor = (next) => async (request) => {
    if (request.stream || policyOf(request.method)?.idempotency !== Idempotency.KEY_REQUIRED)
      return next(request);
    const { actor } = request.contextValues.get(requestKey);
    const bytes = toBinary(
      request.method.input,
      request.message as MessageShape<typeof request.method.input>,
    );
    const ticket: Ticket = {
      scope: scopeOf(actor),
      rpc: request.method.name,
      key: readKey(request.header),
      fingerprint: createHash("sha256").update(bytes).digest(),
    };
    const replay = (answer: Answer) => replayed(request, request.method, answer);
    const known = await recall(ticket);
    if (known) return replay(known);
    request.contextValues.set(ticketKey, ticket);
    try {
      return await next(request);
    } catch (error) {
      if (error === keyTaken) {
        const first = await recall(ticket);
        if (first) return replay(first);
        throw inFlight();
      }
      if (!isStoredRefusal(error)) throw error;
      const refusal = faultAnswer(error as ConnectError);
      await settle(deps.db, ticket, refusal, ticket.fingerprint);
      throw toFault(refusal);
    }
  };

  return {
    async take(tx, ticket) {
      if (!(await store.take(tx, ticket, ticket.fingerprint, clock(), expiry()))) throw keyTaken;
    },
    settle,
    abandon: store.abandon,
    interceptor,
    clean: () => store.clean(deps.db, clock()),
  };
}

const inFlight = () =>
  fault("aborted", "IDEMPOTENCY_KEY_IN_FLIGHT", "A request with this Idempotency-Key is being worked on.", {
    retryAfterSeconds: 1,
  });

/** The fault that a stored refusal answers with. */
export const toFault = (answer: Refusal, replayed = false): ConnectError => {
  const error = fault(answer.code, answer.reason, answer.message, {
    metadata: answer.metadata,
    requestId: answer.requestId,
  });
  if (replayed) error.metadata.set("idempotent-replayed", "true");
  return error;
};

type UnaryCall = Parameters<ReturnType<Interceptor>>[0];

function replayed(request: UnaryCall, method: DescMethod, answer: Answer) {
  if (answer.kind === "fault") throw toFault(answer, true);
  request.contextValues.set(statusKey, answer.status);
  // the call's own headers: new ones would take the place of what the protocol has set
  const { responseHeader: header, responseTrailer: trailer } = request.contextValues.get(responseKey);
  header.set("idempotent-replayed", "true");
  return {
    stream: false as const,
    service: request.service,
    method,
    header,
    trailer,
    message: fromBinary(method.output, answer.message),
  } as Awaited<ReturnType<ReturnType<Interceptor>>>;
}
