"""This process's hubs: opened at first use, again in a forked child, and closed at exit."""

from __future__ import annotations

import asyncio
import atexit
from contextlib import suppress
from threading import RLock, local
from typing import TYPE_CHECKING, Any, Final, TypeVar

from django.db import DEFAULT_DB_ALIAS, close_old_connections

import moorage
from moorage import ConnectorError
from moorage.adapters.concurrency.forking import in_child
from moorage.hub.health import HealthMonitor
from moorage.hub.inbox import WebhookInbox
from moorage.hub.outbox import Outbox
from moorage_django import stores
from moorage_django.databases import leave_to_parent
from moorage_django.entries import OrmInbox, OrmOutbox
from moorage_django.guard import log_errors
from moorage_django.log import OrmLogger
from moorage_django.moments import now_in
from moorage_django.settings import NAME, project_settings
from moorage_django.webhooks import handled_by, has_handlers

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from moorage import AsyncHub, Hub

Made = TypeVar("Made")

_REMEDY: Final = "It stays in the inbox until `manage.py moorage deliver` handles it."


class Process:
    """The open hubs and stores of one process."""

    def __init__(self) -> None:
        self._restart_after_fork()
        in_child(self, Process._start_in_child)

    def _start_in_child(self) -> None:
        is_used = bool(self._made)
        self._restart_after_fork()
        if is_used:
            leave_to_parent()

    def _restart_after_fork(self) -> None:
        # The parent's objects stay open for the parent.
        self._lock = RLock()
        self._made: dict[str, Any] = {}
        self._closing: list[Callable[[], Any]] = []
        self._came = local()

    def log(self) -> OrmLogger:
        """The integration log, common to synchronous and asynchronous code."""
        return self._made_once("log", lambda: OrmLogger(project_settings().database))

    def ports(self) -> dict[str, Any]:
        """The synchronous hub's ports."""
        return self._made_once("ports", lambda: stores.ports(project_settings(), self.log()))

    def hub(self) -> Hub:
        """The synchronous hub."""
        return self._made_once("hub", self._open_hub)

    def ahub(self) -> AsyncHub:
        """The asynchronous hub."""
        return self._made_once("ahub", self._aopened)

    def inbox(self) -> WebhookInbox:
        """The inbox with all handlers."""
        return self._made_once(
            "inbox",
            lambda: handled_by(
                WebhookInbox(self.hub(), OrmInbox(), subject=project_settings().subject)
            ),
        )

    def outbox(self) -> Outbox:
        """The outbox of calls that are made after the project's transaction commits."""
        return self._made_once(
            "outbox", lambda: Outbox(OrmOutbox(), cipher=stores.cipher_of(project_settings()))
        )

    def health(self) -> HealthMonitor:
        """The health of the hub, inbox and outbox."""
        return self._made_once(
            "health",
            lambda: HealthMonitor(self.hub(), outbox=self.outbox(), inbox=self.inbox()),
        )

    def now(self) -> datetime:
        """The current time in the database that holds the inbox and the outbox."""
        return now_in(DEFAULT_DB_ALIAS)

    def webhook_came(self, id: str) -> None:
        """Record the webhook that this thread must handle after it has sent its response."""
        self._came.id = id

    def after_request(self) -> None:
        """Do the work that was postponed until the response was sent."""
        id = getattr(self._came, "id", None)
        if id is not None:
            self._came.id = None
            if has_handlers() and not project_settings().worker:
                with log_errors("The handling of a webhook after its response", _REMEDY):
                    self.inbox().handle(ids=[id])
                # Django has closed this thread's connections before. Under ASGI the thread serves
                # no other request, whose beginning would close them.
                close_old_connections()
        if "log" in self._made:
            self.log().after_request()

    def flush(self) -> None:
        """Write queued log entries, if the database is reachable."""
        if "log" in self._made:
            with suppress(ConnectorError):
                self.log().flush()

    def close(self) -> None:
        """Write queued log entries, and close everything that was opened."""
        if "log" in self._made:
            self.log().close()
        closing = self._closing
        self._restart_after_fork()
        for close in reversed(closing):
            close()

    def _made_once(self, name: str, make: Callable[[], Made]) -> Made:
        try:
            value: Made = self._made[name]
        except KeyError:
            with self._lock:
                if name not in self._made:
                    self._made[name] = make()
                value = self._made[name]
        return value

    def _open_hub(self) -> Hub:
        options, ports = project_settings(), self.ports()
        hub = moorage.open(options.configuration, environment=options.environment, **ports)
        self._closing += [getattr(ports["state"], "close", _do_nothing), hub.close]
        return hub

    def _aopened(self) -> AsyncHub:
        options = project_settings()
        ports = stores.aports(options, self.log())
        hub = moorage.aopen(options.configuration, environment=options.environment, **ports)
        store = ports["state"]

        async def close_hub() -> None:
            await hub.close()
            if hasattr(store, "aclose") and not hasattr(store, "end"):
                await store.aclose()

        def close() -> None:
            asyncio.run(close_hub())
            if hasattr(store, "end"):  # an interpreter that ends starts no thread for `aclose`
                store.end()

        self._closing.append(close)
        return hub


process: Final = Process()
atexit.register(process.close)


def hub() -> Hub:
    """Return this project's synchronous hub, for views, tasks and commands.

    Raises:
        ConfigurationError: the settings or the configuration are wrong; `manage.py check` lists
            all problems.
    """
    return process.hub()


def ahub() -> AsyncHub:
    """Return this project's asynchronous hub, without awaiting; only its methods are awaited.

    Raises:
        ConfigurationError: the settings or the configuration are wrong.
    """
    return process.ahub()


def inbox() -> WebhookInbox:
    """Return this project's inbox."""
    return process.inbox()


def integration_log() -> OrmLogger:
    """Return this project's integration log."""
    return process.log()


def after_request(**_: object) -> None:
    """Do the work that was postponed until the response was sent."""
    process.after_request()


def start_anew(*, setting: str, **_: object) -> None:
    """Close the hubs when a test changes their settings."""
    if setting in {NAME, "DATABASES"}:
        process.close()


def _do_nothing() -> None:
    return
