"""The circuit breaker as a separate part."""

from __future__ import annotations

from inspect import CO_COROUTINE
from types import CoroutineType, FunctionType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from moorage.domain.observation.events import CircuitChanged
from moorage.domain.resilience.admission import NEEDS_TOKEN
from moorage.domain.resilience.circuit import CircuitBreakerConfig, CircuitState, Outcome
from moorage.domain.resilience.gate_commands import ReadCircuit, Report, SetCircuit
from moorage.domain.resilience.health import health
from moorage.domain.resilience.retry import error_types
from moorage.domain.service.plan import AFTERWARDS, circuit_name
from moorage.domain.service.settings import Service
from moorage.domain.state.keys import checked_name, key_prefix_of
from moorage.errors import StorageUnavailable
from moorage.parts.failed_results import FailedResultError, result_check
from moorage.parts.guard import Guard
from moorage.runtime.flows import (
    NOT_PLAIN,
    can_be_awaited,
    is_async,
    not_awaitable_error,
    refuse_awaitable,
    run_now,
)
from moorage.services.calling.admission import admission_error, be_admitted, lease_of, refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import timedelta

    from moorage.domain.resilience.admission import Admitted
    from moorage.domain.resilience.circuit import CircuitBreakerState, CircuitRule, Permit
    from moorage.domain.service.plan import Ask, Plan
    from moorage.errors import ConnectorError
    from moorage.ports.clock import Clock
    from moorage.ports.observer import Observer
    from moorage.ports.state import AsyncStateStorage, StateStorage
    from moorage.services.calling.call import Call
    from moorage.services.core.core import Core


P = ParamSpec("P")
R = TypeVar("R")


class AdmittedCall:
    """The permit of an admitted call that has not ended yet."""

    __slots__ = ("began", "call", "permit")

    def __init__(self) -> None:
        self.permit: Permit | None = None
        self.call: Call | None = None
        self.began = 0


class CircuitBreaker(Guard[AdmittedCall]):
    """Refuses calls while the called service is failing.

    Args:
        config: the rules by which the circuit opens and closes.
        name: the name of the circuit; breakers with the same name and store share it.
        storage: the store of the circuit; by default the memory of this breaker alone.
        timeout: the maximum seconds of a call; a probe that takes longer no longer counts as in
            progress.
        ignore: exceptions that do not count as failures.
        failed_result: a function that returns whether a result counts as a failure, although it is
            returned; by default no result does. It does not apply to `with` blocks.
        observers, clock: the remaining ports.
    """

    def __init__(
        self,
        config: CircuitBreakerConfig | None = None,
        *,
        name: str = "circuit",
        storage: StateStorage | AsyncStateStorage | None = None,
        timeout: float | timedelta = 30.0,
        ignore: type[Exception] | Iterable[type[Exception]] = (),
        failed_result: Callable[[Any], object] | None = None,
        observers: Iterable[Observer] = (),
        clock: Clock | None = None,
    ) -> None:
        service = Service(
            name, circuit=config or CircuitBreakerConfig(), retry=None, timeout=timeout
        )
        super().__init__(service, storage=storage, observers=observers, clock=clock)
        self._ignore = error_types(ignore, "ignore")
        self._check = result_check(failed_result)
        self._timed = self._plan.slow is not None
        self._needs_ticket = self._timed or self._check is not None
        self._question = self._plan.question
        self._span = self._plan.seconds

    def keyed(self, key: str) -> CircuitBreaker:
        """Return the breaker of a key, such as a tenant or host; each key has its own circuit.

        The keyed breaker shares the settings and the store of this breaker and needs little memory,
        so there may be many keys. Breakers of the same key share their circuit. Events name the key
        as their tenant.
        """
        return _KeyedCircuitBreaker(self, checked_name(key, "key"))

    def state(self) -> CircuitBreakerState:
        """Return the current state of the circuit."""
        return self._execute(self._read(), None)

    async def astate(self) -> CircuitBreakerState:
        """Return the current state of the circuit; asynchronous."""
        return await self._async_core.execute(self._read(), None)  # type: ignore[no-any-return]  # the stored state

    def set(self, state: CircuitState) -> None:
        """Set the circuit's state manually: closed (a reset), forced open, or disabled."""
        self._execute(self._set_command(state), None)

    async def aset(self, state: CircuitState) -> None:
        """Set the circuit manually: closed (a reset), forced open, or disabled; asynchronous."""
        await self._async_core.execute(self._set_command(state), None)

    def call(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call `function` once, if the circuit admits the call."""
        # The body of `is_async`, inlined because a call of it would take ten percent longer.
        flags = function.__code__.co_flags & NOT_PLAIN if type(function) is FunctionType else -1
        if flags == CO_COROUTINE:
            return self._call_later(function, *args, **kwargs)  # type: ignore[return-value]  # R is the coroutine
        if flags or self._needs_ticket:
            return self._call_with_ticket(function, *args, **kwargs)
        admission = self._ask(self._question, self._span)
        if admission[0]:
            if admission[0] is NEEDS_TOKEN:
                # No permit was taken: a caller that may become a probe asks again, with a ticket.
                return super().call(function, *args, **kwargs)
            raise self._refusal(self._sync_core, admission)
        try:
            value = function(*args, **kwargs)
            if value is not None:
                refuse_awaitable(value)
        except BaseException as error:
            ticket = AdmittedCall()
            ticket.permit = admission[2]
            self._leave(ticket, error)
            raise
        return value

    def _call_with_ticket(
        self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        if self._check is None or not callable(function) or is_async(function):
            return super().call(function, *args, **kwargs)
        try:
            return super().call(self._check.call, function, *args, **kwargs)  # type: ignore[no-any-return]  # the function's result
        except FailedResultError as failed:
            return failed.value  # type: ignore[no-any-return]  # the function's result

    async def _call_later(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        ask_gate = self._ask_later
        if self._check is not None:
            try:
                return await super()._call_later(self._check.call_later, function, *args, **kwargs)
            except FailedResultError as failed:
                return failed.value
        if ask_gate is None or self._timed:
            return await super()._call_later(function, *args, **kwargs)
        admission = ask_gate(self._question, self._span)
        if admission[0]:
            if admission[0] is NEEDS_TOKEN:
                # As in the method `call`.
                return await super()._call_later(function, *args, **kwargs)
            raise self._refusal(self._async_core, admission)
        try:
            awaitable = function(*args, **kwargs)
            if type(awaitable) is not CoroutineType and not can_be_awaited(awaitable):
                raise not_awaitable_error(function)  # noqa: TRY301 - counted like any other error
            return await awaitable  # pyright: ignore[reportUnknownVariableType]  # a coroutine of any types
        except BaseException as error:
            ticket = AdmittedCall()
            ticket.permit = admission[2]
            self._leave(ticket, error)
            raise

    def _refusal(self, core: Core, admitted: Admitted) -> ConnectorError:
        """Return the error of a call that an open circuit refuses."""
        if not core.observers:
            return admission_error(core, self._plan, admitted[0], admitted[1])
        return refusal(core, self._new_call(core), admitted[0], admitted[1])

    def _read(self) -> ReadCircuit:
        gates = self._question.gates
        return ReadCircuit(cast("CircuitRule", gates.circuit), gates.circuit_key)

    def _set_command(self, state: CircuitState) -> SetCircuit:
        gates = self._question.gates
        return SetCircuit(cast("CircuitRule", gates.circuit), gates.circuit_key, state)

    def _ticket(self) -> AdmittedCall:
        return AdmittedCall()

    def _enter(self, ticket: AdmittedCall, /) -> None:
        admission = self._execute(self._question, self._span)
        if admission[0]:
            core = self._sync_core
            ticket.call = self._new_call(core)
            ticket.permit = run_now(be_admitted(core, ticket.call, self._question, admission))
        else:
            ticket.permit = admission[2]
        if self._timed:
            ticket.began = self._sync_core.nanoseconds()

    async def _enter_later(self, ticket: AdmittedCall, /) -> None:
        core = self._async_core
        ask_gate, admission_request = core.ask, self._question
        time_limit = self._span
        admission: Admitted = (
            await core.execute(admission_request, time_limit)
            if ask_gate is None
            else ask_gate(admission_request, time_limit)
        )
        if admission[0]:
            ticket.call = self._new_call(core)
            ticket.permit = await be_admitted(core, ticket.call, admission_request, admission)
        else:
            ticket.permit = admission[2]
        if self._timed:
            ticket.began = core.nanoseconds()

    def _leave(self, ticket: AdmittedCall, error: BaseException | None, /) -> None:
        permit, outcome = ticket.permit, Outcome.NEUTRAL
        if permit is not None:
            outcome = self._outcome(ticket, error)
        elif ticket.call is not None and ticket.call.token:
            permit = lease_of(ticket.call.token)
        if permit is not None and (outcome is not Outcome.GOOD or permit[2]):
            self._record(permit, outcome)
        ticket.permit = ticket.call = None

    def _outcome(self, ticket: AdmittedCall, error: BaseException | None) -> Outcome:
        if isinstance(error, FailedResultError):
            return Outcome.FAILED
        if isinstance(error, self._ignore):
            return Outcome.GOOD
        if isinstance(error, Exception):
            return health(error)
        if error is not None:
            return Outcome.NEUTRAL
        slow_threshold = self._plan.slow
        if (
            slow_threshold is not None
            and self._core().nanoseconds() - ticket.began > slow_threshold
        ):
            return Outcome.SLOW
        return Outcome.GOOD

    def _record(self, permit: Permit, outcome: Outcome) -> None:
        core = self._core()
        report = Report(self._question.gates, permit, outcome, core.reporter())
        if outcome is Outcome.NEUTRAL or core.ask is None:
            core.post(report)
            return
        try:
            new_mode = core.ask(report, AFTERWARDS)
        except StorageUnavailable:
            # The function has returned, so an unreachable store must not replace its result by an
            # error.
            return
        if new_mode is not None and core.observers:
            call = self._new_call(core)
            call.emit(core, CircuitChanged, state=new_mode, circuit=circuit_name(call.plan))

    def _core(self) -> Core:
        """The asynchronous core if this breaker has used it, otherwise the synchronous one."""
        return self.__dict__.get("_async_core") or self._sync_core


class _KeyedCircuitBreaker(CircuitBreaker):
    """The circuit breaker of one key: its own circuit, with the settings of the whole breaker."""

    def __init__(self, whole: CircuitBreaker, key: str) -> None:
        self._whole = whole
        self._key = key
        self._ignore = whole._ignore
        self._check = whole._check
        self._timed = whole._timed
        self._needs_ticket = whole._needs_ticket
        self._span = whole._span
        admission_request, name = whole._question, whole._plan.service.name
        self._question = admission_request.through(
            admission_request.gates.moved(key_prefix_of(name, None), key_prefix_of(name, key))
        )

    def keyed(self, key: str) -> CircuitBreaker:
        return self._whole.keyed(key)

    @property
    def _plan(self) -> Plan:  # type: ignore[override]  # made only for a probe or an event
        return self._whole._plan.for_tenant(self._key)

    @property
    def _sync_core(self) -> Core:  # pyright: ignore[reportIncompatibleVariableOverride]  # never set
        return self._whole._sync_core

    @property
    def _async_core(self) -> Core:  # pyright: ignore[reportIncompatibleVariableOverride]  # never set
        return self._whole._async_core

    @property
    def _ask(self) -> Ask:  # pyright: ignore[reportIncompatibleVariableOverride]  # never set
        return self._whole._ask

    @property
    def _ask_later(self) -> Ask | None:  # pyright: ignore[reportIncompatibleVariableOverride]  # never set
        return self._whole._ask_later

    def _core(self) -> Core:
        return self._whole._core()
