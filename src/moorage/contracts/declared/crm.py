"""The contract of customers in a CRM."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from moorage.contracts import crm
from moorage.contracts.crm import (
    COMPANY,
    DEAL,
    PERSON,
    CrmCapability,
    CrmCompany,
    CrmCompanyQuery,
    CrmEvent,
    CrmNote,
    CrmPerson,
    CrmPersonQuery,
    Deal,
    check_fits,
    check_type,
)
from moorage.contracts.declaration import Contract, Requirements, Target, changes, reads
from moorage.contracts.ref import Ref
from moorage.contracts.validators import check_kind, check_maybe, check_text
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from moorage.contracts.crm import (
        CrmCompanyPage,
        CrmCompanyRecord,
        CrmPersonPage,
        CrmPersonRecord,
        CrmReceipt,
        DealRecord,
    )

_NO_REQUIREMENTS: Final[Requirements[Any]] = Requirements()


class CrmContract(Contract):
    """Keeps people, companies and deals in the CRM that the configuration chooses."""

    kind = "crm"
    capabilities = CrmCapability
    event = CrmEvent
    values = (crm,)

    @changes()
    def save_person(
        self,
        person: CrmPerson,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> Requirements[CrmReceipt]:
        """Create a person, or update the person with the same reference or email address.

        Args:
            person: person to save; fields that are None stay as they are.
            idempotency_key: identifies this call: a repeat returns the same receipt.
            timeout: seconds for the whole operation.

        Raises:
            AlreadyExists: another person in the CRM has this email address.
        """
        check_kind(person, CrmPerson, "person")
        return Requirements(needs=person.needs)

    @reads(target=Target.REFERENCE)
    def get_person(
        self, ref: Ref | str, *, timeout: float | None = None
    ) -> Requirements[CrmPersonRecord]:
        """Get the current details of a person.

        Args:
            ref: reference of the person.
            timeout: seconds for the whole operation.

        Raises:
            VendorRejected: the CRM has no such person.
        """
        return _typed(ref, PERSON)

    @reads(target=Target.PAGE)
    def find_people(
        self,
        query: CrmPersonQuery | None = None,
        *,
        after: Ref | str | None = None,
        account: str | None = None,
        timeout: float | None = None,
    ) -> Requirements[CrmPersonPage]:
        """Get a page of the people with a reference or an email address, or of all people.

        Args:
            query: detail that the people must have; by default everybody.
            after: the `next` of the previous page.
            account: name of the account; required if several are configured.
            timeout: seconds for the whole operation.
        """
        query = CrmPersonQuery() if query is None else query
        check_kind(query, CrmPersonQuery, "query")
        return _page(query, after, account)

    @changes()
    def save_company(
        self,
        company: CrmCompany,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> Requirements[CrmReceipt]:
        """Create a company, or update the company with the same reference.

        Args:
            company: company to save; fields that are None stay as they are.
            idempotency_key: identifies this call: a repeat returns the same receipt.
            timeout: seconds for the whole operation.
        """
        check_kind(company, CrmCompany, "company")
        return _NO_REQUIREMENTS

    @reads(target=Target.REFERENCE)
    def get_company(
        self, ref: Ref | str, *, timeout: float | None = None
    ) -> Requirements[CrmCompanyRecord]:
        """Get the current details of a company.

        Args:
            ref: reference of the company.
            timeout: seconds for the whole operation.

        Raises:
            VendorRejected: the CRM has no such company.
        """
        return _typed(ref, COMPANY)

    @reads(target=Target.PAGE)
    def find_companies(
        self,
        query: CrmCompanyQuery | None = None,
        *,
        after: Ref | str | None = None,
        account: str | None = None,
        timeout: float | None = None,
    ) -> Requirements[CrmCompanyPage]:
        """Get a page of the companies with a reference or a name, or of all companies.

        Args:
            query: detail that the companies must have; by default all companies.
            after: the `next` of the previous page.
            account: name of the account; required if several are configured.
            timeout: seconds for the whole operation.
        """
        query = CrmCompanyQuery() if query is None else query
        check_kind(query, CrmCompanyQuery, "query")
        return _page(query, after, account)

    @changes()
    def save_deal(
        self,
        deal: Deal,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> Requirements[CrmReceipt]:
        """Create a deal, or update the deal with the same reference.

        Args:
            deal: deal to save; fields that are None stay as they are.
            idempotency_key: identifies this call: a repeat returns the same receipt.
            timeout: seconds for the whole operation.
        """
        check_kind(deal, Deal, "deal")
        return Requirements(
            needs=deal.needs, currency=None if deal.amount is None else deal.amount.currency
        )

    @reads(target=Target.REFERENCE)
    def get_deal(self, ref: Ref | str, *, timeout: float | None = None) -> Requirements[DealRecord]:
        """Get the current details of a deal.

        Args:
            ref: reference of the deal.
            timeout: seconds for the whole operation.

        Raises:
            VendorRejected: the CRM has no such deal.
        """
        return _typed(ref, DEAL)

    @changes(target=Target.REFERENCE)
    def move_deal(
        self, ref: Ref | str, stage: str, *, timeout: float | None = None
    ) -> Requirements[CrmReceipt]:
        """Move a deal to another stage; repeating this has no further effect.

        Args:
            ref: reference of the deal.
            stage: the CRM's id of the stage.
            timeout: seconds for the whole operation.
        """
        check_text(stage, "stage")
        if not stage.strip():
            raise InvalidData(
                "The stage is empty.", field="stage", remedy="Give the CRM's id of the stage."
            )
        return _typed(ref, DEAL)

    @changes(target=Target.REFERENCE)
    def add_note(
        self,
        ref: Ref | str,
        note: CrmNote,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> Requirements[CrmReceipt]:
        """Add a note to a person, a company or a deal.

        Args:
            ref: reference of the person, the company or the deal.
            note: note to add.
            idempotency_key: identifies this note: a repeat returns the same receipt.
            timeout: seconds for the whole operation.
        """
        check_kind(note, CrmNote, "note")
        _typed(ref, PERSON, COMPANY, DEAL)
        return Requirements(check_limits=partial(check_fits, note))


def _typed(ref: Ref | str, *types: str) -> Requirements[Any]:
    check_type(Ref.parse(ref), *types)
    return _NO_REQUIREMENTS


def _page(
    query: CrmPersonQuery | CrmCompanyQuery, after: Ref | str | None, account: str | None
) -> Requirements[Any]:
    check_maybe(account, str, "account")
    start = None if after is None else Ref.parse(after, "after")
    return Requirements(arguments={"query": query, "after": start})
