"""`moorage outbox` and `moorage inbox`: process, list, replay and cancel entries."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from cyclopts import Parameter

from moorage.cli.answer import Answer, Table
from moorage.cli.context import Context
from moorage.cli.places import opened_hub
from moorage.domain.state.sealing import KeyRing
from moorage.errors import ConfigurationError
from moorage.hub.inbox import EntryQuery, EntryState, WebhookInbox
from moorage.hub.outbox import Outbox
from moorage.hub.worker import at_times, stopping, work
from moorage.wiring.store_urls import open_inbox, open_outbox

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sized

    from moorage.domain.entries.queue import Entry, EntryPage
    from moorage.errors import StorageUnavailable
    from moorage.ports.cipher import Cipher

_KEYS: Final = "MOORAGE_KEYS"
_SETTLING: Final = 60.0
"""Seconds from one time that payments are settled to the next."""
_SETTLED_AT_ONCE: Final = 10
_COLUMNS: Final = ("id", "target", "operation", "tenant", "state", "attempts", "due", "error")

OutboxUrl = Annotated[str | None, Parameter("--store", env_var="MOORAGE_OUTBOX", show_env_var=True)]
InboxUrl = Annotated[str | None, Parameter("--store", env_var="MOORAGE_INBOX", show_env_var=True)]


def run_outbox(
    *,
    store: OutboxUrl = None,
    app: str | None = None,
    once: bool = False,
    pause: float = 1.0,
    limit: int = 100,
    context: Context,
) -> Answer:
    """Make the calls that are due, until SIGTERM or Ctrl-C.

    Besides, payments whose outcome is not known are settled at times, as `payments settle` does,
    and so are the calls that they belong to.

    Args:
        store: the URL of the outbox: sqlite:///file.db, postgresql://…, mariadb://… or mysql://….
        app: an Outbox of your program instead of a URL, such as shop.app:outbox.
        once: make at most `limit` due calls, then end.
        pause: seconds to wait when nothing is due.
        limit: the maximum number of calls per batch.
        context: the options that all commands share.
    """
    with opened_hub(context) as hub, _outbox(context, store, app) as (outbox, idle):
        settle = at_times(lambda: hub.settle_payments(limit=_SETTLED_AT_ONCE), _SETTLING)

        def step(stop: Any) -> Any:
            settle()
            return outbox.deliver(hub, limit=limit, stop=stop)

        return _worked(step, context, pause, once=once, idle=idle)


def run_inbox(
    *,
    app: str | None = None,
    once: bool = False,
    pause: float = 1.0,
    limit: int = 100,
    context: Context,
) -> Answer:
    """Handle the webhooks that are due, until SIGTERM or Ctrl-C.

    Args:
        app: the WebhookInbox of your program with your handlers, such as shop.app:inbox.
        once: handle at most `limit` due webhooks, then end.
        pause: seconds to wait when nothing is due.
        limit: the maximum number of webhooks per batch.
        context: the options that all commands share.
    """
    if app is None and not _hosted(context, WebhookInbox):
        raise ConfigurationError(
            "no handlers are given, so webhooks would be lost.",
            path="--app",
            remedy="Name your program's WebhookInbox with the handlers, such as shop.app:inbox.",
        )
    with _inbox(context, None, app) as inbox:
        return _worked(lambda stop: inbox.handle(limit=limit, stop=stop), context, pause, once=once)


def list_outbox(
    *,
    store: OutboxUrl = None,
    app: str | None = None,
    state: EntryState | None = None,
    stuck: bool = False,
    tenant: str | None = None,
    limit: int = 50,
    after: str | None = None,
    context: Context,
) -> Answer:
    """List the outbox's calls, newest first, without their contents.

    Args:
        store: the URL of the outbox: sqlite:///file.db, postgresql://…, mariadb://… or mysql://….
        app: an Outbox of your program instead of a URL, such as shop.app:outbox.
        state: list only calls in this state.
        stuck: list only calls that need a person.
        tenant: list only calls of this tenant.
        limit: the maximum number of calls.
        after: the `next` value of the previous page.
        context: the options that all commands share.
    """
    with _outbox(context, store, app) as (outbox, _):
        return _listed(outbox, state, tenant, limit, after, stuck=stuck)


def list_inbox(
    *,
    store: InboxUrl = None,
    app: str | None = None,
    state: EntryState | None = None,
    stuck: bool = False,
    tenant: str | None = None,
    limit: int = 50,
    after: str | None = None,
    context: Context,
) -> Answer:
    """List received webhooks, newest first, without their contents.

    Args:
        store: the URL of the inbox: sqlite:///file.db, postgresql://…, mariadb://… or mysql://….
        app: a WebhookInbox of your program instead of a URL, such as shop.app:inbox.
        state: list only webhooks in this state.
        stuck: list only webhooks that need a person.
        tenant: list only webhooks of this tenant.
        limit: the maximum number of webhooks.
        after: the `next` value of the previous page.
        context: the options that all commands share.
    """
    with _inbox(context, store, app) as inbox:
        return _listed(inbox, state, tenant, limit, after, stuck=stuck)


def replay_outbox(
    *ids: str, store: OutboxUrl = None, app: str | None = None, context: Context
) -> Answer:
    """Make calls again, whatever their state, with a full set of attempts.

    Args:
        ids: the ids of the calls.
        store: the URL of the outbox: sqlite:///file.db, postgresql://…, mariadb://… or mysql://….
        app: an Outbox of your program instead of a URL, such as shop.app:outbox.
        context: the options that all commands share.
    """
    with _outbox(context, store, app) as (outbox, _):
        return _changed(outbox.replay, ids)


def replay_inbox(
    *ids: str, store: InboxUrl = None, app: str | None = None, context: Context
) -> Answer:
    """Handle webhooks again, whatever their state, with a full set of attempts.

    Args:
        ids: the ids of the webhooks.
        store: the URL of the inbox: sqlite:///file.db, postgresql://…, mariadb://… or mysql://….
        app: a WebhookInbox of your program instead of a URL, such as shop.app:inbox.
        context: the options that all commands share.
    """
    with _inbox(context, store, app) as inbox:
        return _changed(inbox.replay, ids)


def drop_outbox(
    *ids: str, store: OutboxUrl = None, app: str | None = None, context: Context
) -> Answer:
    """Cancel calls, so that they are not made or not retried.

    Args:
        ids: the ids of the calls.
        store: the URL of the outbox: sqlite:///file.db, postgresql://…, mariadb://… or mysql://….
        app: an Outbox of your program instead of a URL, such as shop.app:outbox.
        context: the options that all commands share.
    """
    with _outbox(context, store, app) as (outbox, _):
        return _changed(outbox.drop, ids)


def drop_inbox(
    *ids: str, store: InboxUrl = None, app: str | None = None, context: Context
) -> Answer:
    """Cancel webhooks, so that they are not handled or not retried.

    Args:
        ids: the ids of the webhooks.
        store: the URL of the inbox: sqlite:///file.db, postgresql://…, mariadb://… or mysql://….
        app: a WebhookInbox of your program instead of a URL, such as shop.app:inbox.
        context: the options that all commands share.
    """
    with _inbox(context, store, app) as inbox:
        return _changed(inbox.drop, ids)


# --- opening inbox and outbox -----------------------------------------------------------


@contextmanager
def _outbox(
    context: Context, url: str | None, app: str | None
) -> Generator[tuple[Outbox, Callable[[float], object] | None]]:
    """Yield an outbox, and a function that waits for its next call, if its store has one."""
    outbox = _given(context, app, Outbox) if url is None else None
    if outbox is not None:
        yield outbox, None
        return
    with _opened(open_outbox, url) as storage:
        yield Outbox(storage, cipher=_cipher()), getattr(storage, "wait", None)


@contextmanager
def _inbox(context: Context, url: str | None, app: str | None) -> Generator[WebhookInbox]:
    inbox = _given(context, app, WebhookInbox) if url is None else None
    if inbox is not None:
        yield inbox
        return
    with _opened(open_inbox, url) as storage, opened_hub(context) as hub:
        yield WebhookInbox(hub, storage, cipher=_cipher())


@contextmanager
def _opened(opens: Callable[[str], Any], url: str | None) -> Generator[Any]:
    if url is None or url == "memory:":
        raise ConfigurationError(
            "no store is given that other processes share.",
            path="--store",
            remedy="Give its URL, or an object of your program with --app MODULE:NAME.",
        )
    with opens(url) as storage:
        yield storage


def _given(context: Context, app: str | None, kind: type[Any]) -> Any:
    """Return the object that --app names, or that of the host; None if there is neither."""
    if app is None:
        return _hosted(context, kind)
    module, _, name = app.partition(":")
    if "" not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        target: Any = import_module(module)
        for part in name.split("."):
            target = getattr(target, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigurationError(
            f"{app!r} cannot be imported ({error}).",
            path="--app",
            remedy="Give a module and a name in it, such as shop.app:outbox, and start the command"
            " where your program starts.",
        ) from None
    if not isinstance(target, kind):
        raise ConfigurationError(
            f"{app!r} is a {type(target).__name__}, and this command needs a {kind.__name__}.",
            path="--app",
            remedy=f"Name a {kind.__name__}.",
        )
    return target


def _hosted(context: Context, kind: type[Any]) -> Any:
    return next((store for store in context.kept().values() if isinstance(store, kind)), None)


def _cipher() -> Cipher | None:
    if not os.environ.get(_KEYS):
        return None
    from moorage.adapters.ciphers.aes_gcm import AesGcmCipher  # noqa: PLC0415 - loads OpenSSL

    return AesGcmCipher(KeyRing.from_environment(os.environ))


# --- processing, listing and changing entries -------------------------------------------


def _worked(
    step: Callable[[Any], Any],
    context: Context,
    pause: float,
    *,
    once: bool,
    idle: Callable[[float], object] | None = None,
) -> Answer:
    counts: dict[str, int] = dict.fromkeys(("done", "later", "dead", "unknown"), 0)

    def tell(done: Any) -> None:
        for name in counts:
            counts[name] += getattr(done, name)

    def trouble(error: StorageUnavailable) -> None:
        context.tell(f"Waiting: {error}")

    with stopping() as stop:
        if once:
            tell(step(stop))
        else:
            context.tell("Working; SIGTERM or Ctrl-C ends it.")
            steps: list[Callable[[], Sized]] = [lambda: step(stop)]
            work(*steps, stop=stop, pause=pause, tell=tell, trouble=trouble, idle=idle)
    return Answer(counts, [", ".join(f"{count} {name}" for name, count in counts.items())])


def _listed(
    box: Any,
    state: EntryState | None,
    tenant: str | None,
    limit: int,
    after: str | None,
    *,
    stuck: bool,
) -> Answer:
    if stuck and (state or tenant):
        raise ConfigurationError(
            "--stuck cannot be combined with --state or --tenant.",
            path="--stuck",
            remedy="Leave one of them out.",
        )
    page: EntryPage[Any]
    if stuck:
        page = box.stuck(limit=limit, after=after)
    else:
        states = () if state is None else (state,)
        page = box.find(EntryQuery(states=states, tenant=tenant, limit=limit, after=after))
    entries = [_shown(entry) for entry in page.items]
    lines: list[str | Table] = [Table(_COLUMNS, [entry_row.values() for entry_row in entries])]
    if page.next is not None:
        lines.append(f"More with --after {page.next}.")
    return Answer({"entries": entries, "next": page.next}, lines if entries else ["nothing"])


def _shown(entry: Entry) -> dict[str, Any]:
    fields = {name: getattr(entry, name) for name in _COLUMNS}
    due = None if entry.due is None else entry.due.isoformat(timespec="seconds")
    return {**fields, "state": entry.state.value, "due": due}


def _changed(change: Callable[[str], Entry], ids: tuple[str, ...]) -> Answer:
    if not ids:
        raise ConfigurationError(
            "no entry ids are given.", path="ids", remedy="Give the ids that `list` shows."
        )
    entries = [_shown(change(entry_id)) for entry_id in ids]
    lines = [f"{entry_id['id']} is {entry_id['state']}" for entry_id in entries]
    return Answer({"entries": entries}, lines)
