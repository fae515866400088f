"""Parallel uploads of an object's parts: each part is sent once, and none after the end."""

from __future__ import annotations

import mmap
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from moorage import DeadlineExceeded, InvalidData
from moorage.contracts.checksum import Checksum
from moorage.contracts.ref import Ref
from moorage.contracts.storage import PART_SIZE, Part, Upload
from moorage.services.transfers.plan import UploadPlan
from moorage.services.transfers.uploading import Pieces as Source
from moorage.services.transfers.uploading import UploadSession
from tests.support.virtual_tasks import run_plain

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from pathlib import Path

UPLOAD = Upload(ref=Ref("some", "main", "a", {"upload": "u1"}), key="a", id="u1")


def part(number: int, data: bytes) -> Part:
    """Return a part as the vendor reports it."""
    return Part(number=number, size=len(data), etag=Checksum.of("md5", data).value)


class UploadCore:
    """A fake core in which one worker continues as soon as another releases the read lock."""

    def __init__(self, *, grants: bool = True) -> None:
        self.turns: list[tuple[str, dict[str, Any]]] = []
        self.at_once = 0
        self._grants = grants
        self._holder: object = None
        self._waiting: list[Callable[[], Coroutine[Any, Any, None]]] = []

    def new_id(self) -> str:
        """Return a fixed id."""
        return "id-1"

    async def settle(self, value: Any) -> Any:
        """Return the value unchanged."""
        return value

    async def run_all(
        self, steps: Sequence[Callable[[], Coroutine[Any, Any, None]]], *, at_once: int
    ) -> None:
        """Run all workers."""
        self.at_once = at_once
        self._waiting = list(steps)
        while self._waiting:
            await self._waiting.pop()()

    async def acquire(self, name: str, holder: object, /, **bounds: Any) -> bool:
        """Acquire the read lock, if the test allows that."""
        assert self._holder is None
        self.turns.append((name, bounds))
        self._holder = holder
        return self._grants

    def release(self, name: str, holder: object, /) -> None:
        """Release the read lock, and run the next worker."""
        assert (self.turns[-1][0], self._holder) == (name, holder)
        assert holder is not None
        self._holder = None
        if self._waiting:
            run_plain(self._waiting.pop()())


class ScriptedSource:
    """A source that returns or raises the given items in turn, and then returns b""."""

    def __init__(self, *pieces: bytes | Exception) -> None:
        self._pieces = pieces
        self.asked = 0

    async def next(self) -> bytes:
        """Return the next piece."""
        self.asked += 1
        piece = self._pieces[self.asked - 1] if self.asked <= len(self._pieces) else b""
        if isinstance(piece, Exception):
            raise piece
        return piece


class Vendor:
    """A fake vendor that records parts, or raises the prepared errors first."""

    def __init__(self) -> None:
        self.sent: list[tuple[Any, ...]] = []
        self.errors: list[Exception] = []

    async def put_part(self, wire: Any, upload: Upload, number: int, data: bytes) -> Part:
        """Record one part, or raise the next error."""
        if self.errors:
            raise self.errors.pop(0)
        self.sent.append((wire, upload, number, data))
        return part(number, data)


def upload_function(
    pieces: ScriptedSource, *existing: Part, grants: bool = True
) -> tuple[Callable[[], list[Part]], Vendor, UploadCore]:
    """Return a function that uploads these chunks, three at a time, with its vendor and core."""
    vendor, core = Vendor(), UploadCore(grants=grants)
    value: Any = core
    untyped_vendor: Any = vendor
    wire: Any = "wire"
    sending = UploadSession(value, untyped_vendor, wire, UPLOAD, pieces, uploaded_parts=existing)  # type: ignore[arg-type]  # as pieces are
    return lambda: run_plain(sending.all(3)), vendor, core


def test_every_part_is_sent_once_and_listed_in_order() -> None:
    """Workers take turns in reading parts; each part is sent once, and listed in order."""
    pieces = ScriptedSource(b"aa", b"bb", b"cc", b"d")
    send, vendor, core = upload_function(pieces)

    assert [part(1, b"aa"), part(2, b"bb"), part(3, b"cc"), part(4, b"d")] == send()
    assert [
        ("wire", UPLOAD, 1, b"aa"),
        ("wire", UPLOAD, 2, b"bb"),
        ("wire", UPLOAD, 3, b"cc"),
        ("wire", UPLOAD, 4, b"d"),
    ] == sorted(vendor.sent)
    assert (5, 3) == (pieces.asked, core.at_once)


def test_only_one_worker_of_upload_reads_source_at_time() -> None:
    """Only one worker of an upload reads the source at a time; the others wait for up to a day."""
    send, _, core = upload_function(ScriptedSource(b"aa"))
    send()

    bounds = {"slots": 1, "queue": 1_000_000, "timeout": 86_400.0}
    assert [("upload id-1", bounds)] * len(core.turns) == core.turns
    late_read, vendor, _ = upload_function(ScriptedSource(b"aa"), grants=False)
    with pytest.raises(DeadlineExceeded, match="no bytes for a day"):
        late_read()
    assert [] == vendor.sent


def test_part_that_is_stored_with_same_checksum_is_not_sent_again() -> None:
    """A stored part with the right checksum is not sent again; other parts are replaced."""
    send, vendor, _ = upload_function(
        ScriptedSource(b"aa", b"bb", b"c"), part(1, b"aa"), part(2, b"xx")
    )

    assert [part(1, b"aa"), part(2, b"bb"), part(3, b"c")] == send()
    assert [(2, b"bb"), (3, b"c")] == sorted(notice[2:] for notice in vendor.sent)


def test_failed_source_is_not_read_again() -> None:
    """After a failed read the source is not read again, and every worker raises that error."""
    pieces = ScriptedSource(b"aa", RuntimeError("the source broke"), b"cc")
    send, _, _ = upload_function(pieces)

    with pytest.raises(RuntimeError, match="the source broke"):
        send()
    assert 2 == pieces.asked


def test_first_of_several_failures_is_raised() -> None:
    """After a failed part no more parts are read, and the part's error is raised."""
    pieces = ScriptedSource(b"aa", b"bb", b"cc", b"dd", b"ee")
    send, vendor, _ = upload_function(pieces)
    vendor.errors = [ValueError("first"), ValueError("second"), ValueError("third")]

    with pytest.raises(ValueError, match="first"):
        send()
    assert 3 == pieces.asked


def test_chunk_of_a_parts_size_is_not_copied() -> None:
    """Chunks that are exactly as long as a part are sent without being copied."""
    core: Any = UploadCore()
    pieces = [b"aaaa", b"bbbb", b"c", b"d"]
    source = Source(core, pieces, 4, length=10, checksum=None)

    assert pieces[0] is run_plain(source.next())
    assert pieces[1] is run_plain(source.next())
    assert b"cd" == run_plain(source.next())
    assert b"" == run_plain(source.next())


@pytest.mark.parametrize(
    "view",
    [memoryview(b"aXbXc")[::2], memoryview(b"cba")[::-1], memoryview(b"abc").cast("B", (3, 1))],
    ids=["step", "backwards", "rows"],
)
def test_any_view_of_bytes_can_be_uploaded(view: memoryview) -> None:
    """A view of bytes in memory is read in its own order, also if it skips bytes."""
    core: Any = UploadCore()
    pieces = Source(core, view, 2, length=3, checksum=None)

    assert [b"ab", b"c", b""] == [run_plain(pieces.next()) for _ in range(3)]


def test_source_is_not_read_after_its_end() -> None:
    """A source that could return more after its end, like a terminal, is not read again."""
    core: Any = UploadCore()
    pieces = iter([b"aa", b"b", b"c", b"d", b"", b"ee"])

    targets: list[int] = []

    class Terminal:
        def read(self, size: int) -> bytes:
            targets.append(size)
            return next(pieces)

    source = Source(core, Terminal(), 4, length=5, checksum=None)

    assert [b"aabc", b"d", b""] == [run_plain(source.next()) for _ in range(3)]
    assert b"ee" == next(pieces)
    assert [4, 2, 1, 4, 3] == targets


def test_checksum_is_verified_at_the_end() -> None:
    """If the source's checksum differs from the expected one, the upload fails at its end."""
    core: Any = UploadCore()
    for value, is_good in ((b"abc", True), (b"abd", False)):
        source = Source(core, value, 2, length=3, checksum=Checksum.of("md5", b"abc"))
        assert value[:2] == run_plain(source.next())
        if is_good:
            assert b"c" == run_plain(source.next())
        else:
            with pytest.raises(
                InvalidData, match=("The source's checksum differs from the `checksum`")
            ):
                run_plain(source.next())


def test_part_size_grows_with_the_length() -> None:
    """For a known length the part size grows if needed; an explicit part size is kept."""
    options: Any = SimpleNamespace(checksum=None)
    large_plan = UploadPlan(list, options, 100 * 1024**3, None, 1)
    target = UploadPlan(list, options, 100 * 1024**3, 5, 1)

    assert [2 * PART_SIZE, 3 * PART_SIZE] == [large_plan.size(7), large_plan.size(3 * PART_SIZE)]
    assert 5 == target.size(7)


def test_parts_of_large_data_are_made_large_enough(tmp_path: Path) -> None:
    """Data in memory has a known size, so its parts are made large enough."""
    options: Any = SimpleNamespace(checksum=None)
    with (tmp_path / "sparse").open("w+b") as file:
        file.truncate(100 * 1024**3)
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped_file:
            view = memoryview(mapped_file)
            plans = [UploadPlan(item, options, None, None, 1) for item in (b"a", view)]
            view.release()
            assert [PART_SIZE, 2 * PART_SIZE] == [plan.size() for plan in plans]
