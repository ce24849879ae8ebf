"""Buys something over gRPC with the C core: python3 infra/legs/grpc_purchase.py host:port

Messages are made from the descriptors that `buf build` prints, so no generated Python code is needed.
"""
import subprocess
import sys
import uuid
from pathlib import Path

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

root = Path(__file__).resolve().parents[2]
buf = root / "node_modules" / ".bin" / "buf"
image = subprocess.run([str(buf), "build", "-o", "-#format=binpb"], cwd=root, capture_output=True, check=True).stdout
files = descriptor_pb2.FileDescriptorSet.FromString(image)
pool = descriptor_pool.DescriptorPool()
pending = list(files.file)
while pending:
    file = next(f for f in pending if all(d not in {p.name for p in pending} for d in f.dependency))
    pool.Add(file)
    pending.remove(file)


def message(name):
    descriptor = pool.FindMessageTypeByName(name)
    if hasattr(message_factory, "GetMessageClass"):
        return message_factory.GetMessageClass(descriptor)
    return message_factory.MessageFactory(pool).GetPrototype(descriptor)


channel = grpc.insecure_channel(sys.argv[1])


def call(service, method, request=None, metadata=(), timeout=20):
    package = service.rsplit(".", 1)[0]
    make = channel.unary_unary(
        f"/{service}/{method}",
        request_serializer=lambda m: m.SerializeToString(),
        response_deserializer=message(f"{package}.{method}Response").FromString,
    )
    return make(message(f"{package}.{method}Request")(**(request or {})), metadata=metadata, timeout=timeout)


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
