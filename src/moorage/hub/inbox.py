"""The webhook inbox, which stores webhooks first and runs their handlers later."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs

from moorage.contracts.catalog import CONTRACTS, contract
from moorage.domain.entries.inbox import InboxEntry
from moorage.domain.entries.queue import EntryPage, EntryQuery, EntryState
from moorage.domain.entries.renewal import entry_lease
from moorage.domain.resilience.retry import RetryPolicy
from moorage.domain.values.uncopyable import Uncopyable
from moorage.domain.webhooks.events import WebhookEvent
from moorage.errors import ConfigurationError
from moorage.hub.internals import core_of
from moorage.runtime.flows import as_async, async_method, blocking_method
from moorage.runtime.signatures import with_arguments_of
from moorage.services.entries.inbox import HandledWebhooks, InboxFlows, Senders
from moorage.services.entries.processing import ProcessedEntry
from moorage.wiring.entry_stores import async_entry_store, sync_entry_store
from moorage.wiring.entry_tracing import HostTracing
from moorage.wiring.renewing import entry_renewals

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from moorage.domain.webhooks.replies import WebhookReply
    from moorage.hub.hub import AsyncHub, Hub
    from moorage.parts.webhook_verifier import WebhookVerifier
    from moorage.ports.cipher import Cipher
    from moorage.ports.entry_tracing import EntryTracing
    from moorage.ports.inbox import AsyncInboxStorage, InboxStorage
    from moorage.services.core.core import Core

__all__ = [
    "AsyncWebhookInbox",
    "EntryPage",
    "EntryQuery",
    "EntryState",
    "HandledWebhooks",
    "InboxEntry",
    "ProcessedEntry",
    "WebhookInbox",
]

F = TypeVar("F", bound="Callable[[Any, InboxEntry], Any]")

_RETRY: Final = RetryPolicy(max_attempts=12, base_delay=5.0, max_delay=3_600.0)


class _Verifiers:
    """The webhook verifiers of accounts; a changed account gets a new verifier."""

    def __init__(self, hub: Hub | AsyncHub) -> None:
        self._hub = hub
        self._cached: dict[str, tuple[object, WebhookVerifier]] = {}

    def senders(self, **flows: Callable[..., Any]) -> Senders:
        """Return the functions that verify webhooks for the accounts of the hub."""
        return Senders(
            **flows,
            owner=partial(_owner, self._hub),
            meaning=self._hub.events,
            accepted=lambda account: self.of(account).accepted,
            only_hints=lambda account: self.of(account).only_hints,
        )

    def of(self, account: str) -> WebhookVerifier:
        """Return an account's webhook verifier; the inbox itself detects repeated webhooks."""
        configured_account = self._hub.account(account)
        cache_entry = self._cached.get(account)
        if cache_entry is None or cache_entry[0] is not configured_account:
            cache_entry = configured_account, self._hub.webhooks(account, replay_guard=False)
            self._cached[account] = cache_entry
        return cache_entry[1]

    def verify(self, account: str, delivery: dict[str, Any]) -> tuple[WebhookEvent, ...]:
        """Verify a webhook that was delivered to an account, and return its events."""
        return self.of(account).verify(**delivery)

    async def averify(self, account: str, delivery: dict[str, Any]) -> tuple[WebhookEvent, ...]:
        """Verify a webhook that was delivered to an account; asynchronous."""
        return await self.of(account).averify(**delivery)

    def confirm(self, account: str, event: WebhookEvent) -> bool:
        """Confirm a webhook subscription with the vendor of an account."""
        return self.of(account).confirm(event)

    async def aconfirm(self, account: str, event: WebhookEvent) -> bool:
        """Confirm a webhook subscription with the vendor of an account; asynchronous."""
        return await self.of(account).aconfirm(event)


class _Inbox(Uncopyable):
    """The code that the synchronous and the asynchronous inbox share; no method blocks."""

    _flows: InboxFlows

    def on(self, kind: type | str) -> Callable[[F], F]:
        """Register a handler: a function that receives a webhook's event and its entry.

        Args:
            kind: the events to handle: the name of a contract, such as "payments", or a class of
                its events; "webhook" for each webhook as the vendor sent it.
        """
        events = _events()
        event_class = events.get(kind) if isinstance(kind, str) else kind
        if event_class is None:
            raise ConfigurationError(
                f"{kind!r} is not a kind of event.",
                path="kind",
                remedy=f"Use one of: {', '.join(events)}.",
            )

        def register(handler: F) -> F:
            self._flows.handlers.append((event_class, handler))
            return handler

        return register

    def reply(self, entry: InboxEntry) -> WebhookReply:
        """Return the HTTP reply to the sender of a webhook that `receive` returned."""
        return self._flows.reply(entry)

    def webhooks(self, entry: InboxEntry) -> tuple[WebhookEvent, ...]:
        """Return the verified events of a stored webhook."""
        return self._flows.webhooks(entry)


class WebhookInbox(_Inbox):
    """Stores each webhook before any handler runs, and runs its handlers until they succeed.

    Handlers run at least once for each webhook. Webhooks about the same object, such as one
    payment, are handled in the order of their arrival.

    Args:
        hub: the hub with the accounts whose vendors send webhooks.
        storage: the store of the webhooks.
        retry: the maximum number of tries of a webhook, and the delays between them.
        lease: seconds after which others may take the webhook of a worker that died or hangs:
            by default 1.5, and 10 in a SQLite file. A living worker renews its lease for as long
            as its handlers run.
        cipher: encrypts the stored webhooks; by default the hub's cipher.
        subject: a function that returns the id of the person that an event is about, if known.
        tracing: makes spans of the webhooks; by default OpenTelemetry, if the program uses it.
    """

    def __init__(
        self,
        hub: Hub,
        storage: InboxStorage,
        *,
        retry: RetryPolicy = _RETRY,
        lease: float | timedelta | None = None,
        cipher: Cipher | None = None,
        subject: Callable[[Any], str | None] | None = None,
        tracing: EntryTracing | None = None,
    ) -> None:
        verifiers = _Verifiers(hub)
        core, store = _core(hub, cipher), sync_entry_store(storage)
        self._flows = InboxFlows(
            core,
            store,
            retry=retry,
            lease=entry_lease(lease),
            renewals=entry_renewals(core, storage, store, is_async=False),
            tracing=tracing or HostTracing(),
            senders=verifiers.senders(
                look_up=as_async(hub.find_account),
                verify=as_async(verifiers.verify),
                confirm=as_async(verifiers.confirm),
            ),
            subject=subject,
        )

    receive = blocking_method(InboxFlows.receive)
    answer = blocking_method(InboxFlows.answer)
    handle = blocking_method(InboxFlows.handle)
    stuck = blocking_method(InboxFlows.stuck)
    backlog = blocking_method(InboxFlows.backlog)
    find = blocking_method(InboxFlows.find)
    replay = blocking_method(InboxFlows.replay)
    drop = blocking_method(InboxFlows.drop)
    forget = blocking_method(InboxFlows.forget)
    remove = blocking_method(InboxFlows.remove)
    pause = blocking_method(InboxFlows.pause)
    resume = blocking_method(InboxFlows.resume)
    pauses = blocking_method(InboxFlows.pauses)


@with_arguments_of(WebhookInbox)
class AsyncWebhookInbox(_Inbox):
    """The asynchronous `WebhookInbox`; its handlers may be asynchronous."""

    def __init__(
        self,
        hub: AsyncHub,
        storage: AsyncInboxStorage,
        *,
        retry: RetryPolicy = _RETRY,
        lease: float | timedelta | None = None,
        cipher: Cipher | None = None,
        subject: Callable[[Any], str | None] | None = None,
        tracing: EntryTracing | None = None,
    ) -> None:
        verifiers = _Verifiers(hub)

        core, store = _core(hub, cipher), async_entry_store(storage)
        self._flows = InboxFlows(
            core,
            store,
            retry=retry,
            lease=entry_lease(lease),
            renewals=entry_renewals(core, storage, store, is_async=True),
            tracing=tracing or HostTracing(),
            senders=verifiers.senders(
                look_up=hub.find_account,
                verify=verifiers.averify,
                confirm=verifiers.aconfirm,
            ),
            subject=subject,
        )

    receive = async_method(InboxFlows.receive)
    answer = async_method(InboxFlows.answer)
    handle = async_method(InboxFlows.handle)
    stuck = async_method(InboxFlows.stuck)
    backlog = async_method(InboxFlows.backlog)
    find = async_method(InboxFlows.find)
    replay = async_method(InboxFlows.replay)
    drop = async_method(InboxFlows.drop)
    forget = async_method(InboxFlows.forget)
    remove = async_method(InboxFlows.remove)
    pause = async_method(InboxFlows.pause)
    resume = async_method(InboxFlows.resume)
    pauses = async_method(InboxFlows.pauses)


def _events() -> dict[str, type]:
    """Return the class of events that each kind of inbox handler receives."""
    contract_events = ((kind, contract(kind).event) for kind in sorted(CONTRACTS))
    return {kind: event for kind, event in contract_events if event} | {"webhook": WebhookEvent}


def _owner(hub: Hub | AsyncHub, name: str, tenant: str | None) -> str | None:
    """Return the tenant to which a webhook of this account belongs."""
    account = hub.account(name)
    if tenant is None and account.tenants is not None and len(account.tenants) == 1:
        return next(iter(account.tenants))
    if tenant is not None and not account.open_to(tenant):
        raise ConfigurationError(
            f"The account {name!r} may not be used by {tenant}.",
            path=f"vendors.{name}.tenants",
            remedy="Add the tenant to this account's `tenants`, or give each tenant the URL of"
            " its own account.",
        )
    return tenant


def _core(hub: Hub | AsyncHub, cipher: Cipher | None) -> Core:
    core = core_of(hub.manager)
    return core if cipher is None else attrs.evolve(core, cipher=cipher)
