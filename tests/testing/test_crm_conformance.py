"""The conformance kit of CRMs passes a vendor without options, and finds faulty vendors."""

from __future__ import annotations

from html import unescape
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage import vendor_sdk as sdk
from moorage.contracts.crm import (
    CrmCompanyPage,
    CrmCompanyQuery,
    CrmPersonPage,
    CrmPersonQuery,
    DealState,
)
from moorage.domain.values.money import Money
from moorage.errors import ConnectorError, OutcomeUnknown, VendorFailed, VendorRejected
from moorage.testing import crm_conformance as kit
from moorage.testing import name_of
from moorage.vendors.crm.hubspot import HubSpot
from tests.vendors.crm_subjects import hubspot

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.contracts.crm import (
        CrmCompany,
        CrmCompanyRecord,
        CrmNote,
        CrmPerson,
        CrmPersonRecord,
        CrmReceipt,
        Deal,
        DealRecord,
    )
    from moorage.contracts.ref import Ref
    from moorage.contracts.wire import Wire
    from moorage.domain.http.requests import Request

FAULTY_VENDORS: dict[type[HubSpot], str] = {}
"""The faulty vendors, each with the name of a check that must find it."""


def found_by(check: str) -> Callable[[type[HubSpot]], type[HubSpot]]:
    """Return a decorator that registers a faulty vendor with a check that must find it."""

    def register(kind: type[HubSpot]) -> type[HubSpot]:
        FAULTY_VENDORS[kind] = check
        return kind

    return register


class _LesserVendor(HubSpot):
    """A correct vendor without any optional feature."""

    capabilities = frozenset()


class _ChangesRequestVendor(HubSpot):
    """A faulty vendor that sends other requests than it should."""

    def change(self, request: Request) -> Request:
        """Return the changed request."""
        return request

    def wire_of(self, wire: Wire) -> Any:
        """Return a wire that changes each request before it is sent."""
        vendor = self

        class ChangedWire:
            def __getattr__(self, name: str) -> Any:
                return getattr(wire, name)

            async def send(self, request: Request, **options: Any) -> Any:
                return await wire.send(vendor.change(request), **options)

        return ChangedWire()

    async def save_person(self, wire: Wire, person: CrmPerson, /, *, key: str | None) -> CrmReceipt:
        return await super().save_person(self.wire_of(wire), person, key=key)

    async def save_company(
        self, wire: Wire, company: CrmCompany, /, *, key: str | None
    ) -> CrmReceipt:
        return await super().save_company(self.wire_of(wire), company, key=key)

    async def save_deal(self, wire: Wire, deal: Deal, /, *, key: str | None) -> CrmReceipt:
        return await super().save_deal(self.wire_of(wire), deal, key=key)

    async def add_note(
        self, wire: Wire, ref: Ref, note: CrmNote, /, *, key: str | None
    ) -> CrmReceipt:
        return await super().add_note(self.wire_of(wire), ref, note, key=key)


@found_by("a_person_is_saved_once")
class _CreatesAgainVendor(HubSpot):
    """A faulty vendor that saves each person under a new reference."""

    async def save_person(self, wire: Wire, person: CrmPerson, /, *, key: str | None) -> CrmReceipt:
        new_person = attrs.evolve(person, reference=wire.new_id(), email=None)
        return await super().save_person(wire, new_person, key=key)


@found_by("a_person_is_saved_once")
class _EmptiesFieldsVendor(HubSpot):
    """A faulty vendor that empties the fields that have no value."""

    async def save_person(self, wire: Wire, person: CrmPerson, /, *, key: str | None) -> CrmReceipt:
        emptied = {} if person.title else {"hubspot": {"jobtitle": ""}}
        return await super().save_person(wire, attrs.evolve(person, extra=emptied), key=key)


@found_by("a_person_is_saved_once")
class _NeverNewVendor(HubSpot):
    """A faulty vendor that reports each saved person as updated."""

    async def save_person(self, wire: Wire, person: CrmPerson, /, *, key: str | None) -> CrmReceipt:
        receipt = await super().save_person(wire, person, key=key)
        return attrs.evolve(receipt, created=False)


@found_by("a_person_is_saved_once")
class _DropsCompanyVendor(HubSpot):
    """A faulty vendor that does not link a person to the company."""

    async def save_person(self, wire: Wire, person: CrmPerson, /, *, key: str | None) -> CrmReceipt:
        return await super().save_person(wire, attrs.evolve(person, company=None), key=key)


@found_by("a_person_is_matched_by_email")
class _MatchesNobodyVendor(HubSpot):
    """A faulty vendor that invents a reference for a person who has none."""

    async def save_person(self, wire: Wire, person: CrmPerson, /, *, key: str | None) -> CrmReceipt:
        reference = person.reference or wire.new_id()
        new_person = attrs.evolve(person, reference=reference, email=None)
        return await super().save_person(wire, new_person, key=key)


@found_by("a_taken_email_is_refused")
class _TakesOverVendor(HubSpot):
    """A faulty vendor that matches people by the email address first."""

    async def save_person(self, wire: Wire, person: CrmPerson, /, *, key: str | None) -> CrmReceipt:
        reference = None if person.email else person.reference
        return await super().save_person(wire, attrs.evolve(person, reference=reference), key=key)


@found_by("a_taken_email_is_refused")
class _OneErrorClassVendor(HubSpot):
    """A faulty vendor that raises the same error for each refusal."""

    refusals = sdk.Refusals(vendor="HubSpot")


@found_by("a_company_is_saved_once")
class _OneCompanyVendor(HubSpot):
    """A faulty vendor that saves each company under the same reference."""

    async def save_company(
        self, wire: Wire, company: CrmCompany, /, *, key: str | None
    ) -> CrmReceipt:
        return await super().save_company(wire, attrs.evolve(company, reference="C-1"), key=key)


@found_by("a_company_is_saved_once")
class _LosesWebsiteVendor(HubSpot):
    """A faulty vendor that loses the website of a company."""

    async def get_company(self, wire: Wire, ref: Ref, /) -> CrmCompanyRecord:
        return attrs.evolve(await super().get_company(wire, ref), website=None)


@found_by("a_deal_is_saved_once")
class _LinksNoCompanyVendor(HubSpot):
    """A faulty vendor that does not link a deal to its company."""

    async def save_deal(self, wire: Wire, deal: Deal, /, *, key: str | None) -> CrmReceipt:
        return await super().save_deal(wire, attrs.evolve(deal, company=None), key=key)


@found_by("a_deal_is_saved_once")
class _LinksNobodyVendor(HubSpot):
    """A faulty vendor that does not link a deal to its person."""

    async def save_deal(self, wire: Wire, deal: Deal, /, *, key: str | None) -> CrmReceipt:
        return await super().save_deal(wire, attrs.evolve(deal, person=None), key=key)


@found_by("amounts_of_deals_are_exact")
class _RoundsAmountsVendor(HubSpot):
    """A faulty vendor that sends whole units of the currency."""

    async def save_deal(self, wire: Wire, deal: Deal, /, *, key: str | None) -> CrmReceipt:
        amount = deal.amount and Money(int(deal.amount.amount), deal.amount.currency)
        return await super().save_deal(wire, attrs.evolve(deal, amount=amount), key=key)


@found_by("amounts_of_deals_are_exact")
class _OneCurrencyVendor(HubSpot):
    """A faulty vendor that reads each amount in euros."""

    async def get_deal(self, wire: Wire, ref: Ref, /) -> DealRecord:
        deal = await super().get_deal(wire, ref)
        amount = deal.amount and Money(str(deal.amount.amount)[:12], "EUR")
        return attrs.evolve(deal, amount=amount)


@found_by("a_deal_moves_between_stages")
class _MovesNothingVendor(HubSpot):
    """A faulty vendor that reports a move and moves nothing."""

    async def move_deal(self, wire: Wire, ref: Ref, stage: str, /) -> CrmReceipt:
        deal = await self.get_deal(wire, ref)
        return await super().move_deal(wire, ref, str(deal.stage))


@found_by("a_deal_moves_between_stages")
class _AlwaysOpenVendor(HubSpot):
    """A faulty vendor that reports each deal as open."""

    async def get_deal(self, wire: Wire, ref: Ref, /) -> DealRecord:
        return attrs.evolve(await super().get_deal(wire, ref), state=DealState.OPEN)


@found_by("a_note_is_added_to_its_record")
class _SendsMarkupVendor(_ChangesRequestVendor):
    """A faulty vendor that sends the text of a note as HTML."""

    def change(self, request: Request) -> Request:
        if not request.path.endswith("/notes"):
            return request
        text = unescape(bytes(request.body or b"").decode())  # type: ignore[arg-type]  # bytes
        return request.evolve(body=text.encode())


@found_by("a_key_adds_one_note")
class _KeylessVendor(HubSpot):
    """A faulty vendor that ignores the idempotency key of a note."""

    async def add_note(
        self,
        wire: Wire,
        ref: Ref,
        note: CrmNote,
        /,
        *,
        key: str | None,
    ) -> CrmReceipt:
        return await super().add_note(wire, ref, note, key=None)


@found_by("a_lost_note_is_not_added_again")
class _AddsAgainVendor(_ChangesRequestVendor):
    """A faulty vendor that marks the creation of a note as harmless to repeat."""

    def change(self, request: Request) -> Request:
        return request.evolve(idempotent=True)


@found_by("a_lost_save_is_repeated_without_a_second_record")
class _CreatesAfterLossVendor(HubSpot):
    """A faulty vendor that saves a company under a new reference after a lost response."""

    async def save_company(
        self, wire: Wire, company: CrmCompany, /, *, key: str | None
    ) -> CrmReceipt:
        try:
            return await super().save_company(wire, company, key=key)
        except ConnectorError:
            other = attrs.evolve(company, reference=wire.new_id())
            return await super().save_company(wire, other, key=key)


@found_by("a_lost_save_is_repeated_under_its_key")
class _UnrepeatedSaveVendor(_ChangesRequestVendor):
    """A faulty vendor that never sends a save again under its key."""

    def change(self, request: Request) -> Request:
        return request.evolve(idempotent=False)


@found_by("people_are_found")
class _FindsEverybodyVendor(HubSpot):
    """A faulty vendor that ignores the detail of a search."""

    async def find_people(
        self,
        wire: Wire,
        query: CrmPersonQuery,
        after: Ref | None,
        /,
    ) -> CrmPersonPage:
        return await super().find_people(wire, CrmPersonQuery(), after)


@found_by("people_are_found")
class _MissingIsErrorVendor(HubSpot):
    """A faulty vendor that raises an error if a search finds nobody."""

    async def find_people(
        self, wire: Wire, query: CrmPersonQuery, after: Ref | None, /
    ) -> CrmPersonPage:
        page = await super().find_people(wire, query, after)
        if not page.items:
            raise VendorRejected("There is no such person.")
        return page


@found_by("companies_are_found")
class _FindsFirstCompanyVendor(HubSpot):
    """A faulty vendor that lists companies in place of a search for a name."""

    async def find_companies(
        self, wire: Wire, query: CrmCompanyQuery, after: Ref | None, /
    ) -> CrmCompanyPage:
        page = await super().find_companies(wire, CrmCompanyQuery(reference=query.reference), after)
        return attrs.evolve(page, items=page.items[:1])


@found_by("lists_have_all_records")
class _OnePageVendor(HubSpot):
    """A faulty vendor that ends each list after the first page."""

    async def find_people(
        self, wire: Wire, query: CrmPersonQuery, after: Ref | None, /
    ) -> CrmPersonPage:
        return attrs.evolve(await super().find_people(wire, query, after), next=None)


@found_by("lists_have_all_records")
class _RestartsListVendor(HubSpot):
    """A faulty vendor that begins a list of companies again on each page."""

    async def find_companies(
        self,
        wire: Wire,
        query: CrmCompanyQuery,
        after: Ref | None,
        /,
    ) -> CrmCompanyPage:
        return await super().find_companies(wire, query, None)


@found_by("references_belong_to_their_records")
class _LinksAnywhereVendor(HubSpot):
    """A faulty vendor that links a record of another CRM by its id."""

    async def save_person(self, wire: Wire, person: CrmPerson, /, *, key: str | None) -> CrmReceipt:
        company = person.company and attrs.evolve(person.company, account=wire.account)
        return await super().save_person(wire, attrs.evolve(person, company=company), key=key)


@found_by("requests_are_in_the_vendors_words")
class _DropsTitleVendor(HubSpot):
    """A faulty vendor that does not send the job title."""

    async def save_person(self, wire: Wire, person: CrmPerson, /, *, key: str | None) -> CrmReceipt:
        return await super().save_person(wire, attrs.evolve(person, title=None), key=key)


@found_by("answers_are_read_in_full")
class _LosesReferenceVendor(HubSpot):
    """A faulty vendor that does not read the reference of a person."""

    async def get_person(self, wire: Wire, ref: Ref, /) -> CrmPersonRecord:
        return attrs.evolve(await super().get_person(wire, ref), reference=None)


@found_by("incomplete_answers_are_failures")
class _InventsReceiptVendor(HubSpot):
    """A faulty vendor that reports a save as done if its response has no record."""

    async def save_person(self, wire: Wire, person: CrmPerson, /, *, key: str | None) -> CrmReceipt:
        try:
            return await super().save_person(wire, person, key=key)
        except (OutcomeUnknown, VendorFailed):
            return await super().save_person(wire, person, key=key)


def run(kind: type[HubSpot], check: kit.Check) -> None:
    """Run a check with a vendor class at HubSpot's sandbox."""
    check(lambda: attrs.evolve(hubspot(), kind=kind))


@pytest.mark.parametrize("check", kit.CHECKS, ids=name_of)
def test_vendor_without_options_conforms(check: kit.Check) -> None:
    """A vendor without optional features passes every check that its requests allow."""

    def subject() -> kit.CrmSubject:
        full = hubspot()
        requests = tuple(item for item in full.requests if _needs_nothing(item[1]))
        answers = tuple(item for item in full.answers if item[0] != "save_person")
        return attrs.evolve(full, kind=_LesserVendor, requests=requests, answers=answers)

    check(subject)


def _needs_nothing(arguments: tuple[Any, ...]) -> bool:
    return not any(getattr(item, "needs", None) for item in arguments)


@pytest.mark.parametrize("kind", FAULTY_VENDORS, ids=name_of)
def test_kit_finds_a_faulty_vendor(kind: type[HubSpot]) -> None:
    """The check that is about the mistake of a faulty vendor fails, and a correct vendor passes."""
    (check,) = (check for check in kit.CHECKS if check.__name__ == FAULTY_VENDORS[kind])

    run(HubSpot, check)
    with pytest.raises((AssertionError, ConnectorError)):
        run(kind, check)


def test_each_check_finds_a_faulty_vendor() -> None:
    """Each check of the kit's own rules has a faulty vendor that only a mistake distinguishes."""
    own_checks = {check.__name__ for check in kit.CHECKS if check.__module__ == kit.__name__}

    assert own_checks - {"nothing_shows_personal_data"} <= set(FAULTY_VENDORS.values())
