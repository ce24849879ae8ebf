import { createHash } from "node:crypto";
import { type DescMethod, fromBinary, type Message } from "@bufbuild/protobuf";
import { type ConnectError, createContextKey, type Interceptor } from "@connectrpc/connect";
import { Idempotency } from "@mall/gen/mall/common/v1/options_pb";
import { holdsCardNumber } from "../card-number";
import type { Seal } from "../crypto/seal";
import type { Db, Session, Tx } from "../db/client";
import { cleanRows, type IdempotencyStore, type KeyRef } from "../db/idempotency";
import { codeName, type FaultCode, fault, faultInfo, type Refusal } from "../fault";
import type { Actor } from "../identity/actor";
import { errorFields, type Log } from "../log";
import { later } from "../time";
import { currentRequest, requestKey, responseKey, statusKey } from "./context";
import { fingerprintOf } from "./fingerprint";
import { policyOf } from "./policy";
import { cardNumberDetail } from "./validate";

/** An answer that a key replays: a message, or a business refusal. */
export type Answer = { kind: "message"; status: number; message: Uint8Array } | Refusal;

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
  /**
   * Takes the key in the transaction of the effect, first of all. Throws when a request with the same key came first;
   * never waits for one.
   */
  take(tx: Tx, ticket: Ticket): Promise<void>;
  /** Writes the answer of a key that was taken, in the transaction of the effect. */
  settle(session: Session, ref: KeyRef, answer: Answer): Promise<void>;
  /** Forgets a key that was taken by a request which is refused without an answer to keep. */
  abandon(session: Session, ref: KeyRef): Promise<void>;
  /** The interceptor that asks for keys, replays answers and hands out tickets. */
  interceptor: Interceptor;
  /** Deletes what expired, at most 10,000 records, and tells how many. Several instances may clean at once. */
  clean(): Promise<number>;
}

/** A request's right to write the answer of its key. */
export interface Ticket extends KeyRef {
  fingerprint: Uint8Array;
  owner: string;
}

/** What a saga stores of a ticket, to write its answer later. */
export const refOf = ({ scope, rpc, key, owner }: Ticket): Required<KeyRef> => ({ scope, rpc, key, owner });

/** Context value with the ticket of a request whose contract asks for a key. */
export const ticketKey = createContextKey<Ticket | undefined>(undefined, {
  description: "idempotency ticket",
});

const keyTaken = new Error("idempotency key was taken by a concurrent request");
const keyPattern = /^[\x21-\x7e]{1,255}$/;

/**
 * Who a key belongs to. Guests are known by the secret they hold: that of the cart where the request names a cart,
 * else that of the order, so that a secret which the client got meanwhile makes no other caller of it.
 */
function scopeOf(actor: Actor, method: DescMethod): string {
  if (actor.user) return `user:${actor.user.id}`;
  if (actor.apiKey) return `key:${actor.apiKey.id}`;
  if (actor.service) return `service:${actor.service}`;
  const { cartSecret, orderSecret } = actor;
  const secret = method.input.field.cartId ? (cartSecret ?? orderSecret) : (orderSecret ?? cartSecret);
  return secret ? `guest:${createHash("sha256").update(secret).digest("base64url")}` : "anonymous";
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
  if (holdsCardNumber(key)) {
    const sentence = `The Idempotency-Key ${cardNumberDetail}.`;
    throw fault("invalid_argument", "VALIDATION", sentence, violation(cardNumberDetail));
  }
  return key;
}

export interface AnswersDeps {
  db: Db;
  store: IdempotencyStore;
  seal: Seal;
  clock: () => Date;
  ttlSeconds: number;
  log: Log;
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

/** Most batches that one cleaning deletes. */
const cleanBatches = 10;

/** The records of one service with their answers sealed and opened. */
function records({ db, store, seal, clock, ttlSeconds, log }: AnswersDeps) {
  const expiry = () => later(clock(), ttlSeconds);
  const sealed = (ref: KeyRef, answer: Answer) => seal.seal(encode(answer), contextOf(ref));

  /** The effect of the key is there, so the request must not run again, whatever became of its answer. */
  function opened(ticket: Ticket, response: Uint8Array): Answer {
    try {
      return decode(seal.open(response, contextOf(ticket)));
    } catch (error) {
      log("error", "a stored answer cannot be opened", { rpc: ticket.rpc, ...errorFields(error) });
      throw unreadable();
    }
  }

  return {
    async take(tx: Tx, ticket: Ticket): Promise<void> {
      if (!(await store.take(tx, ticket, ticket.fingerprint, clock(), expiry()))) throw keyTaken;
    },
    settle: (session: Session, ref: KeyRef, answer: Answer) =>
      store.settle(session, ref, sealed(ref, answer), expiry()),
    keep: (ticket: Ticket, answer: Answer) =>
      store.keep(db, ticket, ticket.fingerprint, sealed(ticket, answer), clock(), expiry()),
    /** The stored answer of a key, undefined when the key is new. */
    async recall(ticket: Ticket): Promise<Answer | undefined> {
      const found = await store.find(db, ticket, clock());
      if (!found) return undefined;
      if (!Buffer.from(found.fingerprint).equals(Buffer.from(ticket.fingerprint))) throw reused();
      if (found.state === "in_flight" || !found.response) throw inFlight();
      return opened(ticket, found.response);
    },
    async clean(): Promise<number> {
      let total = 0;
      for (let batch = 0; batch < cleanBatches; batch++) {
        const rows = await store.clean(db, clock());
        total += rows;
        if (rows < cleanRows) break;
      }
      return total;
    },
  };
}

/** What a request that is being answered did with its key. */
interface Work {
  taken: boolean;
  settled: boolean;
}

/** Idempotency of one service (draft-ietf-httpapi-idempotency-key-header-07, stricter: keys are required). */
export function createAnswers(deps: AnswersDeps): Answers {
  const { take, settle, keep, recall, clean } = records(deps);
  /** Requests that are being answered, by the owner of their tickets. */
  const working = new Map<string, Work>();

  /** Keeps a refusal that is an answer; the answer that is there already counts more. */
  async function refuse(ticket: Ticket, error: ConnectError): Promise<{ answer: Answer; isReplay: boolean }> {
    const refusal = faultAnswer(error);
    if (await keep(ticket, refusal)) return { answer: refusal, isReplay: false };
    const answer = (await recall(ticket)) ?? refusal;
    const isOwn = answer.kind === "fault" && answer.requestId === refusal.requestId;
    return { answer, isReplay: !isOwn };
  }

  async function run(request: UnaryCall, next: Next, ticket: Ticket, work: Work) {
    try {
      const response = await next(request);
      if (!work.taken || work.settled || request.contextValues.get(statusKey) === 202) return response;
      // a sweeper was faster: what it wrote is what every replay gets, so the first answer is the same
      const stored = await recall(ticket);
      return stored ? answered(request, stored, false) : response;
    } catch (error) {
      if (error !== keyTaken && isStoredRefusal(error)) {
        const { answer, isReplay } = await refuse(ticket, error as ConnectError);
        return answered(request, answer, isReplay);
      }
      // refused because of what the first request with this key has done: that one's answer counts
      const first = work.taken ? undefined : await recall(ticket);
      if (first) return answered(request, first, true);
      throw error === keyTaken ? inFlight() : error;
    }
  }

  const interceptor: Interceptor = (next) => async (request) => {
    if (request.stream || policyOf(request.method)?.idempotency !== Idempotency.KEY_REQUIRED)
      return next(request);
    const ticket: Ticket = {
      scope: scopeOf(request.contextValues.get(requestKey).actor, request.method),
      rpc: request.method.name,
      key: readKey(request.header),
      fingerprint: fingerprintOf(request.method.input, request.message as Message),
      owner: crypto.randomUUID(),
    };
    const known = await recall(ticket);
    if (known) return answered(request, known, true);
    request.contextValues.set(ticketKey, ticket);
    const work: Work = { taken: false, settled: false };
    working.set(ticket.owner, work);
    try {
      return await run(request, next, ticket, work);
    } finally {
      working.delete(ticket.owner);
    }
  };

  return {
    async take(tx, ticket) {
      await take(tx, ticket);
      const work = working.get(ticket.owner);
      if (work) work.taken = true;
    },
    async settle(session, ref, answer) {
      await settle(session, ref, answer);
      const work = working.get(ref.owner ?? "");
      if (work) work.settled = true;
    },
    abandon: deps.store.abandon,
    interceptor,
    clean,
  };
}

const reused = () =>
  fault(
    "failed_precondition",
    "IDEMPOTENCY_KEY_REUSED",
    "This Idempotency-Key was used for another request.",
  );

const unreadable = () =>
  fault(
    "failed_precondition",
    "IDEMPOTENCY_ANSWER_LOST",
    "This request was carried out before, but its answer can no longer be read; read what it changed.",
  );

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

type Next = ReturnType<Interceptor>;
type UnaryCall = Parameters<Next>[0];

/** Answers a call with what is stored. */
function answered(request: UnaryCall, answer: Answer, isReplay: boolean) {
  if (answer.kind === "fault") throw toFault(answer, isReplay);
  request.contextValues.set(statusKey, answer.status);
  // the call's own headers: new ones would take the place of what the protocol has set
  const { responseHeader: header, responseTrailer: trailer } = request.contextValues.get(responseKey);
  if (isReplay) header.set("idempotent-replayed", "true");
  return {
    stream: false as const,
    service: request.service,
    method: request.method,
    header,
    trailer,
    message: fromBinary(request.method.output, answer.message),
  } as Awaited<ReturnType<Next>>;
}
