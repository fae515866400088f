"""A shared store with a fallback for the time when the store or one of its nodes fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moorage.domain.resilience.admission import GO, Admission
from moorage.domain.resilience.circuit import Outcome
from moorage.domain.resilience.gate_commands import Confirm, GiveBack, Report
from moorage.domain.resilience.outage import (
    is_local,
    marked_as_local,
    needs_no_store,
    patience,
    with_local_shares,
)
from moorage.errors import StateUnavailable, StorageUnavailable
from moorage.services.calling.admission import lease_of
from moorage.services.core.outage_probe import OutageProbe
from moorage.services.state.substitutes import StateSubstitutes

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.domain.resilience.outage import Outage
    from moorage.domain.state.commands import Command
    from moorage.services.core.core import Core


class StoreFallback:
    """Runs commands in a store, or in a fallback while the store is unavailable.

    Args:
        core: reaches the store.
        name: name of the store in events.
        local: executes a command in the memory of this process.
        node_of: names the node with the keys of a command, if nodes can fail separately.
    """

    def __init__(
        self,
        core: Core,
        name: str,
        local: Callable[[Command[Any]], Any],
        node_of: Callable[[Command[Any]], str] | None = None,
    ) -> None:
        self._core = core
        self._name = name
        self._local = local
        self._node_of = node_of
        self._probes = {"": OutageProbe(core, name)}
        self._substitutes = StateSubstitutes(core, name)

    def restart_after_fork(self) -> None:
        """Allow callers of a forked child to probe the store and its nodes."""
        for probe in self._probes.values():
            probe.restart_after_fork()

    async def execute(  # noqa: C901 - a frame less for every command
        self, command: Command[Any], timeout: float | None
    ) -> Any:
        """Run a command in the store or its fallback, within the caller's time limit."""
        if is_local(command):
            return self._local(with_local_shares(command))
        core, substitutes = self._core, self._substitutes
        while True:
            usable_command = (
                substitutes.substitute_states(command) if substitutes.until else command
            )
            probe = self._probe(usable_command)
            outage = probe.outage
            may_call = outage is None or probe.claim_probe(outage)
            if not may_call and needs_no_store(usable_command):
                return self._result_without_store(usable_command)
            start_time = core.nanoseconds()
            seconds = patience(usable_command, timeout)
            try:
                answer = await core.execute(usable_command, seconds)
            except StateUnavailable as error:
                self._record_answer(probe, outage)
                if substitutes.add(command, usable_command, error):
                    timeout = self._time_left(timeout, start_time)
                    continue
                if not needs_no_store(command):
                    raise
                return self._result_without_store(command)
            except StorageUnavailable as error:
                self._release_probe(usable_command)
                if error.slow or (outage is None and probe.is_slow(start_time, seconds)):
                    # The store is slow but reachable, so its states still apply to all processes.
                    self._end_probe(outage, turn=may_call)
                    raise
                if may_call:
                    probe.record_loss(outage, error, start_time)
                if not needs_no_store(usable_command):
                    raise
                return self._result_without_store(usable_command)
            except BaseException:
                self._end_probe(outage, turn=may_call)
                raise
            self._record_answer(probe, outage)
            if substitutes.until:
                substitutes.forget(usable_command)
            return answer

    def _time_left(self, timeout: float | None, start_time: int) -> float | None:
        """Return the rest of a time limit that began to run at a time of the local clock."""
        if timeout is None:
            return None
        return max(0.0, timeout - (self._core.nanoseconds() - start_time) / 1e9)

    def post(self, command: Command[Any]) -> None:
        """Run a command without waiting for its result."""
        if is_local(command):
            self._local(with_local_shares(command))
        elif self._probe(command).outage is None or command.durable:
            self._core.post(self._without_unreadable_states(command))

    def next_probe(self, command: Command[Any]) -> int | None:
        """Return when a command's failed node is probed again; None if its node is available.

        The time is nanoseconds of the local clock.
        """
        outage = self._probe(command).outage
        return None if outage is None else outage.until

    def _end_probe(self, outage: Outage | None, *, turn: bool) -> None:
        """End this caller's probe of the store, so that another caller can probe it."""
        if turn and outage is not None:
            outage.turn.append(None)

    def _probe(self, command: Command[Any]) -> OutageProbe:
        """Return the outage probe of the node that stores the keys of a command."""
        node = "" if self._node_of is None else self._node_of(command)
        probe = self._probes.get(node)
        if probe is None:
            probe = self._probes.setdefault(node, OutageProbe(self._core, self._name, node))
        return probe

    def _record_answer(self, probe: OutageProbe, outage: Outage | None) -> None:
        """Record that a node of the store responded, and is thus reachable."""
        probe.answered = self._core.nanoseconds()
        if outage is not None:
            probe.record_recovery(outage)
        whole_probe = self._probes[""]
        if whole_probe.outage is not None:
            whole_probe.record_recovery(whole_probe.outage)

    def _without_unreadable_states(self, command: Command[Any]) -> Command[Any]:
        """Return the command with substitutes for stored states that this process cannot read."""
        return self._substitutes.substitute_states(command) if self._substitutes.until else command

    def _release_probe(self, command: Command[Any]) -> None:
        """Release a circuit's probe slot, which a failed store may have granted."""
        core = self._core
        if isinstance(command, Admission) and command.token:
            lease = lease_of(command.token)
            report = Report(command.gates, lease, Outcome.NEUTRAL, core.reporter())
            core.post(self._without_unreadable_states(report))

    def _result_without_store(self, command: Command[Any]) -> Any:
        # Permits from the store stay valid, but the store does not learn how these calls end.
        if isinstance(command, Confirm):
            return GO, 0
        if isinstance(command, (Report, GiveBack)):
            if not command.once:
                # A probe's result is worth a late report, because the probe's slot is occupied
                # until then.
                self._core.post(command)
            return None
        answer = self._local(with_local_shares(command))
        return marked_as_local(answer) if isinstance(command, Admission) else answer
