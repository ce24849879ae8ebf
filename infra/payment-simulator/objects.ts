import type Stripe from "stripe";

/** Stripe's objects as the books keep them: one refers to another by its id. Never changed, only replaced. */
export type PaymentIntent = Omit<Stripe.PaymentIntent, "latest_charge" | "payment_method"> & {
  latest_charge: string | null;
  payment_method: string | null;
};
export type Charge = Omit<Stripe.Charge, "payment_intent"> & { payment_intent: string };
export type Refund = Omit<Stripe.Refund, "charge" | "payment_intent" | "metadata"> & {
  charge: string;
  payment_intent: string;
  metadata: Stripe.Metadata;
};
export type PaymentMethod = Stripe.PaymentMethod & { card: Stripe.PaymentMethod.Card };
export type Event = Omit<Stripe.EventBase, "data" | "type"> & { type: string; data: { object: Stored } };

export interface Kinds {
  payment_intent: PaymentIntent;
  charge: Charge;
  refund: Refund;
  payment_method: PaymentMethod;
  event: Event;
}
export type Kind = keyof Kinds;
export type Stored = Kinds[Kind];

/** What a caller chooses of an intent. */
export type NewIntent = Pick<
  PaymentIntent,
  | "amount"
  | "currency"
  | "capture_method"
  | "confirmation_method"
  | "automatic_payment_methods"
  | "payment_method_types"
  | "metadata"
  | "description"
  | "receipt_email"
  | "statement_descriptor"
  | "statement_descriptor_suffix"
  | "setup_future_usage"
>;

/** An intent that nobody paid yet. */
export const newIntent = (id: string, created: number, chosen: NewIntent): PaymentIntent => ({
  id,
  object: "payment_intent",
  allowed_payment_method_types: null,
  amount_capturable: 0,
  amount_received: 0,
  application: null,
  application_fee_amount: null,
  canceled_at: null,
  cancellation_reason: null,
  client_secret: `${id}_secret_simulated`,
  created,
  customer: null,
  customer_account: null,
  excluded_payment_method_types: null,
  last_payment_error: null,
  latest_charge: null,
  livemode: false,
  managed_payments: null,
  next_action: null,
  on_behalf_of: null,
  payment_method: null,
  payment_method_configuration_details: null,
  payment_method_options: {},
  payment_record: null,
  processing: null,
  review: null,
  shipping: null,
  source: null,
  status: "requires_payment_method",
  transfer_group: null,
  ...chosen,
});

const nobody = { address: null, email: null, name: null, phone: null, tax_id: null };

/** An attempt to take the money of an intent, as yet without a result. */
export const newCharge = (
  id: string,
  created: number,
  intent: PaymentIntent,
  method: PaymentMethod,
): Charge => ({
  id,
  object: "charge",
  amount: intent.amount,
  amount_captured: 0,
  amount_refunded: 0,
  application: null,
  application_fee: null,
  application_fee_amount: null,
  balance_transaction: null,
  billing_details: nobody,
  calculated_statement_descriptor: null,
  captured: false,
  created,
  currency: intent.currency,
  customer: null,
  description: intent.description,
  disputed: false,
  failure_balance_transaction: null,
  failure_code: null,
  failure_message: null,
  fraud_details: null,
  livemode: false,
  metadata: intent.metadata,
  on_behalf_of: null,
  outcome: null,
  paid: false,
  payment_intent: intent.id,
  payment_method: method.id,
  payment_method_details: null,
  receipt_email: intent.receipt_email,
  receipt_number: null,
  receipt_url: null,
  refunded: false,
  review: null,
  shipping: null,
  source: null,
  source_transfer: null,
  statement_descriptor: intent.statement_descriptor,
  statement_descriptor_suffix: intent.statement_descriptor_suffix,
  status: "pending",
  transfer_data: null,
  transfer_group: null,
});

/** A card of a test token. Its fingerprint is the token: the same card has the same one. */
export const newMethod = (id: string, created: number, token: string): PaymentMethod => ({
  id,
  object: "payment_method",
  billing_details: nobody,
  card: {
    brand: "visa",
    checks: null,
    country: "US",
    display_brand: "visa",
    exp_month: 12,
    exp_year: 2040,
    fingerprint: token,
    funding: "credit",
    generated_from: null,
    last4: "4242",
    networks: null,
    regulated_status: null,
    three_d_secure_usage: null,
    wallet: null,
  },
  created,
  customer: null,
  customer_account: null,
  livemode: false,
  metadata: {},
  type: "card",
});

/** Money on its way back. */
export const newRefund = (
  id: string,
  created: number,
  charge: Charge,
  chosen: Pick<Refund, "amount" | "metadata" | "reason" | "status">,
): Refund => ({
  id,
  object: "refund",
  balance_transaction: null,
  charge: charge.id,
  created,
  currency: charge.currency,
  customer: null,
  customer_account: null,
  payment_intent: charge.payment_intent,
  payment_method: charge.payment_method,
  receipt_number: null,
  source_transfer_reversal: null,
  transfer_reversal: null,
  ...chosen,
});
