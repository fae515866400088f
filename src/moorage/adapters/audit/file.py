"""The audit trail in a file of JSON Lines; a second file stores the head of its hash chain.

A record is on disk before the head that names it. So after a crash the head may be some records
behind, and the last line may be incomplete; the next record then continues from the last complete
line, if that line continues from the head.
"""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.adapters.files.whole_files import WholeFile
from moorage.domain.observation.audit import (
    SEAL,
    AuditHead,
    AuditPage,
    AuditRecord,
    damaged_trail_error,
    hash_of,
)
from moorage.domain.values.json_text import is_object
from moorage.errors import ConfigurationError, StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

    from moorage.domain.observation.audit import AuditQuery

_FIELDS: Final = tuple(attrs.fields_dict(AuditRecord))
_NUMBERS: Final = frozenset({"number", "at"})
_OPTIONAL: Final = frozenset({"before", "after"})

_TAIL_BYTES: Final = 65_536
"""Bytes at the end of the file, more than the longest line has."""

_UNREADABLE: Final = AuditRecord(
    number=0,
    at=0,
    act="",
    subject="",
    actor="",
    reason="",
    before=None,
    after=None,
    previous="",
    hash="",
)


class FileAudit:
    """An `AuditStorage` in a JSON Lines file, shared by the processes of a machine.

    Args:
        path: the path of the file. The head is beside it, in a file whose name ends with `.head`.
    """

    durable: Final = True
    reach: Final = "machine"

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path).absolute()
        self._head_path = self._path.with_name(f"{self._path.name}.head")

    def __repr__(self) -> str:
        return f"FileAudit({str(self._path)!r})"

    def append(
        self, build: Callable[[AuditHead], tuple[Sequence[AuditRecord], AuditHead]], /
    ) -> Sequence[AuditRecord]:
        """Append records to the audit trail; `build` creates them from the trail's current end.

        Raises:
            StorageUnavailable: the file cannot be written.
            ConfigurationError: records are missing at the end.
        """
        with self._translating_errors(), self._locked() as file:
            stored_head = self._stored_head()
            head, size = _end_of(self._path, stored_head)
            if head is None:
                raise damaged_trail_error(str(self._path), stored_head.number)
            records, end = build(head)
            file.seek(size)
            file.truncate()
            file.write(b"".join(map(line_of, records)))
            file.flush()
            os.fsync(file.fileno())
            with WholeFile(self._head_path) as whole_file:
                whole_file.write(json.dumps(attrs.asdict(end)).encode())
                whole_file.keep()
            return records

    def head(self) -> AuditHead:
        """Return the head of the chain, including records newer than the stored head."""
        with self._translating_errors():
            stored_head = self._stored_head()
            return _end_of(self._path, stored_head)[0] or stored_head

    def records(self) -> Iterator[AuditRecord]:
        """Yield the records of all lines, in the order of the lines."""
        with self._translating_errors():
            for line in self._lines():
                if line.endswith(b"\n"):
                    yield record_of(line)

    def find(self, query: AuditQuery, /) -> AuditPage:
        """Return one page of the matching records, newest first. It reads the whole file."""
        matches = [
            record
            for record in self.records()
            if query.matches(record) and (query.after is None or record.number < query.after)
        ]
        page = tuple(matches[: -query.limit - 1 : -1])
        has_next_page = len(matches) > query.limit
        return AuditPage(items=page, next=page[-1].number if has_next_page else None)

    def migrate(self) -> None:
        """Do nothing, because the file is created with its first record."""

    def close(self) -> None:
        """Do nothing, because the file is open only while it is used."""

    def _lines(self) -> Iterator[bytes]:
        if self._path.exists():
            with self._path.open("rb") as file:
                yield from file

    def _stored_head(self) -> AuditHead:
        try:
            return AuditHead(**json.loads(self._head_path.read_bytes()))
        except FileNotFoundError:
            return AuditHead()
        except (TypeError, ValueError):
            raise ConfigurationError(
                f"The file {self._head_path} is not the head of an audit trail.",
                path="audit.url",
                remedy="Restore the file from a backup, and run `moorage audit verify`.",
            ) from None

    @contextmanager
    def _locked(self) -> Generator[Any]:
        try:
            from fcntl import LOCK_EX, flock  # noqa: PLC0415 - not on every system
        except ImportError:  # pragma: no cover - only on Windows
            raise ConfigurationError(
                "This system cannot lock files, so concurrent writes could corrupt an audit"
                " trail in a file.",
                path="audit.url",
                remedy="Store the audit trail in a database, such as sqlite:///audit.db.",
            ) from None
        number = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        with os.fdopen(number, "r+b") as file:
            flock(file, LOCK_EX)
            yield file

    @contextmanager
    def _translating_errors(self) -> Generator[None]:
        try:
            yield
        except OSError as error:
            failure = StorageUnavailable(
                f"The audit trail {self._path} could not be used ({error.strerror}).",
                remedy="Allow this process to read and write the file and its folder, and check the"
                " disk.",
            )
            raise failure from None


def line_of(record: AuditRecord) -> bytes:
    """Return a record as a line of JSON in ASCII, with its fields in order."""
    return json.dumps(attrs.asdict(record)).encode() + b"\n"


def record_of(line: bytes) -> AuditRecord:
    """Parse an audit record from a line; a tampered line gives a record with a wrong hash."""
    try:
        fields = json.loads(line)
    except (RecursionError, ValueError):
        return _UNREADABLE
    if not is_object(fields) or tuple(fields) != _FIELDS:
        return _UNREADABLE
    if not all(_has_type_of_field(name, value) for name, value in fields.items()):
        return _UNREADABLE
    record = AuditRecord(**fields)
    return record if line_of(record) == line else _UNREADABLE


def _has_type_of_field(name: str, value: object) -> bool:
    if name in _NUMBERS:
        return type(value) is int
    return isinstance(value, str) or (name in _OPTIONAL and value is None)


def _end_of(path: Path, stored: AuditHead) -> tuple[AuditHead | None, int]:
    """Return the last hash of the chain in a file, and the size of its complete lines in bytes.

    The end is None if the head's record is missing, or if later records do not continue from it.
    """
    if not path.exists():
        return (stored if stored.number == 0 else None), 0
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _TAIL_BYTES))
        last_lines = file.read().splitlines(keepends=True)[-1:]
        if (
            last_lines
            and last_lines[0].endswith(b"\n")
            and _is_named(record_of(last_lines[0]), stored)
        ):
            return stored, size
        file.seek(0)
        return _head_after_lines(file, stored)


def _head_after_lines(lines: Iterable[bytes], stored: AuditHead) -> tuple[AuditHead | None, int]:
    size = 0
    end = stored if stored.number == 0 else None
    for line in lines:
        if not line.endswith(b"\n"):
            break
        size += len(line)
        record = record_of(line)
        if end is not None:
            if (record.number, record.previous) != (end.number + 1, end.hash):
                return None, size
            seal_number = record.number if record.act == SEAL else end.sealed
            end = AuditHead(record.number, record.hash, seal_number)
            if hash_of(record) != record.hash:
                return None, size
        elif _is_named(record, stored):
            end = stored
    return end, size


def _is_named(record: AuditRecord, head: AuditHead) -> bool:
    return (record.number, record.hash) == (head.number, head.hash)
