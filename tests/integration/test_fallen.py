"""What is left by a process that was killed in the middle of its calls."""

from __future__ import annotations

import os
import signal
import time
from contextlib import contextmanager, suppress
from threading import Lock
from typing import TYPE_CHECKING
from uuid import uuid4

import attrs
import pytest

from moorage import (
    CircuitBreakerConfig,
    CircuitBreakerOpen,
    ConnectorManager,
    OutcomeUnknown,
    Request,
    Service,
    VendorFailed,
)
from moorage.domain.service.plan import MARGIN
from moorage.testing import Behaviour, VendorServer
from tests.integration.conftest import KINDS
from tests.integration.places import Place, now, until
from tests.integration.workers import Job

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from moorage.testing.fakes.http_server import Received
    from tests.integration.crew import Crew, Hand

TIMEOUT = 2.0
LEASE = TIMEOUT + MARGIN
SETS = {kind: (kind,) for kind in KINDS} | {"redis+sqlite": ("redis", "sqlite")}


class Bank:
    """A vendor that kills whoever sends it the first request of each of two keys.

    It knows keys, if it is shown any, and acts once for each.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self.victim = 0
        self.heard: dict[str, list[str | None]] = {}
        self.effects: dict[str, int] = {}

    def answer(self, received: Received) -> Behaviour:
        """Act, unless the key is known; the first answers are never sent."""
        path = received.path
        key = received.headers.get("idempotency-key")
        with self._lock:
            notices = self.heard.setdefault(path, [])
            notices.append(key)
            if key is None or notices.count(key) == 1:
                self.effects[path] = self.effects.get(path, 0) + 1
            if len(notices) > 1:
                return Behaviour(200, body=b"effect %d" % self.effects[path])
            if len(self.heard) == 2:
                os.kill(self.victim, signal.SIGKILL)
        return Behaviour(delay=3600)


@attrs.define
class Fallen:
    """A process that is killed while it is a probe, and while it sends two requests.

    Attributes:
        probe: the service whose circuit is half open.
        honoured, other: services whose vendor knows keys, and does not.
        asked: when it asked to be the probe.
        refused: when another process was told, soon after, to come again
        retry_after: in so many seconds; None if it came so late that it was let in.
    """

    place: Place
    claims: Place | None
    probe: Service
    honoured: Service
    other: Service
    bank: Bank = attrs.field(factory=Bank)
    asked: int = 0
    refused: int = 0
    retry_after: float | None = None

    @property
    def job(self) -> Job:
        """What it does when it is killed."""
        return Job(
            scenario="hold",
            services=(self.probe, self.honoured, self.other),
            state=self.place,
            claims=self.claims,
        )

    @contextmanager
    def manager(self) -> Generator[ConnectorManager]:
        """Another process's way to the same services."""
        with self.place.open() as state, (self.claims or self.place).open() as claims:
            keys = claims if self.claims else None
            with ConnectorManager(self.job.services, state=state, claims=keys) as manager:
                yield manager


@pytest.fixture(scope="module")
def fallen(crew: Crew, request: pytest.FixtureRequest) -> Iterator[dict[str, Fallen]]:
    """One for each store that is there; all are killed first, and then wait side by side."""
    fields = {}
    with VendorServer() as vendor:
        for name, kinds in SETS.items():
            try:
                places = [request.getfixturevalue(f"{kind}_place") for kind in kinds]
            except pytest.skip.Exception:
                continue
            fields[name] = _made(vendor, *places)
        hands = crew.ready([field.job for field in fields.values()])
        for one, hand in zip(fields.values(), hands, strict=True):
            _kill(one, hand)
        yield fields


def _made(vendor: VendorServer, place: Place, claims: Place | None = None) -> Fallen:
    """What a process is to fall over."""
    mark = uuid4().hex
    circuit = CircuitBreakerConfig(failures=1, open_for=0.01, open_at_most=0.01)
    other = Service(f"other-{mark}", base_url=vendor.url, retry=None, timeout=TIMEOUT)
    one = Fallen(
        place,
        claims,
        probe=Service(f"probe-{mark}", circuit=circuit, retry=None, timeout=TIMEOUT),
        honoured=attrs.evolve(
            other,
            name=f"honoured-{mark}",
            idempotency_header="Idempotency-Key",
            idempotency_memory=86_400,
        ),
        other=other,
    )
    for service in (one.honoured, one.other):
        vendor.always(one.bank.answer, path=f"/{service.name}")
    with one.manager() as manager:
        _break(manager, one.probe.name)
    return one


def _kill(one: Fallen, hand: Hand) -> None:
    one.bank.victim = hand.pid
    hand.go()
    hand.wait_for("inside")
    hand.wait_for_end()
    one.asked = hand.of("asking")[0]["at"]
    with one.manager() as manager, suppress(VendorFailed):
        began = time.time()
        try:
            manager.run(one.probe.name, _down)
        except CircuitBreakerOpen as error:
            one.retry_after = error.retry_at.timestamp() - began if error.retry_at else None
    one.refused = now()


def _down() -> None:
    raise VendorFailed("the vendor is down.")


def _break(manager: ConnectorManager, name: str) -> None:
    with pytest.raises(VendorFailed):
        manager.run(name, _down)


def _of(fallen: dict[str, Fallen], name: str, request: pytest.FixtureRequest) -> Fallen:
    for kind in SETS[name]:
        request.getfixturevalue(f"{kind}_place")
    return fallen[name]


@pytest.mark.parametrize("kind", KINDS)
def test_the_place_of_a_dead_probe_is_free_again(
    fallen: dict[str, Fallen], kind: str, request: pytest.FixtureRequest
) -> None:
    """It is kept for the attempt's deadline and a margin, and no longer."""
    one = _of(fallen, kind, request)
    if one.retry_after is None:  # only on a machine that stood still for seconds
        assert one.refused - one.asked > LEASE * 1e9
    else:
        assert 0 < one.retry_after <= LEASE + 0.001

    def admitted() -> int:
        try:
            manager.run(one.probe.name, lambda: None)
        except CircuitBreakerOpen:
            return 0
        return now()

    with one.manager() as manager:
        at = until(admitted, "no place for a probe")
    assert at - one.asked >= LEASE * 1e9


@pytest.mark.parametrize("kinds", SETS)
def test_a_vendor_that_knows_keys_is_asked_again(
    fallen: dict[str, Fallen], kinds: str, request: pytest.FixtureRequest
) -> None:
    """It was sent and the answer is unknown, so the same is sent under the same key: one effect."""
    one = _of(fallen, kinds, request)
    path, key = f"/{one.honoured.name}", f"key of {one.honoured.name}"
    with one.manager() as manager:
        first, second = [
            manager.call(
                one.honoured.name,
                Request.post(path, body=b"one"),
                idempotency_key=key,
                timeout=150,
            )
            for _ in range(2)
        ]
    assert (b"effect 1", b"effect 1") == (first.body, second.body)
    assert (False, True) == (first.replayed, second.replayed)
    assert [key, key] == one.bank.heard[path]
    assert 1 == one.bank.effects[path]


@pytest.mark.parametrize("kinds", SETS)
def test_a_vendor_that_knows_no_keys_is_not(
    fallen: dict[str, Fallen], kinds: str, request: pytest.FixtureRequest
) -> None:
    """A repeat says what has to be looked up, as often as it is tried, and nothing is sent."""
    one = _of(fallen, kinds, request)
    path, key = f"/{one.other.name}", f"key of {one.other.name}"
    with one.manager() as manager:
        for _ in range(2):
            with pytest.raises(OutcomeUnknown) as raised:
                manager.call(
                    one.other.name,
                    Request.post(path, body=b"one"),
                    idempotency_key=key,
                    timeout=150,
                )
            assert key == raised.value.idempotency_key
            assert key in str(raised.value.lookup)
    assert [None] == one.bank.heard[path]
    assert 1 == one.bank.effects[path]
