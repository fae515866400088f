"""Idempotency keys on the fast path, and calls with keys that the general path handles."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import pytest

from moorage import (
    AsyncConnectorManager,
    BulkheadConfig,
    CircuitBreakerConfig,
    ConfigurationError,
    ConnectionFailed,
    ConnectorManager,
    DryRun,
    Event,
    OutcomeUnknown,
    Request,
    Response,
    RetryPolicy,
    Service,
    StorageUnavailable,
)
from moorage.adapters.state.memory import MemoryStorage
from moorage.domain.idempotency.claims import Settle, store_answer
from moorage.domain.resilience.key_admission import KeyAdmission

if TYPE_CHECKING:
    from collections.abc import Callable

BASE = "https://vendor.example"
POST = Request.post("/charges", json={"amount": 1})
STORED_KEY = "{:v:k}:key"


class CallInterrupted(BaseException):
    """An exception like KeyboardInterrupt, which interrupts a call."""


class RecordingStorage(MemoryStorage):
    """A store that records its commands, and can interrupt the caller after one."""

    def __init__(self) -> None:
        super().__init__()
        self.commands: list[str] = []
        self.interrupted: type | None = None

    def execute(self, command: Any, /, timeout: float | None = None) -> Any:
        """Execute a command, and remember its name."""
        answer = super().execute(command, timeout)
        self.commands.append(type(command).__name__)
        if type(command) is self.interrupted:
            self.interrupted = None
            raise CallInterrupted
        return answer


class Client:
    """An HTTP client that runs a function, counts its requests, and returns a success."""

    def __init__(self) -> None:
        self.meanwhile: Callable[[], object] = int
        self.sent = 0

    def send(self, *_: object) -> Response:
        """Return a success."""
        self.sent += 1
        self.meanwhile()
        return Response(200, body=b"ours")

    def close(self) -> None:
        """Do nothing, because nothing is open."""


class AsyncClient(Client):
    """The asynchronous variant of `Client`, which suspends once."""

    async def send(self, *_: object) -> Response:  # type: ignore[override]  # awaited
        """Return a success later."""
        self.sent += 1
        self.meanwhile()
        await asyncio.sleep(0)
        return Response(200, body=b"ours")

    async def close(self) -> None:  # type: ignore[override]  # awaited
        """Do nothing, because nothing is open."""


class FirstCallScene:
    """A manager that has made its first call, with its client and store."""

    def __init__(self, *, dry_run: bool = False, **options: Any) -> None:
        self.client, self.store = Client(), RecordingStorage()
        ports: dict[str, Any] = {name: options.pop(name) for name in ("cipher",) if name in options}
        service = Service("v", base_url=BASE, retry=None, **options)
        http = cast("Any", self.client)
        self.manager = ConnectorManager(
            [service], http=http, state=self.store, dry_run=dry_run, **ports
        )
        self.manager.call("v", Request.get("/"))
        self.client.sent = 0
        self.store.commands.clear()

    def pay(self) -> Response:
        """Send a request with an idempotency key."""
        return self.manager.call("v", POST, idempotency_key="k")

    def act(self, verb: str) -> object:
        """Send a request with an idempotency key, or run a function under the key."""
        if verb == "call":
            return self.pay()
        return self.manager.run("v", self.client.send, idempotency_key="k")


def test_new_key_needs_two_commands() -> None:
    """On the fast path, a call with a new key needs two store commands: claim and settle."""
    scene = FirstCallScene()

    scene.pay()
    assert ["KeyAdmission", "Settle"] == scene.store.commands
    assert scene.pay().replayed
    assert ["KeyAdmission", "Settle", "KeyAdmission"] == scene.store.commands


def test_general_path_claims_key_with_separate_commands_with_bulkhead() -> None:
    """With a bulkhead, the general path claims the idempotency key with separate commands."""
    client, store = Client(), RecordingStorage()
    service = Service("v", base_url=BASE, bulkhead=BulkheadConfig(1))
    manager = ConnectorManager([service], http=cast("Any", client), state=store)

    for key in "ab":
        manager.call("v", POST, idempotency_key=key)
        manager.run("v", int, idempotency_key=f"{key}-2")

    assert ["Claim", "Admission", "Settle"] * 4 == store.commands
    assert 2 == client.sent


def test_observed_calls_claim_and_are_admitted_at_once() -> None:
    """With observers too, one command claims the key and admits the call."""
    client, store, events = Client(), RecordingStorage(), list[Event]()
    manager = ConnectorManager(
        [Service("v", base_url=BASE)],
        http=cast("Any", client),
        state=store,
        observers=[events.append],
    )

    for key in "ab":
        manager.call("v", POST, idempotency_key=key)
        manager.run("v", int, idempotency_key=f"{key}-2")

    # The service's plan is made by its first call, which takes the general path.
    assert ["Claim", "Admission", *["Settle", "KeyAdmission"] * 3, "Settle"] == store.commands
    assert ["CallStarted", "AttemptFinished", "CallFinished"] * 4 == [
        type(event).__name__ for event in events
    ]


def test_keyed_request_with_query_or_large_body_uses_the_general_path() -> None:
    """A keyed request with a query or a large body is made on the general path."""
    scene = FirstCallScene()

    scene.manager.call("v", Request.post("/", query={"a": "b"}), idempotency_key="a")
    scene.manager.call("v", Request.post("/", body=bytes(300_000)), idempotency_key="b")

    assert ["Claim", "Admission", "Settle"] * 2 == scene.store.commands


def test_stored_response_of_another_process_is_returned() -> None:
    """If another process settled the idempotency key before, its stored response is returned."""
    scene = FirstCallScene()

    def settle() -> None:
        (entry,) = [cell for key, cell in scene.store._cells.items() if key.endswith("}:key")]  # noqa: SLF001 - what is stored is not public
        theirs = ("value", Response(201, body=b"theirs"))
        scene.store.execute(store_answer(STORED_KEY, entry[4], theirs, ttl=10**12))
        scene.store._cells[STORED_KEY] = (  # noqa: SLF001 - as if a later holder had settled it
            *scene.store._cells[STORED_KEY][:4],  # noqa: SLF001 - as if a later holder had settled it
            entry[4] + 1,
            *scene.store._cells[STORED_KEY][5:],  # noqa: SLF001 - as if a later holder had settled it
        )

    scene.client.meanwhile = settle

    answer = scene.pay()

    assert (b"theirs", True) == (answer.body, answer.replayed)


def test_answer_that_cannot_be_stored_is_returned() -> None:
    """If a response cannot be stored, it is returned anyway, but a repeat raises an error."""
    scene = FirstCallScene()

    def spoil() -> None:
        scene.store._cells[STORED_KEY] = (scene.store.now(), 10**12, "?")  # noqa: SLF001 - of a later release

    scene.client.meanwhile = spoil

    assert b"ours" == scene.pay().body
    with pytest.raises(StorageUnavailable):
        scene.pay()
    assert 1 == scene.client.sent


def test_encrypted_response_is_replayed() -> None:
    """With a cipher, the stored response is encrypted, and a repeat returns it."""
    scene = FirstCallScene(cipher=ReversingCipher())

    assert [False, True] == [scene.pay().replayed, scene.pay().replayed]
    assert "sealed" == scene.store._cells[STORED_KEY][10][0]  # noqa: SLF001 - what is stored is not public
    assert 1 == scene.client.sent


@pytest.mark.parametrize("verb", ["call", "run"])
def test_interruption_in_the_store_frees_the_key(verb: str) -> None:
    """If a call is interrupted while it claims its key, the key is free, as nothing was sent."""
    scene = FirstCallScene()
    scene.store.interrupted = KeyAdmission
    with pytest.raises(CallInterrupted):
        scene.act(verb)
    assert 0 == scene.client.sent

    scene.act(verb)
    assert 1 == scene.client.sent


@pytest.mark.parametrize("verb", ["call", "run"])
def test_interruption_after_the_answer_loses_nothing(verb: str) -> None:
    """If a call is interrupted after its response was stored, a repeat returns the response."""
    scene = FirstCallScene()
    scene.store.interrupted = Settle

    with pytest.raises(CallInterrupted):
        scene.act(verb)
    scene.act(verb)
    assert 1 == scene.client.sent


@pytest.mark.parametrize("verb", ["call", "run"])
def test_interrupted_attempt_leaves_the_key_unknown(verb: str) -> None:
    """If an attempt is interrupted, its key's outcome is unknown, and it is not sent again."""
    scene = FirstCallScene(circuit=CircuitBreakerConfig(failures=1))

    def stop() -> None:
        raise CallInterrupted

    scene.client.meanwhile = stop
    with pytest.raises(CallInterrupted):
        scene.act(verb)
    scene.client.meanwhile = int
    with pytest.raises(OutcomeUnknown):
        scene.act(verb)
    assert 1 == scene.client.sent


def test_cancelled_attempt_leaves_the_key_unknown() -> None:
    """If a task is cancelled during its request, the idempotency key's outcome is unknown."""

    async def run_scenario() -> int:
        client: Any = AsyncClient()
        async with AsyncConnectorManager([Service("v", base_url=BASE)], http=client) as manager:
            await manager.call("v", Request.get("/"))
            task = asyncio.create_task(manager.call("v", POST, idempotency_key="k"))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            with pytest.raises(OutcomeUnknown):
                await manager.call("v", POST, idempotency_key="k")
            return int(client.sent)

    assert 2 == asyncio.run(run_scenario())


class ReversingCipher:
    """A cipher that reverses the bytes, for tests."""

    def seal(self, content: bytes, about: bytes) -> bytes:
        """Return the bytes in reverse order."""
        return content[::-1]

    open = seal


def test_keys_end_alike_with_synchronous_and_asynchronous_managers() -> None:
    """Asynchronous managers replay and settle idempotency keys as synchronous managers do."""
    failures: list[BaseException] = [
        ConnectionFailed("refused.", may_have_been_processed=False),
        CallInterrupted(),
    ]

    def raise_error() -> None:
        raise failures.pop(0)

    async def run_scenario() -> None:
        client: Any = AsyncClient()
        cipher: Any = ReversingCipher()
        service = Service("v", base_url=BASE, retry=RetryPolicy(3, 0.0))
        async with AsyncConnectorManager([service], http=client, cipher=cipher) as manager:
            await manager.call("v", Request.get("/"))
            answers = [await manager.call("v", POST, idempotency_key="a") for _ in range(2)]
            assert [False, True] == [answer.replayed for answer in answers]

            client.meanwhile = raise_error
            with pytest.raises(CallInterrupted):
                await manager.call("v", POST, idempotency_key="b")
            failures.append(CallInterrupted())
            with pytest.raises(CallInterrupted):
                await manager.run("v", client.send, idempotency_key="c")
            client.meanwhile = int
            with pytest.raises(OutcomeUnknown):
                await manager.call("v", POST, idempotency_key="b")
            with pytest.raises(OutcomeUnknown):
                await manager.run("v", client.send, idempotency_key="c")

    asyncio.run(run_scenario())


def test_function_that_returns_an_awaitable_leaves_the_key_unknown() -> None:
    """A function that wrongly returns an awaitable is not called again under its key."""
    scene = FirstCallScene()

    async def unrun_coroutine() -> None:
        """A coroutine function that is never run."""

    run: Any = scene.manager.run
    with pytest.raises(ConfigurationError):
        run("v", unrun_coroutine, idempotency_key="k")
    with pytest.raises(OutcomeUnknown):
        scene.manager.run("v", int, idempotency_key="k")


def test_dry_run_calls_no_function_with_a_key() -> None:
    """In dry-run mode, a manager calls no function with an idempotency key."""
    scene = FirstCallScene(dry_run=True)
    scene.manager.run("v", int)

    with pytest.raises(DryRun):
        scene.manager.run("v", int, idempotency_key="k")
    with pytest.raises(DryRun):
        scene.pay()
    assert 0 == scene.client.sent
