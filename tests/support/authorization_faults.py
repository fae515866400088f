"""Faults that a test can inject into the authorization server with `AuthorizationServer.order`.

Each fault is made by its own function. Most let the request take effect first, so
that its refresh token is used up; some have an argument `processed` to choose this.
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
        name: the fault's name in the records.
        read: whether the body of the request is read.
        processed: whether the request has its effect.
        before: seconds to wait before the effect.
        after: seconds to wait between the effect and the response.
        change: returns the changed response; None ends the connection without a response.
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
    """Return a fault: a response with this status and, if given, a Retry-After header."""
    headers: tuple[tuple[str, str], ...] = ()
    if retry_after is not None:
        headers = (("Retry-After", _time_text(retry_after)),)
    answer = Answer(status=status, body=b"<h1>Sorry</h1>", headers=headers, kind="text/html")
    return Fault(name=f"failing {status}", processed=processed, change=lambda _: answer)


def _time_text(at: float | datetime | str) -> str:
    return format_datetime(at, usegmt=True) if isinstance(at, datetime) else str(at)


def lost_answer() -> Fault:
    """Return a fault: handle the request, and disconnect without a response."""
    return Fault(name="lost", change=lambda _: None)


def cut_answer(short: int = 10) -> Fault:
    """Return a fault: handle the request, and disconnect after some bytes of the response."""
    return Fault(name="cut", change=lambda answer: attrs.evolve(answer, short=short))


def unread_request() -> Fault:
    """Return a fault: reset the connection without reading the body or handling the request."""
    return Fault(name="unread", read=False, processed=False, change=lambda _: None)


def late_answer(seconds: float, *, processed: bool = False) -> Fault:
    """Return a fault: wait before or after handling the request, then respond.

    It is done even for a client that has left meanwhile. `AuthorizationServer.release` ends the
    wait at once.
    """
    if processed:
        return Fault(name="hanging", after=seconds)
    return Fault(name="hanging", before=seconds)


def redirect_to(url: str, *, status: int = 302, processed: bool = False) -> Fault:
    """Return a fault: redirect the client to another URL."""
    answer = Answer(status=status, headers=(("Location", url),))
    return Fault(name=f"redirecting {status}", processed=processed, change=lambda _: answer)


# --- what comes back is odd --------------------------------------------------


def malformed_body(body: bytes = b'{"access_token": "at-', *, processed: bool = True) -> Fault:
    """Return a fault: respond with status 200 and invalid JSON, truncated by default."""
    answer = Answer(body=body)
    return Fault(name="malformed", processed=processed, change=lambda _: answer)


def succeeding_with_error(error: str = "invalid_grant", *, processed: bool = False) -> Fault:
    """Return a fault: respond with status 200 and an error in the body."""
    answer = Answer(members={"error": error, "error_description": "as some vendors do"})
    return Fault(name="succeeding with error", processed=processed, change=lambda _: answer)


def form_encoded() -> Fault:
    """Return a fault: respond with a form instead of JSON."""

    def change(answer: Answer) -> Answer:
        body = urlencode(answer.members or {}).encode()
        kind = "application/x-www-form-urlencoded"
        return attrs.evolve(answer, members=None, body=body, kind=kind)

    return Fault(name="form encoded", change=change)


def respond_with(**members: Any) -> Fault:
    """Return a fault: respond with these members in addition to, or instead of, true members."""

    def change(answer: Answer) -> Answer:
        return attrs.evolve(answer, members={**(answer.members or {}), **members})

    return Fault(name=f"saying {' '.join(members)}", change=change)


def keeping_back(*names: str) -> Fault:
    """Return a fault: respond without these members."""

    def change(answer: Answer) -> Answer:
        members = answer.members or {}
        remaining_members = {name: members[name] for name in members if name not in names}
        return attrs.evolve(answer, members=remaining_members)

    return Fault(name=f"keeping back {' '.join(names)}", change=change)


def huge_answer(size: int = 10_000_000) -> Fault:
    """Return a fault: respond with a JSON object of this size."""

    def change(answer: Answer) -> Answer:
        plain_length = len(json.dumps({**(answer.members or {}), "padding": ""}))
        padded_members = {**(answer.members or {}), "padding": "x" * (size - plain_length)}
        return attrs.evolve(answer, members=padded_members)

    return Fault(name="huge", change=change)


def wrong_content_type(kind: str) -> Fault:
    """Return a fault: respond with another content type than JSON's."""
    return Fault(name=f"labelled {kind}", change=lambda answer: attrs.evolve(answer, kind=kind))
