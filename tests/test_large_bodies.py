"""Fingerprints of requests with large bodies."""

from __future__ import annotations

import asyncio
import functools
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, cast

import pytest

from moorage import (
    AsyncConnectorManager,
    CallFinished,
    ConnectorManager,
    Request,
    Response,
    Service,
)
from moorage.runtime.flows import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from moorage import Timeouts

PATIENCE = 120.0
LARGE = b"x" * 300_000


class Vendor:
    """An HTTP client that responds at once."""

    async def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        """Respond with status 200."""
        return Response(200)


class HeldExecutor(ThreadPoolExecutor):
    """An executor that starts its work only when the test allows it."""

    def __init__(self) -> None:
        super().__init__(max_workers=1)
        self.may_run = threading.Event()
        self.works = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a function in the thread once `may_run` is set."""
        self.works += 1

        def run_job() -> Any:
            assert self.may_run.wait(PATIENCE)
            return fn(*args, **kwargs)

        return super().submit(run_job)


def in_a_loop(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Run an asynchronous test in its own event loop."""

    @functools.wraps(test)
    def run() -> None:
        asyncio.run(test())

    return run


def vendor(**options: Any) -> AsyncConnectorManager:
    """Return a manager with one service."""
    service = Service("vendor", base_url="https://vendor.example")
    return AsyncConnectorManager([service], http=cast("Any", Vendor()), **options)


@in_a_loop
async def test_event_loop_runs_while_a_large_body_is_hashed() -> None:
    """While a large body's fingerprint is computed, other tasks of the event loop run."""
    held_executor, manager = HeldExecutor(), vendor()
    asyncio.get_running_loop().set_default_executor(held_executor)
    post = Request.post("/files", body=LARGE)

    call = asyncio.create_task(manager.call("vendor", post, idempotency_key="one"))
    for _ in range(10):
        await asyncio.sleep(0)
    assert (1, False) == (held_executor.works, call.done())
    held_executor.may_run.set()

    assert not (await call).replayed
    assert (await manager.call("vendor", post, idempotency_key="one")).replayed


@in_a_loop
async def test_small_bodies_need_no_thread() -> None:
    """The fingerprint of a small body is computed without a thread."""
    held_executor = HeldExecutor()
    asyncio.get_running_loop().set_default_executor(held_executor)

    await vendor().call("vendor", Request.post("/", body=b"small"), idempotency_key="one")

    assert 0 == held_executor.works


@in_a_loop
async def test_cancelled_fingerprint_ends_the_call() -> None:
    """A call that is cancelled during its fingerprint is reported as cancelled."""
    held_executor, events = HeldExecutor(), list[Any]()
    asyncio.get_running_loop().set_default_executor(held_executor)
    manager = vendor(observers=[events.append])

    call = asyncio.create_task(
        manager.call("vendor", Request.post("/", body=LARGE), idempotency_key="one")
    )
    for _ in range(10):
        await asyncio.sleep(0)
    assert 1 == held_executor.works
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    held_executor.may_run.set()

    end_events = [event for event in events if isinstance(event, CallFinished)]
    assert [True] == [event.cancelled for event in end_events]


def test_fingerprint_is_computed_in_calling_thread_outside_asyncio() -> None:
    """Outside asyncio, the fingerprint is computed in the calling thread."""
    flow = in_thread(threading.get_ident)

    with pytest.raises(StopIteration) as end:
        flow.send(None)

    assert threading.get_ident() == end.value.value


def test_synchronous_calls_digest_large_bodies_too() -> None:
    """A repeated synchronous call with a large body is recognised as a repeat."""

    class SyncVendor:
        def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
            return Response(200)

    service = Service("vendor", base_url="https://vendor.example")
    manager = ConnectorManager([service], http=cast("Any", SyncVendor()))
    posts = [Request.post("/files", body=LARGE) for _ in range(2)]

    answers = [manager.call("vendor", post, idempotency_key="one") for post in posts]

    assert [False, True] == [answer.replayed for answer in answers]
