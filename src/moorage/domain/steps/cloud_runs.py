"""Runs in clouds: the data that a run carries in its tags, and decisions about time limits.

A cloud has no field for the facts by which a follower recognises a run. So they are a note in the
tags of the run, which everybody who may see the run can read; nothing in it is secret.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self, cast

import attrs

from moorage.domain.steps.runs import EndReason, RunPhase, RunStatus
from moorage.domain.values.frozen_values import frozen
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.domain.steps.runs import RunSpec

_TAG: Final = "moorage-note-"
_PIECE_LENGTH: Final = 256
"""The largest number of characters in the value of a tag, of all clouds."""

_PIECES: Final = 30
_MAX_NUMBER: Final = 10**11


@frozen(kw_only=True)
class CloudRunNote:
    """The data that a run in a cloud carries in its tags, such as its time limit.

    Attributes:
        name: the name of the run.
        step: the name of the step.
        fingerprint: the fingerprint of the step.
        labels: the labels of the run.
        timeout: seconds after which the run is ended.
        grace: seconds between the request to end and the kill.
    """

    name: str
    step: str
    fingerprint: str
    labels: Mapping[str, str]
    timeout: float
    grace: float

    @classmethod
    def of(cls, spec: RunSpec) -> Self:
        """Return the data to store in the tags of a run that is being started."""
        step = spec.step
        return cls(
            name=spec.name,
            step=step.name,
            fingerprint=step.fingerprint,
            labels=dict(spec.labels),
            timeout=step.timeout,
            grace=step.grace,
        )

    def tags(self) -> dict[str, str]:
        """Return the tags with the note; their values are letters, digits, `-`, `_` and `=`.

        Raises:
            InvalidData: the labels are too long for the tags of a run.
        """
        text = urlsafe_b64encode(json.dumps(attrs.asdict(self)).encode()).decode()
        if len(text) > _PIECE_LENGTH * _PIECES:
            raise InvalidData(
                "The labels of the run are too long for the cloud's tags.",
                field="labels",
                remedy="Use a shorter idempotency key.",
            )
        pieces = (
            text[start : start + _PIECE_LENGTH] for start in range(0, len(text), _PIECE_LENGTH)
        )
        return {f"{_TAG}{number:02}": piece for number, piece in enumerate(pieces)}

    @classmethod
    def of_tags(cls, tags: object) -> Self | None:
        """Return the data in the tags of a run; None if another program started the run."""
        if not isinstance(tags, dict):
            return None
        names = cast("dict[str, Any]", tags)
        text = "".join(str(names[name]) for name in sorted(names) if name.startswith(_TAG))
        try:
            note = cls(**json.loads(urlsafe_b64decode(text)))
        except (ValueError, TypeError, RecursionError):
            return None
        return note if _has_valid_fields(note) else None


def _has_valid_fields(note: CloudRunNote) -> bool:
    """Return whether the data of a run have the types and ranges that moorage writes."""
    labels: Any = note.labels
    if not isinstance(labels, dict):
        return False
    texts: list[Any] = [note.name, note.step, note.fingerprint, *labels, *labels.values()]
    numbers: list[Any] = [note.timeout, note.grace]
    return all(isinstance(text, str) for text in texts) and all(
        type(number) in {int, float} and 0 <= number <= _MAX_NUMBER for number in numbers
    )


class CloudRunEnd(NamedTuple):
    """A cloud's state of a run in moorage's terms: the run's phase, and how it ended.

    Attributes:
        phase: the phase of the run; LOST if the exit code is unknown.
        exit_code: the run's exit code, if the run has ended.
        reason: the reason of its end, if it has ended.
        problem: the problem to report to a person; None if there is none.
    """

    phase: RunPhase
    exit_code: int | None = None
    reason: EndReason | None = None
    problem: str | None = None


class CloudRun(NamedTuple):
    """A run as its cloud describes it.

    Attributes:
        note: the note in its tags.
        status: the run's status.
        place: the name or the number of the run in the cloud.
        now: the cloud's time.
    """

    note: CloudRunNote
    status: RunStatus
    place: str
    now: datetime


def cloud_status(
    note: CloudRunNote,
    end: CloudRunEnd,
    *,
    started_at: datetime | None,
    ended_at: datetime | None,
    facts: Mapping[str, Any],
) -> RunStatus:
    """Return the status of a run.

    Args:
        note: the note in its tags.
        end: the meaning of its state.
        started_at: the time at which it began, if it has begun.
        ended_at: the time at which it ended, if its cloud states it.
        facts: further facts of the cloud; facts that are None are left out.
    """
    is_over = end.phase in {RunPhase.ENDED, RunPhase.LOST}
    details = {name: value for name, value in facts.items() if value is not None}
    return RunStatus(
        name=note.name,
        phase=end.phase,
        exit_code=end.exit_code,
        reason=end.reason,
        fingerprint=note.fingerprint,
        started_at=started_at or (ended_at if is_over else None),
        ended_at=ended_at if is_over else None,
        step=note.step,
        labels=note.labels,
        metadata={**details, **({"problem": end.problem} if end.problem else {})},
    )


def is_late(run: CloudRun) -> bool:
    """Return whether a run is still running after its time limit."""
    started_at = run.status.started_at
    if run.status.is_over or started_at is None:
        return False
    return run.now >= started_at + timedelta(seconds=run.note.timeout)


def has_settled(run: CloudRun, seconds: float) -> bool:
    """Return whether a run ended so long ago that its log is complete.

    Args:
        run: the run.
        seconds: seconds after the end of a run in which its cloud still stores lines of its log.
    """
    if not run.status.is_over:
        return False
    ended_at = run.status.ended_at
    return ended_at is None or run.now >= ended_at + timedelta(seconds=seconds)


def part_of(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the object under a name in a JSON object; an empty one if there is none."""
    value: Any = document.get(name)
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def parts_of(document: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """Return the objects in a list of a JSON object; an empty list if there are none."""
    value: Any = document.get(name)
    return cast("list[dict[str, Any]]", value) if isinstance(value, list) else []


def moment_of(value: object) -> datetime | None:
    """Parse a cloud's time, written as text or as seconds; None for any other value."""
    try:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
        moment = datetime.fromisoformat(str(value))
    except (ValueError, OverflowError, OSError):
        return None
    return moment if moment.tzinfo is not None else None
