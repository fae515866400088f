"""The result of a step, and the way in which it ended."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Self, cast

from moorage.domain.steps.runs import EndReason
from moorage.domain.values.frozen_values import Factory, evolve, field, frozen
from moorage.errors import DeadlineExceeded

if TYPE_CHECKING:
    from collections.abc import Mapping

SIGNAL_BASE: Final = 128
"""A program that a signal ended has this exit code, plus the number of the signal."""


class StepOutcome(Enum):
    """The way in which a step ended."""

    SUCCESS = "success"
    """It ended by itself with the exit code 0."""
    FAILURE = "failure"
    """It ended with another exit code, by a signal, or for lack of memory."""
    CANCELLED = "cancelled"
    """A person or program stopped the step."""
    DEADLINE = "deadline"
    """The step was ended because it took longer than its timeout."""


@frozen
class HookError:
    """The error of a hook, which does not change the result of its step.

    Attributes:
        hook: the name of the hook, such as "post_execute".
        text: the description of the error, without secrets.
    """

    hook: str
    text: str


def hook_timed_out(hook: str, seconds: float) -> DeadlineExceeded:
    """Return the error of a hook that did not end before the deadline."""
    return DeadlineExceeded(
        f"The hook {hook} did not end within {seconds:g} s, so moorage stopped waiting for it.",
        may_have_been_processed=True,
        remedy="Set a timeout in the code that the hook calls, or raise `hook_timeout`.",
    )


def _outcome_of_code(result: ExecutionResult) -> StepOutcome:
    return StepOutcome.FAILURE if result.exit_code else StepOutcome.SUCCESS


@frozen(kw_only=True)
class ExecutionResult:
    """The result of a step that has ended.

    Attributes:
        exit_code: the exit code; 128 + n for a program that was ended by signal n.
        stdout: the end of its standard output, with secrets masked.
        stderr: the end of its standard error, with secrets masked.
        outcome: the way in which it ended.
        metadata: further facts as plain values, such as the name of the run on its platform.
        hook_errors: the errors of its hooks.
        files: the collected files of its workspace, by their paths.
    """

    exit_code: int
    stdout: str = field(default="", repr=False)
    stderr: str = field(default="", repr=False)
    outcome: StepOutcome = field(default=Factory(_outcome_of_code, takes_self=True))
    metadata: Mapping[str, Any] = field(factory=dict[str, Any], converter=dict)
    hook_errors: tuple[HookError, ...] = ()
    files: Mapping[str, bytes] = field(factory=dict[str, bytes], repr=False)

    @classmethod
    def success(cls, stdout: str = "", stderr: str = "", **metadata: Any) -> Self:
        """Return the result of a step that ended with the exit code 0."""
        return cls(exit_code=0, stdout=stdout, stderr=stderr, metadata=metadata)

    @classmethod
    def failure(
        cls, exit_code: int = 1, stdout: str = "", stderr: str = "", **metadata: Any
    ) -> Self:
        """Return the result of a step that failed with an exit code."""
        return cls(
            exit_code=exit_code,
            stdout=stdout,
            stderr=stderr,
            outcome=StepOutcome.FAILURE,
            metadata=metadata,
        )

    @property
    def is_success(self) -> bool:
        """True if the step ended by itself with the exit code 0."""
        return self.outcome is StepOutcome.SUCCESS

    def with_metadata(self, **metadata: Any) -> Self:
        """Return the result with further metadata; items of the same name are replaced."""
        return evolve(self, metadata={**self.metadata, **metadata})


def outcome_of(exit_code: int, reason: EndReason) -> StepOutcome:
    """Return the way in which a step ended, from its exit code and the reason of its end."""
    if reason is EndReason.STOPPED:
        return StepOutcome.CANCELLED
    if reason is EndReason.DEADLINE:
        return StepOutcome.DEADLINE
    is_failed = exit_code != 0 or reason is EndReason.OUT_OF_MEMORY
    return StepOutcome.FAILURE if is_failed else StepOutcome.SUCCESS


def exit_code_of_signal(number: int) -> int:
    """Return the exit code of a program that a signal ended."""
    return SIGNAL_BASE + number


def packed_result(result: ExecutionResult) -> dict[str, Any]:
    """Return a result as plain values, which a store can keep."""
    return {
        "exit_code": result.exit_code,
        "stdout": result.stdout,
        "stderr": result.stderr,
        "outcome": result.outcome.value,
        "metadata": dict(result.metadata),
        "hook_errors": [[error.hook, error.text] for error in result.hook_errors],
        "files": dict(result.files),
    }


def unpacked_result(stored: object) -> ExecutionResult:
    """Return a result from the plain values that a store kept."""
    fields = cast("dict[str, Any]", stored)
    return ExecutionResult(
        exit_code=fields["exit_code"],
        stdout=fields["stdout"],
        stderr=fields["stderr"],
        outcome=StepOutcome(fields["outcome"]),
        metadata=fields["metadata"],
        hook_errors=tuple(HookError(hook, text) for hook, text in fields["hook_errors"]),
        files=fields["files"],
    )
