"""Finds, exports and erases the stored data about a person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moorage.domain.entries.queue import EntryQuery
from moorage.domain.observation.integration_log import LogQuery
from moorage.domain.secrets.frames import with_careful_constructor
from moorage.domain.values.functions import check_store_kind
from moorage.runtime.flows import as_async, async_method, blocking_method
from moorage.services.subjects import (
    ErasedSubject,
    SubjectCredentialStore,
    SubjectData,
    SubjectsFlows,
    SubjectStore,
    fields_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.domain.entries.inbox import InboxEntry
    from moorage.domain.entries.outbox import OutboxEntry
    from moorage.hub.inbox import AsyncWebhookInbox, WebhookInbox
    from moorage.hub.outbox import AsyncOutbox, Outbox
    from moorage.ports.integration_log import AsyncIntegrationLogger, IntegrationLogger

__all__ = ["AsyncSubjects", "ErasedSubject", "SubjectData", "Subjects"]


@with_careful_constructor
class Subjects:
    """Finds, exports and erases the data stored about a person.

    It finds calls, webhooks and entries with this person as their `subject`. Answers that are
    stored for idempotency keys are encrypted, and expire by themselves.

    Args:
        log: the integration log.
        inbox: the inbox of webhooks.
        outbox: the outbox of stored calls.
        credentials: a store of credentials with the methods `owners` and `delete`; the credentials
            of a tenant are erased with the tenant's data.
    """

    def __init__(
        self,
        *,
        log: IntegrationLogger | None = None,
        inbox: WebhookInbox | None = None,
        outbox: Outbox | None = None,
        credentials: Any = None,
    ) -> None:
        self._flows = _flows(log, inbox, outbox, credentials, as_async)

    find = blocking_method(SubjectsFlows.find)
    export = blocking_method(SubjectsFlows.export)
    erase = blocking_method(SubjectsFlows.erase)


@with_careful_constructor
class AsyncSubjects:
    """The asynchronous `Subjects`.

    Args:
        log: the integration log.
        inbox: the inbox of webhooks.
        outbox: the outbox of stored calls.
        credentials: a store of credentials with the methods `owners` and `delete`; the credentials
            of a tenant are erased with the tenant's data.
    """

    def __init__(
        self,
        *,
        log: AsyncIntegrationLogger | None = None,
        inbox: AsyncWebhookInbox | None = None,
        outbox: AsyncOutbox | None = None,
        credentials: Any = None,
    ) -> None:
        for store, path, example in (
            (log, "log", "an asynchronous integration log"),
            (inbox, "inbox", "an AsyncWebhookInbox"),
            (outbox, "outbox", "an AsyncOutbox"),
        ):
            if store is not None:
                check_store_kind(store, path, verb="find", example=example)
        self._flows = _flows(log, inbox, outbox, credentials, _same_function)

    find = async_method(SubjectsFlows.find)
    export = async_method(SubjectsFlows.export)
    erase = async_method(SubjectsFlows.erase)


def _same_function(verb: Callable[..., Any]) -> Callable[..., Any]:
    return verb


def _flows(
    log: Any,
    inbox: Any,
    outbox: Any,
    credentials: Any,
    wrap: Callable[[Any], Callable[..., Any]],
) -> SubjectsFlows:
    def webhook_fields(entry: InboxEntry) -> dict[str, Any]:
        webhooks = inbox.webhooks(entry)
        return {**fields_of(entry), "said": [webhook.payload for webhook in webhooks]}

    def call_fields(entry: OutboxEntry) -> dict[str, Any]:
        values, options = outbox.arguments_of(entry)
        return {**fields_of(entry), "values": values, "options": options}

    def searchable_store(
        store: Any, query: Any, fields_of_entry: Callable[[Any], dict[str, Any]]
    ) -> SubjectStore:
        find_entries, remove_entries = wrap(store.find), wrap(store.remove)
        return SubjectStore(
            find=find_entries, remove=remove_entries, query=query, shown=fields_of_entry
        )

    stores = {
        "log": None if log is None else searchable_store(log, LogQuery, fields_of),
        "inbox": None if inbox is None else searchable_store(inbox, EntryQuery, webhook_fields),
        "outbox": None if outbox is None else searchable_store(outbox, EntryQuery, call_fields),
    }
    credential_store = None
    if credentials is not None:
        credential_store = SubjectCredentialStore(
            owners=wrap(credentials.owners), delete=wrap(credentials.delete)
        )
    return SubjectsFlows(
        {name: entry_store for name, entry_store in stores.items() if entry_store is not None},
        credential_store,
    )
