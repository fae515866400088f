"""A gRPC server for the connector's tests, run as a separate process.

The first argument is the port, which the server prints once it serves. If the second argument is a
folder with `server.pem`, `server.key` and optionally `client-ca.pem`, the server uses TLS. Requests
and answers are JSON; a request's `do` names the action. The server also serves `shop.Orders`, and
reflection unless MOORAGE_HARNESS_NO_REFLECTION is set.
"""

from __future__ import annotations

import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

sys.path.insert(0, str(Path(__file__).parents[3]))
from tests.adapters.grpc import shop_definitions as shop

if TYPE_CHECKING:
    from collections.abc import Iterator

counts: dict[str, int] = {}


def perform_action(request: dict[str, Any], context: Any) -> dict[str, Any]:
    """Perform the action in the request (fail, sleep, ...) and return the answer."""
    name = request.get("name", "")
    counts[name] = counts.get(name, 0) + 1
    match request.get("do"):
        case "fail" if counts[name] <= request.get("times", 1_000_000):
            trailers = [
                (key, bytes.fromhex(value) if key.endswith("-bin") else value)
                for key, value in request.get("trailers", {}).items()
            ]
            context.set_trailing_metadata(trailers)
            code = request["code"] if counts[name] == 1 else request.get("then", request["code"])
            context.abort(grpc.StatusCode[code], request.get("text", ""))
        case "demand" if dict(context.invocation_metadata()).get("authorization") != request["of"]:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "The token is stale.")
        case "trail":
            context.set_trailing_metadata([("note", "x" * request["size"])])
        case "sleep":
            time.sleep(request["seconds"])
        case "die":
            os._exit(1)
        case "answer":
            return {"text": "x" * request["size"]}
        case "garble":
            return {"garbled": True}
        case "unhealthy":
            servicer.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
        case "count":
            return {"count": counts.get(request["of"], 0)}
        case _:
            pass
    return {
        "name": name,
        "left": context.time_remaining(),
        "metadata": {
            key: value for key, value in context.invocation_metadata() if isinstance(value, str)
        },
    }


def echo(request: dict[str, Any], context: Any) -> dict[str, Any]:
    """Return the request's content as the answer."""
    return perform_action(request, context)


def count(request: dict[str, Any], context: Any) -> Iterator[dict[str, Any]]:
    """Stream numbers; when the number `at` is reached, perform the requested action."""
    for number in range(request.get("answers", 3)):
        if number == request.get("at"):
            perform_action(request, context)
        yield {"number": number}


def collect(requests: Iterator[dict[str, Any]], context: Any) -> dict[str, Any]:
    """Return the names of all streamed requests in one answer."""
    received = []
    for request in requests:
        perform_action(request, context)
        received.append(request.get("name"))
    return {"received": received}


def chat(requests: Iterator[dict[str, Any]], context: Any) -> Iterator[dict[str, Any]]:
    """Stream a response to each request."""
    for request in requests:
        yield perform_action(request, context)


def add_shop(server: grpc.Server) -> None:
    """Add the `shop.Orders` service to the server; the service's messages are protobuf."""
    pool = shop.new_pool()
    order: Any = shop.order_class(pool)

    def get(request: Any, context: Any) -> Any:
        context.send_initial_metadata([("served-by", "harness"), ("token-bin", b"\x01\xff")])
        context.set_trailing_metadata([("cost", "7")])
        return order(order_id=request.order_id, notes=["found", *request.notes], due=request.due)

    codec: dict[str, Any] = {
        "request_deserializer": order.FromString,
        "response_serializer": order.SerializeToString,
    }
    methods = {
        "Get": grpc.unary_unary_rpc_method_handler(get, **codec),
        "Put": grpc.unary_unary_rpc_method_handler(get, **codec),
        "Watch": grpc.unary_stream_rpc_method_handler(lambda one, _: iter([one, one]), **codec),
    }
    handler = grpc.method_handlers_generic_handler("shop.Orders", methods)
    server.add_generic_rpc_handlers((handler,))
    if "MOORAGE_HARNESS_NO_REFLECTION" not in os.environ:
        reflection.enable_server_reflection(
            ("shop.Orders", reflection.SERVICE_NAME), server, pool=pool
        )


def write(answer: dict[str, Any]) -> bytes:
    """Serialize a response as JSON, or as invalid bytes if its content demands this."""
    return b"\xff" if "garbled" in answer else json.dumps(answer).encode()


CODEC: dict[str, Any] = {"request_deserializer": json.loads, "response_serializer": write}
servicer = health.HealthServicer()


class TokenGuard(grpc.ServerInterceptor):  # type: ignore[type-arg]  # generic in its stubs alone
    """An interceptor that refuses calls that do not carry the right token.

    Args:
        token: the token.
    """

    def __init__(self, token: str) -> None:
        self._expected = ("authorization", f"Bearer {token}")

        def refuse_request(_: Any, context: Any) -> None:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "the token is wrong")

        self._refusal = grpc.unary_unary_rpc_method_handler(refuse_request)

    def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        """Return the handler of a call with the right token, otherwise one that refuses it."""
        if self._expected in handler_call_details.invocation_metadata:
            return continuation(handler_call_details)
        return self._refusal


def main(number: str, folder: Path | None) -> None:
    """Serve on a port until the process is killed."""
    token = os.environ.get("MOORAGE_HARNESS_TOKEN")
    server = grpc.server(
        ThreadPoolExecutor(16),
        interceptors=[] if token is None else [TokenGuard(token)],
        options=[("grpc.so_reuseport", 0)],
    )
    methods = {
        "Echo": grpc.unary_unary_rpc_method_handler(echo, **CODEC),
        "Count": grpc.unary_stream_rpc_method_handler(count, **CODEC),
        "Collect": grpc.stream_unary_rpc_method_handler(collect, **CODEC),
        "Chat": grpc.stream_stream_rpc_method_handler(chat, **CODEC),
    }
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("harness.Harness", methods),)
    )
    add_shop(server)
    servicer.set("", health_pb2.HealthCheckResponse.SERVING)
    if "MOORAGE_HARNESS_GARBLED_HEALTH" in os.environ:
        garbled = {"Check": grpc.unary_unary_rpc_method_handler(lambda _, __: b"\xff\xff")}
        handler = grpc.method_handlers_generic_handler("grpc.health.v1.Health", garbled)
        server.add_generic_rpc_handlers((handler,))
    elif "MOORAGE_HARNESS_NO_HEALTH" not in os.environ:
        health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    address = f"127.0.0.1:{number}"
    if folder is None:
        port = server.add_insecure_port(address)
    else:
        authority = folder / "client-ca.pem"
        port = server.add_secure_port(
            address,
            grpc.ssl_server_credentials(
                [((folder / "server.key").read_bytes(), (folder / "server.pem").read_bytes())],
                authority.read_bytes() if authority.exists() else None,
                require_client_auth=authority.exists(),
            ),
        )
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    server.wait_for_termination()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]) if len(sys.argv) > 2 else None)
