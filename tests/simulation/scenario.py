"""Schedules drawn from a seed (calls, protections and faults), and the laws that must hold."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import attrs

from moorage.domain.http.requests import Request
from moorage.domain.idempotency.claims import CLAIMED, SENT
from moorage.domain.resilience.admission import Admission, Answer
from moorage.domain.resilience.budget import RetryBudget
from moorage.domain.resilience.circuit import CircuitBreakerConfig, Outcome
from moorage.domain.resilience.gate_commands import Confirm, GiveBack, Pause, Report
from moorage.domain.resilience.rate_limit import RateLimitConfig
from moorage.domain.resilience.retry import RetryPolicy
from moorage.domain.service.region import Region
from moorage.domain.service.settings import Service
from moorage.domain.state.sharding import location_of
from moorage.errors import ConnectorError
from moorage.services.calling.steps import CallOperations
from tests.simulation.simulator import START, Faults, Shards, Simulation, Vendor

if TYPE_CHECKING:
    from moorage.domain.state.commands import Command
    from moorage.services.core.core import Core

QUIET = 1_000
"""Seconds after which no other call of a schedule is still running."""
SLACK = 2_000_000
"""How late the simulation may wake a process, in microseconds."""


class LawBroken(AssertionError):
    """A simulated schedule broke a law of the protocol; the error has the history up to then."""


@attrs.define
class CallRecord:
    """One logical call as its caller saw it."""

    who: str
    key: str | None
    amount: int
    began: int
    timeout: float
    ended: int = 0
    answer: str | None = None
    error: ConnectorError | None = None


@attrs.define
class Grant:
    """One grant of the rate limiter; grants are listed in the order of their requests.

    It counts once its holder has `left` with it; a holder may be interrupted before.
    """

    limits: tuple[str, ...]
    tickets: tuple[Any, ...]
    at: int
    left: bool = False
    given_back: bool = False


@attrs.define
class CommandWitness:
    """An observer of each command that the store applies, and of each call."""

    simulation: Simulation
    service: Service
    calls: list[CallRecord] = attrs.field(factory=list)
    grants: list[Grant] = attrs.field(factory=list)
    pauses: list[tuple[int, int, tuple[str, ...]]] = attrs.field(factory=list)
    shifts: dict[str, list[tuple[int, int]]] = attrs.field(factory=dict)
    begun: list[int] = attrs.field(factory=list)
    retried: list[int] = attrs.field(factory=list)
    judged_after_cancel: list[str] = attrs.field(factory=list)
    most_leases: int = 0
    inside: dict[int, tuple[str, int]] = attrs.field(factory=dict)
    most_inside: int = 0
    left_in_pause: list[str] = attrs.field(factory=list)
    last_error: BaseException | None = None
    kept_from: list[str] = attrs.field(factory=list)
    spoken_for_another: list[str] = attrs.field(factory=list)

    def before(
        self, command: Command[Any], states: tuple[Any, ...], after: tuple[Any, ...]
    ) -> None:
        """Check that a late circuit report changed nothing but its own lease."""
        if not isinstance(command, Report) or states[0] is None:
            return
        (old_value,), (new_value,) = states, after
        if old_value[3] == command.permit[0]:
            return
        # Old counts leave the window by themselves; a new count would also change the times.
        rolled = {"leases": (), "past": b"", "fails": 0, "slow": 0, "cancelled": 0}
        reports = old_value[7]._replace(**rolled), old_value[2:4]
        expected_reports = new_value[7]._replace(**rolled), new_value[2:4]
        if reports != expected_reports and old_value[0] <= new_value[0]:
            self.spoken_for_another.append(
                f"{command.permit} changed {reports} into {expected_reports}"
            )

    def watch(self, now: int, who: str, command: Command[Any], answer: Any) -> None:
        """Record the result of a store command."""
        match command:
            case Admission() if answer[0] is Answer.GO:
                self._admitted(now, who, command, answer)
            case Confirm() if answer[0] is Answer.GO:
                self._confirmed(now, who, command, answer[1])
            case GiveBack():
                for grant in self._grants_of(command):
                    grant.given_back = True
                    self._check_given_back(now, command)
            case Pause():
                self.pauses.append((now, now + command.pause, command.keys))
                for key in command.keys:
                    shift = self.simulation.store.state(key)[6]
                    self.shifts.setdefault(key, []).append((now, shift))
            case Report():
                self._reported(who, command)
            case _:
                pass
        self._count_leases()

    def _admitted(self, now: int, who: str, command: Admission, answer: Any) -> None:
        _, wait, permit, tickets = answer
        (self.retried if command.retry else self.begun).append(now)
        if permit is not None and permit[2]:
            circuit = command.gates.circuit_key
            self.inside[permit[2]] = circuit, now + command.lease + wait
            inside = sum(name == circuit and end > now for name, end in self.inside.values())
            self.most_inside = max(self.most_inside, inside)
        if not wait:
            self._leave(now, who, command)
        if command.gates.limits:
            self.grants.append(Grant(command.gates.limit_keys, tickets, now + wait, left=not wait))

    def _confirmed(self, now: int, who: str, command: Confirm, wait: int) -> None:
        for grant in self._grants_of(command):
            grant.at = max(grant.at, self._moved(command))
            grant.left = not wait
        if not wait:
            self._leave(now, who, command)

    def _reported(self, who: str, command: Report) -> None:
        self.inside.pop(command.permit[2], None)
        if command.outcome is not Outcome.NEUTRAL and self._cut_short(who):
            self.judged_after_cancel.append(who)

    def _grants_of(self, command: Confirm | GiveBack) -> list[Grant]:
        held_keys = command.gates.limit_keys, command.tickets
        return [grant for grant in self.grants if (grant.limits, grant.tickets) == held_keys]

    def _cut_short(self, who: str) -> bool:
        """Return whether a worker was cancelled before it knew the result of its attempt."""
        time = next(worker.cancelled_at for worker in self.simulation.workers if worker.name == who)
        return time is not None and not time.startswith("Report")

    def _moved(self, command: Confirm) -> int:
        """Return when a queued grant is due, after later pauses have moved it.

        A caller that is late for a grant when a pause begins leaves at the end of the pause; its
        grant stays at its time.
        """
        return max(map(self._due_time, command.gates.limit_keys, command.tickets))

    def _due_time(self, key: str, ticket: Any) -> int:
        due_at: int = ticket[1]
        shift: int = ticket[3]
        for begin, shifted_at in self.shifts.get(key, ()):
            if shifted_at > shift:
                due_at += (shifted_at - shift) * (due_at > begin)
                shift = shifted_at
        return due_at

    def _leave(self, now: int, who: str, command: Admission | Confirm) -> None:
        if any(
            begin <= now < end and not set(keys).isdisjoint(command.gates.limit_keys)
            for begin, end, keys in self.pauses
        ):
            self.left_in_pause.append(f"{who} at {now}")

    def _check_given_back(self, now: int, command: GiveBack) -> None:
        """Check that a cancelled caller's slot, if it is in the future, goes to the next caller.

        A caller that was late for a grant when a pause began has no slot behind it.
        """
        for rule, key, ticket in zip(
            command.gates.limits, command.gates.limit_keys, command.tickets, strict=True
        ):
            present_state = rule.present(self.simulation.store.state(key), now)
            due_at = self._due_time(key, ticket)
            if due_at >= present_state[0] and rule.earliest(present_state, ticket[2], now) > due_at:
                self.kept_from.append(f"{key}: {present_state} after {ticket}")

    def _count_leases(self) -> None:
        for key, state, now in self.simulation.store.placed(self.simulation.now):
            if ":circuit:" in key:
                live_leases = sum(end > now for _, end, _ in state[7].leases)
                self.most_leases = max(self.most_leases, live_leases)


@attrs.frozen
class Schedule:
    """One simulated run, with its random choices and its observations."""

    simulation: Simulation
    witness: CommandWitness
    vendor: Vendor
    service: Service
    kinds: int
    """The number of kinds of fault that could happen in this schedule."""
    stepped: bool
    """True if the store's clock may have stepped in this schedule."""
    clean: bool
    """True if the schedule has no crash, no store failure and no clock step."""


@attrs.frozen
class Profile:
    """The protections and the load of a simulated schedule."""

    workers: tuple[int, int]
    calls: tuple[int, int]
    spread: float
    keyed: int
    limits: tuple[RateLimitConfig, ...]
    service: dict[str, Any]
    likely: tuple[str, ...] = ()
    outage: float | None = None


def draw_profile(dice: random.Random) -> Profile:
    """Return one of five profiles of protections and load, drawn at random."""
    circuit = CircuitBreakerConfig(
        failures=dice.choice((2, 3)),
        open_for=dice.choice((0.5, 3.0)),
        probes=dice.choice((1, 2)),
        successes=dice.choice((1, 2)),
    )
    retry = RetryPolicy(max_attempts=dice.choice((1, 3, 4)), base_delay=0.2, max_delay=2.0)
    several_config = RateLimitConfig.per_second(dice.choice((2, 5, 20)), burst=dice.choice((1, 3)))
    minute_limit = RateLimitConfig.per_minute(dice.choice((30, 120)), burst=4)
    budget = RetryBudget(ratio=0.02, floor=1, period=60.0)
    no_faults = {"circuit": circuit, "retry": retry}
    profiles = (
        Profile(
            (4, 7),
            (2, 4),
            3.0,
            2,
            (several_config, minute_limit)[: dice.randint(0, 2)],
            no_faults | {"retry_budget": dice.choice((None, budget))},
        ),
        Profile(
            (5, 9),
            (2, 3),
            0.6,
            0,
            (several_config,),
            no_faults | {"retry": RetryPolicy.none()},
            ("cancel",),
        ),
        Profile(
            (4, 7),
            (5, 9),
            1.0,
            0,
            (),
            no_faults
            | {"circuit": attrs.evolve(circuit, open_for=0.5), "retry": RetryPolicy.none()},
            ("slow", "fail"),
            3.0,
        ),
        Profile(
            (5, 7),
            (4, 6),
            0.5,
            0,
            (),
            {
                "circuit": None,
                "retry_budget": budget,
                "retry": RetryPolicy(max_attempts=4, base_delay=0.1, max_delay=0.5),
            },
            ("fail",),
            8.0,
        ),
        Profile((4, 6), (3, 5), 2.0, 4, (), no_faults, ("freeze", "crash", "break_off")),
    )
    return dice.choice(profiles)


def draw_faults(dice: random.Random, likely: tuple[str, ...]) -> Faults:
    """Return a random probability for each kind of fault; at least two kinds can occur."""
    names = [field.name for field in attrs.fields(Faults)]
    fault_names = {*dice.sample(names, dice.randint(2, 5)), *likely}
    return Faults(**{name: dice.choice((5, 20, 60)) for name in sorted(fault_names)})


def draw_regions(seed: int, vendor: Vendor) -> dict[str, Any]:
    """Return one or several regions, one of which may fail for a while."""
    generator = random.Random(seed * 104_729 + 28)
    if generator.randrange(5) < 3:
        return {"base_url": "https://shop.example"}
    names = ("eu.example", "us.example", "ap.example")[: generator.choice((2, 2, 3))]
    vendor.everywhere = not generator.randrange(4)
    vendor.away = generator.choice((None, *names))
    vendor.back_at = START + generator.choice((1, 5, 60)) * 1_000_000
    regions = [
        Region(
            name,
            f"https://{name}",
            weight=generator.choice((1, 1, 5)),
            tier=generator.choice((1, 1, 1, 2)),
        )
        for name in names
    ]
    return {"regions": regions}


def in_parts(limits: tuple[RateLimitConfig, ...], parts: int) -> tuple[RateLimitConfig, ...]:
    """Return limits split into the given number of parts, each with a burst of at least one."""
    return tuple(
        attrs.evolve(limit, parts=parts, burst=max(limit.burst, parts)) for limit in limits
    )


def draw_shards(
    simulation: Simulation, service: Service, dice: random.Random
) -> tuple[Shards, Shards]:
    """Return the store's shards before and after a change; some simulations change nothing.

    An added shard gets only keys, since limits that move begin anew. Shards with only keys have
    clocks that differ from the others'.
    """
    plan = CallOperations(simulation.core(simulation.bystander()), [service]).plans.find(
        "shop", None, None
    )
    guards = [
        key
        for part in plan.parts or (plan,)
        for key in (part.gates.circuit_key, *part.gates.limit_keys, part.gates.budget_key)
        if key
    ]
    old_shards = Shards(("a", "b")[: dice.choice((1, 2))])
    homes = {location_of([key], old_shards.names, ()).shard for key in guards}
    new_shards = old_shards
    if dice.randrange(3):
        added = next(
            name
            for name in map("c{}".format, range(1_000))
            if all(
                location_of([key], (*old_shards.names, name), ()).shard in old_shards.names
                for key in guards
            )
        )
        new_shards = Shards((*old_shards.names, added), old_shards.names)
    for name in set(new_shards.names) - homes:
        simulation.store.skews[name] = dice.choice((-3_600_000_000, 0, 2_000_000, 3_600_000_000))
    return old_shards, new_shards


def simulate(seed: int, *, workers: int | None = None, is_spread: bool = False) -> Schedule:
    """Simulate the schedule of a seed.

    If it is spread, the store consists of shards, one of which some workers do not know yet; limits
    are in parts, and workers remember refusals.
    """
    generator = random.Random(seed * 7919 + 1)
    vendor = Vendor(remembers=generator.choice((0.0, 86_400.0)))
    profile = draw_profile(generator)
    faults = draw_faults(generator, profile.likely)
    simulation = Simulation(seed, faults, vendor)
    places = draw_regions(seed, vendor)
    service = Service(
        "shop",
        timeout=generator.choice((5.0, 30.0)),
        attempt_timeout=2.0,
        limits=profile.limits,
        idempotency_header="Idempotency-Key" if vendor.remembers else None,
        idempotency_memory=vendor.remembers or None,
        idempotency_across_regions=vendor.everywhere,
        **places,
        **profile.service,
    )
    spread_dice = random.Random(seed * 15_485_863 + 27)
    old_shards = new_shards = None
    if is_spread:
        simulation.remembers = True
        service = attrs.evolve(
            service,
            limits=in_parts(profile.limits, spread_dice.choice((1, 2, 3))),
            max_limit_wait=spread_dice.choice((None, 0, 0.5)),
        )
        old_shards, new_shards = draw_shards(simulation, service, spread_dice)
    witness = CommandWitness(simulation, service)
    simulation.store.watchers.append(witness.watch)
    simulation.store.before.append(witness.before)
    keys = [f"order-{number}" for number in range(generator.choice((1, 2, 4)))]
    names: list[str | None] = [None, *keys * profile.keyed]
    for number in range(workers or generator.randint(*profile.workers)):
        plans = [
            (
                generator.choice(names),
                generator.choice((1, 1, 1, 1, 1, 2)),
                generator.random() * profile.spread,
            )
            for _ in range(generator.randint(*profile.calls))
        ]
        name = f"worker-{number}"
        caller = _caller(simulation, witness, service, name, plans)
        simulation.start(name, caller, new_shards if number % 2 else old_shards)
    if profile.outage is not None:
        vendor.down = True
        simulation.start("repairer", _repairer(vendor, profile.outage))
    simulation.start("latecomer", _late_caller(witness, service), new_shards)
    simulation.run()
    interrupting_faults = (
        "crash",
        "freeze",
        "store_away",
        "answer_lost",
        "step_back",
        "step_forward",
    )
    clean = not any(getattr(faults, name) for name in interrupting_faults)
    is_stepped = bool(faults.step_back or faults.step_forward)
    return Schedule(simulation, witness, vendor, service, faults.kinds(), is_stepped, clean)


def _repairer(vendor: Vendor, after: float) -> Any:
    async def repair(core: Core) -> None:
        await core.sleep(after)
        vendor.down = False

    return repair


def _late_caller(witness: CommandWitness, service: Service) -> Any:
    """Return a process that calls the service after all faults have ended."""

    async def call_after_faults(core: Core) -> None:
        simulation = witness.simulation
        await core.sleep(QUIET)
        simulation.faults = Faults()
        simulation.vendor.down = False
        flows = CallOperations(core, [service])
        for number in range(8):
            await core.sleep(700)
            order = {"key": None, "amount": 1, "call": f"latecomer's {number}"}
            try:
                await flows.call("shop", Request.post("/orders", json=order))
            except ConnectorError as error:
                witness.last_error = error
            else:
                witness.last_error = None

    return call_after_faults


def _caller(
    simulation: Simulation,
    witness: CommandWitness,
    service: Service,
    name: str,
    plans: list[tuple[str | None, int, float]],
) -> Any:
    async def make_calls(core: Core) -> str:
        flows = CallOperations(core, [service])
        for key, amount, pause in plans:
            await core.sleep(pause)
            called_record = CallRecord(name, key, amount, simulation.now, service.timeout)
            witness.calls.append(called_record)
            order: dict[str, Any] = {"key": key, "amount": amount}
            if key is None:
                order["call"] = f"{name}'s {len(witness.calls)}"
            request = Request.post("/orders", json=order)
            try:
                response = await flows.call("shop", request, idempotency_key=key)
                called_record.answer = response.text
            except ConnectorError as error:
                called_record.error = error
            except BaseException:
                called_record.ended = simulation.now
                raise
            called_record.ended = simulation.now
        return "done"

    return make_calls


def check(schedule: Schedule) -> None:
    """Raise `LawBroken` if the schedule broke any law."""
    for law in LAWS:
        violation = law(schedule)
        if violation:
            simulation = schedule.simulation
            history_text = "\n".join(simulation.history)
            raise LawBroken(f"seed {simulation.seed}: {law.__name__}: {violation}\n{history_text}")


def one_effect_per_key(schedule: Schedule) -> str | None:
    """An idempotency key has at most one effect, whether or not the vendor honours keys."""
    counts: dict[str, int] = {}
    for _, key, _ in schedule.vendor.effects:
        if key is not None:
            counts[key] = counts.get(key, 0) + 1
    doubled_counts = {key: count for key, count in counts.items() if count > 1}
    return f"effects {doubled_counts}" if doubled_counts else None


def one_region_per_order(schedule: Schedule) -> str | None:
    """A request that may have been processed reaches no other region, unless regions share keys."""
    vendor = schedule.vendor
    spread = {
        name: sorted(regions)
        for name, regions in vendor.heard.items()
        if len(regions) > 1 and not (vendor.everywhere and vendor.remembers and "'" not in name)
    }
    return f"heard in several regions: {spread}" if spread else None


def one_answer_per_key(schedule: Schedule) -> str | None:
    """Every repeat of an idempotency key gets the same response."""
    answers: dict[str, set[str]] = {}
    for called_record in schedule.witness.calls:
        if called_record.key is not None and called_record.answer is not None:
            answers.setdefault(called_record.key, set()).add(called_record.answer)
    repeated_results = {key: results for key, results in answers.items() if len(results) > 1}
    return f"answers {repeated_results}" if repeated_results else None


def one_payload_per_key(schedule: Schedule) -> str | None:
    """A different payload under a used idempotency key is refused, and has no effect."""
    amounts: dict[str, set[int]] = {}
    for called_record in schedule.witness.calls:
        if called_record.key is not None and called_record.answer is not None:
            amounts.setdefault(called_record.key, set()).add(called_record.amount)
    repeated_results = {key: results for key, results in amounts.items() if len(results) > 1}
    return f"payloads {repeated_results}" if repeated_results else None


def probes_within_cap(schedule: Schedule) -> str | None:
    """A circuit never has more unexpired probe leases than allowed probes."""
    if schedule.service.circuit is None:
        return None
    witness, cap = schedule.witness, schedule.service.circuit.probes
    if witness.most_leases > cap:
        return f"{witness.most_leases} leases, {cap} probes"
    if schedule.stepped:
        return None
    return f"{witness.most_inside} inside, {cap} probes" if witness.most_inside > cap else None


def bucket_bound(schedule: Schedule) -> str | None:
    """In every window of t seconds, the rate limiter grants at most burst + rate · t tokens."""
    if schedule.stepped:
        return None
    times = sorted(
        grant.at for grant in schedule.witness.grants if grant.left and not grant.given_back
    )
    for limit in schedule.service.limits:
        for start, begin in enumerate(times):
            for end in range(start, len(times)):
                span = (times[end] - begin) / 1e6
                if end - start + 1 > limit.burst + float(limit.rate) * span / limit.per + 1e-6:
                    return f"{end - start + 1} grants in {span} s of {limit}"
    return None


def order_of_arrival(schedule: Schedule) -> str | None:
    """A part of a limit grants in order of arrival, unless a cancelled caller returned a grant."""
    grants = schedule.witness.grants
    if schedule.stepped or any(grant.given_back for grant in grants):
        return None
    for limits in {grant.limits for grant in grants}:
        times = [grant.at for grant in grants if grant.left and grant.limits == limits]
        if times != sorted(times):
            return f"granted at {times}"
    return None


def budget_bound(schedule: Schedule) -> str | None:
    """Retries stay within the retry budget: their share of the calls, and each period's minimum."""
    budget = schedule.service.retry_budget
    if budget is None:
        return None
    witness = schedule.witness
    if schedule.stepped or not witness.retried:
        return None
    length = int(budget.period * 1e6)
    retries = len(witness.retried)
    firsts = sum(time <= witness.retried[-1] for time in witness.begun)
    periods = witness.retried[-1] // length - START // length + 1
    parts = max((limit.parts for limit in schedule.service.limits), default=1)
    allowed_retries = budget.ratio * firsts + budget.floor * periods * parts
    return f"{retries} retries, {allowed_retries} allowed" if retries > allowed_retries else None


def ends_by_deadline(schedule: Schedule) -> str | None:
    """Each call that was not interrupted ends by its deadline."""
    frozen_workers = {worker.name for worker in schedule.simulation.workers if worker.frozen}
    for called_record in schedule.witness.calls:
        if called_record.who in frozen_workers:
            continue
        if (
            called_record.ended
            and called_record.ended - called_record.began > called_record.timeout * 1e6 + SLACK
        ):
            return f"{called_record.who} took {(called_record.ended - called_record.began) / 1e6} s"
    return None


def nothing_leaked(schedule: Schedule) -> str | None:
    """After all calls have ended, no lease or claim is held, unless a process crashed."""
    if not schedule.clean:
        return None
    for key, state, now in schedule.simulation.store.placed(schedule.simulation.now):
        if ":circuit:" in key and any(end > now for _, end, _ in state[7].leases):
            return f"lease {state[7].leases}"
        if "}:key" in key and (state[2] == CLAIMED or (state[2] == SENT and state[6] > now)):
            return f"claim {state}"
    return None


def cancellation_is_neutral(schedule: Schedule) -> str | None:
    """For the circuit breaker, a cancelled call is neither a success nor a failure."""
    misjudged_reports = schedule.witness.judged_after_cancel
    return f"judged {misjudged_reports}" if misjudged_reports else None


def pauses_are_kept(schedule: Schedule) -> str | None:
    """No request is sent during a recorded pause (a vendor's `Retry-After`)."""
    pending_pauses = schedule.witness.left_in_pause
    return f"left in a pause: {pending_pauses}" if pending_pauses and not schedule.stepped else None


def queues_give_back(schedule: Schedule) -> str | None:
    """A caller that stops waiting for a rate limit releases its whole grant."""
    withheld_tickets = schedule.witness.kept_from
    return (
        f"not given back: {withheld_tickets}" if withheld_tickets and not schedule.stepped else None
    )


def late_reports_are_silent(schedule: Schedule) -> str | None:
    """A circuit report of an earlier generation changes nothing but its own lease."""
    late_speakers = schedule.witness.spoken_for_another
    return f"a late report: {late_speakers}" if late_speakers else None


def nobody_is_kept_out(schedule: Schedule) -> str | None:
    """After all faults have ended, a new caller gets a response."""
    last_error = schedule.witness.last_error
    return None if last_error is None else f"kept out: {last_error!r}"


def slow_is_not_away(schedule: Schedule) -> str | None:
    """While the shared store replies, however slowly, no process admits calls without it."""
    lone_admissions = schedule.simulation.alone
    return f"let in alone: {lone_admissions}" if lone_admissions else None


LAWS = (
    one_effect_per_key,
    one_region_per_order,
    one_answer_per_key,
    one_payload_per_key,
    pauses_are_kept,
    queues_give_back,
    late_reports_are_silent,
    nobody_is_kept_out,
    probes_within_cap,
    bucket_bound,
    order_of_arrival,
    budget_bound,
    ends_by_deadline,
    nothing_leaked,
    cancellation_is_neutral,
    slow_is_not_away,
)
