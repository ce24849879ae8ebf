import type { CallerName, ServiceName } from "@mall/kernel/topology";

/** What a caller meets: "in" is any answer that is no refusal of the caller, else the reason of the refusal. */
export type Verdict = "in" | "UNAUTHENTICATED" | "FORBIDDEN" | "ROUTE_NOT_FOUND";

/** People by what their token says. */
export type Person = "guest" | "customer" | "staff" | "admin";

/** A way to let people in, and what it answers machines and services that are not named. */
export interface Door {
  people: Record<Person, Verdict>;
  /** A machine whose key has other scopes. */
  machine: Verdict;
  /** A service that the call table lets call, but the operation does not name. */
  strangers: Verdict;
}

const signIn = "UNAUTHENTICATED";
const no = "FORBIDDEN";
/** The gateway knows no such path. */
const nowhere = "ROUTE_NOT_FOUND";

export const doors = {
  everyone: {
    machine: "in",
    people: { guest: "in", customer: "in", staff: "in", admin: "in" },
    strangers: "in",
  },
  signedIn: {
    machine: no,
    people: { guest: signIn, customer: "in", staff: "in", admin: "in" },
    strangers: signIn,
  },
  staff: {
    machine: no,
    people: { guest: signIn, customer: no, staff: "in", admin: "in" },
    strangers: signIn,
  },
  admin: { machine: no, people: { guest: signIn, customer: no, staff: no, admin: "in" }, strangers: signIn },
  services: {
    people: { guest: nowhere, customer: nowhere, staff: nowhere, admin: nowhere },
    machine: nowhere,
    strangers: no,
  },
} as const satisfies Record<string, Door>;

/** Whose service tokens a service takes; those of all others it refuses with UNAUTHENTICATED, whatever they ask for. */
export const reaches: Readonly<Record<ServiceName, readonly CallerName[]>> = {
  auth: ["gateway", "mall", "user", "cart", "product", "order", "payment", "checkout"],
  user: ["gateway", "mall", "checkout"],
  cart: ["gateway", "mall", "checkout"],
  product: ["gateway", "mall", "cart", "order", "checkout"],
  order: ["gateway", "mall", "checkout"],
  payment: ["gateway", "mall", "order", "checkout"],
  checkout: ["gateway", "mall"],
};

/** Tokens that every operation refuses, and why. */
export const refused = {
  expired: "TOKEN_EXPIRED",
  forged: "UNAUTHENTICATED",
  stale: "TOKEN_STALE",
  ended: "UNAUTHENTICATED",
  blocked: "USER_BLOCKED",
} as const;

/** Whose object an operation works on, which nobody else may see. */
export type OwnObject = "cart" | "order" | "checkout" | "apiKey" | "address" | "session";

/** Who may call one operation. */
export interface Expected {
  door: keyof typeof doors;
  /** Services that it names. */
  services?: readonly CallerName[];
  /** It opens for the owner or the holder of a secret only; to others the object does not exist. */
  object?: OwnObject;
  /** It opens to a machine whose key has the scope stock.read; no other one that asks for roles does. */
  isStockRead?: true;
  /** A second call with the same token is refused. */
  endsSession?: true;
}

const everyone: Expected = { door: "everyone" };
const signedIn: Expected = { door: "signedIn" };
const staff: Expected = { door: "staff" };
const staffAndCommands: Expected = { door: "staff", services: ["mall"] };
const adminAndCommands: Expected = { door: "admin", services: ["mall"] };
const services = (...names: CallerName[]): Expected => ({ door: "services", services: names });
const holderOf = (object: OwnObject): Expected => ({ door: "everyone", object });

/**
 * The expected verdict of every operation there is, by its name; written by hand and looked at by people, so that an
 * option in proto/ which opens a door by mistake meets somebody who did not expect it.
 */
export const expected: Readonly<Record<string, Expected>> = {
  GetPublicKeys: everyone,
  // each part of it is judged as a request of its own
  Batch: everyone,

  "AuthService/Register": everyone,
  "AuthService/Login": everyone,
  "AuthService/RefreshToken": everyone,
  "AuthService/Logout": { ...signedIn, endsSession: true },
  "AuthService/GetAccount": services("user"),
  "AuthService/VerifyPassword": services("user"),

  "SessionService/ListSessions": signedIn,
  "SessionService/RevokeSession": { ...signedIn, object: "session" },
  "SessionService/LogoutAll": { ...signedIn, endsSession: true },
  "SessionService/GetSessionStatus": services("user", "cart", "product", "order", "payment", "checkout"),
  "SessionService/ValidateToken": services("user", "cart", "product", "order", "payment", "checkout"),

  "EmailService/RequestEmailVerification": signedIn,
  "EmailService/VerifyEmail": everyone,
  "EmailService/RequestEmailChange": signedIn,
  "EmailService/ConfirmEmailChange": everyone,

  "PasswordService/ChangePassword": signedIn,
  "PasswordService/RequestPasswordReset": everyone,
  "PasswordService/ResetPassword": everyone,

  "AccountService/GetUserAccess": adminAndCommands,
  "AccountService/SetUserStatus": adminAndCommands,
  "AccountService/GrantRole": adminAndCommands,
  "AccountService/RevokeRole": adminAndCommands,

  "PolicyService/GetPolicy": services("user", "cart", "product", "order", "payment", "checkout"),
  "PolicyService/DescribePolicy": adminAndCommands,
  "PolicyService/SetRole": adminAndCommands,
  "PolicyService/DeleteRole": adminAndCommands,
  "PolicyService/SetRule": adminAndCommands,
  "PolicyService/DeleteRule": adminAndCommands,
  "PolicyService/BlockUser": adminAndCommands,
  "PolicyService/UnblockUser": adminAndCommands,
  "PolicyService/ListBlockedUsers": adminAndCommands,

  "ConfigService/GetConfig": adminAndCommands,
  "ConfigService/SetConfig": adminAndCommands,
  "ConfigService/ResetConfig": adminAndCommands,
  "ConfigService/ListConfigHistory": adminAndCommands,
  "ConfigService/RollbackConfig": adminAndCommands,

  "ApiKeyService/CreateApiKey": signedIn,
  "ApiKeyService/ListApiKeys": signedIn,
  "ApiKeyService/RotateApiKey": { ...signedIn, object: "apiKey" },
  "ApiKeyService/RevokeApiKey": { ...signedIn, object: "apiKey" },
  "ApiKeyService/VerifyApiKey": services("user", "cart", "product", "order", "payment", "checkout"),

  "UserService/GetMe": signedIn,
  "UserService/UpdateMe": signedIn,
  "UserService/ExportMe": signedIn,
  "UserService/DeleteMe": signedIn,
  "UserService/ListUsers": staff,
  "UserService/GetUser": staff,

  "AddressService/ListAddresses": signedIn,
  "AddressService/CreateAddress": signedIn,
  "AddressService/UpdateAddress": { ...signedIn, object: "address" },
  "AddressService/DeleteAddress": { ...signedIn, object: "address" },

  "CartService/CreateCart": everyone,
  "CartService/GetCart": holderOf("cart"),
  "CartService/GetMyCart": signedIn,
  "CartService/AddItem": holderOf("cart"),
  "CartService/SetItemQuantity": holderOf("cart"),
  "CartService/RemoveItem": holderOf("cart"),
  "CartService/EmptyCart": holderOf("cart"),
  "CartService/ClaimCart": { ...signedIn, object: "cart" },
  "CartService/ApplyCoupon": holderOf("cart"),
  "CartService/RemoveCoupon": holderOf("cart"),
  "CartService/CreateCoupon": staffAndCommands,
  "CartService/GetCoupon": staffAndCommands,
  "CartService/RedeemCoupon": services("checkout"),
  "CartService/ReleaseCoupon": services("checkout"),
  "CartService/LockCart": services("checkout"),
  "CartService/UnlockCart": services("checkout"),
  "CartService/ConvertCart": services("checkout"),

  "ProductService/ListProducts": everyone,
  "ProductService/GetProduct": everyone,
  "ProductService/BatchGetVariants": services("cart", "checkout"),
  "ProductService/ImportProducts": staffAndCommands,

  "InventoryService/GetStock": { ...staffAndCommands, isStockRead: true },
  "InventoryService/AdjustStock": staffAndCommands,
  "InventoryService/ReceiveStock": staffAndCommands,
  "InventoryService/ListMovements": { ...staffAndCommands, isStockRead: true },
  "InventoryService/ReserveStock": services("checkout"),
  "InventoryService/ExtendStock": services("checkout"),
  "InventoryService/ClaimStock": services("checkout"),
  "InventoryService/ReleaseStock": services("checkout"),
  "InventoryService/RestockStock": services("order"),
  "InventoryService/ReconcileStock": services("mall"),

  "CheckoutService/QuoteCheckout": holderOf("cart"),
  "CheckoutService/PlaceOrder": holderOf("cart"),
  "CheckoutService/PayCheckout": holderOf("checkout"),
  "CheckoutService/GetCheckout": holderOf("checkout"),

  "OrderService/GetOrder": { ...holderOf("order"), services: ["checkout"] },
  "OrderService/ListOrders": signedIn,
  "OrderService/ListOrderEvents": holderOf("order"),
  "OrderService/CancelOrder": holderOf("order"),
  "OrderService/CreateOrder": services("checkout"),
  "OrderService/BeginOrderPayment": services("checkout"),
  "OrderService/EndOrderPayment": services("checkout"),
  "OrderService/MarkOrderPaid": services("checkout"),
  "OrderService/AbandonOrder": services("checkout"),

  "PaymentService/CreateRefund": staff,
  "PaymentService/GetPayment": staffAndCommands,
  "PaymentService/ListPayments": holderOf("order"),
  "PaymentService/AuthorizePayment": services("checkout"),
  "PaymentService/CapturePayment": services("checkout"),
  "PaymentService/VoidPayment": services("checkout", "order"),
  "PaymentService/VoidOrderPayments": services("order"),
  "PaymentService/ReconcilePayments": services("mall"),
};
