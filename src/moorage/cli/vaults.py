"""A store of credentials from a URL, sealed with MOORAGE_KEYS."""

from __future__ import annotations

import os
from typing import Any, Final

from moorage.adapters.aes_gcm import AesGcmCipher
from moorage.adapters.sqlite_credentials import SqliteCredentialProvider
from moorage.domain.installation import install
from moorage.domain.sealing import KeyRing
from moorage.errors import ConfigurationError

_SQLITE: Final = "sqlite:///"
_WHERE: Final = "--credentials"


def open_vault(url: str, *, migrate: bool = False) -> Any:
    """The store of credentials that a URL names.

    Args:
        url: where it is.
        migrate: bring its schema up to date first, if it has one.

    Raises:
        ConfigurationError: no store has such a URL, what it needs is not installed, or there are
            no keys.
    """
    cipher = AesGcmCipher(KeyRing.from_environment(os.environ))
    if url.startswith(_SQLITE) and len(url) > len(_SQLITE):
        return SqliteCredentialProvider(url.removeprefix(_SQLITE), cipher)
    if "://" not in url or url.startswith(_SQLITE):
        raise ConfigurationError(
            "this names no store of credentials.",
            path=_WHERE,
            remedy="Give sqlite:///file.db, postgresql://…, mariadb://… or mysql://….",
        )
    try:
        from moorage.adapters.sql_credentials import (  # noqa: PLC0415 - needs an extra
            SqlCredentialProvider,
        )
    except ImportError as error:
        raise ConfigurationError(
            f"a store of credentials in a database needs {error.name}, which is not installed.",
            path=_WHERE,
            remedy=install("postgresql", "mysql"),
        ) from None
    vault = SqlCredentialProvider(url, cipher)
    if migrate:
        vault.migrate()
    return vault
