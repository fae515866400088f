"""The program of a worker process: it opens the given stores and runs jobs.

Run as `python -m tests.integration.workers`. Every line of input is a job, and every line of output
is a report. A job reports when it is prepared, and starts at the next line.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import multiprocessing
import os
import pickle
import sys
import time
import traceback
from datetime import UTC, datetime, timedelta
from functools import partial
from threading import Barrier, Event, Lock, Thread
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage import (
    AsyncConnectorManager,
    ConnectorManager,
    HttpMethod,
    Hub,
    Request,
    RetryPolicy,
    Service,
    VendorFailed,
)
from moorage.adapters.clocks.system import SystemClock
from moorage.contracts.inference import GenerationRequest
from moorage.contracts.routes import Account
from moorage.testing.sandboxes.inference.openai import OpenAISandbox
from moorage.vendors.inference.openai import OpenAI
from tests.integration.store_locations import (
    AsyncRecordingStore,
    RecordingStore,
    StoreLocation,
    now,
    trips,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from moorage import Event as Happening

    Manager = ConnectorManager | AsyncConnectorManager

MODEL_REQUEST: Final = GenerationRequest("x" * 39, max_tokens=400)
"""A request that may use 1,001 tokens."""

_writing: Final = Lock()

_WARM: Final = Service("warm")
"""What is called first, so that connections are there."""


@attrs.frozen(kw_only=True)
class Job:
    """The job of one worker process.

    Attributes:
        scenario: one of `SCENARIOS`.
        services: the services; most scenarios call only the first.
        state, claims: the stores.
        number: the index of the process in its pool.
        threads: the number of threads (or tasks) that call.
        calls: the number of calls of each thread.
        between: the seconds between two calls of a thread.
        takes: the duration of the called function, in seconds.
        fails: each call whose number is a multiple of this number fails; 0 for none.
        path: the path to which requests are sent in place of function calls.
        key: the idempotency key of the requests.
        hours: the error of this process's wall clock, in hours.
        tokens: daily budget of the account at a vendor of language models.
        is_async: True for the asynchronous classes.
    """

    scenario: str
    services: tuple[Service, ...]
    state: StoreLocation
    claims: StoreLocation | None = None
    number: int = 0
    threads: int = 1
    calls: int = 1
    between: float = 0.0
    takes: float = 0.0
    fails: int = 0
    path: str | None = None
    key: str | None = None
    hours: float = 0.0
    tokens: int | None = None
    is_async: bool = False

    @property
    def name(self) -> str:
        """Return the name of the service that is called."""
        return self.services[0].name


def report(**happened: Any) -> None:
    """Print a report at once, so that it is not lost if this process is killed."""
    line = json.dumps(happened).encode() + b"\n"
    with _writing:
        while line:
            line = line[os.write(1, line) :]


def begin() -> None:
    """Wait until all processes are prepared."""
    report(what="ready")
    sys.stdin.readline()


class SkewedClocks:
    """The system's clocks, but with a wrong wall clock."""

    def __init__(self, hours: float) -> None:
        self.nanoseconds = SystemClock().nanoseconds
        self._wrong = timedelta(hours=hours)

    def utc(self) -> datetime:
        """Return the time of the wrong wall clock."""
        return datetime.now(UTC) + self._wrong


def _handle_event(event: Happening) -> None:
    name = type(event).__name__
    if name in {"StorageLost", "StorageRecovered", "VendorPaused"}:
        report(what=name, at=now(), error=getattr(event, "error", None))


@contextlib.contextmanager
def open_manager(job: Job) -> Generator[ConnectorManager]:
    """Open a synchronous manager over the job's stores."""
    state = job.state.open()
    claims = None if job.claims is None else job.claims.open()
    manager = ConnectorManager(
        [*job.services, _WARM],
        state=RecordingStore(state),
        claims=None if claims is None else RecordingStore(claims),
        observers=[_handle_event],
        clock=SkewedClocks(job.hours),
    )
    with manager, state, claims or contextlib.nullcontext():
        yield manager


def _do_nothing() -> None:
    """Do nothing."""


async def _no_wait() -> None:
    """Return without waiting."""


# --- what processes do ------------------------------------------------------------


class CallReport:
    """Reporter of one call's start, store commands and end."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.starts: list[int] = []
        self.ends: list[int] = []
        self.trips: list[dict[str, Any]] = []
        self.asked = 0
        self.tried = 0

    @contextlib.contextmanager
    def record_work(self) -> Generator[None]:
        """Record the start and the end of the function's work."""
        self.starts.append(now())
        yield
        self.ends.append(now())

    def begin(self) -> None:
        """Start recording the store commands of this call."""
        trips.set(self.trips)
        self.asked = now()

    def end(self, outcome: str, **more: Any) -> None:
        """Report the result of the call."""
        report(
            what="call",
            process=self.job.number,
            asked=self.asked,
            ended=now(),
            starts=self.starts,
            ends=self.ends,
            trips=self.trips,
            outcome=outcome,
            **more,
        )

    def failed(self, error: Exception, **more: Any) -> None:
        """Report that the call raised an error."""
        retry_at = getattr(error, "retry_at", None)
        self.end(
            type(error).__name__,
            error=str(error),
            retry_at=retry_at and retry_at.timestamp(),
            **more,
        )


class FailureSchedule:
    """The schedule that decides which calls of a function fail."""

    def __init__(self, every: int) -> None:
        self._every = every
        self._count = 0

    def take(self) -> None:
        """Raise an error if this call is due to fail."""
        self._count += 1
        if self._every and not self._count % self._every:
            raise VendorFailed("the vendor is down.")


def _request(job: Job) -> Request:
    method = HttpMethod.GET if job.key is None else HttpMethod.POST
    return Request(method, job.path or "/", body=b"" if job.key is None else b"one")


def _call_once(job: Job, manager: ConnectorManager, failure_schedule: FailureSchedule) -> None:
    entry = CallReport(job)

    def function() -> str:
        with entry.record_work():
            time.sleep(job.takes)
        failure_schedule.take()
        return "done"

    entry.begin()
    try:
        if job.path is None:
            value = manager.run(job.name, function)
            entry.end("good", value=value)
        else:
            answer = manager.call(job.name, _request(job), idempotency_key=job.key)
            entry.end("good", value=answer.text, replayed=answer.replayed)
    except Exception as error:  # noqa: BLE001 - it is written down
        entry.failed(error)


def call(job: Job) -> None:
    """Make the job's number of calls in each of several threads."""
    failure_schedule = FailureSchedule(job.fails)
    warm, ready_event = Barrier(job.threads + 1), Event()

    def call_repeatedly(manager: ConnectorManager) -> None:
        manager.run(_WARM.name, _do_nothing)
        warm.wait()
        ready_event.wait()
        for _ in range(job.calls):
            _call_once(job, manager, failure_schedule)
            time.sleep(job.between)

    with open_manager(job) as manager:
        joint_threads = [
            Thread(target=call_repeatedly, args=(manager,)) for _ in range(job.threads)
        ]
        for thread in joint_threads:
            thread.start()
        warm.wait()
        begin()
        ready_event.set()
        for thread in joint_threads:
            thread.join()


def call_async(job: Job) -> None:
    """Make the job's number of calls in each of several tasks."""
    asyncio.run(_call_async(job))


async def _call_async(job: Job) -> None:
    async def call_once_async(manager: AsyncConnectorManager) -> None:
        entry = CallReport(job)

        async def function() -> str:
            with entry.record_work():
                await asyncio.sleep(job.takes)
            return "done"

        entry.begin()
        try:
            entry.end("good", value=await manager.run(job.name, function))
        except Exception as error:  # noqa: BLE001 - it is written down
            entry.failed(error)

    async def call_repeatedly(manager: AsyncConnectorManager) -> None:
        for _ in range(job.calls):
            await call_once_async(manager)

    async with job.state.open_async() as state:
        manager = AsyncConnectorManager(
            [*job.services, _WARM],
            state=AsyncRecordingStore(state),
            observers=[_handle_event],
            clock=SkewedClocks(job.hours),
        )
        async with manager:
            await asyncio.gather(*(manager.run(_WARM.name, _no_wait) for _ in range(job.threads)))
            begin()
            await asyncio.gather(*(call_repeatedly(manager) for _ in range(job.threads)))


def repeat(job: Job) -> None:
    """Call all services of a job at the same time, each once under the job's key."""
    if job.is_async:
        asyncio.run(_repeat_async(job))
        return
    with open_manager(job) as manager:
        begin()

        def repeat_call(name: str) -> None:
            entry = CallReport(job)
            entry.begin()
            try:
                answer = manager.call(name, _keyed_request(name), idempotency_key=job.key)
                entry.end("good", service=name, value=answer.text, replayed=answer.replayed)
            except Exception as error:  # noqa: BLE001 - it is written down
                entry.failed(error, service=name)

        joint_threads = [
            Thread(target=repeat_call, args=(service.name,)) for service in job.services
        ]
        for thread in joint_threads:
            thread.start()
        for thread in joint_threads:
            thread.join()


async def _repeat_async(job: Job) -> None:
    async def repeat_call(manager: AsyncConnectorManager, name: str) -> None:
        entry = CallReport(job)
        entry.begin()
        try:
            answer = await manager.call(name, _keyed_request(name), idempotency_key=job.key)
            entry.end("good", service=name, value=answer.text, replayed=answer.replayed)
        except Exception as error:  # noqa: BLE001 - it is written down
            entry.failed(error, service=name)

    async with (
        job.state.open_async() as state,
        AsyncConnectorManager(job.services, state=AsyncRecordingStore(state)) as manager,
    ):
        begin()
        await asyncio.gather(*(repeat_call(manager, service.name) for service in job.services))


def _keyed_request(name: str) -> Request:
    return Request.post(f"/{name}", body=b"one")


def hold_calls(job: Job) -> None:
    """Keep one circuit probe and one call per key in progress until this process is killed."""
    probe, *keyed_services = job.services
    inner_event = Event()

    def be_probe() -> None:
        report(what="asking", at=now())

        def function() -> None:
            report(what="inside")
            inner_event.set()
            time.sleep(3600)

        manager.run(probe.name, function)

    def send(name: str) -> None:
        request = Request.post(f"/{name}", body=b"one")
        manager.call(name, request, idempotency_key=f"key of {name}")

    with open_manager(job) as manager:
        begin()
        Thread(target=be_probe, daemon=True).start()
        inner_event.wait()
        for item in keyed_services:
            Thread(target=send, args=(item.name,), daemon=True).start()
        sys.stdin.readline()
        os._exit(0)


def claims(job: Job) -> None:
    """Make calls from several threads, each call with a new key."""

    def call_in_thread(manager: ConnectorManager, thread: int) -> None:
        for number in range(job.calls):
            entry = CallReport(job)

            def function(entry: CallReport = entry) -> str:
                with entry.record_work():
                    return "done"

            key = f"{thread}/{number}"
            entry.begin()
            try:
                value = manager.run(job.name, function, idempotency_key=key)
                entry.end("good", value=value, key=key)
            except Exception as error:  # noqa: BLE001 - it is written down
                entry.failed(error, key=key)

    with open_manager(job) as manager:
        begin()
        joint_threads = [
            Thread(target=call_in_thread, args=(manager, thread)) for thread in range(job.threads)
        ]
        for thread in joint_threads:
            thread.start()
        for thread in joint_threads:
            thread.join()


def claim(job: Job) -> None:
    """Make calls with one new key after another, and report each key once its call is completed."""
    with open_manager(job) as manager:
        begin()
        numbers = iter(range(10**9))

        def run_repeatedly() -> None:
            for number in numbers:
                key = f"{job.key}/{job.number}/{number}"
                value = manager.run(job.name, partial(str.upper, key), idempotency_key=key)
                report(what="answered", key=key, value=value)

        for _ in range(job.threads):
            Thread(target=run_repeatedly, daemon=True).start()
        sys.stdin.readline()
        os._exit(0)


def fork(job: Job) -> None:
    """Use the store, fork, and use the store in every child and in the parent."""
    with open_manager(job) as manager:
        failure_schedule = FailureSchedule(0)
        begin()
        _call_once(job, manager, failure_schedule)
        children = []
        for _ in range(3):
            child = os.fork()
            if not child:
                _in_child(job, manager)
            children.append(child)
        context = multiprocessing.get_context("fork")
        other_processes = [
            context.Process(target=_use_manager, args=(job, manager)) for _ in range(2)
        ]
        for other_process in other_processes:
            other_process.start()
        _use_manager(job, manager)
        for child in children:
            report(what="child", code=os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        for other_process in other_processes:
            other_process.join()
            report(what="child", code=other_process.exitcode)
        _call_once(job, manager, failure_schedule)


def _in_child(job: Job, manager: ConnectorManager) -> None:
    """Use the store in a forked child, which then exits in any case."""
    code = 1
    try:
        _use_manager(job, manager)
        code = 0
    except BaseException:  # noqa: BLE001 - it is written down, and a child never returns
        report(what="broke", trace=traceback.format_exc())
    finally:
        os._exit(code)


def _use_manager(job: Job, manager: ConnectorManager) -> None:
    """Make calls with and without a key, in this thread and in another one."""

    def use_manager() -> None:
        failure_schedule = FailureSchedule(0)
        for _ in range(job.calls):
            _call_once(job, manager, failure_schedule)
        entry = CallReport(job)
        entry.begin()

        def function() -> str:
            with entry.record_work():
                return str(os.getpid())

        try:
            name = job.services[1].name
            value = manager.run(name, function, idempotency_key=job.key)
            entry.end("good", value=value, key=job.key)
        except Exception as error:  # noqa: BLE001 - it is written down
            entry.failed(error)

    other_thread = Thread(target=use_manager)
    other_thread.start()
    use_manager()
    other_thread.join()


def generate(job: Job) -> None:
    """Ask a language model from several threads, with one budget for all processes."""

    def generate_repeatedly(hub: Hub) -> None:
        for _ in range(job.calls):
            entry = CallReport(job)
            entry.begin()
            try:
                entry.end("good", value=hub.inference().generate(MODEL_REQUEST).usage.total)
            except Exception as error:  # noqa: BLE001 - it is written down
                entry.failed(error)

    with job.state.open() as state:
        accounts = [model_account(job.name, job.path, job.tokens)]
        with Hub(accounts, state=state, clock=SkewedClocks(job.hours)) as hub:
            begin()
            joint_threads = [
                Thread(target=generate_repeatedly, args=(hub,)) for _ in range(job.threads)
            ]
            for thread in joint_threads:
                thread.start()
            for thread in joint_threads:
                thread.join()


def model_account(name: str, url: str | None, tokens: int | None) -> Account:
    """Return an account at a sandbox of OpenAI that is served at this URL."""
    vendor = OpenAI(
        credentials=OpenAISandbox().api_key,
        model="model-large",
        embedding_model="model-embed",
        base_url=f"{url}/v1",
        daily_tokens=tokens,
    )
    settings = {"retry": RetryPolicy(base_delay=0), "circuit": None}
    return Account(name, vendor, settings=settings)


SCENARIOS: Final[dict[str, Callable[[Job], None]]] = {
    "call": call,
    "call_async": call_async,
    "claim": claim,
    "claims": claims,
    "fork": fork,
    "generate": generate,
    "hold": hold_calls,
    "repeat": repeat,
}


def main() -> None:
    """Run one job after another."""
    for line in iter(sys.stdin.readline, ""):
        job: Job = pickle.loads(base64.b64decode(line))  # noqa: S301 - our own parent's
        try:
            SCENARIOS[job.scenario](job)
        except BaseException:  # noqa: BLE001 - it is written down
            report(what="broke", trace=traceback.format_exc())
        report(what="done")


if __name__ == "__main__":
    main()
