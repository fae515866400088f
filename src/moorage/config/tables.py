"""Every table of a configuration: what it may have in it, and what becomes of that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage import errors
from moorage.config.credentials import CREDENTIALS
from moorage.config.http import HTTP
from moorage.config.of_classes import about_fields, summary, table_of
from moorage.config.providers import PROVIDERS
from moorage.config.shapes import (
    Address,
    Either,
    Field,
    Function,
    Kinded,
    Many,
    Named,
    Number,
    OneOf,
    SecretText,
    Shape,
    Table,
    Text,
)
from moorage.contracts.routes import Account, Prefer, Route
from moorage.domain.http.redaction import Redaction
from moorage.domain.http.requests import HttpMethod
from moorage.domain.http.timeouts import Timeouts
from moorage.domain.resilience.budget import RetryBudget
from moorage.domain.resilience.circuit import CircuitBreakerConfig
from moorage.domain.resilience.rate_limit import REFUSE, RateLimitConfig
from moorage.domain.resilience.retry import RetryPolicy
from moorage.domain.service.cache_policy import CachePolicy
from moorage.domain.service.region import Region
from moorage.domain.service.safety import Safety
from moorage.domain.service.settings import BulkheadConfig, Endpoint, HedgeConfig, Service
from moorage.wiring.catalog import vendor_class, vendor_names

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


_PERIODS: Final = {"second": 1.0, "minute": 60.0, "hour": 3_600.0, "day": 86_400.0}
_PRESETS: Final[Mapping[str, Callable[[], RetryPolicy]]] = {
    "default": RetryPolicy.default,
    "aggressive": RetryPolicy.aggressive,
    "conservative": RetryPolicy.conservative,
    "none": RetryPolicy.none,
}
FUNCTIONS: Final[dict[str, Shape]] = {
    "fallback": Function(),
    "request_transforms": Many(Function()),
    "response_transforms": Many(Function()),
    "classify": Function(),
}
"""Settings of services and endpoints that are functions; a file has the names of entry points."""


def _retry(*, preset: str = "default", **fields: Any) -> RetryPolicy:
    return attrs.evolve(_PRESETS[preset](), **fields)


def _with(table: Table, **fields: Field) -> Table:
    return attrs.evolve(table, fields={**fields, **table.fields})


_ERRORS: Final = {
    name: one
    for name, one in sorted(vars(errors).items())
    if isinstance(one, type) and issubclass(one, errors.ConnectorError)
}
_RETRY: Final = _with(
    table_of(
        RetryPolicy,
        make=_retry,
        shapes={"retry_on": Many(OneOf(tuple(_ERRORS), tuple(_ERRORS.values())))},
    ),
    preset=Field(OneOf(tuple(_PRESETS)), "What the other fields start from.", default="default"),
)
_LIMIT: Final = table_of(
    RateLimitConfig,
    shapes={
        "per": Either((Number(), OneOf(tuple(_PERIODS), tuple(_PERIODS.values())))),
        "without_store": Either((Number(), OneOf((REFUSE,)))),
    },
)
_SETTINGS: Final[Mapping[str, Shape]] = {
    "timeouts": table_of(Timeouts, without=["total"]),
    "retry": _RETRY,
    "limits": Many(_LIMIT),
    "circuit": table_of(CircuitBreakerConfig),
    "retry_budget": table_of(RetryBudget),
    "bulkhead": table_of(BulkheadConfig),
    "hedge": table_of(HedgeConfig),
    "cache": table_of(CachePolicy),
    "headers": Named(Text()),
    "redaction": table_of(Redaction, shapes={"body_paths": Many(Text()), "patterns": Many(Text())}),
    "credentials": CREDENTIALS,
}
_OF_ENDPOINTS: Final = ("timeouts", "retry", "limits", "circuit", "hedge", "cache")
_OWN_ENDPOINT: Final = table_of(
    Endpoint,
    shapes={name: _SETTINGS[name] for name in _OF_ENDPOINTS}
    | FUNCTIONS
    | {"method": OneOf(tuple(method.value for method in HttpMethod))},
)
_REGION: Final = table_of(Region, shapes={"credentials": CREDENTIALS})


def _told_of_services(table: Table) -> Table:
    """A table whose settings are those of services, and are for the same."""
    told = about_fields(Service)
    fields = {
        name: attrs.evolve(one, about=one.about or told.get(name, ""))
        for name, one in table.fields.items()
    }
    return attrs.evolve(table, fields=fields)


_ENDPOINT: Final = _told_of_services(_OWN_ENDPOINT)
_SERVICE: Final = table_of(
    Service,
    name="service",
    without=["name"],
    shapes={**_SETTINGS, **FUNCTIONS, "endpoints": Many(_ENDPOINT), "regions": Many(_REGION)},
)
SERVICE: Final = attrs.evolve(_SERVICE, make=None)
"""The settings of a service; those that are right stay, where others are wrong."""


_OF_VENDORS: Final = {
    name: field
    for name, field in SERVICE.fields.items()
    if name not in {"regions", "needs_credentials"}
}
"""Settings of services that accounts may have, too."""

_OF_ACCOUNTS: Final = {
    "kind": Field(Text(), "The vendor; by default what the account is called."),
    "cost": Field(
        Either((Number(), Text())),
        "What an operation costs there, for routes that prefer the cheapest.",
    ),
    "webhook_secrets": Field(
        Many(SecretText()), "What its webhooks are signed with, the newest first."
    ),
}


def _vendor(kind: str) -> Table:
    vendor = vendor_class(kind, "kind")
    own = table_of(vendor)
    fields = {**_OF_ACCOUNTS, **own.fields}
    more = {name: one for name, one in _OF_VENDORS.items() if name not in fields}
    return Table(kind, summary(vendor), {**fields, **more}, kinds=(vendor, Service, Account))


_CALLED: Final = {
    "email": "mails",
    "sms": "text messages",
    "payments": "payments",
    "storage": "files",
    "shipping": "shipments",
}
_ACCOUNTS: Final = Field(
    Many(Text()), "The account, or several in the order in which they are tried.", required=True
)
ROUTE: Final = table_of(
    Route,
    name="route",
    without=["kind", "accounts", "tenant"],
    make=dict,
    shapes={"prefer": OneOf(tuple(Prefer))},
)
_ROUTES: Final = {
    kind: Field(Many(_with(ROUTE, vendor=_ACCOUNTS)), f"Where {called} go, by rules if several.")
    for kind, called in _CALLED.items()
}
_VENDORS: Final = Field(
    Named(Kinded("vendor", vendor_names, _vendor)),
    "Accounts of ours at vendors, by names of our own.",
)
_TENANT: Final = Table(
    "tenant",
    "What a tenant has of its own.",
    {"vendors": _VENDORS, **_ROUTES},
)
CONFIGURATION: Final = Table(
    "configuration",
    "What a hub is made of.",
    {
        "$schema": Field(Text(), "Where editors find the schema of this file."),
        "version": Field(Number(whole=True), "The version of the format.", default=1),
        "state": Field(
            Table(
                "state",
                "Where circuits, limits and keys live.",
                {
                    "url": Field(
                        Address(),
                        "The URL of the store: memory:, sqlite:///file.db, redis://…,"
                        " postgresql://… or mysql://…",
                    ),
                    "environment_id": Field(
                        Text(),
                        "The environment that the store belongs to; its name by default.",
                    ),
                },
            ),
            "Where circuits, limits and keys live; the memory of the process by default.",
        ),
        "tenants_from": Field(
            Table(
                "tenants_from",
                "Where the tables of tenants are looked up.",
                {
                    "url": Field(
                        Address(),
                        "The URL of what keeps them: sqlite:///file.db, postgresql://… or mysql://…",
                        required=True,
                    ),
                    "keys": Field(
                        SecretText(), "What `generate_keys` made, to open them.", required=True
                    ),
                    "every": Field(
                        Number(), "Seconds for which what was looked up is believed.", default=5.0
                    ),
                },
            ),
            "Where the tables of tenants are looked up, that do not stand here.",
        ),
        "credentials_from": Field(
            Table(
                "credentials_from",
                "Where services with `needs_credentials` find who they are.",
                {
                    "url": Field(
                        Address(),
                        "The URL of the store: sqlite:///file.db, postgresql://… or mysql://…,"
                        " which are sealed; file:///file.toml; or environment: for variables such"
                        " as MOORAGE_CREDENTIAL_VAT.",
                        required=True,
                    ),
                    "keys": Field(
                        SecretText(), "The output of `generate_keys`, which opens a sealed store."
                    ),
                },
            ),
            "Where services with `needs_credentials` find who they are.",
        ),
        "log": Field(
            Table(
                "log",
                "The integration log, which has an entry for each call.",
                {
                    "url": Field(
                        Address(),
                        "The URL of the log: memory:, sqlite:///file.db, postgresql://… or"
                        " mysql://…; its table is made with the first entry.",
                        required=True,
                    ),
                },
            ),
            "The integration log, which has an entry for each call; none by default.",
        ),
        "http": Field(HTTP, HTTP.about),
        "safety": Field(table_of(Safety, name="safety"), summary(Safety)),
        "secrets": Field(
            Named(PROVIDERS), "Providers of secrets, by the names that secret:// has for them."
        ),
        "vendors": _VENDORS,
        **_ROUTES,
        "services": Field(Named(SERVICE), "Anything else that is called, by its name."),
        "tenants": Field(Named(_TENANT), "Tenants, by their names."),
    },
)
