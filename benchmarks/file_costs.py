"""The cost of files in a folder of fsspec, compared with fsspec alone.

Reading a file takes two operations of the vendor: one finds it and its metadata, and one reads it
and checks that it has not changed. Writing makes a temporary file, renames it, and stores the
metadata. fsspec alone reads or writes the file in place.
"""

from __future__ import annotations

from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import fsspec
from connector_costs import PRODUCTION, TARGET, other_python
from measure import Comparison, Contender, compare, sync_block
from production import usual_observers

from moorage import Hub
from moorage.adapters.logs.memory import MemoryIntegrationLogger
from moorage.contracts.routes import Account
from moorage.vendors.storage.fsspec import Fsspec
from moorage.vendors.storage.local_files import LocalFiles

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moorage.vendor_sdk import Vendor

_ROUNDS: Final = 40
_DATA: Final = b"x" * 1024
_KEY: Final = "orders/2041.csv"


def _comparison(
    url: str,
    call_alone: Callable[[Any, str], object],
    call: Callable[[Any], object],
    rounds: int,
    peers: Mapping[str, Vendor] | None = None,
) -> Any:
    """Return the table rows of a call with fsspec alone, and with two hubs for the same folder."""
    library: Any = fsspec
    filesystem, root = library.core.url_to_fs(url)
    path = f"{root}/alone.csv"
    filesystem.makedirs(root, exist_ok=True)
    filesystem.pipe_file(path, _DATA)

    def beside_other_python() -> None:
        call_alone(filesystem, path)
        other_python()

    def storage(vendor: Vendor, **options: Any) -> Any:
        files = Hub([Account("files", vendor)], **options).storage()
        files.upload(_KEY, _DATA)
        return files

    observed = {"observers": usual_observers(), "log": MemoryIntegrationLogger()}
    hubs = {
        "moorage": storage(Fsspec(url=url)),
        PRODUCTION: storage(Fsspec(url=url), **observed),
        **{name: storage(vendor) for name, vendor in (peers or {}).items()},
    }
    return compare(
        None,
        [
            Contender("fsspec", sync_block(lambda: call_alone(filesystem, path))),
            Contender("fsspec, beside other Python code", sync_block(beside_other_python)),
            *(
                Contender(name, sync_block(lambda files=files: call(files)))
                for name, files in hubs.items()
            ),
        ],
        rounds=min(rounds, _ROUNDS),
        block_seconds=0.05,
        mirrored=True,
    )


def _read_alone(filesystem: Any, path: str) -> object:
    return filesystem.cat_file(path)


def _write_alone(filesystem: Any, path: str) -> object:
    return filesystem.pipe_file(path, _DATA)


def _read(files: Any) -> object:
    return files.download(_KEY).read_all()


def _write(files: Any) -> object:
    return files.upload(_KEY, _DATA)


def files_memory_read(rounds: int) -> Comparison:
    """Measure reading a file of 1 KiB from memory."""
    rows = _comparison(f"memory://{uuid4().hex}", _read_alone, _read, rounds)
    return Comparison("a file of fsspec in memory is read", rows, TARGET)


def files_memory_write(rounds: int) -> Comparison:
    """Measure writing a file of 1 KiB to memory."""
    rows = _comparison(f"memory://{uuid4().hex}", _write_alone, _write, rounds)
    return Comparison("a file of fsspec in memory is written", rows, TARGET)


def files_disk_read(rounds: int) -> Comparison:
    """Measure reading a file of 1 KiB from a local folder."""
    with TemporaryDirectory() as folder:
        local = {"moorage, the vendor local_files": LocalFiles(root=f"{folder}/local")}
        rows = _comparison(f"file://{folder}/fsspec", _read_alone, _read, rounds, local)
    return Comparison("a file of fsspec on a disk is read", rows, TARGET)


def files_disk_write(rounds: int) -> Comparison:
    """Measure writing a file of 1 KiB to a local folder."""
    with TemporaryDirectory() as folder:
        local = {"moorage, the vendor local_files": LocalFiles(root=f"{folder}/local")}
        rows = _comparison(f"file://{folder}/fsspec", _write_alone, _write, rounds, local)
    return Comparison("a file of fsspec on a disk is written", rows, TARGET)


ALL = (files_memory_read, files_memory_write, files_disk_read, files_disk_write)
