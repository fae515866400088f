"""The errors of WebSocket connections state whether a request may have been processed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage import ConnectionFailed, ConnectorError, VendorFailed
from moorage.domain.connectors.websocket_failures import (
    Closure,
    OpeningFault,
    closing_error,
    opening_error,
    refused_opening,
    reply_timeout,
)
from moorage.domain.resilience.health import may_have_acted


@pytest.mark.parametrize("fault", OpeningFault)
def test_nothing_was_processed_if_websocket_connection_could_not_be_opened(
    fault: OpeningFault,
) -> None:
    """If a WebSocket connection could not be opened, nothing was processed."""
    error = opening_error(fault)

    assert not may_have_acted(error)
    assert (fault in {OpeningFault.REFUSED, OpeningFault.TIMEOUT}) is error.retryable


@given(st.integers(200, 599), st.none() | st.floats(0, 1000))
def test_nothing_was_processed_if_server_refuses_websocket_connection(
    status: int, retry_after: float | None
) -> None:
    """If a server refuses a WebSocket connection with any status, nothing was processed."""
    error = refused_opening(status, retry_after)

    assert not may_have_acted(error)
    assert retry_after == error.vendor_retry_after
    assert f"HTTP {status}" in error.message


@pytest.mark.parametrize(
    "closure, kind, retryable",
    [
        (Closure(), ConnectionFailed, True),
        (Closure(1000), ConnectionFailed, True),
        (Closure(1012), ConnectionFailed, True),
        (Closure(1011, by_client=True), ConnectionFailed, True),
        (Closure(1002, by_client=True), VendorFailed, False),
        (Closure(1009, by_client=True), VendorFailed, False),
        (Closure(1009), VendorFailed, False),
        (Closure(4000, "no"), VendorFailed, False),
    ],
)
def test_sent_request_may_have_been_processed_after_a_lost_connection(
    closure: Closure, kind: type[ConnectorError], retryable: bool
) -> None:
    """A request that was sent by WebSocket may have been processed if the connection was lost."""
    error = closing_error(closure, was_sent=True)

    assert (kind, retryable, True) == (type(error), error.retryable, may_have_acted(error))


@given(st.integers(1000, 4999))
def test_websocket_request_that_was_not_sent_may_be_sent_again(code: int) -> None:
    """A WebSocket request that was not sent may be sent again on a new connection."""
    error = closing_error(Closure(code), was_sent=False)

    assert (False, True) == (may_have_acted(error), error.retryable)


@pytest.mark.parametrize("was_sent", [False, True])
def test_reply_timeout_after_a_sent_request_counts_as_possibly_processed(was_sent: bool) -> None:
    """A WebSocket reply timeout counts as possibly processed only if the request had been sent."""
    assert was_sent is may_have_acted(reply_timeout(was_sent=was_sent))
