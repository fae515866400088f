"""Where Redis is, and connections to it; what goes wrong with them, in our own words.

The store has connections of its own, made as redis-py would make them: what a connection is asked
is one packed request, and all that redis-py does around that would take longer than the request.
Only in a cluster a client of redis-py's routes the requests, because it knows the way.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from math import inf
from os import fspath
from threading import Lock
from time import monotonic
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import redis
import redis.asyncio
import redis.asyncio.cluster
import redis.asyncio.connection
import redis.asyncio.retry
import redis.asyncio.sentinel
import redis.cluster
import redis.connection
import redis.retry
import redis.sentinel
from redis import exceptions as wrong
from redis.backoff import NoBackoff
from redis.crc import key_slot

from moorage.adapters._redis_wire import DIGEST, SCRIPT, arguments, request, with_script
from moorage.errors import ConfigurationError, StateUnavailable, StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
    from os import PathLike

    from moorage.adapters._redis_wire import Batch

_PLAIN: Final[Any] = SimpleNamespace(
    client=redis.Redis,
    clusters=redis.cluster,
    connections=redis.connection,
    retry=redis.retry.Retry,
    sentinels=redis.sentinel,
)
_AWAITED: Final[Any] = SimpleNamespace(
    client=redis.asyncio.Redis,
    clusters=redis.asyncio.cluster,
    connections=redis.asyncio.connection,
    retry=redis.asyncio.retry.Retry,
    sentinels=redis.asyncio.sentinel,
)
_OURS: Final = {"decode_responses": False, "health_check_interval": 0, "protocol": 2}
_NOT_OURS: Final = (
    "cache",
    "event_dispatcher",
    "himport",
    "maint_",
    "orig_",
    "oss_cluster",
    "parser_class",
    "response_callbacks",
    "retry",
)
"""Settings of a ready client that are not taken over, by how they begin."""

_OF_ONE: Final = ("connection_class", "db", "host", "path", "port", "redis_connect_func")
"""Settings of one connection, which a cluster's client makes itself."""

_IS_OLD: Final = redis.__version__ < "6"
"""Whether redis-py counts how often a cluster is asked by a setting of its own."""

_TRIES: Final = 3

_OLDEST: Final = (6, 2)
_RESTED: Final = 0.05
"""Seconds without a request, after which a loop may not have heard yet that a connection ended."""
_USUAL_PORT: Final = 6379
_USUAL_SENTINEL: Final = 26379


class UnsentError(Exception):
    """There was no connection, so nothing was sent; its cause says why."""


class Place:
    """Where Redis is, for one colour of redis-py, and how to connect to it.

    Attributes:
        shown: the address as it may be told to anybody.
        clustered: whether a client of redis-py's routes each request.
    """

    def __init__(
        self,
        where: object,
        *,
        awaited: bool,
        timeout: float,
        ca: str | PathLike[str] | None,
        may_evict: bool,
    ) -> None:
        self._awaited = awaited
        self._driver = _AWAITED if awaited else _PLAIN
        self._tls = False
        self._may_evict = may_evict
        self.checked = False
        self.clustered = False
        self._nodes: list[tuple[str, int]] = []
        self._service: str | None = None
        self._settings: dict[str, Any] = {}
        self._class: Any = None
        if isinstance(where, str):
            self._read(where, ca)
        elif ca is not None:
            raise ConfigurationError(
                "A ready client knows its certificates.", path="ca", remedy="Give them to it."
            )
        else:
            self._take_over(where)
        self.timeout = timeout
        bound = {"socket_connect_timeout": timeout, "socket_timeout": None if awaited else timeout}
        self._settings |= _OURS | bound

    def _read(self, url: str, ca: str | PathLike[str] | None) -> None:
        try:
            parts = urlsplit(url)
            scheme, _, kind = parts.scheme.partition("+")
            user, at, hosts = parts.netloc.rpartition("@")
            first, path = hosts.split(",")[0], parts.path
            if kind:
                name, _, path = path.strip("/").partition("/")
                if kind == "cluster":
                    path, name = "", ""
                self._service = name or None
                default = _USUAL_PORT if kind == "cluster" else _USUAL_SENTINEL
                self._nodes = [_node(host, default) for host in hosts.split(",")]
            plain = f"{scheme}://{user}{at}{first}/{path.lstrip('/')}?{parts.query}"
            if scheme == "unix":
                plain = url
            known = kind in ("", "cluster") or (kind == "sentinel" and self._service)
            # Else a slash in a password would end the host, and the rest of it be shown.
            stray = scheme != "unix" and "@" in parts.path + parts.fragment
            if stray or not known:
                raise ValueError(kind)  # noqa: TRY301 - told of as every other wrong address is
            self._settings = self._driver.connections.parse_url(plain)
        except ValueError:
            raise ConfigurationError(
                "this is no address of a Redis.",
                path="url",
                remedy="Give redis://host:port/0, rediss://… for TLS, unix:///path,"
                " redis+cluster://host:port,host:port or"
                " redis+sentinel://host:port,host:port/name-of-the-primary.",
            ) from None
        self.clustered = kind == "cluster"
        name, colon, _ = user.partition(":")
        # Without a colon it may be a password that was taken for a name.
        masked = "" if not at else f"{name}:***@" if colon else "***@"
        self.shown = f"{parts.scheme}://{masked}{hosts}{parts.path}"
        self._secure(ca, tls=scheme == "rediss")

    def _secure(self, ca: str | PathLike[str] | None, *, tls: bool) -> None:
        """Verify certificates and names; with an authority of one's own, by that alone."""
        self._settings.pop("connection_class", None)
        connections = self._driver.connections
        if self._settings.get("path"):
            self._class = connections.UnixDomainSocketConnection
        elif tls:
            self._class = connections.SSLConnection
            checks = {"ssl_cert_reqs": "required", "ssl_check_hostname": True}
            self._settings = checks | self._settings
            if ca is not None:
                self._settings["ssl_ca_certs"] = fspath(ca)
        else:
            self._class = connections.Connection
        if ca is not None and not tls:
            raise ConfigurationError(
                "there are no certificates without TLS.", path="ca", remedy="Give a rediss:// URL."
            )
        if self._class is not connections.UnixDomainSocketConnection:
            self._settings["socket_keepalive"] = True
        self._tls = tls

    def _take_over(self, client: Any) -> None:
        if isinstance(client, self._driver.clusters.RedisCluster):
            self.clustered = True
            self._nodes = [
                (node.host, int(node.port)) for node in client.nodes_manager.startup_nodes.values()
            ]
            manager = client if self._awaited else client.nodes_manager
            self._settings = _kept(manager.connection_kwargs)
            self.shown = f"redis+cluster://{','.join(f'{h}:{p}' for h, p in self._nodes)}"
            return
        if not isinstance(client, self._driver.client):
            kind = "redis.asyncio.Redis" if self._awaited else "redis.Redis"
            raise ConfigurationError(
                f"a {type(client).__module__}.{type(client).__name__} is no place of a Redis.",
                path="where",
                remedy=f"Give a URL, or a {kind} or {kind}Cluster.",
            )
        pool = client.connection_pool
        self._settings = _kept(pool.connection_kwargs)
        self._class = pool.connection_class
        # What a client that follows Sentinel has told its connections lives as long as it.
        self._client = client
        where = self._settings
        shown = where.get("path") or f"{where.get('host', '')}:{where.get('port', '')}"
        self.shown = f"redis://{getattr(pool, 'service_name', None) or shown}"

    def connection(self, timeout: float) -> Any:
        """A new connection, which has yet to connect, and takes so many seconds at most for it."""
        if self._service is None:
            return self._class(**self._settings)
        tls: dict[str, Any] = {"ssl": True} if self._tls else {}
        settings = {name: value for name, value in self._settings.items() if name != "host"}
        settings = {name: value for name, value in settings.items() if name != "port"} | tls
        asked = {
            name: value
            for name, value in settings.items()
            if name.startswith(("ssl", "socket_")) or name in _OURS
        }
        # They are asked one after another.
        asked["socket_timeout"] = asked["socket_connect_timeout"] = timeout / len(self._nodes)
        watch = self._driver.sentinels.Sentinel(self._nodes, sentinel_kwargs=asked, **settings)
        client = watch.master_for(self._service)
        pool = client.connection_pool
        made = pool.connection_class(**pool.connection_kwargs)
        made.followed = client, watch
        return made

    def cluster(self) -> Any:
        """A client that knows which node has which key; one of the plain colour connects now."""
        clusters = self._driver.clusters
        settings = {name: value for name, value in self._settings.items() if name not in _OF_ONE}
        settings["socket_timeout"] = self.timeout
        tls = {"ssl": True} if self._tls else {}
        nodes = [clusters.ClusterNode(host, port) for host, port in self._nodes]
        # While it learns the nodes it may ask another where one does not answer. Afterwards it
        # sends nothing again by itself: not every command may be.
        never, tries = self._driver.retry(NoBackoff(), 0), 0 if self._awaited else _TRIES
        if _IS_OLD:
            settings |= {"retry": never, "cluster_error_retry_attempts": tries}
        else:
            settings["retry"] = self._driver.retry(NoBackoff(), tries)
        client = clusters.RedisCluster(startup_nodes=nodes, **settings, **tls)
        client.retry, client.cluster_error_retry_attempts = never, 0
        return client

    def check(self, told: bytes | Mapping[str, Any]) -> None:
        """See whether this server keeps what it is given, by what it says of itself.

        Raises:
            ConfigurationError: it is too old, or throws out states that still matter.
        """
        told = told if not isinstance(told, bytes) else _told(told)
        version = str(told.get("redis_version", ""))
        numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
        if numbers and numbers < _OLDEST:
            raise ConfigurationError(
                f"Redis at {self.shown} is of version {version}.",
                path="state",
                remedy="Use Redis 6.2 or newer, or Valkey.",
            )
        policy = told.get("maxmemory_policy", "noeviction")
        if policy != "noeviction" and int(told.get("maxmemory", 0)) and not self._may_evict:
            raise ConfigurationError(
                f"Redis at {self.shown} throws out what still matters when it is full: its"
                f" maxmemory-policy is {policy}.",
                path="state",
                remedy="Set its maxmemory-policy to noeviction, use another Redis; or say"
                " may_evict=True, if open circuits and claimed keys may be forgotten.",
            )
        self.checked = True

    def unavailable(self, error: BaseException) -> StorageUnavailable:
        """What it means for a caller that a request or a connection failed."""
        if isinstance(error, wrong.RedisClusterException) and "same key slot" in str(error):
            error = wrong.ClusterCrossSlotError()
        elif isinstance(error, wrong.MovedError):
            error = wrong.ResponseError("MOVED")
        for kind, sentence, remedy in _MEANINGS:
            if isinstance(error, kind):
                return StorageUnavailable(
                    f"Redis at {self.shown} {sentence}.",
                    remedy=remedy,
                )
        code = str(error).split(" ", 1)[0]
        code = code if code.isalpha() and code.isupper() else type(error).__name__
        sentence, remedy = _CODES.get(code, ("refused ({code})", "See the manual of Redis."))
        meaning = StateUnavailable if code in _OF_ONE_COMMAND else StorageUnavailable
        return meaning(f"Redis at {self.shown} {sentence.format(code=code)}.", remedy=remedy)


_MEANINGS: Final = (
    (
        (wrong.TimeoutError, TimeoutError),
        "did not answer in time",
        "Look at what keeps it busy, or give the call or the store a longer timeout.",
    ),
    (
        (wrong.AuthenticationError, wrong.AuthorizationError, wrong.NoPermissionError),
        "refused our name or password, or a command",
        "Correct the user and password in the URL, or let that user EVALSHA, EVAL, GET, SET, TIME.",
    ),
    (
        wrong.ReadOnlyError,
        "is a replica, which cannot be written to",
        "Give the address of the primary, or of its Sentinels.",
    ),
    (
        wrong.BusyLoadingError,
        "is still loading its data",
        "Wait until it has started.",
    ),
    (
        wrong.ClusterDownError,
        "is a cluster that is down, or has no node for this key",
        "Look at `redis-cli cluster info`.",
    ),
    (
        (wrong.ConnectionError, wrong.RedisClusterException, OSError),
        "cannot be reached, or was cut off",
        "Check that it runs, and that its address and, with TLS, its certificates are right.",
    ),
)
"""What kinds of errors mean, and what to do about them; the first that fits counts."""

_CODES: Final = {
    "OOM": ("is full", "Raise its maxmemory."),
    "OutOfMemoryError": ("is full", "Raise its maxmemory."),
    "BUSY": ("is busy with somebody's script", "Look at which script runs so long."),
    "MOVED": ("is a cluster", "Give its address as redis+cluster://host:port."),
    "NOAUTH": ("wants a password", "Give the user and password in the URL."),
    "MISCONF": ("cannot save, and so refuses to write", "Look at its log and its disk."),
    "CROSSSLOT": (
        "has the keys of this command on several nodes",
        "Give all keys of one command the same part in braces.",
    ),
    "ClusterCrossSlotError": (
        "has the keys of this command on several nodes",
        "Give all keys of one command the same part in braces.",
    ),
}


_OF_ONE_COMMAND: Final = ("CROSSSLOT", "ClusterCrossSlotError")
"""What is wrong with the keys of one command, while the server serves others."""


def _node(host: str, port: int) -> tuple[str, int]:
    place = urlsplit(f"//{host}")
    return place.hostname or "localhost", place.port or port


def _kept(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if not name.startswith(_NOT_OURS)}


def _told(info: bytes) -> dict[str, str]:
    lines = (line.partition(":") for line in info.decode("utf-8", "replace").splitlines())
    return {name: value for name, _, value in lines}


# --- one connection -------------------------------------------------------------


class Link:
    """One connection, which one thread has at a time."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._connection: Any = None
        self._connected = False

    def ready(self, until: float) -> None:
        """Be connected by a time of `monotonic()`, or raise `UnsentError`.

        A server that was restarted has closed its end: that is seen here, where nothing has been
        sent yet.
        """
        if self._connected and not self._interrupted():
            return
        self.close()
        try:
            left = self._left(until)
            self._connection = connection = self._place.connection(left)
            connection.socket_connect_timeout = connection.socket_timeout = left
            connection.connect()
            if not self._place.checked:
                self._bound(until)
                self._check()
        except (wrong.RedisError, OSError) as error:
            self.close()
            raise UnsentError from error
        except BaseException:
            self.close()
            raise
        self._connected = True

    def _left(self, until: float) -> float:
        """Seconds for one step of a caller who has time until then.

        Raises:
            TimeoutError: there is none.
        """
        left = self._place.timeout if until == inf else until - monotonic()
        if left <= 0:
            raise wrong.TimeoutError
        return left

    def _bound(self, until: float) -> None:
        """Wait no longer than that for what is read next."""
        self._connection._sock.settimeout(self._left(until))  # noqa: SLF001 - nothing else bounds one reply

    def _interrupted(self) -> bool:
        """Whether something came that nobody asked for, such as the end."""
        try:
            return self._connection.can_read(0)  # type: ignore[no-any-return]  # as redis-py says
        except (wrong.RedisError, OSError):
            return True

    def _check(self) -> None:
        try:
            self._connection.send_command("INFO", check_health=False)
            self._place.check(self._connection.read_response(disconnect_on_error=True))
        except wrong.ResponseError:
            # Whoever may not ask goes without the answer.
            self._place.checked = True

    def ask(self, batch: Batch, until: float) -> list[Any]:
        """Do a batch in one call of the script."""
        packed = request(batch)
        try:
            return self._exchange(packed, until)
        except wrong.NoScriptError:
            return self._exchange(with_script(packed), until)

    def _exchange(self, packed: bytes, until: float) -> list[Any]:
        connection = self._connection
        self._bound(until)
        connection.send_packed_command([packed], check_health=False)
        return connection.read_response(disconnect_on_error=True)  # type: ignore[no-any-return]  # as the script replies

    def close(self) -> None:
        """Disconnect."""
        self._connected = False
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()


def _told_by_any(client: Any) -> Any:
    """What the first node of a cluster says of itself that answers."""
    error: Exception = wrong.ClusterError("no node is known")
    for node in client.get_nodes():
        try:
            return client.info(target_nodes=node)
        except (wrong.RedisError, OSError) as failure:
            error = failure
    raise error


def _node_of(client: Any, key: bytes) -> str:
    """The node that has a key, as a client of a cluster knows; empty if it does not."""
    if client is None:
        return ""
    nodes = client.nodes_manager.slots_cache.get(key_slot(key))
    return nodes[0].name if nodes else ""


class ClusterLink:
    """A client of redis-py's that routes each request; threads share it."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._connecting = Lock()
        self._client: Any = None

    def ready(self) -> None:
        """Know the nodes, or raise `UnsentError`."""
        with self._connecting:
            if self._client is not None:
                return
            try:
                client = self._place.cluster()
                self._place.check(_told_by_any(client))
            except (wrong.RedisError, wrong.RedisClusterException, OSError) as error:
                raise UnsentError from error
            self._client = client

    def node_of(self, key: bytes) -> str:
        """The node that has a key, as far as is known."""
        return _node_of(self._client, key)

    def ask(self, batch: Batch) -> list[Any]:
        """Do a batch in one call of the script, on the node that has its keys."""
        keys, given = arguments(batch)
        try:
            return self._send("EVALSHA", DIGEST, keys, given)
        except wrong.NoScriptError:
            return self._send("EVAL", SCRIPT, keys, given)

    def _send(self, verb: str, what: bytes, keys: Sequence[bytes], given: list[bytes]) -> list[Any]:
        return self._client.execute_command(verb, what, len(keys), *keys, *given)  # type: ignore[no-any-return]  # as the script replies

    def close(self) -> None:
        """Disconnect from every node."""
        client, self._client = self._client, None
        if client is not None:
            client.close()


class _Over(list[Link]):
    """Where connections are given back that nobody wants any more."""

    def append(self, link: Link, /) -> None:
        link.close()


class Links:
    """The connections of one process, each for one thread at a time; the latest used comes first.

    Taking and giving back are single steps that nothing can fall into, a finaliser or a signal
    handler that wants a connection of its own included.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._idle: list[Link] = []
        self._routed = ClusterLink(place) if place.clustered else None

    def ask(self, batch: Batch, until: float) -> list[Any]:
        """Do a batch by a time of `monotonic()`; a cluster's client has no bounds but its own.

        Raises:
            UnsentError: there was no connection.
            RedisError: as redis-py says.
        """
        if self._routed is not None:
            self._routed.ready()
            return self._routed.ask(batch)
        try:
            link = self._idle.pop()
        except IndexError:
            link = Link(self._place)
        try:
            link.ready(until)
            replies = link.ask(batch, until)
        except (UnsentError, wrong.ConnectionError, wrong.ReadOnlyError):
            # It ended, or what was the primary is none any more: so with the others.
            link.close()
            self.close()
            raise
        except wrong.ResponseError:
            self._idle.append(link)
            raise
        except BaseException:
            # There may be an unread reply in it.
            link.close()
            raise
        self._idle.append(link)
        return replies

    def node_of(self, key: bytes) -> str:
        """The node of a cluster that has a key, as far as is known."""
        return "" if self._routed is None else self._routed.node_of(key)

    def finish(self) -> None:
        """Disconnect for good: what is in use, when it is given back."""
        left, self._idle = self._idle, _Over()
        while left:
            left.pop().close()
        self.close()

    def close(self) -> None:
        """Disconnect, but for what is in use."""
        while self._idle:
            self._idle.pop().close()
        if self._routed is not None:
            self._routed.close()


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
        return _node_of(self._client, key)

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
    """Whether a node is the one that a cluster tells of by its host and port."""
    host, port, *_ = told
    return (node.host, node.port) == (host.decode() if isinstance(host, bytes) else host, port)


async def _first_answer(nodes: Any, request: str, but: Any = None) -> Any:
    """What the first node answers that does, of all but one."""
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
