"""The contract of files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.contracts import checksum, signed, storage
from moorage.contracts.declaration import (
    Contract,
    Effect,
    Requirements,
    Target,
    changes,
    reads,
)
from moorage.contracts.ref import Ref
from moorage.contracts.storage import (
    PutOptions,
    StorageCapability,
    check_container,
    check_key,
    check_prefix,
)
from moorage.contracts.validators import check_kind, check_maybe
from moorage.domain.values.durations import count

if TYPE_CHECKING:
    from moorage.contracts.storage import Container, ListPage, ObjectInfo, Upload

DEFAULT_OPTIONS: Final = PutOptions()


class StorageContract(Contract):
    """Stores files at the vendor that the configuration chooses."""

    kind = "storage"
    capabilities = StorageCapability
    values = (
        checksum,
        signed,
        storage,
    )
    flows = {
        "upload": Effect.DEFERRABLE,
        "abort_upload": Effect.IMMEDIATE,
        "list_stale_uploads": Effect.NONE,
        "download": Effect.NONE,
        "exists": Effect.NONE,
        "delete_many": Effect.DEFERRABLE,
        "move": Effect.IMMEDIATE,
        "signed_url": Effect.IMMEDIATE,
        "signed_post": Effect.IMMEDIATE,
    }
    flow_verbs = {
        "abort": StorageCapability.MULTIPART,
        "list_uploads": StorageCapability.STALE_UPLOADS,
        "signed_url": StorageCapability.SIGNED_URL,
        "signed_post": StorageCapability.SIGNED_POST,
    }

    @changes(deferrable=False, needs=StorageCapability.MULTIPART)
    def start_upload(
        self, key: str, options: PutOptions = DEFAULT_OPTIONS, *, timeout: float | None = None
    ) -> Requirements[Upload]:
        """Start an upload that can be resumed: store its `ref`, and pass it to `upload`.

        The upload exists until it is completed or aborted.
        """
        check_key(key)
        check_kind(options, PutOptions, "options")
        return Requirements(needs=options.needs)

    @reads(target=Target.KEY)
    def head(
        self, key: str | Ref, *, version: str | None = None, timeout: float | None = None
    ) -> Requirements[ObjectInfo]:
        """Get the properties of an object.

        Raises:
            FileNotFound: there is no such object.
        """
        _check_object(key, "key")
        return Requirements(needs=_version_needs(version))

    @changes(target=Target.KEY)
    def delete(
        self, key: str | Ref, *, version: str | None = None, timeout: float | None = None
    ) -> Requirements[None]:
        """Delete an object; a missing object is not an error."""
        _check_object(key, "key")
        return Requirements(needs=_version_needs(version))

    @changes(target=Target.KEY, needs=StorageCapability.COPY)
    def copy(
        self,
        source: str | Ref,
        key: str,
        options: PutOptions | None = None,
        *,
        timeout: float | None = None,
    ) -> Requirements[ObjectInfo]:
        """Copy an object at the vendor.

        Args:
            source: key or reference of the original.
            key: key of the copy.
            options: options for storing the copy; by default the original's options.
            timeout: seconds for the whole operation.
        """
        check_key(key)
        check_maybe(options, PutOptions, "options")
        _check_object(source, "source")
        return Requirements(needs=options.needs if options else ())

    @reads(target=Target.KEY, needs=StorageCapability.PUBLIC_URL)
    def public_url(self, key: str | Ref, *, timeout: float | None = None) -> Requirements[str]:
        """Make the URL of an object that anybody may read; nothing is sent.

        The URL works only if the vendor serves the object without credentials, as after an upload
        with the visibility "public", or in a public bucket or container.
        """
        _check_object(key, "key")
        return Requirements()

    @reads()
    def list(
        self,
        prefix: str = "",
        *,
        delimiter: str | None = None,
        cursor: str | None = None,
        limit: int = 1000,
        timeout: float | None = None,
    ) -> Requirements[ListPage]:
        """List objects in the order of their keys, one page at a time.

        Args:
            prefix: prefix of their keys.
            delimiter: end of a folder's name, such as "/"; deeper keys are summarised in
                `prefixes`.
            cursor: the `next_cursor` of the previous page.
            limit: maximum number of objects; the vendor may return fewer.
            timeout: seconds for the whole operation.
        """
        check_prefix(prefix)
        check_maybe(delimiter, str, "delimiter")
        check_maybe(cursor, str, "cursor")
        count(limit, "limit")
        return Requirements(arguments={"delimiter": delimiter or None})

    @reads(needs=StorageCapability.CONTAINERS)
    def list_containers(
        self, *, timeout: float | None = None
    ) -> Requirements[tuple[Container, ...]]:
        """List all containers of the account, in the order of their names."""
        return Requirements()

    @changes(needs=StorageCapability.CONTAINERS)
    def create_container(self, name: str, *, timeout: float | None = None) -> Requirements[None]:
        """Create a container in the region of the account; an existing container is not an error.

        Args:
            name: name of the container; at some vendors no two customers can use the same name.
            timeout: seconds for the whole operation.

        Raises:
            AlreadyExists: another account has a container with this name.
        """
        check_container(name)
        return Requirements()

    @changes(needs=StorageCapability.CONTAINERS)
    def delete_container(self, name: str, *, timeout: float | None = None) -> Requirements[None]:
        """Delete an empty container; a missing container is not an error.

        Args:
            name: name of the container.
            timeout: seconds for the whole operation.

        Raises:
            VendorRejected: the container has objects; the status is 409.
        """
        check_container(name)
        return Requirements()


def _check_object(key: str | Ref, field: str) -> None:
    if not isinstance(key, Ref):
        check_key(key, field)


def _version_needs(version: str | None) -> set[str]:
    check_maybe(version, str, "version")
    return set() if version is None else {StorageCapability.VERSIONS}
