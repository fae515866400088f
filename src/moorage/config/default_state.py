"""The store of a configuration that moves money and names none: a file that outlives a crash.

Its folder is what MOORAGE_STATE_DIRECTORY says, or else systemd's STATE_DIRECTORY, or `moorage` in
XDG_STATE_HOME, or `~/.local/state/moorage`. Each environment has a file of its own there. The file
is not named after the configuration: a configuration that is moved or deployed anew must find the
keys that it used before.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote

from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from moorage.contracts.routes import Account
    from moorage.domain.service.settings import Service

VARIABLE: Final = "MOORAGE_STATE_DIRECTORY"
_SCHEME: Final = "sqlite:///"
_PRIVATE: Final = 0o700
_WHERE: Final = (
    "Name a store, such as state.url = 'sqlite:////var/lib/shop/moorage.db'; or let"
    f" {VARIABLE} name a folder that only the user of this process may write."
)


def default_url(variables: Mapping[str, str], environment: str | None) -> str:
    """The URL of the file.

    Args:
        variables: those of the process.
        environment: the environment that the store belongs to.
    """
    name = "state.db" if environment is None else f"state.{quote(environment, safe='')}.db"
    return _SCHEME + quote(str(_folder(variables) / name))


def is_needed(accounts: Iterable[Account], services: Iterable[Service]) -> bool:
    """Whether anything here moves money and needs its keys to outlive a crash."""
    from moorage.contracts.effects import moves_money  # noqa: PLC0415 - loads every contract

    return any(
        (moves_money(type(one.vendor)) or one.settings.get("moves_money") is True)
        and not one.settings.get("volatile_keys")
        for one in accounts
    ) or any(one.moves_money and not one.volatile_keys for one in services)


def prepare(url: str) -> None:
    """Make the folder of the file, for this user alone.

    Raises:
        ConfigurationError: the file cannot be kept there safely.
    """
    path = Path(unquote(url.removeprefix(_SCHEME)))
    folder = path.parent
    try:
        if not folder.is_absolute():
            raise _refused(path, "this user has no home folder")
        folder.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
        open_to_all = folder.stat().st_mode & stat.S_IWOTH
        there = path.exists()
    except OSError as error:
        problem = error.strerror or type(error).__name__
    else:
        if open_to_all:
            raise _refused(path, "everybody may write its folder")
        able = os.access(folder, os.W_OK | os.X_OK)
        if able and (not there or os.access(path, os.W_OK)):
            return
        problem = "this user may not write it"
    raise _refused(path, problem)


def _folder(variables: Mapping[str, str]) -> Path:
    own = variables.get(VARIABLE)
    if own:
        return Path(own).absolute()
    of_unit = variables.get("STATE_DIRECTORY", "").partition(":")[0]
    if of_unit:
        return Path(of_unit)
    home = variables.get("XDG_STATE_HOME", "")
    if not Path(home).is_absolute():
        home = os.path.expanduser("~/.local/state")  # noqa: PTH111 - without a home it is left as it is
    return Path(home) / "moorage"


def _refused(path: Path, problem: str) -> ConfigurationError:
    return ConfigurationError(
        "payments need a store that outlives a crash, or a repeat could charge twice; none is"
        f" named, and the file {path} cannot be used ({problem}).",
        path="state.url",
        remedy=_WHERE,
    )
