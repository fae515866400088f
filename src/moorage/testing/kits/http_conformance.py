"""Checks that every HTTP client must pass.

```python
import pytest

from moorage.adapters.http.stdlib.client import StdlibHttpClient  # yours
from moorage.testing import http_conformance, name_of


@pytest.mark.parametrize("check", http_conformance.CHECKS, ids=name_of)
def test_http(check):
    check(StdlibHttpClient)
```

`CHECKS` are for `HttpClient`, and `ASYNC_CHECKS`, which are coroutine functions, for
`AsyncHttpClient`. Each takes a function that creates a client, and sends requests to a
`VendorServer`, which delays, damages or cuts off most responses. More groups, synchronous and
asynchronous, need clients of a certain kind:

- `ONE_CONNECTION_CHECKS`: clients with at most one connection to a vendor;
- `TLS_CHECKS`: a function that creates a client from an `ssl.SSLContext`;
- `TRUST_CHECKS`: one that creates it from a `moorage.Tls`;
- `PROXY_CHECKS`: one that creates it from a `moorage.Proxy` and a `moorage.Tls`;
- `GUARD_CHECKS`: one that creates it from a `moorage.OutgoingGuard` and a `moorage.Tls`.

`FAILURES` is the table of failures; each row is also a check. It has the problem, the class of the
error, and whether the request may have been processed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from ssl import SSLContext
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from moorage.domain.http.requests import BodyStream, Request
from moorage.errors import InvalidData
from moorage.ports.http import AsyncHttpClient, HttpClient
from moorage.testing.fakes.http_server import Behaviour
from moorage.testing.kits import _http_attack_checks as attacks
from moorage.testing.kits import _http_checks as checks
from moorage.testing.kits import _http_failure_checks as failures
from moorage.testing.kits import _http_fault_checks as faults
from moorage.testing.kits import _http_guard_checks as guards
from moorage.testing.kits import _http_proxy_checks as proxies
from moorage.testing.kits import _http_stream_checks as streams
from moorage.testing.kits import _http_trust_checks as trust
from moorage.testing.kits._http_harness import PATIENT, Clients, ThreadedClient, failure_of, harness
from moorage.testing.kits.checks import require, retrying_check

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from moorage.domain.http.outgoing import OutgoingGuard
    from moorage.domain.http.transport import Proxy, Tls

Factory: TypeAlias = Callable[[], HttpClient]
AsyncFactory: TypeAlias = Callable[[], AsyncHttpClient]
TlsFactory: TypeAlias = Callable[[SSLContext], HttpClient]
AsyncTlsFactory: TypeAlias = Callable[[SSLContext], AsyncHttpClient]
Check: TypeAlias = Callable[[Factory], None]
AsyncCheck: TypeAlias = Callable[[AsyncFactory], Coroutine[Any, Any, None]]
TlsCheck: TypeAlias = Callable[[TlsFactory], None]
AsyncTlsCheck: TypeAlias = Callable[[AsyncTlsFactory], Coroutine[Any, Any, None]]
TrustFactory: TypeAlias = "Callable[[Tls], HttpClient]"
AsyncTrustFactory: TypeAlias = "Callable[[Tls], AsyncHttpClient]"
TrustCheck: TypeAlias = Callable[[TrustFactory], None]
AsyncTrustCheck: TypeAlias = Callable[[AsyncTrustFactory], Coroutine[Any, Any, None]]
ProxyFactory: TypeAlias = "Callable[[Proxy, Tls], HttpClient]"
AsyncProxyFactory: TypeAlias = "Callable[[Proxy, Tls], AsyncHttpClient]"
GuardFactory: TypeAlias = "Callable[[OutgoingGuard, Tls], HttpClient]"
AsyncGuardFactory: TypeAlias = "Callable[[OutgoingGuard, Tls], AsyncHttpClient]"
GuardCheck: TypeAlias = Callable[[GuardFactory], None]
AsyncGuardCheck: TypeAlias = Callable[[AsyncGuardFactory], Coroutine[Any, Any, None]]
ProxyCheck: TypeAlias = Callable[[ProxyFactory], None]
AsyncProxyCheck: TypeAlias = Callable[[AsyncProxyFactory], Coroutine[Any, Any, None]]


async def _async_pieces() -> AsyncIterator[bytes]:
    yield b"one"
    yield b"two"


async def async_bodies_are_sent(clients: Clients) -> None:
    """A body from an asynchronous source arrives completely."""
    async with harness(clients) as (vendor, client):
        vendor.always(Behaviour(204))
        request = Request.put("/", body=BodyStream.of(_async_pieces))
        await client.send(request, vendor.url, PATIENT)
        require(vendor.requests[0].body == b"onetwo", "A streamed body arrived changed.")


async def async_bodies_are_refused(clients: Clients) -> None:
    """A synchronous client refuses a body from an asynchronous source, and sends nothing."""
    async with harness(clients) as (vendor, client):
        vendor.always(Behaviour(204))
        request = Request.put("/", body=BodyStream.of(_async_pieces))
        reason = "a plain client cannot read an async source."
        failed = await failure_of(
            client.send(request, vendor.url, PATIENT), InvalidData, because=reason
        )
        require(failed.field == "body", f"{failed.field!r} is not the field that is wrong.")
    require(vendor.requests == (), "A request was sent although its body was refused.")


def _timed_checks(
    *checks: Callable[[Any], Coroutine[Any, Any, None]],
) -> tuple[Callable[[Any], Coroutine[Any, Any, None]], ...]:
    return tuple(map(retrying_check, checks))


_SHARED_CHECKS: Final = _timed_checks(
    checks.an_answer_comes_back_whole,
    checks.a_request_arrives_as_given,
    checks.fields_beyond_ascii_are_kept,
    checks.the_target_is_sent_as_it_is,
    checks.streams_are_sent,
    checks.a_stream_that_was_read_is_refused,
    checks.some_answers_have_no_body,
    checks.every_framing_is_understood,
    checks.interim_answers_are_skipped,
    checks.compression_is_undone,
    checks.clients_do_not_redirect_retry_or_keep_cookies,
    checks.callers_do_not_mix,
    checks.without_timeouts_a_client_waits,
    checks.a_client_can_be_closed_repeatedly,
    checks.a_closed_client_has_its_own_error,
    faults.a_cut_connection_is_noticed,
    faults.silence_ends_with_the_read_timeout,
    faults.dripping_ends_with_the_total_timeout,
    faults.a_slow_answer_is_waited_for,
    faults.unread_requests_end_with_the_write_timeout,
    faults.a_response_that_is_not_http_is_refused,
    faults.an_endless_answer_is_refused,
    faults.an_unreachable_vendor_got_nothing,
    faults.an_unresolved_host_got_nothing,
    faults.a_failed_tls_handshake_sends_nothing,
    faults.a_failing_body_source_has_its_own_error,
    faults.a_body_of_wrong_length_is_an_error,
    faults.a_connection_that_ended_is_replaced,
    faults.a_request_that_was_read_is_not_sent_again,
    faults.stray_bytes_are_no_answer,
    faults.errors_keep_secrets,
    streams.pieces_of_a_stream_arrive_as_sent,
    streams.a_stream_stays_ended,
    streams.a_stream_can_be_closed_early,
    streams.a_stream_that_is_cut_off_says_so,
    streams.a_flood_ends_with_the_total_timeout,
    streams.closing_ends_a_read,
    *attacks.CHECKS,
    *(row.named() for row in failures.FAILURES),
)


def _sync_function(check: Callable[[Any], Coroutine[Any, Any, None]]) -> Callable[[Any], None]:
    """Convert a check of an asynchronous HTTP client to a check of a synchronous client."""

    @wraps(check)
    def run_sync(factory: Callable[..., HttpClient]) -> None:
        def threaded_client(*arguments: Any) -> AsyncHttpClient:
            return ThreadedClient(factory(*arguments))

        asyncio.run(check(threaded_client))

    return run_sync


ASYNC_CHECKS: Final[tuple[AsyncCheck, ...]] = (
    *_SHARED_CHECKS,
    *_timed_checks(async_bodies_are_sent, faults.cancelling_closes_the_connection),
)
CHECKS: Final[tuple[Check, ...]] = tuple(
    map(_sync_function, (*_SHARED_CHECKS, async_bodies_are_refused))
)

ASYNC_ONE_CONNECTION_CHECKS: Final[tuple[AsyncCheck, ...]] = _timed_checks(
    streams.a_full_connection_pool_ends_with_the_pool_timeout,
    *(row.named() for row in failures.ONE_CONNECTION_FAILURES),
)
ONE_CONNECTION_CHECKS: Final[tuple[Check, ...]] = tuple(
    map(_sync_function, ASYNC_ONE_CONNECTION_CHECKS)
)

ASYNC_TLS_CHECKS: Final[tuple[AsyncTlsCheck, ...]] = _timed_checks(streams.tls_is_verified)
TLS_CHECKS: Final[tuple[TlsCheck, ...]] = tuple(map(_sync_function, ASYNC_TLS_CHECKS))

ASYNC_TRUST_CHECKS: Final[tuple[AsyncTrustCheck, ...]] = _timed_checks(*trust.CHECKS)
TRUST_CHECKS: Final[tuple[TrustCheck, ...]] = tuple(map(_sync_function, ASYNC_TRUST_CHECKS))

ASYNC_PROXY_CHECKS: Final[tuple[AsyncProxyCheck, ...]] = _timed_checks(
    *proxies.CHECKS,
    *(row.named() for row in failures.PROXY_FAILURES),
)
PROXY_CHECKS: Final[tuple[ProxyCheck, ...]] = tuple(map(_sync_function, ASYNC_PROXY_CHECKS))

ASYNC_GUARD_CHECKS: Final[tuple[AsyncGuardCheck, ...]] = _timed_checks(*guards.CHECKS)
GUARD_CHECKS: Final[tuple[GuardCheck, ...]] = tuple(map(_sync_function, ASYNC_GUARD_CHECKS))

FAILURES: Final = (
    *failures.ONE_CONNECTION_FAILURES,
    *failures.PROXY_FAILURES,
    *failures.FAILURES,
)
