"""The operations on files for users, synchronous and asynchronous.

Written by tools/operations.py from the declarations in contracts/declared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.contracts.declared.storage import DEFAULT_OPTIONS
from moorage.operations._storage import AsyncDownload, AsyncStorageMethods, Download, StorageMethods
from moorage.runtime.flows import run_now
from moorage.services.contracts.live_configuration import CurrentOperations
from moorage.services.contracts.storage import StorageFlows

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import timedelta

    from moorage.contracts.ref import Ref
    from moorage.contracts.signed import SignedPost, SignedUrl
    from moorage.contracts.storage import Container, ListPage, ObjectInfo, PutOptions, Upload
    from moorage.domain.http.requests import HttpMethod
    from moorage.domain.values.result import Result
    from moorage.services.contracts.live_configuration import FindDispatcher
    from moorage.services.transfers.uploading import UploadSource

__all__ = ["AsyncDownload", "AsyncStorage", "Download", "Storage"]


class Storage(StorageMethods):
    """Stores files at the vendor that the configuration chooses."""

    def __init__(self, find_dispatcher: FindDispatcher, tenant: str | None) -> None:
        self._flows = CurrentOperations(StorageFlows, find_dispatcher, tenant)

    def upload(
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
        return run_now(
            self._flows.run(
                StorageFlows.upload,
                key,
                source,
                options,
                length=length,
                part_size=part_size,
                at_once=at_once,
                resume=resume,
                timeout=timeout,
            )
        )

    def abort_upload(self, ref: Ref | str, *, timeout: float | None = None) -> None:
        """Delete the parts of an unfinished upload; do nothing if there is no such upload."""
        return run_now(self._flows.run(StorageFlows.abort_upload, ref, timeout=timeout))

    def list_stale_uploads(
        self, prefix: str = "", *, older_than: timedelta | None = None, timeout: float | None = None
    ) -> list[Upload]:
        """List the uploads that were started, but neither completed nor aborted.

        Args:
            prefix: prefix of their keys.
            older_than: minimum age.
            timeout: seconds for the whole operation.
        """
        return run_now(
            self._flows.run(
                StorageFlows.list_stale_uploads, prefix, older_than=older_than, timeout=timeout
            )
        )

    def exists(self, key: str | Ref, *, timeout: float | None = None) -> bool:
        """Return True if the object exists."""
        return run_now(self._flows.run(StorageFlows.exists, key, timeout=timeout))

    def delete_many(
        self, keys: Iterable[str], *, at_once: int = 4, timeout: float | None = None
    ) -> list[Result[None]]:
        """Delete many objects; return a result for each, in their order.

        Args:
            keys: keys of the objects.
            at_once: maximum number of concurrent requests; each is for many keys.
            timeout: seconds for the whole operation.
        """
        return run_now(
            self._flows.run(StorageFlows.delete_many, keys, at_once=at_once, timeout=timeout)
        )

    def move(
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
        return run_now(self._flows.run(StorageFlows.move, source, key, options, timeout=timeout))

    def signed_url(
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
        return run_now(
            self._flows.run(
                StorageFlows.signed_url,
                key,
                method,
                expires=expires,
                content_type=content_type,
                content_disposition=content_disposition,
                timeout=timeout,
            )
        )

    def signed_post(
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
        return run_now(
            self._flows.run(
                StorageFlows.signed_post,
                key,
                expires=expires,
                smallest=smallest,
                largest=largest,
                content_type=content_type,
                timeout=timeout,
            )
        )

    def start_upload(
        self, key: str, options: PutOptions = DEFAULT_OPTIONS, *, timeout: float | None = None
    ) -> Upload:
        """Start an upload that can be resumed: store its `ref`, and pass it to `upload`.

        The upload exists until it is completed or aborted.
        """
        return run_now(self._flows.run(StorageFlows.start_upload, key, options, timeout=timeout))

    def head(
        self, key: str | Ref, *, version: str | None = None, timeout: float | None = None
    ) -> ObjectInfo:
        """Get the properties of an object.

        Raises:
            FileNotFound: there is no such object.
        """
        return run_now(self._flows.run(StorageFlows.head, key, version=version, timeout=timeout))

    def delete(
        self, key: str | Ref, *, version: str | None = None, timeout: float | None = None
    ) -> None:
        """Delete an object; a missing object is not an error."""
        return run_now(self._flows.run(StorageFlows.delete, key, version=version, timeout=timeout))

    def copy(
        self,
        source: str | Ref,
        key: str,
        options: PutOptions | None = None,
        *,
        timeout: float | None = None,
    ) -> ObjectInfo:
        """Copy an object at the vendor.

        Args:
            source: key or reference of the original.
            key: key of the copy.
            options: options for storing the copy; by default the original's options.
            timeout: seconds for the whole operation.
        """
        return run_now(self._flows.run(StorageFlows.copy, source, key, options, timeout=timeout))

    def public_url(self, key: str | Ref, *, timeout: float | None = None) -> str:
        """Make the URL of an object that anybody may read; nothing is sent.

        The URL works only if the vendor serves the object without credentials, as after an upload
        with the visibility "public", or in a public bucket or container.
        """
        return run_now(self._flows.run(StorageFlows.public_url, key, timeout=timeout))

    def list(
        self,
        prefix: str = "",
        *,
        delimiter: str | None = None,
        cursor: str | None = None,
        limit: int = 1000,
        timeout: float | None = None,
    ) -> ListPage:
        """List objects in the order of their keys, one page at a time.

        Args:
            prefix: prefix of their keys.
            delimiter: end of a folder's name, such as "/"; deeper keys are summarised in
                `prefixes`.
            cursor: the `next_cursor` of the previous page.
            limit: maximum number of objects; the vendor may return fewer.
            timeout: seconds for the whole operation.
        """
        return run_now(
            self._flows.run(
                StorageFlows.list,
                prefix,
                delimiter=delimiter,
                cursor=cursor,
                limit=limit,
                timeout=timeout,
            )
        )

    def list_containers(self, *, timeout: float | None = None) -> tuple[Container, ...]:
        """List all containers of the account, in the order of their names."""
        return run_now(self._flows.run(StorageFlows.list_containers, timeout=timeout))

    def create_container(self, name: str, *, timeout: float | None = None) -> None:
        """Create a container in the region of the account; an existing container is not an error.

        Args:
            name: name of the container; at some vendors no two customers can use the same name.
            timeout: seconds for the whole operation.

        Raises:
            AlreadyExists: another account has a container with this name.
        """
        return run_now(self._flows.run(StorageFlows.create_container, name, timeout=timeout))

    def delete_container(self, name: str, *, timeout: float | None = None) -> None:
        """Delete an empty container; a missing container is not an error.

        Args:
            name: name of the container.
            timeout: seconds for the whole operation.

        Raises:
            VendorRejected: the container has objects; the status is 409.
        """
        return run_now(self._flows.run(StorageFlows.delete_container, name, timeout=timeout))


class AsyncStorage(AsyncStorageMethods):
    """The asynchronous version of `Storage`."""

    def __init__(self, find_dispatcher: FindDispatcher, tenant: str | None) -> None:
        self._flows = CurrentOperations(StorageFlows, find_dispatcher, tenant)

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
        return await self._flows.run(
            StorageFlows.upload,
            key,
            source,
            options,
            length=length,
            part_size=part_size,
            at_once=at_once,
            resume=resume,
            timeout=timeout,
        )

    async def abort_upload(self, ref: Ref | str, *, timeout: float | None = None) -> None:
        """Delete the parts of an unfinished upload; do nothing if there is no such upload."""
        return await self._flows.run(StorageFlows.abort_upload, ref, timeout=timeout)

    async def list_stale_uploads(
        self, prefix: str = "", *, older_than: timedelta | None = None, timeout: float | None = None
    ) -> list[Upload]:
        """List the uploads that were started, but neither completed nor aborted.

        Args:
            prefix: prefix of their keys.
            older_than: minimum age.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(
            StorageFlows.list_stale_uploads, prefix, older_than=older_than, timeout=timeout
        )

    async def exists(self, key: str | Ref, *, timeout: float | None = None) -> bool:
        """Return True if the object exists."""
        return await self._flows.run(StorageFlows.exists, key, timeout=timeout)

    async def delete_many(
        self, keys: Iterable[str], *, at_once: int = 4, timeout: float | None = None
    ) -> list[Result[None]]:
        """Delete many objects; return a result for each, in their order.

        Args:
            keys: keys of the objects.
            at_once: maximum number of concurrent requests; each is for many keys.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(
            StorageFlows.delete_many, keys, at_once=at_once, timeout=timeout
        )

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
        return await self._flows.run(StorageFlows.move, source, key, options, timeout=timeout)

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
        return await self._flows.run(
            StorageFlows.signed_url,
            key,
            method,
            expires=expires,
            content_type=content_type,
            content_disposition=content_disposition,
            timeout=timeout,
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
        return await self._flows.run(
            StorageFlows.signed_post,
            key,
            expires=expires,
            smallest=smallest,
            largest=largest,
            content_type=content_type,
            timeout=timeout,
        )

    async def start_upload(
        self, key: str, options: PutOptions = DEFAULT_OPTIONS, *, timeout: float | None = None
    ) -> Upload:
        """Start an upload that can be resumed: store its `ref`, and pass it to `upload`.

        The upload exists until it is completed or aborted.
        """
        return await self._flows.run(StorageFlows.start_upload, key, options, timeout=timeout)

    async def head(
        self, key: str | Ref, *, version: str | None = None, timeout: float | None = None
    ) -> ObjectInfo:
        """Get the properties of an object.

        Raises:
            FileNotFound: there is no such object.
        """
        return await self._flows.run(StorageFlows.head, key, version=version, timeout=timeout)

    async def delete(
        self, key: str | Ref, *, version: str | None = None, timeout: float | None = None
    ) -> None:
        """Delete an object; a missing object is not an error."""
        return await self._flows.run(StorageFlows.delete, key, version=version, timeout=timeout)

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
            source: key or reference of the original.
            key: key of the copy.
            options: options for storing the copy; by default the original's options.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(StorageFlows.copy, source, key, options, timeout=timeout)

    async def public_url(self, key: str | Ref, *, timeout: float | None = None) -> str:
        """Make the URL of an object that anybody may read; nothing is sent.

        The URL works only if the vendor serves the object without credentials, as after an upload
        with the visibility "public", or in a public bucket or container.
        """
        return await self._flows.run(StorageFlows.public_url, key, timeout=timeout)

    async def list(
        self,
        prefix: str = "",
        *,
        delimiter: str | None = None,
        cursor: str | None = None,
        limit: int = 1000,
        timeout: float | None = None,
    ) -> ListPage:
        """List objects in the order of their keys, one page at a time.

        Args:
            prefix: prefix of their keys.
            delimiter: end of a folder's name, such as "/"; deeper keys are summarised in
                `prefixes`.
            cursor: the `next_cursor` of the previous page.
            limit: maximum number of objects; the vendor may return fewer.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(
            StorageFlows.list,
            prefix,
            delimiter=delimiter,
            cursor=cursor,
            limit=limit,
            timeout=timeout,
        )

    async def list_containers(self, *, timeout: float | None = None) -> tuple[Container, ...]:
        """List all containers of the account, in the order of their names."""
        return await self._flows.run(StorageFlows.list_containers, timeout=timeout)

    async def create_container(self, name: str, *, timeout: float | None = None) -> None:
        """Create a container in the region of the account; an existing container is not an error.

        Args:
            name: name of the container; at some vendors no two customers can use the same name.
            timeout: seconds for the whole operation.

        Raises:
            AlreadyExists: another account has a container with this name.
        """
        return await self._flows.run(StorageFlows.create_container, name, timeout=timeout)

    async def delete_container(self, name: str, *, timeout: float | None = None) -> None:
        """Delete an empty container; a missing container is not an error.

        Args:
            name: name of the container.
            timeout: seconds for the whole operation.

        Raises:
            VendorRejected: the container has objects; the status is 409.
        """
        return await self._flows.run(StorageFlows.delete_container, name, timeout=timeout)
