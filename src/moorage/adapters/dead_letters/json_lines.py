"""Dead letters in a file of JSON Lines.

A dead letter is on disk before its record is settled. A crash may leave an incomplete last line,
which readers skip: the record of that letter is delivered again. The next letter takes the place of
this line. If the disk is full, the part of a letter that was written is removed again.

While a source replays the letters of a file, it locks a second file beside it, so that no other
source processes the same letters and nobody drops them. There it writes the ids of the letters that
are done, so that a commit costs as much as its letters, whatever the size of the file. At its end,
or after a crash whoever locks the second file next, these letters are removed from the file.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager, suppress
from os.path import samestat
from pathlib import Path
from secrets import token_hex
from typing import IO, TYPE_CHECKING, Literal

from moorage.adapters.concurrency.pooled_threads import to_thread
from moorage.adapters.files.whole_files import WholeFile, copy_access
from moorage.domain.pipelines.letter_lines import (
    letter_of,
    line_of,
    lines_without,
    size_without_torn_line,
)
from moorage.errors import ConfigurationError, LocalFailure, StorageUnavailable, UnsupportedByVendor

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence

    from moorage.domain.pipelines.records import Offset, Partition, SinkRecord
    from moorage.domain.pipelines.settings import DeadLetter
    from moorage.ports.pipelines import PollLimits, Revocation


@contextmanager
def _locked(path: Path, *, wait: bool = True) -> Generator[IO[bytes]]:
    """Open and lock a file; if another process replaces the file meanwhile, open the new file.

    Raises:
        BlockingIOError: the file is locked, and `wait` is False.
    """
    try:
        from fcntl import LOCK_EX, LOCK_NB, flock  # noqa: PLC0415 - not on every system
    except ImportError:  # pragma: no cover - only on Windows
        raise ConfigurationError(
            "This system cannot lock files, so dead letters in a file could be lost.",
            path="dead_letters",
            remedy="Publish dead letters to a topic instead.",
        ) from None
    while True:
        number = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        # Without a buffer, since closing the file would write the bytes that did not fit once more.
        with os.fdopen(number, "r+b", buffering=0) as file:
            flock(file, LOCK_EX if wait else LOCK_EX | LOCK_NB)
            if _is_current(path, os.fstat(number)):
                yield file
                return


def _is_current(path: Path, status: os.stat_result) -> bool:
    """Return whether an open file is still the file at a path."""
    try:
        return samestat(path.stat(), status)
    except FileNotFoundError:
        return False


def _append(file: IO[bytes], data: bytes) -> None:
    """Append bytes to a file, and return once they are on disk; after an error nothing is added.

    Raises:
        OSError: the disk is full or cannot be written.
    """
    size = file.seek(0, os.SEEK_END)
    remaining_bytes = memoryview(data)
    try:
        while remaining_bytes:
            remaining_bytes = remaining_bytes[file.write(remaining_bytes) :]
        os.fsync(file.fileno())
    except BaseException:
        with suppress(OSError):
            file.truncate(size)
        raise


class ReplayJournal:
    """The ids of the dead letters that a replay has processed, in a locked file.

    A crash may leave an incomplete last line, which counts as absent: its letter is replayed again.

    Args:
        file: the file, which nobody else may write.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def add(self, ids: Iterable[str]) -> None:
        """Append dead letters' ids, and return once they are on disk."""
        _append(self._file, "".join(f"{name}\n" for name in ids).encode())

    def ids(self) -> frozenset[str]:
        """Return all ids in the journal."""
        self._file.seek(0)
        return _complete_lines(self._file.read())

    def clear(self) -> None:
        """Remove all ids from the journal, and an incomplete last line."""
        self._file.truncate(0)
        os.fsync(self._file.fileno())


def _content(path: Path) -> bytes:
    """Return the content of a file, which is empty if there is no file."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _complete_lines(content: bytes) -> frozenset[str]:
    """Return the lines of a text, without a last line that lacks its line break."""
    return frozenset(content.decode("utf-8", "replace").split("\n")[:-1])


class DeadLetterFile:
    """Dead letters in a JSON Lines file, shared by the processes of a machine.

    Args:
        path: the path of the file, which the first letter creates for its owner alone.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path).absolute()

    def __repr__(self) -> str:
        return f"DeadLetterFile({str(self._path)!r})"

    async def add(self, letter: DeadLetter, /) -> None:
        """Append a dead letter, and return once it is on disk.

        Raises:
            StorageUnavailable: the file cannot be written.
        """
        await to_thread(self._append, line_of(letter, token_hex(8)))

    def letters(self) -> list[tuple[str, DeadLetter]]:
        """Return all dead letters with their ids, the oldest first.

        Raises:
            StorageUnavailable: the file cannot be read.
        """
        with self._translating_errors():
            # The order matters: the journal loses an id only after the file has lost its letter.
            done_ids = _complete_lines(_content(self._journal_path))
            lines = _content(self._path).splitlines()
        entries = [entry for line in lines if (entry := letter_of(line)) is not None]
        return [entry for entry in entries if entry[0] not in done_ids]

    def drop(self, ids: Iterable[str]) -> None:
        """Remove the dead letters with these ids from the file.

        Raises:
            LocalFailure: a source is replaying letters of the file.
            StorageUnavailable: the file cannot be written.
        """
        with self.replaying():
            self._remove(frozenset(ids))

    @contextmanager
    def replaying(self) -> Generator[ReplayJournal]:
        """Prevent other callers from replaying or dropping letters of the file during the block.

        The letters that the block adds to the journal are no longer in the file then.

        Raises:
            LocalFailure: another source is replaying letters of the file.
            StorageUnavailable: a file cannot be written.
        """
        with ExitStack() as stack:
            with self._translating_errors():
                try:
                    file = stack.enter_context(_locked(self._journal_path, wait=False))
                except BlockingIOError:
                    raise LocalFailure(
                        f"Another process is replaying dead letters of the file {self._path}.",
                        remedy="Wait until the other process ends, and list the remaining"
                        " dead letters.",
                    ) from None
                copy_access(file.fileno(), self._path)
            journal = ReplayJournal(file)
            self._remove_done(journal)
            try:
                yield journal
            finally:
                self._remove_done(journal)
                with self._translating_errors():
                    self._journal_path.unlink(missing_ok=True)

    def _remove_done(self, journal: ReplayJournal) -> None:
        """Remove the letters that the journal lists from the file, then clear the journal."""
        with self._translating_errors():
            done_ids = journal.ids()
        if done_ids:
            self._remove(done_ids)
        with self._translating_errors():
            journal.clear()

    def _remove(self, ids: frozenset[str]) -> None:
        with self._translating_errors(), _locked(self._path) as file:
            content = file.read()
            content = content[: size_without_torn_line(content)]
            lines = lines_without(content.splitlines(keepends=True), ids)
            with WholeFile(self._path) as whole_file:
                whole_file.write(b"".join(lines))
                whole_file.keep()

    def record_done(self, journal: ReplayJournal, ids: Iterable[str]) -> None:
        """Add processed letters' ids to a journal, and return once they are on disk.

        Raises:
            StorageUnavailable: the journal cannot be written.
        """
        with self._translating_errors():
            journal.add(ids)

    @property
    def _journal_path(self) -> Path:
        return self._path.with_name(f"{self._path.name}.replay")

    def _append(self, line: bytes) -> None:
        with self._translating_errors(), _locked(self._path) as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 1))
            if size > 0 and file.read(1) != b"\n":
                file.seek(0)
                whole_size = size_without_torn_line(file.read())
                file.truncate(whole_size)
                line = b"\n" + line if whole_size == size else line
            _append(file, line)

    @contextmanager
    def _translating_errors(self) -> Generator[None]:
        try:
            yield
        except OSError as error:
            failure = StorageUnavailable(
                f"The file {self._path} of dead letters could not be used ({error.strerror}).",
                remedy="Allow this process to read and write the file and its folder, and check the"
                " disk.",
            )
            raise failure from None


class DeadLetterSource:
    """A source that reads the records of dead letters, and removes each processed letter.

    Args:
        file: the file.
        ids: the ids of the letters; by default all that the file has when the source opens.
    """

    _journal: ReplayJournal
    commits: Literal["each", "prefix"] = "each"
    extend_every: float | None = None

    def __init__(self, file: DeadLetterFile, ids: Iterable[str] | None = None) -> None:
        self._file = file
        self._wanted = None if ids is None else frozenset(ids)
        self._records: list[SinkRecord] = []
        self._ids: dict[int, str] = {}
        self._replay = ExitStack()
        self._is_open = False

    async def open(self, _: Revocation, /) -> None:
        """Read the dead letters from the file, unless the source is open already.

        Raises:
            LocalFailure: another source is replaying letters of the file.
        """
        if self._is_open:
            # The letters in flight can still be committed, and the others are still to be read.
            return
        self._journal = self._replay.enter_context(self._file.replaying())
        self._is_open = True
        letters = [
            (name, letter.record)
            for name, letter in self._file.letters()
            if self._wanted is None or name in self._wanted
        ]
        self._records = [record for _, record in letters]
        self._ids = {id(record): name for name, record in letters}

    async def poll(self, limits: PollLimits, /) -> list[SinkRecord] | None:
        """Return the next records; None after the last one."""
        records = self._records[: limits.records]
        self._records = self._records[limits.records :]
        return records or None

    async def commit(self, records: Sequence[SinkRecord], /) -> None:
        """Record on disk that the dead letters of these records have been processed."""
        done_ids = [self._ids[id(record)] for record in records]
        await to_thread(self._file.record_done, self._journal, done_ids)

    async def release(self, _: Sequence[SinkRecord], /) -> None:
        """Do nothing, because released dead letters stay in the file."""

    async def extend(self, _: Sequence[SinkRecord], /) -> None:
        """Do nothing, because dead letters have no lease that could expire."""

    async def seek(self, _: Partition, __: Offset, /) -> None:
        """Raise an error, because dead letters have no positions.

        Raises:
            UnsupportedByVendor: always.
        """
        raise UnsupportedByVendor(
            "A source of dead letters cannot seek, because dead letters have no positions.",
            remedy="Pass the names of the dead letters to replay.",
        )

    async def close(self) -> None:
        """Remove the processed letters, and allow other sources to replay the remaining letters."""
        self._is_open = False
        await to_thread(self._replay.close)
