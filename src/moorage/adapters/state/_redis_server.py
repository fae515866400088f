"""A Redis server's address and connections; converts redis-py's errors.

The store has its own connections, created in the way of redis-py.
"""

from __future__ import annotations

import re
from inspect import signature
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
from redis import exceptions as redis_errors
from redis.backoff import NoBackoff

from moorage.adapters.state._redis_socket import (
    dialling_concurrently,
    with_deadline,
    with_socket_timeout,
)
from moorage.domain.http.urls import is_host
from moorage.errors import ConfigurationError, StateUnavailable, StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike


_SYNC_API: Final[Any] = SimpleNamespace(
    client=redis.Redis,
    clusters=redis.cluster,
    connections=redis.connection,
    retry=redis.retry.Retry,
    sentinels=redis.sentinel,
)
_ASYNC_API: Final[Any] = SimpleNamespace(
    client=redis.asyncio.Redis,
    clusters=redis.asyncio.cluster,
    connections=redis.asyncio.connection,
    retry=redis.asyncio.retry.Retry,
    sentinels=redis.asyncio.sentinel,
)
_FIXED_SETTINGS: Final = {
    "decode_responses": False,
    "health_check_interval": 0,
    # redis-py before 5 supports only this version of the protocol, and rejects its number.
    **({"protocol": 2} if int(redis.__version__.partition(".")[0]) >= 5 else {}),
}
_IGNORED_SETTINGS: Final = (
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
"""The first part of the names of settings that are not copied from a client."""

_NODE_SETTINGS: Final = ("connection_class", "db", "host", "path", "port", "redis_connect_func")
"""Settings of one connection, which the client of a cluster sets itself."""

_DATABASE: Final = re.compile(r"/?[0-9]{0,5}/?")
_OLDEST_VERSION: Final = (6, 2)
_USUAL_PORT: Final = 6379
_USUAL_SENTINEL: Final = 26379


class UnsentError(Exception):
    """Raised if nothing was sent, because no connection was available."""


class RedisServer:
    """The address and connections of a Redis server, for redis-py's sync or async client.

    Attributes:
        address: the URL without a password.
        is_cluster: whether the keys are distributed over the nodes of a cluster.
        nodes: the configured hosts and ports of a cluster or of the Sentinels.
        checked: whether the version and the settings of the server were checked.
    """

    def __init__(
        self,
        where: object,
        *,
        is_async: bool,
        timeout: float,
        ca: str | PathLike[str] | None,
        may_evict: bool,
    ) -> None:
        self._is_async = is_async
        self._driver = _ASYNC_API if is_async else _SYNC_API
        self._tls = False
        self._may_evict = may_evict
        self.checked = False
        self.is_cluster = False
        self.nodes: list[tuple[str, int]] = []
        self._service: str | None = None
        self._settings: dict[str, Any] = {}
        self._class: Any = None
        if isinstance(where, str):
            self._parse_url(where, ca)
        elif ca is not None:
            raise ConfigurationError(
                "The Redis client has its own certificates, so `ca` would have no effect.",
                path="ca",
                remedy="Set the certificates in the client.",
            )
        else:
            self._adopt_client(where)
        self.timeout = timeout
        timeouts = {
            "socket_connect_timeout": timeout,
            "socket_timeout": None if is_async else timeout,
        }
        self._settings |= _FIXED_SETTINGS | timeouts

    def _parse_url(self, url: str, ca: str | PathLike[str] | None) -> None:
        try:
            parts = urlsplit(url)
            scheme, _, kind = parts.scheme.partition("+")
            user, separator, hosts = parts.netloc.rpartition("@")
            first_host, path = hosts.split(",")[0], parts.path
            database = path
            if kind:
                name, _, path = path.strip("/").partition("/")
                database = path
                if kind == "cluster":
                    database, path, name = parts.path, "", ""
                self._service = name or None
                default = _USUAL_PORT if kind == "cluster" else _USUAL_SENTINEL
                self.nodes = [_node(host, default) for host in hosts.split(",")]
            plain_text = (
                f"{scheme}://{user}{separator}{first_host}/{path.lstrip('/')}?{parts.query}"
            )
            if scheme == "unix":
                plain_text = url
            is_supported = kind in ("", "cluster") or (kind == "sentinel" and self._service)
            # A slash in a password would end the host name, and messages would show the rest.
            has_stray_at = scheme != "unix" and "@" in parts.path + parts.fragment
            if has_stray_at or not is_supported:
                raise ValueError(kind)  # noqa: TRY301 - reported like every other invalid address
            self._settings = self._driver.connections.parse_url(plain_text)
            names = [self._settings.get("host"), *(node for node, _ in self.nodes)]
            if not all(is_host(name) for name in names if name):
                raise ValueError(kind)  # noqa: TRY301 - reported like every other invalid address
        except ValueError:
            raise ConfigurationError(
                "The URL is not a valid address of Redis.",
                path="url",
                remedy="Use redis://host:port/0, rediss://… for TLS, unix:///path,"
                " redis+cluster://host:port,host:port or"
                " redis+sentinel://host:port,host:port/name-of-the-primary.",
            ) from None
        if scheme != "unix":
            _check_database(database, self._settings, is_cluster=kind == "cluster")
        self.is_cluster = kind == "cluster"
        name, colon, _ = user.partition(":")
        # Without a colon, the user name may be a password.
        masked_login = "" if not separator else f"{name}:***@" if colon else "***@"
        self.address = f"{parts.scheme}://{masked_login}{hosts}{parts.path}"
        self._set_tls(ca, tls=scheme == "rediss")

    def _set_tls(self, ca: str | PathLike[str] | None, *, tls: bool) -> None:
        """Make connections verify certificates and host names; `ca` is the only authority."""
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
                "Certificates need TLS.", path="ca", remedy="Use a rediss:// URL."
            )
        _check_options(self._settings, self._class, pooled=bool(self.nodes))
        if self._class is not connections.UnixDomainSocketConnection:
            self._settings["socket_keepalive"] = True
        self._tls = tls

    def _adopt_client(self, client: Any) -> None:
        if isinstance(client, self._driver.clusters.RedisCluster):
            self.is_cluster = True
            self.nodes = [
                (node.host, int(node.port)) for node in client.nodes_manager.startup_nodes.values()
            ]
            manager = client if self._is_async else client.nodes_manager
            self._settings = _adopted_settings(manager.connection_kwargs)
            self.address = (
                f"redis+cluster://{','.join(f'{host}:{port}' for host, port in self.nodes)}"
            )
            return
        if not isinstance(client, self._driver.client):
            kind = "redis.asyncio.Redis" if self._is_async else "redis.Redis"
            raise ConfigurationError(
                "`where` must be a URL or a Redis client, not an object of the class"
                f" {type(client).__module__}.{type(client).__name__}.",
                path="where",
                remedy=f"Pass a URL, or a {kind} or {kind}Cluster.",
            )
        pool = client.connection_pool
        self._settings = _adopted_settings(pool.connection_kwargs)
        self._class = pool.connection_class
        # Connections from a Sentinel client need that client.
        self._client = client
        client_settings = self._settings
        shown_address = (
            client_settings.get("path")
            or f"{client_settings.get('host', '')}:{client_settings.get('port', '')}"
        )
        self.address = f"redis://{getattr(pool, 'service_name', None) or shown_address}"

    def connection(self, timeout: float) -> Any:
        """Return a new connection with a connect timeout of `timeout` seconds."""
        if self._service is None:
            kind = (
                dialling_concurrently(self._class) if self._is_async else with_deadline(self._class)
            )
            return kind(**self._settings)
        tls: dict[str, Any] = {"ssl": True} if self._tls else {}
        settings = {name: value for name, value in self._settings.items() if name != "host"}
        settings = {name: value for name, value in settings.items() if name != "port"} | tls
        sentinel_settings = {
            name: value
            for name, value in settings.items()
            if name.startswith(("ssl", "socket_")) or name in _FIXED_SETTINGS
        }
        # The Sentinels are tried one after another, then the primary; each gets the same time.
        seconds_per_node = timeout / (len(self.nodes) + 1)
        sentinel_settings["socket_timeout"] = sentinel_settings["socket_connect_timeout"] = (
            seconds_per_node
        )
        sentinel_settings["retry"] = settings["retry"] = self._driver.retry(NoBackoff(), 0)
        sentinels = self._driver.sentinels.Sentinel(
            self.nodes, sentinel_kwargs=sentinel_settings, **settings
        )
        if not self._is_async:
            for sentinel in sentinels.sentinels:
                sentinel_pool = sentinel.connection_pool
                sentinel_pool.connection_class = with_socket_timeout(
                    sentinel_pool.connection_class, seconds_per_node
                )
        client = sentinels.master_for(self._service)
        pool = client.connection_pool
        kind = (dialling_concurrently if self._is_async else with_deadline)(pool.connection_class)
        connection = kind(**pool.connection_kwargs)
        # The connection needs both objects as long as it lives.
        connection.sentinel_clients = client, sentinels
        return connection

    def connection_to(self, host: str, port: int) -> Any:
        """Return a new connection to a cluster node, not yet connected."""
        settings = self._cluster_settings()
        settings["retry"] = self._driver.retry(NoBackoff(), 0)
        tls = {"ssl": True} if self._tls else {}
        pool = self._driver.client(host=host, port=port, **settings, **tls).connection_pool
        return with_deadline(pool.connection_class)(**pool.connection_kwargs)

    def _cluster_settings(self) -> dict[str, Any]:
        """Return the connection settings, except those that concern only a single node."""
        return {name: value for name, value in self._settings.items() if name not in _NODE_SETTINGS}

    def cluster_client(self) -> Any:
        """Return a client of `redis.asyncio` that finds each key's node."""
        clusters = self._driver.clusters
        settings = self._cluster_settings()
        settings["socket_timeout"] = self.timeout
        tls = {"ssl": True} if self._tls else {}
        nodes = [clusters.ClusterNode(host, port) for host, port in self.nodes]
        # The client retries nothing, because not every command may be repeated.
        settings["retry"] = no_retry = self._driver.retry(NoBackoff(), 0)
        client = clusters.RedisCluster(startup_nodes=nodes, **settings, **tls)
        client.retry, client.cluster_error_retry_attempts = no_retry, 0
        return client

    def check(self, info: bytes | Mapping[str, Any]) -> None:
        """Check the version and eviction policy of the Redis server.

        Raises:
            ConfigurationError: the server is too old, or may evict live states.
        """
        fields = _info_fields(info) if isinstance(info, bytes) else info
        version = str(fields.get("redis_version", ""))
        numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
        if numbers and numbers < _OLDEST_VERSION:
            raise ConfigurationError(
                f"Redis at {self.address} has version {version}, which is too old.",
                path="state",
                remedy="Use Redis 6.2 or newer, or Valkey.",
            )
        policy = fields.get("maxmemory_policy", "noeviction")
        if policy != "noeviction" and int(fields.get("maxmemory", 0)) and not self._may_evict:
            raise ConfigurationError(
                f"Redis at {self.address} deletes states that are in use when its memory is"
                f" full, because its maxmemory-policy is {policy}.",
                path="state",
                remedy="Set maxmemory-policy to noeviction, or use another Redis server. If"
                " open circuits and claimed keys may be lost, set may_evict=True.",
            )
        self.checked = True

    def unavailable(self, error: BaseException) -> StorageUnavailable:
        """Return the error for a failed request or connection to Redis."""
        if isinstance(error, redis_errors.MovedError):
            error = redis_errors.ResponseError("MOVED")
        for kind, sentence, remedy in _ERRORS_BY_CLASS:
            if isinstance(error, kind):
                return StorageUnavailable(
                    f"Redis at {self.address} {sentence}.",
                    remedy=remedy,
                )
        code = str(error).split(" ", 1)[0]
        code = code if code.isalpha() and code.isupper() else type(error).__name__
        sentence, remedy = _ERRORS_BY_CODE.get(
            code, ("refused ({code})", "Look up the error in the manual of Redis.")
        )
        meaning = StateUnavailable if code in _KEY_ERRORS else StorageUnavailable
        return meaning(f"Redis at {self.address} {sentence.format(code=code)}.", remedy=remedy)


_ERRORS_BY_CLASS: Final = (
    (
        (redis_errors.TimeoutError, TimeoutError),
        "did not answer in time",
        "Check the server's load, or raise the timeout of the call or the store.",
    ),
    (
        (
            redis_errors.AuthenticationError,
            redis_errors.AuthorizationError,
            redis_errors.NoPermissionError,
        ),
        "refused the user, the password or a command",
        "Correct the user and password in the URL, or permit EVALSHA, EVAL, GET, SET and TIME.",
    ),
    (
        redis_errors.ReadOnlyError,
        "is a read-only replica",
        "Use the address of the primary server, or of its Sentinels.",
    ),
    (
        redis_errors.BusyLoadingError,
        "is still loading its data",
        "Wait until Redis has started.",
    ),
    (
        redis_errors.ClusterDownError,
        "is a cluster that is down, or that has no node for this key",
        "Check the output of `redis-cli cluster info`.",
    ),
    (
        (redis_errors.ConnectionError, redis_errors.RedisClusterException, OSError),
        "cannot be reached, or closed the connection",
        (
            "Check that the server is running, that the address is right, and, with TLS, that the"
            " certificates are right."
        ),
    ),
)
"""The sentence and the remedy for classes of errors; the first match counts."""

_ERRORS_BY_CODE: Final = {
    "OOM": ("is full", "Raise its maxmemory."),
    "OutOfMemoryError": ("is full", "Raise its maxmemory."),
    "BUSY": ("is busy with a script", "Find the script that takes so long."),
    "MOVED": ("is a cluster", "Use redis+cluster://host:port as the address."),
    "NOAUTH": ("requires a password", "Add the user and password to the URL."),
    "MISCONF": (
        "refuses to write, because it cannot save its data",
        "Check the server's log and disk.",
    ),
    "CROSSSLOT": (
        "stores the keys of this command on several nodes",
        "Use the same part in braces in all keys of a command.",
    ),
    "ClusterCrossSlotError": (
        "stores the keys of this command on several nodes",
        "Use the same part in braces in all keys of a command.",
    ),
}

_KEY_ERRORS: Final = ("CROSSSLOT", "ClusterCrossSlotError")
"""Errors about the keys of one command, while the server executes others."""


def _check_database(path: str, settings: Mapping[str, Any], *, is_cluster: bool) -> None:
    """Refuse a database that is not a number; redis-py would silently use 0 instead."""
    is_number = _DATABASE.fullmatch(path) is not None and settings.get("db", 0) >= 0
    if is_cluster and (settings.get("db") or path.strip("/0")):
        raise ConfigurationError(
            "A Redis Cluster has only the database 0.",
            path="url",
            remedy="Remove the database from the URL.",
        )
    if not is_number:
        raise ConfigurationError(
            "The database in the URL of Redis is not a number.",
            path="url",
            remedy="Add the number of the database after the host, as in redis://host:6379/0.",
        )


def _node(host: str, port: int) -> tuple[str, int]:
    parts = urlsplit(f"//{host}")
    return parts.hostname or "localhost", parts.port or port


def _adopted_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value for name, value in settings.items() if not name.startswith(_IGNORED_SETTINGS)
    }


def _info_fields(info: bytes) -> dict[str, str]:
    lines = (line.partition(":") for line in info.decode("utf-8", "replace").splitlines())
    return {name: value for name, _, value in lines}


def _check_options(
    settings: Mapping[str, Any], connection_class: type[Any], *, pooled: bool
) -> None:
    """Refuse URL options that the driver's connections do not know.

    Args:
        settings: the options.
        connection_class: the class of the connections.
        pooled: whether the driver's own pools are used, which have options too.
    """
    known_names = {"max_connections", "timeout"} if pooled else set[str]()
    for kind in connection_class.__mro__[:-1]:
        known_names.update(signature(kind).parameters)
    unknown_names = sorted(settings.keys() - known_names)
    if unknown_names:
        raise ConfigurationError(
            f"The URL has an option {unknown_names[0][:40]!r}, which Redis connections do not"
            " have.",
            path="url",
            remedy="Remove the option from the URL, or correct its name, such as"
            " health_check_interval.",
        )
