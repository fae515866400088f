"""Renewal of the claims of idempotency keys, and callers that renew too late."""

from __future__ import annotations

import gc
import re
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage import (
    CircuitBreakerConfig,
    IdempotencyInProgress,
    OutcomeUnknown,
    RateLimitConfig,
    Request,
    Response,
    StorageUnavailable,
)
from moorage.domain.entries.renewal import CLAIM_LEASE, HeldClaim
from moorage.domain.idempotency.claims import LEASE, RENEWAL, Claim, Renew, Settle, release_claim
from moorage.domain.observation.events import AnswerNotStored
from moorage.domain.resilience.admission import Admission
from moorage.domain.service.plan import Plan
from moorage.domain.values.fingerprints import digest_of
from moorage.hub.internals import core_of
from moorage.services.calling.attempt_result import AttemptResult
from moorage.services.calling.steps import CallOperations
from moorage.services.core.renewal import NoRenewals, Renewals
from tests.services.one_effect import POST, bank, key_aware_bank
from tests.support.manual_heartbeat import ManualHeartbeat
from tests.support.modes import Harness, sync_and_async
from tests.support.virtual_tasks import run_plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage import Service
    from moorage.services.calling.call import Call

TTL = 10**9
STORE_DOWN = StorageUnavailable("it is away.")


class SharedHarness:
    """A test environment of several processes that share a store; each has its own claims."""

    def __init__(self, harness: Harness) -> None:
        self.harness = harness
        self.hearts: list[ManualHeartbeat] = []

    def new_heartbeat(self, work: Callable[[], Any], target: Callable[[], bool]) -> ManualHeartbeat:
        """Return a new heartbeat, and record it."""
        self.hearts.append(ManualHeartbeat(work, target))
        return self.hearts[-1]

    def process(self, service: Service, **ports: Any) -> CallOperations:
        """Return the object that makes the calls of a new process, which shares the store."""
        options = {"state": self.harness.of_mode(self.harness.store)} | ports
        core = core_of(self.harness.watched(service, **options).manager)
        return CallOperations(attrs.evolve(core, renewals=self.renewals()), [service])

    def renewals(self) -> Renewals:
        """Return a new object that renews the claims of one process."""
        execute = self.harness.store.execute
        return Renewals(
            execute, self.harness.clock.nanoseconds, by_tag=False, heartbeat=self.new_heartbeat
        )

    def stores(self, *, has_claim_store: bool) -> dict[str, Any]:
        """Return one store for everything, or a separate one for claims."""
        store = self.harness.of_mode(self.harness.store)
        return (
            {"claims": store, "state": self.harness.state()}
            if has_claim_store
            else {"state": store}
        )

    def hold_claim(self, renewals: Renewals, key: str) -> HeldClaim:
        """Claim this idempotency key, and return the claim, which this process renews."""
        claim_answer = self.harness.store.memory.execute(_claim(key))
        held_claim = HeldClaim(
            key, claim_answer.fence, ttl=TTL, until=self.harness.clock.nanoseconds() + CLAIM_LEASE
        )
        renewals.keep(held_claim)
        return held_claim

    def take_over(self) -> None:
        """As another process, take over the latest claim's key, as if this claim had expired."""
        (claim,) = [command for command in self.harness.store.commands if type(command) is Claim][
            -1:
        ]
        rival_claim = _claim(
            claim.keys[0], fingerprint=digest_of(claim.fingerprint), remembered=TTL
        )
        assert self.harness.store.memory.execute(rival_claim).fence

    async def charge(self, flows: CallOperations, **options: Any) -> Response:
        """Call the bank once with the idempotency key "k"."""
        return await flows.call("bank", POST, idempotency_key="k", **options)

    def pause(self, seconds: float = LEASE / 1e6) -> None:
        """Advance the clock without renewing any claim."""
        self.harness.clock.advance(seconds)

    def count(self, kind: type) -> int:
        """Return the number of commands of this kind that the store got."""
        return sum(type(command) is kind for command in self.harness.store.commands)


def _claim(key: str, fingerprint: bytes = b"", remembered: int = 0) -> Claim:
    return Claim(
        key,
        fingerprint=fingerprint,
        owner=99,
        lease=LEASE,
        ttl=TTL,
        target=Plan(bank(), None, None).target,
        remembered=remembered,
    )


@sync_and_async
async def test_short_call_renews_nothing(harness: Harness) -> None:
    """A short call sends the store three commands and no renewal."""
    shared_harness = SharedHarness(harness)
    flows = shared_harness.process(bank())
    await shared_harness.charge(flows)
    assert 3 == len(harness.store.commands)
    (heartbeat,) = shared_harness.hearts
    assert (1, False) == (heartbeat.woken, heartbeat.wanted())
    await heartbeat.beat()
    assert 3 == len(harness.store.commands)


@sync_and_async
async def test_claim_lasts_as_long_as_its_holder(harness: Harness) -> None:
    """A renewed claim is not taken over; other callers get a retry time within one lease."""
    gate = harness.gate()
    harness.vendor.answers(gate.answering(Response(200, body=b"one")))
    shared_harness = SharedHarness(harness)
    calling, other_process = shared_harness.process(bank()), shared_harness.process(bank())
    running_charge = harness.start(lambda: shared_harness.charge(calling))
    await gate.reached()
    for _ in range(10):
        shared_harness.pause(RENEWAL / 1e6)
        await shared_harness.hearts[0].beat()
    with pytest.raises(IdempotencyInProgress):
        await shared_harness.charge(other_process, timeout=0.001)
    claims = [command for command in harness.store.commands if type(command) is Claim]
    assert [(LEASE, 35_000_000), (LEASE, 5_001_000)] == [
        (claim.lease, claim.term) for claim in claims
    ]
    gate.open()
    assert b"one" == (await running_charge.result()).body
    assert (await shared_harness.charge(other_process)).replayed


@sync_and_async
async def test_dead_holder_is_replaced_after_its_lease(harness: Harness) -> None:
    """If a caller dies and the vendor honours keys, a waiting caller takes over after the lease."""
    gates = harness.gate(), harness.gate()
    harness.vendor.answers(gates[0].answering(200), Response(200, body=b"again"))
    shared_harness = SharedHarness(harness)
    calling, other_process = (
        shared_harness.process(key_aware_bank()),
        shared_harness.process(key_aware_bank()),
    )
    start_time = harness.clock.now
    running_charge = harness.start(lambda: shared_harness.charge(calling))
    await gates[0].reached()
    assert b"again" == (await shared_harness.charge(other_process)).body
    assert LEASE / 1e6 <= harness.clock.now - start_time <= LEASE / 1e6 + 0.01
    gates[0].open()
    late_response = await running_charge.result()
    assert (b"again", True) == (late_response.body, late_response.replayed)


@sync_and_async
async def test_dead_holder_leaves_an_unknown_outcome(
    harness: Harness,
) -> None:
    """A request of a caller that seems dead is not repeated, and its late response is stored.

    That nothing is found proves nothing yet, as the request may be under way for a while.
    """
    gate = harness.gate()
    harness.vendor.answers(gate.answering(Response(200, body=b"late")))
    shared_harness = SharedHarness(harness)
    calling, other_process = shared_harness.process(bank()), shared_harness.process(bank())
    running_charge = harness.start(lambda: shared_harness.charge(calling))
    await gate.reached()
    with pytest.raises(OutcomeUnknown, match="no response confirmed") as excinfo:
        await shared_harness.charge(other_process)
    assert re.search(r"in progress for 3[34] s\.", excinfo.value.remedy)
    assert not await other_process.resolve_key("bank", "k", done=False)

    await shared_harness.hearts[0].beat()
    with pytest.raises(IdempotencyInProgress):
        await shared_harness.charge(other_process, timeout=0.5)
    gate.open()
    assert (b"late", False) == (
        (await running_charge.result()).body,
        (await running_charge.result()).replayed,
    )
    assert b"late" == (await shared_harness.charge(other_process)).body
    assert 1 == len(harness.vendor.requests)


@sync_and_async
async def test_late_claim_is_renewed_before_admission(harness: Harness) -> None:
    """If claiming a key takes longer than a lease, the claim is renewed before sending."""
    shared_harness = SharedHarness(harness)
    flows = shared_harness.process(bank())

    async def pause_on_claim(command: Any) -> None:
        if type(command) is Claim:
            shared_harness.pause()

    harness.store.meanwhile = pause_on_claim
    assert 200 == (await shared_harness.charge(flows)).status
    assert [Claim, Renew, Admission, Settle] == [
        type(command) for command in harness.store.commands
    ]


@sync_and_async
async def test_caller_whose_claim_expires_and_is_taken_over_before_admission_sends_nothing(
    harness: Harness,
) -> None:
    """A caller whose claim expires and is taken over before admission sends nothing."""
    shared_harness = SharedHarness(harness)
    flows = shared_harness.process(bank())

    async def take_over_on_renewal(command: Any) -> None:
        if type(command) is Renew:
            shared_harness.pause()
            shared_harness.take_over()

    async def pause_on_claim(command: Any) -> None:
        if type(command) is Claim:
            shared_harness.pause()
            harness.store.meanwhile = take_over_on_renewal

    harness.store.meanwhile = pause_on_claim
    with pytest.raises(IdempotencyInProgress, match="lost its claim"):
        await shared_harness.charge(flows)
    assert [] == harness.vendor.requests
    assert 0 == shared_harness.count(Admission)


@pytest.mark.parametrize("has_claim_store", [False, True])
@sync_and_async
async def test_late_claim_is_renewed_before_sending(
    harness: Harness, has_claim_store: bool
) -> None:
    """A caller that renews its claim late still sends its request if nobody took over the claim."""
    shared_harness = SharedHarness(harness)

    def pause_world(request: Request) -> Request:
        shared_harness.pause()
        return request

    flows = shared_harness.process(
        bank(request_transforms=(pause_world,)),
        **shared_harness.stores(has_claim_store=has_claim_store),
    )
    assert 200 == (await shared_harness.charge(flows)).status
    assert [Renew, Settle] == [type(command) for command in harness.store.commands[-2:]]
    assert 1 == shared_harness.count(Renew)


@pytest.mark.parametrize("has_claim_store", [False, True])
@sync_and_async
async def test_replaced_holder_sends_nothing(harness: Harness, has_claim_store: bool) -> None:
    """A caller whose idempotency key was taken over by another process sends nothing."""
    shared_harness = SharedHarness(harness)

    def pause_world(request: Request) -> Request:
        shared_harness.pause()
        shared_harness.take_over()
        return request

    flows = shared_harness.process(
        bank(request_transforms=(pause_world,)),
        **shared_harness.stores(has_claim_store=has_claim_store),
    )
    with pytest.raises(IdempotencyInProgress, match="lost its claim"):
        await shared_harness.charge(flows)
    assert [] == harness.vendor.requests


@pytest.mark.parametrize("has_claim_store", [False, True])
@pytest.mark.parametrize("replaced", [False, True])
@sync_and_async
async def test_function_runs_only_under_a_renewed_claim(
    harness: Harness, has_claim_store: bool, replaced: bool
) -> None:
    """A function that waited for a rate limit is called only if its claim was renewed."""
    shared_harness, effects = SharedHarness(harness), list[str]()
    service = bank(limits=RateLimitConfig.per_second(1), circuit=CircuitBreakerConfig())
    flows = shared_harness.process(
        service, **shared_harness.stores(has_claim_store=has_claim_store)
    )

    async def perform_effect(call: Call) -> AttemptResult:
        call.leave()
        effects.append("effect")
        return AttemptResult("done")

    async def pause_before_run() -> None:
        shared_harness.pause()
        if replaced:
            shared_harness.take_over()

    assert ("done", None) == await flows.run("bank", perform_effect)
    harness.sleeper.meanwhile.append(pause_before_run)
    value, error = await flows.run("bank", perform_effect, idempotency_key="k")
    kind = IdempotencyInProgress if replaced else type(None)
    assert (None if replaced else "done", kind) == (value, type(error))
    assert 1 + (not replaced) == len(effects)


@sync_and_async
async def test_response_survives_failed_renewals(harness: Harness) -> None:
    """The caller gets the response even if the store fails first and then loses the claim."""
    gate = harness.gate()
    harness.vendor.answers(gate.answering(Response(200, body=b"done")))
    shared_harness = SharedHarness(harness)
    flows = shared_harness.process(bank())
    running_charge = harness.start(lambda: shared_harness.charge(flows))
    await gate.reached()
    harness.store.is_away = STORE_DOWN
    shared_harness.pause()
    await shared_harness.hearts[0].beat()
    harness.store.is_away = None
    shared_harness.pause(10**9)
    gate.open()
    assert b"done" == (await running_charge.result()).body
    (result,) = [event for event in harness.events if isinstance(event, AnswerNotStored)]
    assert ("k", "StorageUnavailable") == (result.idempotency_key, result.error)


@sync_and_async
async def test_late_holder_sends_nothing_during_an_outage(harness: Harness) -> None:
    """A caller that cannot renew its expired claim sends nothing."""
    shared_harness = SharedHarness(harness)

    def pause_world(request: Request) -> Request:
        shared_harness.pause()
        harness.store.is_away = STORE_DOWN
        return request

    flows = shared_harness.process(bank(request_transforms=(pause_world,)))
    with pytest.raises(StorageUnavailable):
        await shared_harness.charge(flows)
    assert [] == harness.vendor.requests


# --- rounds -----------------------------------------------------------------------------------


@sync_and_async
async def test_one_failing_renewal_does_not_affect_others(harness: Harness) -> None:
    """If a batch of renewals fails, it is halved until all other claims are renewed."""
    shared_harness = SharedHarness(harness)
    renewals = shared_harness.renewals()
    claims = [shared_harness.hold_claim(renewals, f"k{number}") for number in range(9)]
    shared_harness.pause(1)

    async def fail_one_renewal(command: Any) -> None:
        if "k6" in command.keys:
            raise STORE_DOWN

    harness.store.meanwhile = fail_one_renewal
    await shared_harness.hearts[0].beat()
    now = harness.clock.nanoseconds()
    assert [number != 6 for number in range(9)] == [
        held_claim.until == now + CLAIM_LEASE for held_claim in claims
    ]


@sync_and_async
async def test_renewal_round_is_bounded(harness: Harness) -> None:
    """A slow store gets one renewal command per round, however many claims there are."""
    shared_harness = SharedHarness(harness)
    renewals = shared_harness.renewals()
    claims = [shared_harness.hold_claim(renewals, f"k{number}") for number in range(9)]
    shared_harness.pause(1)
    commands_before = len(harness.store.commands)

    async def pause_store(command: Any) -> None:
        shared_harness.pause(RENEWAL / 1e6)
        raise STORE_DOWN

    harness.store.meanwhile = pause_store
    await shared_harness.hearts[0].beat()
    assert 1 == len(harness.store.commands) - commands_before
    assert 9 == len(claims)


@sync_and_async
async def test_ended_claims_are_not_renewed(harness: Harness) -> None:
    """A claim that was taken over, released or abandoned is not renewed."""
    shared_harness = SharedHarness(harness)
    renewals = shared_harness.renewals()
    lost_claim, expired_claim, released_claim = (
        shared_harness.hold_claim(renewals, key) for key in ("lost", "gone", "left")
    )
    shared_harness.pause()
    harness.store.memory.execute(release_claim("lost", lost_claim.fence, ttl=TTL))
    renewals.stop_renewing(released_claim)
    del expired_claim
    gc.collect()
    await shared_harness.hearts[0].beat()
    assert ("lost",) == harness.store.commands[-1].keys
    assert not shared_harness.hearts[0].wanted()
    assert (True, False) == (lost_claim.lost, await renewals.holds(lost_claim, 1.0))


@sync_and_async
async def test_forked_child_has_no_claims(harness: Harness) -> None:
    """A forked process does not renew its parent's claims, and sends nothing under them."""
    shared_harness = SharedHarness(harness)
    renewals = shared_harness.renewals()
    claim = shared_harness.hold_claim(renewals, "k")
    renewals.stop_after_fork()
    assert not shared_harness.hearts[0].wanted()
    commands = len(harness.store.commands)
    assert not await renewals.holds(claim, 1.0)
    assert commands == len(harness.store.commands)


def test_claims_without_renewal_last_their_whole_term() -> None:
    """Claims in an in-memory store are not renewed, because the store ends with its process."""
    renewals = NoRenewals()
    claim = HeldClaim("k", 1, ttl=1, until=0)
    renewals.keep(claim)
    renewals.stop_renewing(claim)
    assert (35, True) == (renewals.lease(35), run_plain(renewals.holds(claim, 1.0)))


class StoreOfTwoNodes:
    """A store with the nodes "a" and "b", of which some commands get no answer in time."""

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self.lost: Callable[[str], bool] = lambda key: key.startswith("{a")

    async def execute(self, command: Any, timeout: float | None) -> tuple[bool, ...]:
        """Confirm each claim, or let the time limit pass."""
        if any(map(self.lost, command.keys)):
            self._clock.advance(timeout or 0.0)
            raise STORE_DOWN
        return (True,) * len(command.keys)

    def node_of(self, command: Any) -> str:
        """Return the node of a command's keys."""
        return str(command.keys[0][1])


@sync_and_async
async def test_node_without_answers_does_not_end_the_claims_of_others(harness: Harness) -> None:
    """While a node does not respond, its many claims do not make claims of other nodes lapse."""
    store, shared_harness = StoreOfTwoNodes(harness.clock), SharedHarness(harness)
    renewals = Renewals(
        store.execute,
        harness.clock.nanoseconds,
        by_tag=True,
        heartbeat=shared_harness.new_heartbeat,
        node_of=store.node_of,
    )
    now = harness.clock.nanoseconds
    claims = {
        node: [
            HeldClaim(f"{{{node}{number}}}", 1, ttl=TTL, until=now() + CLAIM_LEASE)
            for number in range(20)
        ]
        for node in "ab"
    }

    async def beat(times: int) -> None:
        for _ in range(times):
            harness.clock.advance(RENEWAL / 1e6)
            assert all(claim.until > now() for claim in claims["b"])
            await shared_harness.hearts[0].beat()

    for claim in claims["a"] + claims["b"]:
        renewals.keep(claim)
    await beat(10)
    assert not any(claim.until > now() for claim in claims["a"])

    # One state of the node cannot be read in time, but its others can.
    store.lost = lambda key: key == "{a7}"
    await beat(4)
    assert [7] == [number for number, claim in enumerate(claims["a"]) if claim.until < now()]

    store.lost = lambda key: False
    await beat(2)
    assert all(claim.until > now() for claim in claims["a"])
