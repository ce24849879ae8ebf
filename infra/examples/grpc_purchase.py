"""Buys something over plain gRPC: python3 infra/examples/grpc_purchase.py [localhost:9080]

Needs grpcio and protobuf (Debian: python3-grpcio, python3-protobuf). Messages come from the contract itself, see
mall_contract.py; with grpcio-tools you would generate them from proto/ instead.
"""
import sys
import uuid

import grpc
import mall_contract

channel = grpc.insecure_channel(sys.argv[1] if len(sys.argv) > 1 else "localhost:9080")


def call(service, method, request=None, **metadata):
    """Calls an RPC; raises grpc.RpcError with code and reason when the mall refuses."""
    headers = [(name.replace("_", "-"), value) for name, value in metadata.items()]
    return mall_contract.call(channel, service, method, request, headers)


found = call("mall.product.v1.ProductService", "ListProducts", {"q": "trail mug"})
variant = next(v for product in found.products for v in product.variants if v.available > 0)

# a guest's cart belongs to whoever knows its secret
made = call("mall.cart.v1.CartService", "CreateCart")
line = {"cart_id": made.cart.id, "variant_id": variant.id, "quantity": 1}
call("mall.cart.v1.CartService", "AddItem", line, x_cart_secret=made.cart_secret)

address = {"name": "Ada", "line1": "1 Way", "city": "Austin", "region": "TX", "postal_code": "78701", "country": "US"}
ask = {
    "cart_id": made.cart.id,
    "email": "ada@example.com",
    "shipping_address": address,
    "shipping_option": "standard",
    "payment": {"method": "fake", "token": "tok_ok"},
}
# as often as it is sent with one key, there is one order
proof = {"x_cart_secret": made.cart_secret, "idempotency_key": str(uuid.uuid4())}
placed = call("mall.checkout.v1.CheckoutService", "PlaceOrder", ask, **proof)
assert call("mall.checkout.v1.CheckoutService", "PlaceOrder", ask, **proof) == placed

ask = {"order_id": placed.order.id}
order = call("mall.order.v1.OrderService", "GetOrder", ask, x_order_secret=placed.order_secret).order
print(order.number, mall_contract.name_of(order, "state"), order.total.minor, order.total.currency)
