"""Interprets pyreqwest's exceptions; their classes alone do not show the cause.

| the causes of the exception | raised | may have been processed |
|---|---|---|
| have `(Connect)`: no connection, or no TLS on it | `ConnectionFailed` | no |
| have `(Connect)`, and it is a timeout | `AttemptTimeout` | no |
| it is a timeout | `AttemptTimeout` | yes |
| the response could not be decoded, and did not just end | `VendorFailed` | yes |
| anything else | `ConnectionFailed` | yes |
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from pyreqwest.exceptions import DecodeError, RequestTimeoutError

from moorage.domain.resilience.health import is_exhaustion

_CUT_OFF_TEXT: Final = re.compile(
    r"end of file|eof|closed|reset|broken pipe|aborted", re.IGNORECASE
)
_ERROR_NUMBER: Final = re.compile(r"\(os error ([0-9]{1,6})\)")
_UNAUTHENTICATED: Final = "proxy authorization required"
_HEAD_TOO_LARGE: Final = "message head is too large"


class ExceptionMeaning(NamedTuple):
    """The facts about a failed request that a pyreqwest exception reveals.

    Attributes:
        sent: whether any byte of the request may have been sent.
        timed_out: whether a timeout passed.
        malformed: whether bytes arrived that are not a response.
        too_large: whether these bytes exceed pyreqwest's limit for a head.
        reason: the reason, without the URL or any secret; may be empty.
        exhausted: whether this machine has no sockets, ports or memory left.
        unauthenticated: whether the proxy refuses the user name and password.
    """

    sent: bool
    timed_out: bool
    malformed: bool
    too_large: bool
    reason: str
    exhausted: bool
    unauthenticated: bool


def meaning_of(error: Exception) -> ExceptionMeaning:
    """Return the facts of an exception; the request counts as sent unless connecting failed."""
    causes = _causes(error)
    reason = causes[-1] if causes else ""
    number = _ERROR_NUMBER.search(reason)
    is_unsent = any("(Connect)" in cause for cause in causes)
    return ExceptionMeaning(
        sent=not is_unsent,
        timed_out=isinstance(error, RequestTimeoutError),
        malformed=isinstance(error, DecodeError) and not _CUT_OFF_TEXT.search(reason),
        too_large=_HEAD_TOO_LARGE in reason,
        reason="" if "://" in reason or "client error" in reason else reason,
        exhausted=is_exhaustion(OSError(int(number[1]), reason)) if number else False,
        unauthenticated=_UNAUTHENTICATED in reason,
    )


def _causes(error: Exception) -> list[str]:
    details: Any = getattr(error, "details", None)
    causes: Any = details["causes"] if details else None
    return [str(cause["message"]) for cause in causes or ()]
