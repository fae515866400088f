"""A backend for `STORAGES`: Django's files through the Storage contract."""

from __future__ import annotations

import io
import posixpath
from contextlib import ExitStack
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.base import File
from django.core.files.storage import Storage as DjangoStorage
from django.utils import timezone
from django.utils.deconstruct import deconstructible

from moorage import FileNotFound, InvalidData
from moorage.contracts.storage import PutOptions
from moorage_django.runtime import hub

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

_IN_MEMORY: Final = 2_500_000
_PIECE_BYTES: Final = 64 << 10


@deconstructible
class Storage(DjangoStorage):
    """Stores files at the vendor that the configuration chooses, without local paths.

    Args:
        tenant: the tenant whose account stores the files.
        location: the folder with which all keys begin.
        expires: seconds for which the URLs that `url` signs are valid.
        base_url: the beginning of the URLs of public files, which are not signed.
    """

    def __init__(
        self,
        *,
        tenant: str | None = None,
        location: str = "",
        expires: float = 3_600.0,
        base_url: str | None = None,
    ) -> None:
        self._tenant = tenant
        self._location = location.strip("/")
        self._expires = expires
        self._base_url = base_url

    @property
    def files(self) -> Any:
        """The hub's storage operations."""
        return hub().storage(self._tenant)

    def exists(self, name: str) -> bool:
        """Return whether a file with this name exists."""
        return bool(self.files.exists(self.key(name)))

    def delete(self, name: str) -> None:
        """Delete a file; a missing file is not an error."""
        self.files.delete(self.key(name))

    def size(self, name: str) -> int:
        """Return the size of a file in bytes."""
        return int(self._info(name).size or 0)

    def get_modified_time(self, name: str) -> datetime:
        """Return the time when a file was stored."""
        modified_at: datetime | None = self._info(name).last_modified
        if modified_at is None:
            raise NotImplementedError(  # as Django documents it; `collectstatic` handles it
                "This vendor does not report when a file was stored."
            )
        return modified_at if settings.USE_TZ else timezone.make_naive(modified_at)

    def url(self, name: str | None) -> str:
        """Return a file's URL for browsers."""
        key = self.key(name or "")
        if self._base_url is not None:
            return f"{self._base_url.rstrip('/')}/{key}"
        return str(self.files.signed_url(key, expires=self._expires).url)

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        """Return the folders and files in a folder."""
        folder = self.key(path)
        prefix = f"{folder}/" if folder else ""
        folders: list[str] = []
        files: list[str] = []
        cursor = None
        while True:
            page = self.files.list(prefix, delimiter="/", cursor=cursor)
            folders += [value.removeprefix(prefix).rstrip("/") for value in page.prefixes]
            files += [
                object_info.key.removeprefix(prefix)
                for object_info in page.objects
                if object_info.key != prefix
            ]
            cursor = page.next_cursor
            if cursor is None:
                return folders, files

    def _open(self, name: str, mode: str = "rb") -> File:
        if set(mode) & set("wax+"):
            raise InvalidData(
                f"A file cannot be opened with the mode {mode!r}.",
                field="mode",
                remedy="Open it for reading; to change it, save a new file.",
            )
        return _FetchedFile(self, name, text="b" not in mode)

    def _save(self, name: str, content: Any) -> str:
        options = PutOptions(content_type=getattr(content, "content_type", None))
        if content.seekable():
            content.seek(0)
        self.files.upload(self.key(name), _content_pieces(content), options)
        return name

    def _info(self, name: str) -> Any:
        try:
            return self.files.head(self.key(name))
        except FileNotFound as error:
            raise FileNotFoundError(str(error)) from None

    def key(self, name: str) -> str:
        """Return the storage key of a file name; it is always below the storage's location."""
        path = posixpath.normpath(name.replace("\\", "/"))
        if path.startswith(("/", "../")) or path == "..":
            raise SuspiciousFileOperation(f"{name!r} is a path outside of the storage.")
        return "/".join(part for part in (self._location, path) if part not in {"", "."})


class _FetchedFile(File):
    """A file at a vendor, downloaded when first read."""

    def __init__(self, storage: Storage, name: str, *, text: bool) -> None:
        self.name = name
        self.mode = "r" if text else "rb"
        self._storage = storage
        self._text = text
        self._fetched: Any = None

    @property
    def file(self) -> Any:
        """The file's bytes or text, kept in memory while small."""
        if self._fetched is None:
            self._fetched = self._fetch()
        return self._fetched

    @file.setter
    def file(self, value: Any) -> None:
        self._fetched = value

    def _fetch(self) -> Any:
        storage = self._storage
        with ExitStack() as cleanup:
            content_file = cleanup.enter_context(SpooledTemporaryFile(max_size=_IN_MEMORY))
            try:
                with storage.files.download(storage.key(self.name)) as download:
                    for piece in download:
                        content_file.write(piece)
            except FileNotFound as error:
                raise FileNotFoundError(str(error)) from None
            content_file.seek(0)
            cleanup.pop_all()
        return io.TextIOWrapper(content_file, encoding="utf-8") if self._text else content_file

    @property
    def size(self) -> int:
        """Return the size of the file in bytes."""
        return self._storage.size(self.name)

    def close(self) -> None:
        """Release the downloaded content."""
        if self._fetched is not None:
            self._fetched.close()


def _content_pieces(content: Any) -> Iterator[bytes]:
    while piece := content.read(_PIECE_BYTES):
        yield piece.encode() if isinstance(piece, str) else piece
