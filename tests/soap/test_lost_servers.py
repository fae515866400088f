"""SOAP servers that do not respond, close the connection, or are killed during a call."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from moorage import ConnectionFailed, DeadlineExceeded, OutcomeUnknown, Soap
from moorage.domain.resilience.health import may_have_acted
from moorage.testing import Behaviour
from tests.soap.soap_harness import ORDER, fetch, new_server, perform, soap
from tests.support.waiting import wait_until

both_modes = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])


@both_modes
@pytest.mark.parametrize("port", ["Old", "New"])
def test_silent_server_ends_with_the_deadline(port: str, is_async: bool) -> None:
    """A SOAP call without a timely response may have been processed, and is not sent again."""
    operation = soap(port=port).operation("PlaceOrder", order=ORDER)
    with new_server(port) as server:
        server.queue(Behaviour(raw=b""), Behaviour(raw=b""))
        with pytest.raises(DeadlineExceeded) as excinfo:
            perform(server.url, operation, is_async=is_async, timeout=1.0)
        assert may_have_acted(excinfo.value)
        with pytest.raises(OutcomeUnknown):
            perform(server.url, operation, is_async=is_async, timeout=1.0, idempotency_key="k")
        assert 2 == len(server.requests)


@both_modes
@pytest.mark.parametrize("options", [{}, {"idempotency_key": "k"}])
def test_outcome_is_unknown_if_server_is_killed_during_a_call(
    spyne: str, options: dict[str, Any], is_async: bool
) -> None:
    """If a SOAP server is killed during a call, its outcome is unknown, and no repeat is sent."""
    service = Soap(wsdl=fetch(spyne, "/?wsdl"))
    kind = OutcomeUnknown if options else ConnectionFailed
    with pytest.raises(kind) as excinfo:
        perform(spyne, service.operation("die", code="x"), is_async=is_async, **options)
    assert may_have_acted(excinfo.value)
    wait_until(lambda: not _listens(spyne), "the end of the server")
    with pytest.raises(ConnectionFailed) as excinfo:
        perform(spyne, service.operation("die", code="x"), is_async=is_async)
    assert not may_have_acted(excinfo.value)


def _listens(url: str) -> bool:
    host, _, port = url.removeprefix("http://").partition(":")
    try:
        socket.create_connection((host, int(port)), 1).close()
    except ConnectionRefusedError:
        return False
    except OSError:
        pass
    return True


@both_modes
def test_outcome_is_unknown_if_connection_ends_within_response(is_async: bool) -> None:
    """If the connection ends within a SOAP response, the outcome is unknown."""
    operation = soap().operation("PlaceOrder", order=ORDER)
    with new_server() as server:
        server.queue(Behaviour(200, {"Content-Length": "100"}, b"<e:Env", then="close"))
        with pytest.raises(OutcomeUnknown):
            perform(server.url, operation, is_async=is_async, idempotency_key="k")
