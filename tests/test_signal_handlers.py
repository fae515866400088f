"""Calls that are interrupted by an exception of a signal handler, such as a queue's time limit."""

import signal
import sqlite3
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest

from moorage import (
    AttemptFinished,
    AttemptStarted,
    CallFinished,
    CallStarted,
    ConnectorManager,
    Credentials,
    Event,
    Headers,
    Hub,
    Idempotency,
    ObserverFailed,
    Outbox,
    OutcomeUnknown,
    Request,
    Response,
    RetryHandler,
    RetryPolicy,
    Service,
)
from moorage.adapters.entries.memory import MemoryOutbox
from moorage.adapters.http.borrowed.httpx2 import Httpx2HttpClient
from moorage.adapters.http.borrowed.requests import RequestsHttpClient
from moorage.adapters.http.pyreqwest.client import PyreqwestHttpClient
from moorage.adapters.http.stdlib.client import StdlibHttpClient
from moorage.adapters.links.pool_sync import LinkPool
from moorage.adapters.links.shared_sync import SharedLink
from moorage.adapters.state.memory import MemoryStorage
from moorage.adapters.state.shards import ShardedStorage
from moorage.adapters.state.sqlite import SqliteStorage
from moorage.domain.entries.queue import EntryQuery
from moorage.domain.resilience.interruptions import dropped_errors
from moorage.domain.state.commands import States
from moorage.domain.steps.log_lines import LogLine
from moorage.hub._step_log_writer_sync import LogWriter
from moorage.services.calling.streaming import _checked_incoming
from moorage.testing import Behaviour, VendorServer
from tests.adapters.memory_commands import Put, ReadCommand

SECRET = "sk_live_51H8aBcDeFgHiJk"
RETRIES = RetryPolicy(max_attempts=3, base_delay=0)


class TaskTimeout(Exception):
    """The exception for a task's time limit, like Celery's `SoftTimeLimitExceeded`."""


def fail(error: Exception) -> Callable[..., None]:
    """Return a signal handler that raises an exception."""

    def handler(*_: object) -> None:
        raise error

    return handler


@pytest.fixture(params=[TaskTimeout, TimeoutError])
def limit(request: pytest.FixtureRequest) -> Iterator[type[Exception]]:
    """Install a signal handler that raises an exception of the given class."""
    before = signal.signal(signal.SIGUSR1, fail(request.param("the task took too long")))
    yield request.param
    signal.signal(signal.SIGUSR1, before)


class InterruptedClient:
    """An HTTP client that a signal interrupts at its first request."""

    def __init__(self) -> None:
        self.requests = 0

    def send(self, request: Request, _url: str, _timeouts: Any, /) -> Response:
        """Count the request, and respond to every one but the first."""
        self.requests += 1
        if self.requests == 1:
            signal.raise_signal(signal.SIGUSR1)
        return Response(200, request.headers, b"{}")


class InterruptedStorage(MemoryStorage):
    """A store that a signal interrupts while it executes a command."""

    def execute(self, command: Any, timeout: Any = None, /) -> Any:
        """Raise the signal instead of executing the command."""
        signal.raise_signal(signal.SIGUSR1)


def manager_with(http: Any, **options: Any) -> ConnectorManager:
    """Return a manager with a service that is retried without a pause."""
    service = Service("bank", base_url="https://bank.example", retry=RETRIES)
    return ConnectorManager([service], http=http, **options)


@pytest.mark.parametrize("key", [None, "INV-1"])
def test_exception_of_a_signal_handler_ends_the_call_without_a_retry(
    limit: type[Exception], key: str | None
) -> None:
    """The caller gets the signal handler's exception, and the circuit counts nothing.

    A request with a key may have been processed, so a repeat does not send it again.
    """
    http = InterruptedClient()
    manager = manager_with(http)
    request = Request.get("/") if key is None else Request.post("/")
    with pytest.raises(limit, match="too long"):
        manager.call("bank", request, idempotency_key=key)
    assert http.requests == 1
    assert manager.circuit_state("bank").failures == 0
    if key is not None:
        with pytest.raises(OutcomeUnknown):
            manager.call("bank", request, idempotency_key=key)
        assert http.requests == 1


@pytest.mark.parametrize(
    "client", [StdlibHttpClient, RequestsHttpClient, Httpx2HttpClient, PyreqwestHttpClient]
)
@pytest.mark.parametrize("key", [None, "INV-1"])
@pytest.mark.parametrize("limit", [TaskTimeout], indirect=True)
def test_http_clients_pass_on_the_exception_of_a_signal_handler(
    limit: type[Exception], client: type[Any], key: str | None
) -> None:
    """HTTP clients do not report a signal handler's exception as a failure of the vendor."""
    vendor = VendorServer().start()

    def interrupt(_request: object) -> Behaviour:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
        return Behaviour(200)

    vendor.always(interrupt)
    credentials = Credentials.bearer(SECRET)
    service = Service("bank", base_url=vendor.url, retry=RETRIES, credentials=credentials)
    with client() as http, ConnectorManager([service], http=http) as manager:
        with pytest.raises(limit) as excinfo:
            manager.call("bank", Request.get("/"), idempotency_key=key)
        report = traceback.TracebackException.from_exception(excinfo.value, capture_locals=True)
        inner_frames = [text for text in report.format() if "/adapters/" in text]
        assert [] == [text for text in inner_frames if SECRET in text]
        assert manager.circuit_state("bank").failures == 0
    assert len(vendor.requests) == 1
    vendor.close()


class InterruptedBody:
    """The response of a stream, whose body a signal interrupts."""

    status = 200
    headers = Headers()

    def read(self) -> bytes:
        """Raise the signal instead of returning bytes."""
        signal.raise_signal(signal.SIGUSR1)
        return b""

    def close(self) -> None:
        """Do nothing."""


class InterruptedStreams(InterruptedClient):
    """An HTTP client with interrupted streams."""

    def open(self, _request: Request, _url: str, _timeouts: Any, /) -> InterruptedBody:
        """Return a response whose body cannot be read."""
        return InterruptedBody()


def test_interrupted_stream_is_no_failure_of_the_vendor(limit: type[Exception]) -> None:
    """The reader of a stream gets the handler's exception, and the circuit counts nothing."""
    manager = manager_with(InterruptedStreams())
    with pytest.raises(limit), manager.stream("bank", Request.get("/")) as response:
        response.read()
    assert manager.circuit_state("bank").failures == 0


def test_interrupted_store_counts_as_available(limit: type[Exception]) -> None:
    """An interruption in the store is not reported as an outage of the store."""
    http = InterruptedClient()
    with pytest.raises(limit):
        manager_with(http, state=InterruptedStorage()).call(
            "bank", Request.get("/"), idempotency_key="INV-1"
        )
    assert http.requests == 0


def test_interrupted_function_is_called_once(limit: type[Exception]) -> None:
    """A function that a signal handler interrupts is not retried, by any protection."""
    calls = 0

    def function() -> None:
        nonlocal calls
        calls += 1
        signal.raise_signal(signal.SIGUSR1)

    manager = ConnectorManager([Service("erp", retry=RETRIES)])
    protections: list[Callable[[], object]] = [
        lambda: manager.run("erp", function),
        lambda: manager.run("erp", function, idempotency_key="INV-1"),
        lambda: RetryHandler(RETRIES).call(function),
        lambda: RetryHandler(RetryPolicy(base_delay=0, retry_on=Exception)).call(function),
        lambda: Idempotency().call("INV-1", function),
    ]
    for number, protected_call in enumerate(protections, 1):
        with pytest.raises(limit):
            protected_call()
        assert calls == number
    assert manager.circuit_state("erp").failures == 0


def test_interruption_ends_a_batch(limit: type[Exception]) -> None:
    """If a signal interrupts a batch, the remaining items are not sent."""
    http = InterruptedClient()
    with pytest.raises(limit):
        manager_with(http).call_many("bank", [Request.get("/1"), Request.get("/2")], at_once=1)
    assert http.requests == 1


def test_interrupted_delivery_ends_the_worker_and_keeps_the_entry(
    limit: type[Exception], tmp_path: Path
) -> None:
    """If a time limit interrupts an outbox worker, its current entry does not count as failed."""
    http = InterruptedClient()
    outbox = Outbox(MemoryOutbox())
    for number in (1, 2):
        outbox.put_request("bank", Request.post("/orders"), key=f"INV-{number}")
    service = Service("bank", base_url="https://bank.example", retry=None)
    state = SqliteStorage(tmp_path / "state.db")
    with Hub([], services=[service], http=http, state=state) as hub, pytest.raises(limit):
        outbox.deliver(hub)
    assert http.requests == 1
    assert {""} == {entry.error for entry in outbox.find(EntryQuery()).items}


class InterruptedObserver:
    """An observer that a signal interrupts at the first event of a class."""

    def __init__(self, kind: type[Event]) -> None:
        self.event_classes = (kind,)
        self.events = 0

    def __call__(self, _event: Event, /) -> None:
        """Raise the signal at the first event."""
        self.events += 1
        if self.events == 1:
            signal.raise_signal(signal.SIGUSR1)


class RecordingClient:
    """An HTTP client that counts its requests, and responds to each one."""

    def __init__(self) -> None:
        self.requests = 0

    def send(self, request: Request, _url: str, _timeouts: Any, /) -> Response:
        """Respond with an empty object."""
        self.requests += 1
        return Response(200, request.headers, b"{}")


@pytest.mark.parametrize("kind", [CallStarted, AttemptStarted, AttemptFinished, CallFinished])
@pytest.mark.parametrize("key", [None, "INV-1"])
def test_interruption_of_an_observer_ends_the_call(
    limit: type[Exception], key: str | None, kind: type[Event]
) -> None:
    """The caller gets the exception of a signal that arrives while an observer runs.

    The observer does not count as failed. A request with a key that was sent is not repeated.
    """
    http, failures = RecordingClient(), list[Event]()

    def record_failure(event: Event) -> None:
        if isinstance(event, ObserverFailed):
            failures.append(event)

    manager = manager_with(http, observers=[InterruptedObserver(kind), record_failure])
    request = Request.get("/") if key is None else Request.post("/")
    with pytest.raises(limit):
        manager.call("bank", request, idempotency_key=key)
    assert http.requests == (kind in {AttemptFinished, CallFinished})
    assert failures == []
    with nullcontext() if key is None or not http.requests else suppress(OutcomeUnknown):
        manager.call("bank", request, idempotency_key=key)
    assert http.requests == (2 if key is None and kind in {AttemptFinished, CallFinished} else 1)


class InterruptedCommand(ReadCommand):
    """A command of a store that a signal interrupts."""

    def apply(self, states: States, now: int) -> tuple[States, States]:
        """Raise the signal."""
        signal.raise_signal(signal.SIGUSR1)
        return super().apply(states, now)


@pytest.mark.parametrize("kind", ["memory", "shards", "sqlite"])
def test_interruption_of_a_posted_command_reaches_the_caller(
    limit: type[Exception], kind: str, tmp_path: Path
) -> None:
    """A store passes on the exception of a signal that interrupts a posted command."""
    stores: dict[str, Callable[[], Any]] = {
        "memory": MemoryStorage,
        "shards": lambda: ShardedStorage({"a": SqliteStorage(tmp_path / "a.db")}),
        "sqlite": lambda: SqliteStorage(tmp_path / "state.db"),
    }
    store = stores[kind]()
    with pytest.raises(limit):
        store.post(InterruptedCommand("key"))
    assert store.execute(ReadCommand("key")) == (None,)


class OnceInterruptedCommand(Put):
    """A command that a signal interrupts when it is first executed."""

    is_interrupted = False

    def apply(self, states: States, now: int) -> tuple[States, States]:
        """Raise the signal once."""
        if not self.is_interrupted:
            self.is_interrupted = True
            signal.raise_signal(signal.SIGUSR1)
        return super().apply(states, now)


def test_interruption_keeps_the_command_of_a_file_that_was_locked(
    limit: type[Exception], tmp_path: Path
) -> None:
    """A queued command that a signal interrupts is executed before the next one."""
    store = SqliteStorage(tmp_path / "state.db")
    store.execute(ReadCommand("key"))
    with closing(sqlite3.connect(tmp_path / "state.db")) as other:
        other.execute("BEGIN EXCLUSIVE")
        store.post(OnceInterruptedCommand("value", "key"))
    with pytest.raises(limit):
        store.execute(ReadCommand("key"))

    [state] = store.execute(ReadCommand("key"))
    assert state is not None
    assert "value" == state[2]


class InterruptedResponse:
    """A response without a valid status, which a signal interrupts when it is closed."""

    status = "200"
    headers = Headers()

    async def read(self, _: int = 0, /) -> bytes:
        """Return the end of the body."""
        return b""

    def close(self) -> None:
        """Raise the signal."""
        signal.raise_signal(signal.SIGUSR1)


def test_interruption_while_a_wrong_response_is_closed_reaches_the_caller(
    limit: type[Exception],
) -> None:
    """A signal that arrives while an unusable response is closed ends the call."""
    incoming: Any = InterruptedResponse()
    with pytest.raises(limit):
        _checked_incoming(incoming)


class InterruptedLink:
    """A connection that a signal interrupts when it is closed."""

    version = None

    def is_connected(self) -> bool:
        """Return True, because the connection is open."""
        return True

    def ping(self, _: float, /) -> None:
        """Do nothing, because the server is well."""

    def leave(self, _: float, /) -> None:
        """Do nothing, because the server needs no farewell."""

    def close(self) -> None:
        """Raise the signal."""
        signal.raise_signal(signal.SIGUSR1)


@pytest.mark.parametrize("kind", [LinkPool, SharedLink])
def test_interruption_while_a_connection_is_closed_reaches_the_caller(
    limit: type[Exception], kind: Callable[..., Any]
) -> None:
    """A signal that arrives while a pool closes its connections ends the closing."""
    pool = kind(lambda _: InterruptedLink())
    with pool.link("orders.list", 1.0):
        pass
    with pytest.raises(limit):
        pool.close()


def test_exception_that_the_host_is_handling_is_not_an_interruption(
    limit: type[Exception],
) -> None:
    """A call made while the program handles a time limit fails with the call's own error."""
    http = InterruptedClient()
    manager = manager_with(http)
    try:
        signal.raise_signal(signal.SIGUSR1)
    except limit:
        assert manager.run("bank", lambda: 1) == 1
        with pytest.raises(ZeroDivisionError):
            ConnectorManager([Service("erp", retry=None)]).run("erp", lambda: 1 // 0)


def test_signal_handler_interrupts_code_whose_errors_are_dropped(limit: type[Exception]) -> None:
    """Code that drops errors, as in closing a store, raises the exception of a signal handler."""
    with dropped_errors():
        raise OSError
    with pytest.raises(limit), dropped_errors():
        signal.raise_signal(signal.SIGUSR1)


def test_signal_handler_interrupts_the_function_of_a_step_log(limit: type[Exception]) -> None:
    """A signal handler that runs in a log's function ends the step; other errors end the log."""
    functions: list[Callable[[LogLine], object]] = [
        lambda _: signal.raise_signal(signal.SIGUSR1),
        lambda _: 1 / 0,
    ]
    writers = [LogWriter(function, None, None, lambda: 0) for function in functions]
    lines = [LogLine("stdout", 1, b"hello")]
    with pytest.raises(limit):
        writers[0].write(lines)
    writers[1].write(lines)
    assert [None, True] == [writers[0].problem, bool(writers[1].problem)]
