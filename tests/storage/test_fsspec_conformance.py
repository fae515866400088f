"""Storage on fsspec filesystems passes the storage conformance kit, also at real servers."""

from __future__ import annotations

from contextlib import contextmanager
from errno import EEXIST, ENOENT
from functools import wraps
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import pytest
from fsspec import register_implementation
from fsspec.implementations.local import LocalFileSystem

from moorage.contracts.routes import Account
from moorage.errors import VendorFailed
from moorage.hub.hub import AsyncHub, Hub
from moorage.testing import storage_conformance as kit
from moorage.testing.kits.checks import name_of
from moorage.vendors.storage.fsspec import Fsspec
from tests.storage.file_servers import server
from tests.storage.harnesses import PART, run, with_hub

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from moorage.testing.kits.storage_conformance import AsyncCheck, Check

KINDS: Final = ("memory", "file", "foreign", "sftp", "ftp", "webdav")
NAMES: Final = "stored_bytes_come_back"
"""The check with "?" in a key. WsgiDAV decodes the address of a new name before it splits off the
query, so it cuts the name there, although the client has encoded it."""


class SMBException(Exception):
    """A substitute for smbprotocol 1.17's base class of errors."""


class SMBOSError(OSError, SMBException):
    """A substitute for the only class that smbprotocol 1.17 uses for refused calls."""


class ForeignErrors(LocalFileSystem):  # type: ignore[misc]  # fsspec has no types
    """A local filesystem that raises its own error class, as an SMB filesystem does."""

    protocol = "foreign"

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        """Remove the protocol from a path, as old fsspec releases do only for their own classes."""
        is_text = isinstance(path, str)
        return super()._strip_protocol(path.removeprefix("foreign://") if is_text else path)

    def __getattribute__(self, name: str) -> Any:
        value = super().__getattribute__(name)
        if name not in {"info", "ls", "cat_file", "rm_file", "mv", "mkdir", "open"}:
            return value

        @wraps(value)
        def call(*arguments: Any, **options: Any) -> Any:
            if name == "mv" and super(ForeignErrors, self).exists(arguments[1]):
                raise SMBOSError(EEXIST, "canary")
            try:
                return value(*arguments, **options)
            except OSError as error:
                number = error.errno
                if number is None and isinstance(error, FileNotFoundError):
                    number = ENOENT
            raise SMBOSError(number, "canary")

        call.__func__ = None  # type: ignore[attr-defined]  # as a bound method has one
        return call


register_implementation("foreign", ForeignErrors)


@contextmanager
def filesystem(kind: str, root: Path) -> Generator[Fsspec]:
    """Yield a vendor over a filesystem of this kind."""
    if kind in {"memory", "file", "foreign"}:
        yield Fsspec(url=f"{kind}://{root / uuid4().hex}")
    else:
        with server(kind, root) as vendor:
            yield vendor


@pytest.fixture(scope="module", params=KINDS)
def vendor(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fsspec]:
    """Yield a vendor over a filesystem of each kind."""
    with filesystem(request.param, tmp_path_factory.mktemp("files")) as files:
        yield files


@pytest.mark.parametrize("check", kit.CHECKS, ids=name_of)
def test_each_fsspec_filesystem_passes_conformance_kit(vendor: Fsspec, check: Check) -> None:
    """Each fsspec filesystem passes the conformance kit."""
    if vendor.url.startswith("webdav") and name_of(check) == NAMES:
        return
    with Hub([Account("files", vendor)]) as hub:
        check(lambda: kit.Subject(hub.storage(), PART, vendor.capabilities))


@pytest.mark.untraced
@pytest.mark.parametrize("check", kit.ASYNC_CHECKS, ids=name_of)
def test_each_fsspec_filesystem_passes_asynchronous_conformance_kit(
    vendor: Fsspec, check: AsyncCheck
) -> None:
    """Each fsspec filesystem passes the asynchronous conformance kit."""
    if vendor.url.startswith("webdav") and name_of(check) == NAMES:
        return
    run(with_hub(AsyncHub([Account("files", vendor)]), check, can=vendor.capabilities))


def test_unusual_file_names_survive_webdav(tmp_path: Path) -> None:
    """Unusual file names survive WebDAV, and a name that the server would cut is an error."""
    with server("webdav", tmp_path) as vendor, Hub([Account("files", vendor)]) as hub:
        files = hub.storage()
        for name in ("a", "with space", "ünï+&=#%25.txt", "deep/er/x.y", "~-_.!*'()"):
            files.upload(name, name.encode())
            assert name.encode() == files.download(name).read_all()
            assert name == files.head(name).key
        with pytest.raises(VendorFailed, match="under a different name"):
            files.upload("a?b", b"")
