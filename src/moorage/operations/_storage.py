"""The handwritten storage methods: downloads in pieces, files and folders."""

from __future__ import annotations

from io import BufferedReader
from typing import TYPE_CHECKING, Any, Literal, Self, cast, overload

from moorage.adapters.concurrency.pooled_threads import to_thread
from moorage.adapters.files.whole_files import WholeFile
from moorage.contracts.declared.storage import DEFAULT_OPTIONS
from moorage.contracts.storage import check_key
from moorage.domain.values.key_pattern import KeyPattern
from moorage.domain.values.uncopyable import Uncopyable
from moorage.operations._object_files import (
    PIECE,
    AsyncObjectReader,
    AsyncObjectWriter,
    AsyncTextReader,
    AsyncTextWriter,
    ObjectReader,
    ObjectWriter,
    TextObjectReader,
    TextObjectWriter,
    async_pages_of,
    encoding_of,
    folder_of,
    folder_prefix,
    pages_of,
)
from moorage.runtime.flows import documented_by, run_now, with_signature_of
from moorage.services.contracts.storage import StorageFlows

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from os import PathLike
    from types import TracebackType

    from moorage.contracts.storage import ObjectInfo, PutOptions
    from moorage.operations._object_files import StoredFolder
    from moorage.operations.storage import AsyncStorage, Storage
    from moorage.services.contracts.live_configuration import CurrentOperations
    from moorage.services.transfers.downloading import DownloadSession


class _ArrivingObject:
    """The code that synchronous and asynchronous downloads share."""

    def __init__(self, flow: DownloadSession) -> None:
        self._flow = flow

    @property
    def info(self) -> ObjectInfo:
        """The properties of the object."""
        return self._flow.info

    @property
    def start(self) -> int:
        """The position in the object of the first downloaded byte."""
        return self._flow.start

    @property
    def length(self) -> int | None:
        """The number of bytes of the download; None if unknown."""
        return self._flow.length

    @property
    def modified(self) -> bool:
        """False if the caller already has the current object, so that no bytes are sent."""
        return self._flow.modified

    def settle(self) -> None:
        """Close the download early, and drop the remaining bytes."""
        self._flow.settle()

    def __del__(self) -> None:
        self._flow.settle()


class Download(_ArrivingObject):
    """An object that is being downloaded; iterate over it to get its bytes."""

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


class AsyncDownload(_ArrivingObject):
    """An object that is being downloaded asynchronously; iterate over it to get its bytes."""

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


class StorageMethods(Uncopyable):
    """The handwritten methods of `Storage`."""

    _flows: CurrentOperations[StorageFlows]

    @documented_by(StorageFlows.download)
    def download(self, *arguments: Any, **named: Any) -> Download:
        return Download(run_now(self._flows.run(StorageFlows.download, *arguments, **named)))

    def download_to(self, path: str | PathLike[str], *arguments: Any, **named: Any) -> ObjectInfo:
        """Download an object to a file, which is replaced when the download is complete.

        If a condition such as `if_none_match` finds the object unchanged, so is the file.

        Args:
            path: target file.
            *arguments: positional arguments of `download`, beginning with the key.
            **named: keyword arguments of `download`.
        """
        with self.download(*arguments, **named) as arriving_download:
            if arriving_download.modified:
                with WholeFile(path) as file:
                    for piece in arriving_download:
                        file.write(piece)
                    file.keep()
            return arriving_download.info

    def walk(self, prefix: str = "", *, timeout: float | None = None) -> Iterator[StoredFolder]:
        """Yield a folder of objects and, after it, all folders inside.

        Args:
            prefix: the folder, such as "invoices/"; by default all objects.
            timeout: seconds for each request.
        """
        remaining = [folder_prefix(prefix)]
        while remaining:
            place = remaining.pop()
            pages = pages_of(cast("Storage", self), place, delimiter="/", timeout=timeout)
            folder = folder_of(place, [*pages])
            yield folder
            remaining += reversed(folder.folders)

    def glob(self, pattern: str, *, timeout: float | None = None) -> Iterator[ObjectInfo]:
        """Yield the objects whose keys match a pattern, in the order of their keys.

        Only objects that share the pattern's beginning before its first wildcard are listed.

        Args:
            pattern: a pattern such as "invoices/**/*.pdf": `*` and `?` stand for characters of one
                path segment of a key, `[abc]` for one of these characters, and `**` for any number
                of segments.
            timeout: seconds for each request.
        """
        keys = KeyPattern.of(pattern)
        delimiter = "/" if keys.is_flat else None
        for page in pages_of(
            cast("Storage", self), keys.prefix, delimiter=delimiter, timeout=timeout
        ):
            yield from (item for item in page.objects if keys.matches(item.key))

    @overload
    def open(
        self, key: str, mode: Literal["rb"] = "rb", *, timeout: float | None = None
    ) -> BufferedReader: ...

    @overload
    def open(
        self,
        key: str,
        mode: Literal["wb"],
        options: PutOptions = DEFAULT_OPTIONS,
        *,
        timeout: float | None = None,
    ) -> ObjectWriter: ...

    @overload
    def open(
        self,
        key: str,
        mode: Literal["r"],
        *,
        encoding: str | None = None,
        timeout: float | None = None,
    ) -> TextObjectReader: ...

    @overload
    def open(
        self,
        key: str,
        mode: Literal["w"],
        options: PutOptions = DEFAULT_OPTIONS,
        *,
        encoding: str | None = None,
        timeout: float | None = None,
    ) -> TextObjectWriter: ...

    def open(
        self,
        key: str,
        mode: str = "rb",
        options: PutOptions = DEFAULT_OPTIONS,
        *,
        encoding: str | None = None,
        timeout: float | None = None,
    ) -> BufferedReader | ObjectWriter | TextObjectReader | TextObjectWriter:
        """Open an object as a file of bytes or text.

        A file to read can be read from any position, as readers of archives and tables require. A
        file to write is stored when it is closed; if its `with` block raises, nothing is stored.

        Args:
            key: key of the object.
            mode: "rb" to read bytes, "wb" to write them; "r" to read text, "w" to write it.
            options: options for storing a file that is written.
            encoding: encoding of a text, UTF-8 by default; line ends are not converted.
            timeout: seconds for each request.

        Raises:
            FileNotFound: there is no such object to read.
        """
        storage = cast("Storage", self)
        encoding = encoding_of(mode, encoding)
        if mode in {"r", "rb"}:
            info = storage.head(key, timeout=timeout)
            file = ObjectReader(storage, key, info, timeout)
            reader: BufferedReader = BufferedReader(file, PIECE)
            return reader if encoding is None else TextObjectReader(reader, encoding)
        writer = ObjectWriter(storage, check_key(key), options, timeout)
        return writer if encoding is None else TextObjectWriter(writer, encoding)


class AsyncStorageMethods(Uncopyable):
    """The handwritten methods of `AsyncStorage`."""

    _flows: CurrentOperations[StorageFlows]

    @documented_by(StorageFlows.download)
    async def download(self, *arguments: Any, **named: Any) -> AsyncDownload:
        return AsyncDownload(await self._flows.run(StorageFlows.download, *arguments, **named))

    async def download_to(
        self, path: str | PathLike[str], *arguments: Any, **named: Any
    ) -> ObjectInfo:
        """Download an object to a file, which is replaced when the download is complete.

        If a condition such as `if_none_match` finds the object unchanged, so is the file.

        Args:
            path: target file.
            *arguments: positional arguments of `download`, beginning with the key.
            **named: keyword arguments of `download`.
        """
        async with await self.download(*arguments, **named) as arriving_download:
            if arriving_download.modified:
                with WholeFile(path) as file:
                    async for piece in arriving_download:
                        await to_thread(file.write, piece)
                    await to_thread(file.keep)
            return arriving_download.info

    async def walk(
        self, prefix: str = "", *, timeout: float | None = None
    ) -> AsyncIterator[StoredFolder]:
        """Yield a folder of objects and, after it, all folders inside.

        Args:
            prefix: the folder, such as "invoices/"; by default all objects.
            timeout: seconds for each request.
        """
        remaining = [folder_prefix(prefix)]
        while remaining:
            place = remaining.pop()
            pages = async_pages_of(
                cast("AsyncStorage", self), place, delimiter="/", timeout=timeout
            )
            folder = folder_of(place, [page async for page in pages])
            yield folder
            remaining += reversed(folder.folders)

    async def glob(
        self, pattern: str, *, timeout: float | None = None
    ) -> AsyncIterator[ObjectInfo]:
        """Yield the objects whose keys match a pattern, in the order of their keys.

        Only objects that share the pattern's beginning before its first wildcard are listed.

        Args:
            pattern: a pattern such as "invoices/**/*.pdf": `*` and `?` stand for characters of one
                path segment of a key, `[abc]` for one of these characters, and `**` for any number
                of segments.
            timeout: seconds for each request.
        """
        keys = KeyPattern.of(pattern)
        delimiter = "/" if keys.is_flat else None
        async for page in async_pages_of(
            cast("AsyncStorage", self), keys.prefix, delimiter=delimiter, timeout=timeout
        ):
            for item in page.objects:
                if keys.matches(item.key):
                    yield item

    @overload
    async def open(
        self, key: str, mode: Literal["rb"] = "rb", *, timeout: float | None = None
    ) -> AsyncObjectReader: ...

    @overload
    async def open(
        self,
        key: str,
        mode: Literal["wb"],
        options: PutOptions = DEFAULT_OPTIONS,
        *,
        timeout: float | None = None,
    ) -> AsyncObjectWriter: ...

    @overload
    async def open(
        self,
        key: str,
        mode: Literal["r"],
        *,
        encoding: str | None = None,
        timeout: float | None = None,
    ) -> AsyncTextReader: ...

    @overload
    async def open(
        self,
        key: str,
        mode: Literal["w"],
        options: PutOptions = DEFAULT_OPTIONS,
        *,
        encoding: str | None = None,
        timeout: float | None = None,
    ) -> AsyncTextWriter: ...

    async def open(
        self,
        key: str,
        mode: str = "rb",
        options: PutOptions = DEFAULT_OPTIONS,
        *,
        encoding: str | None = None,
        timeout: float | None = None,
    ) -> AsyncObjectReader | AsyncObjectWriter | AsyncTextReader | AsyncTextWriter:
        """Open an object as a file of bytes or text for `async with`.

        A file to read can be read from any position. A file to write is stored when it is closed;
        if its `async with` block raises, nothing is stored.

        Args:
            key: key of the object.
            mode: "rb" to read bytes, "wb" to write them; "r" to read text, "w" to write it.
            options: options for storing a file that is written.
            encoding: encoding of a text, UTF-8 by default; line ends are not converted.
            timeout: seconds for each request.

        Raises:
            FileNotFound: there is no such object to read.
        """
        storage = cast("AsyncStorage", self)
        encoding = encoding_of(mode, encoding)
        if mode in {"r", "rb"}:
            info = await storage.head(key, timeout=timeout)
            reader = AsyncObjectReader(storage, key, info, timeout)
            return reader if encoding is None else AsyncTextReader(reader, encoding)
        writer = AsyncObjectWriter(storage, check_key(key), options, timeout)
        return writer if encoding is None else AsyncTextWriter(writer, encoding)


for _class in (StorageMethods, AsyncStorageMethods):
    with_signature_of(StorageFlows.download, _class.download)
