"""Connections to Redis for the callers of an event loop: to one server, or to a cluster.

The nodes of a cluster are known by a client of redis-py.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from redis import exceptions as wrong
from redis.crc import key_slot

from moorage.adapters.state._redis_place import UnsentError
from moorage.adapters.state._redis_wire import DIGEST, SCRIPT, arguments, request, with_script

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

    from moorage.adapters.state._redis_place import Place
    from moorage.adapters.state._redis_wire import Batch

_RESTED: Final = 0.05
"""Seconds without a request, after which a loop may not have heard yet that a connection ended."""


class AsyncLink:
    """One connection for the callers of one event loop, one request at a time."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._connection: Any = None
        self._used = 0.0
        self._keeper: AsyncGenerator[None] | None = None

    async def ready(self) -> None:
        """Be connected, or raise `UnsentError`; see `Link.ready`."""
        if self._connection is not None:
            now = asyncio.get_running_loop().time()
            if now - self._used > _RESTED:
                # Let the loop notice what has come.
                await asyncio.sleep(0)
            self._used = now
            if not await self._interrupted():
                return
        await self.close()
        connection = self._place.connection(self._place.timeout)
        # Its callers have bounds of their own.
        connection.socket_connect_timeout = None
        try:
            self._connection = connection
            await connection.connect()
            if not self._place.checked:
                await self._check()
        except (wrong.RedisError, OSError) as error:
            await self.close()
            raise UnsentError from error
        except BaseException:
            await self.close()
            raise
        finally:
            for watched in getattr(connection, "followed", (None, None))[1:]:
                for sentinel in watched.sentinels if watched else ():
                    await sentinel.connection_pool.disconnect()
        self._keeper = await _until_the_loop_ends(connection.disconnect, nowait=True)

    async def _interrupted(self) -> bool:
        look = getattr(self._connection, "can_read", None)
        with suppress(wrong.RedisError, OSError):
            return await (look or self._connection.can_read_destructive)()  # type: ignore[no-any-return]  # as redis-py says
        return True  # pragma: no cover - only old versions of redis-py raise

    async def _check(self) -> None:
        try:
            await self._connection.send_command("INFO", check_health=False)
            self._place.check(await self._connection.read_response(disconnect_on_error=True))
        except wrong.ResponseError:
            self._place.checked = True

    async def ask(self, batch: Batch) -> list[Any]:
        """Do a batch in one call of the script."""
        packed = request(batch)
        try:
            return await self._exchange(packed)
        except wrong.NoScriptError:
            return await self._exchange(with_script(packed))

    async def _exchange(self, packed: bytes) -> list[Any]:
        connection = self._connection
        await connection.send_packed_command([packed], check_health=False)
        return await connection.read_response(disconnect_on_error=True)  # type: ignore[no-any-return]  # as the script replies

    async def drop(self) -> None:
        """Disconnect: after an error there may be an unread reply in it."""
        await self.close()

    async def close(self) -> None:
        """Disconnect."""
        connection, self._connection = self._connection, None
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            await keeper.aclose()
        elif connection is not None:
            await connection.disconnect(nowait=True)


_KEPT: Final[set[AsyncGenerator[None]]] = set()


async def _until_the_loop_ends(
    disconnect: Callable[..., Awaitable[object]], **how: object
) -> AsyncGenerator[None]:
    """Disconnect when what is returned is closed, at the latest with the generators of the loop.

    `asyncio.run` closes those in the end. Until then it is held: the collector would find it when
    the loop has no time left for it.
    """

    async def keep() -> AsyncGenerator[None]:
        try:
            yield
        finally:
            _KEPT.discard(keeper)
            with suppress(wrong.RedisError, OSError):
                await disconnect(**how)

    keeper = keep()
    _KEPT.add(keeper)
    await anext(keeper)
    return keeper


class AsyncClusterLink:
    """The nodes of a cluster, for the callers of one event loop.

    A request goes straight to the node that has its keys. redis-py's client would begin anew with
    all of its nodes when one of them does not answer; it only routes what a node will not answer.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._connecting = asyncio.Lock()
        self._client: Any = None
        self._silent: Any = None
        self._keeper: AsyncGenerator[None] | None = None

    async def ready(self) -> None:
        """Know the nodes, or raise `UnsentError`."""
        async with self._connecting:
            if self._client is not None:
                return
            client = self._place.cluster()
            nodes = client.nodes_manager
            keeper = await _until_the_loop_ends(_closing, client=client)
            try:
                await nodes.initialize()
                self._place.check(await _first_answer(nodes, "INFO"))
            except BaseException as error:
                await keeper.aclose()
                if isinstance(error, (wrong.RedisError, wrong.RedisClusterException, OSError)):
                    raise UnsentError from error
                raise
            self._client, self._keeper = client, keeper

    def node_of(self, key: bytes) -> str:
        """The node that has a key, as far as is known."""
        node = None if self._client is None else self._node(key_slot(key))
        return "" if node is None else str(node.name)

    async def ask(self, batch: Batch) -> list[Any]:
        """Do a batch in one call of the script, on the node that has its keys."""
        keys, given = arguments(batch)
        try:
            return await self._send("EVALSHA", DIGEST, keys, given)
        except wrong.NoScriptError:
            return await self._send("EVAL", SCRIPT, keys, given)

    async def _send(
        self, verb: str, what: bytes, keys: Sequence[bytes], given: list[bytes]
    ) -> list[Any]:
        request = (verb, what, len(keys), *keys, *given)
        slot = key_slot(keys[0]) if keys else -1
        if self._silent is not None and self._silent is self._node(slot):
            await self._follow(slot, self._silent)
            self._silent = None
        node = self._node(slot)
        if node is None:
            return await self._client.execute_command(*request)  # type: ignore[no-any-return]  # as the script replies
        try:
            return await node.execute_command(*request)  # type: ignore[no-any-return]  # as the script replies
        except (wrong.AskError, wrong.MovedError, wrong.TryAgainError):
            return await self._client.execute_command(*request)  # type: ignore[no-any-return]  # as the script replies
        except (wrong.ConnectionError, wrong.TimeoutError, OSError):
            await self._follow(slot, node)
            raise
        except asyncio.CancelledError:
            # It did not answer in time, perhaps because another one has taken over from it.
            self._silent = node
            raise

    def _node(self, slot: int) -> Any:
        """The node that has a slot; None if none is known."""
        return next(iter(self._client.nodes_manager.slots_cache.get(slot, ())), None)

    async def _follow(self, slot: int, lost: Any) -> None:
        """Learn the nodes anew, if another one has taken over from one that is lost."""
        nodes = self._client.nodes_manager
        with suppress(wrong.RedisError, wrong.RedisClusterException, OSError):
            await lost.disconnect()
        with suppress(wrong.RedisError, wrong.RedisClusterException, OSError):
            ranges = await _first_answer(nodes, "CLUSTER SLOTS", lost)
            owners = [primary for first, last, primary, *_ in ranges if first <= slot <= last]
            if not any(_is_at(lost, owner) for owner in owners):
                await nodes.initialize()

    async def drop(self) -> None:
        """Nothing: what connection an error was on is dropped, and others use the rest."""

    async def close(self) -> None:
        """Disconnect from every node."""
        keeper, self._keeper, self._client = self._keeper, None, None
        if keeper is not None:
            await keeper.aclose()


def _is_at(node: Any, told: Sequence[Any]) -> bool:
    """Return whether a node is the one with the host and port that a cluster reports."""
    host, port, *_ = told
    return (node.host, node.port) == (host.decode() if isinstance(host, bytes) else host, port)


async def _first_answer(nodes: Any, request: str, but: Any = None) -> Any:
    """Return the answer of the first node that responds, without the excluded one."""
    error: Exception = wrong.ClusterError("no other node is known")
    for node in list(nodes.nodes_cache.values()):
        if node is not but:
            try:
                return await node.execute_command(request)
            except (wrong.RedisError, OSError) as failure:
                error = failure
    raise error


async def _closing(client: Any) -> None:
    """Disconnect a client from every node, whether it calls itself initialised or not."""
    await client.aclose()
    for which in ("nodes_cache", "startup_nodes"):
        await client.nodes_manager.aclose(which)
