"""Storage operations: resumed uploads, deletions and signed URLs."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage.contracts.signed import PostOptions, UrlOptions
from moorage.contracts.storage import (
    ByteRange,
    GetOptions,
    ObjectInfo,
    OpenedObject,
    StorageCapability,
)
from moorage.domain.values.result import Result
from moorage.errors import ConnectionFailed, InvalidData
from moorage.runtime.flows import run_now
from moorage.services.contracts.storage import StorageFlows
from tests.contracts.recording_dispatcher import (
    REF,
    START,
    STARTED_UPLOAD,
    TAGGED,
    TIME,
    AnsweringDispatcher,
    VendorReached,
    dispatcher_answering,
    record_operation,
)

if TYPE_CHECKING:
    from moorage.contracts.storage import PutOptions, Upload


def test_signed_form_is_rehearsed() -> None:
    """A rehearsal returns no signed upload form, because anyone could upload with the form."""
    dispatcher = record_operation(
        StorageFlows,
        lambda flows: flows.signed_post("a", expires=60, smallest=2, largest=5, timeout=TIME),
    )

    assert ["a form for POST"] == dispatcher.rehearsed
    form = PostOptions(expires=60, smallest=2, largest=5)
    assert ("signed_post", "a", form, {}) == dispatcher.told


def test_signed_put_url_is_rehearsed() -> None:
    """In a rehearsal a signed PUT URL is held back, and a signed GET URL is not."""
    put = record_operation(
        StorageFlows, lambda flows: flows.signed_url("a", "PUT", expires=60, timeout=TIME)
    )
    get = record_operation(StorageFlows, lambda flows: flows.signed_url("a", timeout=TIME))

    assert (["a URL for PUT"], []) == (put.rehearsed, get.rehearsed)
    assert (True, False) == (put.effect, get.effect)
    assert ("signed_url", "a", UrlOptions(method="PUT", expires=60), {}) == put.told


def test_started_upload_needs_capabilities_of_its_options() -> None:
    """The capabilities that a multipart upload needs follow from its options."""
    dispatcher = record_operation(
        StorageFlows, lambda flows: flows.start_upload("a", TAGGED, timeout=TIME)
    )

    assert ("start_upload", frozenset({"multipart", "tags"})) == (
        dispatcher.operation,
        dispatcher.needs,
    )
    assert ("start_upload", "a", TAGGED, {}) == dispatcher.told


def test_copy_needs_capabilities_of_its_options() -> None:
    """The capabilities that a copy needs follow from its options."""
    dispatcher = record_operation(
        StorageFlows, lambda flows: flows.copy(REF, "b", TAGGED, timeout=TIME)
    )

    assert frozenset({"copy", "tags"}) == dispatcher.needs
    assert (REF, ("copy", "thing", "b", TAGGED, {})) == (dispatcher.ref, dispatcher.told)


def test_upload_resumes_at_its_account() -> None:
    """A resumed upload lists the parts that are stored at its own account."""
    requests: list[Upload] = []

    async def list_parts(_: Any, upload: Upload) -> None:
        requests.append(upload)
        raise VendorReached

    dispatcher: Any = AnsweringDispatcher(vendor=SimpleNamespace(list_parts=list_parts))
    with pytest.raises(VendorReached):
        run_now(
            StorageFlows(dispatcher, "acme").upload(
                "a", b"x", resume=str(STARTED_UPLOAD.ref), timeout=TIME
            )
        )
    assert ("upload", "acme", frozenset({"multipart"}), TIME) == (
        dispatcher.operation,
        dispatcher.tenant,
        dispatcher.needs,
        dispatcher.timeout,
    )
    assert (STARTED_UPLOAD.ref, [STARTED_UPLOAD]) == (dispatcher.ref, requests)

    with pytest.raises(InvalidData, match="a different object key") as excinfo:
        record_operation(
            StorageFlows, lambda flows: flows.upload("b", b"x", resume=STARTED_UPLOAD.ref)
        )
    assert ("resume", "Pass the object key with which the upload was started.") == (
        excinfo.value.field,
        excinfo.value.remedy,
    )
    with pytest.raises(InvalidData, match="not the reference of an upload") as excinfo:
        record_operation(StorageFlows, lambda flows: flows.abort_upload(REF))
    assert "ref" == excinfo.value.field
    assert "start_upload" in excinfo.value.remedy


class PartCounter(AnsweringDispatcher):
    """A fake dispatcher that records how many parts may be sent at once, and sends none."""

    @property
    def calling(self) -> Any:
        """Return fake tools for a call, which record how many parts may be sent at once."""
        return SimpleNamespace(core=SimpleNamespace(run_all=self._count, new_id=lambda: "id-1"))

    async def _count(self, _: Any, *, at_once: int) -> None:
        self.at_once = at_once
        raise VendorReached


@pytest.mark.parametrize("message, at_once", [({}, 3), ({"at_once": 2}, 2)])
def test_default_concurrency_of_an_upload(message: Any, at_once: int) -> None:
    """By default three parts of an upload are sent at once."""

    async def list_parts(*_: Any) -> tuple[()]:
        return ()

    dispatcher: Any = PartCounter(vendor=SimpleNamespace(list_parts=list_parts))
    with pytest.raises(VendorReached):
        run_now(
            StorageFlows(dispatcher, None).upload("a", b"xyz", resume=STARTED_UPLOAD.ref, **message)
        )
    assert at_once == dispatcher.at_once


class SequentialVendor:
    """A fake vendor that accepts the data of an upload only in order."""

    capabilities = frozenset[str]()

    def __init__(self) -> None:
        self.sent: list[tuple[Any, ...]] = []

    async def start_upload(self, wire: Any, key: str, options: PutOptions) -> Upload:
        """Record the start of an upload."""
        self.sent.append((wire, key, options))
        return STARTED_UPLOAD

    async def send(self, wire: Any, upload: Upload, pieces: Any, *, resumed: bool) -> str:
        """Read and record all data of the upload."""
        whole_bytes = b""
        while piece := await pieces.next():
            whole_bytes += piece
        self.sent.append((wire, upload, whole_bytes, resumed))
        return "done"


def test_vendor_without_parallel_parts_gets_data_of_upload_in_order() -> None:
    """A vendor without parallel parts gets the data of an upload in order."""
    vendor = SequentialVendor()
    dispatcher: Any = AnsweringDispatcher(vendor=vendor)
    flows = StorageFlows(dispatcher, None)
    answers = [
        run_now(flows.upload("a", b"xyz", TAGGED, part_size=2)),
        run_now(flows.upload("a", b"xyz", part_size=2, resume=STARTED_UPLOAD.ref)),
    ]

    assert ["done", "done"] == [str(answer) for answer in answers]
    wire = dispatcher.wire
    assert [
        (wire, "a", TAGGED),
        (wire, STARTED_UPLOAD, b"xyz", False),
        (wire, STARTED_UPLOAD, b"xyz", True),
    ] == vendor.sent


class FailingVendor(SequentialVendor):
    """A fake vendor that fails during an upload, and again when the upload is aborted."""

    async def send(self, wire: Any, upload: Upload, pieces: Any, *, resumed: bool) -> str:
        """Raise an error in the middle of the upload."""
        raise ConnectionFailed("cut off while it was sent.")

    async def abort(self, wire: Any, upload: Upload) -> None:
        """Raise another error when the upload is aborted."""
        self.sent.append(("abort", upload))
        raise ConnectionFailed("still away.")


def test_first_error_is_raised_if_aborting_failed_upload_fails_too() -> None:
    """If aborting a failed upload fails too, the first error is raised."""
    vendor = FailingVendor()
    dispatcher: Any = AnsweringDispatcher(vendor=vendor)

    with pytest.raises(ConnectionFailed, match="cut off while it was sent"):
        run_now(StorageFlows(dispatcher, None).upload("a", b"xyz", part_size=2))
    assert ("abort", STARTED_UPLOAD) == vendor.sent[-1]


def test_stale_uploads_by_age() -> None:
    """Unfinished uploads of at least a given age are listed; uploads of unknown age are not."""
    day = timedelta(days=1)
    uploads = [
        attrs.evolve(STARTED_UPLOAD, started_at=time)
        for time in (START - day, START, START + timedelta(seconds=1), None)
    ]
    dispatcher = dispatcher_answering("list_uploads", uploads)
    dispatcher.wire.now = lambda: START + day
    flows = StorageFlows(dispatcher, None)

    assert [uploads[0], uploads[1], uploads[3]] == run_now(flows.list_stale_uploads(older_than=day))
    assert uploads == run_now(flows.list_stale_uploads())


def deleting_flows(result: int | None = None) -> tuple[StorageFlows, Any, list[list[str]]]:
    """Return storage operations at a vendor that deletes single keys, and the list of its calls."""
    options: list[list[str]] = []

    async def delete_many(_: Any, keys: list[str]) -> list[Result[None]]:
        options.append(keys)
        return [Result() for _ in range(len(keys) if result is None else result)]

    dispatcher: Any = AnsweringDispatcher(
        vendor=SimpleNamespace(limits={}, delete_many=delete_many)
    )

    async def run_each(steps: Any, *, at_once: int) -> list[Result[Any]]:
        dispatcher.at_once = at_once
        return [Result(await step()) for step in steps]

    dispatcher.wire.run_all = run_each
    return StorageFlows(dispatcher, "acme"), dispatcher, options


def test_vendor_without_batches_deletes_each_key() -> None:
    """A vendor that cannot delete in batches gets a request for each key, four at a time."""
    flows, dispatcher, value = deleting_flows()
    results = run_now(flows.delete_many(["a", "../b", "c"], timeout=TIME))

    assert [["a"], ["c"]] == value
    assert [True, False, True] == [result.ok for result in results]
    assert ("delete_many", "acme", frozenset(), TIME, 4) == (
        dispatcher.operation,
        dispatcher.tenant,
        dispatcher.needs,
        dispatcher.timeout,
        dispatcher.at_once,
    )


@pytest.mark.parametrize("result", [0, 2])
def test_batch_deletion_answers_every_key(result: int) -> None:
    """A vendor that deletes a batch must return one result for each given key."""
    flows, _, _ = deleting_flows(result)
    with pytest.raises(ValueError, match=r"longer|shorter"):
        run_now(flows.delete_many(["a"]))


def test_list_returns_all_objects_by_default() -> None:
    """By default a list returns all objects, a thousand per page."""
    dispatcher = record_operation(StorageFlows, lambda flows: flows.list(timeout=TIME))

    assert ("list", "", {"delimiter": None, "cursor": None, "limit": 1000}) == dispatcher.told


def test_exists_is_bounded_by_the_timeout() -> None:
    """The timeout also limits a check whether an object exists."""
    dispatcher = record_operation(StorageFlows, lambda flows: flows.exists(REF, timeout=TIME))

    assert ("head", REF) == (dispatcher.operation, dispatcher.ref)
    assert ("head", "thing", {"version": None}) == dispatcher.told


class BreakingDownloads:
    """A fake vendor that counts downloads; each download fails before its only byte."""

    def __init__(self, *capabilities: StorageCapability) -> None:
        self.capabilities = frozenset(capabilities)
        self.asked: list[tuple[Any, GetOptions]] = []

    async def open(self, wire: Any, _: str, options: GetOptions) -> OpenedObject:
        """Record the call, and return a body that ends before its only byte."""

        async def read() -> bytes:
            return b""

        self.asked.append((wire, options))
        arriving_stream: Any = SimpleNamespace(read=read, settle=lambda: None)
        return OpenedObject(
            info=ObjectInfo(ref=REF, key="a", etag="e"), length=1, arriving=arriving_stream
        )


@pytest.mark.parametrize("can", [(StorageCapability.RANGE,), ()], ids=["ranges", "none"])
def test_download_resumes_if_the_vendor_can(can: tuple[StorageCapability, ...]) -> None:
    """A broken download is resumed only at a vendor that supports ranges."""
    vendor = BreakingDownloads(*can)
    dispatcher: Any = AnsweringDispatcher(vendor=vendor)
    download = run_now(StorageFlows(dispatcher, None).download("a"))
    with pytest.raises(ConnectionFailed):
        run_now(download.read())

    remaining_options = GetOptions(range=ByteRange(0, 1), if_match="e")
    repeated_pairs = [(dispatcher.wire, remaining_options)] * 3 if can else []
    assert [(dispatcher.wire, GetOptions()), *repeated_pairs] == vendor.asked
