"""The values of the CRM contract refuse what no vendor could save, and hide personal data."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Final

import pytest

from moorage import Hub, InvalidData, Money
from moorage.contracts.crm import (
    CrmCapability,
    CrmCompany,
    CrmCompanyQuery,
    CrmNote,
    CrmPerson,
    CrmPersonQuery,
    Deal,
    check_fits,
    check_type,
)
from moorage.contracts.ref import Ref
from moorage.contracts.routes import Account
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.testing.sandboxes.crm.hubspot import REFERENCE, HubSpotSandbox
from moorage.vendors.crm.hubspot import HubSpot

if TYPE_CHECKING:
    from collections.abc import Callable

PERSON: Final = Ref("hubspot", "sales", "1", {"type": "person"})
COMPANY: Final = Ref("hubspot", "sales", "2", {"type": "company"})
AT: Final = datetime(2031, 5, 6, tzinfo=UTC)
DEAL: Final[dict[str, Any]] = {
    "name": "100 buoys",
    "reference": "O-7",
    "stage": "won",
    "closes_on": date(2031, 6, 30),
}


def deal(**fields: Any) -> Deal:
    """Return a deal with these fields, and with valid values of all others that it needs."""
    return Deal(**{**DEAL, **fields})


@pytest.mark.parametrize(
    "make, field",
    [
        (lambda: CrmPerson(family_name="King"), "reference"),
        (lambda: CrmPerson(family_name=" ", reference="C-1"), "family_name"),
        (lambda: CrmPerson(family_name="King", reference=""), "reference"),
        (lambda: CrmPerson(family_name="King", email="Ada <ada@example.com>"), "email"),
        (lambda: CrmPerson(family_name="King", email="ada"), "email"),
        (lambda: CrmPerson(family_name="King", email="@example.com"), "email"),
        (lambda: CrmPerson(family_name="King", reference="C-1", company=PERSON), "company"),
        (lambda: CrmCompany(name="", reference="C-1"), "name"),
        (lambda: CrmCompany(name="Harbour", reference=""), "reference"),
        (lambda: deal(closes_on=AT), "closes_on"),
        (lambda: deal(stage=" "), "stage"),
        (lambda: deal(amount="1.00"), "amount"),
        (lambda: deal(person=COMPANY), "person"),
        (lambda: deal(company="hubspot:sales:1?type=person"), "company"),
        (lambda: CrmNote(text=" ", at=AT), "text"),
        (lambda: CrmNote(text="Paid.", at=AT.replace(tzinfo=None)), "at"),
        (lambda: CrmNote(text="Paid.", at=date(2031, 5, 6)), "at"),  # type: ignore[arg-type]  # on purpose
        (lambda: CrmPersonQuery(reference="C-1", email="ada@example.com"), "reference"),
        (lambda: CrmCompanyQuery(reference="C-1", name="Harbour"), "reference"),
    ],
)
def test_values_that_no_vendor_could_save_are_refused(
    make: Callable[[], object], field: str
) -> None:
    """A value without an identity, or with an invalid field, names the field that is wrong."""
    with pytest.raises(InvalidData) as excinfo:
        make()

    assert field == excinfo.value.field


def test_text_of_a_reference_becomes_a_reference() -> None:
    """References may be given as text, as an application stores them."""
    saved_deal = deal(company=str(COMPANY), person=str(PERSON))

    assert (COMPANY, PERSON) == (saved_deal.company, saved_deal.person)


def test_reference_without_a_type_is_accepted() -> None:
    """A vendor whose ids are unique among all types need not name the type."""
    ref = Ref("acme", "sales", "1")

    assert ref is check_type(ref, "person")


def test_capabilities_follow_from_the_fields() -> None:
    """A person without a reference needs to be matched by email, and a deal of a person a link."""
    by_email = CrmPerson(family_name="King", email="ada@example.com")
    by_reference = CrmPerson(family_name="King", email="ada@example.com", reference="C-1")

    assert {CrmCapability.MATCH_EMAIL} == by_email.needs
    assert frozenset() == by_reference.needs
    assert {CrmCapability.DEAL_PEOPLE} == deal(person=PERSON).needs
    assert frozenset() == deal(company=COMPANY, amount=Money(1, "EUR")).needs


def test_note_without_a_limit_fits() -> None:
    """A vendor without a limit takes a note of any length."""
    note = CrmNote(text="a" * 100_000, at=AT)

    check_fits(note, {})
    with pytest.raises(InvalidData, match="100000 characters"):
        check_fits(note, {"note": 65_536})


@pytest.mark.parametrize(
    "operation, arguments, field",
    [
        ("save_person", [CrmCompany(name="Harbour", reference="C-1")], "person"),
        ("save_company", [{"name": "Harbour"}], "company"),
        ("save_deal", [None], "deal"),
        ("find_people", [CrmCompanyQuery()], "query"),
        ("find_companies", [CrmPersonQuery()], "query"),
        ("add_note", [COMPANY, "Paid."], "note"),
        ("move_deal", ["hubspot:sales:3?type=deal", " "], "stage"),
        ("move_deal", ["hubspot:sales:3?type=deal", 7], "stage"),
        ("move_deal", [PERSON, "won"], "ref"),
        ("get_deal", [COMPANY], "ref"),
        ("add_note", ["hubspot:sales:4?type=note", CrmNote(text="Paid.", at=AT)], "ref"),
    ],
)
def test_wrong_arguments_are_refused_before_sending(
    operation: str, arguments: list[Any], field: str
) -> None:
    """An argument of a wrong type names its field, and nothing is sent."""
    sandbox = HubSpotSandbox()
    vendor = HubSpot(credentials=sandbox.token, reference_property=REFERENCE)
    with (
        Hub([Account("sales", vendor)], http=SandboxHttpClient(sandbox)) as hub,
        pytest.raises(InvalidData) as excinfo,
    ):
        getattr(hub.crm(), operation)(*arguments)

    assert field == excinfo.value.field
    assert [] == sandbox.requests
