"""The code that the synchronous and the asynchronous hub share: accounts, webhooks, reloading."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from moorage.adapters.concurrency.forking import in_child
from moorage.contracts.hub_configuration import HubConfiguration
from moorage.contracts.ref import Ref
from moorage.contracts.routes import RoutingRequest
from moorage.domain.observation.events import Reloaded, ReloadFailed
from moorage.domain.service.safety import Safety
from moorage.domain.values.durations import seconds
from moorage.domain.values.kinds import checked_kind
from moorage.domain.values.uncopyable import Uncopyable
from moorage.errors import ConfigurationError
from moorage.hub.hub_runtime import HubClasses, HubRuntime
from moorage.hub.internals import core_of, ports_of, use_flows
from moorage.hub.origin import Origin
from moorage.runtime.flows import guarded_port
from moorage.services.contracts.live_configuration import LiveConfiguration
from moorage.services.contracts.tenants import TenantDispatchers, TenantLookup
from moorage.services.core.foreign_errors import audit_failure
from moorage.wiring.defaults import memory_storage
from moorage.wiring.ports import check_object, check_tokens
from moorage.wiring.tenants import tenant_verbs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import timedelta

    from moorage.contracts.hub_configuration import Changes
    from moorage.contracts.routes import Account, Directory, Route
    from moorage.domain.monitoring.alert_settings import AlertSettings
    from moorage.domain.monitoring.objectives import Objective
    from moorage.domain.monitoring.settings import HealthSettings
    from moorage.domain.service.settings import Service
    from moorage.domain.webhooks.events import WebhookEvent
    from moorage.errors import ConnectorError
    from moorage.hub.origin import Source
    from moorage.parts.webhook_verifier import WebhookVerifier
    from moorage.ports.audit import AuditTrail
    from moorage.services.contracts.dispatcher import Dispatcher
    from moorage.services.contracts.unsettled_payments import UnsettledFlows
    from moorage.services.core.core import Core

    ReadTenant: TypeAlias = Callable[
        [str, Mapping[str, Any], Iterable[Account]], tuple[Iterable[Account], Iterable[Route]]
    ]


class HubBase(Uncopyable):
    """The methods that the synchronous and the asynchronous hub share; none blocks or awaits."""

    _classes: ClassVar[HubClasses]
    health_settings: HealthSettings | None = None
    alert_settings: AlertSettings | None = None
    objectives: tuple[Objective, ...] = ()

    def __init__(
        self,
        accounts: Iterable[Account],
        routes: Iterable[Route] = (),
        *,
        services: Iterable[Service] = (),
        safety: Safety | None = None,
        transports: Mapping[str, Any] | None = None,
        tokens: Any = None,
        environment_id: str | None = None,
        **ports: Any,
    ) -> None:
        if "dry_run" in ports:
            raise ConfigurationError(
                "A hub has no argument dry_run, because a reload can end a dry run.",
                path="dry_run",
                remedy="Pass safety=Safety(dry_run=True).",
            )
        configuration = HubConfiguration(
            accounts=accounts, routes=routes, services=services, safety=safety or Safety()
        )
        self._configuration = configuration
        transports = checked_kind(transports or {}, Mapping, "transports")
        for name, transport in transports.items():
            check_object(transport, f"transports.{name}")
        check_tokens(tokens, is_async=self._classes.name != "")
        self._http = ports.get("http")
        self._clock = ports.get("clock")
        self._audit: AuditTrail | None = ports.get("audit")
        self._runtime = HubRuntime(
            self._classes,
            transports=transports,
            vault=tokens,
            ports=ports,
            environment=environment_id,
        )
        self.manager: Any = self._runtime.manager
        # The manager has checked these ports.
        self._claims = (
            ports.get("claims") or ports.get("state") or memory_storage(ports.get("clock"))
        )
        self._live = LiveConfiguration(self._runtime.dispatcher(configuration))
        use_flows(self.manager, self._live.dispatcher.calling, dry_run=configuration.safety.dry_run)
        self._origin: Origin | None = None
        self._own: tuple[Any, ...] = ()
        self._connectors: Any = None
        self._steps: Any = None
        self._unlocked()
        in_child(self, HubBase._unlocked)

    def _unlocked(self) -> None:
        self._reloading = threading.RLock()
        # A reload may read secrets over the network, and must not delay those who use connectors.
        self._creating = threading.Lock()

    def _keep_origin(self, source: Source, read: Callable[[Source], HubConfiguration]) -> None:
        self._origin = Origin(source, read)

    def look_up_tenants(
        self, tenants: Any, read: ReadTenant, *, every: float | timedelta = 5.0
    ) -> None:
        """Use this source of tenants from now on, and look up each tenant again at intervals.

        Args:
            tenants: the port that looks them up: `Tenants`, or `AsyncTenants` for an
                asynchronous hub.
            read: makes accounts and routes from a tenant's tables and the general accounts.
            every: seconds for which the result of a look-up is used.

        Raises:
            ConfigurationError: `tenants` is not such a port.
        """
        verbs = tenant_verbs(tenants, is_async=self._classes.name != "")

        def build_dispatcher(
            base: Dispatcher, tenant: str, tables: Mapping[str, Any]
        ) -> Dispatcher:
            accounts, routes = read(tenant, tables, base.directory.accounts.values())
            return self._runtime.dispatcher_of_tenant(base, tenant, accounts, routes)

        self._live.tenants = TenantDispatchers(
            TenantLookup(
                **verbs,
                build=build_dispatcher,
                nanoseconds=self._core.nanoseconds,
                every=int(seconds(every, "every") * 1e9),
            )
        )

    def _record(self, changes: Changes, actor: str | None, reason: str) -> None:
        """Record in the audit trail which parts of the configuration a reload will change."""
        paths = {name: list(paths) for name, paths in changes._asdict().items() if paths}
        if self._audit is not None and paths:
            record = guarded_port(self._audit.record, audit_failure)
            record("configuration.reload", "configuration", actor=actor, reason=reason, after=paths)

    def _read_configuration_again(
        self, source: Source | HubConfiguration | None, actor: str | None, reason: str
    ) -> Reloaded:
        """Read the configuration again, and use it for all calls that begin from now on."""
        with self._reloading:
            origin = self._origin
            if isinstance(source, HubConfiguration):
                configuration = source
            elif origin is None:
                raise ConfigurationError(
                    "This hub was not opened from a configuration file, so it cannot reload.",
                    path="configuration",
                    remedy="Use moorage.open, or pass a new HubConfiguration to reload().",
                )
            else:
                origin = origin if source is None else Origin(source, origin.read)
                configuration = origin.read(origin.source)
            dispatcher = self._runtime.dispatcher(configuration, self._live.dispatcher)
            changes = self._configuration.changes(configuration)
            self._record(changes, actor, reason)
            self._configuration, self._origin, self._live.dispatcher = (
                configuration,
                origin,
                dispatcher,
            )
            use_flows(self.manager, dispatcher.calling, dry_run=configuration.safety.dry_run)
        return Reloaded(at=self._core.utc(), service="configuration", **changes._asdict())

    def _resources(self) -> list[Any]:
        """Return the objects that the hub created itself and must close, in this order."""
        first_resources = (self._connectors, self._steps, self.manager, self._runtime.refresher)
        return [
            *(resource for resource in first_resources if resource is not None),
            *self._runtime.own_transports(),
            *self._own,
        ]

    def _tell_failed_reload(self, error: ConnectorError) -> None:
        core = self._core
        core.notify(
            ReloadFailed(
                at=core.utc(),
                service="configuration",
                error=type(error).__name__,
                path=getattr(error, "path", None),
                problem=error.message,
            )
        )

    @property
    def audit(self) -> AuditTrail | None:
        """Return the audit trail that records manual actions; None if there is none."""
        return self._audit

    @property
    def metrics(self) -> Any:
        """Return the observer that collects metrics of calls; None if metrics are off."""
        observers = ports_of(self.manager).observers
        return next((item for item in observers if hasattr(item, "figures")), None)

    @property
    def _core(self) -> Core:
        core: Core = core_of(self.manager)
        return core

    @property
    def unsettled(self) -> UnsettledFlows:
        """Return the hub's payment operations of unknown outcome, for use by an outbox."""
        from moorage.services.contracts.unsettled_payments import (  # noqa: PLC0415 - slow to load
            UnsettledFlows,
        )

        return UnsettledFlows(self._core, self._live.dispatcher_of)

    @property
    def _directory(self) -> Directory:
        return self._live.dispatcher.directory

    def account(self, name: str) -> Account:
        """Return the account of this name.

        If tenants are looked up, a synchronous hub looks up the tenant of an unknown account here.
        An asynchronous hub cannot do so: await `find_account` first.

        Raises:
            ConfigurationError: no account has this name.
        """
        account = self._known_account(name)
        if account is not None:
            return account
        account_names = ", ".join(sorted(self._directory.accounts)) or "none"
        remedy = f"Use one of: {account_names}."
        if self._classes.name and self._live.tenants is not None:
            remedy += " If it is an account of a tenant, await find_account first."
        raise ConfigurationError(f"No account is named {name!r}.", path="accounts", remedy=remedy)

    def _known_account(self, name: str) -> Account | None:
        return self._live.account(name)

    def chosen(
        self,
        kind: str,
        tenant: str | None = None,
        *,
        country: str | None = None,
        currency: str | None = None,
    ) -> tuple[Account, ...]:
        """Return the accounts that a contract's operations use now, the preferred one first.

        A page may depend on the account, for example to show the payment form of its vendor.

        Args:
            kind: the contract, such as "payments".
            tenant: the tenant of the operations.
            country: the buyer's country, if routes depend on it.
            currency: the currency of the amount, if routes depend on it.

        Raises:
            ConfigurationError: no account is configured for the contract.
        """
        return self._directory.choose(
            RoutingRequest(
                kind=kind, operation="chosen", tenant=tenant, country=country, currency=currency
            )
        )

    def webhooks(self, account: str, **options: Any) -> WebhookVerifier:
        """Return a verifier of the webhooks that this account's vendor sends.

        Args:
            account: the name of the account.
            options: arguments of `WebhookVerifier`. By default it uses the name and the secrets of
                the account, and the hub's storage, clock and HTTP client (to fetch certificates).
        """
        configured_account = self.account(account)
        vendor = configured_account.vendor
        if vendor.webhook is None:
            raise ConfigurationError(
                f"{vendor.name} sends no webhooks that moorage can verify.",
                path=f"vendors.{account}.webhook_secrets",
                remedy="Read the current state from the vendor instead.",
            )
        account_options: dict[str, Any] = {
            "name": account,
            "secrets": configured_account.webhook_secrets,
            "storage": self._claims,
            "clock": self._clock,
            self._classes.http: self._http,
            **vendor.webhook_verification(),
        }
        from moorage.parts.webhook_verifier import WebhookVerifier  # noqa: PLC0415 - slow to load

        return WebhookVerifier(**{**account_options, **options})

    def events(self, account: str, webhook: WebhookEvent) -> tuple[Any, ...]:
        """Return the contracts' events, such as payment events, that a verified webhook reports."""
        configured_account = self.account(account)
        return configured_account.vendor.events(webhook, partial(_ref, configured_account))


def _ref(account: Account, id: str, /, **related: str | None) -> Ref:
    related_ids = {name: value for name, value in related.items() if value}
    return Ref(account.vendor.name, account.name, id, related_ids)
