"""Webhooks that are written down first and handled later, plain and awaited."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs

from moorage.contracts.email_outcomes import EmailEvent
from moorage.contracts.payments.events import PaymentEvent
from moorage.contracts.shipping.tracking import ShippingEvent
from moorage.contracts.sms import SmsEvent
from moorage.domain.entries.inbox import InboxEntry
from moorage.domain.entries.queue import EntryPage, EntryQuery, EntryState
from moorage.domain.entries.renewal import entry_lease
from moorage.domain.resilience.retry import RetryPolicy
from moorage.domain.webhooks.events import WebhookEvent
from moorage.errors import ConfigurationError
from moorage.runtime.bridge import awaited, blocking, lift
from moorage.services.entries.inbox import Handled, InboxFlows, Senders
from moorage.services.entries.processing import Worked
from moorage.wiring.entry_stores import async_entry_store, sync_entry_store
from moorage.wiring.renewing import entry_renewals

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from moorage.domain.webhooks.replies import WebhookReply
    from moorage.hub.hub import AsyncHub, Hub
    from moorage.parts.webhook_verifier import WebhookVerifier
    from moorage.ports.cipher import Cipher
    from moorage.ports.inbox import AsyncInboxStorage, InboxStorage
    from moorage.services.core.core import Core

__all__ = [
    "AsyncWebhookInbox",
    "EntryPage",
    "EntryQuery",
    "EntryState",
    "Handled",
    "InboxEntry",
    "WebhookInbox",
    "Worked",
]

F = TypeVar("F", bound="Callable[[Any, InboxEntry], Any]")

_KINDS: Final[dict[str, type]] = {
    "email": EmailEvent,
    "payments": PaymentEvent,
    "shipping": ShippingEvent,
    "sms": SmsEvent,
    "webhook": WebhookEvent,
}
_RETRY: Final = RetryPolicy(max_attempts=12, base_delay=5.0, max_delay=3_600.0)


class _Verifiers:
    """A verifier for each account, made anew when the account is another."""

    def __init__(self, hub: Hub | AsyncHub) -> None:
        self._hub = hub
        self._cached: dict[str, tuple[object, WebhookVerifier]] = {}

    def of(self, account: str) -> WebhookVerifier:
        """The verifier of an account; the store of the inbox guards against repeats."""
        configured = self._hub.account(account)
        cached = self._cached.get(account)
        if cached is None or cached[0] is not configured:
            cached = configured, self._hub.webhooks(account, replay_guard=False)
            self._cached[account] = cached
        return cached[1]


class _Inbox:
    """What both colours share: handlers, and what was sent."""

    _flows: InboxFlows

    def on(self, kind: type | str) -> Callable[[F], F]:
        """Register a handler: a function of an event and the entry that it came in.

        Args:
            kind: what it handles: "payments", "email", "sms" or "shipping" for the events of a
                contract, or their class; "webhook" for each webhook as the vendor sent it.
        """
        event_class = _KINDS.get(kind) if isinstance(kind, str) else kind
        if event_class is None:
            raise ConfigurationError(
                f"There are no events of the kind {kind!r}.",
                path="kind",
                remedy=f"Use one of: {', '.join(_KINDS)}.",
            )

        def register(handler: F) -> F:
            self._flows.handlers.append((event_class, handler))
            return handler

        return register

    def reply(self, entry: InboxEntry) -> WebhookReply:
        """What to answer the sender of a webhook that `receive` returned."""
        return self._flows.reply(entry)

    def webhooks(self, entry: InboxEntry) -> tuple[WebhookEvent, ...]:
        """What was sent in this delivery, as it was verified."""
        return self._flows.webhooks(entry)


class WebhookInbox(_Inbox):
    """Writes each webhook down before anything is done with it, and handles it until it is done.

    Handlers run at least once for each webhook. Those about one thing, such as one payment, are
    handled in the order in which they came.

    Args:
        hub: has the accounts whose vendors send webhooks.
        storage: where they are written down.
        retry: how often and at what pace a webhook is handled before it is given up.
        lease: seconds for which a worker that died or stands still keeps a webhook from others: by
            default 1.5. A living worker renews it, however long it takes.
        cipher: seals what is written down; by default as the hub seals answers.
        subject: whose data an event of a contract is about, if that can be told.
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
    ) -> None:
        verifiers = _Verifiers(hub)
        core, store = _core(hub, cipher), sync_entry_store(storage)
        self._flows = InboxFlows(
            core,
            store,
            retry=retry,
            lease=entry_lease(lease),
            renewals=entry_renewals(core, storage, store, awaited=False),
            senders=Senders(
                look_up=lift(hub.find_account),
                owner=partial(_owner, hub),
                verify=lift(lambda account, delivery: verifiers.of(account).verify(**delivery)),
                confirm=lift(lambda account, event: verifiers.of(account).confirm(event)),
                meaning=hub.events,
                accepted=lambda account: verifiers.of(account).accepted,
            ),
            subject=subject,
        )

    receive = blocking(InboxFlows.receive)
    answer = blocking(InboxFlows.answer)
    handle = blocking(InboxFlows.handle)
    stuck = blocking(InboxFlows.stuck)
    find = blocking(InboxFlows.find)
    replay = blocking(InboxFlows.replay)
    drop = blocking(InboxFlows.drop)
    forget = blocking(InboxFlows.forget)
    remove = blocking(InboxFlows.remove)


class AsyncWebhookInbox(_Inbox):
    """As `WebhookInbox`, awaited; handlers may be asynchronous.

    Args:
        hub: has the accounts whose vendors send webhooks.
        storage: where they are written down.
        retry: how often and at what pace a webhook is handled before it is given up.
        lease: seconds for which a worker that died or stands still keeps a webhook from others: by
            default 1.5. A living worker renews it, however long it takes.
        cipher: seals what is written down; by default as the hub seals answers.
        subject: whose data an event of a contract is about, if that can be told.
    """

    def __init__(
        self,
        hub: AsyncHub,
        storage: AsyncInboxStorage,
        *,
        retry: RetryPolicy = _RETRY,
        lease: float | timedelta | None = None,
        cipher: Cipher | None = None,
        subject: Callable[[Any], str | None] | None = None,
    ) -> None:
        verifiers = _Verifiers(hub)

        async def verify(account: str, delivery: dict[str, Any]) -> tuple[WebhookEvent, ...]:
            return await verifiers.of(account).averify(**delivery)

        async def confirm(account: str, event: WebhookEvent) -> bool:
            return await verifiers.of(account).aconfirm(event)

        core, store = _core(hub, cipher), async_entry_store(storage)
        self._flows = InboxFlows(
            core,
            store,
            retry=retry,
            lease=entry_lease(lease),
            renewals=entry_renewals(core, storage, store, awaited=True),
            senders=Senders(
                look_up=hub.find_account,
                owner=partial(_owner, hub),
                verify=verify,
                confirm=confirm,
                meaning=hub.events,
                accepted=lambda account: verifiers.of(account).accepted,
            ),
            subject=subject,
        )

    receive = awaited(InboxFlows.receive)
    answer = awaited(InboxFlows.answer)
    handle = awaited(InboxFlows.handle)
    stuck = awaited(InboxFlows.stuck)
    find = awaited(InboxFlows.find)
    replay = awaited(InboxFlows.replay)
    drop = awaited(InboxFlows.drop)
    forget = awaited(InboxFlows.forget)
    remove = awaited(InboxFlows.remove)


def _owner(hub: Hub | AsyncHub, name: str, tenant: str | None) -> str | None:
    """Whose a webhook of this account is."""
    account = hub.account(name)
    if tenant is None and account.tenants is not None and len(account.tenants) == 1:
        return next(iter(account.tenants))
    if tenant is not None and not account.open_to(tenant):
        raise ConfigurationError(
            f"The account {name!r} is not open to {tenant}.",
            path=f"vendors.{name}.tenants",
            remedy="Open it to the tenant, or give each tenant the URL of its own account.",
        )
    return tenant


def _core(hub: Hub | AsyncHub, cipher: Cipher | None) -> Core:
    core = hub.manager.flows.core
    return core if cipher is None else attrs.evolve(core, cipher=cipher)
