"""Checks that the adapters for httpx2, requests and aiohttp pass the HTTP conformance kit."""

from __future__ import annotations

import asyncio
import gc
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from moorage.testing import http_conformance as kit
from moorage.testing.kits.checks import name_of
from tests.adapters.borrowed_clients import ASYNC, ASYNC_BORROWED, SYNC, SYNC_BORROWED, UNSUPPORTED

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable


# aiohttp closes a connection from which the vendor does not read only when all data are read, or
# when its loop has ended. So what is left of the connection here is not the client's fault.
LEAVES = {
    "aiohttp": (
        pytest.mark.filterwarnings("ignore::ResourceWarning"),
        pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    )
}


@pytest.fixture(scope="module", autouse=True)
def _freeze_objects() -> None:
    """Exclude existing objects from garbage collection, so that each test's collection is fast."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _collect_connections(request: pytest.FixtureRequest) -> Generator[None, None, None]:
    """Collect connections that aiohttp left open, so that they do not make a later test fail."""
    yield
    if "aiohttp" in request.node.name:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()


def cases(
    kinds: dict[str, Callable[..., Any]], checks: Iterable[Callable[..., Any]]
) -> pytest.MarkDecorator:
    """Run a test with each library and check, except the checks that a library cannot pass."""
    return pytest.mark.parametrize(
        "make, check",
        [
            pytest.param(
                make, check, id=f"{library}-{name_of(check)}", marks=LEAVES.get(library, ())
            )
            for library, make in kinds.items()
            for check in checks
            if (library, name_of(check)) not in UNSUPPORTED
        ],
    )


@pytest.mark.untraced
@cases(SYNC, kit.CHECKS)
def test_synchronous_http_adapter_passes_conformance_kit(
    make: Callable[..., Any], check: kit.Check
) -> None:
    """A synchronous HTTP adapter passes the conformance kit."""
    check(make)


@cases(ASYNC, kit.ASYNC_CHECKS)
def test_asynchronous_http_adapter_passes_conformance_kit(
    make: Callable[..., Any], check: kit.AsyncCheck
) -> None:
    """An asynchronous HTTP adapter passes the conformance kit."""
    asyncio.run(check(make))


@cases(SYNC_BORROWED, kit.CHECKS)
def test_borrowed_client_conforms(make: Callable[..., Any], check: kit.Check) -> None:
    """A synchronous HTTP adapter on a borrowed client passes the conformance kit."""
    check(make)


@pytest.mark.untraced
@cases(ASYNC_BORROWED, kit.ASYNC_CHECKS)
def test_borrowed_client_conforms_asynchronously(
    make: Callable[..., Any], check: kit.AsyncCheck
) -> None:
    """An asynchronous HTTP adapter on a borrowed client passes the conformance kit."""
    asyncio.run(check(make))


@cases(SYNC, kit.ONE_CONNECTION_CHECKS)
def test_sync_client_with_one_connection_serves_callers_in_turn(
    make: Callable[..., Any], check: kit.Check
) -> None:
    """A synchronous HTTP client limited to one connection serves its callers one after another."""
    check(partial(make, max_connections=1))


@cases(ASYNC, kit.ASYNC_ONE_CONNECTION_CHECKS)
def test_async_client_with_one_connection_serves_callers_in_turn(
    make: Callable[..., Any], check: kit.AsyncCheck
) -> None:
    """An asynchronous HTTP client with a single connection serves its callers one after another."""
    asyncio.run(check(partial(make, max_connections=1)))


@cases(SYNC_BORROWED, kit.TLS_CHECKS)
def test_sync_adapter_verifies_certificates(make: Callable[..., Any], check: kit.TlsCheck) -> None:
    """If a synchronous adapter borrows a client, servers' certificates are verified."""
    check(make)


@cases(ASYNC_BORROWED, kit.ASYNC_TLS_CHECKS)
def test_async_adapter_verifies_certificates(
    make: Callable[..., Any], check: kit.AsyncTlsCheck
) -> None:
    """If an asynchronous adapter borrows a client, servers' certificates are verified."""
    asyncio.run(check(make))


@cases(SYNC, kit.TRUST_CHECKS)
def test_sync_client_uses_configured_authorities_and_certificate(
    make: Callable[..., Any], check: kit.TrustCheck
) -> None:
    """A synchronous HTTP client uses the configured TLS authorities and client certificate."""
    check(lambda tls: make(tls=tls))


@cases(ASYNC, kit.ASYNC_TRUST_CHECKS)
def test_async_client_uses_configured_authorities_and_certificate(
    make: Callable[..., Any], check: kit.AsyncTrustCheck
) -> None:
    """An asynchronous HTTP client uses the configured TLS authorities and client certificate."""
    asyncio.run(check(lambda tls: make(tls=tls)))


@cases(SYNC, kit.GUARD_CHECKS)
def test_sync_client_connects_only_to_allowed_addresses(
    make: Callable[..., Any], check: kit.GuardCheck
) -> None:
    """A synchronous HTTP client connects only to addresses that its guard allows."""
    check(lambda guard, tls: make(guard=guard, tls=tls))


@cases(ASYNC, kit.ASYNC_GUARD_CHECKS)
def test_async_client_connects_only_to_allowed_addresses(
    make: Callable[..., Any], check: kit.AsyncGuardCheck
) -> None:
    """An asynchronous HTTP client connects only to addresses that its guard allows."""
    asyncio.run(check(lambda guard, tls: make(guard=guard, tls=tls)))


@cases(SYNC, kit.PROXY_CHECKS)
def test_sync_client_sends_through_a_proxy(make: Callable[..., Any], check: kit.ProxyCheck) -> None:
    """A synchronous HTTP client sends requests through a proxy."""
    check(lambda proxy, tls: make(proxy=proxy, tls=tls))


@cases(ASYNC, kit.ASYNC_PROXY_CHECKS)
def test_async_client_sends_through_a_proxy(
    make: Callable[..., Any], check: kit.AsyncProxyCheck
) -> None:
    """An asynchronous HTTP client sends requests through a proxy."""
    asyncio.run(check(lambda proxy, tls: make(proxy=proxy, tls=tls)))
