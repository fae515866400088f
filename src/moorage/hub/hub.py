"""Synchronous and asynchronous hubs: all configured vendors, behind common contracts."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Self

from moorage.domain.secrets.frames import with_careful_constructor, without_arguments_in_errors
from moorage.hub.closing import close_all_async, close_all_sync
from moorage.hub.contract_methods import AsyncContractMethods, ContractMethods
from moorage.hub.hub_base import HubBase
from moorage.hub.hub_runtime import HubClasses
from moorage.hub.manager import AsyncConnectorManager, ConnectorManager
from moorage.runtime.flows import documented_by, run_now, step_async, step_sync
from moorage.runtime.signatures import with_arguments_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import timedelta
    from signal import Signals
    from types import TracebackType

    from moorage.contracts.hub_configuration import HubConfiguration
    from moorage.contracts.payments import SettledPayment, UnsettledPayment
    from moorage.contracts.payments.unsettled import Receipt
    from moorage.contracts.ref import Ref
    from moorage.contracts.routes import Account
    from moorage.domain.observation.events import Reloaded
    from moorage.hub.connectors_async import AsyncConnectors
    from moorage.hub.connectors_sync import Connectors
    from moorage.hub.origin import Source
    from moorage.hub.reloading import AsyncConfigurationWatch, ConfigurationWatch
    from moorage.hub.step_manager_async import AsyncStepManager
    from moorage.hub.step_manager_sync import StepManager
    from moorage.services.calling.attempts import AttemptStep
    from moorage.services.core.core import Core


def _step(function: Callable[[], Any], _: Core) -> AttemptStep:
    return step_sync(function)


@with_careful_constructor
class Hub(ContractMethods, HubBase):
    """The operations of all contracts, performed at the configured accounts.

    Safe to share between threads.

    Args:
        accounts: the accounts at vendors.
        routes: the accounts to which each contract's operations go; a contract without a route
            uses the only account that offers it.
        services: further services, which are called through `manager`.
        safety: the limits on effects at vendors; no limits by default.
        transports: by account name, the transport of a vendor that does not speak HTTP; the
            embedded ones by default.
        tokens: the credential provider that stores the access tokens of accounts with OAuth; by
            default the memory of this process.
        environment_id: the name of the environment that must own the store, or else nothing is
            sent; "" for an environment without a name. By default the owner is not checked.
        ports: further arguments of the manager, such as `state` and `http`.

    Attributes:
        manager: calls every service, including those of the accounts.
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
        """Return the connectors to systems that are not HTTP APIs, by name."""
        with self._creating:
            if self._connectors is None:
                from moorage.hub.connectors_sync import Connectors  # noqa: PLC0415 - few programs need them

                self._connectors = Connectors(self.manager)
            connectors: Connectors = self._connectors
        return connectors

    @property
    def steps(self) -> StepManager:
        """Return the manager of steps, which are commands that run elsewhere."""
        with self._creating:
            if self._steps is None:
                from moorage.hub.step_files_sync import StorageFiles  # noqa: PLC0415 - few programs need it
                from moorage.hub.step_manager_sync import StepManager  # noqa: PLC0415 - few programs need it

                self._steps = StepManager(self.manager, files=StorageFiles(self.storage))
            steps: StepManager = self._steps
        return steps

    def unsettled_payments(self) -> list[UnsettledPayment]:
        """List the operations of all tenants that move money and have an unknown outcome.

        The list is in the store, so it is the same in every process. It also contains operations in
        progress, with the seconds for which they may still go on.

        Returns:
            The operations, oldest first.
        """
        return run_now(self.unsettled.unsettled())

    def settle_payments(self, *, limit: int = 100) -> list[SettledPayment]:
        """Settle up to `limit` operations of unknown outcome by asking their vendors, oldest first.

        Depending on the vendor, an operation is looked up under its key, sent again under its key,
        or searched for by its reference. An operation whose outcome stays unknown is looked up
        again after growing pauses. Several processes may do this concurrently. An operation that
        was never sent is not sent now either.

        Args:
            limit: the maximum number of operations to look up.

        Returns:
            The settled operations; empty if there was nothing to do.
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
        """Ask the vendor about one payment operation now; settle it if the outcome is known.

        This settles one operation as `settle_payments` does, without waiting for the pause between
        two look-ups.

        Args:
            idempotency_key: the key of the operation.
            tenant: the tenant of the payment.
            actor: the person who does it, for the audit trail; by default the system's user.
            reason: the reason for the audit trail.

        Returns:
            The settled operation, or None if the vendor could not tell the outcome.

        Raises:
            InvalidData: no such operation is unsettled, or its vendor cannot be asked about it.
            IdempotencyInProgress: the caller of the operation may still be working on it.
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
        receipt: Receipt | Ref | str | None = None,
        tenant: str | None = None,
        keys_lost: bool = False,
        actor: str | None = None,
        reason: str = "",
    ) -> UnsettledPayment:
        """Close a payment operation whose outcome you have looked up at the vendor.

        Args:
            idempotency_key: the idempotency key of the operation.
            done: whether the vendor carried it out. If not, the key may be used for a new request;
                that is refused while the first request may still be under way.
            receipt: the result that repeats of the key will get: the receipt itself, or the
                reference or the vendor's id of the payment or refund. Without it, the payment is
                searched for at the vendor by your reference.
            tenant: the tenant of the payment.
            keys_lost: True if the encryption keys of the stored request or answer are lost for
                ever. The payment is then closed without its encrypted amount, reference and
                answer. A reason is required, and a receipt too if the operation was carried out.
                For a capture or a void, an id is taken as the id of the payment.
            actor: the person who does it, for the audit trail; by default the system's user.
            reason: the reason for the audit trail.

        Returns:
            The operation that was closed.

        Raises:
            InvalidData: no such operation is unsettled, the receipt belongs to another operation,
                the stored answer of the vendor contradicts `done`, or the keys are not lost.
            ConfigurationError: the stored request is encrypted with keys that are not configured.
            IdempotencyInProgress: the request may still be under way.
        """
        closing = self.unsettled.close(
            idempotency_key,
            done=done,
            receipt=receipt,
            tenant=tenant,
            keys_lost=keys_lost,
            actor=actor,
            reason=reason,
        )
        return run_now(closing)

    @without_arguments_in_errors
    def reload(
        self,
        source: Source | HubConfiguration | None = None,
        *,
        actor: str | None = None,
        reason: str = "",
    ) -> Reloaded:
        """Read the configuration again, and use it for all calls that begin from now on.

        Calls in progress end with the old configuration. Objects obtained before, such as
        `payments()`, use the new one. The ports stay, and with them the state of circuits, limits,
        budgets, keys, caches, tokens and connections. Accounts and services keep their state as
        long as they keep their names.

        Args:
            source: another file or mapping to read, now and at later reloads; or the parts of a
                hub as values.
            actor: the person who does it, for the audit trail; by default the system's user.
            reason: the reason for the audit trail.

        Returns:
            The event that lists the changes; observers receive it as well.

        Raises:
            ConfigurationError: the configuration is wrong, or this hub was not opened from one;
                nothing changed.
        """
        reload_event = self._read_configuration_again(source, actor, reason)
        self._core.notify(reload_event)
        return reload_event

    def find_account(self, name: str) -> Account | None:
        """Return the current account of this name; None if there is no such account.

        If the account belongs to a tenant that is looked up, such as `acme.stripe` of `acme`, the
        tenant is looked up first if necessary. Use this method where webhooks arrive: afterwards
        `account`, `webhooks` and `events` know the account.

        Args:
            name: the name of the account.

        Raises:
            ConfigurationError: the configuration of the account's tenant is wrong.
            StorageUnavailable: the configuration of the tenant cannot be read, and was never read
                before.
        """
        return run_now(self._live.find_account(name))

    def look_up(self, tenant: str) -> None:
        """Look up a tenant's accounts, so that `account`, `webhooks` and `events` can use them.

        Operations look up their tenant themselves. In a hub without tenant look-up, this does
        nothing.

        Args:
            tenant: the name of the tenant.

        Raises:
            ConfigurationError: the tenant is unknown, or its configuration is wrong.
            StorageUnavailable: the configuration of the tenant cannot be read, and was never read
                before.
        """
        run_now(self._live.dispatcher_of(tenant))

    def watch(
        self, every: float | timedelta | None = 1.0, *, signals: Iterable[Signals] = ()
    ) -> ConfigurationWatch:
        """Return an object that reloads the configuration when its file changes.

        Call its method `check` yourself, or use it as a context manager: then a thread (in an
        asynchronous hub, a task) calls `check` until the block ends. A file with a mistake changes
        nothing: observers receive `ReloadFailed`, and the file is read again after its next change.
        If a reload failed for another reason, such as a secret that cannot be read yet or an
        unavailable store of the audit trail, the file is read again at the next check.

        Args:
            every: seconds between two looks at the file within the block; None to react to signals
                only.
            signals: signals that make it read the file within the block, changed or not.

        Raises:
            ConfigurationError: this hub was not opened from a file; or, at the beginning of the
                block, a signal cannot be received, for example outside of the main thread.
        """
        from moorage.hub.reloading import ConfigurationWatch  # noqa: PLC0415 - loads asyncio

        return ConfigurationWatch(
            lambda: self._origin, self.reload, self._tell_failed_reload, every, signals
        )

    def _known_account(self, name: str) -> Account | None:
        return super()._known_account(name) or run_now(self._live.find_account(name))

    def close(self) -> None:
        """Close the connections that the hub opened itself.

        All are closed, even if closing one of them fails; then the first error is raised.
        """
        close_all_sync(
            [resource.close for resource in self._resources() if hasattr(resource, "close")]
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


@with_careful_constructor
@with_arguments_of(Hub)
class AsyncHub(AsyncContractMethods, HubBase):
    """The asynchronous `Hub`, with the same methods.

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
        """Return the connectors to systems that are not HTTP APIs, by name."""
        with self._creating:
            if self._connectors is None:
                from moorage.hub.connectors_async import AsyncConnectors  # noqa: PLC0415 - few programs need them

                self._connectors = AsyncConnectors(self.manager)
            connectors: AsyncConnectors = self._connectors
        return connectors

    @property
    def steps(self) -> AsyncStepManager:
        """Return the manager of steps, which are commands that run elsewhere."""
        with self._creating:
            if self._steps is None:
                from moorage.hub.step_files_async import AsyncStorageFiles  # noqa: PLC0415 - few programs need it
                from moorage.hub.step_manager_async import AsyncStepManager  # noqa: PLC0415 - few programs need it

                self._steps = AsyncStepManager(self.manager, files=AsyncStorageFiles(self.storage))
            steps: AsyncStepManager = self._steps
        return steps

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
        receipt: Receipt | Ref | str | None = None,
        tenant: str | None = None,
        keys_lost: bool = False,
        actor: str | None = None,
        reason: str = "",
    ) -> UnsettledPayment:
        closing = self.unsettled.close(
            idempotency_key,
            done=done,
            receipt=receipt,
            tenant=tenant,
            keys_lost=keys_lost,
            actor=actor,
            reason=reason,
        )
        return await closing

    @documented_by(Hub.reload)
    @without_arguments_in_errors
    async def reload(  # noqa: D102 - documented by its twin
        self,
        source: Source | HubConfiguration | None = None,
        *,
        actor: str | None = None,
        reason: str = "",
    ) -> Reloaded:
        from moorage.hub.reloading import run_to_end  # noqa: PLC0415 - loads asyncio

        read_anew = partial(self._read_configuration_again, source, actor, reason)
        return await run_to_end(read_anew, self._core.notify)

    @documented_by(Hub.find_account)
    async def find_account(self, name: str) -> Account | None:  # noqa: D102 - documented by its twin
        return await self._live.find_account(name)

    @documented_by(Hub.look_up)
    async def look_up(self, tenant: str) -> None:  # noqa: D102 - documented by its twin
        await self._live.dispatcher_of(tenant)

    @documented_by(Hub.watch)
    def watch(  # noqa: D102 - documented by its twin
        self, every: float | timedelta | None = 1.0, *, signals: Iterable[Signals] = ()
    ) -> AsyncConfigurationWatch:
        from moorage.hub.reloading import AsyncConfigurationWatch  # noqa: PLC0415 - loads asyncio

        return AsyncConfigurationWatch(
            lambda: self._origin, self.reload, self._tell_failed_reload, every, signals
        )

    async def close(self) -> None:
        """Close the connections that the hub opened itself.

        All are closed, even if closing one of them fails; then the first error is raised.
        """
        closers = [
            getattr(resource, "aclose", None) or getattr(resource, "close", None)
            for resource in self._resources()
        ]
        await close_all_async([close for close in closers if close is not None])

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
