"""The conformance kit of HTTP clients finds faulty clients."""

from __future__ import annotations

import asyncio
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from moorage.adapters.http.stdlib.client_async import AsyncStdlibHttpClient
from moorage.domain.http.outgoing import OutgoingGuard
from moorage.domain.http.requests import Response, Timeouts
from moorage.domain.http.transport import DangerouslyUnverified, Proxy, Tls
from moorage.errors import AttemptTimeout, ConnectionFailed, ConnectorError, VendorFailed
from moorage.testing import http_conformance as kit
from moorage.testing.kits import _http_attack_checks as attacks
from moorage.testing.kits import _http_checks as checks
from moorage.testing.kits import _http_failure_checks as failures
from moorage.testing.kits import _http_fault_checks as faults
from moorage.testing.kits import _http_guard_checks as guards
from moorage.testing.kits import _http_proxy_checks as proxies
from moorage.testing.kits import _http_stream_checks as streams
from moorage.testing.kits.checks import name_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from moorage.domain.http.requests import Request
    from moorage.ports.http import AsyncHttpClient, AsyncIncoming

    Send = Callable[[Request, str, Timeouts], Awaitable[Response]]
    Spoil = Callable[[Send, Request, str, Timeouts], Awaitable[Any]]


class FaultyClient:
    """An HTTP client with one fault, added to a correct client."""

    def __init__(self, habit: Spoil, client: AsyncHttpClient | None = None) -> None:
        self._client = client or AsyncStdlibHttpClient()
        self._habit = habit

    async def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        """Send the request with the fault."""
        answer: Response = await self._habit(self._client.send, request, url, timeouts)
        return answer

    async def open(self, request: Request, url: str, timeouts: Timeouts, /) -> AsyncIncoming:
        """Open a response that has the fault of `DrainedResponse`."""
        return DrainedResponse(await self._client.open(request, url, timeouts))

    async def close(self) -> None:
        """Close the client."""
        await self._client.close()


class DrainedResponse:
    """A faulty response that treats a lost connection as the end of the body."""

    def __init__(self, incoming: AsyncIncoming) -> None:
        self._incoming = incoming
        self.status = incoming.status
        self.headers = incoming.headers

    async def read(self) -> bytes:
        """Return the next piece, or b"" after a failure."""
        try:
            return await self._incoming.read()
        except ConnectionFailed:
            return b""

    def close(self) -> None:
        """Close the response."""
        self._incoming.close()


async def raise_foreign(send: Send, request: Request, url: str, timeouts: Timeouts) -> Response:
    """Fault: raise a library's exception instead of a moorage error."""
    try:
        return await send(request, url, timeouts)
    except Exception as error:
        raise OSError(str(error)) from error


async def raise_vague(send: Send, request: Request, url: str, timeouts: Timeouts) -> Response:
    """Fault: raise VendorFailed for each connection failure."""
    try:
        return await send(request, url, timeouts)
    except ConnectionFailed:
        raise VendorFailed("It broke.") from None


async def claim_unsent(send: Send, request: Request, url: str, timeouts: Timeouts) -> Response:
    """Fault: claim for each failure that nothing was sent."""
    try:
        return await send(request, url, timeouts)
    except ConnectionFailed as error:
        error.may_have_been_processed = False
        raise


async def claim_unknown_outcome(
    send: Send, request: Request, url: str, timeouts: Timeouts
) -> Response:
    """Fault: claim for each failure that the request may have been processed."""
    try:
        return await send(request, url, timeouts)
    except ConnectionFailed as error:
        error.may_have_been_processed = True
        raise


async def claim_timeout(send: Send, request: Request, url: str, timeouts: Timeouts) -> Response:
    """Fault: raise AttemptTimeout for each connection failure."""
    try:
        return await send(request, url, timeouts)
    except ConnectionFailed as error:
        raise AttemptTimeout("It took too long.") from error


async def content(_: Send, __: Request, url: str, ___: Timeouts) -> Response:
    """Fault: return a success without sending anything."""
    return Response(204, url=url, elapsed=1.0)


async def end_late(send: Send, request: Request, url: str, timeouts: Timeouts) -> Response:
    """Fault: raise the error of a timeout too late."""
    try:
        return await send(request, url, timeouts)
    finally:
        await asyncio.sleep(1.5)


async def repeat_failed_request(
    send: Send, request: Request, url: str, timeouts: Timeouts
) -> Response:
    """Fault: send a request again if it failed or got a 503."""
    try:
        answer = await send(request, url, timeouts)
    except ConnectionFailed:
        return await send(request, url, timeouts)
    return await send(request, url, timeouts) if answer.status == 503 else answer


async def tidy_path(send: Send, request: Request, url: str, timeouts: Timeouts) -> Response:
    """Fault: change the URL's path."""
    return await send(request, url.replace("//b", "/b"), timeouts)


async def quote_url_in_error(
    send: Send, request: Request, url: str, timeouts: Timeouts
) -> Response:
    """Fault: quote the URL in the error."""
    try:
        return await send(request, url, timeouts)
    except (ConnectionFailed, VendorFailed) as error:
        raise type(error)(f"{url} failed") from error


async def omit_service_name(send: Send, request: Request, url: str, timeouts: Timeouts) -> Response:
    """Fault: raise an error without the service's name."""
    try:
        return await send(request, url, timeouts)
    except (ConnectionFailed, VendorFailed) as error:
        raise type(error)("It failed") from error


async def return_body(send: Send, request: Request, url: str, timeouts: Timeouts) -> Any:
    """Fault: return the body instead of the response."""
    return (await send(request, url, timeouts)).body


async def follow_redirects(send: Send, request: Request, url: str, timeouts: Timeouts) -> Response:
    """Fault: follow a redirect instead of returning it."""
    answer = await send(request, url, timeouts)
    location = answer.headers.get("location", "")
    return await send(request, location, timeouts) if location.startswith("http") else answer


async def fail_without_reason(_: Send, __: Request, url: str, ___: Timeouts) -> Response:
    """Fault: raise connection errors without a reason, whatever the TLS settings."""
    raise ConnectionFailed(f"{len(url)} letters could not be sent.")


async def lose_repeated_header(
    send: Send, request: Request, url: str, timeouts: Timeouts
) -> Response:
    """Fault: lose one of several headers with the same name."""
    answer = await send(request, url, timeouts)
    return answer.evolve(headers=dict(answer.headers))


@pytest.mark.parametrize(
    "check, habit, sentence",
    [
        (checks.an_answer_comes_back_whole, return_body, "send\\(\\) returned"),
        (checks.an_answer_comes_back_whole, content, "299 came back as 204"),
        (
            checks.an_answer_comes_back_whole,
            lose_repeated_header,
            "The field x-many of the answer is",
        ),
        (checks.the_target_is_sent_as_it_is, tidy_path, "arrived as '/a/b/'"),
        (
            checks.clients_do_not_redirect_retry_or_keep_cookies,
            repeat_failed_request,
            "came back as 501",
        ),
        (
            faults.a_cut_connection_is_noticed,
            content,
            "instead of .*ConnectionFailed: it closed without",
        ),
        (faults.a_cut_connection_is_noticed, raise_foreign, "raised OSError"),
        (faults.a_cut_connection_is_noticed, raise_vague, "instead of .*ConnectionFailed"),
        (faults.a_cut_connection_is_noticed, claim_unsent, "may_have_been_processed must be True"),
        (
            faults.silence_ends_with_the_read_timeout,
            end_late,
            "noticed the failure only after .*: it never",
        ),
        (
            faults.an_unreachable_vendor_got_nothing,
            claim_unknown_outcome,
            "must be False: its port was refusing",
        ),
        (
            faults.a_request_that_was_read_is_not_sent_again,
            repeat_failed_request,
            "instead of .*ConnectionFailed",
        ),
        (faults.a_response_that_is_not_http_is_refused, content, "instead of .*VendorFailed"),
        (faults.errors_keep_secrets, quote_url_in_error, "A secret shows"),
        (faults.errors_keep_secrets, omit_service_name, "does not name the host"),
        (
            attacks.a_byte_a_second_ends_with_the_total_timeout,
            end_late,
            "noticed the failure only after .*: its",
        ),
        (attacks.a_flood_is_refused, content, "instead of .*VendorFailed: its chunks"),
        (
            attacks.a_decompression_bomb_is_refused,
            content,
            "instead of .*VendorFailed: its body was a bomb",
        ),
        (attacks.redirects_are_not_followed, follow_redirects, "301 came back as"),
        (attacks.cookies_are_not_stored, lose_repeated_header, "are not the cookies"),
        (
            attacks.a_body_after_head_is_not_the_next_response,
            content,
            "earlier response were returned",
        ),
        (attacks.invalid_utf_8_is_returned_unchanged, content, "returned changed"),
        (
            attacks.line_breaks_inject_no_headers,
            fail_without_reason,
            "no target|does not say what is wrong",
        ),
        (attacks.ambiguous_responses_affect_no_other, content, "was made of an answer with"),
        (
            attacks.a_protocol_switch_affects_no_other_response,
            content,
            "switch of protocols was returned",
        ),
        (streams.a_stream_that_is_cut_off_says_so, content, "instead of .*ConnectionFailed"),
        (
            streams.a_stream_can_be_closed_early,
            content,
            "instead of .*ConnectorError: half of a response",
        ),
        (kit.async_bodies_are_refused, raise_foreign, "instead of .*InvalidData"),
    ],
)
def test_check_fails_for_a_faulty_http_client(
    check: kit.AsyncCheck, habit: Spoil, sentence: str
) -> None:
    """An HTTP client with a typical fault fails the check for that fault."""
    with pytest.raises(AssertionError, match=sentence):
        asyncio.run(check(lambda: FaultyClient(habit)))


async def quote_url(send: Send, request: Request, url: str, timeouts: Timeouts) -> Response:
    """Encode characters that are not allowed in a URL, then send the request."""
    return await send(request, quote(url, safe=":/?=&%"), timeouts)


async def refuse_other_encodings(
    send: Send, request: Request, url: str, timeouts: Timeouts
) -> Response:
    """Send the request, and refuse a response whose headers are not ASCII."""
    answer = await send(request, url, timeouts)
    if "".join(answer.headers.values()).isascii():
        return answer
    raise VendorFailed("Its head is not ASCII.")


@pytest.mark.parametrize(
    "check, habit",
    [
        (attacks.line_breaks_inject_no_headers, quote_url),
        (attacks.invalid_utf_8_is_returned_unchanged, refuse_other_encodings),
    ],
)
def test_stricter_http_client_passes(check: kit.AsyncCheck, habit: Spoil) -> None:
    """An HTTP client that is stricter than required passes."""
    asyncio.run(check(lambda: FaultyClient(habit)))


@pytest.mark.parametrize("check", kit.ASYNC_TRUST_CHECKS, ids=name_of)
def test_checks_fail_for_a_client_that_ignores_tls_settings(check: kit.AsyncTrustCheck) -> None:
    """An HTTP client that ignores the TLS settings fails every TLS check."""
    with pytest.raises((AssertionError, ConnectorError)):
        asyncio.run(check(lambda _: AsyncStdlibHttpClient()))


def directly(_: Proxy, tls: Tls) -> AsyncHttpClient:
    """Return an HTTP client that ignores the given proxy."""
    return AsyncStdlibHttpClient(tls=tls)


def client_without_user_agent(proxy: Proxy, tls: Tls) -> AsyncHttpClient:
    """Return a client that sends no user agent, and ignores which hosts need no proxy."""
    return AsyncStdlibHttpClient(proxy=proxy.url, tls=tls)


def client_without_verification(proxy: Proxy, _: Tls) -> AsyncHttpClient:
    """Return a client that does not verify certificates."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        tls = Tls(unverified=DangerouslyUnverified("it is told to"))
        return AsyncStdlibHttpClient(proxy=proxy, tls=tls)


def client_with_unsure_errors(proxy: Proxy, tls: Tls) -> AsyncHttpClient:
    """Return a client whose errors always say that the outcome is unknown."""
    return FaultyClient(claim_unknown_outcome, AsyncStdlibHttpClient(proxy=proxy, tls=tls))


@pytest.mark.parametrize(
    "check, clients",
    [
        (proxies.plain_requests_are_forwarded, directly),
        (proxies.plain_requests_are_forwarded, client_without_user_agent),
        (proxies.secure_requests_are_tunnelled, directly),
        (proxies.secure_requests_are_tunnelled, client_without_user_agent),
        (proxies.a_vendor_is_verified_through_a_tunnel, client_without_verification),
        (proxies.a_proxy_may_be_secure_itself, directly),
        (proxies.a_proxy_may_be_secure_itself, client_without_verification),
        (proxies.some_hosts_are_reached_directly, directly),
        (proxies.some_hosts_are_reached_directly, client_without_user_agent),
        (proxies.a_refused_tunnel_sends_nothing, client_with_unsure_errors),
        (proxies.an_unreachable_proxy_sends_nothing, client_with_unsure_errors),
        (proxies.a_missing_proxy_login_is_reported, client_with_unsure_errors),
    ],
)
def test_check_fails_for_a_client_that_misuses_a_proxy(
    check: kit.AsyncProxyCheck, clients: kit.AsyncProxyFactory
) -> None:
    """An HTTP client that uses a proxy wrongly fails the check."""
    with pytest.raises((AssertionError, ConnectorError)):
        asyncio.run(check(clients))


def client_without_guard(_: OutgoingGuard, tls: Tls) -> AsyncHttpClient:
    """Return a client that connects anywhere, without its guard against forbidden addresses."""
    return AsyncStdlibHttpClient(tls=tls)


def client_refusing_allowed_addresses(guard: OutgoingGuard, _: Tls) -> AsyncHttpClient:
    """Return a client that refuses the addresses which its guard allows."""
    return AsyncStdlibHttpClient(guard=OutgoingGuard(ports=guard.ports))


@pytest.mark.parametrize(
    "check, clients",
    [
        (guards.internal_addresses_are_refused, client_without_guard),
        (guards.allowed_destinations_are_reached, client_refusing_allowed_addresses),
        (guards.other_destinations_are_refused, client_without_guard),
        (guards.a_vendor_is_verified_by_name, client_refusing_allowed_addresses),
    ],
)
def test_check_fails_for_a_client_that_guards_addresses_wrongly(
    check: kit.AsyncGuardCheck, clients: kit.AsyncGuardFactory
) -> None:
    """A client that connects to forbidden addresses, or refuses allowed ones, fails the check."""
    with pytest.raises((AssertionError, ConnectorError)):
        asyncio.run(check(clients))


def test_every_check_is_named_and_explained() -> None:
    """Each check of the kit has a unique name and a docstring."""
    groups = (
        kit.CHECKS,
        kit.ASYNC_CHECKS,
        kit.TLS_CHECKS,
        kit.ASYNC_TLS_CHECKS,
        kit.TRUST_CHECKS,
        kit.ASYNC_TRUST_CHECKS,
        kit.PROXY_CHECKS,
        kit.ASYNC_PROXY_CHECKS,
        kit.GUARD_CHECKS,
        kit.ASYNC_GUARD_CHECKS,
    )
    for group in groups:
        names = [name_of(check) for check in group]
        assert len(names) == len(set(names))
        assert all(check.__doc__ for check in group)


def test_both_modes_have_the_same_checks() -> None:
    """The sync and async kits have the same checks, except those that only one mode can pass."""
    sync_checks, async_checks = (
        {name_of(check) for check in group} for group in (kit.CHECKS, kit.ASYNC_CHECKS)
    )

    assert {"async_bodies_are_refused"} == sync_checks - async_checks
    assert {
        "async_bodies_are_sent",
        "cancelling_closes_the_connection",
    } == async_checks - sync_checks


def test_documented_table_of_failures_equals_the_kits() -> None:
    """The table of failures in the documentation equals the kit's table."""
    page = Path(__file__).parents[2] / "docs" / "explanation" / "http-failures.md"
    words = {False: "no", True: "yes"}
    rows = [
        f"| {row.happened} | `{row.raised.__name__}` | {words[row.processed]} |"
        for row in kit.FAILURES
    ]
    head, _, table = page.read_text(encoding="utf-8").partition("|---|---|---|\n")

    assert head.endswith("| what happened | raised | may have been processed |\n")
    assert rows == table.partition("\n\n")[0].splitlines()


@pytest.mark.parametrize(
    "row, habit, sentence",
    [
        (
            failures.FAILURES[0],
            claim_unknown_outcome,
            "is True, not False: the vendor's host name has no address",
        ),
        (
            failures.FAILURES[2],
            raise_vague,
            "instead of .*AttemptTimeout: the vendor cannot be reached",
        ),
        (failures.FAILURES[11], claim_unsent, "is False, not True: the vendor closes"),
        (
            failures.FAILURES[11],
            claim_timeout,
            "AttemptTimeout was raised instead of ConnectionFailed: the vendor closes",
        ),
    ],
    ids=lambda value: getattr(value, "happened", None),
)
def test_check_fails_for_a_client_that_raises_a_wrong_error(
    row: failures.Failure, habit: Spoil, sentence: str
) -> None:
    """A client that raises a wrong error fails the check for that failure."""
    with pytest.raises(AssertionError, match=sentence):
        asyncio.run(row.check(lambda: FaultyClient(habit)))
