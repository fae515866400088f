"""A store of shared state from a URL, as configurations and command lines name it."""

from __future__ import annotations

from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from moorage.domain.frames import refusing
from moorage.domain.installation import install
from moorage.domain.sealing import KeyRing
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from moorage.domain.secret import Secret

_SQLITE: Final = "sqlite:///"
_MEMORY: Final = "memory:"

_OF_URLS: Final = frozenset({"url", "path", "state"})
"""What the classes of stores call the place of their URL."""

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
        ("redis", "RedisStorage"),
    ),
    **dict.fromkeys(("postgresql", "mariadb", "mysql"), ("sql", "SqlStorage")),
}
"""The adapter and the class of each scheme; the extra has the adapter's name or the scheme's."""


_SERVED: Final[dict[str, Callable[..., Any]]] = {}


def serve(scheme: str, make: Callable[..., Any]) -> None:
    """Have URLs of a scheme lead to a store of the host's, wherever one is named by its URL.

    Args:
        scheme: what stands before `://`; those that are known here already stay as they are.
        make: gives the store of a URL, and is told by `awaited=` whether it is to be awaited.
    """
    _SERVED[scheme] = make


@refusing
def open_storage(url: str, **options: Any) -> Any:
    """The store of shared state that `url` names, for the plain face.

    Args:
        url: `memory:`, `sqlite:///a/file.db` (with four slashes for an absolute path), a URL of
            Redis such as `redis://host:6379/0`, or of a database such as `postgresql://host/name`.
        options: what the store's own class takes besides.

    Raises:
        ConfigurationError: no store has such a URL, or what it needs is not installed.
    """
    with _at("state.url"):
        return _opened(url, "", options)


@refusing
def aopen_storage(url: str, **options: Any) -> Any:
    """As `open_storage`, for the awaited face. Opening does no input or output, so it is plain."""
    with _at("state.url"):
        return _opened(url, "Async", options)


def _opened(url: str, colour: str, options: dict[str, Any]) -> Any:
    if not isinstance(url, str):
        raise _unknown(type(url).__name__)
    if url == _MEMORY:
        return _class("memory", f"{colour}MemoryStorage")(**options)
    if url.startswith(_SQLITE) and len(url) > len(_SQLITE):
        path = unquote(url.removeprefix(_SQLITE))
        return _class("sqlite", f"{colour}SqliteStorage")(path, **options)
    # A driver may be named, as SQLAlchemy does: postgresql+psycopg.
    scheme = url.partition("://")[0]
    if scheme in _SERVED and scheme not in _HOMES:
        return _SERVED[scheme](url, awaited=bool(colour))
    home = _HOMES.get(scheme) or _HOMES.get(scheme.partition("+")[0])
    if home is None or "://" not in url:
        raise _unknown(scheme if "://" in url else "a text without a scheme")
    adapter, kind = home
    try:
        return _class(adapter, colour + kind)(url, **options)
    except ImportError as error:
        extra = (
            adapter if adapter == "redis" else scheme.partition("+")[0].replace("mariadb", "mysql")
        )
        raise ConfigurationError(
            f"a store at {scheme}:// needs {error.name}, which is not installed.",
            path="state.url",
            remedy=install(extra),
        ) from None


@refusing
def open_tenants(url: str, keys: Secret, **options: Any) -> Any:
    """What knows the tenants that are kept at `url`, for the plain face.

    Args:
        url: `sqlite:///a/file.db`, or a URL of a database such as `postgresql://host/name`.
        keys: what `generate_keys` made, to open what is kept.
        options: what the adapter's own class takes besides.

    Raises:
        ConfigurationError: nothing has such a URL, or what it needs is not installed.
    """
    with _at("tenants_from.url"):
        return _opened_tenants(url, keys, "", options)


@refusing
def aopen_tenants(url: str, keys: Secret, **options: Any) -> Any:
    """As `open_tenants`, for the awaited face. Opening does no input or output."""
    with _at("tenants_from.url"):
        return _opened_tenants(url, keys, "Async", options)


def _opened_tenants(url: str, keys: Secret, colour: str, options: dict[str, Any]) -> Any:
    cipher = _class("aes_gcm", "AesGcmCipher")(KeyRing.parse(keys))
    scheme = url.partition("://")[0]
    if url.startswith(_SQLITE) and len(url) > len(_SQLITE):
        path = unquote(url.removeprefix(_SQLITE))
        return _class("sqlite_tenants", f"{colour}SqliteTenants")(path, cipher, **options)
    base = scheme.partition("+")[0]
    if _HOMES.get(base, ("",))[0] != "sql":
        raise ConfigurationError(
            f"{base or 'this'} keeps no tenants.",
            path="tenants_from.url",
            remedy="Give sqlite:///file.db, postgresql://… or mysql://….",
        )
    try:
        return _class("sql_tenants", f"{colour}SqlTenants")(url, cipher, **options)
    except ImportError as error:
        raise ConfigurationError(
            f"tenants at {scheme}:// need {error.name}, which is not installed.",
            path="tenants_from.url",
            remedy=install(base.replace("mariadb", "mysql")),
        ) from None


@contextmanager
def _at(path: str) -> Generator[None]:
    """Call the place of a URL that is refused as a configuration does."""
    try:
        yield
    except ConfigurationError as error:
        if error.path in _OF_URLS:
            error.path = path
        raise


def _class(adapter: str, kind: str) -> Any:
    return getattr(import_module(f"moorage.adapters.{adapter}"), kind)


def _unknown(what: str) -> ConfigurationError:
    return ConfigurationError(
        f"{what} names no store.",
        path="state.url",
        remedy="Give memory:, sqlite:///file.db, redis://…, postgresql://… or mysql://….",
    )
