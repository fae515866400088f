"""The webhook inbox: a web view stores each webhook, and a worker handles it later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import attrs

from moorage.domain.entries.inbox import InboxEntry, entry_of, pack_events, unpack_events
from moorage.domain.entries.queue import EntryState, ErrorConsequence, is_short, lane_of, with_trace
from moorage.domain.resilience.interruptions import dropped_errors
from moorage.domain.values.text import storable_text
from moorage.domain.webhooks.delivery import trace_of
from moorage.domain.webhooks.replies import WebhookReply, reply_to
from moorage.errors import ConfigurationError, ConnectorError
from moorage.services.entries.claiming import EntryClaims
from moorage.services.entries.processing import Round

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence
    from datetime import timedelta

    from moorage.domain.resilience.retry import RetryPolicy
    from moorage.domain.webhooks.delivery import HeaderFields
    from moorage.domain.webhooks.events import WebhookEvent
    from moorage.ports.entry_tracing import EntryTracing
    from moorage.services.core.core import Core, Flow
    from moorage.services.core.renewal import EntryRenewals
    from moorage.services.entries.processing import StopSignal
    from moorage.services.entries.store import EntryStore

Handler: TypeAlias = "Callable[[Any, InboxEntry], Any]"
Verify: TypeAlias = "Callable[[str, dict[str, Any]], Flow[tuple[WebhookEvent, ...]]]"


@attrs.frozen(kw_only=True)
class HandledWebhooks(Round[InboxEntry]):
    """The results of handling several webhooks from the inbox."""


def retry_always(_: Exception) -> ErrorConsequence:
    """Return the decision to retry, for every error of a webhook handler."""
    return ErrorConsequence.AGAIN


@attrs.frozen(kw_only=True)
class Senders:
    """Functions that verify webhooks for the accounts of a hub.

    Attributes:
        look_up: loads the account of this name if its tenant's configuration is looked up.
        owner: returns the tenant of an account's webhooks, if one is configured or only one is
            possible.
        verify: returns the events of a genuine and fresh delivery to an account.
        confirm: requests the link that confirms a subscription.
        meaning: converts a webhook to events of the contracts.
        accepted: returns the text that an account's vendor expects in the response.
        only_hints: returns whether an account's vendor sends the same webhook for each change of an
            object, so that no delivery is a repeat.
    """

    look_up: Callable[[str], Awaitable[object]]
    owner: Callable[[str, str | None], str | None]
    verify: Verify
    confirm: Callable[[str, WebhookEvent], Awaitable[bool]]
    meaning: Callable[[str, WebhookEvent], tuple[Any, ...]]
    accepted: Callable[[str], str]
    only_hints: Callable[[str], bool]


class InboxFlows(EntryClaims[InboxEntry]):
    """The operations of an inbox.

    Args:
        core: clock, randomness, and the cipher of contents.
        store: the store.
        retry: maximum number of attempts for a webhook, and the delays between them.
        lease: seconds that a worker keeps a webhook without renewing it; None for the minimum.
        renewals: renews the webhooks that are being handled.
        tracing: makes spans of webhooks that are stored and handled.
        senders: the accounts.
        subject: returns the id of the person that an event is about, if the host knows it.
    """

    _kind = InboxEntry

    def __init__(
        self,
        core: Core,
        store: EntryStore[InboxEntry],
        *,
        retry: RetryPolicy,
        lease: float | None,
        renewals: EntryRenewals,
        tracing: EntryTracing,
        senders: Senders,
        subject: Callable[[Any], str | None] | None,
    ) -> None:
        super().__init__(
            core,
            store,
            name="inbox",
            retry=retry,
            lease=lease,
            renewals=renewals,
            tracing=tracing,
            judge=retry_always,
        )
        self._senders = senders
        self._subject = subject or _no_subject
        self.handlers: list[tuple[type, Handler]] = []

    async def receive(
        self,
        account: str,
        *,
        headers: HeaderFields,
        body: bytes,
        url: str | None = None,
        method: str = "POST",
        tenant: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> InboxEntry:
        """Verify and store a webhook; return its entry, or the existing entry of a repeat.

        When this method has returned, send the result of `reply` to the sender. A delivery that
        only tests the endpoint, such as a challenge or an empty batch, is not stored.

        Args:
            account: account of the vendor that sent it.
            headers: all headers, as a mapping or as pairs; repeated headers must be preserved.
            body: raw bytes, not parsed and encoded again.
            url: URL that the webhook was sent to; some signature schemes cover it.
            method: HTTP method of the webhook's request.
            tenant: tenant of the webhook; by default the account's, if it has only one.
            timeout: maximum seconds for the store; by default the store's own limit.

        Raises:
            WebhookRejected: the webhook is not genuine, or not fresh.
            ConfigurationError: this tenant has no such account, or the account has no webhook
                secret.
            StorageUnavailable: the webhook could not be stored, or the accounts of its tenant could
                not be looked up; the vendor should send it again.
        """
        await self._senders.look_up(account)
        tenant = self._senders.owner(account, tenant)
        delivery = {"headers": headers, "body": body, "url": url, "method": method}
        events = await self._senders.verify(account, delivery)
        lane, subject = self._lane_and_subject(account, events)
        entry = entry_of(
            account,
            events,
            tenant=tenant,
            subject=subject,
            lane=lane,
            now=self.core.utc(),
            delivery=self.core.new_id() if self._senders.only_hints(account) else None,
        )
        reply = events[0].reply if events else None
        if reply is not None or not events:
            return attrs.evolve(entry, reply=reply, state=EntryState.DONE, due=None)
        store = self._with_time_limit(timeout).store
        closed_entry = self.closed(entry, pack_events(events))
        with self._tracing.sending(self._name, entry, trace_of(headers)) as trace:
            stored_entry = await store.add(with_trace(closed_entry, trace))
        answer = events[0].answer
        return stored_entry if answer is None else attrs.evolve(stored_entry, reply=answer)

    async def answer(
        self,
        account: str,
        *,
        headers: HeaderFields,
        body: bytes,
        url: str | None = None,
        method: str = "POST",
        tenant: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> WebhookReply:
        """Receive a webhook in a web view, and return an HTTP response, even after an error."""
        try:
            entry = await self.receive(
                account,
                headers=headers,
                body=body,
                url=url,
                method=method,
                tenant=tenant,
                timeout=timeout,
            )
        except ConnectorError as error:
            return reply_to(error)
        return self.reply(entry)

    def reply(self, entry: InboxEntry) -> WebhookReply:
        """Return the HTTP response to the sender of a stored webhook."""
        return entry.reply or WebhookReply.text(self._senders.accepted(entry.account))

    async def handle(
        self,
        *,
        limit: int = 100,
        ids: Iterable[str] | None = None,
        stop: StopSignal | None = None,
        timeout: float | timedelta | None = None,
    ) -> HandledWebhooks:
        """Handle up to `limit` due webhooks, one after another.

        Each webhook goes to every handler of its kind, and is done when all have returned. If one
        raises, all are called again later; if the process dies, after the lease has expired. The
        lease is renewed while the handlers run, so no other worker takes the webhook.

        Args:
            limit: maximum number of webhooks.
            ids: handle only due webhooks with these ids, without waiting for other webhooks.
            stop: event; once it is set, no other webhook is started.
            timeout: seconds after which no other webhook is started, and waiting for the store
                ends.

        Raises:
            ConfigurationError: no handlers are registered.
        """
        if not self.handlers:
            raise ConfigurationError(
                "This inbox has no handlers, so it would mark all webhooks as done although"
                " nothing was done.",
                path="handlers",
                remedy="Register handlers with `on`, and import the module that registers them.",
            )
        flows = self._with_time_limit(timeout)
        results = await flows.process_due_entries(
            self._call_handlers, limit, self.core.utc, ids, stop
        )
        return HandledWebhooks(worked=tuple(results))

    async def _call_handlers(self, entry: InboxEntry) -> None:
        for webhook in await self.confirmed(entry):
            for event in (webhook, *self._senders.meaning(entry.account, webhook)):
                for kind, handler in self.handlers:
                    if isinstance(event, kind):
                        await self.core.settle(handler(event, entry))

    async def confirmed(self, entry: InboxEntry) -> tuple[WebhookEvent, ...]:
        """Return the events of an entry, after confirming the subscriptions that they announce."""
        await self._senders.look_up(entry.account)
        webhooks = self.webhooks(entry)
        for webhook in webhooks:
            if webhook.confirm is not None:
                await self._senders.confirm(entry.account, webhook)
        return webhooks

    def webhooks(self, entry: InboxEntry) -> tuple[WebhookEvent, ...]:
        """Return the events of an entry, as they were verified on arrival."""
        return unpack_events(self.open_content(entry), entry.tenant)

    def _lane_and_subject(
        self, account: str, events: Sequence[WebhookEvent]
    ) -> tuple[str | None, str | None]:
        """Return the ordered group (lane) of a webhook, and the person concerned, if known.

        A delivery is stored in any case, even if its content cannot be understood.
        """
        lane = subject = None
        with dropped_errors():
            domain_events = [
                domain_event
                for event in events
                for domain_event in self._senders.meaning(account, event)
            ]
            ids = {domain_event.ref.id for domain_event in domain_events}
            lane = lane_of(account, *ids, digest=_digest) if len(ids) == 1 else None
            subjects = {self._subject(domain_event) for domain_event in domain_events}
            only_subject = subjects.pop() if len(subjects) == 1 else None
            subject = (
                only_subject
                if is_short(only_subject) and storable_text(only_subject) == only_subject
                else None
            )
        return lane, subject


def _no_subject(_: object) -> None:
    """Return None, because by default no event is linked to a person."""


def _digest(name: bytes) -> str:
    from hashlib import sha256  # noqa: PLC0415 - loads OpenSSL

    return sha256(name).hexdigest()
