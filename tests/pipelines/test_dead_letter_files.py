"""Dead letters in a JSON Lines file."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import resource
import stat
import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from moorage import (
    DeadLetter,
    InvalidData,
    LocalFailure,
    Pipeline,
    PollLimits,
    SinkRecord,
    StorageUnavailable,
    UnsupportedByVendor,
)
from moorage.adapters.dead_letters.json_lines import DeadLetterFile, DeadLetterSource
from moorage.testing import MemorySink, MemorySource, make_records
from tests.pipelines.pipeline_waiting import until

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

AT = datetime(2030, 1, 31, 12, tzinfo=UTC)
RECORD = SinkRecord(
    b"\x00\xff\n",
    key=b"\xfe",
    attributes=[("trace", "ü"), ("raw", b"\x80")],
    content_type="application/x",
    id="7",
    offset="1-2",
    published_at=AT,
    schema="order",
    topic="orders",
    partition=3,
    producer="shop",
    deliveries=2,
)


def letter(record: SinkRecord = RECORD) -> DeadLetter:
    """Return a dead letter of a record."""
    return DeadLetter(
        pipeline="orders",
        record=record,
        error="InvalidData",
        message="no\ntotal",
        attempts=4,
        at=AT,
    )


async def test_letters_are_kept_completely(tmp_path: Path) -> None:
    """A stored dead letter has all data of its record; only the file's owner may read it."""
    file = DeadLetterFile(tmp_path / "dead.jsonl")
    assert [] == file.letters()
    record = SinkRecord(b"{}", topic="orders", offset=5)
    await file.add(letter())
    await file.add(letter(record))
    assert [letter(), letter(record)] == [entry for _, entry in file.letters()]
    assert 0o600 == stat.S_IMODE((tmp_path / "dead.jsonl").stat().st_mode)
    assert "dead.jsonl" in repr(file)


async def test_torn_line_harms_no_other(tmp_path: Path) -> None:
    """A line cut off by a crash is skipped, and the next dead letter begins on a new line."""
    path = tmp_path / "dead.jsonl"
    file = DeadLetterFile(path)
    await file.add(letter())
    content = path.read_bytes()
    for size in range(1, len(content)):
        path.write_bytes(content + content[:size])
        await file.add(letter())
        # The last truncation leaves out only the line break.
        assert (3 if size == len(content) - 1 else 2) == len(file.letters())
    path.write_bytes(b'[]\n{"payload": 1}\n' + content.replace(b'"orders"', b"1", 1) + content)
    assert 2 == len(file.letters())


@contextmanager
def limited_files(size: int) -> Generator[None]:
    """Forbid files of this process to grow beyond a size, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_letter_that_does_not_fit_leaves_no_part(tmp_path: Path) -> None:
    """A letter that a full disk cannot take leaves the file as it was; later, writing goes on."""
    path = tmp_path / "dead.jsonl"
    file = DeadLetterFile(path)
    await file.add(letter())
    content = path.read_bytes()
    with limited_files(len(content) + 100):
        for _ in range(2):
            with pytest.raises(StorageUnavailable):
                await file.add(letter())
            assert content == path.read_bytes()
    await file.add(letter())
    assert 2 == len(file.letters())
    assert 2 == len(path.read_bytes().splitlines())


async def test_torn_line_takes_no_space(tmp_path: Path) -> None:
    """A line cut off by a crash is gone after the next letter, and after letters are dropped."""
    path = tmp_path / "dead.jsonl"
    file = DeadLetterFile(path)
    await file.add(letter())
    with path.open("ab") as torn_file:
        torn_file.write(path.read_bytes()[:200])
    await file.add(letter())
    assert 2 == len(path.read_bytes().splitlines())
    with path.open("ab") as torn_file:
        torn_file.write(path.read_bytes()[:200])
    file.drop([name for name, _ in file.letters()])
    assert b"" == path.read_bytes()


async def test_torn_journal_repeats_no_letter(tmp_path: Path) -> None:
    """If a crash cut off the last line of a journal, the next replay still removes its letters."""
    file = DeadLetterFile(tmp_path / "dead.jsonl")
    await file.add(letter(SinkRecord(b"{}", topic="orders", offset=5)))
    (tmp_path / "dead.jsonl.replay").write_bytes(b"0a1b")
    sink = MemorySink()
    await Pipeline("orders", DeadLetterSource(file), sink, dead_letters=file).run()
    assert (1, []) == (len(sink.values), file.letters())


async def test_dropped_letters_are_gone(tmp_path: Path) -> None:
    """If dead letters are dropped, all other letters and lines of the file stay in order."""
    path = tmp_path / "dead.jsonl"
    file = DeadLetterFile(path)
    path.write_bytes(b"note\n")
    for _ in range(3):
        await file.add(letter())
    names = [name for name, _ in file.letters()]
    file.drop([names[1]])
    assert [names[0], names[2]] == [name for name, _ in file.letters()]
    assert path.read_bytes().startswith(b"note\n")


@pytest.mark.parametrize(
    "owner",
    [
        pytest.param(-1, id="the same owner"),
        pytest.param(
            65_532,
            id="another owner",
            marks=pytest.mark.skipif(os.geteuid() != 0, reason="only root has files of others"),
        ),
    ],
)
async def test_worker_may_still_write_after_a_drop(tmp_path: Path, owner: int) -> None:
    """Whoever drops a dead letter, the file keeps its owner, its group and its permissions."""
    path = tmp_path / "dead.jsonl"
    file = DeadLetterFile(path)
    await file.add(letter())
    os.chown(path, owner, owner)
    path.chmod(0o660)
    before = path.stat()
    file.drop([name for name, _ in file.letters()])
    after = path.stat()

    assert before.st_ino != after.st_ino
    assert (before.st_uid, before.st_gid, before.st_mode) == (
        after.st_uid,
        after.st_gid,
        after.st_mode,
    )


@pytest.mark.parametrize("is_replaced", [True, False])
async def test_letter_is_added_to_the_file_that_replaced_another(
    tmp_path: Path, *, is_replaced: bool
) -> None:
    """A letter that waited for a lock is written to the file that replaced the locked file."""
    path = tmp_path / "dead.jsonl"
    file = DeadLetterFile(path)
    path.write_bytes(b"old\n")
    waiting = tmp_path / "new.jsonl"
    waiting.write_bytes(b"new\n")
    with path.open("rb") as locked_file:
        fcntl.flock(locked_file, fcntl.LOCK_EX)
        task = asyncio.create_task(file.add(letter()))
        await until(lambda: _has_waiter(path))
        if is_replaced:
            waiting.replace(path)
        else:
            path.unlink()
    await task
    assert 1 == len(file.letters())
    assert path.read_bytes().startswith(b"new\n") == is_replaced


def _has_waiter(path: Path) -> bool:
    """Return whether a process waits for the lock of a file."""
    number = str(path.stat().st_ino)
    with open("/proc/locks", encoding="ascii") as locks:  # noqa: PTH123 - a file of the kernel
        return any("->" in line and f":{number} " in line for line in locks)


def _names_in(folder: Path) -> list[str]:
    """Return the names of a folder's files."""
    return [path.name for path in folder.iterdir()]


async def test_file_that_cannot_be_used_is_an_error(tmp_path: Path) -> None:
    """The error for an unusable file names it, and the pipeline waits until it is usable."""
    file = DeadLetterFile(tmp_path / "missing" / "dead.jsonl")
    with pytest.raises(StorageUnavailable, match="could not be used"):
        await file.add(letter())
    with pytest.raises(StorageUnavailable):
        DeadLetterFile(tmp_path).letters()


async def test_letters_are_replayed(tmp_path: Path) -> None:
    """Replayed dead letters that succeed are removed; those that fail again become new letters."""
    file = DeadLetterFile(tmp_path / "dead.jsonl")
    broken = MemorySink(lambda _: InvalidData("broken"))
    source = MemorySource(make_records(4, keys=2))
    await Pipeline("orders", source, broken, dead_letters=file).run()
    before = [name for name, _ in file.letters()]

    refusing_sink = MemorySink(
        lambda record: InvalidData("odd") if record.json()["number"] % 2 else None
    )
    replayed = DeadLetterSource(file, before[:3])
    report = await Pipeline("orders", replayed, refusing_sink, dead_letters=file).run()
    assert (2, 1) == (report.statistics.processed, report.statistics.dead_letters)
    after = file.letters()
    assert [before[3]] == [name for name, _ in after if name in before]
    assert ["broken", "odd"] == [entry.message for _, entry in after]

    sink = MemorySink()
    await Pipeline("orders", DeadLetterSource(file), sink, dead_letters=file).run()
    assert [] == file.letters()
    assert 2 == len(sink.values)


async def test_second_replay_is_refused_while_another_one_runs(tmp_path: Path) -> None:
    """During a replay of dead letters, a second replay is refused; later it finds the rest."""
    file = DeadLetterFile(tmp_path / "dead.jsonl")
    for record in make_records(2, keys=1):
        await file.add(letter(record))
    first_id = file.letters()[0][0]
    sink = MemorySink()

    async def ignore_revoked(_: object) -> None:
        """Do nothing: this test revokes no records."""

    first = DeadLetterSource(file, [first_id])
    await first.open(ignore_revoked)
    with pytest.raises(LocalFailure, match="is replaying dead letters"):
        await Pipeline("orders", DeadLetterSource(file), sink).run()
    await first.commit(await first.poll(PollLimits(1, 1, 0.0)) or [])
    await first.close()

    await Pipeline("orders", DeadLetterSource(file), sink).run()
    assert (1, []) == (len(sink.values), file.letters())
    assert ["dead.jsonl"] == _names_in(tmp_path)


async def test_letters_in_flight_can_be_committed_after_the_source_is_opened_again(
    tmp_path: Path,
) -> None:
    """If a source is opened again, letters in flight stay its own, and no letter is repeated."""
    file = DeadLetterFile(tmp_path / "dead.jsonl")
    for record in make_records(3, keys=1):
        await file.add(letter(record))

    async def ignore_revoked(_: object) -> None:
        """Do nothing: this test revokes no records."""

    source = DeadLetterSource(file)
    await source.open(ignore_revoked)
    limits = PollLimits(1, 1, 0.0)
    records = [*(await source.poll(limits) or [])]
    await source.open(ignore_revoked)
    with pytest.raises(LocalFailure, match="is replaying dead letters"):
        file.drop([])
    await source.commit(records)
    while more_records := await source.poll(limits):
        records += more_records
    await source.close()

    assert 3 == len({record.payload for record in records}) == len(records)
    assert 2 == len(file.letters())


async def test_commit_does_not_rewrite_the_file(tmp_path: Path) -> None:
    """However many letters are replayed, the file is rewritten once, at the end of the replay."""
    path = tmp_path / "dead.jsonl"
    file = DeadLetterFile(path)
    for record in make_records(5, keys=1):
        await file.add(letter(record))
    before = path.stat()
    source = DeadLetterSource(file)

    async def ignore_revoked(_: object) -> None:
        """Do nothing: this test revokes no records."""

    await source.open(ignore_revoked)
    for done in range(1, 5):
        await source.commit(await source.poll(PollLimits(1, 1, 0.0)) or [])
        assert 5 - done == len(file.letters())
        assert (before.st_ino, before.st_size) == (path.stat().st_ino, path.stat().st_size)
    await source.close()
    assert before.st_ino != path.stat().st_ino
    assert 1 == len(path.read_bytes().splitlines())
    assert ["dead.jsonl"] == _names_in(tmp_path)


async def test_letter_is_not_dropped_during_a_replay(tmp_path: Path) -> None:
    """Dropping a letter that a replay may have read is refused until the replay has ended."""
    file = DeadLetterFile(tmp_path / "dead.jsonl")
    await file.add(letter())
    names = [name for name, _ in file.letters()]
    with file.replaying():
        with pytest.raises(LocalFailure, match="is replaying dead letters"):
            file.drop(names)
        assert 1 == len(file.letters())
    file.drop(names)
    assert [] == file.letters()


async def test_letter_with_a_torn_journal_line_is_replayed(tmp_path: Path) -> None:
    """If a crash cut off a letter's id in the journal, the letter is replayed again."""
    path = tmp_path / "dead.jsonl"
    file = DeadLetterFile(path)
    for _ in range(2):
        await file.add(letter())
    first_id, second_id = (name for name, _ in file.letters())
    (tmp_path / "dead.jsonl.replay").write_text(f"{first_id}\n{second_id}")
    assert [second_id] == [name for name, _ in file.letters()]
    with file.replaying():
        assert 1 == len(path.read_bytes().splitlines())
    assert [second_id] == [name for name, _ in file.letters()]


@pytest.mark.untraced
def test_replay_may_be_killed_at_any_line(tmp_path: Path) -> None:
    """Wherever a replay is killed, no letter is lost, and only the last one is processed again."""
    program = [sys.executable, "-m", "tests.pipelines.killed_replays", str(tmp_path / "letters")]
    output = subprocess.run(program, capture_output=True, text=True, check=True).stdout
    runs = [json.loads(line) for line in output.splitlines()]
    assert {0, 1, 2, 3} == {len(run["left"]) for run in runs if run["killed"]}
    for run in runs:
        before, left, after = run["before"], run["left"], run["after"]
        assert before == list(range(len(before)))
        assert left in (list(range(len(before), 3)), list(range(max(0, len(before) - 1), 3)))
        assert before + left == after
        assert (["dead.jsonl", "processed"], 0) == (run["files"], run["remaining"])


async def test_source_of_letters_has_no_positions(tmp_path: Path) -> None:
    """A source of dead letters cannot seek, and keeps each letter until it is processed."""
    file = DeadLetterFile(tmp_path / "dead.jsonl")
    await file.add(letter())
    source = DeadLetterSource(file)

    async def ignore_revoked(_: object) -> None:
        """Do nothing: this test revokes no records."""

    await source.open(ignore_revoked)
    records = await source.poll(PollLimits(1, 1, 0.0))
    assert [RECORD] == records
    await source.extend([RECORD])
    await source.release([RECORD])
    assert 1 == len(file.letters())
    with pytest.raises(UnsupportedByVendor):
        await source.seek(("orders", None), 1)
