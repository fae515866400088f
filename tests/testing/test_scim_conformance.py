"""The conformance kit for SCIM stores passes correct stores, and finds faulty ones."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage import AlreadyExists, StorageUnavailable
from moorage.scim import (
    AsyncMemoryScimStore,
    MemoryScimStore,
    ScimKind,
    ScimMatches,
    ScimResource,
)
from moorage.testing import name_of
from moorage.testing import scim_conformance as kit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PLAIN = {name_of(check): check for check in kit.CHECKS}
AWAITED = {name_of(check): check for check in kit.ASYNC_CHECKS}


class _SmallStore(MemoryScimStore):
    """A correct store that keeps only the required data."""

    def create(self, kind: ScimKind, content: Mapping[str, Any], /) -> ScimResource:
        return super().create(kind, _kept_attributes(content))

    def replace(
        self, kind: ScimKind, id: str, content: Mapping[str, Any], version: str, /
    ) -> ScimResource | None:
        return super().replace(kind, id, _kept_attributes(content), version)


def _kept_attributes(content: Mapping[str, Any]) -> dict[str, Any]:
    names = ("userName", "active", "displayName", "members")
    return {name: content[name] for name in names if name in content}


class _BusyStore(MemoryScimStore):
    """A correct store that raises StorageUnavailable for some version conflicts."""

    def replace(
        self, kind: ScimKind, id: str, content: Mapping[str, Any], version: str, /
    ) -> ScimResource | None:
        changed_resource = super().replace(kind, id, content, version)
        if changed_resource is None and content["userName"].startswith("p"):
            raise StorageUnavailable("The store is busy.")
        return changed_resource


@pytest.mark.parametrize("store", [MemoryScimStore, _SmallStore, _BusyStore])
@pytest.mark.parametrize("check", kit.CHECKS, ids=name_of)
def test_good_stores_conform(check: kit.Check, store: kit.Factory) -> None:
    """Correct stores pass all checks, even if they keep little data or are busy."""
    check(store)


@pytest.mark.parametrize("check", kit.ASYNC_CHECKS, ids=name_of)
def test_asynchronous_store_conforms(check: kit.AsyncCheck) -> None:
    """An asynchronous store passes all checks."""
    asyncio.run(check(AsyncMemoryScimStore))


class _KindBlindStore(MemoryScimStore):
    """A faulty store that does not distinguish people from groups."""

    def get(self, kind: ScimKind, id: str, /) -> ScimResource | None:
        return super().get(ScimKind.USER, id) or super().get(ScimKind.GROUP, id)


class _StoresNoPeopleStore(MemoryScimStore):
    """A faulty store that does not store new people."""

    def get(self, kind: ScimKind, id: str, /) -> ScimResource | None:
        return None if kind is ScimKind.USER else super().get(kind, id)


class _GroupsLostStore(MemoryScimStore):
    """A faulty store that loses groups."""

    def get(self, kind: ScimKind, id: str, /) -> ScimResource | None:
        return None if kind is ScimKind.GROUP else super().get(kind, id)


class _AcceptsEqualNamesStore(MemoryScimStore):
    """A faulty store that accepts two people with one name."""

    def _check_unique(self, kind: ScimKind, id: str, content: Mapping[str, Any]) -> None: ...


class _CaseSensitiveStore(MemoryScimStore):
    """A faulty store that compares names case-sensitively."""

    def _check_unique(self, kind: ScimKind, id: str, content: Mapping[str, Any]) -> None:
        for other in self._resources.values():
            if other.id != id and other.content.get("userName") == content.get("userName"):
                raise AlreadyExists("Another person has this userName.")


class _ChangesAnyVersionStore(MemoryScimStore):
    """A faulty store that changes a person whatever the version."""

    def replace(
        self, kind: ScimKind, id: str, content: Mapping[str, Any], version: str, /
    ) -> ScimResource | None:
        current = self.get(kind, id)
        current_version = version if current is None else current.version
        return super().replace(kind, id, content, current_version)


class _ConstantVersionStore(MemoryScimStore):
    """A faulty store whose versions do not change."""

    def replace(
        self, kind: ScimKind, id: str, content: Mapping[str, Any], version: str, /
    ) -> ScimResource | None:
        changed_resource = super().replace(kind, id, content, version)
        return changed_resource and attrs.evolve(changed_resource, version=version)


class _KeepsLeftOutAttributesStore(MemoryScimStore):
    """A faulty store that keeps attributes which a replacement leaves out."""

    def replace(
        self, kind: ScimKind, id: str, content: Mapping[str, Any], version: str, /
    ) -> ScimResource | None:
        current = self.get(kind, id)
        merged = {**({} if current is None else current.content), **content}
        return super().replace(kind, id, merged, version)


class _IgnoresChangesStore(MemoryScimStore):
    """A faulty store that ignores every change."""

    def replace(
        self, kind: ScimKind, id: str, content: Mapping[str, Any], version: str, /
    ) -> ScimResource | None:
        return None


class _StoresCallersObjectsStore(MemoryScimStore):
    """A faulty store that stores its caller's mutable objects without copying them."""

    def create(self, kind: ScimKind, content: Mapping[str, Any], /) -> ScimResource:
        resource = attrs.evolve(super().create(kind, content), content=content)
        self._resources[kind, resource.id] = resource
        return resource


class _DeletesAnyVersionStore(MemoryScimStore):
    """A faulty store that deletes a person whatever the version."""

    def delete(self, kind: ScimKind, id: str, version: str | None, /) -> bool:
        return super().delete(kind, id, None)


class _FakeDeletionStore(MemoryScimStore):
    """A faulty store that reports a deletion without deleting."""

    def delete(self, kind: ScimKind, id: str, version: str | None, /) -> bool:
        current = self.get(kind, id)
        return current is not None and version in {None, current.version}


class _OffByOneStore(MemoryScimStore):
    """A faulty store that counts entries from one, so that its pages start one entry too early."""

    def find(self, kind: ScimKind, conditions: Any, start: int, count: int, /) -> ScimMatches:
        return super().find(kind, conditions, max(0, start - 1), count)


class _PageTotalsStore(MemoryScimStore):
    """A faulty store that reports a page's number of people as the total."""

    def find(self, kind: ScimKind, conditions: Any, start: int, count: int, /) -> ScimMatches:
        page = super().find(kind, conditions, start, count)
        return attrs.evolve(page, total=len(page.items))


class _FirstConditionStore(MemoryScimStore):
    """A faulty store that reads only the first condition of a filter."""

    def find(self, kind: ScimKind, conditions: Any, start: int, count: int, /) -> ScimMatches:
        return super().find(kind, conditions[:1], start, count)


class _UnfilteredStore(MemoryScimStore):
    """A faulty store that ignores filters."""

    def find(self, kind: ScimKind, conditions: Any, start: int, count: int, /) -> ScimMatches:
        return super().find(kind, (), start, count)


WRONG: list[tuple[str, Callable[[], Any], str]] = [
    ("a_person_is_kept", _KindBlindStore, "among the groups"),
    ("a_person_is_kept", _StoresNoPeopleStore, "with another content"),
    ("a_group_has_its_members", _GroupsLostStore, "A group is lost"),
    ("a_group_has_its_members", _IgnoresChangesStore, "other members"),
    ("names_are_unique", _AcceptsEqualNamesStore, "raised no AlreadyExists"),
    ("names_are_unique", _CaseSensitiveStore, "raised no AlreadyExists"),
    ("a_change_needs_the_current_version", _ChangesAnyVersionStore, "older version is applied"),
    (
        "a_change_needs_the_current_version",
        _ConstantVersionStore,
        "A change does not change the version",
    ),
    ("a_change_needs_the_current_version", _IgnoresChangesStore, "current version is refused"),
    (
        "content_is_replaced",
        _KeepsLeftOutAttributesStore,
        "A change does not remove the fields that it omits:",
    ),
    ("content_is_replaced", _StoresNoPeopleStore, "A person is lost"),
    ("passed_content_stays_the_callers", _StoresCallersObjectsStore, "changes with the caller's"),
    ("a_deleted_person_is_gone", _DeletesAnyVersionStore, "deleted in an older version"),
    ("a_deleted_person_is_gone", _FakeDeletionStore, "A deleted person is found"),
    ("a_deleted_person_is_gone", _IgnoresChangesStore, "current version is refused"),
    ("pages_have_everybody_once", _OffByOneStore, "The pages repeat or omit a person"),
    ("pages_have_everybody_once", _PageTotalsStore, "A page states a different total number"),
    ("filters_find_whom_they_name", _FirstConditionStore, "The filter .* and .* is wrong"),
    ("filters_find_whom_they_name", _UnfilteredStore, "is wrong"),
    ("changes_at_once_are_one", _ChangesAnyVersionStore, "are applied"),
    ("changes_at_once_are_one", _AcceptsEqualNamesStore, "is taken 8 times"),
]


@pytest.mark.parametrize("check, store, sentence", WRONG)
def test_check_fails_for_a_faulty_store(check: str, store: kit.Factory, sentence: str) -> None:
    """A SCIM store with one fault fails the check that looks for this fault."""
    with pytest.raises(AssertionError, match=sentence):
        PLAIN[check](store)


class _TwoStepChangeStore(AsyncMemoryScimStore):
    """A faulty asynchronous store that pauses between the version check and the change."""

    async def replace(
        self, kind: ScimKind, id: str, content: Mapping[str, Any], version: str, /
    ) -> ScimResource | None:
        current = await self.get(kind, id)
        if current is None or current.version != version:
            return None
        await asyncio.sleep(0)
        now = await self.get(kind, id)
        return await super().replace(kind, id, content, version if now is None else now.version)


def test_check_fails_for_a_store_that_compares_versions_outside_its_transaction() -> None:
    """A store that compares versions outside its transaction fails the check."""
    with pytest.raises(AssertionError, match="8 are applied"):
        asyncio.run(AWAITED["changes_at_once_are_one"](_TwoStepChangeStore))


def test_errors_of_a_store_are_raised() -> None:
    """If a store raises an error outside its interface, the check passes it on unchanged."""

    class FailingScimStore(MemoryScimStore):
        def replace(self, *_: Any) -> ScimResource | None:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        PLAIN["changes_at_once_are_one"](FailingScimStore)
