"""The file-storage operations that need more than one request."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs

from moorage.contracts.declared.storage import DEFAULT_OPTIONS, StorageContract
from moorage.contracts.ref import Ref
from moorage.contracts.signed import PostOptions, UrlOptions
from moorage.contracts.storage import (
    GetOptions,
    PutOptions,
    StorageCapability,
    TakesInOrder,
    Upload,
    check_key,
    check_prefix,
)
from moorage.contracts.validators import as_list, check_kind, check_maybe, check_whole
from moorage.domain.values.durations import count
from moorage.domain.values.result import Result
from moorage.errors import ConnectorError, FileNotFound, InvalidData
from moorage.services.contracts.flows import Flows
from moorage.services.transfers.downloading import DownloadSession
from moorage.services.transfers.plan import UploadPlan
from moorage.services.transfers.uploading import UploadSession

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence
    from datetime import datetime

    from moorage.contracts.signed import SignedPost, SignedUrl
    from moorage.contracts.storage import ByteRange, ObjectInfo, Part, StorageVendor
    from moorage.contracts.wire import Wire
    from moorage.domain.http.requests import HttpMethod
    from moorage.services.transfers.uploading import Pieces, UploadSource

R = TypeVar("R")

_UPLOAD: Final = "upload"


class StorageFlows(Flows, StorageContract):
    """The file operations of one tenant."""

    async def upload(
        self,
        key: str,
        source: UploadSource,
        options: PutOptions = DEFAULT_OPTIONS,
        *,
        length: int | None = None,
        part_size: int | None = None,
        at_once: int = 3,
        resume: Ref | str | None = None,
        timeout: float | None = None,
    ) -> ObjectInfo:
        """Upload an object of any size; it becomes visible only when it is complete.

        An object larger than a part is sent in parts, and a failed part is sent again. Memory
        holds at most `at_once` parts. A failed or cancelled upload leaves nothing behind, unless
        `start_upload` began it; such an upload can be resumed.

        Args:
            key: key of the object.
            source: bytes, an open binary file, an iterator, or a function that opens one.
            options: options for storing the object.
            length: number of bytes, if known: it is verified, and determines the size of parts.
            part_size: number of bytes per part.
            at_once: maximum number of concurrent parts.
            resume: reference of a started upload; its existing parts are not sent again.
            timeout: seconds for the whole operation; by default each part has its service's
                timeout. The deletion of the parts of a failed or cancelled upload may take five
                seconds more.
        """
        check_key(key)
        check_kind(options, PutOptions, "options")
        if length is not None:
            check_whole(length, "length")
        count(at_once, "at_once")
        plan = UploadPlan(source, options, length, part_size, at_once)
        if resume is None:
            capabilities = options.needs | {StorageCapability.MULTIPART}
            call_vendor = partial(self._put, key, plan)
            return await self._dispatcher.execute(
                self._request("upload", capabilities), call_vendor, timeout=timeout
            )
        upload_ref = Ref.parse(resume, "resume")
        if upload_ref.id != key:
            raise InvalidData(
                "This upload was started for a different object key.",
                field="resume",
                remedy="Pass the object key with which the upload was started.",
            )
        operation = self._request("upload", {StorageCapability.MULTIPART})
        return await self._dispatcher.execute_at(
            upload_ref, operation, partial(self._resume, plan), timeout=timeout
        )

    async def abort_upload(self, ref: Ref | str, *, timeout: float | None = None) -> None:
        """Delete the parts of an unfinished upload; do nothing if there is no such upload."""

        async def call_vendor(vendor: StorageVendor, wire: Wire, ref: Ref) -> None:
            await vendor.abort(wire, _upload(ref))

        operation = self._request("abort_upload", {StorageCapability.MULTIPART})
        await self._dispatcher.execute_at(ref, operation, call_vendor, timeout=timeout)

    async def list_stale_uploads(
        self,
        prefix: str = "",
        *,
        older_than: timedelta | None = None,
        timeout: float | None = None,
    ) -> list[Upload]:
        """List the uploads that were started, but neither completed nor aborted.

        Args:
            prefix: prefix of their keys.
            older_than: minimum age.
            timeout: seconds for the whole operation.
        """
        check_prefix(prefix)
        check_maybe(older_than, timedelta, "older_than")

        async def call_vendor(vendor: StorageVendor, wire: Wire) -> list[Upload]:
            uploads = await vendor.list_uploads(wire, prefix)
            if older_than is None:
                return list(uploads)
            end = wire.now() - older_than
            return [
                upload
                for upload in uploads
                if upload.started_at is None or upload.started_at <= end
            ]

        operation = self._request("list_stale_uploads", {StorageCapability.STALE_UPLOADS})
        return await self._dispatcher.execute(operation, call_vendor, timeout=timeout)

    async def download(
        self,
        key: str | Ref,
        *,
        range: ByteRange | None = None,  # noqa: A002 - the name in HTTP
        if_match: str | None = None,
        if_none_match: str | None = None,
        if_modified_since: datetime | None = None,
        if_unmodified_since: datetime | None = None,
        version: str | None = None,
        timeout: float | None = None,
    ) -> DownloadSession:
        """Download an object as a stream of bytes.

        If the connection breaks, the rest is requested, of the same version of the object.

        Args:
            key: key of the object, or its reference.
            range: bytes to download; all by default.
            if_match: download the object only if it has this ETag.
            if_none_match: download the object only if it has another ETag; otherwise `modified` is
                False.
            if_modified_since: download the object only if it has changed since this time.
            if_unmodified_since: download the object only if it has not changed since this time.
            version: id of an earlier version.
            timeout: seconds for the whole operation, reading included; by default each request has
                its service's timeout.

        Raises:
            FileNotFound: there is no such object.
        """
        options = GetOptions(
            range=range,
            if_match=if_match,
            if_none_match=if_none_match,
            if_modified_since=if_modified_since,
            if_unmodified_since=if_unmodified_since,
            version=version,
        )

        async def call_vendor(vendor: Any, wire: Wire, key: str) -> DownloadSession:
            opening = await vendor.open(wire, key, options)
            resumes = StorageCapability.RANGE in vendor.capabilities
            return DownloadSession(vendor, wire, options, opening, resumes=resumes)

        return await self._execute_at_account("download", key, options.needs, call_vendor, timeout)

    async def exists(self, key: str | Ref, *, timeout: float | None = None) -> bool:
        """Return True if the object exists."""
        try:
            await self.head(key, timeout=timeout)
        except FileNotFound:
            return False
        return True

    async def delete_many(
        self, keys: Iterable[str], *, at_once: int = 4, timeout: float | None = None
    ) -> list[Result[None]]:
        """Delete many objects; return a result for each, in their order.

        Args:
            keys: keys of the objects.
            at_once: maximum number of concurrent requests; each is for many keys.
            timeout: seconds for the whole operation.
        """
        object_keys = as_list(keys, "keys")
        results: list[Result[None]] = [_check_result(key) for key in object_keys]
        good_numbers = [number for number, result in enumerate(results) if result.ok]

        async def call_vendor(vendor: Any, wire: Wire) -> None:
            size = vendor.limits.get("delete", 1)
            chunks = [good_numbers[at : at + size] for at in range(0, len(good_numbers), size)]

            def step(chunk: list[int]) -> Callable[[], Awaitable[list[Result[None]]]]:
                return partial(vendor.delete_many, wire, [object_keys[number] for number in chunk])

            results_of_chunks = await wire.run_all(
                [step(chunk) for chunk in chunks], at_once=at_once
            )
            for chunk, chunk_outcome in zip(chunks, results_of_chunks, strict=True):
                failed_result: Result[None] = Result(error=chunk_outcome.error)
                chunk_results = (
                    [failed_result] * len(chunk)
                    if chunk_outcome.value is None
                    else chunk_outcome.value
                )
                for number, result in zip(chunk, chunk_results, strict=True):
                    results[number] = result

        count(at_once, "at_once")
        if good_numbers:
            await self._dispatcher.execute(
                self._request("delete_many"), call_vendor, timeout=timeout
            )
        return results

    async def move(
        self,
        source: str | Ref,
        key: str,
        options: PutOptions | None = None,
        *,
        timeout: float | None = None,
    ) -> ObjectInfo:
        """Move an object to another key at the vendor: copy it, then delete the original.

        An interrupted move leaves the original, the copy, or both, and a repeat completes it. A
        change of the original between the two steps is lost.

        Args:
            source: key or reference of the original.
            key: new key of the object.
            options: options for storing the object; by default those of the original.
            timeout: seconds for the whole operation.

        Raises:
            FileNotFound: there is no such original, for example because the move is complete.
        """
        check_key(key)
        check_maybe(options, PutOptions, "options")
        if not isinstance(source, Ref):
            check_key(source, "source")

        async def call_vendor(vendor: StorageVendor, wire: Wire, source: str) -> ObjectInfo:
            if source == key:
                raise InvalidData(
                    "The object already has this key.",
                    field="key",
                    remedy="Pass a key that differs from the source's key.",
                )
            copied_object = await vendor.copy(wire, source, key, options)
            await vendor.delete(wire, source, version=None)
            return copied_object

        needs = {StorageCapability.COPY, *(options.needs if options else ())}
        return await self._execute_at_account("move", source, needs, call_vendor, timeout)

    async def signed_url(
        self,
        key: str | Ref,
        method: HttpMethod | str = "GET",
        *,
        expires: float | timedelta = 3600,
        content_type: str | None = None,
        content_disposition: str | None = None,
        timeout: float | None = None,
    ) -> SignedUrl:
        """Make a URL that allows its holder one operation on an object, for a limited time.

        Args:
            key: key of the object, or its reference.
            method: GET, HEAD, PUT or DELETE.
            expires: seconds until the URL expires; at most a week.
            content_type: content type of the response; for a PUT, of the request.
            content_disposition: content disposition of the response.
            timeout: seconds for reading the credentials.
        """
        options = UrlOptions(
            method=method,
            expires=expires,
            content_type=content_type,
            content_disposition=content_disposition,
        )

        permits_writing = not options.method.safe

        async def call_vendor(vendor: StorageVendor, wire: Any, key: str) -> SignedUrl:
            if permits_writing:
                wire.stop_if_dry_run(f"a URL for {options.method}")
            return await vendor.signed_url(wire, key, options)

        needed_capabilities = {StorageCapability.SIGNED_URL}
        return await self._execute_at_account(
            "signed_url", key, needed_capabilities, call_vendor, timeout, effect=permits_writing
        )

    async def signed_post(
        self,
        key: str,
        *,
        expires: float | timedelta = 3600,
        smallest: int = 0,
        largest: int,
        content_type: str | None = None,
        timeout: float | None = None,
    ) -> SignedPost:
        """Make a form by which a browser can upload one object.

        Args:
            key: key of the object.
            expires: seconds until the form expires; at most a week.
            smallest: minimum number of bytes.
            largest: maximum number of bytes.
            content_type: content type that the form must state.
            timeout: seconds for reading the credentials.
        """
        options = PostOptions(
            expires=expires, smallest=smallest, largest=largest, content_type=content_type
        )

        async def call_vendor(vendor: StorageVendor, wire: Any, key: str) -> SignedPost:
            wire.stop_if_dry_run("a form for POST")
            return await vendor.signed_post(wire, key, options)

        return await self._execute_at_account(
            "signed_post", key, {StorageCapability.SIGNED_POST}, call_vendor, timeout
        )

    # --- uploads -----------------------------------------------------------

    async def _put(
        self, key: str, plan: UploadPlan, vendor: StorageVendor, wire: Any
    ) -> ObjectInfo:
        """Upload in one request if the content fits into one part, otherwise in parts."""
        pieces = plan.pieces(self._dispatcher.calling.core, plan.size())
        try:
            first_piece = await pieces.next()
            second_piece = await pieces.next()
            if not second_piece:
                return await vendor.put(wire, key, first_piece, plan.options)
            pieces.return_parts(first_piece, second_piece)
            del first_piece, second_piece
            upload = await vendor.start_upload(wire, key, plan.options)
            try:
                return await self._send(vendor, wire, upload, pieces, plan)
            except GeneratorExit:  # nothing can be awaited any more
                raise
            except BaseException:
                with suppress(ConnectorError):
                    await vendor.abort(wire.for_cleanup(), upload)
                raise
        finally:
            pieces.close()

    async def _resume(
        self, plan: UploadPlan, vendor: StorageVendor, wire: Wire, ref: Ref
    ) -> ObjectInfo:
        upload = _upload(ref)
        in_order = isinstance(vendor, TakesInOrder)
        uploaded_parts = () if in_order else await vendor.list_parts(wire, upload)
        pieces = plan.pieces(
            self._dispatcher.calling.core, plan.size(*(part.size for part in uploaded_parts))
        )
        try:
            return await self._send(
                vendor, wire, upload, pieces, plan, uploaded_parts=uploaded_parts
            )
        finally:
            pieces.close()

    async def _send(
        self,
        vendor: StorageVendor,
        wire: Wire,
        upload: Upload,
        pieces: Pieces,
        plan: UploadPlan,
        *,
        uploaded_parts: Sequence[Part] | None = None,
    ) -> ObjectInfo:
        """Send the parts of an upload, except those that were sent before it was resumed."""
        if isinstance(vendor, TakesInOrder):
            return await vendor.send(wire, upload, pieces, resumed=uploaded_parts is not None)
        core = self._dispatcher.calling.core
        session = UploadSession(
            core, vendor, wire, upload, pieces, uploaded_parts=uploaded_parts or ()
        )
        parts = await session.all(plan.at_once)
        return await vendor.complete(wire, upload, parts, plan.options)

    # --- dispatch ----------------------------------------------------------

    async def _execute_at_account(
        self,
        verb: str,
        key: str | Ref,
        needs: Iterable[str],
        perform: Callable[[Any, Wire, str], Awaitable[R]],
        timeout: float | None,
        *,
        effect: bool | None = None,
    ) -> R:
        """Execute an operation at the account that a reference names, or that routing chooses."""
        operation = attrs.evolve(self._request(verb, needs), effect=effect)
        if isinstance(key, Ref):

            async def run_with_ref(vendor: Any, wire: Wire, ref: Ref) -> R:
                return await perform(vendor, wire, ref.id)

            return await self._dispatcher.execute_at(key, operation, run_with_ref, timeout=timeout)
        check_key(key)

        async def run_with_key(vendor: Any, wire: Wire) -> R:
            return await perform(vendor, wire, key)

        return await self._dispatcher.execute(operation, run_with_key, timeout=timeout)


def _upload(ref: Ref) -> Upload:
    """Return the unfinished upload that a reference names."""
    upload_id = ref.other(_UPLOAD)
    if upload_id is None:
        raise InvalidData(
            "`resume` is not the reference of an upload.",
            field="ref",
            remedy="Pass the `ref` of an upload from start_upload or list_stale_uploads.",
        )
    return Upload(ref=ref, key=ref.id, id=upload_id)


def _check_result(key: str) -> Result[None]:
    try:
        check_key(key)
    except InvalidData as error:
        return Result(error=error)
    return Result()
