"""Receiving webhooks in two steps: write them down, and handle them whenever that succeeds."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs

from moorage.domain.entries import EntryState, Fate, is_short, lane_of
from moorage.domain.inbox import InboxEntry, entry_of, pack_events, unpack_events
from moorage.domain.text import storable
from moorage.domain.webhooks.replies import WebhookReply, reply_to
from moorage.errors import ConfigurationError, ConnectorError
from moorage.services.entries import Keeping, Round

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from moorage.domain.retry import RetryPolicy
    from moorage.domain.webhooks.delivery import HeaderFields
    from moorage.domain.webhooks.events import WebhookEvent
    from moorage.services.core import Core, Flow
    from moorage.services.entries import Shelf
    from moorage.services.renewal import EntryRenewals

Handler: TypeAlias = "Callable[[Any, InboxEntry], Any]"
Verify: TypeAlias = "Callable[[str, dict[str, Any]], Flow[tuple[WebhookEvent, ...]]]"


@attrs.frozen(kw_only=True)
class Handled(Round[InboxEntry]):
    """What became of the webhooks that were taken."""


def again(_: Exception) -> Fate:
    """What is to become of a webhook whose handler failed: it is the host's own code."""
    return Fate.AGAIN


@attrs.frozen(kw_only=True)
class Senders:
    """What is asked about the accounts whose vendors send webhooks.

    Attributes:
        owner: whose an account's webhooks are, if somebody was named, or only one can be.
        verify: the events of a delivery to an account that is genuine and fresh.
        confirm: follows the link of a subscription's confirmation.
        meaning: what a webhook of an account means, as events of the contracts.
        accepted: the text that an account's vendor wants to be answered with.
    """

    owner: Callable[[str, str | None], str | None]
    verify: Verify
    confirm: Callable[[str, WebhookEvent], Awaitable[bool]]
    meaning: Callable[[str, WebhookEvent], tuple[Any, ...]]
    accepted: Callable[[str], str]


class InboxFlows(Keeping[InboxEntry]):
    """The verbs of an inbox.

    Args:
        core: the clock and chance, and the cipher that seals contents.
        shelf: the store.
        retry: how often and at what pace a webhook is handled.
        lease: seconds for which a worker has a webhook without renewing it; None for the shortest.
        renewals: renews the webhooks that are being worked on.
        senders: the accounts.
        subject: whose data an event of a contract is about, if the host can say.
    """

    def __init__(
        self,
        core: Core,
        shelf: Shelf[InboxEntry],
        *,
        retry: RetryPolicy,
        lease: float | None,
        renewals: EntryRenewals,
        senders: Senders,
        subject: Callable[[Any], str | None] | None,
    ) -> None:
        super().__init__(
            core,
            shelf,
            name="inbox",
            retry=retry,
            lease=lease,
            renewals=renewals,
            judge=again,
        )
        self._senders = senders
        self._subject = subject or _nobody
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
    ) -> InboxEntry:
        """Verify a webhook, write it down, and give the entry; of a repeat, the one there is.

        Answer 2xx once this returns, and whatever `reply` says if that is not None: then it was a
        question about the endpoint, and nothing was written down.

        Args:
            account: whose vendor it is from.
            headers: as they came, as a mapping or as pairs; repeated ones must not be lost.
            body: the raw bytes, before anything parsed them.
            url: where it was sent; some schemes sign it.
            method: how it was sent.
            tenant: whose webhook it is; by default of whom the account is, if of one alone.

        Raises:
            WebhookRejected: it is not genuine, or not fresh.
            ConfigurationError: there is no such account for this tenant, or no secret to verify it
                with.
            StorageUnavailable: it could not be written down, and should be sent again.
        """
        tenant = self._senders.owner(account, tenant)
        given = {"headers": headers, "body": body, "url": url, "method": method}
        events = await self._senders.verify(account, given)
        lane, subject = self._known_of(account, events)
        entry = entry_of(
            account,
            events,
            tenant=tenant,
            subject=subject,
            lane=lane,
            now=self.core.utc(),
        )
        if events[0].reply is not None:
            return attrs.evolve(entry, reply=events[0].reply, state=EntryState.DONE, due=None)
        return await self.shelf.add(self.closed(entry, pack_events(events)))

    async def answer(
        self,
        account: str,
        *,
        headers: HeaderFields,
        body: bytes,
        url: str | None = None,
        method: str = "POST",
        tenant: str | None = None,
    ) -> WebhookReply:
        """As `receive`, for a view: gives what to answer, and raises none of our errors."""
        try:
            entry = await self.receive(
                account, headers=headers, body=body, url=url, method=method, tenant=tenant
            )
        except ConnectorError as error:
            return reply_to(error)
        return entry.reply or WebhookReply.text(self._senders.accepted(account))

    async def handle(self, *, limit: int = 100) -> Handled:
        """Handle up to `limit` webhooks that are due, one after another.

        Each is handed to every handler of its kind, and is done when all have returned. If one
        raises, all are called again later; if the process dies, once the lease is over. While the
        handlers run the lease is renewed, so no other worker takes the webhook.
        """
        if not self.handlers:
            raise ConfigurationError(
                "this inbox has no handlers: all webhooks would be done without a trace.",
                path="handlers",
                remedy="Register handlers with `on`, and import where that is done.",
            )
        return Handled(worked=tuple(await self.work_off(self._handled, limit, self.core.utc)))

    async def _handled(self, entry: InboxEntry) -> None:
        for webhook in self.webhooks(entry):
            if webhook.confirm is not None:
                await self._senders.confirm(entry.account, webhook)
            for event in (webhook, *self._senders.meaning(entry.account, webhook)):
                for kind, handler in self.handlers:
                    if isinstance(event, kind):
                        await self.core.settle(handler(event, entry))

    def webhooks(self, entry: InboxEntry) -> tuple[WebhookEvent, ...]:
        """What was sent, as it was verified."""
        return unpack_events(self.opened(entry), entry.tenant)

    def _known_of(
        self, account: str, events: Sequence[WebhookEvent]
    ) -> tuple[str | None, str | None]:
        """The lane and the subject of a delivery, as far as they can be known at once.

        A delivery is written down, whatever stands in it and whatever that makes of it.
        """
        lane = subject = None
        with suppress(Exception):
            meant = [told for one in events for told in self._senders.meaning(account, one)]
            things = {told.ref.id for told in meant}
            lane = lane_of(account, *things, digest=_digest) if len(things) == 1 else None
            subjects = {self._subject(told) for told in meant}
            named = subjects.pop() if len(subjects) == 1 else None
            subject = named if is_short(named) and storable(named) == named else None
        return lane, subject


def _nobody(_: object) -> None:
    """Say of no event whose data it is about."""


def _digest(name: bytes) -> str:
    from hashlib import sha256  # noqa: PLC0415 - loads OpenSSL

    return sha256(name).hexdigest()
