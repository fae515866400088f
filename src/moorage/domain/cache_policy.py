"""Whether answers of a service are used again, and how far beyond what it says itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.domain.durations import DAY, SECOND, count, is_seconds, is_wait, plain
from moorage.domain.headers import Headers
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moorage.domain.durations import Validator

_DAY: Final = float(DAY // SECOND)


def _up_to(most: int) -> Validator:
    def check(_: object, attribute: attrs.Attribute[Any], value: int) -> None:
        count(value, attribute.name, most=most)

    return check


def _is_share(_: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise ConfigurationError(
            f"{value!r} is not a share.", path=attribute.name, remedy="Give a number from 0 to 1."
        )


def _names(value: Iterable[str]) -> tuple[str, ...]:
    # Headers refuse what is no name; one text is one name.
    names = (value,) if isinstance(value, str) else value
    return tuple(sorted(map(str.lower, Headers((name, "") for name in names))))


@attrs.frozen(kw_only=True)
class CachePolicy:
    """Use answers again, as far as HTTP allows.

    What the service says of its answers is obeyed; these are what it leaves open.

    Attributes:
        heuristic: an answer that names no lifetime is taken to be good for this share of the time
            for which it had not changed (`Last-Modified`) when it was given; by default for none.
        heuristic_limit: for at most so many seconds.
        stale_if_error: seconds past its lifetime for which an answer may be used when the service
            cannot be reached or breaks, if neither it nor the request says something of that.
        keep_stale: seconds past its lifetime for which an answer that can be revalidated is kept.
        max_bytes: what all that is kept of one URL may take; an answer that is larger is not kept.
        max_variants: how many answers are kept of one URL that answers according to headers or
            credentials.
        varies_by: request headers that answers depend on, though the service may not say so.
        max_wait: seconds to wait for the cache itself. What comes later is done without it; the
            plain face waits as long as the cache's own timeout, but not again for a while.
    """

    heuristic: float = attrs.field(default=0.0, validator=_is_share)
    heuristic_limit: float = attrs.field(default=_DAY, converter=plain, validator=is_seconds)
    stale_if_error: float = attrs.field(default=0.0, converter=plain, validator=is_wait)
    keep_stale: float = attrs.field(default=_DAY, converter=plain, validator=is_wait)
    max_bytes: int = attrs.field(default=1 << 20, validator=_up_to(32 << 20))
    max_variants: int = attrs.field(default=8, validator=_up_to(1_000))
    varies_by: tuple[str, ...] = attrs.field(
        default=("accept", "accept-language"), converter=_names
    )
    max_wait: float = attrs.field(default=0.25, converter=plain, validator=is_seconds)
