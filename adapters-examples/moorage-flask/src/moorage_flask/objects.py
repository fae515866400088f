"""An application's moorage objects: stores and hub, one set per process."""

from __future__ import annotations

import atexit
import os
from contextlib import nullcontext
from functools import partial
from threading import RLock
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar
from weakref import WeakSet

from flask import current_app, has_app_context

import moorage
from moorage import Subjects
from moorage.adapters.logs.host import HostIntegrationLogger
from moorage.cli.host import Host as CliHost
from moorage.config import read_configuration
from moorage.domain.values.shared_property import shared_property
from moorage.hub.health import HealthMonitor
from moorage.hub.inbox import WebhookInbox
from moorage.hub.outbox import Outbox
from moorage_flask.host import Host, host_of
from moorage_flask.places import StoreLocations, places
from moorage_flask.stores import Stores

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flask import Flask

    from moorage import Account, Hub
    from moorage.config import Configured
    from moorage.errors import Problem
    from moorage.ports.integration_log import IntegrationLogger
    from moorage_flask.settings import Settings


T = TypeVar("T")


class Handler(NamedTuple):
    """A function that handles webhooks of a kind."""

    kind: type | str
    handle: Callable[..., object]


class MoorageObjects:
    """An application's moorage objects.

    Each object is opened at its first use. Each process, also a forked one, opens objects of its
    own, and closes them at its exit.

    Args:
        app: the application.
        settings: the application's settings.
        handlers: the webhook handlers; more may be added until the first webhook is handled.
    """

    def __init__(self, app: Flask, settings: Settings, handlers: Sequence[Handler]) -> None:
        self.app = app
        self.settings = settings
        self._handlers = handlers
        self._processes: dict[int, _Process] = {}
        _living.add(self)

    @property
    def hub(self) -> Hub:
        """The hub."""
        return self._process.hub()

    @property
    def inbox(self) -> WebhookInbox:
        """The inbox: webhooks are stored first, and handled later."""
        return self._process.inbox()

    @property
    def outbox(self) -> Outbox:
        """The outbox of calls that are made after the application commits."""
        return self._process.outbox()

    @property
    def health(self) -> HealthMonitor:
        """The health of the hub, inbox and outbox."""
        return self._process.health()

    @property
    def log(self) -> IntegrationLogger:
        """The integration log."""
        return self._process.stores().log

    @property
    def subjects(self) -> Subjects:
        """The stored data about people: find, export, erase."""
        outbox = None if self.host.database is None else self.outbox
        credential_provider = self.stores.credentials
        # Data in memory is lost with the process.
        stored_provider = credential_provider if hasattr(credential_provider, "owners") else None
        return Subjects(log=self.log, inbox=self.inbox, outbox=outbox, credentials=stored_provider)

    @property
    def stores(self) -> Stores:
        """The application's stores."""
        return self._process.stores()

    @shared_property
    def host(self) -> Host:
        """The application's database."""
        # A second context would close the session of the first context during its request.
        has_own_context = has_app_context() and current_app == self.app
        with nullcontext() if has_own_context else self.app.app_context():
            return host_of(self.settings)

    @shared_property
    def places(self) -> StoreLocations:
        """The store of each kind of data."""
        database, settings = self.host.database, self.settings
        return places(
            kind=None if database is None else database.kind,
            file=None if database is None else database.file,
            state=settings.state_url,
            aside=settings.aside,
        )

    @property
    def here(self) -> MoorageObjects:
        """Return this object; the Flask context contains only a proxy of it."""
        return self

    @property
    def accounts(self) -> tuple[Account, ...]:
        """The accounts in the configuration, without opening a hub."""
        return self._configured.accounts

    @property
    def inline(self) -> tuple[Problem, ...]:
        """The problems of the settings: secrets that are written there as plain text."""
        return self._configured.inline

    @property
    def _configured(self) -> Configured:
        settings = self.settings
        return read_configuration(settings.configuration, settings.environment)

    @property
    def handled(self) -> bool:
        """True if the application has webhook handlers."""
        return bool(self._handlers)

    def as_host(self) -> CliHost:
        """Return the objects that moorage's command line uses."""
        settings = self.settings
        return CliHost(
            source=settings.configuration,
            environment=settings.environment,
            state=self.stores.state_url,
            stores=lambda: {"webhooks": self.inbox, "calls": self.outbox},
            ports=self._process.ports,
        )

    def migrate(self) -> None:
        """Create missing tables and files."""
        self.stores.migrate()

    def after_request(self) -> None:
        """Write queued log entries, unless a background thread writes them or no log is open."""
        process = self._processes.get(os.getpid())
        stores = None if process is None else process.stores.made
        log = None if stores is None else stores.__dict__.get("log")
        if isinstance(log, HostIntegrationLogger):
            log.after_request()

    def close(self) -> None:
        """Close all open objects of this process; the next use opens them again."""
        process = self._processes.pop(os.getpid(), None)
        if process is not None:
            process.close()

    @property
    def _process(self) -> _Process:
        # The parent's objects are kept, because deleting them would close the parent's connections.
        pid = os.getpid()
        return self._processes.get(pid) or self._processes.setdefault(pid, self._opening())

    def _opening(self) -> _Process:
        return _Process(self, self._handlers)


class _MadeOnce(Generic[T]):
    """An object that is created once, by the first thread that uses it."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._lock = RLock()
        self.made: T | None = None

    def __call__(self) -> T:
        """Return the object, and create it at the first call."""
        if self.made is None:
            with self._lock:
                self.made = self._make() if self.made is None else self.made
        return self.made


class _Process:
    """The objects that one process has opened; each object is opened at its first use."""

    def __init__(self, objects: MoorageObjects, handlers: Sequence[Handler]) -> None:
        self._objects = objects
        self._handlers = handlers
        self.stores = _MadeOnce(lambda: Stores(objects.settings, objects.places, objects.host))
        self.hub = _MadeOnce(self._hub)
        self.inbox = _MadeOnce(self._inbox)
        self.outbox = _MadeOnce(self._outbox)
        self.health = _MadeOnce(self._health)

    def close(self) -> None:
        """Close everything that was opened."""
        for resource in (self.hub.made, self.stores.made):
            if resource is not None:
                resource.close()

    def ports(self) -> dict[str, Any]:
        """Return the hub's ports, except its store of shared state."""
        settings, stores = self._objects.settings, self.stores()
        ports = {
            "log": stores.log,
            "tokens": stores.credentials,
            "cipher": stores.cipher,
            "tenants": stores.tenants,
            **settings.ports,
        }
        return {name: port for name, port in ports.items() if port is not None}

    def _hub(self) -> Hub:
        settings, state = self._objects.settings, self.stores().state
        ports = self.ports() if state is None else {"state": state, **self.ports()}
        return moorage.open(settings.configuration, environment=settings.environment, **ports)

    def _inbox(self) -> WebhookInbox:
        inbox = WebhookInbox(self.hub(), self.stores().inbox)
        for kind, handle in self._handlers:
            inbox.on(kind)(partial(self._in_context, handle))
        return inbox

    def _outbox(self) -> Outbox:
        return Outbox(self.stores().outbox, cipher=self.stores().cipher)

    def _health(self) -> HealthMonitor:
        outbox = None if self._objects.host.database is None else self.outbox()
        return HealthMonitor(self.hub(), outbox=outbox, inbox=self.inbox())

    def _in_context(self, handle: Callable[..., object], *args: Any) -> None:
        with self._objects.app.app_context():
            handle(*args)


_living: WeakSet[MoorageObjects] = WeakSet()


def _close_all() -> None:
    for objects in list(_living):
        objects.close()


atexit.register(_close_all)
