"""Calls to services that use Negotiate (Kerberos), with tokens from the manager's negotiator."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any

import pytest

from moorage import (
    AuthenticationFailed,
    ConfigurationError,
    CredentialNotFound,
    Credentials,
    Request,
    RetryPolicy,
    Service,
)
from tests.support.modes import Harness, sync_and_async

if TYPE_CHECKING:
    from collections.abc import Sequence

GET = Request.get("/ledger")
BOOKS = Service(
    "books",
    base_url="https://books.example:8443/v1",
    circuit=None,
    retry=RetryPolicy(2, 0),
    credentials=Credentials.negotiate(),
)


class Tokens:
    """A negotiator that returns the given items in turn, or raises those that are errors."""

    def __init__(self, *items: Any) -> None:
        self.items = list(items)
        self.hosts: list[str] = []

    async def token(self, host: str, /) -> Any:
        """Return the next token."""
        self.hosts.append(host)
        item = self.items.pop(0)
        if isinstance(item, Exception):
            raise item
        return item


def values(harness: Harness) -> Sequence[str | None]:
    """Return the Authorization headers of all sent requests."""
    return [requests.header("Authorization") for requests in harness.vendor.requests]


@sync_and_async
async def test_each_attempt_carries_a_new_token(harness: Harness) -> None:
    """Each attempt gets a new token for the service's host, since a token is valid only once."""
    harness.vendor.answers(503, 200)
    tokens = Tokens(b"one", b"two")

    await harness.manager(BOOKS, negotiator=harness.of_mode(tokens)).call("books", GET)

    assert [f"Negotiate {b64encode(token).decode()}" for token in (b"one", b"two")] == values(
        harness
    )
    assert ["books.example"] * 2 == tokens.hosts


@sync_and_async
async def test_refused_token_is_an_authentication_failure(harness: Harness) -> None:
    """If the service refuses a token, the call fails without asking for a second token."""
    harness.vendor.answers(401)
    manager = harness.manager(BOOKS, negotiator=harness.of_mode(Tokens(b"one")))

    with pytest.raises(AuthenticationFailed):
        await manager.call("books", GET)

    assert 1 == len(harness.vendor.requests)


@pytest.mark.parametrize(
    "item, message",
    [
        (CredentialNotFound("no ticket", remedy="Run kinit."), "no ticket"),
        (RuntimeError("pa55word"), "The negotiator raised RuntimeError"),
        ("text", "The negotiator returned a str"),
    ],
)
@sync_and_async
async def test_call_without_a_token_is_not_sent(harness: Harness, item: Any, message: str) -> None:
    """If the negotiator fails, nothing is sent, and the error does not quote the failure."""
    manager = harness.manager(BOOKS, negotiator=harness.of_mode(Tokens(item)))

    with pytest.raises(CredentialNotFound, match=message) as excinfo:
        await manager.call("books", GET)

    assert [] == harness.vendor.requests
    assert "pa55word" not in str(excinfo.value)


@sync_and_async
async def test_negotiator_without_a_token_method_is_refused(harness: Harness) -> None:
    """A negotiator without a `token` method is refused when the manager is created."""
    with pytest.raises(ConfigurationError, match="has no `token`"):
        harness.manager(BOOKS, negotiator=object())
