"""Where Redis is, and how to connect to it; the meaning of its errors for callers.

The store has connections of its own, made as redis-py would make them.
"""

from __future__ import annotations

from os import fspath
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

from moorage.adapters.state._redis_socket import eager, timed, timed_for
from moorage.errors import ConfigurationError, StateUnavailable, StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike


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
_OURS: Final = {
    "decode_responses": False,
    "health_check_interval": 0,
    # Clients before 5 speak this version alone, and do not take its number.
    **({"protocol": 2} if int(redis.__version__.partition(".")[0]) >= 5 else {}),
}
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

_OLDEST: Final = (6, 2)
_USUAL_PORT: Final = 6379
_USUAL_SENTINEL: Final = 26379


class UnsentError(Exception):
    """There was no connection, so nothing was sent; its cause says why."""


class Place:
    """The address of Redis and its connections, for the synchronous or asynchronous redis-py.

    Attributes:
        shown: the address as it may be told to anybody.
        clustered: whether the nodes of a cluster share the keys.
        nodes: hosts and ports by which a cluster, or the Sentinels, may be found.
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
        self.nodes: list[tuple[str, int]] = []
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
                self.nodes = [_node(host, default) for host in hosts.split(",")]
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
                "The URL is not the address of a Redis.",
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
                "Certificates need TLS.", path="ca", remedy="Give a rediss:// URL."
            )
        if self._class is not connections.UnixDomainSocketConnection:
            self._settings["socket_keepalive"] = True
        self._tls = tls

    def _take_over(self, client: Any) -> None:
        if isinstance(client, self._driver.clusters.RedisCluster):
            self.clustered = True
            self.nodes = [
                (node.host, int(node.port)) for node in client.nodes_manager.startup_nodes.values()
            ]
            manager = client if self._awaited else client.nodes_manager
            self._settings = _kept(manager.connection_kwargs)
            self.shown = f"redis+cluster://{','.join(f'{h}:{p}' for h, p in self.nodes)}"
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
            kind = eager(self._class) if self._awaited else timed(self._class)
            return kind(**self._settings)
        tls: dict[str, Any] = {"ssl": True} if self._tls else {}
        settings = {name: value for name, value in self._settings.items() if name != "host"}
        settings = {name: value for name, value in settings.items() if name != "port"} | tls
        asked = {
            name: value
            for name, value in settings.items()
            if name.startswith(("ssl", "socket_")) or name in _OURS
        }
        # They are asked one after another, and each of them once; the primary has a part as well.
        share = timeout / (len(self.nodes) + 1)
        asked["socket_timeout"] = asked["socket_connect_timeout"] = share
        asked["retry"] = settings["retry"] = self._driver.retry(NoBackoff(), 0)
        watch = self._driver.sentinels.Sentinel(self.nodes, sentinel_kwargs=asked, **settings)
        if not self._awaited:
            for asking in (each.connection_pool for each in watch.sentinels):
                asking.connection_class = timed_for(asking.connection_class, share)
        client = watch.master_for(self._service)
        pool = client.connection_pool
        kind = (eager if self._awaited else timed)(pool.connection_class)
        made = kind(**pool.connection_kwargs)
        made.followed = client, watch
        return made

    def connection_to(self, host: str, port: int) -> Any:
        """A new connection to one node of a cluster, which has yet to connect."""
        settings = {name: value for name, value in self._settings.items() if name not in _OF_ONE}
        settings["retry"] = self._driver.retry(NoBackoff(), 0)
        tls = {"ssl": True} if self._tls else {}
        pool = self._driver.client(host=host, port=port, **settings, **tls).connection_pool
        return timed(pool.connection_class)(**pool.connection_kwargs)

    def cluster(self) -> Any:
        """A client of `redis.asyncio` that knows which node has which key."""
        clusters = self._driver.clusters
        settings = {name: value for name, value in self._settings.items() if name not in _OF_ONE}
        settings["socket_timeout"] = self.timeout
        tls = {"ssl": True} if self._tls else {}
        nodes = [clusters.ClusterNode(host, port) for host, port in self.nodes]
        # It sends nothing again by itself: not every command may be.
        settings["retry"] = never = self._driver.retry(NoBackoff(), 0)
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
        """Return the error for a failed request or connection."""
        if isinstance(error, wrong.MovedError):
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
