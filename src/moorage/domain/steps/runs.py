"""Runs: the data that a platform has about the steps that it started."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from moorage.domain.secrets.frames import with_careful_constructor
from moorage.domain.values.frozen_values import field, frozen
from moorage.errors import IdempotencyConflict

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from moorage.domain.secrets.secret import Secret
    from moorage.domain.steps.step import Step

LogStream: TypeAlias = Literal["stdout", "stderr"]
"""One of the two outputs of a program."""

STREAMS: tuple[LogStream, ...] = ("stdout", "stderr")
"""Both outputs of a program."""


class RunPhase(Enum):
    """The present state of a run."""

    STARTING = "starting"
    RUNNING = "running"
    ENDED = "ended"
    LOST = "lost"
    """The run was started, but its end was not recorded, so the exit code is unknown."""


class EndReason(Enum):
    """The reason for which a run ended."""

    EXITED = "exited"
    """Its program ended, by itself or by a signal."""
    DEADLINE = "deadline"
    """The platform ended it at its time limit."""
    STOPPED = "stopped"
    """A person or program stopped the run."""
    OUT_OF_MEMORY = "out_of_memory"
    """The run used more memory than allowed."""


@with_careful_constructor
@frozen(kw_only=True)
class RunSpec:
    """All that a platform needs to start a run.

    Attributes:
        name: the name of the run. Of two runs with one name, the platform starts only the first.
        step: the step.
        secrets: the secrets of the step, looked up.
        labels: further facts that the platform shows with the run; nothing in them is secret.
        inputs: the contents of the step's files that were read from the storage.
    """

    name: str
    step: Step
    secrets: Mapping[str, Secret] = field(factory=dict[str, "Secret"], repr=False)
    labels: Mapping[str, str] = field(factory=dict[str, str])
    inputs: Mapping[str, bytes] = field(factory=dict[str, bytes], repr=False)

    @property
    def files(self) -> Mapping[str, bytes]:
        """The contents of all files that the step finds, by their relative paths."""
        return {**self.step.workspace.files, **self.inputs}


@frozen(kw_only=True)
class RunStatus:
    """The data that a platform has about a run now.

    Attributes:
        name: the name of the run.
        phase: the run's current phase.
        exit_code: the exit code of a run that has ended; 128 + n for a program that was ended by
            signal n.
        reason: the reason of its end, if it has ended.
        fingerprint: the fingerprint of the step that it was started with, if it is known already.
        started_at: the time at which it began, with a time zone, if it is known already.
        ended_at: the time at which it ended.
        step: the name of the step, for people.
        labels: the labels that it was started with.
        metadata: further facts of the platform as plain values, such as a container's id.
        problem: the reason why a list of runs has only a part of these facts, such as no exit code;
            None if the facts are complete.
    """

    name: str
    phase: RunPhase
    exit_code: int | None = None
    reason: EndReason | None = None
    fingerprint: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    step: str | None = None
    labels: Mapping[str, str] = field(factory=dict[str, str])
    metadata: Mapping[str, Any] = field(factory=dict[str, Any])
    problem: str | None = None

    @property
    def is_over(self) -> bool:
        """True if the run has ended or is lost."""
        return self.phase in {RunPhase.ENDED, RunPhase.LOST}


class LogChunk(NamedTuple):
    """A part of a run's output.

    Attributes:
        data: the bytes; they may end anywhere, for example in the middle of a line.
        position: the position after these bytes, from which the next part is read.
        is_last: whether the run has ended and this is the last part.
        has_gap: whether bytes before the position may be missing, because the platform no longer
            shows them.
    """

    data: bytes
    position: str
    is_last: bool
    has_gap: bool = False


def check_same_step(status: RunStatus, step: Step) -> None:
    """Raise an error if a run of the same name was started with another step."""
    if status.fingerprint is not None and status.fingerprint != step.fingerprint:
        raise IdempotencyConflict(
            "This key already belongs to another step.",
            remedy="Use a new key for a new step, or repeat the first step unchanged.",
        )
