"""Connections of an event loop to a Redis server or cluster.

A client of redis-py finds the nodes of a cluster.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from redis import exceptions as redis_errors
from redis.crc import key_slot

from moorage.adapters.concurrency.loop_end import close_with_loop
from moorage.adapters.state._redis_server import UnsentError
from moorage.adapters.state._redis_wire import DIGEST, SCRIPT, arguments, request, with_script

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

    from moorage.adapters.state._redis_server import RedisServer
    from moorage.adapters.state._redis_wire import Batch

_IDLE_CHECK: Final = 0.05
"""Seconds without a request, after which the loop may not have noticed a closed connection."""

_CONNECTIONS_PER_NODE: Final = 16
"""The maximum number of connections of one event loop to one node of a cluster."""


class AsyncServerConnection:
    """An event loop's connection to Redis, for one request at a time."""

    def __init__(self, server: RedisServer) -> None:
        self._server = server
        self._connection: Any = None
        self._used = 0.0
        self._guard: AsyncGenerator[None] | None = None

    async def ready(self) -> None:
        """Connect to Redis if necessary; see `PooledConnection.ready`.

        Raises:
            UnsentError: no connection could be made.
        """
        if self._connection is not None:
            now = asyncio.get_running_loop().time()
            if now - self._used > _IDLE_CHECK:
                # The event loop notices arrived data only in its next iteration.
                await asyncio.sleep(0)
            self._used = now
            if not await self._is_interrupted():
                return
        await self.close()
        connection = self._server.connection(self._server.timeout)
        # Each caller has its own timeout.
        connection.socket_connect_timeout = None
        try:
            self._connection = connection
            await connection.connect()
            if not self._server.checked:
                await self._check()
        except (redis_errors.RedisError, OSError) as error:
            await self.close()
            raise UnsentError from error
        except BaseException:
            await self.close()
            raise
        finally:
            for sentinels in getattr(connection, "sentinel_clients", (None, None))[1:]:
                for sentinel in sentinels.sentinels if sentinels else ():
                    await sentinel.connection_pool.disconnect()
        self._guard = await _disconnect_guard(connection.disconnect, nowait=True)

    async def _is_interrupted(self) -> bool:
        can_read = getattr(self._connection, "can_read", None)
        with suppress(redis_errors.RedisError, OSError):
            return await (can_read or self._connection.can_read_destructive)()  # type: ignore[no-any-return]  # redis-py has no types here
        return True  # pragma: no cover - only old versions of redis-py raise

    async def _check(self) -> None:
        try:
            await self._connection.send_command("INFO", check_health=False)
            self._server.check(await self._connection.read_response(disconnect_on_error=True))
        except redis_errors.ResponseError:
            self._server.checked = True

    async def run_batch(self, batch: Batch) -> list[Any]:
        """Execute several commands in one call of the Redis script."""
        packed_request = request(batch)
        try:
            return await self._exchange(packed_request)
        except redis_errors.NoScriptError:
            return await self._exchange(with_script(packed_request))

    async def _exchange(self, packed: bytes) -> list[Any]:
        connection = self._connection
        await connection.send_packed_command([packed], check_health=False)
        return await connection.read_response(disconnect_on_error=True)  # type: ignore[no-any-return]  # as the script replies

    async def drop(self) -> None:
        """Disconnect from Redis after an error, because an unread reply may arrive."""
        await self.close()

    async def close(self) -> None:
        """Disconnect from Redis."""
        connection, self._connection = self._connection, None
        guard, self._guard = self._guard, None
        if guard is not None:
            await guard.aclose()
        elif connection is not None:
            await connection.disconnect(nowait=True)


async def _disconnect_guard(
    disconnect: Callable[..., Awaitable[object]], **options: object
) -> AsyncGenerator[None]:
    """Return a generator that disconnects when the generator or its event loop is closed."""

    async def close() -> None:
        with suppress(redis_errors.RedisError, OSError):
            await disconnect(**options)

    return await close_with_loop(close)


class AsyncClusterConnection:
    """The connections of one event loop to the nodes of a cluster.

    A request goes directly to the node that has its keys. redis-py's client only routes requests
    that a node redirects: after a timeout of one node, it would reconnect to all nodes.
    """

    def __init__(self, server: RedisServer) -> None:
        self._server = server
        self._connecting = asyncio.Lock()
        self._client: Any = None
        self._free: dict[str, asyncio.Semaphore] = {}
        self._silent: Any = None
        self._guard: AsyncGenerator[None] | None = None

    async def ready(self) -> None:
        """Look up the nodes of the Redis cluster, unless they are already known.

        Raises:
            UnsentError: no node responded.
        """
        async with self._connecting:
            if self._client is not None:
                return
            client = self._server.cluster_client()
            nodes = client.nodes_manager
            guard = await _disconnect_guard(_close_client, client=client)
            try:
                await nodes.initialize()
                self._server.check(await _first_reply(nodes, "INFO"))
            except BaseException as error:
                await guard.aclose()
                if isinstance(
                    error, (redis_errors.RedisError, redis_errors.RedisClusterException, OSError)
                ):
                    raise UnsentError from error
                raise
            self._client, self._guard = client, guard

    def node_of(self, key: bytes) -> str:
        """Return the name of the cluster node that stores a key; empty if unknown."""
        node = None if self._client is None else self._node(key_slot(key))
        return "" if node is None else str(node.name)

    async def run_batch(self, batch: Batch) -> list[Any]:
        """Execute several commands in one script call, on the node that stores their keys."""
        keys, values = arguments(batch)
        try:
            return await self._send("EVALSHA", DIGEST, keys, values)
        except redis_errors.NoScriptError:
            return await self._send("EVAL", SCRIPT, keys, values)

    async def _send(
        self, verb: str, script: bytes, keys: Sequence[bytes], values: list[bytes]
    ) -> list[Any]:
        request = (verb, script, len(keys), *keys, *values)
        slot = key_slot(keys[0]) if keys else -1
        if self._silent is not None and self._silent is self._node(slot):
            await self._find_replacement(slot, self._silent)
            self._silent = None
        node = self._node(slot)
        if node is None:
            return await self._client.execute_command(*request)  # type: ignore[no-any-return]  # as the script replies
        is_sent = False
        try:
            async with self._free.setdefault(node.name, asyncio.Semaphore(_CONNECTIONS_PER_NODE)):
                is_sent = True
                return await node.execute_command(*request)  # type: ignore[no-any-return]  # as the script replies
        except (redis_errors.AskError, redis_errors.MovedError, redis_errors.TryAgainError):
            return await self._client.execute_command(*request)  # type: ignore[no-any-return]  # as the script replies
        except (redis_errors.ConnectionError, redis_errors.TimeoutError, OSError):
            await self._find_replacement(slot, node)
            raise
        except asyncio.CancelledError:
            if is_sent:
                # The node did not respond in time, perhaps because another node has replaced it.
                self._silent = node
            raise

    def _node(self, slot: int) -> Any:
        """Return the cluster node that stores a hash slot; None if unknown."""
        return next(iter(self._client.nodes_manager.slots_cache.get(slot, ())), None)

    async def _find_replacement(self, slot: int, lost_node: Any) -> None:
        """Look up the nodes again, if another node now serves the hash slot of a lost one."""
        nodes = self._client.nodes_manager
        with suppress(redis_errors.RedisError, redis_errors.RedisClusterException, OSError):
            await lost_node.disconnect()
        with suppress(redis_errors.RedisError, redis_errors.RedisClusterException, OSError):
            ranges = await _first_reply(nodes, "CLUSTER SLOTS", lost_node)
            owners = [
                primary
                for first_slot, last_slot, primary, *_ in ranges
                if first_slot <= slot <= last_slot
            ]
            if not any(_is_at(lost_node, owner) for owner in owners):
                await nodes.initialize()

    async def drop(self) -> None:
        """Do nothing, because redis-py disconnects only the failed connection."""

    async def close(self) -> None:
        """Disconnect from every node."""
        guard, self._guard, self._client = self._guard, None, None
        if guard is not None:
            await guard.aclose()


def _is_at(node: Any, owner: Sequence[Any]) -> bool:
    """Return whether a node has the host and port that the cluster reports."""
    host, port, *_ = owner
    return (node.host, node.port) == (host.decode() if isinstance(host, bytes) else host, port)


async def _first_reply(nodes: Any, request: str, excluded_node: Any = None) -> Any:
    """Return the reply of the first node that answers, skipping one node."""
    error: Exception = redis_errors.ClusterError("no other node is known")
    for node in list(nodes.nodes_cache.values()):
        if node is not excluded_node:
            try:
                return await node.execute_command(request)
            except (redis_errors.RedisError, OSError) as failure:
                error = failure
    raise error


async def _close_client(client: Any) -> None:
    """Disconnect a Redis client from all nodes, even if it is only partly initialised."""
    await client.aclose()
    for cache in ("nodes_cache", "startup_nodes"):
        await client.nodes_manager.aclose(cache)
