"""The synchronous and asynchronous HTTP clients on pyreqwest."""

from __future__ import annotations

import asyncio

import pytest

from moorage.adapters.http.pyreqwest.client import PyreqwestHttpClient
from moorage.adapters.http.pyreqwest.client_async import AsyncPyreqwestHttpClient
from moorage.testing import http_conformance as kit
from moorage.testing.kits.checks import name_of

UNSUPPORTED_CHECKS = {
    "fields_beyond_ascii_are_kept": "pyreqwest has no such fields",
    "a_connection_that_ended_is_replaced": "pyreqwest notices an end a moment late",
    "cancelling_closes_the_connection": "pyreqwest cannot break off what has no answer yet",
}
"""The checks that pyreqwest cannot pass; `test_pyreqwest_limits` tests what happens instead."""

CHECKS = [check for check in kit.CHECKS if name_of(check) not in UNSUPPORTED_CHECKS]
ASYNC_CHECKS = [check for check in kit.ASYNC_CHECKS if name_of(check) not in UNSUPPORTED_CHECKS]


@pytest.mark.parametrize("check", CHECKS, ids=name_of)
def test_synchronous_pyreqwest_client_passes_conformance_kit(check: kit.Check) -> None:
    """The synchronous pyreqwest client passes the conformance kit."""
    check(PyreqwestHttpClient)


@pytest.mark.parametrize("check", ASYNC_CHECKS, ids=name_of)
def test_asynchronous_pyreqwest_client_passes_conformance_kit(check: kit.AsyncCheck) -> None:
    """The asynchronous pyreqwest client passes the conformance kit."""
    asyncio.run(check(AsyncPyreqwestHttpClient))


@pytest.mark.parametrize("check", kit.ONE_CONNECTION_CHECKS, ids=name_of)
def test_synchronous_pyreqwest_client_with_one_connection_serves_its_callers_in_turn(
    check: kit.Check,
) -> None:
    """The synchronous pyreqwest client with one connection serves its callers in turn."""
    check(lambda: PyreqwestHttpClient(max_connections=1))


@pytest.mark.parametrize("check", kit.ASYNC_ONE_CONNECTION_CHECKS, ids=name_of)
def test_asynchronous_pyreqwest_client_with_one_connection_serves_its_callers_in_turn(
    check: kit.AsyncCheck,
) -> None:
    """The asynchronous pyreqwest client with one connection serves its callers in turn."""
    asyncio.run(check(lambda: AsyncPyreqwestHttpClient(max_connections=1)))


@pytest.mark.parametrize("check", kit.TRUST_CHECKS, ids=name_of)
def test_conforms_to_tls_settings(check: kit.TrustCheck) -> None:
    """The synchronous pyreqwest client passes the kit's checks of TLS settings."""
    check(lambda tls: PyreqwestHttpClient(tls=tls))


@pytest.mark.parametrize("check", kit.ASYNC_TRUST_CHECKS, ids=name_of)
def test_conforms_to_tls_settings_asynchronously(check: kit.AsyncTrustCheck) -> None:
    """The asynchronous pyreqwest client passes the kit's checks of TLS settings."""
    asyncio.run(check(lambda tls: AsyncPyreqwestHttpClient(tls=tls)))


@pytest.mark.parametrize("check", kit.PROXY_CHECKS, ids=name_of)
def test_sync_client_sends_through_a_proxy(check: kit.ProxyCheck) -> None:
    """The synchronous pyreqwest client sends requests through a proxy."""
    check(lambda proxy, tls: PyreqwestHttpClient(proxy=proxy, tls=tls))


@pytest.mark.parametrize("check", kit.ASYNC_PROXY_CHECKS, ids=name_of)
def test_async_client_sends_through_a_proxy(check: kit.AsyncProxyCheck) -> None:
    """The asynchronous pyreqwest client sends requests through a proxy."""
    asyncio.run(check(lambda proxy, tls: AsyncPyreqwestHttpClient(proxy=proxy, tls=tls)))
