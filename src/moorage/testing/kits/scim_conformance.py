"""Checks for every store of people and groups for a SCIM server.

```python
import pytest

from moorage.scim import MemoryScimStore  # yours
from moorage.testing import name_of, scim_conformance


@pytest.mark.parametrize("check", scim_conformance.CHECKS, ids=name_of)
def test_scim_store(check):
    check(MemoryScimStore)
```

`CHECKS` are for `ScimStore`. `ASYNC_CHECKS` are for `AsyncScimStore`, and awaited. Each takes a
function that makes a store without people and groups. A store need not keep every attribute: only
`userName`, `active`, and the `displayName` and `members` of groups must come back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from moorage.errors import AlreadyExists, StorageUnavailable
from moorage.scim import (
    AsyncScimStore,
    ScimCondition,
    ScimKind,
    ScimResource,
    ScimStore,
    fulfils,
)
from moorage.testing.kits.checks import in_threads, require, sync_check, wait_soon

if TYPE_CHECKING:
    from collections.abc import Awaitable

Factory: TypeAlias = Callable[[], ScimStore]
AsyncFactory: TypeAlias = Callable[[], AsyncScimStore]
Check: TypeAlias = Callable[[Factory], None]
AsyncCheck: TypeAlias = Callable[[AsyncFactory], Coroutine[Any, Any, None]]

_HANGS: Final = "A method of the store does not return."
_MISSING: Final = "moorage-conformance-no-such-id"
_ADA: Final = "Ada.Lovelace@example.com"
_AT_ONCE: Final = 8


def _person_content(name: str = _ADA, **fields: Any) -> dict[str, Any]:
    """Return a person's content as an identity provider sends it."""
    return {
        "userName": name,
        "externalId": f"E-{name}",
        "active": True,
        "name": {"givenName": "Ada", "familyName": "Lovelace"},
        "emails": [{"type": "work", "value": name, "primary": True}],
        **fields,
    }


async def _create(
    store: AsyncScimStore, content: dict[str, Any], kind: ScimKind = ScimKind.USER
) -> ScimResource:
    return await wait_soon(store.create(kind, content), _HANGS)


async def _get(
    store: AsyncScimStore, id_: str, kind: ScimKind = ScimKind.USER
) -> ScimResource | None:
    return await wait_soon(store.get(kind, id_), _HANGS)


async def _existing_resource(store: AsyncScimStore, resource: ScimResource) -> ScimResource:
    stored_resource = await _get(store, resource.id)
    if stored_resource is None:
        raise AssertionError("A person is lost.")
    return stored_resource


def _is_same_version(resource: object, other: ScimResource) -> bool:
    """Return whether two resources are equal versions, ignoring timestamps."""
    if not isinstance(resource, ScimResource):
        return False
    return (resource.id, resource.version, dict(resource.content)) == (
        other.id,
        other.version,
        dict(other.content),
    )


async def _expect_refusal(doing: Awaitable[Any], step: str) -> None:
    try:
        await wait_soon(doing, _HANGS)
    except AlreadyExists:
        return
    raise AssertionError(f"{step} raised no AlreadyExists.")


async def a_person_is_kept(factory: AsyncFactory) -> None:
    """A person gets an id and a version, and is found by id only among people."""
    store = factory()
    person = await _create(store, _person_content())
    require(isinstance(person.id, str) and person.id, "A new person has no id.")
    require(isinstance(person.version, str) and person.version, "A new person has no version.")
    require(person.content.get("userName") == _ADA, "A new person has another userName.")
    require(person.content.get("active") is True, "A new person is not active.")
    require(
        _is_same_version(await _get(store, person.id), person),
        "A person is found with another content.",
    )
    require(await _get(store, _MISSING) is None, "An unknown id is found.")
    group = await _get(store, person.id, ScimKind.GROUP)
    require(group is None, "A person is found among the groups.")
    other_person = await _create(store, _person_content("grace@example.com"))
    require(other_person.id != person.id, "Two people have the same id.")


async def a_group_has_its_members(factory: AsyncFactory) -> None:
    """A group keeps its name and members; a change removes members that it omits."""
    store = factory()
    people = [await _create(store, _person_content(f"{name}@example.com")) for name in ("a", "b")]
    members = [{"value": person.id} for person in people]
    content: dict[str, Any] = {"displayName": "Crew", "members": members}
    group = await _create(store, content, ScimKind.GROUP)
    for expected in (members, members[1:], []):
        resource = await _get(store, group.id, ScimKind.GROUP)
        if resource is None:
            raise AssertionError("A group is lost.")
        ids = sorted(item["value"] for item in resource.content.get("members") or ())
        require(ids == sorted(item["value"] for item in expected), "A group has other members.")
        require(resource.content.get("displayName") == "Crew", "A group has another name.")
        remaining_group = {"displayName": "Crew", "members": expected[1:]}
        await wait_soon(
            store.replace(ScimKind.GROUP, group.id, remaining_group, resource.version), _HANGS
        )
    await _create(store, {"displayName": "Crew"}, ScimKind.GROUP)


async def names_are_unique(factory: AsyncFactory) -> None:
    """Two people cannot have user names that differ only in case."""
    store = factory()
    ada = await _create(store, _person_content())
    grace = await _create(store, _person_content("grace@example.com"))
    for name in (_ADA, _ADA.upper(), _ADA.lower()):
        await _expect_refusal(
            store.create(ScimKind.USER, _person_content(name)), f"The taken name {name}"
        )
        operation = store.replace(ScimKind.USER, grace.id, _person_content(name), grace.version)
        await _expect_refusal(operation, f"A change to the taken name {name}")
    require(
        _is_same_version(await _existing_resource(store, grace), grace),
        "A refused change has an effect.",
    )
    changed_resource = await wait_soon(
        store.replace(ScimKind.USER, ada.id, _person_content(_ADA.upper()), ada.version), _HANGS
    )
    require(
        changed_resource is not None,
        "A person's userName cannot be changed between upper and lower case.",
    )
    matches = await wait_soon(store.find(ScimKind.USER, (), 0, 10), _HANGS)
    require(matches.total == 2, "A refused person is stored.")


async def a_change_needs_the_current_version(factory: AsyncFactory) -> None:
    """A change needs the current version, and creates a new one."""
    store = factory()
    person = await _create(store, _person_content())
    inactive = _person_content(active=False)
    changed_resource = await wait_soon(
        store.replace(ScimKind.USER, person.id, inactive, person.version), _HANGS
    )
    if changed_resource is None:
        raise AssertionError("A change of the current version is refused.")
    require(changed_resource.id == person.id, "A change returns a different id.")
    require(changed_resource.version != person.version, "A change does not change the version.")
    require(changed_resource.content.get("active") is False, "A change is not applied.")
    require(
        _is_same_version(await _existing_resource(store, person), changed_resource),
        "A change is not stored.",
    )
    late_change = await wait_soon(
        store.replace(ScimKind.USER, person.id, _person_content(), person.version), _HANGS
    )
    require(late_change is None, "A change of an older version is applied.")
    require(
        _is_same_version(await _existing_resource(store, person), changed_resource),
        "A late change has an effect.",
    )
    missing_person = await wait_soon(
        store.replace(ScimKind.USER, _MISSING, _person_content("x"), "1"), _HANGS
    )
    require(missing_person is None, "An unknown person is changed.")


async def content_is_replaced(factory: AsyncFactory) -> None:
    """A change replaces the whole content, and removes omitted attributes."""
    store = factory()
    person = await _create(store, _person_content())
    names = set(person.content) - {"userName", "active"}
    smaller_content = {"userName": _ADA, "active": True}
    changed_resource = await wait_soon(
        store.replace(ScimKind.USER, person.id, smaller_content, person.version), _HANGS
    )
    resource = await _existing_resource(store, person)
    require(
        _is_same_version(changed_resource, resource),
        "A change returns different content from what it stores.",
    )
    kept_fields = [name for name in names if resource.content.get(name) not in (None, [], {})]
    require(
        not kept_fields,
        f"A change does not remove the fields that it omits: {', '.join(sorted(kept_fields))}.",
    )


async def passed_content_stays_the_callers(factory: AsyncFactory) -> None:
    """Stored content does not change when the caller later changes the passed object."""
    store = factory()
    content = _person_content()
    person = await _create(store, content)
    content["emails"].clear()
    content["active"] = False
    resource = await _existing_resource(store, person)
    require(_is_same_version(resource, person), "Stored content changes with the caller's.")
    require(resource.content.get("active") is True, "Stored content changes with the caller's.")


async def a_deleted_person_is_gone(factory: AsyncFactory) -> None:
    """A person can be deleted only with the current version, and is then not found."""
    store = factory()
    person = await _create(store, _person_content())
    other_person = await _create(store, _person_content("grace@example.com"))
    changed_resource = await wait_soon(
        store.replace(ScimKind.USER, person.id, _person_content(active=False), person.version),
        _HANGS,
    )
    if changed_resource is None:
        raise AssertionError("A change of the current version is refused.")
    late_deletion = await wait_soon(store.delete(ScimKind.USER, person.id, person.version), _HANGS)
    require(late_deletion is False, "A person is deleted in an older version.")
    require(
        _is_same_version(await _existing_resource(store, person), changed_resource),
        "A refused deletion has an effect.",
    )
    is_deleted = await wait_soon(
        store.delete(ScimKind.USER, person.id, changed_resource.version), _HANGS
    )
    require(is_deleted is True, "A person is not deleted.")
    require(await _get(store, person.id) is None, "A deleted person is found.")
    matches = await wait_soon(store.find(ScimKind.USER, (), 0, 10), _HANGS)
    ids = [item.id for item in matches.items]
    require((matches.total, ids) == (1, [other_person.id]), "A deleted person is listed.")
    for missing_id in (person.id, _MISSING):
        is_deleted = await wait_soon(store.delete(ScimKind.USER, missing_id, None), _HANGS)
        require(is_deleted is False, "A person who does not exist any more can be deleted again.")
    is_deleted = await wait_soon(store.delete(ScimKind.USER, other_person.id, None), _HANGS)
    require(is_deleted is True, "A person is not deleted in any version.")


async def pages_have_everybody_once(factory: AsyncFactory) -> None:
    """Pages of any length list everybody once, in a stable order, with the total."""
    store = factory()
    ids = {
        (await _create(store, _person_content(f"p{number}@example.com"))).id for number in range(5)
    }
    await _create(store, {"displayName": "Crew"}, ScimKind.GROUP)
    for count in (1, 2, 10):
        for _ in range(2):
            listed_ids: list[str] = []
            for start in range(0, 5 + count, count):
                page = await wait_soon(store.find(ScimKind.USER, (), start, count), _HANGS)
                require(page.total == 5, "A page states a different total number.")
                require(len(page.items) <= count, "A page is too long.")
                listed_ids += [item.id for item in page.items]
            require(len(listed_ids) == len(ids), "The pages repeat or omit a person.")
            require(set(listed_ids) == ids, "The pages contain different people.")
    empty = await wait_soon(store.find(ScimKind.USER, (), 0, 0), _HANGS)
    require((empty.total, len(empty.items)) == (5, 0), "A page without people is wrong.")


async def filters_find_whom_they_name(factory: AsyncFactory) -> None:
    """A filter finds exactly the resources that match all its conditions."""
    store = factory()
    for number, name in enumerate(("a@example.com", "B@example.com", "a%@example.com")):
        await _create(store, _person_content(name, active=number != 1))
    everybody = (await wait_soon(store.find(ScimKind.USER, (), 0, 10), _HANGS)).items
    conditions = [
        ScimCondition(path=("userName",), value="a@example.com"),
        ScimCondition(path=("userName",), value="b@EXAMPLE.com"),
        ScimCondition(path=("userName",), value="a%@example.com"),
        ScimCondition(path=("userName",), value="%"),
        ScimCondition(path=("userName",), value="' OR 1=1 --"),
        ScimCondition(path=("externalId",), value="E-a@example.com"),
        ScimCondition(path=("externalId",), value="e-A@example.com"),
        ScimCondition(path=("active",), value=False),
        ScimCondition(path=("active",), value=True),
        ScimCondition(path=("id",), value=everybody[0].id),
        ScimCondition(path=("emails", "value"), value="a@example.com"),
        *(
            ScimCondition(
                path=("emails", "value"),
                value="a@example.com",
                same_entry=(ScimCondition(path=("type",), value=kind),),
            )
            for kind in ("work", "home")
        ),
    ]
    pairs = [(condition,) for condition in conditions] + [(conditions[0], conditions[7])]
    pairs.append((conditions[0], conditions[8]))
    for pair in pairs:
        expected = {item.id for item in everybody if fulfils({**item.content, "id": item.id}, pair)}
        page = await wait_soon(store.find(ScimKind.USER, pair, 0, 10), _HANGS)
        words = " and ".join(
            f"{'.'.join(condition.path)} eq {condition.value!r}" for condition in pair
        )
        require({item.id for item in page.items} == expected, f"The filter {words} is wrong.")
        require(page.total == len(expected), f"The number of matches of {words} is wrong.")


async def changes_at_once_are_one(factory: AsyncFactory) -> None:
    """Of concurrent changes to one version, or creations with one name, only one succeeds."""
    store = factory()
    person = await _create(store, _person_content())
    names = [f"p{number}@example.com" for number in range(_AT_ONCE)]
    changes = [
        store.replace(ScimKind.USER, person.id, _person_content(name), person.version)
        for name in names
    ]
    results = await wait_soon(asyncio.gather(*changes, return_exceptions=True), _HANGS)
    changed_people = [item for item in results if item is not None and not _is_outage(item)]
    require(
        len(changed_people) == 1, f"Of changes at the same time {len(changed_people)} are applied."
    )
    require(
        _is_same_version(changed_people[0], await _existing_resource(store, person)),
        "Another change is stored.",
    )
    creations = [
        store.create(ScimKind.USER, _person_content("new@example.com")) for _ in range(_AT_ONCE)
    ]
    results = await wait_soon(asyncio.gather(*creations, return_exceptions=True), _HANGS)
    created_resources = [
        item for item in results if not isinstance(item, AlreadyExists | StorageUnavailable)
    ]
    require(
        len(created_resources) == 1,
        f"A name is taken {len(created_resources)} times at the same time.",
    )


def _is_outage(result: object) -> bool:
    """Return whether a call failed because the store was busy; raise other errors."""
    if isinstance(result, BaseException) and not isinstance(result, StorageUnavailable):
        raise result
    return isinstance(result, StorageUnavailable)


ASYNC_CHECKS: Final[tuple[AsyncCheck, ...]] = (
    a_person_is_kept,
    a_group_has_its_members,
    names_are_unique,
    a_change_needs_the_current_version,
    content_is_replaced,
    passed_content_stays_the_callers,
    a_deleted_person_is_gone,
    pages_have_everybody_once,
    filters_find_whom_they_name,
    changes_at_once_are_one,
)
CHECKS: Final[tuple[Check, ...]] = tuple(sync_check(check, in_threads) for check in ASYNC_CHECKS)
