"""Metadata of gRPC calls: sent, received with answers, and received with errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from moorage import (
    AuthenticationFailed,
    ConnectorError,
    Credentials,
    InvalidData,
    RetryPolicy,
    Service,
    VendorRejected,
)
from moorage.adapters.grpc.methods import GrpcAnswer, GrpcMethod, packed_answer, unpacked_answer
from tests.adapters.grpc import shop_definitions as shop
from tests.adapters.grpc.grpc_harness import COLLECT, ECHO, Harness, HarnessServer

if TYPE_CHECKING:
    from collections.abc import Callable

POOL = shop.new_pool()
ORDER = shop.order_class(POOL)
GET: GrpcMethod[Any, Any] = GrpcMethod.of("/shop.Orders/Get", ORDER, ORDER, safe=True)


def test_an_answer_has_its_metadata(harness: Harness) -> None:
    """`call_with_metadata` returns initial and trailing metadata; binary values are bytes."""
    operation = harness.connector.call_with_metadata(GET, ORDER(order_id=7))
    answer: GrpcAnswer[Any] = harness.perform(operation)

    assert 7 == answer.value.order_id
    assert {"served-by": "harness", "token-bin": b"\x01\xff"}.items() <= dict(
        answer.initial_metadata
    ).items()
    assert (("cost", "7"),) == answer.trailing_metadata
    requests = [{"name": "a"}]
    collected = harness.perform(harness.connector.call_with_metadata(COLLECT, requests))
    assert ({"received": ["a"]}, ()) == (collected.value, collected.trailing_metadata)


def test_repeated_key_returns_stored_message(
    harnesses: Callable[..., Harness], server: HarnessServer
) -> None:
    """A protobuf answer is stored, with its metadata, and returned when a key is repeated."""
    harness = harnesses(server.address, service=Service("harness", timeout=20.0, circuit=None))
    method: GrpcMethod[Any, Any] = GrpcMethod.of("/shop.Orders/Put", ORDER, ORDER)
    for make in (harness.connector.call, harness.connector.call_with_metadata):
        operation = make(method, ORDER(order_id=7))
        first, second = (
            harness.perform(operation, idempotency_key=make.__name__, payload="7") for _ in range(2)
        )
        assert first == second
        stored = operation.pack_result(first)
        assert first == operation.unpack_result(stored)
    assert "plain" == unpacked_answer(method, packed_answer("plain"))


def test_metadata_are_sent_as_texts_and_bytes(harness: Harness) -> None:
    """Names of metadata that end in -bin require bytes; all other names require strings."""
    operation = harness.connector.call(ECHO, {}, metadata={"trace-bin": b"\x00", "trace": "a"})
    assert "a" == harness.perform(operation)["metadata"]["trace"]
    for wrong in ({"trace-bin": "a"}, {"trace": b"a"}):
        with pytest.raises(InvalidData, match="wrong type"):
            harness.connector.call(ECHO, {}, metadata=wrong)


@pytest.mark.parametrize("code", ["UNAUTHENTICATED", "NOT_FOUND", "INVALID_ARGUMENT"])
def test_an_error_does_not_repeat_the_credential(
    harnesses: Callable[..., Harness], server: HarnessServer, code: str
) -> None:
    """A credential that a server repeats in its error message, reason or details is masked."""
    secret = "token-4711-very-secret"
    harness = harnesses(server.address, credentials=Credentials.bearer(secret))
    named = bytes([len(secret)]) + secret.encode()
    reason = _any_message("google.rpc.ErrorInfo", b"\x0a" + named)
    fields = _any_message(
        "google.rpc.BadRequest", b"\x0a" + bytes([len(named) + 1]) + b"\x0a" + named
    )
    trailers = {"grpc-status-details-bin": (reason + fields).hex()}
    with pytest.raises((AuthenticationFailed, VendorRejected)) as excinfo:
        harness.call(do="fail", code=code, text=f"Bearer {secret} is bad", trailers=trailers)

    error: Any = excinfo.value
    assert secret not in f"{error!r}{error.vendor_message}{error.vendor_code}"
    assert "***" == error.vendor_code


def _any_message(name: str, value: bytes) -> bytes:
    url = f"type.googleapis.com/{name}".encode()
    content = b"\x0a" + bytes([len(url)]) + url + b"\x12" + bytes([len(value)]) + value
    return b"\x1a" + bytes([len(content)]) + content


@pytest.mark.parametrize(
    "trailers,pause",
    [
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "3", "grpc-retry-pushback-ms": "1500"}, 1.5),
    ],
)
def test_retry_after_in_trailing_metadata_sets_retry_delay(
    harness: Harness, trailers: dict[str, str], pause: float | None
) -> None:
    """Without gRPC's own pushback, `retry-after` in the trailing metadata sets the retry delay."""
    harness.protect(
        Service("harness", timeout=20.0, retry=RetryPolicy(max_attempts=1), circuit=None)
    )
    with pytest.raises(ConnectorError) as excinfo:
        harness.call(do="fail", code="RESOURCE_EXHAUSTED", trailers=trailers)
    assert pause == excinfo.value.vendor_retry_after
