"""A service as it is configured: where it is, and how calls to it are protected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import urlsplit

import attrs

from moorage.domain.auth import Credentials, OAuthCredentials
from moorage.domain.budget import RetryBudget
from moorage.domain.cache_policy import CachePolicy
from moorage.domain.circuit import CircuitBreakerConfig
from moorage.domain.durations import count, if_given, is_count, is_seconds, is_wait, plain
from moorage.domain.endpoint_index import EndpointIndex
from moorage.domain.frames import careful
from moorage.domain.functions import check_callable, check_plain
from moorage.domain.headers import Headers, as_headers
from moorage.domain.http import Timeouts, as_method, validate_base_url
from moorage.domain.keys import checked_name
from moorage.domain.rate_limit import RateLimitConfig
from moorage.domain.redaction import Redaction
from moorage.domain.region import Region, belonging
from moorage.domain.retry import RetryPolicy
from moorage.domain.retry_after import LONGEST_PAUSE
from moorage.domain.urls import is_absolute
from moorage.errors import ConfigurationError, ConnectorError, InvalidData

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from moorage.domain.durations import Validator
    from moorage.domain.http import HttpMethod, Request, Response

RequestTransform: TypeAlias = "Callable[[Request], Request | Awaitable[Request]]"
ResponseTransform: TypeAlias = "Callable[[Response], Response | Awaitable[Response]]"
Classify: TypeAlias = "Callable[[Request, Response], ConnectorError | None]"
Fallback: TypeAlias = "Callable[[ConnectorError], Any]"


_USUALLY_MASKED: Final = Redaction()


class _Inherit:
    """An endpoint's setting that is its service's."""

    def __repr__(self) -> str:
        return "INHERIT"

    def __reduce__(self) -> str:
        # Known by identity, so a copy or a pickle of it is itself.
        return "INHERIT"


INHERIT: Final[Any] = _Inherit()


def unless_inherited(check: Validator) -> Validator:
    """Let a field be the service's, and check it otherwise."""

    def validator(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if value is not INHERIT:
            check(instance, attribute, value)

    return validator


def _is_number(_: object, attribute: attrs.Attribute[Any], value: int) -> None:
    count(value, attribute.name, least=0)


def _is_one_of(*kinds: type) -> Validator:
    def check(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if not isinstance(value, kinds):
            # The value itself is not shown: it may be a credential in the wrong place.
            raise ConfigurationError(
                f"a {type(value).__name__} is not a {kinds[0].__name__}.",
                path=attribute.name,
                remedy=f"Give a {kinds[0].__name__}.",
            )

    return check


def _is_callable(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    check_callable(value, attribute.name)


def _is_plain(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    check_plain(value, attribute.name)


def _all(value: Any) -> tuple[Any, ...]:
    """One value or several, as a tuple."""
    if callable(value):
        return (value,)
    try:
        return tuple(value or ())
    except TypeError:
        return (value,)


def _each(check: Validator) -> Validator:
    def validator(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
        for item in value:
            check(instance, attribute, item)

    return validator


@attrs.frozen
class BulkheadConfig:
    """At most so many calls at once, and so many more that wait for a place.

    Attributes:
        max_concurrent: how many calls may be under way at once.
        max_waiting: how many more may wait for a place.
        max_wait: seconds that a caller waits at most; by default as long as its deadline allows.
    """

    max_concurrent: int = attrs.field(validator=is_count)
    max_waiting: int = attrs.field(default=0, validator=_is_number)
    max_wait: float | None = attrs.field(
        default=None, converter=attrs.converters.optional(plain), validator=if_given(is_wait)
    )


@attrs.frozen
class HedgeConfig:
    """Send a read again, each time it stays unanswered for a while.

    Attributes:
        delay: seconds without an answer before it is sent again.
        max_extra: how often it is sent again at most.
    """

    delay: float = attrs.field(converter=plain, validator=is_seconds)
    max_extra: int = attrs.field(default=1, validator=is_count)


def _are_steps(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    _is_one_of(Timeouts)(_, attribute, value)
    if value.total is not None:
        raise ConfigurationError(
            "The bound of a whole attempt stands among those of its steps.",
            path=f"{attribute.name}.total",
            remedy="Give it as attempt_timeout.",
        )


def _name_of_endpoint(value: object) -> str:
    return checked_name(value, "endpoint")


def _name_of_service(value: object) -> str:
    return checked_name(value, "service")


@attrs.frozen
class Endpoint:
    """One operation of a service, where it needs settings of its own.

    A request belongs to the endpoint that the call names, or else to the first whose `method` and
    `path` fit; a part of the path in braces fits any one part. A setting that is not given is the
    service's; limits are asked besides the service's.

    Attributes:
        name: what calls name it by.
        method: the method of its requests; any unless given.
        path: the path of its requests, below the base URL.
        cost: how many tokens of each limit one call takes.
        idempotent: whether repeating is harmless; by default the method says.
    """

    name: str = attrs.field(converter=_name_of_endpoint)
    method: HttpMethod | None = attrs.field(
        default=None, converter=attrs.converters.optional(as_method)
    )
    path: str | None = attrs.field(default=None, validator=if_given(_is_one_of(str)))
    timeout: float = attrs.field(
        default=INHERIT, converter=plain, validator=unless_inherited(is_seconds), kw_only=True
    )
    attempt_timeout: float | None = attrs.field(
        default=INHERIT,
        converter=attrs.converters.optional(plain),
        validator=unless_inherited(if_given(is_seconds)),
        kw_only=True,
    )
    timeouts: Timeouts = attrs.field(
        default=INHERIT, validator=unless_inherited(_are_steps), kw_only=True
    )
    retry: RetryPolicy | None = attrs.field(
        default=INHERIT,
        validator=unless_inherited(if_given(_is_one_of(RetryPolicy))),
        kw_only=True,
    )
    limits: tuple[RateLimitConfig, ...] = attrs.field(
        default=(), converter=_all, validator=_each(_is_one_of(RateLimitConfig)), kw_only=True
    )
    circuit: CircuitBreakerConfig | None = attrs.field(
        default=INHERIT,
        validator=unless_inherited(if_given(_is_one_of(CircuitBreakerConfig))),
        kw_only=True,
    )
    hedge: HedgeConfig | None = attrs.field(
        default=INHERIT,
        validator=unless_inherited(if_given(_is_one_of(HedgeConfig))),
        kw_only=True,
    )
    cache: CachePolicy | None = attrs.field(
        default=INHERIT,
        validator=unless_inherited(if_given(_is_one_of(CachePolicy))),
        kw_only=True,
    )
    fallback: Fallback | None = attrs.field(
        default=INHERIT, validator=unless_inherited(if_given(_is_callable)), kw_only=True
    )
    request_transforms: tuple[RequestTransform, ...] = attrs.field(
        default=(), converter=_all, validator=_each(_is_callable), kw_only=True
    )
    response_transforms: tuple[ResponseTransform, ...] = attrs.field(
        default=(), converter=_all, validator=_each(_is_callable), kw_only=True
    )
    cost: int = attrs.field(default=1, validator=is_count, kw_only=True)
    idempotent: bool | None = attrs.field(
        default=None, validator=if_given(_is_one_of(bool)), kw_only=True
    )


def _is_header(_: object, __: object, value: str) -> None:
    Headers({value: ""})


def _are_named_apart(kind: type[Endpoint | Region], called: str) -> Validator:
    check_each = _each(_is_one_of(kind))

    def check(_: object, attribute: attrs.Attribute[Any], value: tuple[Any, ...]) -> None:
        check_each(_, attribute, value)
        names: set[str] = set()
        for one in value:
            if one.name in names:
                raise ConfigurationError(
                    f"Two {called}s are named {one.name!r}.",
                    path=attribute.name,
                    remedy=f"Give each {called} a name of its own.",
                )
            names.add(one.name)

    return check


@careful
@attrs.frozen
class Service:
    """Anything that is called: where it is, and what protects calls to it.

    Attributes:
        name: what calls name it by.
        base_url: where its requests go; a service that only protects functions has none.
        regions: instead of `base_url`, the places it is in. Each has a circuit of its own; limits,
            the retry budget and the bulkhead are for all of them together.
        timeout: seconds for a whole call: waiting, refreshing, every attempt and pause.
        attempt_timeout: seconds for one attempt; by default what is left of `timeout`.
        timeouts: bounds for single steps of an attempt, such as `Timeouts(connect=3)`.
        retry: how often and at what pace to try; None for one attempt.
        limits: asked together before every attempt.
        circuit: when to hold calls back; None for never.
        retry_budget: a share of all calls that retries may be; None for no bound.
        bulkhead: how many calls may be under way at once; None for any number.
        hedge: send slow reads twice; None for never.
        cache: use answers again as far as HTTP allows; None for never.
        fallback: what answers when a call has failed for good: a function of the error.
        credentials: who we say we are.
        needs_credentials: whether the credential provider is asked who we are instead.
        headers: sent with every request that does not set them itself.
        request_transforms, response_transforms: applied in order to each request and answer.
        classify: says which answers are failures, before the status is looked at.
        idempotency_header: where the vendor takes an idempotency key. A service with none is
            taken not to honour keys: what may have been processed is not sent again.
        idempotency_memory: seconds for which the vendor surely remembers a key; a service with an
            `idempotency_header` must state them. Without a header they are for keys that stand
            elsewhere in a request.
        idempotency_replays: whether a key that the vendor remembers gets the first answer again.
            If not, a refusal of a repeat says nothing of the first request.
        idempotency_across_regions: whether a key that one region was sent is honoured in the
            others. If not, what may have been processed is repeated in that region only.
        idempotency_ttl: seconds for which a stored answer is replayed.
        moves_money: its idempotency keys must outlive a crash: a store that may lose them is
            refused, unless `volatile_keys` says that this is understood.
        volatile_keys: whether it is understood that a crash may lose keys, and money move twice.
        max_limit_wait: a call that would wait longer than these seconds for its turn is refused;
            by default it waits as long as its deadline allows.
        max_pause: seconds of the longest pause that an answer of the vendor can impose on all
            callers, however long a `Retry-After` or a rate limit's reset asks for.
        redaction: what to mask in the vendor's words, besides what is always masked.
        endpoints: operations with settings of their own.
    """

    name: str = attrs.field(converter=_name_of_service)
    base_url: str | None = attrs.field(
        default=None, converter=attrs.converters.optional(validate_base_url)
    )
    timeout: float = attrs.field(default=30.0, converter=plain, validator=is_seconds, kw_only=True)
    attempt_timeout: float | None = attrs.field(
        default=None,
        converter=attrs.converters.optional(plain),
        validator=if_given(is_seconds),
        kw_only=True,
    )
    timeouts: Timeouts = attrs.field(factory=Timeouts, validator=_are_steps, kw_only=True)
    retry: RetryPolicy | None = attrs.field(
        factory=RetryPolicy.default, validator=if_given(_is_one_of(RetryPolicy)), kw_only=True
    )
    limits: tuple[RateLimitConfig, ...] = attrs.field(
        default=(), converter=_all, validator=_each(_is_one_of(RateLimitConfig)), kw_only=True
    )
    circuit: CircuitBreakerConfig | None = attrs.field(
        factory=CircuitBreakerConfig,
        validator=if_given(_is_one_of(CircuitBreakerConfig)),
        kw_only=True,
    )
    retry_budget: RetryBudget | None = attrs.field(
        default=None, validator=if_given(_is_one_of(RetryBudget)), kw_only=True
    )
    bulkhead: BulkheadConfig | None = attrs.field(
        default=None, validator=if_given(_is_one_of(BulkheadConfig)), kw_only=True
    )
    hedge: HedgeConfig | None = attrs.field(
        default=None, validator=if_given(_is_one_of(HedgeConfig)), kw_only=True
    )
    cache: CachePolicy | None = attrs.field(
        default=None, validator=if_given(_is_one_of(CachePolicy)), kw_only=True
    )
    fallback: Fallback | None = attrs.field(
        default=None, validator=if_given(_is_callable), kw_only=True
    )
    credentials: Credentials | OAuthCredentials | None = attrs.field(
        default=None,
        validator=if_given(_is_one_of(Credentials, OAuthCredentials)),
        kw_only=True,
    )
    needs_credentials: bool = attrs.field(default=False, validator=_is_one_of(bool), kw_only=True)
    headers: Headers = attrs.field(factory=Headers, converter=as_headers, repr=False, kw_only=True)
    request_transforms: tuple[RequestTransform, ...] = attrs.field(
        default=(), converter=_all, validator=_each(_is_callable), kw_only=True
    )
    response_transforms: tuple[ResponseTransform, ...] = attrs.field(
        default=(), converter=_all, validator=_each(_is_callable), kw_only=True
    )
    classify: Classify | None = attrs.field(
        default=None,
        validator=if_given(_is_plain),
        kw_only=True,
    )
    idempotency_header: str | None = attrs.field(
        default=None, validator=if_given(_is_header), kw_only=True
    )
    idempotency_memory: float | None = attrs.field(
        default=None,
        converter=attrs.converters.optional(plain),
        validator=if_given(is_seconds),
        kw_only=True,
    )
    idempotency_replays: bool = attrs.field(default=True, validator=_is_one_of(bool), kw_only=True)
    idempotency_ttl: float = attrs.field(
        default=86_400.0, converter=plain, validator=is_seconds, kw_only=True
    )
    idempotency_across_regions: bool = attrs.field(
        default=False, validator=_is_one_of(bool), kw_only=True
    )
    moves_money: bool = attrs.field(default=False, validator=_is_one_of(bool), kw_only=True)
    volatile_keys: bool = attrs.field(default=False, validator=_is_one_of(bool), kw_only=True)
    max_pause: float = attrs.field(
        default=LONGEST_PAUSE, converter=plain, validator=is_seconds, kw_only=True
    )
    max_limit_wait: float | None = attrs.field(
        default=None,
        converter=attrs.converters.optional(plain),
        validator=if_given(is_wait),
        kw_only=True,
    )
    redaction: Redaction = attrs.field(
        default=_USUALLY_MASKED, validator=_is_one_of(Redaction), kw_only=True
    )
    endpoints: tuple[Endpoint, ...] = attrs.field(
        default=(),
        converter=_all,
        validator=_are_named_apart(Endpoint, "endpoint"),
        kw_only=True,
    )
    regions: tuple[Region, ...] = attrs.field(
        default=(), converter=_all, validator=_are_named_apart(Region, "region"), kw_only=True
    )
    _index: EndpointIndex = attrs.field(init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        """Refuse two answers to where it is, and a memory of keys that nobody has stated."""
        if self.idempotency_header is not None and self.idempotency_memory is None:
            raise ConfigurationError(
                f"Service {self.name!r} takes idempotency keys, and does not state for how long"
                " the vendor remembers them.",
                path="idempotency_memory",
                remedy="Give the seconds that the vendor's documentation states; where its pages"
                " differ, the smaller number.",
            )
        if self.regions and self.base_url is not None:
            raise ConfigurationError(
                f"Service {self.name!r} has both a base_url and regions.",
                path="regions",
                remedy="Make the base_url that of a Region, or leave the regions out.",
            )
        object.__setattr__(self, "_index", EndpointIndex(self.endpoints))

    def endpoint(self, name: str | None, request: Request | None) -> Endpoint | None:
        """The endpoint a call belongs to, if any."""
        if name is not None:
            endpoint = self._index.named(name)
            if endpoint is not None:
                return endpoint
            raise InvalidData(
                f"Service {self.name!r} has no endpoint {name!r}.",
                field="endpoint",
                remedy=f"Use one of: {', '.join(e.name for e in self.endpoints) or 'none'}.",
            )
        if request is None:
            return None
        return self._index.first(request.method, self._path_below(request.path))

    @property
    def endpoint_cache(self) -> CachePolicy | None:
        """The cache policy of the first endpoint that has one of its own."""
        return self._index.cache

    def _path_below(self, path: str) -> str:
        """The path of a request below the base URL."""
        if is_absolute(path):
            base = belonging(self.regions, path)[0].base_url if self.regions else self.base_url
            path = urlsplit(path).path.removeprefix(urlsplit(base or "").path.rstrip("/"))
        return path.partition("#")[0].partition("?")[0]


def by_name(services: Mapping[str, Service], name: object) -> Service:
    """The service of that name."""
    try:
        return services[name]  # type: ignore[index]  # anything else is not found
    except (KeyError, TypeError):
        known = ", ".join(sorted(services)) or "none"
        raise ConfigurationError(
            f"No service is named {name!r}.",
            path="service",
            remedy=f"Configure it, or call one of: {known}.",
        ) from None
