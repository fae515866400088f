"""Coverage of branches through `sys.monitoring` on Pythons that report both ways of one together.

A tracer is called for each line that runs, which makes tests three times slower. A monitor is
called once for each line and branch. Coverage uses it for branches from Python 3.14 on, where the
two ways of a branch are events of their own. Before, one event tells both, so it is left on until
both were seen.
"""

from __future__ import annotations

import dis
import sys
from typing import TYPE_CHECKING, Any

import coverage.core
from coverage import bytecode, env
from coverage.sysmon import SysMonitor

if TYPE_CHECKING:
    from types import CodeType

    from coverage.plugin_support import Plugins


class BranchMonitor(SysMonitor):
    """Measures lines and branches, and keeps an event of a branch until it went both ways."""

    def __init__(self) -> None:
        super().__init__()
        self._destinations: dict[tuple[int, int], int] = {}

    def sysmon_branch_either(
        self, code: CodeType, instruction_offset: int, destination_offset: int
    ) -> Any:
        """Note one way of a branch, and disable its event if the other way was seen before."""
        place = id(code), instruction_offset
        first = self._destinations.get(place)
        if first == destination_offset:
            return None
        self._destinations[place] = destination_offset
        disable = super().sysmon_branch_either(code, instruction_offset, destination_offset)
        return None if first is None else disable


def coverage_init(_registry: Plugins, _options: dict[str, str]) -> None:
    """Replaces the monitor of coverage, if this Python has one and coverage would not use it."""
    if env.PYBEHAVIOR.branch_right_left or sys.version_info < (3, 12):
        return
    events: Any = sys.monitoring.events
    events.BRANCH_LEFT = events.BRANCH_RIGHT = events.BRANCH
    bytecode.RETURNS.add(dis.opmap["RETURN_CONST"])
    env.PYBEHAVIOR.branch_right_left = True
    env.SYSMON_DEFAULT = True
    coverage.core.SysMonitor = BranchMonitor
