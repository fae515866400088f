"""A hub with failing services for tests of the operations page, and its visitors."""

from __future__ import annotations

from datetime import timedelta
from html.parser import HTMLParser
from http.cookies import SimpleCookie
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urlencode, urlsplit
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import attrs
import pytest

from moorage import (
    CircuitBreakerConfig,
    Hub,
    RateLimitConfig,
    RetryBudget,
    Service,
)
from moorage.adapters.entries.memory import MemoryInbox, MemoryOutbox
from moorage.adapters.logs.memory import MemoryIntegrationLogger
from moorage.adapters.metrics.memory import MemoryMetrics
from moorage.adapters.state.memory import MemoryStorage
from moorage.contracts.payments import Charge, Money
from moorage.contracts.routes import Account
from moorage.dashboard import (
    ALL_ACTS,
    READ_ONLY,
    Dashboard,
    DashboardApp,
    PageRequest,
    PageResponse,
    Person,
)
from moorage.domain.entries.inbox import InboxEntry
from moorage.domain.entries.outbox import OutboxEntry
from moorage.domain.entries.queue import EntryState
from moorage.domain.observation.integration_log import IntegrationLog, IntegrationStatus
from moorage.errors import (
    CircuitBreakerOpen,
    ConnectionFailed,
    OutcomeUnknown,
    StorageUnavailable,
)
from moorage.hub.audit import AuditTrail
from moorage.hub.inbox import WebhookInbox
from moorage.hub.outbox import Outbox
from moorage.testing import VirtualClock, VirtualSleeper
from moorage.testing.sandboxes.base import Lost, SandboxHttpClient
from moorage.testing.sandboxes.payments.stripe import StripeSandbox
from tests.contracts.unsettled_harness import KeylessStripe

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from moorage.ports.audit import AuditStorage
    from moorage.vendors.payments.stripe import Stripe

SECRET: Final = "a secret of the operations page"
ANN: Final = Person("ann", ALL_ACTS, "session-of-ann")
BEN: Final = Person("ben", ALL_ACTS, "session-of-ben")
VIEWER: Final = Person("vera", READ_ONLY, "session-of-vera")
PEOPLE: Final = {person.name: person for person in (ANN, BEN, VIEWER)}
WAIT: Final = 60.0
"""Seconds after which nobody may be at work on a payment any more."""


def identify(request: PageRequest) -> Person | PageResponse:
    """Identify people by a cookie, like a login session."""
    return PEOPLE[request.cookie("who")]


class Trail:
    """An audit trail in memory that a test can make unavailable.

    Attributes:
        records: actor, act, subject and reason of each record.
        away: True if nothing can be recorded.
    """

    def __init__(self) -> None:
        self.records: list[tuple[str | None, str, str, str]] = []
        self.away = False

    def record(
        self,
        act: str,
        subject: str,
        *,
        actor: str | None = None,
        reason: str = "",
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
    ) -> object:
        """Record an action; raise an error if the trail is unavailable."""
        if self.away:
            raise StorageUnavailable("The audit trail is away.")
        self.records.append((actor, act, subject, reason))
        return None


class Harness:
    """A hub with a fake vendor, with log, inbox and outbox in memory, and a clock for tests."""

    def __init__(
        self,
        kind: type[Stripe] = KeylessStripe,
        *,
        four_eyes: bool = True,
        audit: AuditStorage | None = None,
    ) -> None:
        self.clock = VirtualClock()
        self.stripe = StripeSandbox(now=lambda: self.clock.utc().timestamp())
        self.log = MemoryIntegrationLogger()
        self.state = MemoryStorage(self.clock)
        self.metrics = MemoryMetrics()
        self.trail = Trail()
        self._kind = kind
        self.hub = Hub(
            [self.account()],
            services=[
                Service(
                    "vat",
                    "http://127.0.0.1:9",
                    limits=[RateLimitConfig.per_second(5)],
                    retry_budget=RetryBudget(ratio=0.01, floor=1),
                    circuit=CircuitBreakerConfig(failures=2, open_for=30),
                ),
                Service("bare", "http://127.0.0.1:9", circuit=None, retry=None, retry_budget=None),
            ],
            http=SandboxHttpClient(self.stripe),
            state=self.state,
            clock=self.clock,
            sleeper=VirtualSleeper(self.clock),
            log=self.log,
            observers=[self.metrics],
            audit=self.trail if audit is None else AuditTrail(audit, clock=self.clock),
        )
        self.outbox_store = MemoryOutbox(self.clock)
        self.inbox_store = MemoryInbox(self.clock)
        self.outbox = Outbox(self.outbox_store)
        self.inbox = WebhookInbox(self.hub, self.inbox_store)
        self.dashboard = Dashboard(
            self.hub,
            secret=SECRET,
            outbox=self.outbox,
            inbox=self.inbox,
            log=self.log,
            four_eyes=four_eyes,
        )
        self.app = DashboardApp(self.dashboard, identify)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.hub.close()
        self.metrics.close()

    def account(self) -> Account:
        """Return the hub's account at the vendor."""
        vendor = self._kind(credentials=self.stripe.api_key)
        settings = {"volatile_keys": True, "circuit": None, "retry": None}
        return Account("till", vendor, settings=settings)

    def visitor(self, person: Person = ANN) -> Visitor:
        """Return a visitor of the operations page."""
        return Visitor(self.app, {"who": person.name})

    def lose(self, reference: str = "INV-7", key: str = "INV-7/1", amount: str = "20.00") -> None:
        """Charge once, and lose the vendor's response."""
        self.stripe.fail(Lost())
        charge = Charge(Money(amount, "EUR"), "pm_card_visa", reference=reference)
        with pytest.raises((OutcomeUnknown, ConnectionFailed)):
            self.hub.payments().charge(charge, idempotency_key=key)

    def put_outbox_entry(
        self, id: str = "01", state: EntryState = EntryState.DEAD, **fields: Any
    ) -> None:
        """Put an entry in this state into the outbox."""
        self._put(self.outbox_store, OutboxEntry, id, state, fields)

    def dead_webhook(self, id: str = "01", **fields: Any) -> None:
        """Put a webhook that failed for good into the inbox."""
        self._put(self.inbox_store, InboxEntry, id, EntryState.DEAD, fields)

    def unknown_webhook(self, id: str, **fields: Any) -> None:
        """Put a webhook whose outcome is unknown into the inbox."""
        self._put(self.inbox_store, InboxEntry, id, EntryState.UNKNOWN, fields)

    def _put(
        self, store: Any, kind: Any, id: str, state: EntryState, fields: dict[str, Any]
    ) -> None:
        values = {"target": "payments", "operation": "refund", "error": "VendorFailed", **fields}
        entry = store.add(kind(id=id, added_at=self.clock.utc(), **values))
        settled_at = None if state is EntryState.WAITING else self.clock.utc()
        ended_entry = attrs.evolve(entry, state=state, due=None, settled_at=settled_at, attempts=12)
        assert store.swap(ended_entry, entry.fence)

    def fail(self, service: str = "vat", **fields: Any) -> None:
        """Write a failed call to the log."""
        values: dict[str, Any] = {
            "id": "req-1",
            "status": IntegrationStatus.FAILED,
            "error": "VendorFailed",
            "duration": 0.25,
            "attempts": 3,
            "http_status": 503,
        }
        started = self.clock.utc() - timedelta(seconds=1)
        self.log.write(IntegrationLog(service=service, started_at=started, **{**values, **fields}))

    def break_circuit(self) -> None:
        """Make the calls to `vat` fail until its circuit opens."""

        def fail_to_connect() -> None:
            raise ConnectionFailed("gone")

        for _ in range(4):
            with pytest.raises((ConnectionFailed, CircuitBreakerOpen)):
                self.hub.manager.run("vat", fail_to_connect)


@attrs.define
class Answer:
    """An HTTP response as a browser receives it."""

    status: int
    headers: list[tuple[str, str]]
    text: str

    def header(self, name: str) -> str:
        """Return the value of a header."""
        return dict(self.headers)[name]


class Visitor:
    """A minimal browser that stores cookies and calls the real WSGI application.

    Args:
        app: the application, which is wrapped in the validator of the WSGI standard.
        cookies: the cookies that the browser has at first.
    """

    def __init__(self, app: Any, cookies: dict[str, str] | None = None, root: str = "") -> None:
        self._app = validator(app)
        self.cookies = dict(cookies or {})
        self._root = root

    def get(self, url: str, **environ: Any) -> Answer:
        """Load a page of the dashboard."""
        return self.send("GET", url, b"", **environ)

    def post(self, url: str, form: dict[str, str], **environ: Any) -> Answer:
        """Send a form."""
        content = {"CONTENT_TYPE": "application/x-www-form-urlencoded", **environ}
        return self.send("POST", url, urlencode(form).encode(), **content)

    def send(self, method: str, url: str, body: bytes, **environ: Any) -> Answer:
        """Send a request, and keep the cookies of its response."""
        parts = urlsplit(url)
        values: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": self._root,
            "PATH_INFO": parts.path,
            "QUERY_STRING": parts.query,
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_HOST": "127.0.0.1",
            "HTTP_COOKIE": "; ".join(f"{name}={value}" for name, value in self.cookies.items()),
            "wsgi.input": BytesIO(body),
            **environ,
        }
        setup_testing_defaults(values)
        head: list[Any] = []

        def start(status: str, headers: list[tuple[str, str]], *_: object) -> Any:
            head.extend((status, headers))
            return lambda _: None

        chunks = self._app(values, start)
        try:
            content = b"".join(chunks)
        finally:
            getattr(chunks, "close", list)()
        for name, value in head[1]:
            if name == "Set-Cookie":
                for key, morsel in SimpleCookie(value).items():
                    self.cookies[key] = morsel.value
                    if morsel["max-age"] == "0":
                        del self.cookies[key]
        return Answer(int(head[0][:3]), head[1], content.decode())

    def act(self, url: str, **fields: str) -> Answer:
        """Open a confirmation, send its form with these fields, and load the page it leads to."""
        confirmation = self.get(url)
        assert 200 == confirmation.status, confirmation.text
        act_response = self.post(urlsplit(url).path, {**form_of(confirmation.text), **fields})
        assert 303 == act_response.status, act_response.text
        return self.get(act_response.header("Location"))


def form_of(text: str) -> dict[str, str]:
    """Return the hidden fields of the form on a page."""
    fields: dict[str, str] = {}

    class HiddenFields(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            values = dict(attrs)
            if tag == "input" and values.get("type") == "hidden":
                fields[values["name"] or ""] = values["value"] or ""

    HiddenFields().feed(text)
    return fields
