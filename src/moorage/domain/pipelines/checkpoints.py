"""Checkpoints: stored positions for sources that store no positions themselves.

Laws:

1. A name has one owner: the last that began. Writes of an earlier owner are refused.
2. An owner starts with the positions that were stored before it began.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, NamedTuple

import attrs

from moorage.domain.state.keys import checked_name, state_key
from moorage.domain.values.durations import FOREVER
from moorage.errors import LocalFailure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.domain.pipelines.records import Offset
    from moorage.domain.state.commands import States


ONLY_PARTITION: Final = "0"
"""The partition name in checkpoints of a source without partitions."""


class Ownership(NamedTuple):
    """The right to store a checkpoint's positions, with the positions stored so far.

    Attributes:
        epoch: the number of owners so far, this one included.
        positions: the positions that are stored, by the name of the partition.
    """

    epoch: int
    positions: dict[str, Offset]


def checkpoint_key(name: str) -> str:
    """Return the state key under which a checkpoint's positions are stored."""
    return state_key("checkpoint", checked_name(name, "name"), None)


def partition_name(partition: int | str | None) -> str:
    """Return the name of a partition within a checkpoint."""
    return ONLY_PARTITION if partition is None else str(partition)


def is_after(offset: Offset | None, position: Offset | None) -> bool:
    """Return whether a record comes after a stored position.

    None means the beginning of the partition.

    Raises:
        LocalFailure: the offset is missing, or has another type than the position.
    """
    if isinstance(offset, int) and (position is None or isinstance(position, int)):
        return position is None or offset > position
    if isinstance(offset, str) and (position is None or isinstance(position, str)):
        return position is None or offset > position
    raise LocalFailure(
        "The offset of the record cannot be compared with the stored position, because their"
        " types differ.",
        remedy="Use increasing offsets of one type for all records of a source: numbers, or"
        " texts that sort in the order of the records. If you change the type, rename"
        " the source.",
    )


def taken_over_error(name: str) -> LocalFailure:
    """Return the error for a worker whose checkpoint another worker has taken over."""
    return LocalFailure(
        f"Another worker has taken over the checkpoint {name!r}.",
        remedy="Run one worker for each name, and use a different name for each pipeline.",
    )


@attrs.frozen
class BeginCheckpoint:
    """The command that makes a worker the owner of a checkpoint, and returns its `Ownership`.

    Attributes:
        key: the key of the checkpoint.
        owner: a string that no other owner has.
    """

    key: str
    owner: str
    once = False
    durable = True

    @property
    def keys(self) -> tuple[str, ...]:
        """The state key of the checkpoint."""
        return (self.key,)

    def apply(self, states: States, now: int, /) -> tuple[States, Ownership]:
        """Return the state with the new owner, and the positions where it starts."""
        [state] = states
        _, _, epoch, owner, text = state or (0, 0, 0, "", "{}")
        if owner != self.owner:
            epoch += 1
        return ((now, FOREVER, epoch, self.owner, text),), Ownership(epoch, json.loads(text))


@attrs.frozen
class AdvanceCheckpoint:
    """The command that stores positions; it returns False if a newer process owns them.

    Attributes:
        key: the key of the checkpoint.
        epoch: the epoch of the owner.
        positions: the positions to store, by the name of the partition; other positions stay.
    """

    key: str
    epoch: int
    positions: Mapping[str, Offset]
    once = False
    durable = True

    @property
    def keys(self) -> tuple[str, ...]:
        """The state key of the checkpoint."""
        return (self.key,)

    def apply(self, states: States, now: int, /) -> tuple[States, bool]:
        """Return the state with the new positions, if they come from the current owner."""
        [state] = states
        if state is None or state[2] != self.epoch:
            return states, False
        _, _, epoch, owner, text = state
        positions = {**json.loads(text), **self.positions}
        return ((now, FOREVER, epoch, owner, json.dumps(positions, sort_keys=True)),), True


@attrs.frozen
class ResetCheckpoint:
    """The command that replaces a checkpoint's positions and ends its ownership.

    Attributes:
        key: the key of the checkpoint.
        positions: the new positions, by the name of the partition; empty to start from the
            beginning.
    """

    key: str
    positions: Mapping[str, Offset]
    once = False
    durable = True

    @property
    def keys(self) -> tuple[str, ...]:
        """The state key of the checkpoint."""
        return (self.key,)

    def apply(self, states: States, now: int, /) -> tuple[States, None]:
        """Return the state with the new positions, and without an owner."""
        [state] = states
        epoch = 0 if state is None else state[2]
        text = json.dumps(dict(self.positions), sort_keys=True)
        return ((now, FOREVER, epoch + 1, "", text),), None
