/**
 * Who exists, who may call whom, and who listens to which event. The layer test holds the code against it, service
 * tokens are refused outside it, and the hosts derive ports and routes from it.
 */
export const services = {
  auth: { port: 8000, packages: ["mall.auth.v1"] },
  user: { port: 8001, packages: ["mall.user.v1"] },
  cart: { port: 8002, packages: ["mall.cart.v1"] },
  product: { port: 8003, packages: ["mall.product.v1"] },
  order: { port: 8004, packages: ["mall.order.v1"] },
  payment: { port: 8005, packages: ["mall.payment.v1"] },
  checkout: { port: 8006, packages: ["mall.checkout.v1"] },
} as const;

export const gatewayPort = 8080;

export type ServiceName = keyof typeof services;
export const serviceNames = Object.keys(services) as ServiceName[];

/** Everything that can hold a service token: the services, the gateway and the command line ("mall"). */
export type CallerName = ServiceName | "gateway" | "mall";

/** The call table: caller → services it may call. Acyclic; what all ask `auth` for is not in it. */
export const calls: Record<CallerName, readonly ServiceName[]> = {
  gateway: serviceNames,
  mall: serviceNames,
  checkout: ["cart", "product", "order", "payment", "user"],
  order: ["payment", "product"],
  cart: ["product"],
  user: ["auth"],
  auth: [],
  product: [],
  payment: [],
};

/** Whether a service takes calls of a caller: by the table, or because the kernel of every service asks auth. */
export const mayCall = (caller: CallerName, callee: ServiceName): boolean =>
  calls[caller].includes(callee) || (callee === "auth" && caller !== "auth");

/** Event subscriptions: full proto name of the event → services whose `/events` receives it. */
export const subscriptions: Record<string, readonly ServiceName[]> = {
  "mall.auth.v1.UserRegistered": ["user"],
  "mall.auth.v1.EmailVerificationRequested": ["auth"],
  "mall.auth.v1.EmailChangeRequested": ["auth"],
  "mall.auth.v1.EmailChanged": ["user"],
  "mall.auth.v1.PasswordResetRequested": ["auth"],
  "mall.auth.v1.PasswordChanged": ["auth"],
  "mall.order.v1.OrderCancelled": ["checkout"],
  "mall.payment.v1.PaymentRefunded": ["order"],
  "mall.product.v1.ProductChanged": ["cart"],
  "mall.user.v1.UserDeleted": ["auth", "order", "payment"],
};

/** The service that owns a proto package or a full RPC path ("/mall.cart.v1.CartService/AddItem"). */
export function serviceOfPackage(name: string): ServiceName | undefined {
  const parts = name.replace(/^\//, "").split(".");
  return parts[0] === "mall" && parts[1] !== undefined && parts[1] in services
    ? (parts[1] as ServiceName)
    : undefined;
}
