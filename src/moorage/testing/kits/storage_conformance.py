"""Checks for every storage vendor.

`moorage scaffold vendor NAME --contract storage` writes a vendor, and a test that runs all
checks.

`CHECKS` are for the storage of a `Hub`, `ASYNC_CHECKS` for the storage of an `AsyncHub`, and
awaited. Each check takes a function that returns a `Subject`, and uses its own keys.
"""

from __future__ import annotations

import gzip
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from uuid import uuid4

import attrs

from moorage.contracts.ref import Ref
from moorage.contracts.storage import ByteRange, Checksum, PutOptions, StorageCapability
from moorage.errors import (
    ConnectorError,
    FileNotFound,
    InvalidData,
    UnsupportedByVendor,
    VendorRejected,
)
from moorage.testing.kits._storage_containers import CONTAINERS
from moorage.testing.kits._storage_requests import REQUESTS
from moorage.testing.kits.checks import AsyncView, require, sync_check

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator

    from moorage.contracts.storage import SignedUrl
    from moorage.testing.sandboxes.base import Sandbox

Factory: TypeAlias = "Callable[[], Subject]"
Check: TypeAlias = "Callable[[Factory], None]"
AsyncCheck: TypeAlias = "Callable[[Factory], Coroutine[Any, Any, None]]"

_TIME_TOLERANCE: Final = 2.0
"""Seconds by which two statements of one time may differ, since some have no fractions."""
_PART: Final = 5 * 1024 * 1024
_EVERYTHING: Final = frozenset(StorageCapability)


@attrs.frozen
class Subject:
    """A storage vendor to be checked, and its features.

    Attributes:
        storage: the storage of a synchronous or asynchronous hub.
        part: size of a part in bytes.
        can: capabilities that the vendor states.
        fetch: sends the request of a signed URL, with a body, and returns the status and the body
            of the response; if None, signed URLs are not tested.
        sandbox: the vendor's sandbox; if None, repeated requests are not noticed.
        container: name of the storage's container; if None, its deletion is not tried. A faulty
            vendor may delete it.
    """

    storage: Any
    part: int = _PART
    can: frozenset[str] = _EVERYTHING
    fetch: Callable[[SignedUrl, bytes], tuple[int, bytes]] | None = None
    sandbox: Sandbox | None = None
    container: str | None = None


class _StorageView(AsyncView):
    """A synchronous storage, presented with an asynchronous interface."""

    async def download(self, *arguments: Any, **named: Any) -> AsyncView:
        """Return a download whose bytes are read with `await`."""
        download = self.adapter.download(*arguments, **named)
        return AsyncView(download, unchanged={"info", "modified"})


def _view(factory: Factory) -> Subject:
    """Return a storage vendor under test, presented with an asynchronous interface."""
    subject = factory()
    return attrs.evolve(subject, storage=_StorageView(subject.storage))


def _key(name: str = "file") -> str:
    return f"check-{uuid4().hex}/{name}"


def _bytes(size: int) -> bytes:
    pattern = bytes(range(251))
    return (pattern * (size // len(pattern) + 1))[:size]


async def _read_all(storage: Any, key: str, **how: Any) -> bytes:
    content: bytes = await (await storage.download(key, **how)).read_all()
    return content


async def _raised_error(
    doing: Awaitable[object], kind: type[ConnectorError], sentence: str
) -> ConnectorError:
    try:
        await doing
    except kind as error:
        return error
    except ConnectorError as error:
        raise AssertionError(f"{sentence} It raised {type(error).__name__}.") from error
    raise AssertionError(sentence)


async def stored_bytes_come_back(factory: Factory) -> None:
    """Bytes and metadata are returned unchanged, for any key."""
    storage = factory().storage
    for name in ("a", "with space", "ünï+&=?#%25.txt", "deep/er/x.y", "~-_.!*'()"):
        key, data = _key(name), name.encode()
        uploaded_object = await storage.upload(key, data, PutOptions(content_type="text/plain"))
        require(
            await _read_all(storage, key) == data,
            f"{name!r} does not have the same content after storing.",
        )
        head = await storage.head(key)
        require(head.key == uploaded_object.key == key, f"{name!r} is called {head.key!r}.")
        require(head.size == uploaded_object.size == len(data), f"{name!r} has another size.")
        require(head.content_type == "text/plain", f"{name!r} is {head.content_type!r}.")
        require(
            head.etag and head.etag == uploaded_object.etag, f"{name!r} has another ETag at once."
        )
        require(head.last_modified is not None, f"{name!r} has no time of its last change.")


async def an_object_may_be_empty(factory: Factory) -> None:
    """An uploaded object may be empty."""
    storage, key = factory().storage, _key()
    await storage.upload(key, b"")
    require(await _read_all(storage, key) == b"", "An empty object was returned with bytes.")
    require((await storage.head(key)).size == 0, "An empty object has a size above zero.")


async def headers_and_metadata_are_kept(factory: Factory) -> None:
    """An object's headers and metadata are returned with it."""
    storage, key = factory().storage, _key()
    options = PutOptions(
        content_type="application/pdf",
        content_disposition='attachment; filename="a.pdf"',
        content_language="de",
        cache_control="max-age=60",
        metadata={"invoice": "2041", "buyer": "Zoë & Søn"},
    )
    await storage.upload(key, b"%PDF", options)
    head = await storage.head(key)
    for name in ("content_type", "content_disposition", "content_language", "cache_control"):
        stored_header, expected = getattr(head, name), getattr(options, name)
        require(stored_header == expected, f"{name} is {stored_header!r}, not {expected!r}.")
    require(dict(head.metadata) == dict(options.metadata), f"Metadata is {head.metadata!r}.")


async def packed_bytes_come_back_packed(factory: Factory) -> None:
    """A compressed object is returned byte for byte, with its content encoding."""
    storage, key = factory().storage, _key("file.json.gz")
    packed_bytes = gzip.compress(_bytes(1_000), mtime=0)
    await storage.upload(key, packed_bytes, PutOptions(content_encoding="gzip"))
    download = await storage.download(key)
    encodings = (download.info.content_encoding, (await storage.head(key)).content_encoding)
    require(encodings == ("gzip", "gzip"), f"The content encoding is reported as {encodings}.")
    require(
        await download.read_all() == packed_bytes,
        "A compressed object was returned with changed bytes.",
    )
    part = await _read_all(storage, key, range=ByteRange(2, 5))
    require(
        part == packed_bytes[2:7], "A range of a compressed object was returned with changed bytes."
    )


async def a_missing_object_is_an_error(factory: Factory) -> None:
    """Reading a missing object raises FileNotFound; deleting one succeeds."""
    storage, key = factory().storage, _key()
    sentence = "A missing object did not raise FileNotFound."
    await _raised_error(storage.head(key), FileNotFound, sentence)
    await _raised_error(storage.download(key), FileNotFound, sentence)
    await _raised_error(storage.copy(key, _key()), FileNotFound, sentence)
    require(not await storage.exists(key), "A missing object exists.")
    await storage.delete(key)


async def a_deleted_object_is_gone(factory: Factory) -> None:
    """Deleted objects do not exist any more; each deletion in a batch has a result."""
    storage = factory().storage
    first_key, second_key, third_key, unused_key = _key(), _key(), _key(), _key()
    for key in (first_key, second_key, third_key):
        await storage.upload(key, b"x")
    await storage.delete(first_key)
    results = await storage.delete_many([second_key, "../bad", unused_key, third_key])
    require([r.ok for r in results] == [True, False, True, True], f"Results are {results!r}.")
    require(isinstance(results[1].error, InvalidData), "A bad key was not refused.")
    remaining_keys = [
        key for key in (first_key, second_key, third_key) if await storage.exists(key)
    ]
    require(not remaining_keys, f"{len(remaining_keys)} objects still exist after their deletion.")


async def bad_keys_are_refused(factory: Factory) -> None:
    """A key that leads outside of the container is refused before sending."""
    storage = factory().storage
    for key in ("", "/etc/passwd", "../x", "a/../../x", "a/./b", "a\0b", "a\nb", "x" * 1025):
        for verb in (storage.head, storage.download, storage.delete):
            await _raised_error(verb(key), InvalidData, f"The key {key[:20]!r} was not refused.")
        await _raised_error(storage.upload(key, b""), InvalidData, f"{key[:20]!r} was not refused.")


async def ranges_are_exact(factory: Factory) -> None:
    """Downloading a range returns exactly these bytes."""
    storage, key, data = factory().storage, _key(), _bytes(1_000)
    await storage.upload(key, data)
    for byte_range, expected in (
        (ByteRange(0, 1), data[:1]),
        (ByteRange(10, 20), data[10:30]),
        (ByteRange(990, 100), data[990:]),
        (ByteRange(999), data[999:]),
        (ByteRange(-7), data[-7:]),
        (ByteRange(-5_000), data),
    ):
        content = await _read_all(storage, key, range=byte_range)
        require(content == expected, f"{byte_range} gave {len(content)} bytes, or others.")
    download_beyond_end = storage.download(key, range=ByteRange(1_000))
    error = await _raised_error(
        download_beyond_end, VendorRejected, "A range beyond the end of the object returned bytes."
    )
    require(
        getattr(error, "status", None) == 416,
        "The error for a range beyond the end has another status than 416.",
    )


async def conditions_hold_when_reading(factory: Factory) -> None:
    """`if_none_match` skips an unchanged object, and `if_match` refuses a changed object."""
    storage, key = factory().storage, _key()
    etag = (await storage.upload(key, b"first")).etag
    unchanged_download = await storage.download(key, if_none_match=etag)
    require(
        not unchanged_download.modified and await unchanged_download.read_all() == b"",
        "if_none_match with the current ETag returned the object.",
    )
    require(
        await _read_all(storage, key, if_match=etag) == b"first",
        "if_match with the current ETag did not return the object.",
    )
    await storage.upload(key, b"second one")
    require(
        await _read_all(storage, key, if_none_match=etag) == b"second one",
        "if_none_match with an outdated ETag did not return the new object.",
    )
    error = await _raised_error(
        storage.download(key, if_match=etag),
        VendorRejected,
        "if_match with an outdated ETag returned the object.",
    )
    require(
        getattr(error, "status", None) == 412,
        "The error for an outdated ETag in if_match has another status than 412.",
    )


async def conditions_hold_when_writing(factory: Factory) -> None:
    """A conditional write never overwrites another object, whether sent in one part or several."""
    subject = factory()
    storage, key, long_bytes = subject.storage, _key(), _bytes(subject.part + 1)
    only_new = PutOptions(if_none_match="*")
    if StorageCapability.CONDITIONAL_PUT not in subject.can:
        await storage.upload(key, b"first")
        for options in (only_new, PutOptions(if_match="0123")):
            upload_call = storage.upload(key, b"second", options)
            await _raised_error(upload_call, UnsupportedByVendor, "A condition was ignored.")
        require(await _read_all(storage, key) == b"first", "A refused write changed the object.")
        return
    etag = (await storage.upload(key, b"first", only_new)).etag
    for data in (b"second", long_bytes):
        for options in (only_new, PutOptions(if_match="0123")):
            upload_call = storage.upload(key, data, options, part_size=subject.part)
            error = await _raised_error(
                upload_call, VendorRejected, "A conditional write replaced the object."
            )
            require(
                getattr(error, "status", None) == 412,
                "The status of a failed condition is not 412.",
            )
    require(await _read_all(storage, key) == b"first", "A refused write changed the object.")
    await storage.upload(key, b"second", PutOptions(if_match=etag))
    require(
        await _read_all(storage, key) == b"second",
        "if_match with the current ETag did not replace the object.",
    )


async def large_objects_are_sent_in_parts(factory: Factory) -> None:
    """An object uploaded in parts has the right bytes, from any kind of source."""
    subject = factory()
    data, part = _bytes(2 * subject.part + 17), subject.part
    sources: tuple[Any, ...] = (
        data,
        BytesIO(data),
        lambda: BytesIO(data),
        _broken_stream(data, part // 3),
        lambda: _broken_stream(data, part * 2),
    )
    for number, source in enumerate(sources):
        key = _key(str(number))
        uploaded_object = await subject.storage.upload(key, source, part_size=part)
        require(
            uploaded_object.size == len(data), f"Source {number} gave {uploaded_object.size} bytes."
        )
        require(await _read_all(subject.storage, key) == data, f"Source {number} gave other bytes.")


def _broken_stream(data: bytes, size: int) -> Iterator[bytes]:
    return iter([data[start : start + size] for start in range(0, len(data), size)])


async def a_failed_upload_leaves_nothing(factory: Factory) -> None:
    """If the source fails or has wrong content, no object and no parts are left."""
    subject = factory()
    storage, part = subject.storage, subject.part

    def yield_and_fail() -> Iterator[bytes]:
        yield _bytes(part)
        yield _bytes(part)
        raise RuntimeError("the source broke")

    key = _key()
    try:
        await storage.upload(key, yield_and_fail, part_size=part)
    except RuntimeError:
        pass
    else:
        raise AssertionError("An upload whose source failed raised no error.")
    wrong_options = PutOptions(checksum=Checksum.of("sha256", b"something else"))
    for data in (b"short", _bytes(part + 1)):
        upload_call = storage.upload(key, data, wrong_options, part_size=part)
        await _raised_error(upload_call, InvalidData, "A wrong checksum was ignored.")
        upload_call = storage.upload(key, iter([data]), part_size=part, length=len(data) + 1)
        await _raised_error(upload_call, InvalidData, "A wrong length was ignored.")
    require(
        not await storage.exists(key), "An object was stored despite a wrong checksum or length."
    )
    if StorageCapability.STALE_UPLOADS in subject.can:
        require(not await storage.list_stale_uploads(key), "Uploaded parts were not removed.")


async def uploads_are_resumed(factory: Factory) -> None:
    """An interrupted upload resumes at its last part, and completes."""
    subject = factory()
    storage, part, key = subject.storage, subject.part, _key()
    data = _bytes(3 * part + 5)

    def yield_and_fail() -> Iterator[bytes]:
        yield data[: 2 * part]
        raise RuntimeError("the line broke")

    started_upload = await storage.start_upload(key, PutOptions(content_type="x/y"))
    try:
        await storage.upload(key, yield_and_fail, resume=started_upload.ref, part_size=part)
    except RuntimeError:
        pass
    else:
        raise AssertionError("An upload whose source failed raised no error.")
    require(not await storage.exists(key), "The object exists before its upload is complete.")
    if StorageCapability.STALE_UPLOADS in subject.can:
        refs = [upload.ref for upload in await storage.list_stale_uploads(key)]
        require(refs == [started_upload.ref], "The unfinished upload is not listed.")
    await storage.upload(key, lambda: BytesIO(data), resume=str(started_upload.ref), part_size=part)
    require(await _read_all(storage, key) == data, "The resumed upload has other bytes.")
    require(
        (await storage.head(key)).content_type == "x/y", "The resumed upload lost its content type."
    )
    upload_call = storage.upload(key, data, resume=started_upload.ref, part_size=part)
    await _raised_error(upload_call, VendorRejected, "A completed upload was resumed.")


async def an_aborted_upload_is_gone(factory: Factory) -> None:
    """An aborted upload no longer exists, and aborting it again does nothing."""
    subject = factory()
    storage, key = subject.storage, _key()
    started_upload = await storage.start_upload(key)
    await storage.abort_upload(started_upload.ref)
    await storage.abort_upload(str(started_upload.ref))
    if StorageCapability.STALE_UPLOADS in subject.can:
        require(not await storage.list_stale_uploads(key), "An aborted upload is still listed.")
    require(not await storage.exists(key), "An aborted upload created an object.")


async def lists_are_in_order(factory: Factory) -> None:
    """Objects are listed in key order, page by page, each once."""
    storage, base = factory().storage, _key("")
    names = ["a.txt", "a/1", "a/2", "a0", "b", "c/d/e", "ü"]
    for name in reversed(names):
        await storage.upload(base + name, name.encode())
    expected = [base + name for name in sorted(names, key=str.encode)]
    for limit in (1, 2, 3, 1_000):
        keys_listed: list[str] = []
        cursor = None
        while True:
            page = await storage.list(base, limit=limit, cursor=cursor)
            require(len(page.objects) <= limit, f"A page has {len(page.objects)} objects.")
            keys_listed += [entry.key for entry in page.objects]
            cursor = page.next_cursor
            if cursor is None:
                break
        require(keys_listed == expected, f"By {limit}: {keys_listed!r}.")
    entries = {entry.key: entry for entry in (await storage.list(base)).objects}
    for name in names:
        entry, size = entries[base + name], len(name.encode())
        head = await storage.head(entry.ref)
        is_same = (head.key, head.etag) == (entry.key, entry.etag)
        require(is_same, "A listed reference leads to another object.")
        require(entry.size == head.size == size, "A list states a different size.")
        seconds = (entry.last_modified - head.last_modified).total_seconds()
        require(abs(seconds) < _TIME_TOLERANCE, "A list states a different time.")


async def folders_are_listed_once(factory: Factory) -> None:
    """With a delimiter, keys below a folder are listed once, as that folder."""
    storage, base = factory().storage, _key("")
    for name in ("a.txt", "a/1", "a/2", "b", "c/d/e"):
        await storage.upload(base + name, b"")
    full_listing = await storage.list(base, delimiter="/")
    keys, folders = [entry.key for entry in full_listing.objects], list(full_listing.prefixes)
    require(keys == [base + "a.txt", base + "b"], f"Objects are {keys!r}.")
    require(folders == [base + "a/", base + "c/"], f"Folders are {folders!r}.")
    names: list[str] = []
    cursor = None
    while True:
        page = await storage.list(base, delimiter="/", limit=1, cursor=cursor)
        names += [*(entry.key for entry in page.objects), *page.prefixes]
        cursor = page.next_cursor
        if cursor is None:
            break
    require(names == sorted(keys + folders, key=str.encode), f"The pages contain {names!r}.")


async def copies_are_objects_of_their_own(factory: Factory) -> None:
    """A copy has the original's bytes, with the original or new metadata."""
    storage, key, copy = factory().storage, _key(), _key()
    await storage.upload(key, b"bytes", PutOptions(content_type="a/b", metadata={"x": "1"}))
    copied_object = await storage.copy(key, copy)
    properties = (copied_object.size, copied_object.content_type, dict(copied_object.metadata))
    require(properties == (5, "a/b", {"x": "1"}), f"The copy is {properties!r}.")
    await storage.copy(key, copy, PutOptions(content_type="c/d"))
    head = await storage.head(copy)
    properties = (head.size, head.content_type, dict(head.metadata))
    require(properties == (5, "c/d", {}), f"A copy with new options is {properties!r}.")
    await storage.delete(key)
    require(
        await _read_all(storage, copy) == b"bytes", "Deleting the original also deleted the copy."
    )


async def a_reference_is_enough(factory: Factory) -> None:
    """A stored object can be found by its reference."""
    storage, key = factory().storage, _key()
    uploaded_object = await storage.upload(key, b"bytes")
    require(
        Ref.parse(str(uploaded_object.ref)) == uploaded_object.ref,
        "The reference is not the same as text.",
    )
    require(
        (await storage.head(uploaded_object.ref)).etag == uploaded_object.etag,
        "Another record is found by its reference.",
    )
    await storage.delete(uploaded_object.ref)
    require(
        not await storage.exists(uploaded_object.ref),
        "The object was not deleted by its reference.",
    )


async def signed_urls_do_one_thing(factory: Factory) -> None:
    """A signed URL permits only the request for which it was signed."""
    subject = factory()
    storage, key = subject.storage, _key("a b+ü.txt")
    if StorageCapability.SIGNED_URL not in subject.can:
        await _raised_error(storage.signed_url(key), UnsupportedByVendor, "A URL was signed.")
        return
    to_put = await storage.signed_url(key, "PUT", content_type="text/plain")
    to_get = await storage.signed_url(key, expires=60, content_disposition="attachment")
    require(key not in repr(to_put), "The URL is shown.")
    require(
        to_get.expires_at < to_put.expires_at, "A signed URL does not have the requested lifetime."
    )
    if subject.fetch is None:
        return
    status, _ = subject.fetch(to_put, b"by URL")
    require(status in {200, 201, 204}, f"The signed URL for an upload returned {status}.")
    require(
        subject.fetch(to_get, b"") == (200, b"by URL"),
        "The signed URL for a download did not return the uploaded bytes.",
    )
    misused_url = attrs.evolve(to_get, method=to_put.method, headers=to_put.headers)
    require(subject.fetch(misused_url, b"evil")[0] == 403, "A URL for downloads accepts an upload.")
    other_object_url = attrs.evolve(
        to_get, url=to_get.url.replace("file", "elif").replace("a%20b", "a%20c")
    )
    require(
        subject.fetch(other_object_url, b"")[0] in {403, 404}, "A URL also reads another object."
    )
    require(await _read_all(storage, key) == b"by URL", "A refused upload changed the object.")


async def unsupported_features_are_refused(factory: Factory) -> None:
    """An unsupported feature is refused; the error names vendors that have it."""
    subject = factory()
    options_by_capability = {
        StorageCapability.TAGS: PutOptions(tags={"a": "b"}),
        StorageCapability.VISIBILITY: PutOptions(visibility="public"),
        StorageCapability.STORAGE_CLASS: PutOptions(storage_class="COLD"),
        StorageCapability.ENCRYPTION: PutOptions(encryption="AES256"),
    }
    for capability, options in options_by_capability.items():
        if capability not in subject.can:
            upload_call = subject.storage.upload(_key(), b"", options)
            sentence = f"{capability} was silently dropped."
            error = await _raised_error(upload_call, UnsupportedByVendor, sentence)
            capabilities = getattr(error, "capabilities", ())
            require(capability in capabilities, f"The refusal does not name {capability}.")


async def _async_chunks(data: bytes, size: int) -> AsyncIterator[bytes]:
    for piece in _broken_stream(data, size):
        yield piece


async def sources_may_be_asynchronous(factory: Factory) -> None:
    """An upload can read its content from an asynchronous iterator."""
    subject = factory()
    data, key = _bytes(subject.part + 3), _key()
    await subject.storage.upload(key, _async_chunks(data, 100_000), part_size=subject.part)
    require(await _read_all(subject.storage, key) == data, "The stored object has other bytes.")


_SHARED_CHECKS: Final = (
    stored_bytes_come_back,
    an_object_may_be_empty,
    headers_and_metadata_are_kept,
    packed_bytes_come_back_packed,
    a_missing_object_is_an_error,
    a_deleted_object_is_gone,
    bad_keys_are_refused,
    ranges_are_exact,
    conditions_hold_when_reading,
    conditions_hold_when_writing,
    large_objects_are_sent_in_parts,
    a_failed_upload_leaves_nothing,
    uploads_are_resumed,
    an_aborted_upload_is_gone,
    lists_are_in_order,
    folders_are_listed_once,
    copies_are_objects_of_their_own,
    a_reference_is_enough,
    signed_urls_do_one_thing,
    unsupported_features_are_refused,
    *CONTAINERS,
    *REQUESTS,
)

CHECKS: Final[tuple[Check, ...]] = tuple(sync_check(check, _view) for check in _SHARED_CHECKS)

ASYNC_CHECKS: Final[tuple[AsyncCheck, ...]] = (*_SHARED_CHECKS, sources_may_be_asynchronous)
