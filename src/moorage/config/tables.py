"""The tables of a configuration: their settings, and the values created from them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from moorage import errors
from moorage.config.class_tables import field_descriptions, summary, table_of
from moorage.config.connectors import CONNECTORS
from moorage.config.credentials import CREDENTIALS
from moorage.config.http import HTTP
from moorage.config.observers import OBSERVERS
from moorage.config.providers import PROVIDERS
from moorage.config.shapes import (
    Address,
    AnyOf,
    Field,
    Flag,
    Function,
    ListOf,
    NamedTable,
    Number,
    OneOf,
    SecretText,
    Shape,
    Table,
    TableByKind,
    Text,
)
from moorage.contracts.catalog import CONTRACTS
from moorage.contracts.routes import Account, Prefer, Route
from moorage.domain.http.log_content import LogContent
from moorage.domain.http.redaction import Redaction
from moorage.domain.http.requests import HttpMethod
from moorage.domain.http.timeouts import Timeouts
from moorage.domain.resilience.adaptive_limit import AdaptiveLimit
from moorage.domain.resilience.budget import RetryBudget
from moorage.domain.resilience.circuit import CircuitBreakerConfig
from moorage.domain.resilience.lease_messages import WITHOUT_BROKER
from moorage.domain.resilience.rate_limit import REFUSE, RateLimitConfig
from moorage.domain.resilience.retry import RetryPolicy
from moorage.domain.service.cache_policy import CachePolicy
from moorage.domain.service.region import Region
from moorage.domain.service.safety import Safety
from moorage.domain.service.settings import BulkheadConfig, Endpoint, HedgeConfig, Service
from moorage.domain.values.frozen_values import evolve
from moorage.wiring.built_in_vendors import BUILT_IN
from moorage.wiring.installed_vendors import vendor_class, vendor_names

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
    "request_transforms": ListOf(Function()),
    "response_transforms": ListOf(Function()),
    "classify": Function(),
}
"""Settings of services and endpoints that are functions; a file names their entry points."""


def _retry(*, preset: str = "default", **fields: Any) -> RetryPolicy:
    policy = evolve(_PRESETS[preset](), **fields)
    if "base_delay" in fields and policy.base_delay > policy.max_delay:
        raise errors.ConfigurationError(
            f"The base_delay of {policy.base_delay:g} seconds is never used, because max_delay"
            f" is {policy.max_delay:g} seconds.",
            path="base_delay",
            remedy="Set a smaller base_delay, or raise max_delay.",
        )
    return policy


def _with_fields(table: Table, **fields: Field) -> Table:
    return evolve(table, fields={**fields, **table.fields})


_ERRORS: Final = {
    name: kind
    for name, kind in sorted(vars(errors).items())
    if isinstance(kind, type) and issubclass(kind, errors.ConnectorError)
}
_RETRY: Final = _with_fields(
    table_of(
        RetryPolicy,
        make=_retry,
        shapes={"retry_on": ListOf(OneOf(tuple(_ERRORS), tuple(_ERRORS.values())))},
    ),
    preset=Field(
        OneOf(tuple(_PRESETS)),
        "The preset with the defaults of the other fields.",
        default="default",
    ),
)
OFF: Final = "off"
"""The value of a setting that turns off a protection of a service."""

_LIMIT: Final = table_of(
    RateLimitConfig,
    shapes={
        "per": AnyOf((Number(), OneOf(tuple(_PERIODS), tuple(_PERIODS.values())))),
        "without_store": AnyOf((Number(), OneOf((REFUSE,)))),
    },
)
_SETTINGS: Final[Mapping[str, Shape]] = {
    "timeouts": table_of(Timeouts, without=["total"]),
    "retry": _RETRY,
    "limits": ListOf(_LIMIT),
    "circuit": AnyOf((table_of(CircuitBreakerConfig), OneOf((OFF,), (None,)))),
    "retry_budget": table_of(RetryBudget),
    "bulkhead": table_of(BulkheadConfig, shapes={"adaptive": table_of(AdaptiveLimit)}),
    "hedge": table_of(HedgeConfig),
    "cache": table_of(CachePolicy),
    "headers": NamedTable(Text()),
    "redaction": table_of(
        Redaction,
        shapes={
            "body_paths": ListOf(Text()),
            "patterns": ListOf(Text()),
            "secrets": ListOf(SecretText()),
        },
    ),
    "log_content": table_of(LogContent),
    "credentials": CREDENTIALS,
}
_ENDPOINT_SETTINGS: Final = ("timeouts", "retry", "limits", "circuit", "hedge", "cache")
_OWN_ENDPOINT: Final = table_of(
    Endpoint,
    shapes={name: _SETTINGS[name] for name in _ENDPOINT_SETTINGS}
    | FUNCTIONS
    | {"method": OneOf(tuple(method.value for method in HttpMethod))},
)
_REGION: Final = table_of(Region, shapes={"credentials": CREDENTIALS})


def _with_service_descriptions(table: Table) -> Table:
    """Return the table; missing descriptions are taken from the fields of `Service`."""
    descriptions = field_descriptions(Service)
    fields = {
        name: evolve(field, about=field.about or descriptions.get(name, ""))
        for name, field in table.fields.items()
    }
    return evolve(table, fields=fields)


_ENDPOINT: Final = _with_service_descriptions(_OWN_ENDPOINT)
_SERVICE: Final = table_of(
    Service,
    name="service",
    without=["name"],
    shapes={**_SETTINGS, **FUNCTIONS, "endpoints": ListOf(_ENDPOINT), "regions": ListOf(_REGION)},
)
SERVICE: Final = evolve(_SERVICE, make=None)
"""The settings of a service; valid ones are kept where others are wrong."""


_SERVICE_SETTINGS: Final = {
    name: field
    for name, field in SERVICE.fields.items()
    if name not in {"regions", "needs_credentials", "http2"}
}
"""The settings of services that accounts may have too."""

_ACCOUNT_FIELDS: Final = {
    "kind": Field(Text(), "The vendor; by default the name of the account."),
    "cost": Field(
        AnyOf((Number(), Text())),
        "The cost of one operation at this account, for routes that prefer the cheapest account.",
    ),
    "webhook_secrets": Field(
        ListOf(SecretText()), "The secrets that sign the vendor's webhooks, the newest first."
    ),
}


def _vendor(kind: str) -> Table:
    vendor = vendor_class(kind, "kind")
    options = table_of(vendor)
    fields = {**_ACCOUNT_FIELDS, **options.fields}
    settings = {name: field for name, field in _SERVICE_SETTINGS.items() if name not in fields}
    return Table(kind, summary(vendor), {**fields, **settings}, kinds=(vendor, Service, Account))


_ACCOUNTS: Final = Field(
    ListOf(Text()),
    "The account, or a list of accounts in the order in which they are tried.",
    required=True,
)
ROUTE: Final = evolve(
    table_of(
        Route,
        name="route",
        without=["kind", "accounts", "tenant"],
        make=dict,
        shapes={"prefer": OneOf(tuple(Prefer))},
    ),
    advice='For failover, set `vendor` to a list such as ["stripe", "adyen"]: moorage prefers'
    " the first account, and tries the next one if the first certainly did nothing.",
)
_ROUTES: Final = {
    kind: Field(
        ListOf(_with_fields(ROUTE, vendor=_ACCOUNTS)),
        f"The account for {title.lower()}, or rules that choose among several accounts.",
    )
    for kind, title in CONTRACTS.items()
}
_VENDORS: Final = Field(
    NamedTable(TableByKind("vendor", vendor_names, _vendor, known=BUILT_IN)),
    "Your accounts at vendors, by names of your choice.",
)
_TENANT: Final = Table(
    "tenant",
    "The accounts and routes of a tenant.",
    {"vendors": _VENDORS, **_ROUTES},
)


def _shape(module: str, name: str) -> Callable[[], Shape]:
    """Return a function that imports a rarely needed shape when it is called."""

    def load_shape() -> Shape:
        shape: Shape = getattr(import_module(f"moorage.config.{module}"), name)
        return shape

    return load_shape


CONFIGURATION: Final = Table(
    "configuration",
    "The configuration of a hub.",
    {
        "$schema": Field(Text(), "The path or URL of this file's schema, for editors."),
        "version": Field(Number(whole=True), "The version of the configuration format.", default=1),
        "state": Field(
            Table(
                "state",
                "The store of circuits, limits and keys.",
                {
                    "url": Field(
                        ListOf(Address()),
                        "The URL of the store: memory:, sqlite:///file.db, redis://…,"
                        " postgresql://… or mysql://… Several URLs are shards of one store.",
                    ),
                    "former": Field(
                        ListOf(Address()),
                        "The URLs in url before the last shard was added, as long as keys in"
                        " those stores matter.",
                    ),
                    "keys_url": Field(
                        ListOf(Address()),
                        "The URL of a store for idempotency keys alone, such as nats://host/bucket."
                        " Several URLs are shards of one store.",
                    ),
                    "keys_former": Field(
                        ListOf(Address()),
                        "The URLs in keys_url before the last shard was added, as long as"
                        " keys in those stores matter.",
                    ),
                    "environment_id": Field(
                        Text(),
                        "The environment that the store belongs to; by default the name of"
                        " the environment.",
                    ),
                    "records_per_tenant": Field(
                        Number(whole=True),
                        "The maximum number of idempotency records of each tenant.",
                    ),
                },
            ),
            "The store of circuits, limits and keys; the memory of the process by default.",
        ),
        "broker": Field(
            Table(
                "broker",
                "The broker that leases tokens of hot limits to the processes of this machine.",
                {
                    "socket": Field(
                        Text(), "The path of the socket of `moorage broker`.", required=True
                    ),
                    "services": Field(
                        ListOf(Text()),
                        "The services whose limits are leased; they have neither a circuit nor a"
                        " retry budget.",
                        required=True,
                    ),
                    "without_broker": Field(
                        OneOf(WITHOUT_BROKER),
                        "Whether calls of these services ask the store while the broker is"
                        " unavailable, or are refused.",
                        default="store",
                    ),
                },
            ),
            "The broker of leases on this machine; by default each process asks the store.",
        ),
        "cipher": Field(
            Table(
                "cipher",
                "The cipher that encrypts the hub's data in the stores.",
                {
                    "keys": Field(
                        SecretText(),
                        "The output of `generate_keys`; the first key encrypts, and all keys"
                        " decrypt.",
                        required=True,
                    ),
                },
            ),
            "The cipher that encrypts stored answers, payments and cached responses; none by"
            " default.",
        ),
        "tenants_from": Field(
            Table(
                "tenants_from",
                "The store of tenants that are not in the configuration.",
                {
                    "url": Field(
                        Address(),
                        "The URL of the store: sqlite:///file.db, postgresql://… or mysql://…",
                        required=True,
                    ),
                    "keys": Field(
                        SecretText(),
                        "The output of `generate_keys`, which decrypts the tenants.",
                        required=True,
                    ),
                    "every": Field(
                        Number(),
                        "Seconds for which a loaded tenant is kept.",
                        default=5.0,
                    ),
                },
            ),
            "The store of tenants that are not in the configuration.",
        ),
        "credentials_from": Field(
            Table(
                "credentials_from",
                "The credential store for services with `needs_credentials`.",
                {
                    "url": Field(
                        Address(),
                        "The URL of the store: sqlite:///file.db, postgresql://… or mysql://…,"
                        " which are encrypted; file:///etc/file.toml; or environment: for variables"
                        " such as MOORAGE_CREDENTIAL_VAT.",
                        required=True,
                    ),
                    "keys": Field(
                        SecretText(), "The output of `generate_keys`, which decrypts the store."
                    ),
                },
            ),
            "The credential store for services with `needs_credentials`.",
        ),
        "log": Field(
            Table(
                "log",
                "The integration log, which has an entry for each call.",
                {
                    "url": Field(
                        Address(),
                        "The URL of the log: memory:, sqlite:///file.db, postgresql://… or"
                        " mysql://…; its table is created with the first entry.",
                        required=True,
                    ),
                    "keep_days": Field(
                        Number(),
                        "Days for which an entry is kept; `moorage housekeep` removes older ones."
                        " By default, none is removed.",
                    ),
                },
            ),
            "The integration log, which has an entry for each call; none by default.",
        ),
        "metrics": Field(
            Table(
                "metrics",
                "The figures about calls, by service, operation, tenant and time.",
                {
                    "url": Field(
                        Address(),
                        "The URL of the figures: memory:, sqlite:///file.db, postgresql://… or"
                        " mysql://…; their table is created with the first figures.",
                        required=True,
                    ),
                },
            ),
            "The figures about calls, by service, operation, tenant and time; none by default.",
        ),
        "objectives": Field(
            _shape("objectives", "OBJECTIVES"),
            "Objectives of service levels, for `moorage sla`.",
        ),
        "audit": Field(
            Table(
                "audit",
                "The audit trail of manual actions and of changes to the configuration.",
                {
                    "url": Field(
                        Address(),
                        "The URL of the store: sqlite:///file.db, file:///var/log/file.jsonl,"
                        " postgresql://… or mysql://…; tables are created with the first record.",
                        required=True,
                    ),
                    "keys": Field(
                        SecretText(), "The output of `generate_keys`, which seals the trail."
                    ),
                    "seal_every": Field(
                        Number(whole=True),
                        "The number of records between two seals.",
                        default=100,
                    ),
                    "required": Field(
                        Flag(),
                        "Whether an action is refused if it cannot be recorded.",
                        default=True,
                    ),
                    "uses": Field(
                        Flag(),
                        "Whether the audit trail also records which process first read which"
                        " credentials of the credential store, and each renewal and change of"
                        " them.",
                        default=False,
                    ),
                },
            ),
            "The audit trail of manual actions and of changes to the configuration; none by"
            " default.",
        ),
        "http": Field(HTTP, HTTP.about),
        "observers": Field(OBSERVERS, OBSERVERS.about),
        "connectors": CONNECTORS,
        "pipelines": Field(_shape("pipelines", "PIPELINES"), "Pipelines, by names of your choice."),
        "platforms": Field(
            _shape("steps", "PLATFORMS"), "Platforms that run steps, by names of your choice."
        ),
        "steps": Field(
            _shape("steps", "STEPS"), "Commands that run elsewhere, by names of your choice."
        ),
        "health": Field(
            _shape("health", "HEALTH"),
            "The probes of services, and the rules that determine health.",
        ),
        "alerts": Field(
            _shape("alerts", "ALERTS"), "The alert rules, and the channels for their notifications."
        ),
        "safety": Field(table_of(Safety, name="safety"), summary(Safety)),
        "secrets": Field(
            NamedTable(PROVIDERS),
            "Secret providers, by the names used in secret:// references.",
        ),
        "vendors": _VENDORS,
        **_ROUTES,
        "services": Field(NamedTable(SERVICE), "Any other HTTP services, by name."),
        "tenants": Field(NamedTable(_TENANT), "Tenants, by name."),
    },
)
