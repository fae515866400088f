"""Checks whether a manager's functions, HTTP client and key store meet its services' needs."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.http.urls import is_sent_unencrypted
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


_STEP_LIMIT_REMEDY: Final = "StdlibHttpClient and PyreqwestHttpClient can limit every step"


CLAIMS_ONLY: Final = (
    "Pass that store as `claims=`, or set it as state.keys_url in a configuration. Use a"
    " store in Redis, SQL, SQLite or memory for limits and circuits."
)

_NO_PATHS: Final[Mapping[str, str]] = {}
_MANAGER_REMEDY: Final = "Pass a durable store, such as SqliteStorage, as `claims=`"
_HUB_REMEDY: Final = "Set a durable store, such as state.url = 'sqlite:///moorage.db'"
_REGISTER_OF_MANAGERS: Final = "Pass a durable store, such as SqliteStorage, as `state=` too"
_REGISTER_OF_HUBS: Final = (
    "Set a durable store beside state.keys_url, such as state.url = 'sqlite:///moorage.db'"
)


def check_steps(
    services: Iterable[Service], http: object, places: Mapping[str, str] = _NO_PATHS
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
                        remedy="Remove the limit of this step, because the whole attempt has"
                        f" a limit; or pass another client: {_STEP_LIMIT_REMEDY}.",
                    )


def check_http2(
    services: Iterable[Service], http: object, places: Mapping[str, str] = _NO_PATHS
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
                remedy="Set http.http2 in the configuration, or pass another HTTP client,"
                " such as PyreqwestHttpClient(http2=True).",
            )


def check_money(
    services: Iterable[Service], claims: object, places: Mapping[str, str] = _NO_PATHS
) -> None:
    """For a service that moves money, refuse a store that loses idempotency keys in a crash."""
    if getattr(claims, "durable", True):
        return
    name = type(claims).__name__.removeprefix("Async")
    for service in services:
        if service.moves_money and not service.volatile_keys:
            raise ConfigurationError(
                f"The service moves money, but {name} loses the used keys in a crash, so a"
                " repeated call could act twice.",
                path=f"{_field_path(service, places)}.moves_money",
                remedy=f"{_HUB_REMEDY if service.name in places else _MANAGER_REMEDY}; or set"
                " volatile_keys to accept that risk.",
            )


def check_register(
    services: Iterable[Service],
    state: object,
    claims: object,
    places: Mapping[str, str] = _NO_PATHS,
) -> None:
    """For a service that moves money, refuse to keep its lost payments in memory.

    A store for claims only cannot hold the register of payments with an unknown outcome.

    Args:
        services: the services.
        state: the store of limits and circuits; None for the memory of this process.
        claims: the separate store of idempotency keys; None if there is none.
        places: the path of each service in the configuration, by the service's name, if any.
    """
    in_memory = state is None or getattr(state, "reach", None) == "process"
    if not (getattr(claims, "claims_only", False) and in_memory):
        return
    name = type(claims).__name__.removeprefix("Async")
    for service in services:
        if service.moves_money and not service.volatile_keys:
            raise ConfigurationError(
                f"The service moves money, but {name} stores only claims, so the list of payments"
                " with an unknown outcome would be in memory, and lost in a crash.",
                path=f"{_field_path(service, places)}.moves_money",
                remedy=f"{_REGISTER_OF_HUBS if service.name in places else _REGISTER_OF_MANAGERS};"
                " or set volatile_keys to accept that risk.",
            )


def check_guards(
    services: Iterable[Service], state: object, places: Mapping[str, str] = _NO_PATHS
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
                        f"The service has {field.replace('_', ' ')}, but {name} stores only"
                        " claims, such as idempotency keys.",
                        path=f"{_field_path(service, places)}.{field}",
                        remedy=CLAIMS_ONLY,
                    )


def check_tls(services: Iterable[Service], places: Mapping[str, str] = _NO_PATHS) -> None:
    """Refuse to call a service that moves money without TLS, except on this machine."""
    for service in services:
        if service.moves_money and is_exposed(service):
            raise ConfigurationError(
                "The service moves money, but its base_url does not use TLS.",
                path=f"{_field_path(service, places)}.base_url",
                remedy="Use an https:// URL. Plain HTTP is accepted only on this machine.",
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
        map(is_sent_unencrypted, (*service_urls, *(region.base_url for region in service.regions)))
    )


def refuse_async_functions(
    services: Iterable[Service], places: Mapping[str, str] = _NO_PATHS
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
                            remedy="Use a synchronous function, or AsyncConnectorManager.",
                        )


def _field_path(service: Service, places: Mapping[str, str]) -> str:
    return places.get(service.name, f"services.{service.name}")
