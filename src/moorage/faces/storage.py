"""The storage operations for users, synchronous and asynchronous."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, Self

from moorage.adapters.files.whole_files import WholeFile
from moorage.runtime.bridge import awaited, blocking, documented_by, run_now, with_signature_of
from moorage.services.contracts.live_configuration import CurrentOperations, on_current_dispatcher
from moorage.services.contracts.storage import StorageFlows

if TYPE_CHECKING:
    from os import PathLike
    from types import TracebackType

    from moorage.contracts.storage import ObjectInfo
    from moorage.services.contracts.live_configuration import FindDispatcher
    from moorage.services.transfers.downloading import Downloading

_download: Final = on_current_dispatcher(StorageFlows.download)


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
        """Close the download early, and drop the rest."""
        self._flow.settle()

    def __del__(self) -> None:
        self._flow.settle()


class Download(_Coming):
    """An object that is being downloaded; iterate over it for its bytes."""

    def read(self) -> bytes:
        """Read the next piece; b"" at the end."""
        return run_now(self._flow.read())

    def read_all(self) -> bytes:
        """Read the rest into memory."""
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
        """Read the rest into memory."""
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


class Storage:
    """Stores files at whichever vendor the configuration names."""

    def __init__(self, find_dispatcher: FindDispatcher, tenant: str | None) -> None:
        self._flows = CurrentOperations(StorageFlows, find_dispatcher, tenant)

    upload = blocking(on_current_dispatcher(StorageFlows.upload))
    start_upload = blocking(on_current_dispatcher(StorageFlows.start_upload))
    abort_upload = blocking(on_current_dispatcher(StorageFlows.abort_upload))
    list_stale_uploads = blocking(on_current_dispatcher(StorageFlows.list_stale_uploads))
    head = blocking(on_current_dispatcher(StorageFlows.head))
    exists = blocking(on_current_dispatcher(StorageFlows.exists))
    delete = blocking(on_current_dispatcher(StorageFlows.delete))
    delete_many = blocking(on_current_dispatcher(StorageFlows.delete_many))
    list = blocking(on_current_dispatcher(StorageFlows.list))
    copy = blocking(on_current_dispatcher(StorageFlows.copy))
    signed_url = blocking(on_current_dispatcher(StorageFlows.signed_url))
    signed_post = blocking(on_current_dispatcher(StorageFlows.signed_post))

    @documented_by(StorageFlows.download)
    def download(  # noqa: D102 - documented by its flow
        self, *given: Any, **named: Any
    ) -> Download:
        return Download(run_now(_download(self._flows, *given, **named)))

    def download_to(self, path: str | PathLike[str], *given: Any, **named: Any) -> ObjectInfo:
        """Download an object into a file, which is replaced only after all of it has arrived.

        Args:
            path: target file.
            *given: positional arguments of `download`, beginning with the key.
            **named: keyword arguments of `download`.
        """
        with self.download(*given, **named) as coming, WholeFile(path) as file:
            for piece in coming:
                file.write(piece)
            file.keep()
            return coming.info


class AsyncStorage:
    """The asynchronous version of `Storage`."""

    def __init__(self, find_dispatcher: FindDispatcher, tenant: str | None) -> None:
        self._flows = CurrentOperations(StorageFlows, find_dispatcher, tenant)

    upload = awaited(on_current_dispatcher(StorageFlows.upload))
    start_upload = awaited(on_current_dispatcher(StorageFlows.start_upload))
    abort_upload = awaited(on_current_dispatcher(StorageFlows.abort_upload))
    list_stale_uploads = awaited(on_current_dispatcher(StorageFlows.list_stale_uploads))
    head = awaited(on_current_dispatcher(StorageFlows.head))
    exists = awaited(on_current_dispatcher(StorageFlows.exists))
    delete = awaited(on_current_dispatcher(StorageFlows.delete))
    delete_many = awaited(on_current_dispatcher(StorageFlows.delete_many))
    list = awaited(on_current_dispatcher(StorageFlows.list))
    copy = awaited(on_current_dispatcher(StorageFlows.copy))
    signed_url = awaited(on_current_dispatcher(StorageFlows.signed_url))
    signed_post = awaited(on_current_dispatcher(StorageFlows.signed_post))

    @documented_by(StorageFlows.download)
    async def download(  # noqa: D102 - documented by its flow
        self, *given: Any, **named: Any
    ) -> AsyncDownload:
        return AsyncDownload(await _download(self._flows, *given, **named))

    async def download_to(self, path: str | PathLike[str], *given: Any, **named: Any) -> ObjectInfo:
        """Download an object into a file, which is replaced only after all of it has arrived.

        Args:
            path: target file.
            *given: positional arguments of `download`, beginning with the key.
            **named: keyword arguments of `download`.
        """
        async with await self.download(*given, **named) as coming:
            with WholeFile(path) as file:
                async for piece in coming:
                    await asyncio.to_thread(file.write, piece)
                await asyncio.to_thread(file.keep)
                return coming.info


for _face in (Storage, AsyncStorage):
    with_signature_of(StorageFlows.download, _face.download)
