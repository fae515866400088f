"""Checks whether a manager's functions, HTTP client and key store meet its services' needs."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.http.urls import leaves_in_clear
from moorage.domain.observation.events import TlsUnverified
from moorage.domain.service.settings import INHERIT
from moorage.domain.values.frozen_values import as_dict
from moorage.domain.values.names import name_of
from moorage.errors import ConfigurationError
from moorage.wiring.defaults import LazyAdapter

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from moorage.domain.service.settings import Endpoint, Service
    from moorage.wiring.core_assembly import WiredCore


_EVERY_STEP: Final = "StdlibHttpClient and PyreqwestHttpClient bound every step"


CLAIMS_ONLY: Final = (
    "Give that store as `claims=`, or in a configuration as state.keys_url; give limits and"
    " circuits a store in Redis, SQL, SQLite or memory."
)

_NOWHERE: Final[Mapping[str, str]] = {}
_OF_MANAGERS: Final = "Give `claims=` a durable store, such as SqliteStorage"
_OF_HUBS: Final = "Name a durable store, such as state.url = 'sqlite:///moorage.db'"


def check_steps(
    services: Iterable[Service], http: object, places: Mapping[str, str] = _NOWHERE
) -> None:
    """Refuse a time limit for a step, such as connecting, that the HTTP client cannot keep."""
    missing_steps: frozenset[str] = getattr(http, "lacks", frozenset())
    if not missing_steps:
        return
    for service in services:
        owners: tuple[Service | Endpoint, ...] = (service, *service.endpoints)
        for owner in owners:
            timeouts = {} if owner.timeouts is INHERIT else as_dict(owner.timeouts)
            for step in sorted(missing_steps):
                if timeouts.get(step) is not None:
                    raise ConfigurationError(
                        f"{type(http).__name__} cannot limit the duration of {step!r}.",
                        path=f"{_field_path(service, places)}.timeouts.{step}",
                        remedy="Leave it out, since the whole attempt has a limit; or give"
                        f" another client: {_EVERY_STEP}.",
                    )


def check_http2(
    services: Iterable[Service], http: object, places: Mapping[str, str] = _NOWHERE
) -> None:
    """Refuse an HTTP client without HTTP/2 for a service that requires it.

    None, or an adapter that is created later, means the default client, which has no HTTP/2.
    """
    is_default = http is None or isinstance(http, LazyAdapter)
    if not is_default and getattr(http, "http2", None) is not False:
        return
    name = "the default HTTP client" if is_default else type(http).__name__
    for service in services:
        if service.http2:
            raise ConfigurationError(
                f"The service requires HTTP/2, which {name} does not support.",
                path=_field_path(service, places),
                remedy="Set http.http2 in the configuration, or give another HTTP client, such as"
                " PyreqwestHttpClient(http2=True).",
            )


def check_money(
    services: Iterable[Service], claims: object, places: Mapping[str, str] = _NOWHERE
) -> None:
    """For a service that moves money, refuse a store that loses idempotency keys in a crash."""
    if getattr(claims, "durable", True):
        return
    name = type(claims).__name__.removeprefix("Async")
    for service in services:
        if service.moves_money and not service.volatile_keys:
            raise ConfigurationError(
                f"The service moves money, and a crash of {name} loses which keys were"
                " used: a repeat could act twice.",
                path=f"{_field_path(service, places)}.moves_money",
                remedy=f"{_OF_HUBS if service.name in places else _OF_MANAGERS};"
                " or set volatile_keys to take that risk.",
            )


def check_guards(
    services: Iterable[Service], state: object, places: Mapping[str, str] = _NOWHERE
) -> None:
    """Refuse limits and circuits if the state store can store only idempotency claims."""
    if not getattr(state, "claims_only", False):
        return
    name = type(state).__name__.removeprefix("Async")
    for service in services:
        owners: tuple[Service | Endpoint, ...] = (service, *service.endpoints)
        for owner in owners:
            for field in ("limits", "circuit", "retry_budget", "bulkhead"):
                if getattr(owner, field, INHERIT) not in {None, INHERIT, ()}:
                    raise ConfigurationError(
                        f"The service has {field.replace('_', ' ')}, and {name} holds claims only,"
                        " such as idempotency keys.",
                        path=f"{_field_path(service, places)}.{field}",
                        remedy=CLAIMS_ONLY,
                    )


def check_tls(services: Iterable[Service], places: Mapping[str, str] = _NOWHERE) -> None:
    """Refuse to call a service that moves money without TLS, except on this machine."""
    for service in services:
        if service.moves_money and is_exposed(service):
            raise ConfigurationError(
                "The service moves money, but its base_url has no TLS.",
                path=f"{_field_path(service, places)}.base_url",
                remedy="Give an https:// URL; plain HTTP is taken only on this machine.",
            )


def report_unverified_tls(wired: WiredCore) -> None:
    """Notify observers if the HTTP client does not verify TLS certificates."""
    exemption = getattr(wired.http, "unverified", None)
    if exemption is None:
        return
    from moorage.domain.http.transport import DangerouslyUnverified

    if isinstance(exemption, DangerouslyUnverified):
        core = wired.core
        core.notify(TlsUnverified(at=core.utc(), service="http", because=exemption.because))


def is_exposed(service: Service) -> bool:
    """Return whether requests to a service leave this machine without TLS."""
    service_urls = () if service.base_url is None else (service.base_url,)
    return any(
        map(leaves_in_clear, (*service_urls, *(region.base_url for region in service.regions)))
    )


def refuse_async_functions(
    services: Iterable[Service], places: Mapping[str, str] = _NOWHERE
) -> None:
    """Refuse asynchronous transforms and fallbacks in a synchronous manager."""
    for service in services:
        owners: tuple[Service | Endpoint, ...] = (service, *service.endpoints)
        for owner in owners:
            functions_of_kind: dict[str, tuple[Any, ...]] = {
                "request_transforms": owner.request_transforms,
                "response_transforms": owner.response_transforms,
                "fallback": (owner.fallback,),
            }
            for kind, functions in functions_of_kind.items():
                for function in functions:
                    if inspect.iscoroutinefunction(function):
                        raise ConfigurationError(
                            f"{name_of(function)} is asynchronous, but this manager is"
                            " synchronous.",
                            path=f"{_field_path(service, places)}.{kind}",
                            remedy="Give a synchronous function, or use AsyncConnectorManager.",
                        )


def _field_path(service: Service, places: Mapping[str, str]) -> str:
    return places.get(service.name, f"services.{service.name}")
