"""Credentials in one file, in TOML or JSON.

```toml
[services.shop]
secret = "a-token"

[tenants.acme-fr.shop]
method = "basic"
username = "acme"
secret = "a-password"
```

1. The file must be protected: a file that everybody can read, or that others can write, is refused.
2. Each call checks whether the file has changed, and then reads it again. Replace the file by
   renaming another one, so that it is never read half-written.
3. A file that cannot be parsed is an error; earlier credentials are not used any longer.
"""

from __future__ import annotations

import json
import os
import sys
import tomllib
from pathlib import Path
from stat import S_IMODE, S_IRWXO, S_IWGRP
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TypeAlias

from moorage.adapters.concurrency.pooled_threads import to_thread
from moorage.adapters.credentials._read_only import AsyncReadOnlyProvider, ReadOnlyProvider, Source
from moorage.domain.auth.credential_tables import read_credentials
from moorage.errors import ConfigurationError, InvalidData, StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from moorage.domain.auth.credential_codec import AnyCredentials

    Owner: TypeAlias = tuple[str, str | None]
    Look: TypeAlias = tuple[int, ...]

_READERS: Final = {".toml": tomllib.loads, ".json": json.loads}
_SERVICES, _TENANTS = "services", "tenants"


class _File(Source):
    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path).absolute()
        if self._path.suffix not in _READERS:
            raise ConfigurationError(
                f"The name of {self._path} ends with neither .toml nor .json.",
                path="path",
                remedy="Rename the file so that its extension shows its format.",
            )
        self._read: tuple[Look, dict[Owner, AnyCredentials]] = ((), {})

    def find(self, service: str, tenant: str | None) -> AnyCredentials | None:
        """Return the credentials of a service and tenant in the file."""
        file_identity, credentials = self._read
        try:
            if _check_file(os.stat(self._path)) != file_identity:  # noqa: PTH116 - with every call
                credentials = self._read_again()
        except OSError as error:
            raise StorageUnavailable(
                f"{self._path} cannot be read ({error.strerror}).",
                remedy="Create the credentials file there, and let this process read it.",
            ) from None
        return credentials.get((service, tenant))

    def where(self, service: str, tenant: str | None) -> str:
        """Return the file's path and its table for a service and tenant, for error messages."""
        table = f"{_SERVICES}.{service}" if tenant is None else f"{_TENANTS}.{tenant}.{service}"
        return f"[{table}] of {self._path}"

    def _read_again(self) -> dict[Owner, AnyCredentials]:
        with self._path.open("rb") as file:
            status = os.fstat(file.fileno())
            self._check_mode(status.st_mode)
            credentials, problem = _read_file(file, _READERS[self._path.suffix])
        if problem:
            raise InvalidData(
                f"{self._path}: {problem}",
                field="credentials",
                remedy="Correct the file. Replace it by renaming another file, so that nobody"
                " reads a half-written file.",
            )
        self._read = _check_file(status), credentials
        return credentials

    def _check_mode(self, mode: int) -> None:
        if sys.platform == "win32":  # pragma: no cover - only on Windows
            return
        if mode & (S_IRWXO | S_IWGRP):
            raise ConfigurationError(
                f"Other users have access to {self._path}, because its mode is"
                f" {S_IMODE(mode):04o}.",
                path="path",
                remedy="Remove their access with chmod 600, or with chmod 640 if a group may"
                " read the file.",
            )


class FileCredentialProvider(ReadOnlyProvider):
    """Reads credentials from one file, and checks at every call whether it has changed.

    Args:
        path: the path of a file named .toml or .json, which not everybody can read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._source = _File(path)


class AsyncFileCredentialProvider(AsyncReadOnlyProvider):
    """The asynchronous `FileCredentialProvider`; a thread reads the file.

    Args:
        path: the path of a file named .toml or .json, which not everybody can read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._source = _File(path)

    async def _run(self, function: Callable[..., Any], *arguments: object) -> Any:
        return await to_thread(function, *arguments)


def _check_file(status: os.stat_result) -> Look:
    """Return a fingerprint of the file, which changes whenever the file changes."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _read_file(
    file: BinaryIO, parse: Callable[[str], dict[str, Any]]
) -> tuple[dict[Owner, AnyCredentials], str]:
    """Return the credentials in the file, and a problem with the file, if any."""
    try:
        tables = parse(file.read().decode())
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", None)
        return {}, f"The file cannot be parsed{'' if line is None else f', line {line}'}."
    credentials: dict[Owner, AnyCredentials] = {}
    try:
        for owner, place, credential_table in _entries(tables):
            credentials[owner] = read_credentials(credential_table, place)
    except InvalidData as error:
        return {}, error.message
    except (AttributeError, TypeError):
        return {}, "The file does not consist of the tables [services.…] and [tenants.….…]."
    return credentials, ""


def _entries(tables: dict[str, Any]) -> Iterator[tuple[Owner, str, object]]:
    if not tables.keys() <= {_SERVICES, _TENANTS}:
        raise TypeError
    for service, credential_table in tables.get(_SERVICES, {}).items():
        yield (service, None), f"[{_SERVICES}.{service}]", credential_table
    for tenant, services in tables.get(_TENANTS, {}).items():
        for service, credential_table in services.items():
            yield (service, tenant), f"[{_TENANTS}.{tenant}.{service}]", credential_table
