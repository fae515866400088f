"""Example calls to directories of people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.people import NewPerson, PeopleCapability, PersonChanges
from moorage.contracts.ref import Ref

if TYPE_CHECKING:
    from moorage.contracts.people import GroupPage, MemberPage, Person, PersonPage
    from moorage.testing.sandbox_scenarios.runner import Scenario, ScenarioVendor

PASSWORD: Final = "Correct horse 42 battery staple"  # noqa: S105 - of no use elsewhere


def ada(name: str = "ada", **fields: Any) -> NewPerson:
    """Return a new person with this user name and these fields."""
    return NewPerson(
        user_name=f"{name}@example.com",
        given_name="Ada",
        family_name="Lovelace",
        external_id=f"E-{name}",
        **fields,
    )


async def create_account(vendor: ScenarioVendor, name: str = "ada", **fields: Any) -> Person:
    """Create the account of a person."""
    person: Person = await vendor("create", ada(name, **fields), password=PASSWORD)
    return person


async def find_account(vendor: ScenarioVendor) -> Any:
    """Create an account, and find it in a list."""
    await create_account(vendor)
    page: PersonPage = await vendor("find")
    return [person.external_id for person in page.items]


async def read_account(vendor: ScenarioVendor) -> Any:
    """Create an account, and read it."""
    person: Person = await vendor("get", (await create_account(vendor)).ref)
    return person.user_name


async def account(vendor: ScenarioVendor) -> Any:
    """Create an account."""
    return (await create_account(vendor)).user_name


async def change_account(vendor: ScenarioVendor) -> Any:
    """Change the title and the addresses of an account."""
    ref = (await create_account(vendor, emails=["ada@example.com", "countess@example.com"])).ref
    changes = PersonChanges(title="Analyst", emails=["ada@example.com"])
    await vendor("change", ref, changes)
    return (await vendor("get", ref)).title


async def deactivate_account(vendor: ScenarioVendor) -> Any:
    """Deactivate an account."""
    ref = (await create_account(vendor)).ref
    await vendor("deactivate", ref)
    return (await vendor("get", ref)).active is False


async def reactivate_account(vendor: ScenarioVendor) -> Any:
    """Reactivate an account."""
    ref = (await create_account(vendor, active=False)).ref
    await vendor("reactivate", ref)
    return (await vendor("get", ref)).active


async def delete_account(vendor: ScenarioVendor) -> Any:
    """Delete an account."""
    await vendor("delete", (await create_account(vendor)).ref)
    page: PersonPage = await vendor("find")
    return not page.items


async def manage_group(vendor: ScenarioVendor) -> Any:
    """Find a group, add a person to it, and remove the person."""
    if not vendor.is_supported:
        return await vendor("groups")
    person = await create_account(vendor)
    page: GroupPage = await vendor("groups")
    group = page.items[0].ref
    await vendor("add_member", group, person.ref)
    members: MemberPage = await vendor("members", group)
    await vendor("remove_member", group, person.ref)
    return [member.kind for member in members.items]


async def create_managed_account(vendor: ScenarioVendor) -> Any:
    """Create the account of a person with a manager."""
    if not vendor.is_supported:
        manager = Ref.parse(f"{vendor.name}:{vendor.name}:1")
    else:
        manager = (await create_account(vendor, "charles")).ref
    return (await create_account(vendor, manager=manager)).manager is not None


async def create_zoned_account(vendor: ScenarioVendor) -> Any:
    """Create the account of a person with a time zone."""
    return (await create_account(vendor, time_zone="Europe/London")).time_zone


async def change_version(vendor: ScenarioVendor) -> Any:
    """Change an account only if it still has a given version."""
    if not vendor.is_supported:
        ref, version = Ref.parse(f"{vendor.name}:{vendor.name}:1"), "1"
    else:
        person = await create_account(vendor)
        ref, version = person.ref, str(person.version)
    await vendor("change", ref, PersonChanges(title="Analyst"), version=version)
    return (await vendor("get", ref)).title


BASIC: Final[dict[str, Scenario]] = {
    "find": find_account,
    "get": read_account,
    "create": account,
    "change": change_account,
    "deactivate": deactivate_account,
    "reactivate": reactivate_account,
    "delete": delete_account,
}

BY_CAPABILITY: Final[dict[str, Scenario]] = {
    PeopleCapability.GROUPS: manage_group,
    PeopleCapability.MANAGER: create_managed_account,
    PeopleCapability.TIME_ZONE: create_zoned_account,
    PeopleCapability.VERSION: change_version,
}
