"""Hubs, synchronous and asynchronous: every configured vendor behind the contracts."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeAlias

from moorage.adapters.concurrency.forking import in_child
from moorage.contracts.offer import Offer
from moorage.contracts.ref import Ref
from moorage.contracts.routes import RoutingRequest
from moorage.domain.observation.events import Reloaded, ReloadFailed
from moorage.domain.secrets.frames import careful, refusing
from moorage.domain.service.safety import Safety
from moorage.domain.values.durations import seconds
from moorage.errors import ConfigurationError
from moorage.hub.contract_methods import AsyncContractMethods, ContractMethods
from moorage.hub.hub_runtime import HubClasses, HubRuntime
from moorage.hub.manager import AsyncConnectorManager, ConnectorManager
from moorage.hub.origin import Origin
from moorage.runtime.bridge import documented_by, run_now, step_async, step_sync
from moorage.runtime.signatures import with_arguments_of
from moorage.services.contracts.live_configuration import LiveConfiguration
from moorage.services.contracts.tenants import TenantDispatchers, TenantLookup
from moorage.wiring.tenants import tenant_verbs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import timedelta
    from signal import Signals
    from types import TracebackType

    from moorage.contracts.offer import Changes
    from moorage.contracts.payments import (
        Capture,
        Payment,
        Refund,
        SettledPayment,
        UnsettledPayment,
        Void,
    )
    from moorage.contracts.routes import Account, Directory, Route
    from moorage.domain.monitoring.alert_settings import AlertSettings
    from moorage.domain.monitoring.objectives import Objective
    from moorage.domain.monitoring.settings import HealthSettings
    from moorage.domain.service.settings import Service
    from moorage.domain.webhooks.events import WebhookEvent
    from moorage.errors import ConnectorError
    from moorage.hub.connectors_async import AsyncConnectors
    from moorage.hub.connectors_sync import Connectors
    from moorage.hub.origin import Source
    from moorage.hub.reloading import AsyncWatch, Watch
    from moorage.parts.webhook_verifier import WebhookVerifier
    from moorage.ports.audit import AuditTrail
    from moorage.services.calling.attempts import AttemptStep
    from moorage.services.contracts.dispatcher import Dispatcher
    from moorage.services.contracts.unsettled_payments import UnsettledFlows
    from moorage.services.core.core import Core

    ReadTenant: TypeAlias = Callable[
        [str, Mapping[str, Any], Iterable[Account]], tuple[Iterable[Account], Iterable[Route]]
    ]


class _Hub:
    """The common part of both hubs, which never waits: accounts, their webhooks, and reloading."""

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
        offer = Offer(
            accounts=accounts, routes=routes, services=services, safety=safety or Safety()
        )
        self._offer = offer
        self._state = ports.get("state")
        self._http = ports.get("http")
        self._clock = ports.get("clock")
        self._audit: AuditTrail | None = ports.get("audit")
        self._runtime = HubRuntime(
            self._classes,
            transports=transports or {},
            vault=tokens,
            ports=ports,
            environment=environment_id,
        )
        self.manager: Any = self._runtime.manager
        self._live = LiveConfiguration(self._runtime.dispatcher(offer))
        self.manager.use(self._live.dispatcher.calling, dry_run=offer.safety.dry_run)
        self._origin: Origin | None = None
        self._own: tuple[Any, ...] = ()
        self._connectors: Any = None
        self._unlocked()
        in_child(self, _Hub._unlocked)

    def _unlocked(self) -> None:
        self._reloading = threading.RLock()

    def owns(self, *opened: Any) -> Self:
        """Make the hub close these ports when it closes, because they were opened for it alone."""
        self._own = opened
        return self

    def comes_from(self, source: Source, read: Callable[[Source], Offer]) -> Self:
        """Store the source of the configuration, so that `reload` can read it again.

        Args:
            source: what it was read from.
            read: reads it, or another.
        """
        self._origin = Origin(source, read)
        return self

    def asks(self, tenants: Any, read: ReadTenant, *, every: float | timedelta = 5.0) -> Self:
        """Make the hub read the accounts of tenants from a source, again at intervals while in use.

        Args:
            tenants: the port that looks them up: `Tenants`, or `AsyncTenants` for an
                asynchronous hub.
            read: makes accounts and routes of a tenant's tables, with the accounts of everybody.
            every: seconds for which what was looked up is believed.

        Raises:
            ConfigurationError: `tenants` is no such port.
        """
        verbs = tenant_verbs(tenants, is_async=self._classes.name != "")

        def build(base: Dispatcher, tenant: str, tables: Mapping[str, Any]) -> Dispatcher:
            accounts, routes = read(tenant, tables, base.directory.accounts.values())
            return self._runtime.dispatcher_of_tenant(base, tenant, accounts, routes)

        self._live.tenants = TenantDispatchers(
            TenantLookup(
                **verbs,
                build=build,
                nanoseconds=self._core.nanoseconds,
                every=int(seconds(every, "every") * 1e9),
            )
        )
        return self

    def _record(self, changes: Changes, actor: str | None, reason: str) -> None:
        """Record the paths that a reload changes, before it changes them."""
        paths = {name: list(paths) for name, paths in changes._asdict().items() if paths}
        if self._audit is not None and paths:
            self._audit.record(
                "configuration.reload", "configuration", actor=actor, reason=reason, after=paths
            )

    def _read_anew(self, source: Source | Offer | None, actor: str | None, reason: str) -> Reloaded:
        """Read the configuration, and have calls that begin from now on go by it."""
        with self._reloading:
            origin = self._origin
            if isinstance(source, Offer):
                offer = source
            elif origin is None:
                raise ConfigurationError(
                    "This hub was not opened from a configuration file, so it cannot reload.",
                    path="configuration",
                    remedy="Open it with moorage.open, or give `reload` an Offer of other values.",
                )
            else:
                origin = origin if source is None else Origin(source, origin.read)
                offer = origin.read(origin.source)
            dispatcher = self._runtime.dispatcher(offer, self._live.dispatcher)
            changes = self._offer.changes(offer)
            self._record(changes, actor, reason)
            self._offer, self._origin, self._live.dispatcher = offer, origin, dispatcher
            self.manager.use(dispatcher.calling, dry_run=offer.safety.dry_run)
        return Reloaded(at=self._core.utc(), service="configuration", **changes._asdict())

    def _failed(self, error: ConnectorError) -> None:
        core = self._core
        core.tell(
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
        """The trail that records acts by hand; None if there is none."""
        return self._audit

    @property
    def metrics(self) -> Any:
        """The figures about calls: the observer that has some, or None."""
        ports: Any = self.manager._ports  # noqa: SLF001 - a part of the same package
        return next((item for item in ports.observers if hasattr(item, "figures")), None)

    @property
    def _core(self) -> Core:
        core: Core = self.manager.flows.core
        return core

    @property
    def unsettled(self) -> UnsettledFlows:
        """The register of payments with an unknown outcome, for an outbox."""
        from moorage.services.contracts.unsettled_payments import (  # noqa: PLC0415 - slow to load
            UnsettledFlows,
        )

        return UnsettledFlows(self._core, self._live.dispatcher_of)

    @property
    def _directory(self) -> Directory:
        return self._live.dispatcher.directory

    def account(self, name: str) -> Account:
        """The account of this name.

        Where tenants are looked up, a synchronous hub looks up the tenant of an account that it
        does not know yet. An asynchronous hub cannot do so here: await `find_account` first.

        Raises:
            ConfigurationError: no account has this name.
        """
        account = self._known_account(name)
        if account is not None:
            return account
        account_names = ", ".join(sorted(self._directory.accounts)) or "none"
        remedy = f"Use one of: {account_names}."
        if self._classes.name and self._live.tenants is not None:
            remedy += " Await find_account before, if it is an account of a tenant."
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
        """The accounts that operations of a contract go to now, the first before the others.

        What a page shows may depend on it, such as the form of the vendor who takes payments.

        Args:
            kind: the contract, such as "payments".
            tenant: whose operations.
            country: the buyer's, which routes may go by.
            currency: of the amount, the same.

        Raises:
            ConfigurationError: no account is configured for it.
        """
        return self._directory.choose(
            RoutingRequest(
                kind=kind, operation="chosen", tenant=tenant, country=country, currency=currency
            )
        )

    def webhooks(self, account: str, **options: Any) -> WebhookVerifier:
        """Return a verifier of the webhooks that this account's vendor sends.

        Args:
            account: its name.
            options: what `WebhookVerifier` takes; unless given, the secrets are the account's, and
                the storage, the clock and the HTTP client that fetches certificates the hub's.
        """
        configured = self.account(account)
        vendor = configured.vendor
        if vendor.webhook is None:
            raise ConfigurationError(
                f"{vendor.name} sends no webhooks that could be verified.",
                path=f"vendors.{account}.webhook_secrets",
                remedy="Ask the vendor for the state of things instead.",
            )
        account_options: dict[str, Any] = {
            "secrets": configured.webhook_secrets,
            "storage": self._state,
            "clock": self._clock,
            self._classes.http: self._http,
            **vendor.verifying(),
        }
        from moorage.parts.webhook_verifier import WebhookVerifier  # noqa: PLC0415 - slow to load

        return WebhookVerifier(name=account, **{**account_options, **options})

    def events(self, account: str, webhook: WebhookEvent) -> tuple[Any, ...]:
        """The events of the contracts that a verified webhook reports."""
        configured = self.account(account)
        return configured.vendor.events(webhook, partial(_ref, configured))


def _step(function: Callable[[], Any], _: Core) -> AttemptStep:
    return step_sync(function)


def _ref(account: Account, id: str, /, **related: str | None) -> Ref:
    related_ids = {name: value for name, value in related.items() if value}
    return Ref(account.vendor.name, account.name, id, related_ids)


@careful
class Hub(ContractMethods, _Hub):
    """The contracts over configured accounts.

    Safe to share between threads.

    Args:
        accounts: the accounts of ours at vendors.
        routes: where operations go; a kind without a route goes to the one account that fills it.
        services: anything else that is called, through `manager`.
        safety: how far it reaches into the world; all the way by default.
        transports: by account, what speaks for vendors that do not speak HTTP; the embedded ones
            unless given.
        tokens: where the access tokens of accounts are kept that get them by OAuth: a credential
            provider; the memory of this process by default.
        environment_id: the environment that the store must belong to, or nothing is sent; "" is one
            without a name. By default nobody asks.
        ports: further arguments of the manager, such as `state` and `http`.

    Attributes:
        manager: calls every service, those of the accounts included.
        health_settings: the health settings of its configuration, if it has any.
        alert_settings: the alert settings of its configuration, if it has any.
        objectives: the objectives of service levels of its configuration.
    """

    _classes = HubClasses(
        ConnectorManager,
        _step,
        "",
        "http",
    )
    manager: ConnectorManager

    @property
    def connectors(self) -> Connectors:
        """The connectors of systems that are not HTTP APIs, by name."""
        with self._reloading:
            if self._connectors is None:
                from moorage.hub.connectors_sync import Connectors  # noqa: PLC0415 - few need them

                self._connectors = Connectors(self.manager)
            connectors: Connectors = self._connectors
        return connectors

    def unsettled_payments(self) -> list[UnsettledPayment]:
        """List the operations of all tenants that move money and whose outcome is unknown.

        The store has the list, so that it is the same in every process and outlives them. An
        operation that is under way is on it, too, with the seconds for which it may go on.

        Returns:
            The oldest first.
        """
        return run_now(self.unsettled.unsettled())

    def settle_payments(self, *, limit: int = 100) -> list[SettledPayment]:
        """Settle up to `limit` operations, oldest first, if the vendors can tell their outcome.

        Each is settled as its vendor states: asked again under its key, repeated, or looked for by
        its reference. What stays unknown is looked at again later and later, and several
        processes may do this at once. Nothing is begun that was not sent before.

        Args:
            limit: how many to look at.

        Returns:
            What was settled; empty if there was nothing to do.
        """
        return run_now(self.unsettled.settle(limit=limit))

    def settle_payment(
        self,
        idempotency_key: str,
        *,
        tenant: str | None = None,
        actor: str | None = None,
        reason: str = "",
    ) -> SettledPayment | None:
        """Ask the vendor about one operation now, and settle it if the vendor can tell.

        This does for one operation what `settle_payments` does, without waiting for its turn.

        Args:
            idempotency_key: its key.
            tenant: whose payment it is.
            actor: the person who does it, for the audit trail; by default the system's user.
            reason: the reason for the audit trail.

        Returns:
            What was settled, or None if the vendor could not tell.

        Raises:
            InvalidData: no such operation is unsettled, or its vendor cannot be asked about it.
            IdempotencyInProgress: its caller may still be at work on it.
        """
        return run_now(
            self.unsettled.settle_payment(
                idempotency_key, tenant=tenant, actor=actor, reason=reason
            )
        )

    def close_payment(
        self,
        idempotency_key: str,
        *,
        done: bool,
        receipt: Payment | Capture | Refund | Void | Ref | str | None = None,
        tenant: str | None = None,
        actor: str | None = None,
        reason: str = "",
    ) -> UnsettledPayment:
        """Close an operation whose outcome you have looked up at the vendor.

        Args:
            idempotency_key: its key.
            done: whether it was done. If not, the key may be used again, and the vendor is asked as
                if for the first time; that is refused while the first request may be under way.
            receipt: what repeats of the key are to get: the receipt itself, or the reference or the
                vendor's id of the payment, or of the refund. Without it a payment is looked for by
                our reference of it.
            tenant: whose payment it is.
            actor: the person who does it, for the audit trail; by default the system's user.
            reason: the reason for the audit trail.

        Returns:
            The operation that was closed.

        Raises:
            InvalidData: no such operation is unsettled, the receipt is not one of it, or the
                vendor's answer is known here and says otherwise.
            IdempotencyInProgress: the request may still be under way.
        """
        closing = self.unsettled.close(
            idempotency_key,
            done=done,
            receipt=receipt,
            tenant=tenant,
            actor=actor,
            reason=reason,
        )
        return run_now(closing)

    @refusing
    def reload(
        self,
        source: Source | Offer | None = None,
        *,
        actor: str | None = None,
        reason: str = "",
    ) -> Reloaded:
        """Read the configuration again; calls that begin from now on use the new one.

        Calls under way end as they began; objects obtained before, such as `payments()`, go by the
        new one. The ports stay, and with them what circuits, limits, budgets, keys, caches, tokens
        and connections know; so do accounts and services as long as they keep their names.

        Args:
            source: another file or mapping to read, now and from now on; or what a hub is made of
                as values.
            actor: the person who does it, for the audit trail; by default the system's user.
            reason: the reason for the audit trail.

        Returns:
            The event that lists the changes; observers receive it as well.

        Raises:
            ConfigurationError: it is wrong, or this hub was not opened from one; nothing changed.
        """
        reload_event = self._read_anew(source, actor, reason)
        self._core.tell(reload_event)
        return reload_event

    def find_account(self, name: str) -> Account | None:
        """The account of this name as it is now, or None if there is no such account.

        For an account of a tenant that is looked up, such as `acme.stripe` of `acme`, it asks what
        the tenant has, whether or not this process has called that tenant before. Use it where
        webhooks arrive: afterwards `account`, `webhooks` and `events` know the account.

        Args:
            name: of the account.

        Raises:
            ConfigurationError: the tables of its tenant are wrong.
            StorageUnavailable: it cannot be told just now what the tenant has, and never was.
        """
        return run_now(self._live.find_account(name))

    def look_up(self, tenant: str) -> None:
        """Look up the accounts of a tenant, so that `account`, `webhooks` and `events` find them.

        Operations do so by themselves. Without tenants that are looked up there is nothing to do.

        Args:
            tenant: its name.

        Raises:
            ConfigurationError: nobody knows it, or what it has is wrong.
            StorageUnavailable: it cannot be told just now, and never was.
        """
        run_now(self._live.dispatcher_of(tenant))

    def watch(
        self, every: float | timedelta | None = 1.0, *, signals: Iterable[Signals] = ()
    ) -> Watch:
        """A watch that reloads the configuration when its file changes.

        Nothing happens on its own: call its `look` where it suits you, or enter it, and a thread
        (in an asynchronous hub, a task) does so until you leave. A file that is wrong changes
        nothing: observers are told `ReloadFailed`, and it is looked at again when it has changed.

        Args:
            every: seconds between two looks while it is entered; None looks only at signals.
            signals: what makes it read the file while it is entered, changed or not.

        Raises:
            ConfigurationError: this hub was not opened from a file; or, when it is entered, a
                signal cannot be listened for, as in any thread but the main one.
        """
        from moorage.hub.reloading import Watch  # noqa: PLC0415 - loads asyncio

        return Watch(self._origin, self.reload, self._failed, every, signals)

    def _known_account(self, name: str) -> Account | None:
        return super()._known_account(name) or run_now(self._live.find_account(name))

    def close(self) -> None:
        """Close the connections that the hub opened."""
        if self._connectors is not None:
            self._connectors.close()
        self.manager.close()
        if self._runtime.refresher is not None:
            self._runtime.refresher.close()
        for resource in (*self._runtime.own_transports(), *self._own):
            if hasattr(resource, "close"):
                resource.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


@careful
@with_arguments_of(Hub)
class AsyncHub(AsyncContractMethods, _Hub):
    """The contracts over configured accounts; its methods are those of `Hub`.

    Safe to share between tasks.
    """

    _classes = HubClasses(
        AsyncConnectorManager,
        step_async,
        "Async",
        "async_http",
    )
    manager: AsyncConnectorManager

    @property
    def connectors(self) -> AsyncConnectors:
        """The connectors of systems that are not HTTP APIs, by name."""
        with self._reloading:
            if self._connectors is None:
                from moorage.hub.connectors_async import AsyncConnectors  # noqa: PLC0415 - few need them

                self._connectors = AsyncConnectors(self.manager)
            connectors: AsyncConnectors = self._connectors
        return connectors

    @documented_by(Hub.unsettled_payments)
    async def unsettled_payments(self) -> list[UnsettledPayment]:  # noqa: D102 - documented by its twin
        return await self.unsettled.unsettled()

    @documented_by(Hub.settle_payments)
    async def settle_payments(self, *, limit: int = 100) -> list[SettledPayment]:  # noqa: D102 - documented by its twin
        return await self.unsettled.settle(limit=limit)

    @documented_by(Hub.settle_payment)
    async def settle_payment(  # noqa: D102 - documented by its twin
        self,
        idempotency_key: str,
        *,
        tenant: str | None = None,
        actor: str | None = None,
        reason: str = "",
    ) -> SettledPayment | None:
        return await self.unsettled.settle_payment(
            idempotency_key, tenant=tenant, actor=actor, reason=reason
        )

    @documented_by(Hub.close_payment)
    async def close_payment(  # noqa: D102 - documented by its twin
        self,
        idempotency_key: str,
        *,
        done: bool,
        receipt: Payment | Capture | Refund | Void | Ref | str | None = None,
        tenant: str | None = None,
        actor: str | None = None,
        reason: str = "",
    ) -> UnsettledPayment:
        closing = self.unsettled.close(
            idempotency_key,
            done=done,
            receipt=receipt,
            tenant=tenant,
            actor=actor,
            reason=reason,
        )
        return await closing

    @documented_by(Hub.reload)
    @refusing
    async def reload(  # noqa: D102 - documented by its twin
        self,
        source: Source | Offer | None = None,
        *,
        actor: str | None = None,
        reason: str = "",
    ) -> Reloaded:
        from moorage.hub.reloading import beside  # noqa: PLC0415 - loads asyncio

        reload_event = await beside(partial(self._read_anew, source, actor, reason))
        self._core.tell(reload_event)
        return reload_event

    @documented_by(Hub.find_account)
    async def find_account(self, name: str) -> Account | None:  # noqa: D102 - documented by its twin
        return await self._live.find_account(name)

    @documented_by(Hub.look_up)
    async def look_up(self, tenant: str) -> None:  # noqa: D102 - documented by its twin
        await self._live.dispatcher_of(tenant)

    @documented_by(Hub.watch)
    def watch(  # noqa: D102 - documented by its twin
        self, every: float | timedelta | None = 1.0, *, signals: Iterable[Signals] = ()
    ) -> AsyncWatch:
        from moorage.hub.reloading import AsyncWatch  # noqa: PLC0415 - loads asyncio

        return AsyncWatch(self._origin, self.reload, self._failed, every, signals)

    async def close(self) -> None:
        """Close the connections that the hub opened."""
        if self._connectors is not None:
            await self._connectors.close()
        await self.manager.close()
        if self._runtime.refresher is not None:
            await self._runtime.refresher.close()
        for resource in (*self._runtime.own_transports(), *self._own):
            end = getattr(resource, "aclose", None) or getattr(resource, "close", None)
            if end is not None:
                await end()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
