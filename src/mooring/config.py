"""A hub from a configuration: a file of TOML, or the mapping that one holds.

```toml
version = 1
[state]
url = "sqlite:///mooring.db"
[sms]
vendor = ["twilio", "vonage"]
[vendors.twilio]
account_sid = "AC…"
credentials = "secret://env/TWILIO_TOKEN"
timeout = 20.0
[tenants.acme-fr.sms]
vendor = "vonage"
```

What is wrong is refused with the path to it, before anything is opened.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import attrs

from mooring.contracts.routes import Account, Route
from mooring.domain.circuit import CircuitBreakerConfig
from mooring.domain.json_text import is_list, is_object
from mooring.domain.rate_limit import RateLimitConfig
from mooring.domain.retry import RetryPolicy
from mooring.domain.secret import Secret
from mooring.domain.service import BulkheadConfig, Service
from mooring.domain.webhooks.template import nearest
from mooring.errors import ConfigurationError, ConnectorError
from mooring.hub import AsyncHub, Hub
from mooring.opening import aopen_storage, open_storage
from mooring.wiring.catalog import KINDS, vendor_class

if TYPE_CHECKING:
    from mooring.contracts.vendor import Vendor

Source = Mapping[str, Any] | str | os.PathLike[str]
Made = TypeVar("Made")

_VERSION: Final = 1
_SECRET: Final = re.compile(r"secret://env/([A-Za-z_][A-Za-z0-9_]*)")
_PERIODS: Final = {"second": 1.0, "minute": 60.0, "hour": 3_600.0, "day": 86_400.0}
_PRESETS: Final = {
    "default": RetryPolicy.default,
    "aggressive": RetryPolicy.aggressive,
    "conservative": RetryPolicy.conservative,
    "none": RetryPolicy.none,
}
_OF_SERVICES: Final = frozenset(
    field.name for field in attrs.fields(Service) if field.name not in {"name", "base_url"}
)
_OF_ACCOUNTS: Final = frozenset({"kind", "cost", "webhook_secrets"})
_OF_ROUTES: Final = ("vendor", "countries", "currencies", "prefer")
_AS_IT_COMES: Final[Mapping[Any, tuple[type, str]]] = {
    "bool": (bool, "true or false"),
    "str": (str, "a text"),
    "str | None": (str, "a text"),
}
"""Types of options that nothing is made of: what they are, and what to write."""
_TOP: Final = ("version", "state", "vendors", "services", "tenants", *KINDS)


@attrs.frozen(kw_only=True)
class Configured:
    """What a configuration says.

    Attributes:
        accounts, routes, services: what a hub is made of.
        state: the URL of the store, if one is named.
    """

    accounts: tuple[Account, ...]
    routes: tuple[Route, ...]
    services: tuple[Service, ...]
    state: str | None = attrs.field(default=None, repr=False)


def open(source: Source, **ports: Any) -> Hub:  # noqa: A001 - read as mooring.open
    """The hub that a configuration describes.

    Args:
        source: the path of a file of TOML, or a mapping.
        ports: what `Hub` takes besides, in place of what the configuration names.

    Raises:
        ConfigurationError: something in it is wrong; `path` says where.
    """
    found = read_configuration(source)
    if found.state is not None and "state" not in ports:
        ports["state"] = open_storage(found.state)
    return Hub(found.accounts, found.routes, services=found.services, **ports)


def aopen(source: Source, **ports: Any) -> AsyncHub:
    """As `open`, for the awaited face. Opening waits for nothing, so it is plain."""
    found = read_configuration(source)
    if found.state is not None and "state" not in ports:
        ports["state"] = aopen_storage(found.state)
    return AsyncHub(found.accounts, found.routes, services=found.services, **ports)


def read_configuration(source: Source) -> Configured:
    """What a configuration says, with nothing opened.

    Raises:
        ConfigurationError: something in it is wrong; `path` says where.
    """
    whole = _resolved(_table(_loaded(source), "configuration"), "")
    _check_names(whole, _TOP, "")
    if whole.get("version", _VERSION) != _VERSION:
        raise ConfigurationError(
            f"this is version {whole['version']!r} of a configuration.",
            path="version",
            remedy=f"Write it as version {_VERSION}.",
        )
    state = _table(whole.get("state", {}), "state")
    _check_names(state, ("url",), "state")
    url: Secret | str | None = state.get("url")
    tenants = _tables(whole.get("tenants", {}), "tenants")
    accounts = list(_accounts(whole, "", None))
    routes = list(_routes(whole, "", None, {}))
    for tenant, table in tenants:
        path = f"tenants.{tenant}"
        _check_names(table, ("vendors", *KINDS), path)
        own = list(_accounts(table, path, tenant))
        accounts += own
        names = {one.name.removeprefix(f"{tenant}."): one.name for one in own}
        routes += _routes(table, path, tenant, names)
    return Configured(
        accounts=tuple(accounts),
        routes=tuple(routes),
        services=tuple(
            _service(name, table, f"services.{name}")
            for name, table in _tables(whole.get("services", {}), "services")
        ),
        state=url.reveal() if isinstance(url, Secret) else url,
    )


def _loaded(source: Any) -> Any:
    if isinstance(source, Mapping):
        return dict(source)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    path, remedy = source, "Give the path of a file, or a mapping."
    try:
        path = Path(source)
        text = path.read_bytes()
    except OSError as error:
        problem = f"{path} cannot be read ({error.strerror})."
    except (TypeError, ValueError):
        problem = f"a {type(source).__name__} like this is no path."
    else:
        try:
            return tomllib.loads(text.decode())
        except ValueError as error:
            problem, remedy = f"{path} is no TOML: {error}", "Correct the file."
    raise ConfigurationError(problem, path="configuration", remedy=remedy)


def _resolved(value: Any, path: str) -> Any:
    """The value with every `secret://env/NAME` in it replaced by the secret."""
    if is_object(value):
        return {name: _resolved(one, _under(path, name)) for name, one in value.items()}
    if is_list(value):
        return [_resolved(one, f"{path}[{number}]") for number, one in enumerate(value)]
    if isinstance(value, str) and value.startswith("secret://"):
        found = _SECRET.fullmatch(value)
        if found is None or found[1] not in os.environ:
            raise ConfigurationError(
                "this secret cannot be found.",
                path=path,
                remedy="Write secret://env/NAME, and set that variable of the environment.",
            )
        return Secret(os.environ[found[1]])
    return value


def _accounts(whole: Mapping[str, Any], path: str, tenant: str | None) -> Iterator[Account]:
    at = _under(path, "vendors")
    for name, table in _tables(whole.get("vendors", {}), at):
        own = f"{at}.{name}"
        kind = vendor_class(table.get("kind", name), f"{own}.kind")
        options = {field.name for field in attrs.fields(cast("Any", kind))}
        _check_names(table, (*options, *_OF_SERVICES, *_OF_ACCOUNTS), own)
        _check_options(kind, table, own)
        vendor = _made(kind, {key: value for key, value in table.items() if key in options}, own)
        settings = {
            key: _setting(key, value, f"{own}.{key}")
            for key, value in table.items()
            if key in _OF_SERVICES and key not in options
        }
        account = _made(
            Account,
            {
                "name": name if tenant is None else f"{tenant}.{name}",
                "vendor": vendor,
                "tenants": None if tenant is None else {tenant},
                "cost": table.get("cost"),
                "webhook_secrets": table.get("webhook_secrets", ()),
                "settings": settings,
            },
            own,
        )
        # What its options and settings are good for shows when its services are made.
        _accepted(partial(_services, account), own, kind.__name__, (*options, *settings))
        yield account


def _services(account: Account) -> list[Service]:
    account.vendor.clients()
    services = account.vendor.services().values()
    return [attrs.evolve(one, **account.settings) for one in services]


def _routes(
    whole: Mapping[str, Any], path: str, tenant: str | None, names: Mapping[str, str]
) -> Iterator[Route]:
    for kind in KINDS:
        at = _under(path, kind)
        given = whole.get(kind, [])
        for number, table in enumerate(given if is_list(given) else [given]):
            own = f"{at}[{number}]" if is_list(given) else at
            rules = _table(table, own)
            _check_names(rules, _OF_ROUTES, own)
            vendors = rules.get("vendor", [])
            several = vendors if is_list(vendors) else [vendors]
            if not all(isinstance(one, str) for one in several):
                raise ConfigurationError(
                    "a vendor is named by a text.",
                    path=f"{own}.vendor",
                    remedy="Name one account, or a list of them.",
                )
            fields = {key: value for key, value in rules.items() if key != "vendor"}
            accounts = [names.get(one, one) for one in several]
            yield _made(
                Route, {"kind": kind, "accounts": accounts, "tenant": tenant, **fields}, own
            )


def _service(name: str, table: Mapping[str, Any], path: str) -> Service:
    _check_names(table, ("base_url", *_OF_SERVICES), path)
    fields = {key: _setting(key, value, f"{path}.{key}") for key, value in table.items()}
    return _made(Service, {"name": name, **fields}, path)


def _setting(name: str, value: Any, path: str) -> Any:
    """A field of a service, read from plain tables where it is more than a number or a text."""
    if name == "limits":
        tables = value if is_list(value) else [value]
        return tuple(
            _limit(_table(one, f"{path}[{number}]"), f"{path}[{number}]")
            for number, one in enumerate(tables)
        )
    if name == "retry" and is_object(value) and "preset" in value:
        _check_names(value, ("preset",), path)
        given = value["preset"]
        if not isinstance(given, str) or given not in _PRESETS:
            raise ConfigurationError(
                f"{given!r} is no preset.",
                path=f"{path}.preset",
                remedy=f"Use one of: {', '.join(_PRESETS)}.",
            )
        return _PRESETS[given]()
    kind = _KINDS_OF_SETTINGS.get(name)
    return _made(kind, _table(value, path), path) if kind is not None else value


_KINDS_OF_SETTINGS: Final[Mapping[str, Callable[..., Any]]] = {
    "retry": RetryPolicy,
    "circuit": CircuitBreakerConfig,
    "bulkhead": BulkheadConfig,
}


def _limit(table: Mapping[str, Any], path: str) -> RateLimitConfig:
    per = table.get("per", "second")
    if isinstance(per, str):
        if per not in _PERIODS:
            raise ConfigurationError(
                f"{per!r} is no period.",
                path=f"{path}.per",
                remedy=f"Give seconds, or one of: {', '.join(_PERIODS)}.",
            )
        per = _PERIODS[per]
    return _made(RateLimitConfig, {**table, "per": per}, path)


def _made(kind: Callable[..., Made], fields: Mapping[str, Any], path: str) -> Made:
    """What is made of these fields; what it refuses is refused with the path to it."""
    known = [field.name for field in attrs.fields(cast("Any", kind)) if field.init]
    _check_names(fields, known, path)
    return _accepted(partial(kind, **fields), path, kind.__name__, known)


def _accepted(make: Callable[[], Made], path: str, what: str, known: Iterable[str]) -> Made:
    try:
        return make()
    except ConnectorError as error:
        field = getattr(error, "path", None) or getattr(error, "field", None)
        wrong = ConfigurationError(
            error.message, path=_under(path, field) if field else path, remedy=error.remedy
        )
    except (ArithmeticError, AttributeError, TypeError, ValueError) as error:
        wrong = ConfigurationError(
            f"this does not describe a {what} ({type(error).__name__}).",
            path=path,
            remedy=f"It has {', '.join(sorted(known))}.",
        )
    raise wrong


def _check_options(kind: type[Vendor], table: Mapping[str, Any], path: str) -> None:
    """Refuse what the vendor itself would take as it comes, and is not what it says."""
    for field in attrs.fields(cast("Any", kind)):
        wanted = _AS_IT_COMES.get(field.type) if field.converter is None else None
        if wanted is None or field.name not in table:
            continue
        value = table[field.name]
        if not isinstance(value, wanted[0]):
            raise ConfigurationError(
                f"a {type(value).__name__} stands where {wanted[1]} belongs.",
                path=_under(path, field.name),
                remedy=f"Write {wanted[1]}.",
            )


def _check_names(table: Mapping[str, Any], known: Iterable[str], path: str) -> None:
    names = sorted(set(known))
    for name in table:
        if name not in names:
            raise ConfigurationError(
                f"{name!r} has no meaning here.",
                path=_under(path, name),
                remedy=f"{nearest(name, names)}Use {', '.join(names)}.",
            )


def _tables(value: Any, path: str) -> list[tuple[str, dict[str, Any]]]:
    table = _table(value, path)
    return [(name, _table(one, f"{path}.{name}")) for name, one in table.items()]


def _table(value: Any, path: str) -> dict[str, Any]:
    if is_object(value):
        return value
    raise ConfigurationError(
        f"a {type(value).__name__} stands where a table belongs.",
        path=path,
        remedy="Give names with their values.",
    )


def _under(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
