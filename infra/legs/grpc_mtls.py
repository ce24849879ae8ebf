"""Calls a service over gRPC and mutual TLS with the C core: python3 infra/legs/grpc_mtls.py host:port spiffe-id

TLS_CA, TLS_CERT and TLS_KEY are the files of the caller, SERVICE_TOKEN is its token for the service. The C core compares the
name that it is told to expect with the URI in the certificate; brackets keep it from taking the colon for that of a port.
"""
import os
import sys
from pathlib import Path

import grpc

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))
import mall_contract

target, service = sys.argv[1:]
ca, cert, key = (Path(os.environ[name]).read_bytes() for name in ("TLS_CA", "TLS_CERT", "TLS_KEY"))
token = (("x-service-token", os.environ["SERVICE_TOKEN"]),)


def products(expected, credentials, metadata):
    options = (("grpc.ssl_target_name_override", f"[{expected}]"), ("grpc.default_authority", target.split(":")[0]))
    with grpc.secure_channel(target, credentials, options) as channel:
        answer = mall_contract.call(channel, "mall.product.v1.ProductService", "ListProducts", {"page_size": 3}, metadata)
        return len(answer.products)


def code_of(expected, credentials, metadata):
    try:
        products(expected, credentials, metadata)
    except grpc.RpcError as error:
        return error.code().name
    return "OK"


mutual = grpc.ssl_channel_credentials(ca, key, cert)
assert products(service, mutual, token) == 3
print("without a token", code_of(service, mutual, ()))
print("without a certificate", code_of(service, grpc.ssl_channel_credentials(ca), token))
print("expecting another service", code_of(service.replace("product", "cart"), mutual, token))
