"""Buys something over gRPC with the C core: python3 infra/legs/grpc_purchase.py host:port"""
import sys
import uuid
from pathlib import Path

import grpc

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))
import mall_contract

channel = grpc.insecure_channel(sys.argv[1])


def call(service, method, request=None, metadata=()):
    return mall_contract.call(channel, service, method, request, metadata)


def refused(code, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except grpc.RpcError as error:
        assert error.code() == code, (error.code(), code)
        return dict(error.trailing_metadata())
    raise AssertionError(f"{args} should have been refused with {code}")


products = call("mall.product.v1.ProductService", "ListProducts", {"page_size": 50}).products
variant = next(v for p in products for v in p.variants if v.available > 20)
made = call("mall.cart.v1.CartService", "CreateCart")
held = (("x-cart-secret", made.cart_secret),)
call("mall.cart.v1.CartService", "AddItem", {"cart_id": made.cart.id, "variant_id": variant.id, "quantity": 1}, held)
ask = {
    "cart_id": made.cart.id,
    "email": "ada@example.com",
    "shipping_address": {
        "name": "Ada", "line1": "1 Way", "city": "Austin", "region": "TX", "postal_code": "78701", "country": "US",
    },
    "shipping_option": "standard",
    "payment": {"method": "fake", "token": "tok_ok"},
}
refused(grpc.StatusCode.INVALID_ARGUMENT, "mall.checkout.v1.CheckoutService", "PlaceOrder", ask, held)
keyed = held + (("idempotency-key", str(uuid.uuid4())),)
placed = call("mall.checkout.v1.CheckoutService", "PlaceOrder", ask, keyed)
assert placed.order.state == 2, placed.order.state
assert call("mall.checkout.v1.CheckoutService", "PlaceOrder", ask, keyed) == placed
opened = (("x-order-secret", placed.order_secret),)
read = call("mall.order.v1.OrderService", "GetOrder", {"order_id": placed.order.id}, opened)
assert read.order == placed.order
details = refused(grpc.StatusCode.NOT_FOUND, "mall.order.v1.OrderService", "GetOrder", {"order_id": placed.order.id})
assert b"ORDER_NOT_FOUND" in details["grpc-status-details-bin"]
refused(grpc.StatusCode.UNAUTHENTICATED, "mall.user.v1.UserService", "GetMe")
print(f"order {read.order.number} is PAID")
