"""A store of shared state from a URL, as configurations and command lines name it."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final
from urllib.parse import unquote

from mooring.domain.frames import refusing
from mooring.errors import ConfigurationError

_SQLITE: Final = "sqlite:///"
_MEMORY: Final = "memory:"

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
    return _opened(url, "", options)


@refusing
def aopen_storage(url: str, **options: Any) -> Any:
    """As `open_storage`, for the awaited face. Opening does no input or output, so it is plain."""
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
            remedy=f"Install mooring[{extra}].",
        ) from None


def _class(adapter: str, kind: str) -> Any:
    return getattr(import_module(f"mooring.adapters.{adapter}"), kind)


def _unknown(what: str) -> ConfigurationError:
    return ConfigurationError(
        f"{what} names no store.",
        path="state.url",
        remedy="Give memory:, sqlite:///file.db, redis://…, postgresql://… or mysql://….",
    )
