"""The configuration of a service: its address, and the protections of calls to it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import urlsplit

from moorage.domain.auth.methods import Credentials, OAuthCredentials
from moorage.domain.http.headers import Headers, as_headers, check_settable
from moorage.domain.http.log_content import LogContent
from moorage.domain.http.redaction import Redaction
from moorage.domain.http.requests import Timeouts, as_method, validate_base_url
from moorage.domain.http.urls import is_absolute
from moorage.domain.resilience.budget import RetryBudget
from moorage.domain.resilience.circuit import CircuitBreakerConfig
from moorage.domain.resilience.rate_limit import RateLimitConfig
from moorage.domain.resilience.retry import RetryPolicy
from moorage.domain.resilience.vendor_hints import LONGEST_PAUSE
from moorage.domain.secrets.frames import with_careful_constructor
from moorage.domain.service.cache_policy import CachePolicy
from moorage.domain.service.endpoint_index import EndpointIndex
from moorage.domain.service.region import Region, regions_of_path
from moorage.domain.state.keys import checked_name
from moorage.domain.values.durations import (
    count,
    if_given,
    is_count,
    is_seconds,
    is_wait,
    plain_seconds,
)
from moorage.domain.values.frozen_values import field, frozen, optional
from moorage.domain.values.functions import check_callable, check_plain
from moorage.domain.values.text import with_article
from moorage.errors import ConfigurationError, ConnectorError, InvalidData, Problem

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping
    from pathlib import PurePath

    import attrs

    from moorage.domain.http.requests import HttpMethod, Request, Response
    from moorage.domain.resilience.adaptive_limit import AdaptiveLimit
    from moorage.domain.values.durations import Validator

RequestTransform: TypeAlias = "Callable[[Request], Request | Awaitable[Request]]"
ResponseTransform: TypeAlias = "Callable[[Response], Response | Awaitable[Response]]"
Classify: TypeAlias = "Callable[[Request, Response], ConnectorError | None]"
Fallback: TypeAlias = "Callable[[ConnectorError], Any]"


_USUALLY_MASKED: Final = Redaction()
_MEANINGFUL_HEADERS: Final = frozenset(
    {"accept", "authorization", "content-type", "cookie", "proxy-authorization", "user-agent"}
)
"""Headers that no vendor uses for idempotency keys."""
_PLACEHOLDER: Final = re.compile(r"\{[^{}]+\}")


class _InheritedSetting:
    """The value of an endpoint's setting that is inherited from its service."""

    def __repr__(self) -> str:
        return "INHERIT"

    def __reduce__(self) -> str:
        # The constant is compared by identity, so copies and pickles of it must be the same object.
        return "INHERIT"


INHERIT: Final[Any] = _InheritedSetting()


def unless_inherited(check: Validator) -> Validator:
    """Return a validator that accepts INHERIT and checks other values with `check`."""

    def validator(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if value is not INHERIT:
            check(instance, attribute, value)

    return validator


def _is_number(_: object, attribute: attrs.Attribute[Any], value: int) -> None:
    count(value, attribute.name, least=0)


def _is_one_of(*kinds: type) -> Validator:
    def check_value(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if not isinstance(value, kinds):
            # The value is not shown, because it may be a credential in the wrong place.
            raise ConfigurationError(
                f"The value is {with_article(type(value).__name__)}, not"
                f" {with_article(kinds[0].__name__)}.",
                path=attribute.name,
                remedy=f"Use {with_article(kinds[0].__name__)}.",
            )

    return check_value


def _is_callable(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    check_callable(value, attribute.name)


def _is_plain(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    check_plain(value, attribute.name)


def _as_tuple(value: Any) -> tuple[Any, ...]:
    """Return a single value or several values as a tuple."""
    if callable(value):
        return (value,)
    try:
        return tuple(value or ())
    except TypeError:
        return (value,)


def _each_item(check: Validator) -> Validator:
    def validator(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
        for item in value:
            check(instance, attribute, item)

    return validator


def _are_limits(
    _: object, attribute: attrs.Attribute[Any], value: tuple[RateLimitConfig, ...]
) -> None:
    _each_item(_is_one_of(RateLimitConfig))(_, attribute, value)
    for number, limit in enumerate(value):
        if limit in value[:number]:
            raise ConfigurationError(
                "Two limits are identical.",
                path=f"{attribute.name}[{number}]",
                remedy="Remove one of the limits, or correct the rate of the other.",
            )


def _is_adaptive_limit(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    from moorage.domain.resilience.adaptive_limit import (  # noqa: PLC0415 - few bulkheads have one
        AdaptiveLimit,
    )

    _is_one_of(AdaptiveLimit)(_, attribute, value)


@frozen
class BulkheadConfig:
    """A limit on concurrent calls and on the callers that wait for a slot.

    Attributes:
        max_concurrent: the largest number of concurrent calls.
        max_waiting: the number of callers that may wait for a free slot.
        max_wait: the maximum number of seconds that a caller waits; by default until its deadline.
        adaptive: the rule by which fewer calls are admitted while the service is overloaded; by
            default the limit is always `max_concurrent`.
    """

    max_concurrent: int = field(validator=is_count)
    max_waiting: int = field(default=0, validator=_is_number)
    max_wait: float | None = field(
        default=None, converter=optional(plain_seconds), validator=if_given(is_wait)
    )
    adaptive: AdaptiveLimit | None = field(
        default=None, validator=if_given(_is_adaptive_limit), kw_only=True
    )

    def __attrs_post_init__(self) -> None:
        """Refuse a maximum wait without waiting callers, and limits in the wrong order."""
        if self.adaptive is not None and self.adaptive.min_concurrent > self.max_concurrent:
            raise ConfigurationError(
                "adaptive.min_concurrent is more than max_concurrent.",
                path="adaptive.min_concurrent",
                remedy="Set min_concurrent to max_concurrent or less.",
            )
        if self.max_wait is not None and not self.max_waiting:
            raise ConfigurationError(
                "max_wait is set, but max_waiting is 0, so no caller may wait.",
                path="max_wait",
                remedy="Set max_waiting to the number of callers that may wait, or remove"
                " max_wait.",
            )


@frozen
class HedgeConfig:
    """The settings of hedging: a read is sent again if the response does not arrive soon.

    Attributes:
        delay: the number of seconds without a response after which the read is sent again.
        max_extra: the maximum number of extra requests for one read.
    """

    delay: float = field(converter=plain_seconds, validator=is_seconds)
    max_extra: int = field(default=1, validator=is_count)


def _are_steps(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    _is_one_of(Timeouts)(_, attribute, value)
    if value.total is not None:
        raise ConfigurationError(
            "timeouts.total limits a whole attempt, but the other timeouts limit only steps"
            " of an attempt.",
            path=f"{attribute.name}.total",
            remedy="Use attempt_timeout instead.",
        )


def _is_template(_: object, attribute: attrs.Attribute[Any], value: str) -> None:
    _is_one_of(str)(_, attribute, value)
    problem = (
        "contains a query or a fragment"
        if "?" in value or "#" in value
        else "is not a path below the base URL"
        if "://" in value or not value.isprintable() or " " in value
        else (
            "contains a placeholder in braces that is not closed, is empty, or is only a"
            " part of a segment"
        )
        if any(_is_half(part) for part in value.split("/"))
        else None
    )
    if problem is not None:
        raise ConfigurationError(
            f"The path of an endpoint {problem}.",
            path=attribute.name,
            remedy="Use a path such as /orders/{id}. Braces must enclose a whole segment.",
        )


def _is_half(part: str) -> bool:
    """Return whether a segment of a URL's path is only partly a placeholder in braces."""
    return ("{" in part or "}" in part) and _PLACEHOLDER.fullmatch(part) is None


def _name_of_endpoint(value: object) -> str:
    return checked_name(value, "endpoint")


def _name_of_service(value: object) -> str:
    return checked_name(value, "service")


@frozen
class Endpoint:
    """An operation of a service that needs separate settings.

    A request belongs to the endpoint that the call names, or otherwise to the first endpoint whose
    `method` and `path` match; a segment in braces matches any one segment. A setting that is not
    given is inherited from the service; limits apply in addition to the service's.

    Attributes:
        name: the name by which calls choose it.
        method: the method of its requests; by default any.
        path: the path of its requests, below the base URL.
        cost: the number of tokens that one call takes from each limit.
        idempotent: whether repeating a request is safe; by default the method decides.
    """

    name: str = field(converter=_name_of_endpoint)
    method: HttpMethod | None = field(default=None, converter=optional(as_method))
    path: str | None = field(default=None, validator=if_given(_is_template))
    timeout: float = field(
        default=INHERIT,
        converter=plain_seconds,
        validator=unless_inherited(is_seconds),
        kw_only=True,
    )
    attempt_timeout: float | None = field(
        default=INHERIT,
        converter=optional(plain_seconds),
        validator=unless_inherited(if_given(is_seconds)),
        kw_only=True,
    )
    timeouts: Timeouts = field(
        default=INHERIT, validator=unless_inherited(_are_steps), kw_only=True
    )
    retry: RetryPolicy | None = field(
        default=INHERIT,
        validator=unless_inherited(if_given(_is_one_of(RetryPolicy))),
        kw_only=True,
    )
    limits: tuple[RateLimitConfig, ...] = field(
        default=(),
        converter=_as_tuple,
        validator=_are_limits,
        kw_only=True,
    )
    circuit: CircuitBreakerConfig | None = field(
        default=INHERIT,
        validator=unless_inherited(if_given(_is_one_of(CircuitBreakerConfig))),
        kw_only=True,
    )
    hedge: HedgeConfig | None = field(
        default=INHERIT,
        validator=unless_inherited(if_given(_is_one_of(HedgeConfig))),
        kw_only=True,
    )
    cache: CachePolicy | None = field(
        default=INHERIT,
        validator=unless_inherited(if_given(_is_one_of(CachePolicy))),
        kw_only=True,
    )
    fallback: Fallback | None = field(
        default=INHERIT, validator=unless_inherited(if_given(_is_callable)), kw_only=True
    )
    request_transforms: tuple[RequestTransform, ...] = field(
        default=(), converter=_as_tuple, validator=_each_item(_is_callable), kw_only=True
    )
    response_transforms: tuple[ResponseTransform, ...] = field(
        default=(), converter=_as_tuple, validator=_each_item(_is_callable), kw_only=True
    )
    cost: int = field(default=1, validator=is_count, kw_only=True)
    idempotent: bool | None = field(
        default=None, validator=if_given(_is_one_of(bool)), kw_only=True
    )


def _is_header(_: object, attribute: attrs.Attribute[Any], value: str) -> None:
    Headers({value: ""})
    check_settable(value, attribute.name)
    if value.lower() in _MEANINGFUL_HEADERS:
        raise ConfigurationError(
            f"The header {value} has another purpose, so it cannot carry idempotency keys.",
            path=attribute.name,
            remedy="Set the header in which the vendor accepts keys, such as Idempotency-Key.",
        )


def _are_settable(_: object, attribute: attrs.Attribute[Any], value: Headers) -> None:
    problems = list[Problem]()
    for name in value:
        try:
            check_settable(name, f"{attribute.name}.{name}")
        except InvalidData as error:
            problems.append(Problem(str(error.field), error.message, error.remedy))
    if problems:
        raise ConfigurationError.of(problems)


def _have_distinct_names(kind: type[Endpoint | Region], noun: str) -> Validator:
    check_each = _each_item(_is_one_of(kind))

    def check_value(_: object, attribute: attrs.Attribute[Any], value: tuple[Any, ...]) -> None:
        check_each(_, attribute, value)
        names: set[str] = set()
        for element in value:
            if element.name in names:
                raise ConfigurationError(
                    f"Two {noun}s are named {element.name!r}.",
                    path=attribute.name,
                    remedy=f"Use a different name for each {noun}.",
                )
            names.add(element.name)

    return check_value


@with_careful_constructor
@frozen
class Service:
    """The address of a service, and the protections of calls to it.

    Attributes:
        name: the name by which calls choose it.
        base_url: the base URL of its requests; a service that only protects functions has none.
        regions: instead of `base_url`, the regions of the service. Each region has a separate
            circuit; limits, the retry budget and the bulkhead are shared by all regions.
        timeout: seconds for a whole call: waiting, refreshing, every attempt and pause.
        attempt_timeout: seconds for one attempt; by default the rest of `timeout`.
        timeouts: limits for single steps of an attempt, such as `Timeouts(connect=3)`.
        retry: the number of attempts and the delays between them; None for one attempt.
        limits: rate limits, all of which must admit every attempt. Each tenant (`tenant=` of a
            call) has limits of its own; calls without a tenant share theirs.
        circuit: the rules of the circuit breaker; None for no circuit breaker.
        retry_budget: the share of calls that may be retries; None for no limit.
        bulkhead: the largest number of concurrent calls; None for no limit.
        hedge: the rules for sending a slow read again; None for never.
        cache: the rules for reusing responses, within those of HTTP; None for no cache.
        fallback: a function of the error, whose result is returned when a call has finally failed.
        credentials: the credentials of the service.
        needs_credentials: whether the credential provider supplies the credentials instead.
        http2: whether the service speaks HTTP/2 only. An HTTP client without it is then refused.
        headers: headers for every request that does not set them itself.
        request_transforms, response_transforms: functions applied in order to each request and each
            response.
        classify: a function that decides which answers are failures, before the status is checked.
        idempotency_header: the header in which the vendor accepts an idempotency key.
        honours_keys: whether the vendor executes requests with the same key only once; by default
            true if there is an `idempotency_header`. If false, moorage does not repeat a request
            that the vendor may have processed.
        idempotency_memory: the number of seconds for which the vendor certainly remembers a key;
            required if `honours_keys` is true. Otherwise the number applies to keys that a request
            has elsewhere than in the header.
        idempotency_replays: whether the vendor answers a repeated key with the first response. If
            false, an error response to a repeat does not show whether the first request was
            processed.
        idempotency_across_regions: whether all regions of the vendor share the remembered keys. If
            false, moorage repeats a request that may have been processed in the same region only.
        idempotency_ttl: the number of seconds for which moorage stores a response and returns
            it for the same key.
        moves_money: whether the service's idempotency keys must survive a crash. If true, moorage
            refuses a store that may lose keys, unless `volatile_keys` is set.
        volatile_keys: whether a crash may lose keys, so that money may move twice. Set it only in
            tests and examples; without it, moorage keeps the keys in a file or in the store of
            `[state]`.
        max_limit_wait: the longest wait in seconds for a rate limit; a call that would wait longer
            is refused. By default a call waits as long as its deadline allows.
        max_pause: the longest pause in seconds that a response of the vendor can impose on all
            callers, regardless of its `Retry-After` or of the reset of its rate limit.
        redaction: values to mask in the vendor's texts, besides the values that are always masked.
        log_content: the requests and responses that the integration log stores, redacted; None for
            none.
        endpoints: operations with settings of their own.
    """

    name: str = field(converter=_name_of_service)
    base_url: str | None = field(default=None, converter=optional(validate_base_url))
    timeout: float = field(
        default=30.0, converter=plain_seconds, validator=is_seconds, kw_only=True
    )
    attempt_timeout: float | None = field(
        default=None,
        converter=optional(plain_seconds),
        validator=if_given(is_seconds),
        kw_only=True,
    )
    timeouts: Timeouts = field(factory=Timeouts, validator=_are_steps, kw_only=True)
    retry: RetryPolicy | None = field(
        factory=RetryPolicy.default, validator=if_given(_is_one_of(RetryPolicy)), kw_only=True
    )
    limits: tuple[RateLimitConfig, ...] = field(
        default=(),
        converter=_as_tuple,
        validator=_are_limits,
        kw_only=True,
    )
    circuit: CircuitBreakerConfig | None = field(
        factory=CircuitBreakerConfig,
        validator=if_given(_is_one_of(CircuitBreakerConfig)),
        kw_only=True,
    )
    retry_budget: RetryBudget | None = field(
        default=None, validator=if_given(_is_one_of(RetryBudget)), kw_only=True
    )
    bulkhead: BulkheadConfig | None = field(
        default=None, validator=if_given(_is_one_of(BulkheadConfig)), kw_only=True
    )
    hedge: HedgeConfig | None = field(
        default=None, validator=if_given(_is_one_of(HedgeConfig)), kw_only=True
    )
    cache: CachePolicy | None = field(
        default=None, validator=if_given(_is_one_of(CachePolicy)), kw_only=True
    )
    fallback: Fallback | None = field(default=None, validator=if_given(_is_callable), kw_only=True)
    credentials: Credentials | OAuthCredentials | None = field(
        default=None,
        validator=if_given(_is_one_of(Credentials, OAuthCredentials)),
        kw_only=True,
    )
    needs_credentials: bool = field(default=False, validator=_is_one_of(bool), kw_only=True)
    http2: bool = field(default=False, validator=_is_one_of(bool), kw_only=True)
    headers: Headers = field(
        factory=Headers,
        converter=as_headers,
        validator=_are_settable,
        repr=False,
        kw_only=True,
    )
    request_transforms: tuple[RequestTransform, ...] = field(
        default=(), converter=_as_tuple, validator=_each_item(_is_callable), kw_only=True
    )
    response_transforms: tuple[ResponseTransform, ...] = field(
        default=(), converter=_as_tuple, validator=_each_item(_is_callable), kw_only=True
    )
    classify: Classify | None = field(
        default=None,
        validator=if_given(_is_plain),
        kw_only=True,
    )
    idempotency_header: str | None = field(
        default=None, validator=if_given(_is_header), kw_only=True
    )
    honours_keys: bool | None = field(
        default=None, validator=if_given(_is_one_of(bool)), kw_only=True
    )
    idempotency_memory: float | None = field(
        default=None,
        converter=optional(plain_seconds),
        validator=if_given(is_seconds),
        kw_only=True,
    )
    idempotency_replays: bool = field(default=True, validator=_is_one_of(bool), kw_only=True)
    idempotency_ttl: float = field(
        default=86_400.0, converter=plain_seconds, validator=is_seconds, kw_only=True
    )
    idempotency_across_regions: bool = field(
        default=False, validator=_is_one_of(bool), kw_only=True
    )
    moves_money: bool = field(default=False, validator=_is_one_of(bool), kw_only=True)
    volatile_keys: bool = field(default=False, validator=_is_one_of(bool), kw_only=True)
    max_pause: float = field(
        default=LONGEST_PAUSE, converter=plain_seconds, validator=is_seconds, kw_only=True
    )
    max_limit_wait: float | None = field(
        default=None,
        converter=optional(plain_seconds),
        validator=if_given(is_wait),
        kw_only=True,
    )
    redaction: Redaction = field(
        default=_USUALLY_MASKED, validator=_is_one_of(Redaction), kw_only=True
    )
    log_content: LogContent | None = field(
        default=None, validator=if_given(_is_one_of(LogContent)), kw_only=True
    )
    endpoints: tuple[Endpoint, ...] = field(
        default=(),
        converter=_as_tuple,
        validator=_have_distinct_names(Endpoint, "endpoint"),
        kw_only=True,
    )
    regions: tuple[Region, ...] = field(
        default=(),
        converter=_as_tuple,
        validator=_have_distinct_names(Region, "region"),
        kw_only=True,
    )
    _index: EndpointIndex = field(init=False, eq=False, repr=False)

    @classmethod
    def from_openapi(
        cls,
        description: Mapping[str, Any] | str | PurePath,
        name: str | None = None,
        *,
        server: int | str | None = None,
        server_variables: Mapping[str, str] | None = None,
        security: str | None = None,
        operations: Collection[str] | None = None,
        skip_unmapped: bool = False,
        idempotency_memory: float | None = None,
    ) -> Service:
        """Return the service that an OpenAPI 3.0 or 3.1 description describes.

        It has an endpoint for each operation, under the name of its operationId. It has no
        credentials: give it some with `evolve`, or let a credential provider supply them.

        Args:
            description: the path of a file in JSON or YAML; or its content, parsed.
            name: the name of the service; by default the title of the API in small letters.
            server: the position, URL or description of a described server; or another base URL.
                By default the only server.
            server_variables: values of the variables in the server's URL, in place of their
                defaults.
            security: the name of the security scheme; by default the scheme that most of the
                operations accept.
            operations: the operationIds of the operations; by default all.
            skip_unmapped: whether operations that cannot be mapped are left out.
            idempotency_memory: the seconds for which the service remembers idempotency keys, which
                no description says. Without it, no key is sent.

        Raises:
            DescriptionRefused: parts of the description cannot be mapped.
            ConfigurationError: the file cannot be read.
        """
        from moorage.config.openapi_files import read_openapi  # noqa: PLC0415 - few need it

        return read_openapi(description).service(
            name,
            server=server,
            server_variables=server_variables,
            security=security,
            operations=operations,
            skip_unmapped=skip_unmapped,
            idempotency_memory=idempotency_memory,
        )

    def __copy__(self) -> Service:
        """Return the service itself, which never changes."""
        return self

    def __deepcopy__(self, _: object) -> Service:
        """Return the service itself, which never changes."""
        return self

    @property
    def recognises_keys(self) -> bool:
        """True if the vendor carries out a request with a repeated key only once."""
        has_header = self.idempotency_header is not None
        return has_header if self.honours_keys is None else self.honours_keys

    def __attrs_post_init__(self) -> None:
        """Refuse contradictory settings of a service."""
        if self.idempotency_header is not None and self.honours_keys is False:
            raise ConfigurationError(
                f"The service {self.name!r} has an idempotency_header, but honours_keys is False.",
                path="honours_keys",
                remedy="Remove idempotency_header, or set honours_keys=True.",
            )
        if self.recognises_keys and self.idempotency_memory is None:
            setting = "honours_keys" if self.idempotency_header is None else "idempotency_header"
            raise ConfigurationError(
                f"The service {self.name!r} has {setting}, but no idempotency_memory.",
                path="idempotency_memory",
                remedy="Set the number of seconds for which the vendor remembers keys, from"
                " the vendor's documentation. If its pages differ, set the smallest"
                " number.",
            )
        if self.idempotency_header is not None and self.idempotency_header in self.headers:
            raise ConfigurationError(
                f"The service {self.name!r} has a constant {self.idempotency_header} header,"
                " so different requests would have the same key.",
                path="headers",
                remedy="Remove the header. moorage sends the key of each call in it.",
            )
        if self.regions and self.base_url is not None:
            raise ConfigurationError(
                f"The service {self.name!r} has both a base_url and regions.",
                path="regions",
                remedy="Move the base_url into a Region, or remove the regions.",
            )
        object.__setattr__(self, "_index", EndpointIndex(self.endpoints))

    def endpoint(self, name: str | None, request: Request | None) -> Endpoint | None:
        """Return the endpoint to which a call belongs, if any."""
        if name is not None:
            endpoint = self._index.named(name)
            if endpoint is not None:
                return endpoint
            raise InvalidData(
                f"The service {self.name!r} has no endpoint {name!r}.",
                field="endpoint",
                remedy=f"Use one of: {', '.join(e.name for e in self.endpoints) or 'none'}.",
            )
        if request is None:
            return None
        return self._index.first(request.method, self._path_below(request.path))

    def has_endpoint(self, name: str) -> bool:
        """Return whether the service has an endpoint of this name."""
        return self._index.named(name) is not None

    @property
    def endpoint_cache(self) -> CachePolicy | None:
        """The cache policy of the first endpoint that has its own policy."""
        return self._index.cache

    def _path_below(self, path: str) -> str:
        """Return a request's path relative to the base URL, without its query."""
        if is_absolute(path):
            base = (
                regions_of_path(self.regions, path)[0].base_url if self.regions else self.base_url
            )
            path = urlsplit(path).path.removeprefix(urlsplit(base or "").path.rstrip("/"))
        return path.partition("#")[0].partition("?")[0]


def by_name(services: Mapping[str, Service], name: object) -> Service:
    """Return the service with this name; raise an error if it does not exist."""
    try:
        return services[name]  # type: ignore[index]  # anything else is not found
    except (KeyError, TypeError):
        names = ", ".join(sorted(services)) or "none"
        raise ConfigurationError(
            f"No service is named {name!r}.",
            path="service",
            remedy=f"Configure it, or call one of: {names}.",
        ) from None
