"""Every vendor of a business system behind the contracts: the two faces of a hub."""

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
from moorage.faces.email import AsyncEmail, Email
from moorage.faces.payments import AsyncPayments, Payments
from moorage.faces.shipping import AsyncShipping, Shipping
from moorage.faces.sms import AsyncSms, Sms
from moorage.faces.storage import AsyncStorage, Storage
from moorage.hub.hub_runtime import HubClasses, HubRuntime
from moorage.hub.manager import AsyncConnectorManager, ConnectorManager
from moorage.hub.reloading import AsyncWatch, Origin, Watch, beside
from moorage.parts.oauth_token_refresher import AsyncOAuthTokenRefresher, OAuthTokenRefresher
from moorage.parts.webhook_verifier import WebhookVerifier
from moorage.runtime.bridge import documented_by, run_now, step_async, step_sync
from moorage.services.contracts.live_configuration import LiveConfiguration
from moorage.services.contracts.tenants import TenantDispatchers, TenantLookup
from moorage.services.contracts.unsettled_payments import UnsettledFlows
from moorage.wiring.account_tokens import AccountTokens, AsyncAccountTokens
from moorage.wiring.tenants import tenant_verbs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import timedelta
    from signal import Signals
    from types import TracebackType

    from moorage.contracts.payments import (
        Capture,
        Payment,
        Refund,
        SettledPayment,
        UnsettledPayment,
        Void,
    )
    from moorage.contracts.routes import Account, Directory, Route
    from moorage.domain.service.settings import Service
    from moorage.domain.webhooks.events import WebhookEvent
    from moorage.errors import ConnectorError
    from moorage.hub.reloading import Source
    from moorage.services.calling.attempts import AttemptStep
    from moorage.services.contracts.dispatcher import Dispatcher
    from moorage.services.core.core import Core

    ReadTenant: TypeAlias = Callable[
        [str, Mapping[str, Any], Iterable[Account]], tuple[Iterable[Account], Iterable[Route]]
    ]


class _Hub:
    """What both colours share: the accounts, their webhooks, and how both are read anew."""

    _classes: ClassVar[HubClasses]

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
        self._unlocked()
        in_child(self, _Hub._unlocked)

    def _unlocked(self) -> None:
        self._reloading = threading.RLock()

    def owns(self, *opened: Any) -> Self:
        """Have the hub close, with itself, the ports that were opened for it alone."""
        self._own = opened
        return self

    def comes_from(self, source: Source, read: Callable[[Source], Offer]) -> Self:
        """Remember where the configuration comes from, so that `reload` can read it again.

        Args:
            source: what it was read from.
            read: reads it, or another.
        """
        self._origin = Origin(source, read)
        return self

    def asks(self, tenants: Any, read: ReadTenant, *, every: float | timedelta = 5.0) -> Self:
        """Have the accounts of tenants looked up, and looked at again while they are used.

        Args:
            tenants: knows them: a port of the hub's colour, as `Tenants` says.
            read: makes accounts and routes of a tenant's tables, with the accounts of everybody.
            every: seconds for which what was looked up is believed.

        Raises:
            ConfigurationError: `tenants` is no such port.
        """
        verbs = tenant_verbs(tenants, awaited=self._classes.name != "")

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

    def _read_anew(self, source: Source | Offer | None) -> Reloaded:
        """Read the configuration, and have calls that begin from now on go by it."""
        with self._reloading:
            origin = self._origin
            if isinstance(source, Offer):
                offer = source
            elif origin is None:
                raise ConfigurationError(
                    "this hub was made of values, and of no configuration that could be read.",
                    path="configuration",
                    remedy="Open it with moorage.open, or give `reload` an Offer of other values.",
                )
            else:
                origin = origin if source is None else Origin(source, origin.read)
                offer = origin.read(origin.source)
            dispatcher = self._runtime.dispatcher(offer, self._live.dispatcher)
            changes = self._offer.changes(offer)
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
    def _core(self) -> Core:
        core: Core = self.manager.flows.core
        return core

    @property
    def unsettled(self) -> UnsettledFlows:
        """The register of payments whose outcome is not known, for an outbox."""
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
        """A verifier of what this account's vendor sends us.

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
        return WebhookVerifier(name=account, **{**account_options, **options})

    def events(self, account: str, webhook: WebhookEvent) -> tuple[Any, ...]:
        """What a verified webhook means, as events of the contracts."""
        configured = self.account(account)
        return configured.vendor.events(webhook, partial(_ref, configured))


def _step(function: Callable[[], Any], _: Core) -> AttemptStep:
    return step_sync(function)


def _ref(account: Account, id: str, /, **related: str | None) -> Ref:
    nonempty = {name: value for name, value in related.items() if value}
    return Ref(account.vendor.name, account.name, id, nonempty)


@careful
class Hub(_Hub):
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
        ports: what `ConnectorManager` takes besides, such as `state` and `http`.

    Attributes:
        manager: calls every service, those of the accounts included.
    """

    _classes = HubClasses(
        ConnectorManager,
        _step,
        "",
        OAuthTokenRefresher,
        AccountTokens,
        "http",
    )
    manager: ConnectorManager

    def email(self, tenant: str | None = None, *, subject: str | None = None) -> Email:
        """Mail, of this tenant; `subject` says whose data they are about."""
        return Email(self._live.about(subject), tenant)

    def payments(self, tenant: str | None = None, *, subject: str | None = None) -> Payments:
        """Payments, of this tenant; `subject` says whose data they are about."""
        return Payments(self._live.about(subject), tenant)

    def sms(self, tenant: str | None = None, *, subject: str | None = None) -> Sms:
        """Text messages, of this tenant; `subject` says whose data they are about."""
        return Sms(self._live.about(subject), tenant)

    def storage(self, tenant: str | None = None, *, subject: str | None = None) -> Storage:
        """Files, of this tenant; `subject` says whose data they are about."""
        return Storage(self._live.about(subject), tenant)

    def shipping(self, tenant: str | None = None, *, subject: str | None = None) -> Shipping:
        """Shipments, of this tenant; `subject` says whose data they are about."""
        return Shipping(self._live.about(subject), tenant)

    @documented_by(UnsettledFlows.unsettled)
    def unsettled_payments(self) -> list[UnsettledPayment]:  # noqa: D102 - the flow's
        return run_now(self.unsettled.unsettled())

    @documented_by(UnsettledFlows.settle)
    def settle_payments(self, *, limit: int = 100) -> list[SettledPayment]:  # noqa: D102 - the flow's
        return run_now(self.unsettled.settle(limit=limit))

    @documented_by(UnsettledFlows.close)
    def close_payment(  # noqa: D102 - the flow's
        self,
        idempotency_key: str,
        *,
        done: bool,
        receipt: Payment | Capture | Refund | Void | Ref | str | None = None,
        tenant: str | None = None,
    ) -> UnsettledPayment:
        closing = self.unsettled.close(idempotency_key, done=done, receipt=receipt, tenant=tenant)
        return run_now(closing)

    @refusing
    def reload(self, source: Source | Offer | None = None) -> Reloaded:
        """Read the configuration again, and have every call that begins from now on go by it.

        Calls under way end as they began, and faces that were taken before go by the new one. The
        ports stay, and with them what circuits, limits, budgets, keys, caches, tokens and
        connections know; so do accounts and services as long as they keep their names.

        Args:
            source: another file or mapping to read, now and from now on; or what a hub is made of
                as values.

        Returns:
            What is another, which observers are told as well.

        Raises:
            ConfigurationError: it is wrong, or this hub was not opened from one; nothing changed.
        """
        reloaded = self._read_anew(source)
        self._core.tell(reloaded)
        return reloaded

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
        """Look up what a tenant has, so that `account`, `webhooks` and `events` know its accounts.

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
        """What reads the configuration anew when its file says something else.

        Nothing happens on its own: call its `look` where it suits you, or enter it, and a thread
        of its own does so until you leave. A file that is wrong changes nothing: observers
        are told `ReloadFailed`, and it is looked at again when it has changed.

        Args:
            every: seconds between two looks while it is entered; None looks only at signals.
            signals: what makes it read the file while it is entered, changed or not.

        Raises:
            ConfigurationError: this hub was not opened from a file; or, when it is entered, a
                signal cannot be listened for, as in any thread but the main one.
        """
        return Watch(self._origin, self.reload, self._failed, every, signals)

    def _known_account(self, name: str) -> Account | None:
        return super()._known_account(name) or run_now(self._live.find_account(name))

    def close(self) -> None:
        """Give back the connections that were opened here."""
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
class AsyncHub(_Hub):
    """The contracts over configured accounts; awaited, and otherwise as `Hub`.

    Safe to share between tasks.

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
        ports: what `AsyncConnectorManager` takes besides, such as `state` and `http`.

    Attributes:
        manager: calls every service, those of the accounts included.
    """

    _classes = HubClasses(
        AsyncConnectorManager,
        step_async,
        "Async",
        AsyncOAuthTokenRefresher,
        AsyncAccountTokens,
        "async_http",
    )
    manager: AsyncConnectorManager

    def email(self, tenant: str | None = None, *, subject: str | None = None) -> AsyncEmail:
        """Mail, of this tenant; `subject` says whose data they are about."""
        return AsyncEmail(self._live.about(subject), tenant)

    def payments(self, tenant: str | None = None, *, subject: str | None = None) -> AsyncPayments:
        """Payments, of this tenant; `subject` says whose data they are about."""
        return AsyncPayments(self._live.about(subject), tenant)

    def sms(self, tenant: str | None = None, *, subject: str | None = None) -> AsyncSms:
        """Text messages, of this tenant; `subject` says whose data they are about."""
        return AsyncSms(self._live.about(subject), tenant)

    def storage(self, tenant: str | None = None, *, subject: str | None = None) -> AsyncStorage:
        """Files, of this tenant; `subject` says whose data they are about."""
        return AsyncStorage(self._live.about(subject), tenant)

    def shipping(self, tenant: str | None = None, *, subject: str | None = None) -> AsyncShipping:
        """Shipments, of this tenant; `subject` says whose data they are about."""
        return AsyncShipping(self._live.about(subject), tenant)

    @documented_by(UnsettledFlows.unsettled)
    async def unsettled_payments(self) -> list[UnsettledPayment]:  # noqa: D102 - the flow's
        return await self.unsettled.unsettled()

    @documented_by(UnsettledFlows.settle)
    async def settle_payments(self, *, limit: int = 100) -> list[SettledPayment]:  # noqa: D102 - the flow's
        return await self.unsettled.settle(limit=limit)

    @documented_by(UnsettledFlows.close)
    async def close_payment(  # noqa: D102 - the flow's
        self,
        idempotency_key: str,
        *,
        done: bool,
        receipt: Payment | Capture | Refund | Void | Ref | str | None = None,
        tenant: str | None = None,
    ) -> UnsettledPayment:
        closing = self.unsettled.close(idempotency_key, done=done, receipt=receipt, tenant=tenant)
        return await closing

    @refusing
    async def reload(self, source: Source | Offer | None = None) -> Reloaded:
        """Read the configuration again, and have every call that begins from now on go by it.

        Calls under way end as they began, and faces that were taken before go by the new one. The
        ports stay, and with them what circuits, limits, budgets, keys, caches, tokens and
        connections know; so do accounts and services as long as they keep their names.

        Args:
            source: another file or mapping to read, now and from now on; or what a hub is made of
                as values.

        Returns:
            What is another, which observers are told as well.

        Raises:
            ConfigurationError: it is wrong, or this hub was not opened from one; nothing changed.
        """
        reloaded = await beside(partial(self._read_anew, source))
        self._core.tell(reloaded)
        return reloaded

    async def find_account(self, name: str) -> Account | None:
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
        return await self._live.find_account(name)

    async def look_up(self, tenant: str) -> None:
        """Look up what a tenant has, so that `account`, `webhooks` and `events` know its accounts.

        Operations do so by themselves. Without tenants that are looked up there is nothing to do.

        Args:
            tenant: its name.

        Raises:
            ConfigurationError: nobody knows it, or what it has is wrong.
            StorageUnavailable: it cannot be told just now, and never was.
        """
        await self._live.dispatcher_of(tenant)

    def watch(
        self, every: float | timedelta | None = 1.0, *, signals: Iterable[Signals] = ()
    ) -> AsyncWatch:
        """What reads the configuration anew when its file says something else.

        Nothing happens on its own: call its `look` where it suits you, or enter it, and a task
        of its own does so until you leave. A file that is wrong changes nothing: observers
        are told `ReloadFailed`, and it is looked at again when it has changed.

        Args:
            every: seconds between two looks while it is entered; None looks only at signals.
            signals: what makes it read the file while it is entered, changed or not.

        Raises:
            ConfigurationError: this hub was not opened from a file; or, when it is entered, a
                signal cannot be listened for, as in any thread but the main one.
        """
        return AsyncWatch(self._origin, self.reload, self._failed, every, signals)

    async def close(self) -> None:
        """Give back the connections that were opened here."""
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
