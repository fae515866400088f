"""The conformance kit of HTTP clients notices what is wrong."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from mooring.adapters.stdlib_http_async import AsyncStdlibHttpClient
from mooring.domain.http import Response, Timeouts
from mooring.errors import ConnectionFailed, VendorFailed
from mooring.testing import _http_checks as checks
from mooring.testing import _http_fault_checks as faults
from mooring.testing import _http_stream_checks as streams
from mooring.testing import http_conformance as kit
from mooring.testing.checks import name_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mooring.domain.http import Request
    from mooring.ports.http import AsyncIncoming

    Send = Callable[[Request, str, Timeouts], Awaitable[Response]]
    Spoil = Callable[[Send, Request, str, Timeouts], Awaitable[Any]]


class Spoiled:
    """A client that is right but for one habit."""

    def __init__(self, habit: Spoil) -> None:
        self._client = AsyncStdlibHttpClient()
        self._habit = habit

    async def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        """Send as the habit has it."""
        answer: Response = await self._habit(self._client.send, request, url, timeouts)
        return answer

    async def open(self, request: Request, url: str, timeouts: Timeouts, /) -> AsyncIncoming:
        """Open, and read as the habit has it."""
        return Drained(await self._client.open(request, url, timeouts))

    async def close(self) -> None:
        """Close."""
        await self._client.close()


class Drained:
    """An answer that has no end but its connection's, and takes no notice of being closed."""

    def __init__(self, incoming: AsyncIncoming) -> None:
        self._incoming = incoming
        self.status = incoming.status
        self.headers = incoming.headers

    async def read(self) -> bytes:
        """Take every failure for the end."""
        try:
            return await self._incoming.read()
        except ConnectionFailed:
            return b""

    def close(self) -> None:
        """Close it."""
        self._incoming.close()


async def foreign(send: Send, request: Request, url: str, timeouts: Timeouts) -> Response:
    """Let an error of its own through."""
    try:
        return await send(request, url, timeouts)
    except Exception as error:
        raise OSError(str(error)) from error


async def vague(send: Send, request: Request, url: str, timeouts: Timeouts) -> Response:
    """Call every failure the vendor's."""
    try:
        return await send(request, url, timeouts)
    except ConnectionFailed:
        raise VendorFailed("It broke.") from None


async def sure(send: Send, request: Request, url: str, timeouts: Timeouts) -> Response:
    """Say of every failure that nothing was sent."""
    try:
        return await send(request, url, timeouts)
    except ConnectionFailed as error:
        error.may_have_been_processed = False
        raise


async def unsure(send: Send, request: Request, url: str, timeouts: Timeouts) -> Response:
    """Say of every failure that something may have been sent."""
    try:
        return await send(request, url, timeouts)
    except ConnectionFailed as error:
        error.may_have_been_processed = True
        raise


async def content(_: Send, __: Request, url: str, ___: Timeouts) -> Response:
    """Find everything in order."""
    return Response(204, url=url, elapsed=1.0)


async def slow(send: Send, request: Request, url: str, timeouts: Timeouts) -> Response:
    """Keep a timeout, but not for long enough to say so in time."""
    try:
        return await send(request, url, timeouts)
    finally:
        await asyncio.sleep(0.6)


async def stubborn(send: Send, request: Request, url: str, timeouts: Timeouts) -> Response:
    """Try again."""
    try:
        answer = await send(request, url, timeouts)
    except ConnectionFailed:
        return await send(request, url, timeouts)
    return await send(request, url, timeouts) if answer.status == 503 else answer


async def tidy(send: Send, request: Request, url: str, timeouts: Timeouts) -> Response:
    """Tidy the URL up."""
    return await send(request, url.replace("//b", "/b"), timeouts)


async def talkative(send: Send, request: Request, url: str, timeouts: Timeouts) -> Response:
    """Say in full what it was about."""
    try:
        return await send(request, url, timeouts)
    except (ConnectionFailed, VendorFailed) as error:
        raise type(error)(f"{url} failed") from error


async def nameless(send: Send, request: Request, url: str, timeouts: Timeouts) -> Response:
    """Refuse without saying what."""
    try:
        return await send(request, url, timeouts)
    except (ConnectionFailed, VendorFailed) as error:
        raise type(error)("It failed") from error


async def odd(send: Send, request: Request, url: str, timeouts: Timeouts) -> Any:  # noqa: ANN401 - just that
    """Return something else."""
    return (await send(request, url, timeouts)).body


async def forgetful(send: Send, request: Request, url: str, timeouts: Timeouts) -> Response:
    """Lose one of the fields that are repeated."""
    answer = await send(request, url, timeouts)
    return answer.evolve(headers=dict(answer.headers))


@pytest.mark.parametrize(
    "check, habit, sentence",
    [
        (checks.an_answer_comes_back_whole, odd, "send\\(\\) returned"),
        (checks.an_answer_comes_back_whole, content, "299 came back as 204"),
        (checks.an_answer_comes_back_whole, forgetful, "The field x-many of the answer is"),
        (checks.the_target_is_sent_as_it_is, tidy, "arrived as '/a/b/'"),
        (checks.nothing_is_done_twice_or_remembered, stubborn, "came back as 501"),
        (faults.being_cut_off_is_noticed, content, "is no ConnectionFailed: it closed without"),
        (faults.being_cut_off_is_noticed, foreign, "A foreign OSError"),
        (faults.being_cut_off_is_noticed, vague, "is no ConnectionFailed"),
        (faults.being_cut_off_is_noticed, sure, "may_have_been_processed must be True"),
        (faults.silence_ends_with_the_read_timeout, slow, "It took .* to notice: it never"),
        (faults.what_was_not_reached_did_nothing, unsure, "must be False: its port was refusing"),
        (faults.what_was_read_is_not_sent_again, stubborn, "is no ConnectionFailed"),
        (faults.an_answer_that_is_none_is_refused, content, "is no VendorFailed"),
        (faults.errors_keep_secrets, talkative, "A secret shows"),
        (faults.errors_keep_secrets, nameless, "does not say whom"),
        (streams.a_stream_that_is_cut_off_says_so, content, "is no ConnectionFailed"),
        (streams.a_stream_can_be_left, content, "is no ConnectorError: half an answer"),
        (kit.async_bodies_are_refused, foreign, "is no InvalidData"),
    ],
)
def test_notices_a_habit(check: kit.AsyncCheck, habit: Spoil, sentence: str) -> None:
    """A client with a bad habit does not pass, and is told which."""
    with pytest.raises(AssertionError, match=sentence):
        asyncio.run(check(lambda: Spoiled(habit)))


def test_every_check_is_named_and_explained() -> None:
    """A report names what was checked, and the check says what must hold."""
    groups = (kit.CHECKS, kit.ASYNC_CHECKS, kit.TLS_CHECKS, kit.ASYNC_TLS_CHECKS)
    for group in groups:
        names = [name_of(check) for check in group]
        assert len(names) == len(set(names))
        assert all(check.__doc__ for check in group)


def test_both_colours_are_asked_the_same() -> None:
    """Only what one colour cannot do is not asked of it."""
    plain, awaited = (
        {name_of(check) for check in group} for group in (kit.CHECKS, kit.ASYNC_CHECKS)
    )

    assert {"async_bodies_are_refused"} == plain - awaited
    assert {"async_bodies_are_sent", "cancelling_closes_the_connection"} == awaited - plain
