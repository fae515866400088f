"""Faults that a token endpoint can be set to show, once each: see `AuthorizationServer.order`.

Each is made by a function with a name of its own. Most let the request have its effect first, so
that a refresh token that came with it is used up; where that is a choice, `processed` makes it.
"""

from __future__ import annotations

import json
from datetime import datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import attrs

from tests.support.authorization_values import Answer

if TYPE_CHECKING:
    from collections.abc import Callable


def _as_it_is(answer: Answer) -> Answer:
    return answer


@attrs.frozen(kw_only=True)
class Fault:
    """A fault that the server injects into one request.

    Attributes:
        name: what it is called in the records.
        read: whether the body of the request is read.
        processed: whether the request has its effect.
        before: seconds that pass before that,
        after: and between that and the answer.
        change: makes the answer another; none is no answer but a connection that ends.
    """

    name: str
    read: bool = True
    processed: bool = True
    before: float = 0.0
    after: float = 0.0
    change: Callable[[Answer], Answer | None] = _as_it_is


# --- nothing of use comes back -----------------------------------------------


def failing_answer(
    status: int, retry_after: float | datetime | str | None = None, *, processed: bool = False
) -> Fault:
    """Answer with this status, and say when to come back: in seconds, or at an aware UTC time."""
    headers: tuple[tuple[str, str], ...] = ()
    if retry_after is not None:
        headers = (("Retry-After", _moment(retry_after)),)
    answer = Answer(status=status, body=b"<h1>Sorry</h1>", headers=headers, kind="text/html")
    return Fault(name=f"failing {status}", processed=processed, change=lambda _: answer)


def _moment(at: float | datetime | str) -> str:
    return format_datetime(at, usegmt=True) if isinstance(at, datetime) else str(at)


def lost_answer() -> Fault:
    """Handle the request, and disconnect without an answer."""
    return Fault(name="lost", change=lambda _: None)


def cut_answer(short: int = 10) -> Fault:
    """Handle the request, and disconnect after this number of bytes of the answer."""
    return Fault(name="cut", change=lambda answer: attrs.evolve(answer, short=short))


def unread_request() -> Fault:
    """Reset the connection without reading the body or doing anything."""
    return Fault(name="unread", read=False, processed=False, change=lambda _: None)


def late_answer(seconds: float, *, processed: bool = False) -> Fault:
    """Wait this many seconds before or after acting, and then answer.

    It is done even for a client that has left meanwhile. `AuthorizationServer.release` ends the
    wait at once.
    """
    if processed:
        return Fault(name="hanging", after=seconds)
    return Fault(name="hanging", before=seconds)


def redirecting(url: str, *, status: int = 302, processed: bool = False) -> Fault:
    """Send the client somewhere else, with its secrets."""
    answer = Answer(status=status, headers=(("Location", url),))
    return Fault(name=f"redirecting {status}", processed=processed, change=lambda _: answer)


# --- what comes back is odd --------------------------------------------------


def malformed(body: bytes = b'{"access_token": "at-', *, processed: bool = True) -> Fault:
    """Answer 200 with invalid JSON, truncated by default."""
    answer = Answer(body=body)
    return Fault(name="malformed", processed=processed, change=lambda _: answer)


def succeeding_with_error(error: str = "invalid_grant", *, processed: bool = False) -> Fault:
    """Answer 200 with an error in the body."""
    answer = Answer(members={"error": error, "error_description": "as some vendors do"})
    return Fault(name="succeeding with error", processed=processed, change=lambda _: answer)


def form_encoded() -> Fault:
    """Answer as a form instead of as JSON."""

    def change(answer: Answer) -> Answer:
        body = urlencode(answer.members or {}).encode()
        kind = "application/x-www-form-urlencoded"
        return attrs.evolve(answer, members=None, body=body, kind=kind)

    return Fault(name="form encoded", change=change)


def saying(**members: Any) -> Fault:
    """Answer with these members instead of, or besides, the true ones."""

    def change(answer: Answer) -> Answer:
        return attrs.evolve(answer, members={**(answer.members or {}), **members})

    return Fault(name=f"saying {' '.join(members)}", change=change)


def keeping_back(*names: str) -> Fault:
    """Answer without these members."""

    def change(answer: Answer) -> Answer:
        members = answer.members or {}
        remaining_members = {name: members[name] for name in members if name not in names}
        return attrs.evolve(answer, members=remaining_members)

    return Fault(name=f"keeping back {' '.join(names)}", change=change)


def huge(size: int = 10_000_000) -> Fault:
    """Answer with a JSON object of this size."""

    def change(answer: Answer) -> Answer:
        plain_length = len(json.dumps({**(answer.members or {}), "padding": ""}))
        padded_members = {**(answer.members or {}), "padding": "x" * (size - plain_length)}
        return attrs.evolve(answer, members=padded_members)

    return Fault(name="huge", change=change)


def labelled(kind: str) -> Fault:
    """Answer with another media type than that of JSON."""
    return Fault(name=f"labelled {kind}", change=lambda answer: attrs.evolve(answer, kind=kind))
