"""The choice of a shard for each state.

Laws:

1. The limits, the circuit and the budget of one service and tenant are on the shard that rendezvous
   hashing of their tag gives, and so is each state with a tag of its own. An added shard takes its
   share from all others; nothing moves between these.
2. All other states are on the first shard: registers that list open operations cannot be spread.
3. When the shards change, limits, circuits and budgets move immediately, and start from the
   beginning. A state with a tag of its own may still be on a former shard.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, NamedTuple

from moorage.domain.state.keys import GUARDS, class_of, has_own_tag, tag_of
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Sequence

_CACHE_SIZE: Final = 4_096


class Location(NamedTuple):
    """The shard of a command's states, and the former shard to be asked first, if any."""

    shard: str
    former: str | None = None


def location_of(keys: Sequence[str], shards: tuple[str, ...], former: tuple[str, ...]) -> Location:
    """Return the shard of the states under these keys, which have the same tag.

    Args:
        keys: the keys of a command.
        shards: the names of the shards.
        former: the names of the former shards; empty if the shards have not changed.

    Raises:
        InvalidData: the keys have several tags.
    """
    if not keys:
        return Location(shards[0])
    tag = tag_of(keys[0])
    if any(tag_of(key) != tag for key in keys[1:]):
        raise InvalidData(
            "The keys of a command have different hash tags, so they may be on different shards.",
            field="keys",
            remedy="Use keys with the same text in braces.",
        )
    if class_of(keys[0]) in GUARDS:
        return Location(shard_of(tag, shards))
    if not has_own_tag(keys[0]):
        return Location(shards[0])
    shard = shard_of(tag, shards)
    former_shard = shard_of(tag, former) if former else shard
    return Location(shard, None if former_shard == shard else former_shard)


@lru_cache(_CACHE_SIZE)
def shard_of(tag: str, shards: tuple[str, ...]) -> str:
    """Return the shard of a tag by rendezvous hashing: the shard with the highest hash."""
    return max(shards, key=lambda shard: blake2b(f"{shard}\0{tag}".encode()).digest())
