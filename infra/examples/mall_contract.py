"""The contract's messages and calls for Python, from the descriptors that `buf build` prints: nothing is generated."""
import subprocess
from pathlib import Path

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


def call(channel, service, method, request=None, metadata=(), timeout=20):
    package = service.rsplit(".", 1)[0]
    make = channel.unary_unary(
        f"/{service}/{method}",
        request_serializer=lambda m: m.SerializeToString(),
        response_deserializer=message(f"{package}.{method}Response").FromString,
    )
    return make(message(f"{package}.{method}Request")(**(request or {})), metadata=metadata, timeout=timeout)


def name_of(message, field):
    """Name of an enum's value, as ORDER_STATE_PAID."""
    descriptor = message.DESCRIPTOR.fields_by_name[field]
    return descriptor.enum_type.values_by_number[getattr(message, field)].name
