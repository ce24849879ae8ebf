import type { DescMethod } from "@bufbuild/protobuf";
import { Idempotency } from "@mall/gen/mall/common/v1/options_pb";
import { type FaultCode, fault } from "@mall/kernel/fault";
import { problemResponse, restStatus } from "@mall/kernel/problem";
import { httpRuleOf } from "@mall/kernel/rpc/http-rule";
import { policyOf } from "@mall/kernel/rpc/policy";

/** What clients may meet: code and meaning of each refusal. A test holds the codes against those in apps/. */
export const reasons = {
  VALIDATION: ["invalid_argument", "Fields or parameters break their rules; `errors` names each."],
  IDEMPOTENCY_KEY_REQUIRED: ["invalid_argument", "The Idempotency-Key header is missing."],
  NOT_A_CATALOGUE: ["invalid_argument", "The text is no Shopify product CSV."],
  CODE_INVALID: ["invalid_argument", "The code is wrong, was used or has ended; ask for another one."],
  STOCK_LIMIT: ["out_of_range", "The variant would have more units than it may have."],
  PAYMENT_METHOD_UNKNOWN: ["invalid_argument", "There is no such payment method."],
  UNAUTHENTICATED: ["unauthenticated", "There is no bearer token, or it is not valid."],
  TOKEN_STALE: [
    "unauthenticated",
    "Roles, password or status of the account changed after the token was issued; refresh it.",
  ],
  TOKEN_EXPIRED: ["unauthenticated", "The bearer token has expired; refresh it."],
  INVALID_CREDENTIALS: ["unauthenticated", "The e-mail address or the password is wrong."],
  REFRESH_TOKEN_REUSED: ["unauthenticated", "The refresh token was used before; its session has ended."],
  PAYMENT_DECLINED: [
    "failed_precondition",
    "The provider refused; nothing was charged. Try another card with a new key.",
  ],
  FORBIDDEN: [
    "permission_denied",
    "The caller may not do this, by the contract or by a rule of the operators.",
  ],
  SCOPES_EXCEEDED: [
    "permission_denied",
    "A key cannot have permissions that its creator has not; `metadata.scopes` names them.",
  ],
  USER_BLOCKED: ["permission_denied", "The account is blocked."],
  ACCOUNT_NOT_FOUND: ["not_found", "The user's account no longer exists."],
  USER_NOT_FOUND: ["not_found", "There is no such user."],
  ADDRESS_NOT_FOUND: ["not_found", "The caller keeps no such address."],
  CART_NOT_FOUND: ["not_found", "There is no such cart, or it is not the caller's."],
  ITEM_NOT_FOUND: ["not_found", "The cart has no line of this variant."],
  VARIANT_NOT_FOUND: ["not_found", "There is no such variant."],
  PRODUCT_NOT_FOUND: ["not_found", "There is no such published product."],
  CHECKOUT_NOT_FOUND: ["not_found", "There is no such checkout, or it is not the caller's."],
  ORDER_NOT_FOUND: ["not_found", "There is no such order, or it is not the caller's."],
  COUPON_NOT_FOUND: ["not_found", "There is no such coupon."],
  PAYMENT_NOT_FOUND: ["not_found", "There is no such payment."],
  API_KEY_NOT_FOUND: ["not_found", "The user has no such key, or it has ended."],
  SETTING_NOT_FOUND: ["not_found", "There is no setting of this name."],
  SESSION_NOT_FOUND: ["not_found", "The user has no live session of this id."],
  REVISION_NOT_FOUND: ["not_found", "There is no change of this number."],
  ROLE_NOT_FOUND: ["not_found", "Operators defined no role of this name."],
  RULE_NOT_FOUND: ["not_found", "There is no rule of this name."],
  BLOCKED_USER_NOT_FOUND: ["not_found", "The user is not blocked."],
  EMAIL_TAKEN: ["already_exists", "The e-mail address has an account already."],
  COUPON_CODE_TAKEN: ["already_exists", "There is a coupon with this code already."],
  CART_LOCKED: ["aborted", "A checkout of the cart is under way."],
  CART_CONVERTED: ["failed_precondition", "The cart was bought already."],
  CART_CLAIMED: ["failed_precondition", "The guest's cart was merged into a user's; use that one."],
  CART_EMPTY: ["failed_precondition", "The cart has no lines."],
  CART_LIMIT: ["failed_precondition", "The cart has as many lines as a cart may have."],
  QUANTITY_LIMIT: ["failed_precondition", "The line would hold more units than a line may hold."],
  ITEM_UNAVAILABLE: ["failed_precondition", "A line can no longer be bought; `metadata.variantId` names it."],
  OUT_OF_STOCK: [
    "failed_precondition",
    "Fewer units are left than asked for; `metadata.variantId` names the variant.",
  ],
  HOLD_LIMIT_EXCEEDED: [
    "failed_precondition",
    "The customer's unpaid orders hold as many units as one customer may hold; pay or cancel one first.",
  ],
  REGISTRATION_CLOSED: ["failed_precondition", "The operators take no new accounts at the moment."],
  ADDRESS_LIMIT: ["failed_precondition", "The user keeps as many addresses as one user may keep."],
  API_KEY_LIMIT: ["failed_precondition", "The user has as many keys as one user may have."],
  ROLE_LIMIT: ["failed_precondition", "The account has as many roles as one account may have."],
  LAST_ADMIN: ["failed_precondition", "The account is the last administrator; make another one first."],
  POLICY_LIMIT: ["failed_precondition", "The policy holds as many of these as it may hold."],
  COUPON_NOT_APPLICABLE: ["failed_precondition", "The coupon is unknown, has ended or is used up."],
  VARIANT_NOT_TRACKED: ["failed_precondition", "The stock of the variant is not counted."],
  PRICE_CHANGED: ["failed_precondition", "The total is not `expectedTotal`; `metadata` has both."],
  CHECKOUT_EXPIRED: ["failed_precondition", "The order was not paid in time."],
  CHECKOUT_IN_PROGRESS: ["aborted", "A payment of the checkout is being worked on."],
  CHECKOUT_STATE_INVALID: ["failed_precondition", "The checkout has ended; `metadata.state` says how."],
  ORDER_STATE_INVALID: [
    "failed_precondition",
    "The order can no longer be changed like this; `metadata.state` tells its state.",
  ],
  ORDER_PAYMENT_IN_PROGRESS: ["aborted", "A payment of the order is being worked on; try again in a moment."],
  PAYMENT_STATE_INVALID: [
    "failed_precondition",
    "No money of the payment can go back; `metadata.state` says why.",
  ],
  REFUND_EXCEEDS_PAYMENT: [
    "failed_precondition",
    "Less of the payment is left; `metadata.left` tells how much.",
  ],
  PAYMENT_IN_PROGRESS: ["aborted", "Another payment of the order is being worked on."],
  IDEMPOTENCY_KEY_IN_FLIGHT: [
    "aborted",
    "The first request with this key is being worked on; wait for Retry-After.",
  ],
  VERSION_MISMATCH: ["aborted", "The object was changed meanwhile; read it again."],
  PAYLOAD_TOO_LARGE: ["resource_exhausted", "The body is too large."],
  REQUEST_TIMEOUT: ["deadline_exceeded", "The body did not arrive in time, 10 s for each MiB it may have."],
  URI_TOO_LONG: ["resource_exhausted", "The address has more than 8,192 characters."],
  HEADERS_TOO_LARGE: ["resource_exhausted", "The headers have more than 16 KiB."],
  RATE_LIMITED: [
    "resource_exhausted",
    "Too many requests of this client, or too many tries; wait for Retry-After. `metadata.limit` names a limit of the gateway.",
  ],
  UNSUPPORTED_MEDIA_TYPE: ["invalid_argument", "The body is not application/json."],
  IDEMPOTENCY_KEY_REUSED: ["failed_precondition", "The key was used for another request."],
  IDEMPOTENCY_ANSWER_LOST: [
    "failed_precondition",
    "The request was carried out before, but its answer can no longer be read.",
  ],
  OVERLOADED: [
    "unavailable",
    "More than this mall takes at once; nothing was done, try again after Retry-After.",
  ],
  CHECKOUT_CLOSED: ["unavailable", "The operators have stopped purchases; try again after Retry-After."],
  CHECKOUT_INTERRUPTED: ["unavailable", "It took too long and was undone; try again."],
  DEADLINE_EXCEEDED: [
    "deadline_exceeded",
    "No answer came within Connect-Timeout-Ms, or in the time that this mall grants; whether it was done is not known.",
  ],
  SERVICE_UNAVAILABLE: ["unavailable", "The service cannot be reached."],
  DATABASE_UNAVAILABLE: ["unavailable", "The database cannot take the request at the moment."],
  AUTH_UNAVAILABLE: ["unavailable", "Tokens or permissions cannot be checked at the moment."],
} as const satisfies Record<string, readonly [FaultCode, string]>;

export type Reason = keyof typeof reasons;

const cartWrite: Reason[] = ["CART_NOT_FOUND", "CART_LOCKED", "CART_CONVERTED", "CART_CLAIMED"];
const purchase: Reason[] = ["CART_NOT_FOUND", "CART_EMPTY", "ITEM_UNAVAILABLE"];
const payment: Reason[] = [
  "PAYMENT_METHOD_UNKNOWN",
  "PAYMENT_DECLINED",
  "PAYMENT_IN_PROGRESS",
  "CHECKOUT_INTERRUPTED",
];

/** Refusals that only the application of a method knows; all others follow from its contract. */
export const ownReasons: Record<string, readonly Reason[]> = {
  Register: ["REGISTRATION_CLOSED", "EMAIL_TAKEN", "OVERLOADED"],
  Login: ["INVALID_CREDENTIALS", "RATE_LIMITED", "USER_BLOCKED", "OVERLOADED"],
  RevokeSession: ["SESSION_NOT_FOUND"],
  RefreshToken: ["UNAUTHENTICATED", "REFRESH_TOKEN_REUSED"],
  RequestEmailVerification: ["ACCOUNT_NOT_FOUND"],
  VerifyEmail: ["CODE_INVALID"],
  RequestEmailChange: ["INVALID_CREDENTIALS", "RATE_LIMITED", "OVERLOADED"],
  ConfirmEmailChange: ["CODE_INVALID", "EMAIL_TAKEN"],
  ChangePassword: ["INVALID_CREDENTIALS", "RATE_LIMITED", "OVERLOADED"],
  ResetPassword: ["CODE_INVALID", "OVERLOADED"],
  GetUserAccess: ["ACCOUNT_NOT_FOUND"],
  SetUserStatus: ["ACCOUNT_NOT_FOUND", "LAST_ADMIN"],
  GrantRole: ["ACCOUNT_NOT_FOUND", "ROLE_NOT_FOUND", "ROLE_LIMIT"],
  RevokeRole: ["ACCOUNT_NOT_FOUND", "LAST_ADMIN"],
  SetConfig: ["SETTING_NOT_FOUND", "OVERLOADED"],
  ResetConfig: ["SETTING_NOT_FOUND", "OVERLOADED"],
  RollbackConfig: ["REVISION_NOT_FOUND", "OVERLOADED"],
  SetRole: ["POLICY_LIMIT"],
  SetRule: ["POLICY_LIMIT"],
  CreateApiKey: ["SCOPES_EXCEEDED", "API_KEY_LIMIT"],
  RotateApiKey: ["API_KEY_NOT_FOUND"],
  RevokeApiKey: ["API_KEY_NOT_FOUND"],
  DeleteRole: ["ROLE_NOT_FOUND"],
  DeleteRule: ["RULE_NOT_FOUND"],
  UnblockUser: ["BLOCKED_USER_NOT_FOUND"],
  BlockUser: ["ACCOUNT_NOT_FOUND", "POLICY_LIMIT"],
  GetMe: ["ACCOUNT_NOT_FOUND"],
  UpdateMe: ["ACCOUNT_NOT_FOUND"],
  ExportMe: ["ACCOUNT_NOT_FOUND"],
  DeleteMe: ["INVALID_CREDENTIALS", "RATE_LIMITED", "OVERLOADED"],
  GetUser: ["USER_NOT_FOUND"],
  CreateAddress: ["ACCOUNT_NOT_FOUND", "ADDRESS_LIMIT"],
  UpdateAddress: ["ACCOUNT_NOT_FOUND", "ADDRESS_NOT_FOUND"],
  DeleteAddress: ["ACCOUNT_NOT_FOUND", "ADDRESS_NOT_FOUND"],
  GetCart: ["CART_NOT_FOUND"],
  GetMyCart: ["CART_NOT_FOUND"],
  AddItem: [...cartWrite, "VARIANT_NOT_FOUND", "CART_LIMIT", "QUANTITY_LIMIT"],
  SetItemQuantity: [...cartWrite, "ITEM_NOT_FOUND"],
  RemoveItem: cartWrite,
  EmptyCart: cartWrite,
  ClaimCart: ["CART_NOT_FOUND", "CART_LOCKED", "CART_CONVERTED", "CART_LIMIT"],
  ApplyCoupon: [...cartWrite, "COUPON_NOT_APPLICABLE"],
  RemoveCoupon: cartWrite,
  CreateCoupon: ["COUPON_CODE_TAKEN"],
  GetCoupon: ["COUPON_NOT_FOUND"],
  GetProduct: ["PRODUCT_NOT_FOUND"],
  GetStock: ["VARIANT_NOT_FOUND"],
  AdjustStock: ["VARIANT_NOT_FOUND", "VARIANT_NOT_TRACKED", "OUT_OF_STOCK", "STOCK_LIMIT"],
  ListMovements: ["VARIANT_NOT_FOUND"],
  ReceiveStock: ["VARIANT_NOT_FOUND", "VARIANT_NOT_TRACKED", "STOCK_LIMIT"],
  ImportProducts: ["NOT_A_CATALOGUE"],
  QuoteCheckout: purchase,
  PlaceOrder: [
    ...purchase,
    "CART_LOCKED",
    "CART_CONVERTED",
    "CART_CLAIMED",
    "OUT_OF_STOCK",
    "PRICE_CHANGED",
    "HOLD_LIMIT_EXCEEDED",
    "COUPON_NOT_APPLICABLE",
    "ACCOUNT_NOT_FOUND",
    "CHECKOUT_CLOSED",
    "OVERLOADED",
    ...payment,
  ],
  PayCheckout: [
    "CHECKOUT_NOT_FOUND",
    "CHECKOUT_EXPIRED",
    "CHECKOUT_IN_PROGRESS",
    "CHECKOUT_STATE_INVALID",
    "CHECKOUT_CLOSED",
    "OVERLOADED",
    ...payment,
  ],
  GetCheckout: ["CHECKOUT_NOT_FOUND"],
  GetOrder: ["ORDER_NOT_FOUND"],
  ListOrderEvents: ["ORDER_NOT_FOUND"],
  CancelOrder: ["ORDER_NOT_FOUND", "ORDER_STATE_INVALID", "ORDER_PAYMENT_IN_PROGRESS"],
  CreateRefund: ["PAYMENT_NOT_FOUND", "PAYMENT_STATE_INVALID", "REFUND_EXCEEDS_PAYMENT"],
  GetPayment: ["PAYMENT_NOT_FOUND"],
  ListPayments: ["ORDER_NOT_FOUND"],
};

/** All refusals of a method that the documents name. */
export function reasonsOf(method: DescMethod, takesBearer: boolean): Reason[] {
  const policy = policyOf(method);
  const found: Reason[] = ["VALIDATION"];
  if (takesBearer) found.push("UNAUTHENTICATED", "TOKEN_EXPIRED", "TOKEN_STALE", "USER_BLOCKED");
  // a rule of the operators may refuse everybody
  found.push("FORBIDDEN", "AUTH_UNAVAILABLE");
  if (policy?.idempotency === Idempotency.KEY_REQUIRED) {
    found.push("IDEMPOTENCY_KEY_REQUIRED", "IDEMPOTENCY_KEY_IN_FLIGHT");
    found.push("IDEMPOTENCY_KEY_REUSED", "IDEMPOTENCY_ANSWER_LOST");
  }
  if (method.input.field.expectedVersion) found.push("VERSION_MISMATCH");
  if (httpRuleOf(method)?.hasBody)
    found.push("PAYLOAD_TOO_LARGE", "UNSUPPORTED_MEDIA_TYPE", "REQUEST_TIMEOUT");
  return [
    ...new Set([
      ...found,
      ...(ownReasons[method.name] ?? []),
      ...["URI_TOO_LONG", "HEADERS_TOO_LARGE"],
      ...["SERVICE_UNAVAILABLE", "DATABASE_UNAVAILABLE", "OVERLOADED", "DEADLINE_EXCEEDED", "RATE_LIMITED"],
    ] as Reason[]),
  ];
}

/** HTTP status of a refusal. */
export function statusOf(reason: Reason): number {
  const { code } = fault(reasons[reason][0], reason, "");
  return restStatus(code, reason);
}

async function problemExample(reason: Reason): Promise<{ value: unknown }> {
  const [code, meaning] = reasons[reason];
  const violations = reason === "VALIDATION" ? [{ pointer: "#/quantity", detail: "must be at least 1" }] : [];
  const detail = violations[0]?.detail ?? meaning.replaceAll("`", "");
  const refused = fault(code, reason, detail, { violations });
  return { value: await problemResponse(refused, "019ab3c4-5d6e-7f80-9a1b-2c3d4e5f6071").json() };
}

/** For every reason the body that clients get, made by the code that makes the real ones. */
export const problemExamples: Record<string, { value: unknown }> = Object.fromEntries(
  await Promise.all(
    (Object.keys(reasons) as Reason[]).map(async (reason) => [reason, await problemExample(reason)] as const),
  ),
);
