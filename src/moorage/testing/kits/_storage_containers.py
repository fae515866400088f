"""Checks of the operations on containers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from uuid import uuid4

from moorage.contracts.storage import StorageCapability
from moorage.errors import InvalidData, UnsupportedByVendor, VendorRejected
from moorage.testing.kits.checks import require

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from moorage.testing.kits.storage_conformance import Factory

_COUNT: Final = 3
_CONFLICT: Final = 409


async def _require_refusal(call: Awaitable[object]) -> None:
    try:
        await call
    except UnsupportedByVendor:
        return
    raise AssertionError(
        "An operation on containers succeeded although the vendor does not declare the capability."
    )


async def containers_come_and_go(factory: Factory) -> None:
    """Created containers are listed once each, and deleted ones are not; repeats change nothing."""
    subject = factory()
    storage = subject.storage
    if StorageCapability.CONTAINERS not in subject.can:
        await _require_refusal(storage.list_containers())
        return
    names = [f"check-{uuid4().hex}" for _ in range(_COUNT)]
    try:
        for name in (*names, names[0]):
            await storage.create_container(name)
        listed_names = [container.name for container in await storage.list_containers()]
        require(listed_names == sorted(listed_names), "Containers are not in order.")
        counts = [listed_names.count(name) for name in names]
        require(counts == [1] * _COUNT, f"New containers are listed {counts} times.")
    finally:
        for name in (*names, names[0]):
            await storage.delete_container(name)
    remaining_names = {container.name for container in await storage.list_containers()}
    require(remaining_names.isdisjoint(names), "A deleted container is listed.")


async def a_container_with_objects_is_kept(factory: Factory) -> None:
    """A container with objects is not deleted, and its objects stay."""
    subject = factory()
    storage, key = subject.storage, f"check-{uuid4().hex}"
    if StorageCapability.CONTAINERS not in subject.can:
        await _require_refusal(storage.delete_container(key))
        return
    if subject.container is None:
        return
    await storage.upload(key, b"bytes")
    try:
        await storage.delete_container(subject.container)
    except VendorRejected as error:
        require(error.status == _CONFLICT, f"The status of the refusal is {error.status}.")
    else:
        raise AssertionError("Deleting a container with objects raised no error.")
    require(await storage.exists(key), "The refused deletion deleted objects.")


async def names_of_containers_are_checked(factory: Factory) -> None:
    """A name that leads to another place is refused before sending."""
    subject = factory()
    if StorageCapability.CONTAINERS not in subject.can:
        await _require_refusal(subject.storage.create_container(f"check-{uuid4().hex}"))
        return
    for name in ("", "a/b", "../a", "A bucket", "a..b", "abc?x=1"):
        for verb in (subject.storage.create_container, subject.storage.delete_container):
            try:
                await verb(name)
            except InvalidData:
                continue
            raise AssertionError(f"The invalid container name {name!r} was not refused.")


CONTAINERS: Final = (
    containers_come_and_go,
    a_container_with_objects_is_kept,
    names_of_containers_are_checked,
)
