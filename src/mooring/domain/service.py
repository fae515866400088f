"""A service as it is configured: where it is, and how calls to it are protected."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs

from mooring.domain.auth import Credentials
from mooring.domain.budget import RetryBudget
from mooring.domain.circuit import CircuitBreakerConfig
from mooring.domain.durations import count, seconds
from mooring.domain.http import Headers, HttpMethod, Request, Response, validate_base_url
from mooring.domain.keys import checked_name
from mooring.domain.rate_limit import RateLimitConfig
from mooring.domain.retry import RetryPolicy
from mooring.errors import ConfigurationError, ConnectorError, InvalidData

if TYPE_CHECKING:
    from datetime import timedelta

RequestTransform: TypeAlias = "Callable[[Request], Request | Awaitable[Request]]"
ResponseTransform: TypeAlias = "Callable[[Response], Response | Awaitable[Response]]"
Classify: TypeAlias = "Callable[[Request, Response], ConnectorError | None]"
Fallback: TypeAlias = "Callable[[ConnectorError], Any]"


class _Inherit:
    """An endpoint's setting that is its service's."""

    def __repr__(self) -> str:
        return "INHERIT"


INHERIT: Final[Any] = _Inherit()


@attrs.frozen
class BulkheadConfig:
    """At most `max_concurrent` calls at once, and `max_waiting` more that wait for a place.

    A caller waits at most `max_wait` seconds (by default as long as its deadline allows).
    """

    max_concurrent: int = attrs.field(validator=lambda _, __, value: count(value, "max_concurrent"))
    max_waiting: int = attrs.field(
        default=0, validator=lambda _, __, value: count(value, "max_waiting", least=0)
    )
    max_wait: float | None = attrs.field(
        default=None,
        converter=attrs.converters.optional(lambda value: seconds(value, "max_wait", zero=True)),
    )


@attrs.frozen
class HedgeConfig:
    """Send a read again, to up to `max_extra` others, each time `delay` seconds pass unanswered."""

    delay: float = attrs.field(converter=lambda value: seconds(value, "delay"))
    max_extra: int = attrs.field(
        default=1, validator=lambda _, __, value: count(value, "max_extra")
    )


def _optional_seconds(field: str) -> Callable[[Any], Any]:
    def convert(value: float | timedelta | None) -> Any:  # noqa: ANN401 - INHERIT stays
        return value if value is None or value is INHERIT else seconds(value, field)

    return convert


def _all_of(kind: type, field: str) -> Callable[[Any], Any]:
    def convert(value: Any) -> Any:  # noqa: ANN401 - INHERIT stays
        if value is INHERIT:
            return value
        items = (value,) if isinstance(value, kind) else tuple(value or ())
        for item in items:
            if not isinstance(item, kind):
                raise ConfigurationError(
                    f"{item!r} is not a {kind.__name__}.",
                    path=field,
                    remedy=f"Give {kind.__name__} values.",
                )
        return items

    return convert


def _callables(field: str) -> Callable[[Any], Any]:
    def convert(value: Any) -> Any:  # noqa: ANN401 - INHERIT stays
        if value is INHERIT:
            return value
        items = (value,) if callable(value) else tuple(value or ())
        for item in items:
            if not callable(item):
                raise ConfigurationError(
                    f"{item!r} cannot be called.", path=field, remedy="Give functions."
                )
        return items

    return convert


def _one_of(kind: type, field: str) -> Callable[[Any, Any, Any], None]:
    def check(_: Any, __: Any, value: Any) -> None:  # noqa: ANN401 - not yet known
        if value is not None and value is not INHERIT and not isinstance(value, kind):
            raise ConfigurationError(
                f"{value!r} is not a {kind.__name__}.",
                path=field,
                remedy=f"Give a {kind.__name__}, or None for none.",
            )

    return check


@attrs.frozen
class Endpoint:
    """One operation of a service, where it needs settings of its own.

    A request belongs to the endpoint that the call names, or else to the first whose `method` and
    `path` fit; a part of the path in braces fits any one part. A setting that is not given is the
    service's; limits are asked besides the service's.

    Attributes:
        cost: how many tokens of each limit one call takes.
        idempotent: whether repeating is harmless; by default the method says.
    """

    name: str = attrs.field(converter=lambda value: checked_name(value, "endpoint"))
    method: HttpMethod | None = attrs.field(
        default=None, converter=attrs.converters.optional(HttpMethod)
    )
    path: str | None = None
    timeout: float = attrs.field(
        default=INHERIT, converter=_optional_seconds("timeout"), kw_only=True
    )
    attempt_timeout: float | None = attrs.field(
        default=INHERIT, converter=_optional_seconds("attempt_timeout"), kw_only=True
    )
    retry: RetryPolicy | None = attrs.field(
        default=INHERIT, validator=_one_of(RetryPolicy, "retry"), kw_only=True
    )
    limits: tuple[RateLimitConfig, ...] = attrs.field(
        default=(), converter=_all_of(RateLimitConfig, "limits"), kw_only=True
    )
    circuit: CircuitBreakerConfig | None = attrs.field(
        default=INHERIT, validator=_one_of(CircuitBreakerConfig, "circuit"), kw_only=True
    )
    hedge: HedgeConfig | None = attrs.field(
        default=INHERIT, validator=_one_of(HedgeConfig, "hedge"), kw_only=True
    )
    fallback: Fallback | None = attrs.field(default=INHERIT, kw_only=True)
    request_transforms: tuple[RequestTransform, ...] = attrs.field(
        default=(), converter=_callables("request_transforms"), kw_only=True
    )
    response_transforms: tuple[ResponseTransform, ...] = attrs.field(
        default=(), converter=_callables("response_transforms"), kw_only=True
    )
    cost: int = attrs.field(
        default=1, validator=lambda _, __, value: count(value, "cost"), kw_only=True
    )
    idempotent: bool | None = attrs.field(default=None, kw_only=True)

    def fits(self, request: Request) -> bool:
        """Whether `request` is one of this endpoint's."""
        if self.path is None or (self.method is not None and self.method != request.method):
            return False
        wanted = self.path.strip("/").split("/")
        given = request.path.partition("?")[0].strip("/").split("/")
        return len(wanted) == len(given) and all(
            part == actual or (part[:1] == "{" and part[-1:] == "}" and actual != "")
            for part, actual in zip(wanted, given, strict=True)
        )


@attrs.frozen
class Service:
    """Anything that is called: where it is, and what protects calls to it.

    Attributes:
        name: what calls name it by.
        base_url: where its requests go; a service that only protects functions has none.
        timeout: seconds for a whole call: waiting, refreshing, every attempt and pause.
        attempt_timeout: seconds for one attempt; by default what is left of `timeout`.
        retry: how often and at what pace to try; None for one attempt.
        limits: asked together before every attempt.
        circuit: when to hold calls back; None for never.
        retry_budget: a share of all calls that retries may be; None for no bound.
        bulkhead: how many calls may be under way at once; None for any number.
        hedge: send slow reads twice; None for never.
        fallback: what answers when a call has failed for good: a function of the error.
        credentials: who we say we are; `needs_credentials` asks the credential provider instead.
        headers: sent with every request that does not set them itself.
        request_transforms, response_transforms: applied in order to each request and answer.
        classify: says which answers are failures, before the status is looked at.
        idempotency_header: where the vendor takes an idempotency key. A service with none is
            taken not to honour keys: what may have been processed is not sent again.
        idempotency_memory: seconds for which the vendor remembers a key.
        idempotency_ttl: seconds for which a stored answer is replayed.
        max_limit_wait: a call that would wait longer than these seconds for its turn is refused;
            by default it waits as long as its deadline allows.
        endpoints: operations with settings of their own.
    """

    name: str = attrs.field(converter=lambda value: checked_name(value, "service"))
    base_url: str | None = attrs.field(
        default=None, converter=attrs.converters.optional(validate_base_url)
    )
    timeout: float = attrs.field(
        default=30.0, converter=lambda value: seconds(value, "timeout"), kw_only=True
    )
    attempt_timeout: float | None = attrs.field(
        default=None, converter=_optional_seconds("attempt_timeout"), kw_only=True
    )
    retry: RetryPolicy | None = attrs.field(
        factory=RetryPolicy.default, validator=_one_of(RetryPolicy, "retry"), kw_only=True
    )
    limits: tuple[RateLimitConfig, ...] = attrs.field(
        default=(), converter=_all_of(RateLimitConfig, "limits"), kw_only=True
    )
    circuit: CircuitBreakerConfig | None = attrs.field(
        factory=CircuitBreakerConfig,
        validator=_one_of(CircuitBreakerConfig, "circuit"),
        kw_only=True,
    )
    retry_budget: RetryBudget | None = attrs.field(
        default=None, validator=_one_of(RetryBudget, "retry_budget"), kw_only=True
    )
    bulkhead: BulkheadConfig | None = attrs.field(
        default=None, validator=_one_of(BulkheadConfig, "bulkhead"), kw_only=True
    )
    hedge: HedgeConfig | None = attrs.field(
        default=None, validator=_one_of(HedgeConfig, "hedge"), kw_only=True
    )
    fallback: Fallback | None = attrs.field(default=None, kw_only=True)
    credentials: Credentials | None = attrs.field(
        default=None, validator=_one_of(Credentials, "credentials"), kw_only=True
    )
    needs_credentials: bool = attrs.field(default=False, kw_only=True)
    headers: Headers = attrs.field(factory=Headers, converter=Headers, kw_only=True)
    request_transforms: tuple[RequestTransform, ...] = attrs.field(
        default=(), converter=_callables("request_transforms"), kw_only=True
    )
    response_transforms: tuple[ResponseTransform, ...] = attrs.field(
        default=(), converter=_callables("response_transforms"), kw_only=True
    )
    classify: Classify | None = attrs.field(default=None, kw_only=True)
    idempotency_header: str | None = attrs.field(default=None, kw_only=True)
    idempotency_memory: float = attrs.field(
        default=86_400.0,
        converter=lambda value: seconds(value, "idempotency_memory"),
        kw_only=True,
    )
    idempotency_ttl: float = attrs.field(
        default=86_400.0, converter=lambda value: seconds(value, "idempotency_ttl"), kw_only=True
    )
    max_limit_wait: float | None = attrs.field(
        default=None,
        converter=attrs.converters.optional(
            lambda value: seconds(value, "max_limit_wait", zero=True)
        ),
        kw_only=True,
    )
    endpoints: tuple[Endpoint, ...] = attrs.field(
        default=(), converter=_all_of(Endpoint, "endpoints"), kw_only=True
    )

    @fallback.validator
    def _check_fallback(self, _: Any, value: object) -> None:
        if value is not None and not callable(value):
            raise ConfigurationError(
                f"{value!r} cannot be called.",
                path="fallback",
                remedy="Give a function of the error, such as `lambda error: value`.",
            )

    @idempotency_header.validator
    def _check_header(self, _: Any, value: str | None) -> None:
        if value is not None:
            Headers({value: ""})

    @endpoints.validator
    def _check_endpoints(self, _: Any, value: tuple[Endpoint, ...]) -> None:
        names = [endpoint.name for endpoint in value]
        for name in names:
            if names.count(name) > 1:
                raise ConfigurationError(
                    f"Two endpoints are named {name!r}.",
                    path="endpoints",
                    remedy="Give each endpoint a name of its own.",
                )

    def endpoint(self, name: str | None, request: Request | None) -> Endpoint | None:
        """The endpoint a call belongs to, if any."""
        if name is not None:
            for endpoint in self.endpoints:
                if endpoint.name == name:
                    return endpoint
            raise InvalidData(
                f"Service {self.name!r} has no endpoint {name!r}.",
                field="endpoint",
                remedy=f"Use one of: {', '.join(e.name for e in self.endpoints) or 'none'}.",
            )
        if request is not None:
            for endpoint in self.endpoints:
                if endpoint.fits(request):
                    return endpoint
        return None


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
