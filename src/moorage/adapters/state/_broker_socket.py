"""The Unix socket of a lease broker; only one process on a machine serves it.

Laws:

1. A lock beside the socket belongs to the broker that serves it, and ends with its process. So a
   second broker is refused, and a stale socket of a dead one is replaced.
2. The socket gets its name only when it has its permissions and accepts connections.
3. Only a socket is ever replaced or removed, never another file.
"""

from __future__ import annotations

import os
import socket
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from moorage.errors import ConfigurationError

_BACKLOG: Final = 100
"""The connections that wait to be accepted; asyncio sets the same number again."""
_LONGEST_PATH: Final = 100
_LARGEST_MODE: Final = 0o777


def socket_path(path: object) -> Path:
    """Return the path of a broker's socket, after checking it.

    Raises:
        ConfigurationError: the value is not a path, or is too long for a socket.
    """
    if not isinstance(path, (str, Path)) or not str(path).isprintable() or not str(path):
        raise ConfigurationError(
            "The broker's socket must be a path without control characters.",
            path="socket",
            remedy="Set a path such as /run/moorage/broker.sock.",
        )
    if not Path(path).name or Path(path).name == "..":
        raise ConfigurationError(
            "The path of the broker's socket is a folder.",
            path="socket",
            remedy="Add the name of the socket, as in /run/moorage/broker.sock.",
        )
    if len(os.fsencode(path)) > _LONGEST_PATH:
        raise ConfigurationError(
            f"The path of the broker's socket is longer than {_LONGEST_PATH} bytes.",
            path="socket",
            remedy="Set a shorter path, such as /run/moorage/broker.sock.",
        )
    if not hasattr(socket, "AF_UNIX"):  # pragma: no cover - only on Windows
        raise ConfigurationError(
            "This system does not support Unix sockets.",
            path="socket",
            remedy="Leave the broker out.",
        )
    return Path(path)


class BrokerSocket:
    """The listening socket of a broker, with a lock that excludes other brokers.

    Args:
        path: the checked path of the socket.
        mode: the permissions of the socket.

    Raises:
        ConfigurationError: another broker serves the socket, the path belongs to another kind of
            file, or its folder is missing or writable for everybody.
    """

    def __init__(self, path: Path, mode: int) -> None:
        if isinstance(mode, bool) or not isinstance(mode, int) or not 0 <= mode <= _LARGEST_MODE:
            raise ConfigurationError(
                "The permissions of the broker's socket are not a valid file mode.",
                path="mode",
                remedy="Set an octal number such as 660.",
            )
        self.path = path
        _check_folder(path)
        self._lock = _open_lock(path)
        try:
            self.listening = self._listen(mode)
        except BaseException:
            os.close(self._lock)
            raise
        self._identity = _identity(path)

    def _listen(self, mode: int) -> socket.socket:
        with suppress(FileNotFoundError):
            if not stat.S_ISSOCK(self.path.lstat().st_mode):
                raise ConfigurationError(
                    f"{self.path} exists and is not a socket.",
                    path="socket",
                    remedy="Remove the file, or set another path for the broker.",
                )
        new_path = self.path.with_name(f"{self.path.name}.new")
        listening_socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            new_path.unlink(missing_ok=True)
            listening_socket.bind(str(new_path))
            new_path.chmod(mode)
            listening_socket.listen(_BACKLOG)
            new_path.rename(self.path)
        except OSError as error:
            listening_socket.close()
            raise _unusable_path_error(self.path, error) from None
        return listening_socket

    def close(self) -> None:
        """Stop listening, remove the socket, and release the lock."""
        self.listening.close()
        if _identity(self.path) == self._identity:
            self.path.unlink(missing_ok=True)
        os.close(self._lock)


def _check_folder(path: Path) -> None:
    """Refuse a folder in which any user could replace the broker's socket."""
    try:
        mode = path.absolute().parent.stat().st_mode
    except OSError as error:
        raise _unusable_path_error(path, error) from None
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        raise ConfigurationError(
            f"Every user can replace files in {path.absolute().parent}.",
            path="socket",
            remedy="Use a folder that only the broker's user may write to.",
        )


def _open_lock(path: Path) -> int:
    """Lock the file beside a socket, and return its descriptor."""
    from fcntl import LOCK_EX, LOCK_NB, flock  # noqa: PLC0415 - missing on Windows

    lock_path = path.with_name(f"{path.name}.lock")
    try:
        lock = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _unusable_path_error(path, error) from None
    try:
        flock(lock, LOCK_EX | LOCK_NB)
    except OSError:
        os.close(lock)
        raise ConfigurationError(
            f"Another broker serves {path}.",
            path="socket",
            remedy="Stop the other broker first, or set another path for this one.",
        ) from None
    return lock


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        file = path.lstat()
    except OSError:
        return None
    return file.st_dev, file.st_ino


def _unusable_path_error(path: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"The broker cannot listen at {path} ({error.strerror or type(error).__name__}).",
        path="socket",
        remedy="Create the folder of the socket, and let the broker's user write to it.",
    )
