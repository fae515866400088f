"""Checks the options of a database URL early, rather than at the first use."""

from __future__ import annotations

from importlib import import_module
from inspect import signature
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy.exc import ArgumentError

from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from sqlalchemy import URL

_SSL_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")


def check_url_options(url: URL, path: str) -> None:
    """Refuse URL options that the driver does not support.

    Raises:
        ConfigurationError: the driver has no such option, or the value is not valid.
        ImportError: the driver is not installed.
    """
    driver = url.get_driver_name()
    try:
        _, options = url.get_dialect()().create_connect_args(url)
        int(options.get("connect_timeout", 0))
    except (ArgumentError, ValueError):
        raise ConfigurationError(
            "An option in the URL has a value that is not a whole number.",
            path=path,
            remedy="Correct the options after the question mark of the URL, such as"
            " connect_timeout.",
        ) from None
    unknown_names = sorted(options.keys() - _known_names(driver))
    if unknown_names:
        raise ConfigurationError(
            f"The URL has an option {unknown_names[0][:40]!r}, which connections to this"
            " database do not have.",
            path=path,
            remedy="Remove the option from the URL, or correct its name, such as connect_timeout.",
        )
    if options.get("sslmode", "prefer") not in _SSL_MODES:
        raise ConfigurationError(
            "The option sslmode in the URL has an unknown value.",
            path=path,
            remedy=f"Use one of: {', '.join(_SSL_MODES)}.",
        )
    if "charset" in options and not _is_charset(driver, options["charset"]):
        raise ConfigurationError(
            "The option charset in the URL has an unknown value.",
            path=path,
            remedy="Use utf8mb4.",
        )


def _known_names(driver: str) -> set[str]:
    if driver == "psycopg":
        libpq = import_module("psycopg").pq.Conninfo
        return {option.keyword.decode() for option in libpq.get_defaults()}
    connection_class: Any = import_module(
        {"pymysql": "pymysql.connections", "asyncmy": "asyncmy.connection"}[driver]
    ).Connection
    return set(signature(connection_class.__init__).parameters)


def _is_charset(driver: str, name: str) -> bool:
    try:
        return import_module(f"{driver}.charset").charset_by_name(name) is not None
    except KeyError:
        return False
