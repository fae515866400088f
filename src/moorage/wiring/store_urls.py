"""Stores that are opened by a URL, as in configurations and on command lines."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from functools import wraps
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar
from urllib.parse import unquote

from moorage.domain.secrets.frames import without_arguments_in_errors
from moorage.domain.state.sealing import KeyRing
from moorage.domain.values.installation import install
from moorage.domain.values.text import with_article
from moorage.errors import ConfigurationError
from moorage.wiring.installed_vendors import installed_entry_points, load_entry_point

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from moorage.domain.secrets.secret import Secret

P = ParamSpec("P")
R = TypeVar("R")

_SQLITE: Final = "sqlite:///"
_MEMORY: Final = "memory:"
_SHARDS: Final = "shards:"
_VARIABLES: Final = "environment:"

GROUP: Final = "moorage.stores"
"""The group of entry points that provide stores, each by the scheme of its URL."""

_URL_ARGUMENTS: Final = frozenset({"url", "path", "state"})
"""The names of the arguments to which the classes of stores take a URL."""

_HOMES: Final = {
    **dict.fromkeys(
        (
            "redis",
            "rediss",
            "unix",
            "redis+cluster",
            "rediss+cluster",
            "redis+sentinel",
            "rediss+sentinel",
        ),
        ("state.redis", "RedisStorage"),
    ),
    **dict.fromkeys(("postgresql", "mariadb", "mysql"), ("state.sql", "SqlStorage")),
    **dict.fromkeys(("nats", "tls"), ("state.nats", "NatsStorage")),
}
"""The adapter and the class of each scheme; the extra has the adapter's name or the scheme's."""


_SAME_SERVERS: Final = {"rediss": "redis", "mariadb": "mysql"}
"""URL schemes, each with another scheme for the same servers."""

_USUAL_PORTS: Final = {"redis": 6379, "sentinel": 26379, "postgresql": 5432, "mysql": 3306}

_PATH_START: Final = re.compile("[/?#]")

_STORE_NAMES: Final = {
    "audit": "an audit trail",
    "logs": "an integration log",
    "metrics": "metrics",
}
"""The names in messages for the stores in each folder of adapters, except for entry stores."""

_REGISTERED_OPENERS: Final[dict[str, Callable[..., Any]]] = {}


def serve(scheme: str, make: Callable[..., Any]) -> None:
    """Register a URL scheme for stores that the application provides.

    Args:
        scheme: the part before `://`; schemes of moorage cannot be replaced.
        make: returns the store for a URL; its argument `is_async` is True if the store must be
            asynchronous.
    """
    _REGISTERED_OPENERS[scheme] = make


def _with_url(build: Callable[P, R]) -> Callable[P, R]:
    """Return a function whose first argument must be a URL, which its errors do not reveal."""

    @without_arguments_in_errors
    @wraps(build)
    def checked_call(*args: P.args, **options: P.kwargs) -> R:
        url = args[0] if args else options.get("url", "")
        if isinstance(url, str):
            return build(*args, **options)
        raise ConfigurationError(
            f"The URL of a store must be a str, not {with_article(type(url).__name__)}.",
            path="url",
            remedy="Pass a URL, such as sqlite:///file.db.",
        )

    return checked_call


@without_arguments_in_errors
def open_storage(url: str, **options: Any) -> Any:
    """Open the synchronous store of shared state that `url` names.

    Args:
        url: `memory:`, `sqlite:///a/file.db` (with four slashes for an absolute path), a URL of
            Redis such as `redis://host:6379/0`, of a database such as `postgresql://host/name`,
            or, for claims only, of a bucket of NATS such as `nats://host:4222/name`.
        options: further arguments of the store's class.

    Raises:
        ConfigurationError: no store has such a URL, or a package that it needs is not installed.
    """
    with _errors_at("state.url"):
        return _open_store(url, "", options)


@without_arguments_in_errors
def aopen_storage(url: str, **options: Any) -> Any:
    """Open the asynchronous store of shared state that `url` names, without any I/O."""
    with _errors_at("state.url"):
        return _open_store(url, "Async", options)


def _open_store(url: str, prefix: str, options: dict[str, Any]) -> Any:
    if not isinstance(url, str):
        raise _unknown_scheme_error(type(url).__name__)
    if url.startswith(_SHARDS):
        return _open_shards(url, prefix, options)
    if url == _MEMORY:
        return _class("state.memory", f"{prefix}MemoryStorage")(**options)
    path = _sqlite_file(url)
    if path is not None:
        return _class("state.sqlite", f"{prefix}SqliteStorage")(path, **options)
    # The scheme may name a driver, as in SQLAlchemy: postgresql+psycopg.
    scheme = url.partition("://")[0]
    open_served = None if scheme in _HOMES else _opener_of_scheme(scheme)
    if open_served is not None:
        return open_served(url, is_async=bool(prefix))
    store_home = _HOMES.get(scheme) or _HOMES.get(scheme.partition("+")[0])
    if store_home is None or "://" not in url:
        raise _unknown_scheme_error(scheme if "://" in url else "a text without a scheme")
    adapter, kind = store_home
    try:
        return _class(adapter, prefix + kind)(url, **options)
    except ImportError as error:
        extra_name = (
            adapter.removeprefix("state.")
            if adapter in {"state.redis", "state.nats"}
            else scheme.partition("+")[0].replace("mariadb", "mysql")
        )
        raise ConfigurationError(
            f"A store at {scheme}:// needs {error.name}, which is not installed.",
            path="state.url",
            remedy=install(extra_name),
        ) from None


@without_arguments_in_errors
def url_of_shards(urls: Sequence[str], former: Sequence[str] = ()) -> str | None:
    """Return one URL for a store of several shards, which `open_storage` opens.

    A single URL is returned as it is. Without any URL, return None.

    Args:
        urls: the URLs of the shards.
        former: the URLs of the shards before the last change of shards.
    """
    if not former and len(urls) < 2:
        return urls[0] if urls else None
    return _SHARDS + json.dumps([list(urls), list(former)])


@_with_url
def urls_of_shards(url: str) -> tuple[str, ...]:
    """Return the URLs of a store's shards, including former ones; or a single store's URL."""
    if not url.startswith(_SHARDS):
        return (url,)
    urls, former_urls = json.loads(url.removeprefix(_SHARDS))
    return tuple(dict.fromkeys((*urls, *former_urls)))


def _open_shards(url: str, prefix: str, options: dict[str, Any]) -> Any:
    urls, former_urls = json.loads(url.removeprefix(_SHARDS))
    if not urls:
        raise ConfigurationError(
            "The configuration lists former shards, but no current shards.",
            path="state.url",
            remedy="List all current shards too, beginning with the former ones.",
        )
    stores: dict[str, Any] = {}
    for shard_url in (*urls, *former_urls):
        name = _shard_name(shard_url)
        if name not in stores:
            stores[name] = _open_store(shard_url, prefix, options)
    shards, former_store = (
        {_shard_name(shard_url): stores[_shard_name(shard_url)] for shard_url in shard_urls}
        for shard_urls in (urls, former_urls)
    )
    if len(shards) < len(urls):
        raise ConfigurationError(
            "Two shards of the store have the same URL.",
            path="state.url",
            remedy="List each store only once.",
        )
    try:
        return _class("state.shards", f"{prefix}ShardedStorage")(shards, former=former_store)
    except ConfigurationError as error:
        error.path = "state.url" if error.path == "shards" else "state.former"
        raise


def _shard_name(url: str) -> str:
    """Return the name of a shard: its URL without the driver, the user and the options.

    All spellings of one address, such as those with and without the usual port, give one name.
    """
    scheme, separator, remainder = url.partition("://")
    base, _, kind = scheme.lower().partition("+")
    base = _SAME_SERVERS.get(base, base)
    place = _hosts_and_path(remainder, is_database=base in {"postgresql", "mysql"})
    if base not in _USUAL_PORTS:
        return f"{base}{separator}{place}"
    hosts, _, path = place.partition("/")
    port = _USUAL_PORTS["sentinel" if kind == "sentinel" else base]
    names = ",".join(host.removesuffix(f":{port}") for host in hosts.lower().split(","))
    path = path.strip("/")
    if base == "redis":
        path = "" if path == "0" else path.removesuffix("/0")
    return f"{base}://{names}/{path}" if path else f"{base}://{names}"


def _hosts_and_path(rest: str, *, is_database: bool) -> str:
    """Return the hosts and the path of a URL, without the user and the options."""
    authority = _PATH_START.split(rest, maxsplit=1)[0]
    user, at, _ = authority.rpartition("@")
    if is_database and not at and ":" in authority:
        # A password in a database URL may contain slashes and question marks.
        user, at, _ = rest.partition("@") if "@" in rest else ("", "", "")
    return rest[len(user + at) :].partition("?")[0]


def _opener_of_scheme(scheme: str) -> Callable[..., Any] | None:
    """Return the function that opens stores of a URL scheme."""
    if scheme in _REGISTERED_OPENERS:
        return _REGISTERED_OPENERS[scheme]
    point = installed_entry_points(GROUP).get(scheme)
    return None if point is None else load_entry_point(point, "state.url")


@_with_url
def open_tenants(url: str, keys: Secret, **options: Any) -> Any:
    """Open the synchronous store of tenants that `url` names.

    Args:
        url: `sqlite:///a/file.db`, or a URL of a database such as `postgresql://host/name`.
        keys: keys from `generate_keys`, to decrypt the stored tables.
        options: further arguments of the adapter's class.

    Raises:
        ConfigurationError: no store has such a URL, or a package that it needs is not installed.
    """
    with _errors_at("tenants_from.url"):
        return _opened_tenants(url, keys, "", options)


@_with_url
def aopen_tenants(url: str, keys: Secret, **options: Any) -> Any:
    """Open the asynchronous store of tenants that `url` names, without any I/O."""
    with _errors_at("tenants_from.url"):
        return _opened_tenants(url, keys, "Async", options)


def _opened_tenants(url: str, keys: Secret, prefix: str, options: dict[str, Any]) -> Any:
    cipher = _class("ciphers.aes_gcm", "AesGcmCipher")(KeyRing.parse(keys))
    scheme = url.partition("://")[0]
    path = _sqlite_file(url)
    if path is not None:
        return _class("tenants.sqlite", f"{prefix}SqliteTenants")(path, cipher, **options)
    base = scheme.partition("+")[0]
    if _HOMES.get(base, ("",))[0] != "state.sql":
        raise ConfigurationError(
            f"{base or 'this'} cannot store tenants.",
            path="tenants_from.url",
            remedy="Use sqlite:///file.db, postgresql://… or mysql://….",
        )
    try:
        return _class("tenants.sql", f"{prefix}SqlTenants")(url, cipher, **options)
    except ImportError as error:
        raise ConfigurationError(
            f"Tenants at {scheme}:// need {error.name}, which is not installed.",
            path="tenants_from.url",
            remedy=install(base.replace("mariadb", "mysql")),
        ) from None


@_with_url
def open_inbox(url: str, **options: Any) -> Any:
    """Open the store of webhooks that `url` names, for `WebhookInbox`.

    Args:
        url: `memory:`, `sqlite:///a/file.db`, or a URL of a database such as
            `postgresql://host/name`.
        options: further arguments of the store's class, such as `create=True`.

    Raises:
        ConfigurationError: no store has such a URL, or a package that it needs is not installed.
    """
    return _opened_entries(url, "", "Inbox", options)


@_with_url
def aopen_inbox(url: str, **options: Any) -> Any:
    """Open the store of webhooks that `url` names, for `AsyncWebhookInbox`, without any I/O."""
    return _opened_entries(url, "Async", "Inbox", options)


@_with_url
def open_outbox(url: str, **options: Any) -> Any:
    """Open the store of calls that `url` names, for `Outbox`."""
    return _opened_entries(url, "", "Outbox", options)


@_with_url
def aopen_outbox(url: str, **options: Any) -> Any:
    """Open the store of calls that `url` names, for `AsyncOutbox`, without any I/O."""
    return _opened_entries(url, "Async", "Outbox", options)


@_with_url
def open_log(url: str, **options: Any) -> Any:
    """Open the integration log that `url` names, for the `log=` of a hub or a manager.

    Args:
        url: `memory:`, `sqlite:///a/file.db`, or a URL of a database such as
            `postgresql://host/name`.
        options: further arguments of the log's class, such as `create=True`.

    Raises:
        ConfigurationError: no log has such a URL, or a package that it needs is not installed.
    """
    with _errors_at("log.url"):
        return _opened_table(url, "", "IntegrationLogger", "logs", options)


@_with_url
def aopen_log(url: str, **options: Any) -> Any:
    """Open the integration log that `url` names, for an asynchronous hub, without any I/O."""
    with _errors_at("log.url"):
        return _opened_table(url, "Async", "IntegrationLogger", "logs", options)


@_with_url
def open_audit(url: str, **options: Any) -> Any:
    """Open the store that `url` names, for an `AuditTrail`.

    Args:
        url: `sqlite:///file.db`, `file:///var/log/file.jsonl` (an absolute path; `file:file.jsonl`
            starts from the working directory), or a URL of a database such as
            `postgresql://host/name`.
        options: further arguments of the store's class, such as `create=True`.

    Raises:
        ConfigurationError: no store has such a URL, or a package that it needs is not installed.
    """
    with _errors_at("audit.url"):
        path = _without_options(url, file_path(url))
        if path is not None:
            options.pop("create", None)
            return _class("audit.file", "FileAudit")(path, **options)
        if url == _MEMORY:
            raise ConfigurationError(
                "An audit trail cannot be kept in the memory of a process.",
                path="url",
                remedy="Use sqlite:///file.db, file:///var/log/file.jsonl, postgresql://… or"
                " mysql://….",
            )
        return _opened_table(url, "", "Audit", "audit", options)


@_with_url
def open_metrics(url: str, **options: Any) -> Any:
    """Open the metrics that `url` names, as an observer for `observers=` and to query them.

    Args:
        url: `memory:`, `sqlite:///a/file.db`, or a URL of a database such as
            `postgresql://host/name`.
        options: further arguments of the metrics' class, such as `create=True`.

    Raises:
        ConfigurationError: no metrics have such a URL, or a package that they need is not
            installed.
    """
    with _errors_at("metrics.url"):
        return _opened_table(url, "", "Metrics", "metrics", options)


@_with_url
def aopen_metrics(url: str, **options: Any) -> Any:
    """Open the metrics that `url` names, for an asynchronous hub, without any I/O."""
    with _errors_at("metrics.url"):
        return _opened_table(url, "Async", "Metrics", "metrics", options)


def _opened_entries(url: str, prefix: str, noun: str, options: dict[str, Any]) -> Any:
    return _opened_table(url, prefix, noun, "entries", options)


def _opened_table(url: str, prefix: str, noun: str, home: str, options: dict[str, Any]) -> Any:
    store_name = _STORE_NAMES.get(home, f"an {noun.lower()}")
    scheme = url.partition("://")[0]
    base = scheme.partition("+")[0]
    if url == _MEMORY:
        return _class(f"{home}.memory", f"{prefix}Memory{noun}")(**options)
    path = _sqlite_file(url)
    if path is not None:
        return _class(f"{home}.sqlite", f"{prefix}Sqlite{noun}")(path, **options)
    if _HOMES.get(base, ("",))[0] != "state.sql":
        raise ConfigurationError(
            f"The scheme {base[:40]!r} cannot be used for {store_name}.",
            path="url",
            remedy="Use memory:, sqlite:///file.db, postgresql://… or mysql://….",
        )
    try:
        return _class(f"{home}.sql", f"{prefix}Sql{noun}")(url, **options)
    except ImportError as error:
        raise ConfigurationError(
            f"A URL with {scheme}:// for {store_name} needs {error.name}, which is not installed.",
            path="url",
            remedy=install(base.replace("mariadb", "mysql")),
        ) from None


@_with_url
def open_credentials(url: str, keys: Secret | None = None, **options: Any) -> Any:
    """Open the synchronous credential provider that `url` names.

    Args:
        url: `environment:` for variables such as MOORAGE_CREDENTIAL_VAT, `file:///etc/file.toml`
            for a file of credentials (an absolute path; `file:file.toml` starts from the working
            directory), `sqlite:///a/file.db`, or a URL of a database.
        keys: keys from `generate_keys`, to decrypt the credentials in a database.
        options: further arguments of the adapter's class.

    Raises:
        ConfigurationError: no provider has such a URL, a package that it needs is not installed,
            or it needs keys and none were passed.
    """
    with _errors_at("credentials_from.url"):
        return _opened_credentials(url, keys, "", options)


@_with_url
def aopen_credentials(url: str, keys: Secret | None = None, **options: Any) -> Any:
    """Open the asynchronous credential provider that `url` names, without any I/O."""
    with _errors_at("credentials_from.url"):
        return _opened_credentials(url, keys, "Async", options)


def _opened_credentials(url: str, keys: Secret | None, prefix: str, options: dict[str, Any]) -> Any:
    if url == _VARIABLES:
        kind = _class("credentials.environment", f"{prefix}EnvironmentCredentialProvider")
        return kind(**options)
    file = _without_options(url, file_path(url))
    if file is not None:
        return _class("credentials.file", f"{prefix}FileCredentialProvider")(file, **options)
    if not is_sealed(url):
        raise ConfigurationError(
            "The URL does not name a credential store.",
            path="credentials_from.url",
            remedy="Use sqlite:///file.db, postgresql://…, mariadb://…, mysql://…,"
            " file:///etc/file.toml or environment:.",
        )
    if keys is None:
        raise ConfigurationError(
            "The credential store is encrypted, but there are no keys for it.",
            path="credentials_from.keys",
            remedy="Set the output of `generate_keys`, such as keys = 'secret://env/MOORAGE_KEYS'.",
        )
    cipher = _class("ciphers.aes_gcm", "AesGcmCipher")(KeyRing.parse(keys))
    path = _sqlite_file(url)
    if path is not None:
        kind = _class("credentials.sqlite", f"{prefix}SqliteCredentialProvider")
        return kind(path, cipher, **options)
    try:
        return _class("credentials.sql", f"{prefix}SqlCredentialProvider")(url, cipher, **options)
    except ImportError as error:
        scheme = url.partition("://")[0]
        raise ConfigurationError(
            f"Credentials at {scheme}:// need {error.name}, which is not installed.",
            path="credentials_from.url",
            remedy=install(scheme.partition("+")[0].replace("mariadb", "mysql")),
        ) from None


@_with_url
def is_sealed(url: str) -> bool:
    """Return whether a URL is that of a store whose credentials are encrypted with keys."""
    base = url.partition("://")[0].partition("+")[0]
    is_database = "://" in url and _HOMES.get(base, ("",))[0] == "state.sql"
    return is_database or sqlite_path(url) is not None


@_with_url
def sqlite_path(url: str) -> str | None:
    """Return the file path in a `sqlite:///` URL, percent-decoded; None for another URL."""
    if not url.startswith(_SQLITE) or len(url) == len(_SQLITE):
        return None
    return unquote(url.removeprefix(_SQLITE))


@_with_url
def file_path(url: str) -> str | None:
    """The path of the file that a `file:` URL names, percent-decoded; None for another URL.

    `file:///a/b` is the absolute path /a/b, as everywhere; `file:a/b` starts from the working
    directory. `sqlite:///a/b` does so too, because it follows the URLs of SQLAlchemy.
    """
    scheme, _, remainder = url.partition(":")
    if scheme != "file" or not remainder.strip("/"):
        return None
    if remainder.startswith("/"):
        has_host = remainder.startswith("//") and not remainder.startswith("///")
        return None if has_host else "/" + unquote(remainder.lstrip("/"))
    return unquote(remainder)


def _sqlite_file(url: str) -> str | None:
    return _without_options(url, sqlite_path(url))


def _without_options(url: str, path: str | None) -> str | None:
    """Return the path of a file; refuse options in its URL, because they would be ignored."""
    if path is not None and "?" in url:
        raise ConfigurationError(
            "The URL has options after a question mark, but a file store has no options.",
            path="url",
            remedy="Remove the options. Write a question mark in the name of a file as %3F.",
        )
    return path


@contextmanager
def _errors_at(path: str) -> Generator[None]:
    """A context manager that adds to errors where in the configuration the URL is."""
    try:
        yield
    except ConfigurationError as error:
        if error.path in _URL_ARGUMENTS:
            error.path = path
        raise


def _class(adapter: str, kind: str) -> Any:
    return getattr(import_module(f"moorage.adapters.{adapter}"), kind)


def _unknown_scheme_error(what: str) -> ConfigurationError:
    return ConfigurationError(
        f"{what} names no store.",
        path="state.url",
        remedy="Use memory:, sqlite:///file.db, redis://…, postgresql://… or mysql://….",
    )
