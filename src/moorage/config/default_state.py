"""The default store for payments if a configuration names none: a file that survives crashes.

The file's folder is MOORAGE_STATE_DIRECTORY, or else systemd's STATE_DIRECTORY, or `moorage` in
XDG_STATE_HOME, or `~/.local/state/moorage`. Each environment has its own file there. The file is
not named after the configuration: a configuration that is moved or deployed again must find the
idempotency keys that it used before.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote

from moorage.contracts.effects import moves_money
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from moorage.contracts.routes import Account
    from moorage.domain.service.settings import Service

VARIABLE: Final = "MOORAGE_STATE_DIRECTORY"
_SCHEME: Final = "sqlite:///"
_PRIVATE_MODE: Final = 0o700
_REMEDY: Final = (
    f"Set a store, such as state.url = 'sqlite:////var/lib/shop/moorage.db'; or set {VARIABLE}"
    " to a folder that only the user of this process may write to."
)


def default_url(variables: Mapping[str, str], environment: str | None) -> str:
    """Return the URL of the default store's file.

    Args:
        variables: the environment variables of the process.
        environment: the environment that the store belongs to.
    """
    name = "state.db" if environment is None else f"state.{quote(environment, safe='')}.db"
    return _SCHEME + quote(str(_folder(variables) / name))


def is_needed(accounts: Iterable[Account], services: Iterable[Service]) -> bool:
    """Return whether any service moves money, so that its keys must survive a crash."""
    return any(
        (moves_money(type(account.vendor)) or account.settings.get("moves_money") is True)
        and not account.settings.get("volatile_keys")
        for account in accounts
    ) or any(service.moves_money and not service.volatile_keys for service in services)


def prepare(url: str) -> None:
    """Create the folder of the default store's file, accessible to this user only.

    Raises:
        ConfigurationError: the file cannot be created safely.
    """
    path = Path(unquote(url.removeprefix(_SCHEME)))
    folder = path.parent
    try:
        if not folder.is_absolute():
            raise _default_state_error(path, "the current user has no home folder")
        folder.mkdir(mode=_PRIVATE_MODE, parents=True, exist_ok=True)
        open_to_all = folder.stat().st_mode & stat.S_IWOTH
        exists = path.exists()
    except OSError as error:
        problem = error.strerror or type(error).__name__
    else:
        if open_to_all:
            raise _default_state_error(path, "every user may write to its folder")
        folder_writable = os.access(folder, os.W_OK | os.X_OK)
        if folder_writable and (not exists or os.access(path, os.W_OK)):
            return
        problem = "this user may not write to it"
    raise _default_state_error(path, problem)


def _folder(variables: Mapping[str, str]) -> Path:
    configured_folder = variables.get(VARIABLE)
    if configured_folder:
        return Path(configured_folder).absolute()
    systemd_folder = variables.get("STATE_DIRECTORY", "").partition(":")[0]
    if systemd_folder:
        return Path(systemd_folder)
    home_directory = variables.get("XDG_STATE_HOME", "")
    if not Path(home_directory).is_absolute():
        home_directory = os.path.expanduser("~/.local/state")  # noqa: PTH111 - without a home folder the path stays unchanged
    return Path(home_directory) / "moorage"


def _default_state_error(path: Path, problem: str) -> ConfigurationError:
    return ConfigurationError(
        "Payments need a store that survives a crash, because a repeated payment could charge"
        f" twice. No store is configured, and the default file {path} cannot be used"
        f" ({problem}).",
        path="state.url",
        remedy=_REMEDY,
    )
