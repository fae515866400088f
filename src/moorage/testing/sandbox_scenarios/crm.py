"""Example calls to CRMs."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.crm import (
    CrmCapability,
    CrmCompany,
    CrmCompanyQuery,
    CrmNote,
    CrmPerson,
    CrmPersonQuery,
    Deal,
)
from moorage.contracts.ref import Ref
from moorage.domain.values.money import Money

if TYPE_CHECKING:
    from moorage.contracts.crm import CrmReceipt
    from moorage.testing.sandbox_scenarios.runner import Scenario, ScenarioVendor


def ada(**fields: Any) -> CrmPerson:
    """Return a person to save."""
    defaults: dict[str, Any] = {
        "family_name": "Lovelace",
        "given_name": "Ada",
        "reference": "C-1815",
        "email": "ada@example.com",
    }
    return CrmPerson(**{**defaults, **fields})


def harbour(**fields: Any) -> CrmCompany:
    """Return a company to save."""
    defaults: dict[str, Any] = {"name": "Harbour Ltd", "reference": "C-1042"}
    return CrmCompany(**{**defaults, **fields})


def offer(stage: str, **fields: Any) -> Deal:
    """Return a deal to save, at this stage."""
    defaults: dict[str, Any] = {
        "stage": stage,
        "name": "100 buoys",
        "reference": "O-7",
        "closes_on": date(2031, 6, 30),
        "amount": Money("1499.90", "EUR"),
    }
    return Deal(**{**defaults, **fields})


def paid(text: str = "Paid.") -> CrmNote:
    """Return a note to add."""
    return CrmNote(text=text, at=datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC))


def stages(vendor: ScenarioVendor) -> tuple[str, ...]:
    """Return the stages of the vendor's sandbox: an open one, a won one and a lost one."""
    return getattr(vendor.fixture.sandbox, "stages", ("open", "won", "lost"))


async def save_deal(vendor: ScenarioVendor, **fields: Any) -> CrmReceipt:
    """Save a deal at the first open stage."""
    receipt: CrmReceipt = await vendor("save_deal", offer(stages(vendor)[0], **fields))
    return receipt


async def person(vendor: ScenarioVendor) -> Any:
    """Save a person."""
    return (await vendor("save_person", ada())).ref


async def read_person(vendor: ScenarioVendor) -> Any:
    """Save a person, and read the person."""
    return (await vendor("get_person", await person(vendor))).family_name


async def find_person(vendor: ScenarioVendor) -> Any:
    """Save a person, and find the person by the reference and the email address."""
    await person(vendor)
    queries = (CrmPersonQuery(reference="C-1815"), CrmPersonQuery(email="ada@example.com"), None)
    pages = [await vendor("find_people", query) for query in queries]
    return all(page.items for page in pages)


async def company(vendor: ScenarioVendor) -> Any:
    """Save a company."""
    return (await vendor("save_company", harbour())).ref


async def read_company(vendor: ScenarioVendor) -> Any:
    """Save a company, and read it."""
    return (await vendor("get_company", await company(vendor))).name


async def find_company(vendor: ScenarioVendor) -> Any:
    """Save a company, and find it by the reference and the name."""
    await company(vendor)
    queries = (CrmCompanyQuery(reference="C-1042"), CrmCompanyQuery(name="Harbour Ltd"), None)
    pages = [await vendor("find_companies", query) for query in queries]
    return all(page.items for page in pages)


async def deal(vendor: ScenarioVendor) -> Any:
    """Save a person's company and a deal of the company."""
    company_ref = await company(vendor)
    await vendor("save_person", ada(company=company_ref))
    return (await save_deal(vendor, company=company_ref)).ref


async def read_deal(vendor: ScenarioVendor) -> Any:
    """Save a deal, and read it."""
    return (await vendor("get_deal", await deal(vendor))).name


async def move_deal(vendor: ScenarioVendor) -> Any:
    """Save a deal, and move it to the stage of won deals."""
    ref = await deal(vendor)
    return (await vendor("move_deal", ref, stages(vendor)[1])).ref


async def note(vendor: ScenarioVendor) -> Any:
    """Save a company, and add a note to it."""
    added = await vendor("add_note", await company(vendor), paid("Invoice 42 is paid."))
    return added.ref


async def save_by_email(vendor: ScenarioVendor) -> Any:
    """Save a person who has only an email address, twice."""
    refs = [(await vendor("save_person", ada(reference=None))).ref for _ in range(2)]
    return refs[0] == refs[1]


async def deal_of_person(vendor: ScenarioVendor) -> Any:
    """Save a deal of a person."""
    if not vendor.is_supported:
        ref = Ref.parse(f"{vendor.name}:{vendor.name}:1?type=person")
    else:
        ref = await person(vendor)
    receipt = await save_deal(vendor, person=ref)
    return (await vendor("get_deal", receipt.ref)).people == (ref,)


BASIC: Final[dict[str, Scenario]] = {
    "save_person": person,
    "get_person": read_person,
    "find_people": find_person,
    "save_company": company,
    "get_company": read_company,
    "find_companies": find_company,
    "save_deal": deal,
    "get_deal": read_deal,
    "move_deal": move_deal,
    "add_note": note,
}

BY_CAPABILITY: Final[dict[str, Scenario]] = {
    CrmCapability.MATCH_EMAIL: save_by_email,
    CrmCapability.DEAL_PEOPLE: deal_of_person,
}
