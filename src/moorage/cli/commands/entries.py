"""`moorage outbox` and `moorage inbox`: process, list, replay and cancel entries."""

from __future__ import annotations

import asyncio
import os
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Final

import attrs
from cyclopts import Parameter

from moorage.cli.answer import CommandResult, Table
from moorage.cli.context import Context
from moorage.cli.exit_codes import code_of, error_as_dict
from moorage.cli.numbers import Count, Wait
from moorage.cli.places import import_from_working_folder, opened_hub
from moorage.config.importing import import_object
from moorage.domain.entries.chains import predecessor_ids
from moorage.domain.values.text import with_article
from moorage.errors import ConfigurationError, ConnectorError, InvalidData
from moorage.hub.inbox import (
    AsyncWebhookInbox,
    EntryQuery,
    EntryState,
    HandledWebhooks,
    WebhookInbox,
)
from moorage.hub.outbox import DeliveredCalls, Outbox
from moorage.hub.worker import at_times, awork, stopping, work
from moorage.wiring.store_urls import open_inbox, open_outbox

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence, Sized

    from moorage.contracts.payments import SettledPayment
    from moorage.domain.entries.inbox import InboxEntry
    from moorage.domain.entries.pauses import Pause
    from moorage.domain.entries.queue import Entry, EntryPage
    from moorage.errors import StorageUnavailable
    from moorage.hub.hub import Hub
    from moorage.ports.audit import AuditTrail

_SETTLE_INTERVAL: Final = 60.0
"""Seconds between two runs of settling payments."""
_SETTLE_BATCH: Final = 10
_COUNTS: Final = ("done", "later", "dead", "unknown")
_RUNNING: Final = "The worker is running. Press Ctrl-C or send SIGTERM to stop it."
_COLUMNS: Final = ("id", "target", "operation", "tenant", "state", "attempts", "due", "error")

_OUTBOX_VARIABLE: Final = "MOORAGE_OUTBOX"
_INBOX_VARIABLE: Final = "MOORAGE_INBOX"

OutboxUrl = Annotated[str | None, Parameter("--store", env_var=_OUTBOX_VARIABLE, show_env_var=True)]
InboxUrl = Annotated[str | None, Parameter("--store", env_var=_INBOX_VARIABLE, show_env_var=True)]


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class OutboxPlace:
    """Command-line options that name an outbox's store.

    Attributes:
        store: the URL of the outbox: sqlite:///file.db, postgresql://…, mariadb://… or mysql://….
        app: an Outbox of your program instead of a URL, such as shop.app:outbox.
    """

    store: OutboxUrl = None
    app: str | None = None


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class InboxPlace:
    """Command-line options that name an inbox's store.

    Attributes:
        store: the URL of the inbox: sqlite:///file.db, postgresql://…, mariadb://… or mysql://….
        app: a WebhookInbox or AsyncWebhookInbox of your program instead of a URL, such as
            shop.app:inbox.
    """

    store: InboxUrl = None
    app: str | None = None


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class Selection:
    """Command-line options that select a page of entries.

    Attributes:
        state: list only entries in this state.
        stuck: list only entries that need a person.
        tenant: list only entries of this tenant.
        limit: the maximum number of entries.
        after: the `next` value of the previous page.
    """

    state: EntryState | None = None
    stuck: bool = False
    tenant: str | None = None
    limit: Count = 50
    after: str | None = None


_OUTBOX: Final = OutboxPlace()
_INBOX: Final = InboxPlace()
_DEFAULT_SELECTION: Final = Selection()


def run_outbox(
    *,
    place: OutboxPlace = _OUTBOX,
    once: bool = False,
    pause: Wait = 1.0,
    limit: Count = 100,
    at_once: Count = 1,
    context: Context,
) -> CommandResult:
    """Make the calls that are due, until SIGTERM or Ctrl-C.

    At the start and then once a minute, it also settles payments with an unknown outcome and their
    calls, like `payments settle`; the counts include them as `settled`.

    Args:
        place: the outbox.
        once: make at most `limit` due calls, then end.
        pause: seconds to wait when nothing is due.
        limit: the maximum number of calls per batch.
        at_once: the number of concurrent calls; calls with the same order are made one by one.
        context: the options that all commands share.
    """
    with opened_hub(context) as hub, opened_outbox(context, place) as (outbox, wait_for_entry):
        return _process(
            lambda stop: outbox.deliver(hub, limit=limit, stop=stop, at_once=at_once),
            context,
            pause,
            once=once,
            idle=wait_for_entry,
            settle=at_times(lambda: hub.settle_payments(limit=_SETTLE_BATCH), _SETTLE_INTERVAL),
        )


def run_inbox(
    *,
    app: str | None = None,
    once: bool = False,
    pause: Wait = 1.0,
    limit: Count = 100,
    context: Context,
) -> CommandResult:
    """Handle the webhooks that are due, until SIGTERM or Ctrl-C.

    Args:
        app: the WebhookInbox or AsyncWebhookInbox of your program with your handlers, such as
            shop.app:inbox.
        once: handle at most `limit` due webhooks, then end.
        pause: seconds to wait when nothing is due.
        limit: the maximum number of webhooks per batch.
        context: the options that all commands share.
    """
    inbox = _app_object(context, app, WebhookInbox, AsyncWebhookInbox)
    if inbox is None:
        raise ConfigurationError(
            "No handlers are given for the webhooks, so the webhooks would be lost.",
            path="--app",
            remedy="Pass the WebhookInbox of your program that has the handlers, such as"
            " --app shop.app:inbox.",
        )
    if isinstance(inbox, AsyncWebhookInbox):
        return asyncio.run(_handle_in_loop(inbox, context, pause, limit, once=once))
    return _process(lambda stop: inbox.handle(limit=limit, stop=stop), context, pause, once=once)


def list_outbox(
    *,
    place: OutboxPlace = _OUTBOX,
    selection: Selection = _DEFAULT_SELECTION,
    context: Context,
) -> CommandResult:
    """List the outbox's calls, newest first, without their contents.

    Args:
        place: the outbox.
        selection: the entries of the page.
        context: the options that all commands share.
    """
    with opened_outbox(context, place) as (outbox, _):
        return _list_entries(outbox, selection)


def list_inbox(
    *,
    place: InboxPlace = _INBOX,
    selection: Selection = _DEFAULT_SELECTION,
    context: Context,
) -> CommandResult:
    """List received webhooks, newest first, without their contents.

    Args:
        place: the inbox.
        selection: the entries of the page.
        context: the options that all commands share.
    """
    with managed_inbox(context, place) as inbox:
        return _list_entries(inbox, selection)


def replay_outbox(*ids: str, place: OutboxPlace = _OUTBOX, context: Context) -> CommandResult:
    """Queue calls again, whatever their state, with as many attempts as new calls get.

    Args:
        ids: the ids of the calls.
        place: the outbox.
        context: the options that all commands share.
    """
    with opened_outbox(context, place) as (outbox, _):
        return _change_entries(outbox, outbox.replay, ids)


def replay_inbox(*ids: str, place: InboxPlace = _INBOX, context: Context) -> CommandResult:
    """Queue webhooks again, whatever their state, with as many attempts as new webhooks get.

    Args:
        ids: the ids of the webhooks.
        place: the inbox.
        context: the options that all commands share.
    """
    with managed_inbox(context, place) as inbox:
        return _change_entries(inbox, inbox.replay, ids)


def drop_outbox(*ids: str, place: OutboxPlace = _OUTBOX, context: Context) -> CommandResult:
    """Cancel calls, so that they are not made or not retried.

    Args:
        ids: the ids of the calls.
        place: the outbox.
        context: the options that all commands share.
    """
    with opened_outbox(context, place) as (outbox, _):
        return _change_entries(outbox, outbox.drop, ids)


def drop_inbox(*ids: str, place: InboxPlace = _INBOX, context: Context) -> CommandResult:
    """Cancel webhooks, so that they are not handled or not retried.

    Args:
        ids: the ids of the webhooks.
        place: the inbox.
        context: the options that all commands share.
    """
    with managed_inbox(context, place) as inbox:
        return _change_entries(inbox, inbox.drop, ids)


# --- opening inbox and outbox -----------------------------------------------------------


@contextmanager
def opened_outbox(
    context: Context, place: OutboxPlace, *, audit: AuditTrail | None = None
) -> Generator[tuple[Outbox, Callable[[float], object] | None]]:
    """Yield an outbox, and a function that waits for its next call, if its store has one.

    Args:
        context: the global options.
        place: the place of the outbox.
        audit: the trail that records manual replays and cancellations; by default the configured
            one.
    """
    uses_app = _uses_app(place, _OUTBOX_VARIABLE)
    outbox = _app_object(context, place.app, Outbox) if uses_app else None
    with ExitStack() as stack:
        trail = stack.enter_context(context.audit_trail()) if audit is None else audit
        if outbox is not None:
            yield outbox.with_audit(trail), None
            return
        storage = stack.enter_context(_open_store(open_outbox, place.store))
        yield Outbox(storage, cipher=context.cipher(), audit=trail), getattr(storage, "wait", None)


@contextmanager
def opened_inbox(
    context: Context, place: InboxPlace, *, hub: Hub | None = None
) -> Generator[WebhookInbox]:
    """Yield an inbox.

    Args:
        context: the global options.
        place: the place of the inbox.
        hub: the hub of its webhooks; by default the configured hub is opened.
    """
    uses_app = _uses_app(place, _INBOX_VARIABLE)
    inbox = _app_object(context, place.app, WebhookInbox) if uses_app else None
    if inbox is not None:
        yield inbox
        return
    with ExitStack() as stack:
        storage = stack.enter_context(_open_store(open_inbox, place.store))
        hub = stack.enter_context(opened_hub(context)) if hub is None else hub
        yield WebhookInbox(hub, storage, cipher=context.cipher())


class InboxInLoop:
    """An asynchronous inbox whose entries a synchronous program lists and changes.

    Args:
        inbox: the inbox.
        runner: the event loop in which the inbox is used.
    """

    def __init__(self, inbox: AsyncWebhookInbox, runner: asyncio.Runner) -> None:
        self._inbox = inbox
        self._runner = runner

    def find(self, query: EntryQuery) -> EntryPage[InboxEntry]:
        """Return a page of the webhooks that match a query."""
        return self._runner.run(self._inbox.find(query))

    def stuck(self, *, limit: int, after: str | None) -> EntryPage[InboxEntry]:
        """Return a page of the webhooks that need a person."""
        return self._runner.run(self._inbox.stuck(limit=limit, after=after))

    def replay(self, id: str) -> InboxEntry:
        """Queue a webhook again."""
        return self._runner.run(self._inbox.replay(id))

    def drop(self, id: str) -> InboxEntry:
        """Cancel a webhook."""
        return self._runner.run(self._inbox.drop(id))

    def pauses(self) -> Sequence[Pause]:
        """Return all pauses."""
        return self._runner.run(self._inbox.pauses())

    def pause(self, target: str | None, **options: Any) -> Pause:
        """Stop all workers from handling some webhooks."""
        return self._runner.run(self._inbox.pause(target, **options))

    def resume(self, target: str | None, **options: Any) -> bool:
        """End a pause, and return whether there was one."""
        return self._runner.run(self._inbox.resume(target, **options))


@contextmanager
def managed_inbox(context: Context, place: InboxPlace) -> Generator[WebhookInbox | InboxInLoop]:
    """Yield an inbox whose webhooks a command lists or changes; it may be asynchronous.

    Args:
        context: the global options.
        place: the place of the inbox.
    """
    uses_app = _uses_app(place, _INBOX_VARIABLE)
    inbox = _app_object(context, place.app, WebhookInbox, AsyncWebhookInbox) if uses_app else None
    if inbox is None:
        with opened_inbox(context, place) as opened:
            yield opened
    elif isinstance(inbox, AsyncWebhookInbox):
        with asyncio.Runner() as runner:
            yield InboxInLoop(inbox, runner)
    else:
        yield inbox


@contextmanager
def _open_store(opens: Callable[[str], Any], url: str | None) -> Generator[Any]:
    if url is None or url == "memory:":
        raise ConfigurationError(
            "The command needs a store that other processes share.",
            path="--store",
            remedy="Pass its URL, or an object of your program with --app MODULE:NAME.",
        )
    with opens(url) as storage:
        yield storage


def _uses_app(place: OutboxPlace | InboxPlace, variable: str) -> bool:
    """Return whether a command uses the store of an application instead of a store's URL.

    --app has precedence over the environment variable with the URL.

    Raises:
        ConfigurationError: both options are passed.
    """
    if place.app is None or place.store is None:
        return place.store is None
    if place.store == os.environ.get(variable):
        return True
    raise ConfigurationError(
        "--store and --app cannot be combined.", path="--store", remedy="Pass only one of them."
    )


def _app_object(context: Context, app: str | None, *kinds: type[Any]) -> Any:
    """Return the object that --app names, or else the host's object; None if there is neither."""
    if app is None:
        return host_object(context, *kinds)
    import_from_working_folder()
    target = import_object(app, "--app", "Pass a module and a name in it, such as shop.app:outbox")
    if not isinstance(target, kinds):
        names = " or ".join(with_article(kind.__name__) for kind in kinds)
        raise ConfigurationError(
            f"The object {app!r} is {with_article(type(target).__name__)}, but this command needs"
            f" {names}.",
            path="--app",
            remedy=f"Name {names}.",
        )
    return target


def host_object(context: Context, *kinds: type[Any]) -> Any:
    """Return the host program's store of one of these classes, if it has one."""
    return next(
        (store for store in context.host_stores().values() if isinstance(store, kinds)), None
    )


# --- processing, listing and changing entries -------------------------------------------


def _process(
    process_batch: Callable[[Any], Any],
    context: Context,
    pause: float,
    *,
    once: bool,
    idle: Callable[[float], object] | None = None,
    settle: Callable[[], Sequence[SettledPayment]] | None = None,
) -> CommandResult:
    """Settle payments and process entries; return the counts of both."""
    outcomes = _Outcomes(context, settles=settle is not None)
    with stopping() as stop:
        steps: list[Callable[[], Sized]] = [] if settle is None else [settle]
        steps.append(lambda: process_batch(stop))
        if once:
            for step in steps:
                outcomes.count(step())
        else:
            context.print_progress(_RUNNING)
            work(
                *steps,
                stop=stop,
                pause=pause,
                on_result=outcomes.count,
                on_outage=outcomes.report_outage,
                idle=idle,
            )
    return outcomes.result()


async def _handle_in_loop(
    inbox: AsyncWebhookInbox, context: Context, pause: float, limit: int, *, once: bool
) -> CommandResult:
    """Handle webhooks in this event loop; return the counts."""
    outcomes = _Outcomes(context, settles=False)
    with stopping() as stop:
        if once:
            outcomes.count(await inbox.handle(limit=limit, stop=stop))
        else:
            context.print_progress(_RUNNING)
            await awork(
                lambda: inbox.handle(limit=limit, stop=stop),
                stop=stop,
                pause=pause,
                on_result=outcomes.count,
                on_outage=outcomes.report_outage,
            )
    return outcomes.result()


class _Outcomes:
    """The counts of a worker, and its messages about outages.

    Args:
        context: the options that all commands share.
        settles: whether the worker also settles payments.
    """

    def __init__(self, context: Context, *, settles: bool) -> None:
        self._context = context
        self._counts: dict[str, int] = dict.fromkeys(_COUNTS, 0)
        if settles:
            self._counts["settled"] = 0

    def count(self, outcome: Sized) -> None:
        """Add the results of one step."""
        if not isinstance(outcome, (HandledWebhooks, DeliveredCalls)):
            self._counts["settled"] += len(outcome)
            return
        for name in _COUNTS:
            self._counts[name] += getattr(outcome, name)

    def report_outage(self, error: StorageUnavailable) -> None:
        """Print that the worker waits for its store."""
        self._context.print_progress(f"Waiting: {error}")

    def result(self) -> CommandResult:
        """Return the counts as the command's result."""
        text = ", ".join(f"{count} {name}" for name, count in self._counts.items())
        return CommandResult(self._counts, [text])


def _list_entries(box: Any, selection: Selection) -> CommandResult:
    state, tenant = selection.state, selection.tenant
    if selection.stuck and (state or tenant):
        raise ConfigurationError(
            "--stuck cannot be combined with --state or --tenant.",
            path="--stuck",
            remedy="Remove one of the options.",
        )
    page: EntryPage[Any]
    limit, cursor = selection.limit, selection.after
    if selection.stuck:
        page = box.stuck(limit=limit, after=cursor)
    else:
        states = None if state is None else (state,)
        page = box.find(EntryQuery(states=states, tenant=tenant, limit=limit, after=cursor))
    pauses = box.pauses()
    entries = [
        {**_entry_row(entry), "paused": any(pause.covers(entry) for pause in pauses)}
        for entry in page.items
    ]
    columns = (*_COLUMNS, "after") if any(row["after"] for row in entries) else _COLUMNS
    lines: list[str | Table] = [Table(columns, [_cells(row, columns) for row in entries])]
    if page.next is not None:
        lines.append(f"More with --after {page.next}.")
    return CommandResult({"entries": entries, "next": page.next}, lines if entries else ["nothing"])


def _entry_row(entry: Entry) -> dict[str, Any]:
    fields = {name: getattr(entry, name) for name in _COLUMNS}
    due_at = None if entry.due is None else entry.due.isoformat(timespec="seconds")
    return {
        **fields,
        "state": entry.state.value,
        "due": due_at,
        "after": list(predecessor_ids(entry)),
    }


def _cells(row: dict[str, Any], columns: Sequence[str]) -> list[Any]:
    """Return the table cells of an entry; the state shows if it is paused."""
    shows_pause = row["paused"] and row["state"] == EntryState.WAITING.value
    state = f"{row['state']}, paused" if shows_pause else row["state"]
    cells = {**row, "state": state, "after": ", ".join(row["after"])}
    return [cells[name] for name in columns]


def _change_entries(
    box: Outbox | WebhookInbox | InboxInLoop, change: Callable[[str], Entry], ids: tuple[str, ...]
) -> CommandResult:
    """Change entries one after another, and return those that were changed.

    Raises:
        InvalidData: no entry has one of the ids; no entry was changed.
    """
    if not ids:
        raise ConfigurationError(
            "The ids of the entries are missing.",
            path="ids",
            remedy="Pass the ids that `list` shows.",
        )
    for entry_id in ids:
        if not box.find(EntryQuery(id=entry_id, limit=1)).items:
            raise InvalidData(
                f"No entry has the id {entry_id[:80]!r}, so no entry was changed.",
                field="id",
                remedy="Pass ids that `list` shows.",
            )
    entries: list[dict[str, Any]] = []
    lines: list[str] = []
    try:
        for entry_id in ids:
            row = _entry_row(change(entry_id))
            entries.append(row)
            lines.append(f"{row['id']} is {row['state']}")
    except ConnectorError as error:
        if not entries:
            raise
        return CommandResult(
            {"entries": entries, "error": error_as_dict(error)},
            [*lines, f"moorage: {error}"],
            code_of(error),
        )
    return CommandResult({"entries": entries}, lines)
