"""The errors for gRPC status codes and their details."""

from __future__ import annotations

import pytest
from google.protobuf import any_pb2, duration_pb2
from hypothesis import given
from hypothesis import strategies as st

from moorage import (
    AttemptTimeout,
    ConnectionFailed,
    InvalidRequest,
    VendorFailed,
    VendorRejected,
)
from moorage.domain.connectors.grpc_failures import GrpcFault, GrpcPhase, grpc_error
from moorage.domain.connectors.grpc_status import GrpcDetails, details_of
from moorage.domain.connectors.protobuf_wire import (
    bytes_of,
    message_fields,
    number_of,
    text_field,
)

CONNECTING, SENT = GrpcPhase.CONNECTING, GrpcPhase.SENT


def message(number: int, content: bytes) -> bytes:
    """Return a Protocol Buffers field with a short message."""
    return bytes([number << 3 | 2, len(content)]) + content


def detail(name: str, content: bytes) -> bytes:
    """Return one detail message of a `google.rpc.Status`."""
    packed_detail = any_pb2.Any(type_url=f"type.googleapis.com/{name}", value=content)
    return message(3, packed_detail.SerializeToString())


def test_details_are_read_from_the_trailing_metadata() -> None:
    """Delay, reason and invalid fields are read from a gRPC status's trailing metadata."""
    delay = duration_pb2.Duration(seconds=2, nanos=500_000_000)
    status = (
        b"\x08\x03"
        + text_field(2, "wrong")
        + detail("google.rpc.RetryInfo", message(1, delay.SerializeToString()))
        + detail("google.rpc.ErrorInfo", text_field(1, "STOCK_EMPTY") + text_field(2, "shop"))
        + detail("google.rpc.BadRequest", message(1, text_field(1, "article")))
    )
    details = details_of([("grpc-status-details-bin", status), ("x", "y")])

    assert (2.5, "STOCK_EMPTY", "shop") == (details.retry_after, details.reason, details.domain)
    assert ("article",) == details.fields
    assert 3 == len(details.details)
    assert details_of([("grpc-status-details-bin", detail("shop.Other", b""))]).details
    error = grpc_error(GrpcFault(code="INVALID_ARGUMENT", details=details), SENT)
    assert isinstance(error, InvalidRequest)
    assert "(fields: article)" in error.message
    assert ("STOCK_EMPTY", 2.5) == (error.vendor_code, error.vendor_retry_after)


@pytest.mark.parametrize(
    "trailers,details",
    [
        ([], GrpcDetails()),
        ([("grpc-status-details-bin", b"\xff")], GrpcDetails()),
        ([("grpc-status-details-bin", b"x" * 70_000)], GrpcDetails()),
        ([("grpc-retry-pushback-ms", "1500")], GrpcDetails(retry_after=1.5)),
        ([("grpc-retry-pushback-ms", "-1")], GrpcDetails(no_retry=True)),
        ([("grpc-retry-pushback-ms", "soon")], GrpcDetails(no_retry=True)),
    ],
)
def test_unreadable_details_are_left_out(
    trailers: list[tuple[str, str | bytes]], details: GrpcDetails
) -> None:
    """Unreadable gRPC details are left out.

    A retry pushback that is not a number forbids retries.
    """
    assert details == details_of(trailers)


@given(st.text(max_size=200), st.sampled_from(["UNAVAILABLE", "UNKNOWN", "A_NEW_CODE"]))
def test_grpc_call_may_have_been_processed_once_sent(text: str, code: str) -> None:
    """Once sent, a gRPC call may have been processed, whatever the text of the server's error."""
    error = grpc_error(GrpcFault(code=code, message=f"failed to connect {text}"), SENT)
    assert getattr(error, "may_have_been_processed", True)
    assert not isinstance(error, VendorRejected)


@given(st.text(max_size=200), st.sampled_from(["UNAVAILABLE", "DEADLINE_EXCEEDED", "OTHER"]))
def test_a_call_without_a_connection_was_not_sent(text: str, code: str) -> None:
    """A gRPC call that failed before there was a connection was not sent."""
    error = grpc_error(GrpcFault(code=code, message=text), CONNECTING)
    assert isinstance(error, ConnectionFailed)
    assert not error.may_have_been_processed
    if code == "DEADLINE_EXCEEDED":
        assert isinstance(error, AttemptTimeout)


def test_a_request_too_large_for_the_server_is_refused() -> None:
    """A gRPC request that is too large for the server is an InvalidRequest."""
    text = "SERVER: Received message larger than max (5 vs. 1)"
    error = grpc_error(GrpcFault(code="RESOURCE_EXHAUSTED", message=text), SENT)
    assert isinstance(error, InvalidRequest)


@pytest.mark.parametrize("limit", ["soft limit (12466 vs. 8192)", "hard limit (16610 vs. 16384)"])
def test_response_with_too_much_metadata_leaves_the_outcome_open(limit: str) -> None:
    """A call whose response has too much metadata may have been processed, and is not repeated."""
    text = f"Stream removed (received metadata size exceeds {limit}; x-0:1035B)"
    error = grpc_error(GrpcFault(code="RESOURCE_EXHAUSTED", message=text), SENT)
    assert isinstance(error, VendorFailed)
    assert (True, False) == (error.may_have_been_processed, error.retryable)
    assert "grpc.max_metadata_size" in str(error)


@pytest.mark.parametrize("code, reset", [("RESOURCE_EXHAUSTED", 11), ("PERMISSION_DENIED", 12)])
def test_stream_reset_leaves_the_outcome_open(code: str, reset: int) -> None:
    """A call whose stream was reset may have been processed, whichever code grpc makes of it."""
    text = f"Stream removed (RST_STREAM (Received RST_STREAM with error code {reset}))"
    error = grpc_error(GrpcFault(code=code, message=text), SENT)
    assert isinstance(error, ConnectionFailed)
    assert error.may_have_been_processed


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """Bytes that are not a valid Protocol Buffers message raise ValueError and nothing else."""
    try:
        list(message_fields(data))
        bytes_of(data, 1)
        number_of(data, 1)
    except ValueError:
        assert data


def test_each_type_of_field_is_read() -> None:
    """Each type of Protocol Buffers field is read, except groups and fields that are cut off."""
    data = b"\x08\x96\x01" + b"\x15\x01\x02\x03\x04" + b"\x19" + bytes(8) + text_field(4, "ab" * 99)
    assert [
        (1, 150),
        (2, b"\x01\x02\x03\x04"),
        (3, bytes(8)),
        (4, b"ab" * 99),
    ] == list(message_fields(data))
    assert -1 == number_of(b"\x08" + b"\xff" * 9 + b"\x01", 1)
    assert 0 == number_of(b"", 1)
    for broken in (b"\x0b", b"\x0a\x05a", b"\x08", b"\x08" + b"\xff" * 10):
        with pytest.raises(ValueError, match=r"field|number"):
            list(message_fields(broken))
