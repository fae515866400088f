"""A shared store, and what stands in for it while it is away."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any

from moorage.domain.admission import GO, Admission, Confirm, GiveBack, Report
from moorage.domain.circuit import Outcome
from moorage.domain.outage import goes_on, is_local, marked
from moorage.errors import StorageUnavailable
from moorage.services.admission import lease_of
from moorage.services.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.domain.outage import Outage
    from moorage.domain.state import Command
    from moorage.services.core import Core


class Shelter:
    """The verbs of one store, which go on without it where they can.

    Args:
        core: reaches the store.
        name: what events call it.
        local: executes a command in the memory of this process.
    """

    def __init__(self, core: Core, name: str, local: Callable[[Command[Any]], Any]) -> None:
        self._core = core
        self._local = local
        self._watch = Watch(core, name)

    async def execute(self, command: Command[Any], timeout: float | None) -> Any:
        """Run a command where it can be run, within the seconds that its caller has left."""
        if is_local(command):
            return self._local(command)
        outage = self._watch.outage
        turn = outage is None or self._watch.may_look(outage)
        if turn or command.durable:
            return await self._ask(command, timeout, outage, turn=turn)
        if outage is not None and not goes_on(command):
            raise copy(outage.error)
        return self._without(command)

    async def _ask(
        self,
        command: Command[Any],
        timeout: float | None,
        outage: Outage | None,
        *,
        turn: bool,
    ) -> Any:
        """Ask the store, though it may be away."""
        try:
            answer = await self._core.execute(command, timeout)
        except StorageUnavailable as error:
            if turn:
                self._watch.lost(outage, error)
            self._free(command)
            if not goes_on(command):
                raise
            return self._without(command)
        except BaseException:
            if turn and outage is not None:
                outage.turn.append(None)
            raise
        if outage is not None:
            self._watch.found(outage)
        return answer

    def post(self, command: Command[Any]) -> None:
        """Hand over a command that nobody waits for."""
        if is_local(command):
            self._local(command)
        elif self._watch.outage is None or command.durable:
            self._core.post(command)

    def _free(self, command: Command[Any]) -> None:
        """Give back the place of a probe that was granted perhaps, and goes on without."""
        core = self._core
        if isinstance(command, Admission) and command.token:
            lease = lease_of(command.token)
            core.post(Report(command.gates, lease, Outcome.NEUTRAL, core.reporter()))

    def _without(self, command: Command[Any]) -> Any:
        # What the store has granted stands, and how it ended is not known there.
        if isinstance(command, Confirm):
            return GO, 0
        if isinstance(command, (Report, GiveBack)):
            if not command.once:
                # A probe's outcome is worth telling late: until then its place is taken.
                self._core.post(command)
            return None
        answer = self._local(command)
        return marked(answer) if isinstance(command, Admission) else answer
