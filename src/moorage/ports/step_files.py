"""Storages for the files that steps read and produce."""

from __future__ import annotations

from typing import Protocol


class StepFiles(Protocol):
    """A storage of files by key.

    `read` returns a file, and raises `InvalidData` if it has more than `limit` bytes, and
    `FileNotFound` if there is none. `write` stores a file under a key, and replaces an earlier file
    under it; a repeat has the same effect. `read` and `write` use the tenant's files if a tenant is
    named, and raise errors of moorage only.
    """

    def read(self, key: str, limit: int, tenant: str | None, /) -> bytes:
        """Return the content of a file."""
        ...

    def write(self, key: str, content: bytes, tenant: str | None, /) -> None:
        """Store a file."""
        ...


class AsyncStepFiles(Protocol):
    """The asynchronous `StepFiles`."""

    async def read(self, key: str, limit: int, tenant: str | None, /) -> bytes:
        """Return the content of a file."""
        ...

    async def write(self, key: str, content: bytes, tenant: str | None, /) -> None:
        """Store a file."""
        ...
