"""The cache policy for a service whose responses have no cache headers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.domain.http.headers import Headers
from moorage.domain.secrets.frames import with_careful_constructor
from moorage.domain.values.durations import DAY, SECOND, count, is_seconds, is_wait, plain_seconds
from moorage.domain.values.frozen_values import field, frozen
from moorage.domain.values.text import brief_repr
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

    import attrs

    from moorage.domain.values.durations import Validator

_DAY: Final = float(DAY // SECOND)


def _up_to(most: int) -> Validator:
    def check_value(_: object, attribute: attrs.Attribute[Any], value: int) -> None:
        count(value, attribute.name, most=most)

    return check_value


def _is_share(_: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise ConfigurationError(
            f"{brief_repr(value)} is not a share.",
            path=attribute.name,
            remedy="Set a number from 0 to 1.",
        )


def _names(value: Iterable[str]) -> tuple[str, ...]:
    # `Headers` refuses invalid names; a lone string counts as one name.
    names = (value,) if isinstance(value, str) else value
    return tuple(sorted(map(str.lower, Headers((name, "") for name in names))))


@with_careful_constructor
@frozen(kw_only=True)
class CachePolicy:
    """The cache settings of a service, within the limits of HTTP's rules for reuse.

    The service's own cache headers are obeyed; these settings decide the rest.

    Attributes:
        heuristic: sets a lifetime for a response that states none: this share of the time
            between the response's `Last-Modified` and its receipt. With 0, such a response is
            never fresh.
        heuristic_limit: the maximum in seconds of a lifetime that `heuristic` sets.
        default_lifetime: the lifetime in seconds of a successful response that states none; a
            longer
            lifetime from `heuristic` takes precedence.
        stale_if_error: the number of seconds after its lifetime during which a response may
            replace an error of the service, if neither the response nor the request states another
            number.
        keep_stale: the number of seconds after its lifetime for which a response is stored, if
            the service can confirm that the response is still valid.
        max_bytes: the maximum number of bytes of all responses that are stored for one URL; a
            larger response is not stored.
        max_variants: the maximum number of responses that are stored for one URL, if its
            responses depend on headers or credentials.
        varies_by: the request headers that answers depend on, even if the service names none.
        max_wait: the number of seconds that a call waits for the cache before it continues without
            it. A synchronous manager waits for the cache's own timeout, then skips the cache for a
            while.
    """

    heuristic: float = field(default=0.0, validator=_is_share)
    heuristic_limit: float = field(default=_DAY, converter=plain_seconds, validator=is_seconds)
    default_lifetime: float = field(default=0.0, converter=plain_seconds, validator=is_wait)
    stale_if_error: float = field(default=0.0, converter=plain_seconds, validator=is_wait)
    keep_stale: float = field(default=_DAY, converter=plain_seconds, validator=is_wait)
    max_bytes: int = field(default=1 << 20, validator=_up_to(32 << 20))
    max_variants: int = field(default=8, validator=_up_to(1_000))
    varies_by: tuple[str, ...] = field(default=("accept", "accept-language"), converter=_names)
    max_wait: float = field(default=0.25, converter=plain_seconds, validator=is_seconds)
