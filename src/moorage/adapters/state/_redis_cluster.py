"""A threaded program's connections to a Redis cluster; requests go to the node of their keys.

Laws:

1. The caller's deadline covers every step of a request: loading the list of nodes, connecting, and
   the reply.
2. The list of nodes is requested from one node after another, each with a share of the remaining
   time, so that a silent node leaves time for the next.
3. After a node has failed or timed out, the next request for its keys first reloads the list of
   nodes from the others, because another node may have replaced it.
"""

from __future__ import annotations

from math import inf
from threading import Lock
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from redis import exceptions as redis_errors
from redis.crc import key_slot

from moorage.adapters.state._redis_pool import ConnectionPool
from moorage.adapters.state._redis_server import UnsentError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from moorage.adapters.state._redis_server import RedisServer
    from moorage.adapters.state._redis_wire import Batch

_Node: TypeAlias = "tuple[str, int]"

_MOST_HOPS: Final = 16
"""The maximum number of redirections that a request follows."""
_PAUSE_FOR_MOVING_KEYS: Final = 0.05
"""Seconds to wait for the keys of one request that are moving to another node."""

_REDIRECTIONS: Final[Mapping[str, type[redis_errors.ResponseError]]] = {
    "ASK": redis_errors.AskError,
    "MOVED": redis_errors.MovedError,
    "TRYAGAIN": redis_errors.TryAgainError,
}


class ClusterPool:
    """The connection pools of the cluster's nodes, shared by threads."""

    def __init__(self, server: RedisServer) -> None:
        self._server = server
        self._loading = Lock()
        self._nodes: tuple[_Node, ...] = ()
        self._owners: dict[int, _Node] = {}
        self._pools: dict[_Node, ConnectionPool] = {}
        self._lost: set[_Node] = set()

    def run_batch(self, batch: Batch, until: float) -> list[Any]:
        """Execute several commands on the node of their keys, until a time of `monotonic()`.

        Raises:
            UnsentError: no connection was available.
            RedisError: an error of redis-py.
        """
        keys = batch[0].keys
        node = self._owner(key_slot(keys[0]), until) if keys else self._any_node(until)
        is_asking = False
        for _ in range(_MOST_HOPS):
            try:
                replies = self._run_on(node, batch, until, asking=is_asking)
            except redis_errors.MovedError as error:
                node, is_asking = _target_of(error, node), False
                self._owners[error.slot_id] = node
            except redis_errors.AskError as error:
                node, is_asking = _target_of(error, node), True
            except redis_errors.TryAgainError:
                sleep(max(0.0, min(_PAUSE_FOR_MOVING_KEYS, until - monotonic())))
            except (UnsentError, redis_errors.ConnectionError, redis_errors.TimeoutError):
                self._lost.add(node)
                raise
            else:
                self._lost.discard(node)
                return replies
        raise redis_errors.TryAgainError

    def node_of(self, key: bytes) -> str:
        """Return the name of the cluster node that stores a key; empty if unknown."""
        node = self._owners.get(key_slot(key))
        return "" if node is None else f"{node[0]}:{node[1]}"

    def is_lost(self, key: bytes) -> bool:
        """Return whether the last request to the node that stores a key failed."""
        return self._owners.get(key_slot(key)) in self._lost

    def finish(self) -> None:
        """Close the pools: idle connections now, and busy ones when they are returned."""
        for pool in list(self._pools.values()):
            pool.finish()

    def _run_on(self, node: _Node, batch: Batch, until: float, *, asking: bool) -> list[Any]:
        try:
            return self._pool(node).run_batch(batch, until, asking=asking)
        except redis_errors.ResponseError as error:
            raise as_redirection(error) from None

    def _pool(self, node: _Node) -> ConnectionPool:
        return self._pools.get(node) or self._pools.setdefault(
            node, ConnectionPool(self._server, node)
        )

    def _owner(self, slot: int, until: float) -> _Node:
        """Return the cluster node that stores a hash slot.

        Raises:
            UnsentError: no node responded, or none has the slot.
        """
        node = self._owners.get(slot)
        if node is None or node in self._lost:
            self._load(until, lambda: self._owners.get(slot))
            node = self._owners.get(slot)
        if node is None:
            raise UnsentError from redis_errors.ClusterDownError("no node has this key")
        return node

    def _any_node(self, until: float) -> _Node:
        """Return any cluster node for a request without keys, preferably one that answers."""
        if not self._owners:
            self._load(until, lambda: next(iter(self._owners.values()), None))
        return min(self._owners.values() or self._server.nodes, key=self._lost.__contains__)

    def _load(self, until: float, look_up: Callable[[], _Node | None]) -> None:
        """Look up the nodes of all hash slots, unless another thread has done so meanwhile.

        Args:
            until: the deadline, as a time of `monotonic()`.
            look_up: returns the node that the caller needs; None if the node is unknown.

        Raises:
            UnsentError: no node responded, and no earlier list of nodes exists.
        """
        seconds_left = self._server.timeout if until == inf else until - monotonic()
        if not self._loading.acquire(timeout=max(0.0, seconds_left)):
            raise UnsentError from redis_errors.TimeoutError()
        try:
            node = look_up()
            if node is None or node in self._lost:
                self._load_from_any(until)
                # If no other node has replaced the lost one, the lost one is tried again.
                self._lost -= {look_up()}
        finally:
            self._loading.release()

    def _load_from_any(self, until: float) -> None:
        """Request the map of hash slots from one node after another; failed nodes come last."""
        nodes = sorted({*self._nodes, *self._server.nodes}, key=self._lost.__contains__)
        failure: BaseException | None = None
        for number, node in enumerate(nodes):
            now = monotonic()
            try:
                # One share of the time is left for the request itself.
                seconds_per_node = (until - now) / (len(nodes) - number + 1)
                ranges = self._pool(node).command(now + seconds_per_node, *_SLOTS)
            except (UnsentError, redis_errors.RedisError, OSError) as error:
                failure = error.__cause__ or error
            else:
                self._store(ranges, node)
                return
        if not self._owners:
            raise UnsentError from failure

    def _store(self, ranges: Sequence[Sequence[Any]], source: _Node) -> None:
        owners: dict[int, _Node] = {}
        all_nodes: dict[_Node, None] = {}
        for first_slot, last_slot, *replicas in ranges:
            nodes = [_address(node, source) for node in replicas]
            all_nodes |= dict.fromkeys(nodes)
            owners |= dict.fromkeys(range(first_slot, last_slot + 1), nodes[0])
        self._owners, self._nodes = owners, tuple(all_nodes)
        for removed_node in self._pools.keys() - all_nodes:
            self._pools.pop(removed_node).finish()


_SLOTS: Final = ("CLUSTER", "SLOTS")


def as_redirection(error: redis_errors.ResponseError) -> redis_errors.ResponseError:
    """Convert a node's error reply; a redirection to another node gets a separate class.

    Before redis-py 6, an ordinary connection does not recognise the redirections of a cluster.
    """
    code, _, details = str(error).partition(" ")
    kind = _REDIRECTIONS.get(code)
    return error if kind is None else kind(details)


def _target_of(error: Any, source: _Node) -> _Node:
    """Return the address in a redirection; if it has no host, use the source's host."""
    return error.host or source[0], error.port


def _address(node: Sequence[Any], source: _Node) -> _Node:
    """Return a node's host and port; if it reports no host, use the replying node's."""
    host, port, *_ = node
    name = host.decode() if isinstance(host, bytes) else host
    return name or source[0], port
