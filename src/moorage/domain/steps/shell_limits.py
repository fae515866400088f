"""Time limits enforced by a shell in the container, for clouds that enforce none.

The shell starts the command of the step beside a timer. At the limit it asks the command to end,
kills it after the grace, and ends with an exit code of its own. It passes SIGTERM on to the
command, and otherwise ends with the exit code of the command. The shell is the first process of the
container, so no process outlives it.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Final

import attrs

from moorage.domain.steps.hosted_runs import KILLED
from moorage.domain.steps.runs import EndReason

if TYPE_CHECKING:
    from moorage.domain.steps.cloud_runs import CloudRun
    from moorage.domain.steps.step import Step

LIMIT_CODE: Final = 124
"""The shell's exit code after it has ended its command; the program `timeout` uses the same."""

_SLACK_SECONDS: Final = 2
"""Seconds by which the shell lets a follower end the step first, which keeps its exit code."""

_LAG: Final = 5.0
"""Seconds after the start of a container at which a cloud may say that it has started."""

_SCRIPT: Final = (
    "limit=$1 grace=$2 over= again= pid=; shift 2\n"
    "end() { again=1; [ $pid ] && kill -TERM $pid 2>/dev/null; }\n"
    "trap end TERM\n"
    "trap 'over=1; end' USR1\n"
    '"$@" & pid=$!\n'
    "[ $again ] && end\n"
    "(sleep $limit; kill -USR1 $$; sleep $grace; kill -KILL $pid) >/dev/null 2>&1 &\n"
    "wait $pid; code=$?\n"
    # A signal interrupts the shell's wait; 127 is then the exit code of an earlier command.
    "while [ $again ]; do again=; wait $pid; next=$?; [ $next = 127 ] || code=$next; done\n"
    f"[ $over ] && exit {LIMIT_CODE}\n"
    "exit $code"
)


def limited_command(step: Step) -> list[str]:
    """Return a command that runs a step in a shell which enforces the step's time limit."""
    limit, grace = ceil(step.timeout) + _SLACK_SECONDS, ceil(step.grace)
    return ["sh", "-c", _SCRIPT, "moorage-limit", str(limit), str(grace), *step.command]


def with_shell_limit(run: CloudRun) -> CloudRun:
    """Return a run; if the shell has ended it, its end reason is the time limit."""
    status = run.status
    if status.exit_code != LIMIT_CODE or status.reason is not EndReason.EXITED:
        return run
    if status.started_at is not None and status.ended_at is not None:
        seconds = (status.ended_at - status.started_at).total_seconds()
        if seconds < run.note.timeout - _LAG:
            # The command itself may have exited with the same code.
            return run
    timed_out_status = attrs.evolve(status, exit_code=KILLED, reason=EndReason.DEADLINE)
    return run._replace(status=timed_out_status)
