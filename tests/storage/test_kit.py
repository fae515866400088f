"""The storage conformance kit detects faulty vendors."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage.contracts.routes import Account
from moorage.contracts.storage import StorageCapability
from moorage.errors import AlreadyExists, ConfigurationError, InvalidData, VendorRejected
from moorage.hub.hub import Hub
from moorage.testing import storage_conformance as kit
from moorage.testing.kits.checks import name_of
from moorage.testing.sandboxes.base import Sandbox, SandboxHttpClient
from moorage.vendors.storage.s3 import S3
from tests.storage.harnesses import PART, folder, s3, sandbox

if TYPE_CHECKING:
    from pathlib import Path

    from moorage.contracts.storage import Container, ListPage, ObjectInfo
    from moorage.contracts.wire import Wire
    from moorage.testing.kits.storage_conformance import Check


class _SilentVendor:
    """A vendor that accepts every call, and does nothing."""

    def __getattr__(self, name: str) -> Any:
        def verb(*value: Any, **keywords: Any) -> Any:
            return None if name == "delete" else _WrongAttributes()

        return verb


class _WrongAttributes:
    """An object that has every attribute, each with a wrong value."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _WrongAttributes()

    def read_all(self) -> bytes:
        return b"wrong"

    def __iter__(self) -> Any:
        return iter(())

    def __lt__(self, _: object) -> bool:
        return False


@pytest.mark.parametrize("check", kit.CHECKS, ids=name_of)
def test_wrong_vendor_fails_every_check(check: Check) -> None:
    """A vendor that does nothing fails every check."""
    with pytest.raises((AssertionError, AttributeError, InvalidData, TypeError)):
        check(lambda: kit.Subject(_SilentVendor(), part=PART, can=frozenset(), sandbox=Sandbox()))


class _DoubleHead(S3):
    """A vendor that requests the metadata of each object twice."""

    async def head(self, wire: Wire, key: str, /, *, version: str | None) -> ObjectInfo:
        await S3.head(self, wire, key, version=version)
        return await S3.head(self, wire, key, version=version)


class _RewritingVendor(S3):
    """A vendor that uploads each object twice."""

    async def put(self, wire: Wire, *arguments: Any, **keywords: Any) -> ObjectInfo:
        await S3.put(self, wire, *arguments, **keywords)
        return await S3.put(self, wire, *arguments, **keywords)


class _ReferencingVendor(S3):
    """A vendor that lists objects with references to other objects."""

    async def list(self, wire: Wire, prefix: str, /, **keywords: Any) -> ListPage:
        page = await S3.list(self, wire, prefix, **keywords)
        objects = [attrs.evolve(entry, ref=page.objects[0].ref) for entry in page.objects]
        return attrs.evolve(page, objects=tuple(objects))


class _LocalTimeVendor(S3):
    """A vendor that reads the times of a list in a wrong time zone."""

    async def list(self, wire: Wire, prefix: str, /, **keywords: Any) -> ListPage:
        page = await S3.list(self, wire, prefix, **keywords)
        objects = [
            attrs.evolve(entry, last_modified=entry.last_modified - timedelta(hours=1))
            for entry in page.objects
            if entry.last_modified is not None
        ]
        return attrs.evolve(page, objects=tuple(objects))


@pytest.mark.parametrize(
    "vendor, sentence",
    [
        (_ReferencingVendor, "leads to another object"),
        (_LocalTimeVendor, "A list states a different time"),
    ],
)
def test_wrong_list_is_noticed(vendor: type[S3], sentence: str) -> None:
    """A vendor whose lists have wrong references or times fails the kit."""
    check = next(check for check in kit.CHECKS if name_of(check) == "lists_are_in_order")
    with sandbox() as storage_sandbox:
        account = Account("s3", vendor(**attrs.asdict(s3(storage_sandbox), recurse=False)))
        http = SandboxHttpClient(storage_sandbox)
        with Hub([account], http=http) as hub, pytest.raises(AssertionError, match=sentence):
            check(lambda: kit.Subject(hub.storage(), PART))


@pytest.mark.parametrize(
    "vendor, sentence",
    [
        (_DoubleHead, "A look at an object sent HEAD .* twice"),
        (_RewritingVendor, "A whole upload sent PUT"),
    ],
)
def test_repeated_request_is_noticed(vendor: type[S3], sentence: str) -> None:
    """A vendor that repeats requests by itself fails the kit."""
    check = next(check for check in kit.CHECKS if name_of(check) == "each_request_is_sent_once")
    with sandbox() as storage_sandbox:
        account = Account("s3", vendor(**attrs.asdict(s3(storage_sandbox), recurse=False)))
        http = SandboxHttpClient(storage_sandbox)
        with Hub([account], http=http) as hub, pytest.raises(AssertionError, match=sentence):
            check(lambda: kit.Subject(hub.storage(), PART, sandbox=storage_sandbox))


class _RefusingVendor:
    """A faulty vendor that refuses every request for a wrong reason."""

    def __getattr__(self, name: str) -> Any:
        def verb(*value: Any, **keywords: Any) -> Any:
            raise ConfigurationError("never")

        return verb


class _DoubleContainersVendor(S3):
    """A vendor that creates each container twice."""

    async def create_container(self, wire: Wire, name: str, /) -> None:
        await S3.create_container(self, wire, name)
        await S3.create_container(self, wire, name)


class _SilentDeletionsVendor(S3):
    """A vendor that reports every deletion of a container as a success."""

    async def delete_container(self, wire: Wire, name: str, /) -> None:
        with suppress(VendorRejected):
            await S3.delete_container(self, wire, name)


class _EmptyingVendor(S3):
    """A vendor that deletes a container together with its objects."""

    async def delete_container(self, wire: Wire, name: str, /) -> None:
        page = await S3.list(self, wire, "", delimiter=None, cursor=None, limit=1_000)
        await S3.delete_many(self, wire, [entry.key for entry in page.objects])
        await S3.delete_container(self, wire, name)


class _OnePageVendor(S3):
    """A vendor that lists only the first page of containers."""

    async def list_containers(self, wire: Wire, /) -> tuple[Container, ...]:
        return (await S3.list_containers(self, wire))[:2]


class _LostDeletionsVendor(S3):
    """A vendor that sends no deletion of a container."""

    async def delete_container(self, wire: Wire, name: str, /) -> None:
        return


class _StrictCreationsVendor(S3):
    """A vendor that refuses a container that the account has."""

    async def create_container(self, wire: Wire, name: str, /) -> None:
        if any(entry.name == name for entry in await S3.list_containers(self, wire)):
            raise AlreadyExists("The account already has this container.")
        await S3.create_container(self, wire, name)


@pytest.mark.parametrize(
    "check_name, vendor, error, sentence",
    [
        (
            "each_request_is_sent_once",
            _DoubleContainersVendor,
            AssertionError,
            "A creation of a container sent PUT .* twice",
        ),
        (
            "a_container_with_objects_is_kept",
            _SilentDeletionsVendor,
            AssertionError,
            "Deleting a container with objects raised no error",
        ),
        (
            "a_container_with_objects_is_kept",
            _EmptyingVendor,
            AssertionError,
            "Deleting a container with objects raised no error",
        ),
        (
            "containers_come_and_go",
            _OnePageVendor,
            AssertionError,
            "New containers are listed",
        ),
        (
            "containers_come_and_go",
            _LostDeletionsVendor,
            AssertionError,
            "A deleted container is listed",
        ),
        ("containers_come_and_go", _StrictCreationsVendor, AlreadyExists, "has this container"),
    ],
)
def test_wrong_containers_are_noticed(
    check_name: str, vendor: type[S3], error: type[Exception], sentence: str
) -> None:
    """A vendor that mistakes the creation, deletion or list of containers fails the kit."""
    check = next(check for check in kit.CHECKS if name_of(check) == check_name)
    with sandbox() as server:
        account = Account("s3", vendor(**attrs.asdict(s3(server), recurse=False)))
        http = SandboxHttpClient(server)
        with Hub([account], http=http) as hub, pytest.raises(error, match=sentence):
            check(lambda: kit.Subject(hub.storage(), PART, sandbox=server, container=server.bucket))


def test_other_refusals_do_not_pass() -> None:
    """A vendor that refuses a request with another error than expected fails the kit."""
    check = next(check for check in kit.CHECKS if name_of(check) == "bad_keys_are_refused")
    with pytest.raises(AssertionError, match="It raised ConfigurationError"):
        check(lambda: kit.Subject(_RefusingVendor()))


def test_vendor_without_upload_lists_passes_all_other_checks(tmp_path: Path) -> None:
    """A vendor that cannot list uploads passes all other checks."""
    vendor = folder(tmp_path)
    can = vendor.capabilities - {StorageCapability.STALE_UPLOADS}
    with Hub([Account("files", vendor)]) as hub:
        for check in kit.CHECKS:
            if name_of(check) in {"a_failed_upload_leaves_nothing", "uploads_are_resumed"}:
                check(lambda: kit.Subject(hub.storage(), PART, can))


def test_sources_that_break_must_matter() -> None:
    """A vendor that ignores errors of the data source of an upload fails the kit."""

    async def flow() -> None:
        class _VendorIgnoringConditions(_SilentVendor):
            def __getattr__(self, name: str) -> Any:
                async def verb(*value: Any, **keywords: Any) -> Any:
                    return False if name == "exists" else _WrongAttributes()

                return verb

        for check in (kit.a_failed_upload_leaves_nothing, kit.uploads_are_resumed):
            with pytest.raises(AssertionError, match="raised no error"):
                await check(lambda: kit.Subject(_VendorIgnoringConditions()))

    asyncio.run(flow())
