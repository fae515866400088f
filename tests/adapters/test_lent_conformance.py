"""The adapters of httpx2, requests and aiohttp keep the contract of their port."""

from __future__ import annotations

import asyncio
import gc
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from moorage.testing import http_conformance as kit
from moorage.testing.kits.checks import name_of
from tests.adapters.lent_clients import AWAITED, AWAITED_GIVEN, LACKS, PLAIN, PLAIN_GIVEN

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable


# A connection that a vendor does not read from, aiohttp closes only when all is read, or its loop
# has ended: what is left of it then is nobody's fault.
LEAVES = {
    "aiohttp": (
        pytest.mark.filterwarnings("ignore::ResourceWarning"),
        pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    )
}


@pytest.fixture(autouse=True)
def _tidied(request: pytest.FixtureRequest) -> Generator[None, None, None]:
    """Find here what aiohttp leaves, so that no later test is blamed for it."""
    yield
    if "aiohttp" in request.node.name:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()


def cases(
    kinds: dict[str, Callable[..., Any]], checks: Iterable[Callable[..., Any]]
) -> pytest.MarkDecorator:
    """Every check for every library, but for what that cannot do."""
    return pytest.mark.parametrize(
        "make, check",
        [
            pytest.param(
                make, check, id=f"{library}-{name_of(check)}", marks=LEAVES.get(library, ())
            )
            for library, make in kinds.items()
            for check in checks
            if (library, name_of(check)) not in LACKS
        ],
    )


@cases(PLAIN, kit.CHECKS)
def test_conforms(make: Callable[..., Any], check: kit.Check) -> None:
    """A blocking client of its own keeps the contract."""
    check(make)


@cases(AWAITED, kit.ASYNC_CHECKS)
def test_conforms_asynchronously(make: Callable[..., Any], check: kit.AsyncCheck) -> None:
    """An asynchronous client of its own keeps the contract."""
    asyncio.run(check(make))


@cases(PLAIN_GIVEN, kit.CHECKS)
def test_a_given_one_conforms(make: Callable[..., Any], check: kit.Check) -> None:
    """A blocking client of the host's keeps the contract."""
    check(make)


@cases(AWAITED_GIVEN, kit.ASYNC_CHECKS)
def test_a_given_one_conforms_asynchronously(
    make: Callable[..., Any], check: kit.AsyncCheck
) -> None:
    """An asynchronous client of the host's keeps the contract."""
    asyncio.run(check(make))


@cases(PLAIN, kit.ONE_CONNECTION_CHECKS)
def test_conforms_with_one_connection(make: Callable[..., Any], check: kit.Check) -> None:
    """A blocking client gives its one connection to one caller after another."""
    check(partial(make, max_connections=1))


@cases(AWAITED, kit.ASYNC_ONE_CONNECTION_CHECKS)
def test_conforms_asynchronously_with_one_connection(
    make: Callable[..., Any], check: kit.AsyncCheck
) -> None:
    """An asynchronous client gives its one connection to one caller after another."""
    asyncio.run(check(partial(make, max_connections=1)))


@cases(PLAIN_GIVEN, kit.TLS_CHECKS)
def test_conforms_with_tls(make: Callable[..., Any], check: kit.TlsCheck) -> None:
    """A blocking client of the host's verifies whom it talks to."""
    check(make)


@cases(AWAITED_GIVEN, kit.ASYNC_TLS_CHECKS)
def test_conforms_asynchronously_with_tls(
    make: Callable[..., Any], check: kit.AsyncTlsCheck
) -> None:
    """An asynchronous client of the host's verifies whom it talks to."""
    asyncio.run(check(make))


@cases(PLAIN, kit.TRUST_CHECKS)
def test_conforms_with_trust(make: Callable[..., Any], check: kit.TrustCheck) -> None:
    """A blocking client trusts whom it is told to, and shows who it is."""
    check(lambda tls: make(tls=tls))


@cases(AWAITED, kit.ASYNC_TRUST_CHECKS)
def test_conforms_asynchronously_with_trust(
    make: Callable[..., Any], check: kit.AsyncTrustCheck
) -> None:
    """An asynchronous client trusts whom it is told to, and shows who it is."""
    asyncio.run(check(lambda tls: make(tls=tls)))


@cases(PLAIN, kit.GUARD_CHECKS)
def test_conforms_with_a_guard(make: Callable[..., Any], check: kit.GuardCheck) -> None:
    """A blocking client goes only where it may."""
    check(lambda guard, tls: make(guard=guard, tls=tls))


@cases(AWAITED, kit.ASYNC_GUARD_CHECKS)
def test_conforms_asynchronously_with_a_guard(
    make: Callable[..., Any], check: kit.AsyncGuardCheck
) -> None:
    """An asynchronous client goes only where it may."""
    asyncio.run(check(lambda guard, tls: make(guard=guard, tls=tls)))


@cases(PLAIN, kit.PROXY_CHECKS)
def test_conforms_through_a_proxy(make: Callable[..., Any], check: kit.ProxyCheck) -> None:
    """A blocking client goes through a proxy."""
    check(lambda proxy, tls: make(proxy=proxy, tls=tls))


@cases(AWAITED, kit.ASYNC_PROXY_CHECKS)
def test_conforms_asynchronously_through_a_proxy(
    make: Callable[..., Any], check: kit.AsyncProxyCheck
) -> None:
    """An asynchronous client goes through a proxy."""
    asyncio.run(check(lambda proxy, tls: make(proxy=proxy, tls=tls)))
