"""A circuit breaker on its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mooring._bridge import run_now
from mooring.domain.admission import ReadCircuit, Report, SetCircuit
from mooring.domain.circuit import CircuitBreakerConfig, CircuitState, Outcome
from mooring.domain.health import health
from mooring.domain.service import Service
from mooring.parts.guard import Guard
from mooring.services.admission import be_admitted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mooring.domain.circuit import CircuitBreakerState, Permit
    from mooring.domain.admission import Admission, Admitted
    from mooring.ports.clock import Clock
    from mooring.ports.observer import Observer
    from mooring.ports.state import AsyncStateStorage, StateStorage
    from mooring.services.call import Call
    from mooring.services.core import Core


class Entered:
    """What one call holds of a circuit."""

    __slots__ = ("began", "call", "permit")

    def __init__(self) -> None:
        self.permit: Permit | None = None
        self.call: Call | None = None
        self.began = 0


class CircuitBreaker(Guard[Entered]):
    """Holds calls back while what they call is failing.

    Args:
        config: when it opens and how it recovers.
        name: whose circuit it is; breakers of one name and store share it.
        storage: where the circuit lives; by default in this breaker alone.
        timeout: seconds that a call may take: a probe that has not ended by then gives up its
            place.
        ignore: exceptions that are no failures of what is called.
        observers, clock: the remaining ports.
    """

    def __init__(
        self,
        config: CircuitBreakerConfig | None = None,
        *,
        name: str = "circuit",
        storage: StateStorage | AsyncStateStorage | None = None,
        timeout: float = 30.0,
        ignore: type[Exception] | tuple[type[Exception], ...] = (),
        observers: Iterable[Observer] = (),
        clock: Clock | None = None,
    ) -> None:
        service = Service(
            name, circuit=config or CircuitBreakerConfig(), retry=None, timeout=timeout
        )
        super().__init__(service, storage=storage, observers=observers, clock=clock)
        self._ignore = ignore
        self._timed = self._plan.slow is not None
        question = self._plan.admission
        rule = self._plan.gates.circuit
        if question is None or rule is None:
            raise AssertionError("a breaker has a circuit")
        self._question: Admission = question
        self._rule = rule

    def state(self) -> CircuitBreakerState:
        """What the circuit knows now."""
        return run_now(self._now.execute(self._read()))  # type: ignore[no-any-return]  # as read

    async def astate(self) -> CircuitBreakerState:
        """What the circuit knows now; awaited."""
        return await self._later.execute(self._read())  # type: ignore[no-any-return]  # as read

    def set(self, state: CircuitState) -> None:
        """Set it by hand: closed (a reset), forced open, or disabled."""
        run_now(self._now.execute(self._set(state)))

    async def aset(self, state: CircuitState) -> None:
        """Set it by hand: closed (a reset), forced open, or disabled; awaited."""
        await self._later.execute(self._set(state))

    def _read(self) -> ReadCircuit:
        return ReadCircuit(self._rule, self._plan.gates.circuit_key)

    def _set(self, state: CircuitState) -> SetCircuit:
        return SetCircuit(self._rule, self._plan.gates.circuit_key, state)

    def _ticket(self) -> Entered:
        return Entered()

    def _enter(self, ticket: Entered) -> None:
        core = self._now
        admitted = core.ask(self._question)  # type: ignore[misc]  # a plain core has it
        if admitted[0] or admitted[1]:
            ticket.call = self._begin(core)
            ticket.permit = run_now(be_admitted(core, ticket.call, self._question, admitted))
        else:
            ticket.permit = admitted[2]
        if self._timed:
            ticket.began = core.nanoseconds()

    async def _enter_later(self, ticket: Entered) -> None:
        core = self._later
        admitted: Admitted = await core.execute(self._question)
        if admitted[0] or admitted[1]:
            ticket.call = self._begin(core)
            ticket.permit = await be_admitted(core, ticket.call, self._question, admitted)
        else:
            ticket.permit = admitted[2]
        if self._timed:
            ticket.began = core.nanoseconds()

    def _leave(self, ticket: Entered, error: BaseException | None) -> None:
        permit = ticket.permit
        if permit is None:
            if ticket.call is None or not ticket.call.token:
                return
            permit = (0, 0, ticket.call.token, 0)
            outcome = Outcome.NEUTRAL
        elif error is None:
            outcome = self._pace(ticket)
        elif not isinstance(error, Exception):
            outcome = Outcome.NEUTRAL
        elif isinstance(error, self._ignore):
            outcome = Outcome.GOOD
        else:
            outcome = health(error)
        ticket.permit = None
        if outcome is not Outcome.GOOD or permit[2]:
            core = self._core()
            core.post(Report(self._plan.gates, permit, outcome, core.reporter))

    def _pace(self, ticket: Entered) -> Outcome:
        slow = self._plan.slow
        if slow is not None and self._core().nanoseconds() - ticket.began > slow:
            return Outcome.SLOW
        return Outcome.GOOD

    def _core(self) -> Core:
        """Whichever colour is in use: `post` and the clock are plain in both."""
        return self.__dict__.get("_later") or self._now
