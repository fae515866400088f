"""Opens credential stores, encrypted with MOORAGE_KEYS, by their URL."""

from __future__ import annotations

import os
from typing import Any, Final

from moorage.domain.state.sealing import KeyRing
from moorage.errors import ConfigurationError
from moorage.wiring.store_urls import is_sealed, open_credentials

_OPTION: Final = "--credentials"


def open_vault(url: str, *, migrate: bool = False) -> Any:
    """Open the encrypted credential store of a URL.

    Args:
        url: the URL of the store.
        migrate: update its schema first, if it has one.

    Raises:
        ConfigurationError: the URL is unknown, or a package or the keys are missing.
    """
    if not is_sealed(url):
        raise ConfigurationError(
            "The URL does not name a credential store.",
            path=_OPTION,
            remedy="Use sqlite:///file.db, postgresql://…, mariadb://… or mysql://….",
        )
    vault = open_provider(url)
    if migrate and hasattr(vault, "migrate"):
        vault.migrate()
    return vault


def open_provider(url: str) -> Any:
    """Open the credential provider of a URL: an encrypted store, a file, or the environment.

    Args:
        url: the URL of the store.

    Raises:
        ConfigurationError: the URL is unknown, or a package or the keys are missing.
    """
    keys = KeyRing.from_environment(os.environ).text() if is_sealed(url) else None
    try:
        return open_credentials(url, keys)
    except ConfigurationError as error:
        error.path = _OPTION
        raise
