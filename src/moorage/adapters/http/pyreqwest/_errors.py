"""The meanings of pyreqwest's exceptions, which their classes do not determine.

| what its causes say | raised | may have been processed |
|---|---|---|
| `(Connect)`: the connection, or TLS on it, was not made | `ConnectionFailed` | no |
| the same, and the time is up | `AttemptTimeout` | no |
| the time is up | `AttemptTimeout` | yes |
| what came could not be read, and did not just end | `VendorFailed` | it was answered |
| anything else | `ConnectionFailed` | yes |
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from pyreqwest.exceptions import DecodeError, RequestTimeoutError

from moorage.domain.resilience.health import is_exhaustion

_ENDS: Final = re.compile(r"end of file|eof|closed|reset|broken pipe|aborted", re.IGNORECASE)
_NUMBER: Final = re.compile(r"\(os error ([0-9]{1,6})\)")
_LARGE: Final = "message head is too large"


class Meaning(NamedTuple):
    """What happened.

    Attributes:
        sent: whether any byte of the request may have arrived.
        late: whether a bound passed.
        answered: whether bytes came that are no answer.
        large: whether they were more than is accepted.
        why: a reason that shows neither the URL nor any secret; may be empty.
        exhausted: whether this machine has no sockets, ports or memory left.
    """

    sent: bool
    late: bool
    answered: bool
    large: bool
    why: str
    exhausted: bool


def meaning_of(error: Exception) -> Meaning:
    """Say what happened, and rather that a request was sent than that it was not."""
    causes = _causes(error)
    why = causes[-1] if causes else ""
    number = _NUMBER.search(why)
    unsent = any("(Connect)" in cause for cause in causes)
    return Meaning(
        sent=not unsent,
        late=isinstance(error, RequestTimeoutError),
        answered=isinstance(error, DecodeError) and not _ENDS.search(why),
        large=_LARGE in why,
        why="" if "://" in why or "client error" in why else why,
        exhausted=is_exhaustion(OSError(int(number[1]), why)) if number else False,
    )


def _causes(error: Exception) -> list[str]:
    details: Any = getattr(error, "details", None)
    found: Any = details["causes"] if details else None
    return [str(cause["message"]) for cause in found or ()]
