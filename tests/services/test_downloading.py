"""Interrupted downloads: resuming them, and giving up."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage import ConnectionFailed, Ref, VendorFailed, VendorRejected
from moorage.contracts.storage import ByteRange, Checksum, GetOptions, ObjectInfo, OpenedObject
from moorage.domain.http.requests import Headers
from moorage.services.transfers.downloading import DownloadSession
from tests.support.virtual_tasks import run_plain

if TYPE_CHECKING:
    from collections.abc import Callable

DATA = bytes(range(100))
INFO = ObjectInfo(
    ref=Ref("some", "main", "a"),
    key="a",
    size=100,
    etag="e1",
    checksums=(Checksum.of("md5", DATA),),
)
CUT_LINE = ConnectionFailed("The line was cut.")
WIRE: Any = "wire"


class ScriptedBody:
    """A response body that returns or raises the given items in turn, then ends."""

    status = 200
    headers = Headers()

    def __init__(self, *pieces: bytes | Exception) -> None:
        self._pieces = deque(pieces)
        self.settled = False

    async def read(self) -> bytes:
        """Return the next piece of the body, or raise the next error."""
        piece = self._pieces.popleft() if self._pieces else b""
        if isinstance(piece, Exception):
            raise piece
        return piece

    def settle(self) -> None:
        """Close the body."""
        self.settled = True


class Vendor:
    """A fake vendor that returns the given bodies in turn, and records the requests for them."""

    def __init__(self, *answers: OpenedObject | Exception) -> None:
        self._answers = deque(answers)
        self.asked: list[tuple[Any, str, GetOptions]] = []

    async def open(self, wire: Any, key: str, options: GetOptions) -> OpenedObject:
        """Return the next body, or raise the next error."""
        self.asked.append((wire, key, options))
        answer = self._answers.popleft()
        if isinstance(answer, Exception):
            raise answer
        return answer


def some_bytes(
    start: int, *pieces: bytes | Exception, length: int | None = None, info: ObjectInfo = INFO
) -> OpenedObject:
    """Return the object's bytes from this offset, by default to its end."""
    return OpenedObject(
        info=info,
        start=start,
        length=100 - start if length is None else length,
        arriving=ScriptedBody(*pieces),
    )


def download_of(
    first: OpenedObject,
    *more: OpenedObject | Exception,
    options: GetOptions | None = None,
    resumes: bool = True,
) -> tuple[DownloadSession, Vendor]:
    """Return a download of one body that, if interrupted, is resumed with the other bodies."""
    vendor = Vendor(*more)
    value: Any = vendor
    return DownloadSession(value, WIRE, options or GetOptions(), first, resumes=resumes), vendor


def read_all(download: DownloadSession) -> bytes:
    """Read the download to its end and return all bytes."""
    whole_bytes = b""
    while piece := run_plain(download.read()):
        whole_bytes += piece
    return whole_bytes


def test_broken_download_is_resumed() -> None:
    """A broken download resumes at its offset, for the same version of the object."""
    other_info = attrs.evolve(INFO, content_type="x/y")
    first = some_bytes(10, DATA[10:30], CUT_LINE, length=50)
    second = some_bytes(30, DATA[30:35], length=30, info=other_info)  # ends early, without an error
    third = some_bytes(35, DATA[35:60], length=25, info=other_info)
    download, vendor = download_of(first, second, third, options=GetOptions(version="v1"))

    assert DATA[10:60] == read_all(download)
    targets = [
        GetOptions(range=ByteRange(30, 30), if_match="e1", version="v1"),
        GetOptions(range=ByteRange(35, 25), if_match="e1", version="v1"),
    ]
    assert [(WIRE, "a", target) for target in targets] == vendor.asked
    assert [True, True, True] == [
        item.arriving.settled  # type: ignore[attr-defined]  # an attribute of the fake
        for item in (first, second, third)
    ]
    assert (INFO, 10, 50, 50) == (download.info, download.start, download.length, download.done)


@pytest.mark.parametrize("resumes", [True, False])
def test_connection_may_break_after_the_last_byte(*, resumes: bool) -> None:
    """A download whose connection breaks after the last byte is complete, and is verified."""
    download, _ = download_of(some_bytes(0, DATA, CUT_LINE), resumes=resumes)
    assert DATA == read_all(download)

    altered_download, _ = download_of(some_bytes(0, DATA[::-1], CUT_LINE), resumes=resumes)
    with pytest.raises(VendorFailed, match="checksum"):
        read_all(altered_download)


@pytest.mark.parametrize("came", [0, 1])
def test_download_gives_up_after_three_empty_retries(came: int) -> None:
    """A download fails after three retries in a row that bring no byte."""
    empty_answers = [
        some_bytes(came, CUT_LINE),
        some_bytes(came, CUT_LINE),
        some_bytes(came, CUT_LINE, DATA[came:]),
    ]
    download, vendor = download_of(some_bytes(0, *[DATA[:came]] * came, CUT_LINE), *empty_answers)

    with pytest.raises(ConnectionFailed, match="cut"):
        read_all(download)
    assert 3 == len(vendor.asked)
    assert b"" == run_plain(download.read())


def test_progress_resets_the_retries() -> None:
    """A download is resumed any number of times as long as bytes arrive."""
    bodies = [some_bytes(start, DATA[start : start + 1], CUT_LINE) for start in range(9)]
    download, vendor = download_of(*bodies, some_bytes(9, DATA[9:]))

    assert DATA == read_all(download)
    assert 9 == len(vendor.asked)


@pytest.mark.parametrize(
    "changes, resumes",
    [({}, False), ({"info": attrs.evolve(INFO, etag=None)}, True), ({"length": None}, True)],
    ids=["no ranges", "no etag", "no length"],
)
def test_unresumable_download_fails(changes: dict[str, Any], *, resumes: bool) -> None:
    """A broken download is not resumed if the object may have changed since its start."""
    first = attrs.evolve(some_bytes(0, DATA[:1], CUT_LINE, DATA), **changes)
    download, vendor = download_of(first, resumes=resumes)

    assert DATA[:1] == run_plain(download.read())
    with pytest.raises(ConnectionFailed):
        run_plain(download.read())
    assert [] == vendor.asked
    assert b"" == run_plain(download.read())


def test_vendor_refusal_ends_download_if_object_has_changed() -> None:
    """If the object has changed, the vendor's error response ends the download."""
    refused_error = VendorRejected("It has changed.", status=412)
    download, vendor = download_of(some_bytes(0, DATA[:1], CUT_LINE, DATA), refused_error)

    with pytest.raises(VendorRejected) as excinfo:
        read_all(download)
    assert refused_error is excinfo.value
    assert b"" == run_plain(download.read())
    assert 1 == len(vendor.asked)


def test_wrong_range_is_not_used() -> None:
    """A response with another range than requested is closed and not used."""
    other_bytes = some_bytes(0, DATA)
    download, _ = download_of(some_bytes(0, DATA[:1], CUT_LINE), other_bytes)

    with pytest.raises(VendorFailed, match="different byte range"):
        read_all(download)
    assert other_bytes.arriving.settled  # type: ignore[attr-defined]  # an attribute of the fake
    assert b"" == run_plain(download.read())


@pytest.mark.parametrize(
    "opened, result",
    [
        (lambda: some_bytes(0, DATA, b"!"), "The vendor sent more bytes than the"),
        (lambda: some_bytes(0, DATA[::-1]), "The checksum of the downloaded bytes differs"),
    ],
    ids=["more", "others"],
)
def test_excess_or_foreign_bytes_fail(opened: Callable[[], OpenedObject], result: str) -> None:
    """Too many bytes or a wrong checksum raise an error that says to discard the data."""
    first = opened()
    download, vendor = download_of(first)

    with pytest.raises(VendorFailed, match=result) as excinfo:
        read_all(download)
    assert "Discard the bytes read so far, and download the object again." == excinfo.value.remedy
    assert ([], b"") == (vendor.asked, run_plain(download.read()))
    assert first.arriving.settled  # type: ignore[attr-defined]  # an attribute of the fake


def test_short_download_is_a_broken_connection() -> None:
    """A download that ends early raises an error instead of returning too few bytes."""
    download, _ = download_of(some_bytes(0, DATA[:1]), resumes=False)

    with pytest.raises(ConnectionFailed, match="connection broke"):
        read_all(download)
