import type { DescService } from "@bufbuild/protobuf";
import { AccountService } from "@mall/gen/mall/auth/v1/accounts_pb";
import { AuthService } from "@mall/gen/mall/auth/v1/auth_pb";
import { ConfigService } from "@mall/gen/mall/auth/v1/config_pb";
import { EmailService } from "@mall/gen/mall/auth/v1/email_pb";
import { ApiKeyService } from "@mall/gen/mall/auth/v1/keys_pb";
import { PasswordService } from "@mall/gen/mall/auth/v1/passwords_pb";
import { PolicyService } from "@mall/gen/mall/auth/v1/policy_pb";
import { SessionService } from "@mall/gen/mall/auth/v1/sessions_pb";
import { CartService } from "@mall/gen/mall/cart/v1/cart_pb";
import { CheckoutService } from "@mall/gen/mall/checkout/v1/checkout_pb";
import { Access, RateClass } from "@mall/gen/mall/common/v1/options_pb";
import { OrderService } from "@mall/gen/mall/order/v1/order_pb";
import { PaymentService } from "@mall/gen/mall/payment/v1/payment_pb";
import { InventoryService } from "@mall/gen/mall/product/v1/inventory_pb";
import { ProductService } from "@mall/gen/mall/product/v1/product_pb";
import { AddressService } from "@mall/gen/mall/user/v1/addresses_pb";
import { UserService } from "@mall/gen/mall/user/v1/user_pb";
import { httpRuleOf } from "@mall/kernel/rpc/http-rule";
import { bodyBytesMaxOf } from "@mall/kernel/rpc/limits";
import { isPublicRead, isRepeatable, policyOf } from "@mall/kernel/rpc/policy";
import { serviceOfPackage } from "@mall/kernel/topology";
import type { RateClassName, Route } from "./routes";

/** Every proto service of the mall. */
export const contract: readonly DescService[] = [
  AuthService,
  PolicyService,
  ApiKeyService,
  EmailService,
  PasswordService,
  AccountService,
  SessionService,
  ConfigService,
  UserService,
  AddressService,
  CartService,
  ProductService,
  InventoryService,
  CheckoutService,
  OrderService,
  PaymentService,
];

/** The route table of the gateway; methods for services only are not in it. `gen/routes.json` is made of it. */
export const routesOfContract = (): Route[] =>
  contract.flatMap((service) =>
    service.methods.flatMap((method): Route[] => {
      const { access, rateClass } = policyOf(method) ?? { access: Access.UNSPECIFIED, rateClass: 0 };
      if (access === Access.SERVICE || access === Access.UNSPECIFIED) return [];
      const rule = httpRuleOf(method);
      return [
        {
          service: serviceOfPackage(service.typeName)!,
          rpcPath: `/${service.typeName}/${method.name}`,
          rest: rule && { verb: rule.verb.toUpperCase(), pattern: rule.pattern },
          bodyBytesMax: bodyBytesMaxOf(method),
          isRepeatable: isRepeatable(method),
          isPublicRead: isPublicRead(method),
          rateClass: RateClass[rateClass] as RateClassName,
        },
      ];
    }),
  );
