"""The storage methods that are written by hand: downloads, which callers read in pieces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from moorage.adapters.files.whole_files import WholeFile
from moorage.runtime.bridge import documented_by, run_now, with_signature_of
from moorage.services.contracts.storage import StorageFlows

if TYPE_CHECKING:
    from os import PathLike
    from types import TracebackType

    from moorage.contracts.storage import ObjectInfo
    from moorage.services.contracts.live_configuration import CurrentOperations
    from moorage.services.transfers.downloading import Downloading


class _Coming:
    """The common part of both versions of a download."""

    def __init__(self, flow: Downloading) -> None:
        self._flow = flow

    @property
    def info(self) -> ObjectInfo:
        """Properties of the object."""
        return self._flow.info

    @property
    def start(self) -> int:
        """Position of the first arriving byte in the object."""
        return self._flow.start

    @property
    def length(self) -> int | None:
        """The number of bytes of the download; None if unknown."""
        return self._flow.length

    @property
    def modified(self) -> bool:
        """False if the object has not changed, so that no bytes arrive."""
        return self._flow.modified

    def settle(self) -> None:
        """Close the download early, and drop the remaining bytes."""
        self._flow.settle()

    def __del__(self) -> None:
        self._flow.settle()


class Download(_Coming):
    """An object that is being downloaded; iterate over it for its bytes."""

    def read(self) -> bytes:
        """Read the next piece; b"" at the end."""
        return run_now(self._flow.read())

    def read_all(self) -> bytes:
        """Read the remaining bytes into memory."""
        return b"".join(self)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        piece = self.read()
        if not piece:
            raise StopIteration
        return piece

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.settle()


class AsyncDownload(_Coming):
    """An object that is being downloaded asynchronously; iterate over it for its bytes."""

    async def read(self) -> bytes:
        """Read the next piece; b"" at the end."""
        return await self._flow.read()

    async def read_all(self) -> bytes:
        """Read the remaining bytes into memory."""
        return b"".join([piece async for piece in self])

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        piece = await self.read()
        if not piece:
            raise StopAsyncIteration
        return piece

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.settle()


class StorageMethods:
    """The methods of `Storage` that are written by hand."""

    _flows: CurrentOperations[StorageFlows]

    @documented_by(StorageFlows.download)
    def download(self, *arguments: Any, **named: Any) -> Download:
        return Download(run_now(self._flows.run(StorageFlows.download, *arguments, **named)))

    def download_to(self, path: str | PathLike[str], *arguments: Any, **named: Any) -> ObjectInfo:
        """Download an object into a file, which is replaced only after all of it has arrived.

        Args:
            path: target file.
            *arguments: positional arguments of `download`, beginning with the key.
            **named: keyword arguments of `download`.
        """
        with self.download(*arguments, **named) as arriving_download, WholeFile(path) as file:
            for piece in arriving_download:
                file.write(piece)
            file.keep()
            return arriving_download.info


class AsyncStorageMethods:
    """The methods of `AsyncStorage` that are written by hand."""

    _flows: CurrentOperations[StorageFlows]

    @documented_by(StorageFlows.download)
    async def download(self, *arguments: Any, **named: Any) -> AsyncDownload:
        return AsyncDownload(await self._flows.run(StorageFlows.download, *arguments, **named))

    async def download_to(
        self, path: str | PathLike[str], *arguments: Any, **named: Any
    ) -> ObjectInfo:
        """Download an object into a file, which is replaced only after all of it has arrived.

        Args:
            path: target file.
            *arguments: positional arguments of `download`, beginning with the key.
            **named: keyword arguments of `download`.
        """
        from asyncio import to_thread  # noqa: PLC0415 - synchronous programs never need it

        async with await self.download(*arguments, **named) as arriving_download:
            with WholeFile(path) as file:
                async for piece in arriving_download:
                    await to_thread(file.write, piece)
                await to_thread(file.keep)
                return arriving_download.info


for _class in (StorageMethods, AsyncStorageMethods):
    with_signature_of(StorageFlows.download, _class.download)
