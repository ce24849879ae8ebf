import type { ClearTable } from "@mall/kernel/personal/clear-rows";

/** Codes are no words of a customer. */
const hasWords = "cancel_reason !~ '^[A-Z_]*$'";

/** Orders from before their buyers were sealed. */
export const clearOrders: ClearTable = {
  table: "orders",
  subject: "coalesce(user_id, id)",
  value: `jsonb_build_object('email', email, 'shippingAddress', shipping_address,
    'cancelWords', case when ${hasWords} then cancel_reason end)`,
  cleared: `email = '', shipping_address = '{}',
    cancel_reason = case when ${hasWords} then 'CUSTOMER' else cancel_reason end`,
};
