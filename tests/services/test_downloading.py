"""What a download does where it breaks off: what it asks for then, and when it gives up."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage import ConnectionFailed, Ref, VendorFailed, VendorRejected
from moorage.contracts.storage import ByteRange, Checksum, GetOptions, ObjectInfo, Opened
from moorage.domain.http.requests import Headers
from moorage.services.transfers.downloading import Downloading
from tests.support.modes import run_plain

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
CUT = ConnectionFailed("The line was cut.")
WIRE: Any = "wire"


class Bytes:
    """Gives these pieces in turn, or fails where one is an error; then it is at its end."""

    status = 200
    headers = Headers()

    def __init__(self, *pieces: bytes | Exception) -> None:
        self._pieces = deque(pieces)
        self.settled = False

    async def read(self) -> bytes:
        """The next."""
        piece = self._pieces.popleft() if self._pieces else b""
        if isinstance(piece, Exception):
            raise piece
        return piece

    def settle(self) -> None:
        """Leave it."""
        self.settled = True


class Vendor:
    """Opens what it is told to in turn, and writes down what it was asked for."""

    def __init__(self, *answers: Opened | Exception) -> None:
        self._answers = deque(answers)
        self.asked: list[tuple[Any, str, GetOptions]] = []

    async def open(self, wire: Any, key: str, options: GetOptions) -> Opened:
        """The next."""
        self.asked.append((wire, key, options))
        answer = self._answers.popleft()
        if isinstance(answer, Exception):
            raise answer
        return answer


def some(
    start: int, *pieces: bytes | Exception, length: int | None = None, info: ObjectInfo = INFO
) -> Opened:
    """Bytes of the object from here on, all that are left of it by default."""
    return Opened(
        info=info,
        start=start,
        length=100 - start if length is None else length,
        arriving=Bytes(*pieces),
    )


def coming(
    first: Opened,
    *more: Opened | Exception,
    options: GetOptions | None = None,
    resumes: bool = True,
) -> tuple[Downloading, Vendor]:
    """A download that begins so, and what comes where it is asked for the rest."""
    vendor = Vendor(*more)
    value: Any = vendor
    return Downloading(value, WIRE, options or GetOptions(), first, resumes=resumes), vendor


def read_all(download: Downloading) -> bytes:
    """All that comes."""
    whole = b""
    while piece := run_plain(download.read()):
        whole += piece
    return whole


def test_the_rest_is_asked_for() -> None:
    """What broke off goes on where it was, of the same bytes of the same version of the object."""
    other = attrs.evolve(INFO, content_type="x/y")
    first = some(10, DATA[10:30], CUT, length=50)
    second = some(30, DATA[30:35], length=30, info=other)  # ends early, without a word
    third = some(35, DATA[35:60], length=25, info=other)
    download, vendor = coming(first, second, third, options=GetOptions(version="v1"))

    assert DATA[10:60] == read_all(download)
    targets = [
        GetOptions(range=ByteRange(30, 30), if_match="e1", version="v1"),
        GetOptions(range=ByteRange(35, 25), if_match="e1", version="v1"),
    ]
    assert [(WIRE, "a", one) for one in targets] == vendor.asked
    assert [True, True, True] == [
        one.arriving.settled  # type: ignore[attr-defined]  # ours
        for one in (first, second, third)
    ]
    assert (INFO, 10, 50, 50) == (download.info, download.start, download.length, download.done)


@pytest.mark.parametrize("came", [0, 1])
def test_three_times_in_a_row_it_is_asked_for_again(came: int) -> None:
    """Where not a byte comes, three more times are enough; then nothing comes any more."""
    nothing = [some(came, CUT), some(came, CUT), some(came, CUT, DATA[came:])]
    download, vendor = coming(some(0, *[DATA[:came]] * came, CUT), *nothing)

    with pytest.raises(ConnectionFailed, match="cut"):
        read_all(download)
    assert 3 == len(vendor.asked)
    assert b"" == run_plain(download.read())


def test_with_every_byte_it_begins_anew() -> None:
    """However often it breaks off, it goes on as long as something comes."""
    drops = [some(at, DATA[at : at + 1], CUT) for at in range(9)]
    download, vendor = coming(*drops, some(9, DATA[9:]))

    assert DATA == read_all(download)
    assert 9 == len(vendor.asked)


@pytest.mark.parametrize(
    "changes, resumes",
    [({}, False), ({"info": attrs.evolve(INFO, etag=None)}, True), ({"length": None}, True)],
    ids=["no ranges", "no etag", "no length"],
)
def test_what_cannot_go_on_fails(changes: dict[str, Any], *, resumes: bool) -> None:
    """Nobody is asked for the rest where it may be of another object, or nobody knows it."""
    first = attrs.evolve(some(0, DATA[:1], CUT, DATA), **changes)
    download, vendor = coming(first, resumes=resumes)

    assert DATA[:1] == run_plain(download.read())
    with pytest.raises(ConnectionFailed):
        run_plain(download.read())
    assert [] == vendor.asked
    assert b"" == run_plain(download.read())


def test_the_rest_that_is_refused() -> None:
    """Where the object is another by now, what the vendor says of it is the end."""
    refused = VendorRejected("It has changed.", status=412)
    download, vendor = coming(some(0, DATA[:1], CUT, DATA), refused)

    with pytest.raises(VendorRejected) as caught:
        read_all(download)
    assert refused is caught.value
    assert b"" == run_plain(download.read())
    assert 1 == len(vendor.asked)


def test_other_bytes_than_the_rest() -> None:
    """Bytes from another place are not taken for the rest, and are let go of."""
    others = some(0, DATA)
    download, _ = coming(some(0, DATA[:1], CUT), others)

    with pytest.raises(VendorFailed, match="different range"):
        read_all(download)
    assert others.arriving.settled  # type: ignore[attr-defined]  # ours
    assert b"" == run_plain(download.read())


@pytest.mark.parametrize(
    "opened, result",
    [
        (lambda: some(0, DATA, b"!"), "more bytes than it had announced"),
        (lambda: some(0, DATA[::-1]), "do not have the checksum"),
    ],
    ids=["more", "others"],
)
def test_what_came_is_not_to_be_kept(opened: Callable[[], Opened], result: str) -> None:
    """More bytes than there are, or others, are told, and what to do with them."""
    first = opened()
    download, vendor = coming(first)

    with pytest.raises(VendorFailed, match=result) as caught:
        read_all(download)
    assert "Discard the bytes that were read, and download again." == caught.value.remedy
    assert ([], b"") == (vendor.asked, run_plain(download.read()))
    assert first.arriving.settled  # type: ignore[attr-defined]  # ours


def test_what_ends_early_broke_off() -> None:
    """Fewer bytes than there are to be are an interruption, and never the end."""
    download, _ = coming(some(0, DATA[:1]), resumes=False)

    with pytest.raises(ConnectionFailed, match="connection broke"):
        read_all(download)
