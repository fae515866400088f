"""The nodes of a cluster, for threads: each request goes to the node that has its keys.

Laws:

1. Everything that a request needs ends by its caller's deadline: learning the nodes, connecting,
   the reply.
2. Whoever learns the nodes tries one after another, each for its part of the time that is left, so
   that a silent node leaves time for the next.
3. After a node was lost or silent, the next request for its keys learns the nodes anew from the
   others first: another one may have taken over.
"""

from __future__ import annotations

from math import inf
from threading import Lock
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from redis import exceptions as wrong
from redis.crc import key_slot

from moorage.adapters.state._redis_links import Links
from moorage.adapters.state._redis_place import UnsentError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from moorage.adapters.state._redis_place import Place
    from moorage.adapters.state._redis_wire import Batch

_Node: TypeAlias = "tuple[str, int]"

_MOST_HOPS: Final = 16
"""How often a request follows what nodes tell about the place of its keys."""
_MOVING: Final = 0.05
"""Seconds to wait for keys of one request that are about to move to another node."""

_REDIRECTIONS: Final[Mapping[str, type[wrong.ResponseError]]] = {
    "ASK": wrong.AskError,
    "MOVED": wrong.MovedError,
    "TRYAGAIN": wrong.TryAgainError,
}


class ClusterLinks:
    """Connections to the nodes of a cluster; threads share them."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._learning = Lock()
        self._known: tuple[_Node, ...] = ()
        self._owners: dict[int, _Node] = {}
        self._links: dict[_Node, Links] = {}
        self._lost: set[_Node] = set()

    def ask(self, batch: Batch, until: float) -> list[Any]:
        """Do a batch by a time of `monotonic()`, on the node that has its keys.

        Raises:
            UnsentError: there was no connection.
            RedisError: as redis-py says.
        """
        keys = batch[0].keys
        node = self._owner(key_slot(keys[0]), until) if keys else self._any(until)
        asking = False
        for _ in range(_MOST_HOPS):
            try:
                replies = self._ask(node, batch, until, asking=asking)
            except wrong.MovedError as error:
                node, asking = _named(error, node), False
                self._owners[error.slot_id] = node
            except wrong.AskError as error:
                node, asking = _named(error, node), True
            except wrong.TryAgainError:
                sleep(max(0.0, min(_MOVING, until - monotonic())))
            except (UnsentError, wrong.ConnectionError, wrong.TimeoutError):
                self._lost.add(node)
                raise
            else:
                self._lost.discard(node)
                return replies
        raise wrong.TryAgainError

    def node_of(self, key: bytes) -> str:
        """The node that has a key; empty as long as that is not known."""
        node = self._owners.get(key_slot(key))
        return "" if node is None else f"{node[0]}:{node[1]}"

    def finish(self) -> None:
        """Disconnect from every node for good: what is in use, when it is given back."""
        for links in list(self._links.values()):
            links.finish()

    def _ask(self, node: _Node, batch: Batch, until: float, *, asking: bool) -> list[Any]:
        try:
            return self._node(node).ask(batch, until, asking=asking)
        except wrong.ResponseError as error:
            raise as_redirection(error) from None

    def _node(self, node: _Node) -> Links:
        return self._links.get(node) or self._links.setdefault(node, Links(self._place, node))

    def _owner(self, slot: int, until: float) -> _Node:
        """The node that has a slot.

        Raises:
            UnsentError: no node could be asked which one it is, or none has it.
        """
        node = self._owners.get(slot)
        if node is None or node in self._lost:
            self._learn(until, lambda: self._owners.get(slot))
            node = self._owners.get(slot)
        if node is None:
            raise UnsentError from wrong.ClusterDownError("no node has this key")
        return node

    def _any(self, until: float) -> _Node:
        """A node for a request without keys, if possible one that is not lost."""
        if not self._owners:
            self._learn(until, lambda: next(iter(self._owners.values()), None))
        return min(self._owners.values() or self._place.nodes, key=self._lost.__contains__)

    def _learn(self, until: float, wanted: Callable[[], _Node | None]) -> None:
        """Learn which node has which slot, unless another thread has learned what is wanted.

        Raises:
            UnsentError: no node answered, and nothing was known before.
        """
        patience = self._place.timeout if until == inf else until - monotonic()
        if not self._learning.acquire(timeout=max(0.0, patience)):
            raise UnsentError from wrong.TimeoutError()
        try:
            node = wanted()
            if node is None or node in self._lost:
                self._ask_all(until)
                # If no other node has taken over, the lost one is tried again.
                self._lost -= {wanted()}
        finally:
            self._learning.release()

    def _ask_all(self, until: float) -> None:
        """Ask one node after another for the slots until one answers; lost ones come last."""
        nodes = sorted({*self._known, *self._place.nodes}, key=self._lost.__contains__)
        failure: BaseException | None = None
        for number, node in enumerate(nodes):
            now = monotonic()
            try:
                # One part of the time is for the request itself.
                share = (until - now) / (len(nodes) - number + 1)
                ranges = self._node(node).command(now + share, *_SLOTS)
            except (UnsentError, wrong.RedisError, OSError) as error:
                failure = error.__cause__ or error
            else:
                self._keep(ranges, node)
                return
        if not self._owners:
            raise UnsentError from failure

    def _keep(self, ranges: Sequence[Sequence[Any]], teller: _Node) -> None:
        owners: dict[int, _Node] = {}
        known: dict[_Node, None] = {}
        for first, last, *nodes in ranges:
            places = [_place(each, teller) for each in nodes]
            known |= dict.fromkeys(places)
            owners |= dict.fromkeys(range(first, last + 1), places[0])
        self._owners, self._known = owners, tuple(known)
        for gone in self._links.keys() - known:
            self._links.pop(gone).finish()


_SLOTS: Final = ("CLUSTER", "SLOTS")


def as_redirection(error: wrong.ResponseError) -> wrong.ResponseError:
    """Return an error of a node, as the class for redirections if it is one.

    Before redis-py 6 an ordinary connection does not know the redirections of a cluster.
    """
    code, _, rest = str(error).partition(" ")
    kind = _REDIRECTIONS.get(code)
    return error if kind is None else kind(rest)


def _named(error: Any, teller: _Node) -> _Node:
    """The node to which another one sends; without a host it is on the same machine."""
    return error.host or teller[0], error.port


def _place(node: Sequence[Any], teller: _Node) -> _Node:
    """The host and port of a node; a node that does not know its own host is the one asked."""
    host, port, *_ = node
    name = host.decode() if isinstance(host, bytes) else host
    return name or teller[0], port
