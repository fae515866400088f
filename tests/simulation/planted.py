"""Deliberate bugs in the protocol: plausible mistakes that the simulation's laws must find."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import attrs

from moorage.domain.idempotency import claims as idempotency
from moorage.domain.idempotency import former_shard
from moorage.domain.idempotency.claims import Claim, ClaimResult, Settle, Verdict
from moorage.domain.resilience import rate_limit, retry
from moorage.domain.resilience.admission import Admission, Answer
from moorage.domain.resilience.bucket import TokenBucket
from moorage.domain.resilience.circuit import CircuitRule, Outcome
from moorage.domain.resilience.gate_commands import Confirm, GiveBack, Pause, Report
from moorage.domain.service import region
from moorage.domain.service.plan import Plan
from moorage.domain.state.sharding import Location
from moorage.services.calling import attempts
from moorage.services.calling import idempotency as flows
from moorage.services.calling.call import Call
from moorage.services.core.outage_probe import OutageProbe
from moorage.services.entries.outbox import OutboxFlows
from moorage.services.entries.processing import EntryProcessing
from moorage.services.state import store_fallback
from tests.simulation.entries import Outbox
from tests.simulation.simulator import Shards

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from moorage.domain.resilience.retry import RetryPolicy


@attrs.frozen
class PlantedBug:
    """A deliberate bug, and the function that patches it in."""

    name: str
    plant: Callable[[Callable[[Any, str, Any], None]], None]

    @contextmanager
    def planted(self) -> Generator[None]:
        """Patch the bug in for the duration of the context."""
        undo: list[tuple[Any, str, Any]] = []

        def patch(owner: Any, name: str, value: Any) -> None:
            undo.append((owner, name, getattr(owner, name)))
            setattr(owner, name, value)

        self.plant(patch)
        try:
            yield
        finally:
            for owner, name, value in reversed(undo):
                setattr(owner, name, value)


BUGS: list[PlantedBug] = []


ENTRY_BUGS: list[PlantedBug] = []


SHARD_BUGS: list[PlantedBug] = []


def bug(plant: Callable[[Callable[[Any, str, Any], None]], None]) -> None:
    """Register a deliberate bug of the call protocol."""
    BUGS.append(PlantedBug(plant.__name__, plant))


def entry_bug(plant: Callable[[Callable[[Any, str, Any], None]], None]) -> None:
    """Register a deliberate bug of the outbox."""
    ENTRY_BUGS.append(PlantedBug(plant.__name__, plant))


def shard_bug(plant: Callable[[Callable[[Any, str, Any], None]], None]) -> None:
    """Register a deliberate bug of shards, or of limits that are split into parts."""
    SHARD_BUGS.append(PlantedBug(plant.__name__, plant))


@bug
def no_fencing(patch: Any) -> None:
    """Planted bug: renewals are late, and the holder of a lost claim may store its outcome."""
    original, mark, claim = Settle.apply, idempotency.mark_sent, Claim.__init__

    def build(self: Claim, *args: Any, **options: Any) -> None:
        claim(self, *args, **(options | {"lease": 10_000}))

    def mark_sent(entry: Any, fence: int, target: str) -> Any:
        return mark(entry, entry[4] if entry else fence, target)

    def apply(self: Settle, states: Any, now: int) -> Any:
        entry = idempotency.unexpired(states[0], now)
        if entry is not None:
            self = Settle(self.keys[0], entry[4], self.stage, ttl=self.ttl, answer=self.answer)
            if entry[2] == idempotency.DONE:
                states = ((*entry[:2], idempotency.SENT, *entry[3:]),)
        return original(self, states, now)

    patch(Settle, "apply", apply)
    patch(idempotency, "mark_sent", mark_sent)
    patch(Claim, "__init__", build)


@bug
def lease_never_expires(patch: Any) -> None:
    """Planted bug: the lease of a dead probe never expires."""
    original = CircuitRule.admit

    def admit(self: CircuitRule, circuit: Any, token: int, lease: int) -> Any:
        return original(self, circuit, token, lease + 10**15)

    patch(CircuitRule, "admit", admit)


@bug
def tokens_lost_on_cancel(patch: Any) -> None:
    """Planted bug: a cancelled wait for a rate limit returns none of its tokens."""
    patch(GiveBack, "apply", lambda self, states, now: (states, None))


@bug
def naive_refund(patch: Any) -> None:
    """Planted bug: a cancelled wait returns all its tokens, though later grants depend on them."""

    def refund(self: TokenBucket, bucket: Any, ticket: Any) -> Any:
        level = min(self.room, bucket[3] + ticket[2] * self.price)
        return (*bucket[:3], level, *bucket[4:])

    patch(TokenBucket, "refund", refund)


@bug
def time_lost_on_cancel(patch: Any) -> None:
    """Planted bug: a cancelled wait returns its tokens to the end of the queue."""

    def refund(self: TokenBucket, bucket: Any, ticket: Any) -> Any:
        *bucket_head, runs, shape = bucket
        if not runs or len(ticket) != 7:
            return bucket
        *run_head, idle_span = runs[-1]
        idle_span = min(self.room, idle_span + ticket[2] * self.price)
        return (*bucket_head, (*runs[:-1], (*run_head, idle_span)), shape)

    patch(TokenBucket, "refund", refund)


@bug
def outcome_of_another_generation(patch: Any) -> None:
    """Planted bug: a report about an old generation of a circuit counts in the current one."""
    original = CircuitRule.record

    def record(self: CircuitRule, circuit: Any, permit: Any, outcome: Any, reporter: str) -> Any:
        return original(self, circuit, (circuit[3], *permit[1:]), outcome, reporter)

    patch(CircuitRule, "record", record)


@bug
def leases_cleared_on_opening(patch: Any) -> None:
    """Planted bug: opening the circuit drops the leases of running probes."""
    original = CircuitRule._opened_circuit  # noqa: SLF001 - the bug is planted inside

    def opened(self: CircuitRule, circuit: Any) -> Any:
        *circuit_fields, record = original(self, circuit)
        return (*circuit_fields, record._replace(leases=()))

    patch(CircuitRule, "_opened_circuit", opened)


@bug
def budget_per_process(patch: Any) -> None:
    """Planted bug: each process has its own retry budget instead of the shared one."""
    original = Plan.__init__
    numbers = iter(range(10**9))

    def build(self: Plan, *of: Any) -> None:
        original(self, *of)
        self.gates.budget_key += str(next(numbers))
        details = {name: getattr(self.question, name) for name in ("within", "lease", "costs")}
        self.question = Admission(self.gates, **details)
        self.admission = self.question

    patch(Plan, "__init__", build)


@bug
def limits_per_process(patch: Any) -> None:
    """Planted bug: each process has its own rate limits instead of the shared rate limits."""
    original = Plan.__init__
    numbers = iter(range(10**9))

    def build(self: Plan, *of: Any) -> None:
        original(self, *of)
        if not self.gates.limits:
            return
        self.gates.limit_keys = tuple(f"{key}{next(numbers)}" for key in self.gates.limit_keys)
        details = {name: getattr(self.question, name) for name in ("within", "lease", "costs")}
        self.question = Admission(self.gates, **details)
        self.admission = self.question

    patch(Plan, "__init__", build)


@bug
def sent_is_not_marked(patch: Any) -> None:
    """Planted bug: an idempotency key is not marked as sent, so an expired claim is taken over."""
    patch(attempts, "admission_question", lambda core, call, *, retry: call.plan.admission)


@bug
def unknown_is_taken_again(patch: Any) -> None:
    """Planted bug: a key with an unknown outcome is called as if nothing had been sent."""
    original = Claim.apply

    def apply(self: Claim, states: Any, now: int) -> Any:
        next_states, claim_result = original(self, states, now)
        if claim_result.verdict is Verdict.UNKNOWN:
            fencing_token = states[0][4] + 1
            return self._taken_states(now, fencing_token), ClaimResult(Verdict.RUN, fencing_token)
        return next_states, claim_result

    patch(Claim, "apply", apply)


@bug
def claims_do_not_exclude(patch: Any) -> None:
    """Planted bug: a claim in progress is taken over at once."""
    original = Claim.apply

    def apply(self: Claim, states: Any, now: int) -> Any:
        next_states, claim_result = original(self, states, now)
        if claim_result.verdict is Verdict.BUSY:
            fencing_token = states[0][4] + 1
            return self._taken_states(now, fencing_token), ClaimResult(Verdict.RUN, fencing_token)
        return next_states, claim_result

    patch(Claim, "apply", apply)


@bug
def payload_is_not_compared(patch: Any) -> None:
    """Planted bug: a repeated key with a different payload gets the earlier response."""
    original = Claim.apply

    def apply(self: Claim, states: Any, now: int) -> Any:
        if states[0] is not None:
            self.fingerprint = states[0][3]
        return original(self, states, now)

    patch(Claim, "apply", apply)


@bug
def lost_answer_is_repeated(patch: Any) -> None:
    """Planted bug: a possibly processed request is repeated without an idempotency key."""
    original = retry.decide

    def decide(policy: RetryPolicy, error: Exception, **facts: Any) -> Any:
        return original(policy, error, **(facts | {"repeatable": True}))

    patch(retry, "decide", decide)


@bug
def processed_goes_elsewhere(patch: Any) -> None:
    """Planted bug: a request that one region may have processed is repeated in another region."""
    original = region.regions_to_try

    def regions_to_try(*of: Any, **facts: Any) -> Any:
        return original(*of, **(facts | {"movable": True}))

    patch(region, "regions_to_try", regions_to_try)


@bug
def sent_mark_forgets_where(patch: Any) -> None:
    """Planted bug: a sent request is recorded for its claim's region, not the one it went to."""
    original = idempotency.mark_sent

    def mark_sent(entry: Any, fence: int, target: str) -> Any:
        return original(entry, fence, entry[9] if entry else target)

    patch(idempotency, "mark_sent", mark_sent)


@bug
def sent_is_released(patch: Any) -> None:
    """Planted bug: a caller that lost the vendor's response frees the idempotency key."""

    def free(key: str, fence: int, *, ttl: int) -> Settle:
        return Settle(key, fence, idempotency.FREE, ttl=ttl)

    patch(flows, "abandon_claim", free)


@bug
def woken_without_asking(patch: Any) -> None:
    """Planted bug: after waiting for the rate limit, a caller skips the second admission check."""
    patch(Confirm, "apply", lambda self, states, now: (states, (Answer.GO, 0)))


@bug
def pause_is_not_shared(patch: Any) -> None:
    """Planted bug: the pause of a vendor's `Retry-After` is not shared with other processes."""
    patch(Pause, "apply", lambda self, states, now: (states, None))


@bug
def queue_is_jumped(patch: Any) -> None:
    """Planted bug: a later caller gets a rate-limit grant before the callers in the queue."""
    original = TokenBucket._place_in_queue  # noqa: SLF001 - the bug is planted inside

    def place(self: TokenBucket, bucket: Any, cost: int, at: int) -> Any:
        return original(self, (*bucket[:7], (), bucket[8]), cost, at)

    patch(TokenBucket, "_place_in_queue", place)


@bug
def deadline_is_per_attempt(patch: Any) -> None:
    """Planted bug: each attempt gets the call's whole timeout again."""
    patch(Call, "remaining", lambda self, core: self.deadline - self.started)


@bug
def cancellation_is_a_failure(patch: Any) -> None:
    """Planted bug: a cancelled call counts as a failure of the vendor."""
    original = Report.__init__

    def build(self: Report, gates: Any, permit: Any, outcome: Any, reporter: str) -> None:
        neutral = outcome is Outcome.NEUTRAL
        original(self, gates, permit, Outcome.FAILED if neutral else outcome, reporter)

    patch(Report, "__init__", build)


@bug
def claims_go_on_without_their_store(patch: Any) -> None:
    """Planted bug: while the store is down, each process claims keys in its own memory."""
    patch(store_fallback, "needs_no_store", lambda _: True)


@bug
def slow_is_away(patch: Any) -> None:
    """Planted bug: one late reply makes a working store count as down."""
    patch(OutageProbe, "is_slow", lambda *_: False)


def _by_the_callers_clock(patch: Any, *verbs: str) -> None:
    """Make the named outbox operations use their host's own clock instead of the store's."""
    for verb in verbs:
        original = getattr(OutboxFlows, verb)

        async def call_substituted(
            self: OutboxFlows, *of: Any, right: Any = original, **more: Any
        ) -> Any:
            async def now() -> Any:
                return self.core.utc()

            previous_store, self.store = self.store, attrs.evolve(self.store, now=now)
            try:
                return await right(self, *of, **more)
            finally:
                self.store = previous_store

        patch(OutboxFlows, verb, call_substituted)


@entry_bug
def leases_by_the_workers_clock(patch: Any) -> None:
    """Planted bug: a worker times its lease and its pauses by its own clock."""
    _by_the_callers_clock(patch, "deliver")


@entry_bug
def spans_by_the_hosts_clock(patch: Any) -> None:
    """Planted bug: a host measures the delay of a deferred call by its own clock."""
    _by_the_callers_clock(patch, "put")


@entry_bug
def arrivals_by_the_hosts_clock(patch: Any) -> None:
    """Planted bug: a call becomes due at a time taken from its host's clock."""

    def handle_arrived(_: Outbox, entry: Any) -> Any:
        return attrs.evolve(entry, due=entry.due or entry.added_at)

    patch(Outbox, "arrived", handle_arrived)


@entry_bug
def moments_of_another_clock(patch: Any) -> None:
    """Planted bug: a retry time by the worker's clock is used unchanged as the store's time."""
    original = OutboxFlows.deliver

    async def deliver(self: OutboxFlows, call: Any, payments: Any, *, limit: int, utc: Any) -> Any:
        now = await self.store.now()
        return await original(self, call, payments, limit=limit, utc=lambda: now)

    patch(OutboxFlows, "deliver", deliver)


@entry_bug
def transactions_overtake(patch: Any) -> None:
    """Planted bug: an outbox transaction does not wait for earlier transactions in its lane."""
    patch(Outbox, "holders", lambda *_: [])


@entry_bug
def listed_entries_are_claimed_without_check(patch: Any) -> None:
    """Planted bug: a worker claims a listed entry, even if its claim was renewed since."""

    async def is_held(*_: Any) -> bool:
        return False

    patch(EntryProcessing, "_is_held", is_held)


@shard_bug
def keys_move_while_they_matter(patch: Any) -> None:
    """Plant the bug: a key leaves its former shard although it may have had an effect there."""
    patch(former_shard, "_may_have_effect", lambda *_: False)


@shard_bug
def former_shards_are_forgotten(patch: Any) -> None:
    """Plant the bug: a process that knows a new shard does not ask the former shards."""
    original = Shards.location

    def location(shards: Shards, command: Any) -> Location:
        return Location(original(shards, command).shard)

    patch(Shards, "location", location)


@shard_bug
def moved_keys_stay_readable(patch: Any) -> None:
    """Plant the bug: a process that does not know a new shard claims a key that has moved there."""
    patch(former_shard, "_mark_left", lambda *_: None)


@shard_bug
def each_part_has_the_whole_limit(patch: Any) -> None:
    """Plant the bug: each part of a limit grants as much as the whole."""
    patch(rate_limit, "_parts_of", lambda config: (config.rule,) * config.parts)
