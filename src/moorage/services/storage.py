"""Files, kept by whoever the configuration names."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs

from moorage.contracts.kinds import check_kind, check_maybe, check_whole, several
from moorage.contracts.ref import Ref
from moorage.contracts.routes import Asked
from moorage.contracts.signed import PostOptions, UrlOptions
from moorage.contracts.storage import (
    KIND,
    GetOptions,
    PutOptions,
    StorageCapability,
    TakesInOrder,
    Upload,
    check_key,
    check_prefix,
)
from moorage.domain.durations import count
from moorage.domain.result import Result
from moorage.errors import ConnectorError, FileNotFound, InvalidData
from moorage.services.downloading import Downloading
from moorage.services.upload_plan import UploadPlan
from moorage.services.uploading import Uploading

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence
    from datetime import datetime

    from moorage.contracts.signed import SignedPost, SignedUrl
    from moorage.contracts.storage import ByteRange, ListPage, ObjectInfo, Part, StorageVendor
    from moorage.contracts.wire import Wire
    from moorage.domain.http import HttpMethod
    from moorage.services.desk import Desk
    from moorage.services.uploading import Pieces, UploadSource

R = TypeVar("R")

_AS_IT_IS: Final = PutOptions()
_UPLOAD: Final = "upload"


class StorageFlows:
    """The operations of storage, for one tenant.

    Args:
        desk: hands operations to vendors.
        tenant: whose operations they are.
    """

    def __init__(self, desk: Desk, tenant: str | None) -> None:
        self._desk = desk
        self._tenant = tenant

    async def upload(
        self,
        key: str,
        source: UploadSource,
        options: PutOptions = _AS_IT_IS,
        *,
        length: int | None = None,
        part_size: int | None = None,
        at_once: int = 3,
        resume: Ref | str | None = None,
        timeout: float | None = None,
    ) -> ObjectInfo:
        """Put an object, whatever its size; nobody sees it before all of it is there.

        What is longer than a part goes part by part, and a part that fails goes again. No more
        than `at_once` parts are in memory. What has failed for good leaves nothing behind, unless
        it was begun by `start_upload`: then it can be resumed.

        Args:
            key: what it is to be called.
            source: bytes, an open binary file, an iterator, or a function that opens one.
            options: how it is kept.
            length: how long it is, if that is known: it is then checked, and parts are made to fit.
            part_size: bytes in a part.
            at_once: how many parts may be under way at once.
            resume: an upload that was begun; parts that are there already are not sent again.
            timeout: seconds for the whole of it; by default each part has its service's.
        """
        check_key(key)
        check_kind(options, PutOptions, "options")
        if length is not None:
            check_whole(length, "length")
        count(at_once, "at_once")
        plan = UploadPlan(source, options, length, part_size, at_once)
        if resume is None:
            needs = options.needs | {StorageCapability.MULTIPART}
            deed = partial(self._put, key, plan)
            return await self._desk.ask(self._asked("upload", needs), deed, timeout=timeout)
        found = Ref.parse(resume, "resume")
        if found.id != key:
            raise InvalidData(
                "This upload was begun for another key.",
                field="resume",
                remedy="Give the key that it was begun for.",
            )
        asked = self._asked("upload", {StorageCapability.MULTIPART})
        return await self._desk.at(found, asked, partial(self._resume, plan), timeout=timeout)

    async def start_upload(
        self, key: str, options: PutOptions = _AS_IT_IS, *, timeout: float | None = None
    ) -> Upload:
        """Begin an upload that can be resumed: keep its `ref`, and give it to `upload`.

        It is kept until it is complete or aborted.
        """
        check_key(key)
        check_kind(options, PutOptions, "options")

        async def deed(vendor: StorageVendor, wire: Wire) -> Upload:
            return await vendor.start_upload(wire, key, options)

        asked = self._asked("start_upload", options.needs | {StorageCapability.MULTIPART})
        return await self._desk.ask(asked, deed, timeout=timeout)

    async def abort_upload(self, ref: Ref | str, *, timeout: float | None = None) -> None:
        """Throw away what is there of an upload; one that is gone already is fine."""

        async def deed(vendor: StorageVendor, wire: Wire, found: Ref) -> None:
            await vendor.abort(wire, _upload(found))

        asked = self._asked("abort_upload", {StorageCapability.MULTIPART})
        await self._desk.at(ref, asked, deed, timeout=timeout)

    async def list_stale_uploads(
        self,
        prefix: str = "",
        *,
        older_than: timedelta | None = None,
        timeout: float | None = None,
    ) -> list[Upload]:
        """The uploads that were begun, and are neither complete nor aborted.

        Args:
            prefix: what their keys begin with.
            older_than: only those that were begun so long ago.
            timeout: seconds for the whole of it.
        """
        check_prefix(prefix)
        check_maybe(older_than, timedelta, "older_than")

        async def deed(vendor: StorageVendor, wire: Wire) -> list[Upload]:
            uploads = await vendor.list_uploads(wire, prefix)
            if older_than is None:
                return list(uploads)
            end = wire.now() - older_than
            return [one for one in uploads if one.started_at is None or one.started_at <= end]

        asked = self._asked("list_stale_uploads", {StorageCapability.STALE_UPLOADS})
        return await self._desk.ask(asked, deed, timeout=timeout)

    async def download(
        self,
        key: str | Ref,
        *,
        range: ByteRange | None = None,  # noqa: A002 - what HTTP calls it
        if_match: str | None = None,
        if_none_match: str | None = None,
        if_modified_since: datetime | None = None,
        if_unmodified_since: datetime | None = None,
        version: str | None = None,
        timeout: float | None = None,
    ) -> Downloading:
        """Get an object, as a stream of bytes.

        Where the connection breaks, the rest is asked for, of the very same object.

        Args:
            key: what it is called, or its reference.
            range: which of its bytes; all by default.
            if_match: only if this is its ETag.
            if_none_match: only if this is not its ETag; else `modified` is False.
            if_modified_since: only if it has changed since.
            if_unmodified_since: only if it has not changed since.
            version: an earlier version of it.
            timeout: seconds for the whole of it, reading included; by default each piece of it
                that is asked for has its service's.

        Raises:
            FileNotFound: there is none.
        """
        options = GetOptions(
            range=range,
            if_match=if_match,
            if_none_match=if_none_match,
            if_modified_since=if_modified_since,
            if_unmodified_since=if_unmodified_since,
            version=version,
        )

        async def deed(vendor: Any, wire: Wire, key: str) -> Downloading:
            opened = await vendor.open(wire, key, options)
            resumes = StorageCapability.RANGE in vendor.capabilities
            return Downloading(vendor, wire, options, opened, resumes=resumes)

        return await self._do("download", key, options.needs, deed, timeout)

    async def head(
        self, key: str | Ref, *, version: str | None = None, timeout: float | None = None
    ) -> ObjectInfo:
        """Ask what an object is like.

        Raises:
            FileNotFound: there is none.
        """

        async def deed(vendor: StorageVendor, wire: Wire, key: str) -> ObjectInfo:
            return await vendor.head(wire, key, version=version)

        return await self._do("head", key, _versions(version), deed, timeout)

    async def exists(self, key: str | Ref, *, timeout: float | None = None) -> bool:
        """Ask whether there is such an object."""
        try:
            await self.head(key, timeout=timeout)
        except FileNotFound:
            return False
        return True

    async def delete(
        self, key: str | Ref, *, version: str | None = None, timeout: float | None = None
    ) -> None:
        """Delete an object; one that is not there is fine."""

        async def deed(vendor: StorageVendor, wire: Wire, key: str) -> None:
            await vendor.delete(wire, key, version=version)

        await self._do("delete", key, _versions(version), deed, timeout)

    async def delete_many(
        self, keys: Iterable[str], *, at_once: int = 4, timeout: float | None = None
    ) -> list[Result[None]]:
        """Delete many objects, and tell of each how it went, in their order.

        Args:
            keys: what they are called.
            at_once: how many requests may be under way at once; each is for many keys.
            timeout: seconds for the whole of it.
        """
        wanted = several(keys, "keys")
        results: list[Result[None]] = [_checked(key) for key in wanted]
        good = [number for number, result in enumerate(results) if result.ok]

        async def deed(vendor: Any, wire: Wire) -> None:
            size = vendor.limits.get("delete", 1)
            chunks = [good[at : at + size] for at in range(0, len(good), size)]

            def step(chunk: list[int]) -> Callable[[], Awaitable[list[Result[None]]]]:
                return partial(vendor.delete_many, wire, [wanted[number] for number in chunk])

            told = await wire.every([step(chunk) for chunk in chunks], at_once=at_once)
            for chunk, ending in zip(chunks, told, strict=True):
                failed: Result[None] = Result(error=ending.error)
                of_each = [failed] * len(chunk) if ending.value is None else ending.value
                for number, result in zip(chunk, of_each, strict=True):
                    results[number] = result

        count(at_once, "at_once")
        if good:
            await self._desk.ask(self._asked("delete_many", ()), deed, timeout=timeout)
        return results

    async def list(
        self,
        prefix: str = "",
        *,
        delimiter: str | None = None,
        cursor: str | None = None,
        limit: int = 1000,
        timeout: float | None = None,
    ) -> ListPage:
        """List objects in the order of their keys, a page at a time.

        Args:
            prefix: what their keys begin with.
            delimiter: what ends a folder, such as "/": what is deeper is told by `prefixes`.
            cursor: the `next_cursor` of the page before.
            limit: how many at most; a vendor may give fewer.
            timeout: seconds for the whole of it.
        """
        check_prefix(prefix)
        check_maybe(delimiter, str, "delimiter")
        check_maybe(cursor, str, "cursor")
        count(limit, "limit")

        async def deed(vendor: StorageVendor, wire: Wire) -> ListPage:
            return await vendor.list(
                wire, prefix, delimiter=delimiter or None, cursor=cursor, limit=limit
            )

        return await self._desk.ask(self._asked("list", ()), deed, timeout=timeout)

    async def copy(
        self,
        source: str | Ref,
        key: str,
        options: PutOptions | None = None,
        *,
        timeout: float | None = None,
    ) -> ObjectInfo:
        """Copy an object at the vendor.

        Args:
            source: what is copied.
            key: what the copy is to be called.
            options: how it is kept, instead of how the source is.
            timeout: seconds for the whole of it.
        """
        check_key(key)
        check_maybe(options, PutOptions, "options")

        async def deed(vendor: StorageVendor, wire: Wire, source: str) -> ObjectInfo:
            return await vendor.copy(wire, source, key, options)

        needs = {StorageCapability.COPY, *(options.needs if options else ())}
        return await self._do("copy", source, needs, deed, timeout, field="source")

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
        """Make a URL that lets whoever has it do one thing to an object, for a while.

        Args:
            key: what the object is called, or its reference.
            method: GET, HEAD, PUT or DELETE.
            expires: seconds for which it is good, a week at most.
            content_type: what the answer says it is; of a PUT, what must be sent.
            content_disposition: what the answer says should be done with it.
            timeout: seconds for finding the credentials.
        """
        options = UrlOptions(
            method=method,
            expires=expires,
            content_type=content_type,
            content_disposition=content_disposition,
        )

        lends = not options.method.safe

        async def deed(vendor: StorageVendor, wire: Any, key: str) -> SignedUrl:
            if lends:
                wire.rehearse(f"a URL for {options.method}")
            return await vendor.signed_url(wire, key, options)

        needs = {StorageCapability.SIGNED_URL}
        return await self._do("signed_url", key, needs, deed, timeout, effect=lends)

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
        """Make a form with which a browser puts one object.

        Args:
            key: what the object is to be called.
            expires: seconds for which it is good, a week at most.
            smallest: how many bytes it must have.
            largest: how many bytes it may have.
            content_type: what the form must say it is.
            timeout: seconds for finding the credentials.
        """
        options = PostOptions(
            expires=expires, smallest=smallest, largest=largest, content_type=content_type
        )

        async def deed(vendor: StorageVendor, wire: Any, key: str) -> SignedPost:
            wire.rehearse("a form for POST")
            return await vendor.signed_post(wire, key, options)

        return await self._do("signed_post", key, {StorageCapability.SIGNED_POST}, deed, timeout)

    # --- uploads -----------------------------------------------------------

    async def _put(
        self, key: str, plan: UploadPlan, vendor: StorageVendor, wire: Wire
    ) -> ObjectInfo:
        """Put what fits into one part as it is, and anything else part by part."""
        pieces = plan.pieces(self._desk.calling.core, plan.size())
        try:
            first = await pieces.next()
            second = await pieces.next()
            if not second:
                return await vendor.put(wire, key, first, plan.options)
            pieces.put_back(first, second)
            del first, second
            upload = await vendor.start_upload(wire, key, plan.options)
            try:
                return await self._send(vendor, wire, upload, pieces, plan)
            except Exception:
                with suppress(ConnectorError):
                    await vendor.abort(wire, upload)
                raise
        finally:
            pieces.close()

    async def _resume(
        self, plan: UploadPlan, vendor: StorageVendor, wire: Wire, ref: Ref
    ) -> ObjectInfo:
        upload = _upload(ref)
        in_order = isinstance(vendor, TakesInOrder)
        known = () if in_order else await vendor.list_parts(wire, upload)
        pieces = plan.pieces(self._desk.calling.core, plan.size(*(part.size for part in known)))
        try:
            return await self._send(vendor, wire, upload, pieces, plan, known=known)
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
        known: Sequence[Part] | None = None,
    ) -> ObjectInfo:
        """Send what there is, besides the parts that are known of an upload that is resumed."""
        if isinstance(vendor, TakesInOrder):
            return await vendor.send(wire, upload, pieces, resumed=known is not None)
        core = self._desk.calling.core
        sending = Uploading(core, vendor, wire, upload, pieces, known=known or ())
        parts = await sending.all(plan.at_once)
        return await vendor.complete(wire, upload, parts, plan.options)

    # --- who does it -------------------------------------------------------

    async def _do(
        self,
        operation: str,
        key: str | Ref,
        needs: Iterable[str],
        deed: Callable[[Any, Wire, str], Awaitable[R]],
        timeout: float | None,
        *,
        effect: bool | None = None,
        field: str = "key",
    ) -> R:
        """Have something done to an object: where it is, if that is known."""
        asked = attrs.evolve(self._asked(operation, needs), effect=effect)
        if isinstance(key, Ref):

            async def there(vendor: Any, wire: Wire, found: Ref) -> R:
                return await deed(vendor, wire, found.id)

            return await self._desk.at(key, asked, there, timeout=timeout)
        check_key(key, field)

        async def here(vendor: Any, wire: Wire) -> R:
            return await deed(vendor, wire, key)

        return await self._desk.ask(asked, here, timeout=timeout)

    def _asked(self, operation: str, needs: Iterable[str]) -> Asked:
        return Asked(kind=KIND, operation=operation, tenant=self._tenant, needs=frozenset(needs))


def _upload(ref: Ref) -> Upload:
    """The upload that a reference is of."""
    found = ref.other(_UPLOAD)
    if found is None:
        raise InvalidData(
            "This is no reference of an upload.",
            field="ref",
            remedy="Give the `ref` of what start_upload or list_stale_uploads gave.",
        )
    return Upload(ref=ref, key=ref.id, id=found)


def _versions(version: str | None) -> frozenset[str]:
    check_maybe(version, str, "version")
    return frozenset({StorageCapability.VERSIONS}) if version is not None else frozenset()


def _checked(key: str) -> Result[None]:
    try:
        check_key(key)
    except InvalidData as error:
        return Result(error=error)
    return Result()
