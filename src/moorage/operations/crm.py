"""The operations on customers for users, synchronous and asynchronous.

Written by tools/operations.py from the declarations in contracts/declared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.contracts.declared.crm import CrmContract
from moorage.domain.values.uncopyable import Uncopyable
from moorage.runtime.flows import run_now
from moorage.services.contracts.flows import Flows
from moorage.services.contracts.live_configuration import CurrentOperations

if TYPE_CHECKING:
    from moorage.contracts.crm import (
        CrmCompany,
        CrmCompanyPage,
        CrmCompanyQuery,
        CrmCompanyRecord,
        CrmNote,
        CrmPerson,
        CrmPersonPage,
        CrmPersonQuery,
        CrmPersonRecord,
        CrmReceipt,
        Deal,
        DealRecord,
    )
    from moorage.contracts.ref import Ref
    from moorage.services.contracts.live_configuration import FindDispatcher


class CrmFlows(Flows, CrmContract):
    """The operations of one tenant."""


class Crm(Uncopyable):
    """Keeps people, companies and deals in the CRM that the configuration chooses."""

    def __init__(self, find_dispatcher: FindDispatcher, tenant: str | None) -> None:
        self._flows = CurrentOperations(CrmFlows, find_dispatcher, tenant)

    def save_person(
        self, person: CrmPerson, *, idempotency_key: str | None = None, timeout: float | None = None
    ) -> CrmReceipt:
        """Create a person, or update the person with the same reference or email address.

        Args:
            person: person to save; fields that are None stay as they are.
            idempotency_key: identifies this call: a repeat returns the same receipt.
            timeout: seconds for the whole operation.

        Raises:
            AlreadyExists: another person in the CRM has this email address.
        """
        return run_now(
            self._flows.run(
                CrmFlows.save_person, person, idempotency_key=idempotency_key, timeout=timeout
            )
        )

    def get_person(self, ref: Ref | str, *, timeout: float | None = None) -> CrmPersonRecord:
        """Get the current details of a person.

        Args:
            ref: reference of the person.
            timeout: seconds for the whole operation.

        Raises:
            VendorRejected: the CRM has no such person.
        """
        return run_now(self._flows.run(CrmFlows.get_person, ref, timeout=timeout))

    def find_people(
        self,
        query: CrmPersonQuery | None = None,
        *,
        after: Ref | str | None = None,
        account: str | None = None,
        timeout: float | None = None,
    ) -> CrmPersonPage:
        """Get a page of the people with a reference or an email address, or of all people.

        Args:
            query: detail that the people must have; by default everybody.
            after: the `next` of the previous page.
            account: name of the account; required if several are configured.
            timeout: seconds for the whole operation.
        """
        return run_now(
            self._flows.run(
                CrmFlows.find_people, query, after=after, account=account, timeout=timeout
            )
        )

    def save_company(
        self,
        company: CrmCompany,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> CrmReceipt:
        """Create a company, or update the company with the same reference.

        Args:
            company: company to save; fields that are None stay as they are.
            idempotency_key: identifies this call: a repeat returns the same receipt.
            timeout: seconds for the whole operation.
        """
        return run_now(
            self._flows.run(
                CrmFlows.save_company, company, idempotency_key=idempotency_key, timeout=timeout
            )
        )

    def get_company(self, ref: Ref | str, *, timeout: float | None = None) -> CrmCompanyRecord:
        """Get the current details of a company.

        Args:
            ref: reference of the company.
            timeout: seconds for the whole operation.

        Raises:
            VendorRejected: the CRM has no such company.
        """
        return run_now(self._flows.run(CrmFlows.get_company, ref, timeout=timeout))

    def find_companies(
        self,
        query: CrmCompanyQuery | None = None,
        *,
        after: Ref | str | None = None,
        account: str | None = None,
        timeout: float | None = None,
    ) -> CrmCompanyPage:
        """Get a page of the companies with a reference or a name, or of all companies.

        Args:
            query: detail that the companies must have; by default all companies.
            after: the `next` of the previous page.
            account: name of the account; required if several are configured.
            timeout: seconds for the whole operation.
        """
        return run_now(
            self._flows.run(
                CrmFlows.find_companies, query, after=after, account=account, timeout=timeout
            )
        )

    def save_deal(
        self, deal: Deal, *, idempotency_key: str | None = None, timeout: float | None = None
    ) -> CrmReceipt:
        """Create a deal, or update the deal with the same reference.

        Args:
            deal: deal to save; fields that are None stay as they are.
            idempotency_key: identifies this call: a repeat returns the same receipt.
            timeout: seconds for the whole operation.
        """
        return run_now(
            self._flows.run(
                CrmFlows.save_deal, deal, idempotency_key=idempotency_key, timeout=timeout
            )
        )

    def get_deal(self, ref: Ref | str, *, timeout: float | None = None) -> DealRecord:
        """Get the current details of a deal.

        Args:
            ref: reference of the deal.
            timeout: seconds for the whole operation.

        Raises:
            VendorRejected: the CRM has no such deal.
        """
        return run_now(self._flows.run(CrmFlows.get_deal, ref, timeout=timeout))

    def move_deal(self, ref: Ref | str, stage: str, *, timeout: float | None = None) -> CrmReceipt:
        """Move a deal to another stage; repeating this has no further effect.

        Args:
            ref: reference of the deal.
            stage: the CRM's id of the stage.
            timeout: seconds for the whole operation.
        """
        return run_now(self._flows.run(CrmFlows.move_deal, ref, stage, timeout=timeout))

    def add_note(
        self,
        ref: Ref | str,
        note: CrmNote,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> CrmReceipt:
        """Add a note to a person, a company or a deal.

        Args:
            ref: reference of the person, the company or the deal.
            note: note to add.
            idempotency_key: identifies this note: a repeat returns the same receipt.
            timeout: seconds for the whole operation.
        """
        return run_now(
            self._flows.run(
                CrmFlows.add_note, ref, note, idempotency_key=idempotency_key, timeout=timeout
            )
        )


class AsyncCrm(Uncopyable):
    """The asynchronous version of `Crm`."""

    def __init__(self, find_dispatcher: FindDispatcher, tenant: str | None) -> None:
        self._flows = CurrentOperations(CrmFlows, find_dispatcher, tenant)

    async def save_person(
        self, person: CrmPerson, *, idempotency_key: str | None = None, timeout: float | None = None
    ) -> CrmReceipt:
        """Create a person, or update the person with the same reference or email address.

        Args:
            person: person to save; fields that are None stay as they are.
            idempotency_key: identifies this call: a repeat returns the same receipt.
            timeout: seconds for the whole operation.

        Raises:
            AlreadyExists: another person in the CRM has this email address.
        """
        return await self._flows.run(
            CrmFlows.save_person, person, idempotency_key=idempotency_key, timeout=timeout
        )

    async def get_person(self, ref: Ref | str, *, timeout: float | None = None) -> CrmPersonRecord:
        """Get the current details of a person.

        Args:
            ref: reference of the person.
            timeout: seconds for the whole operation.

        Raises:
            VendorRejected: the CRM has no such person.
        """
        return await self._flows.run(CrmFlows.get_person, ref, timeout=timeout)

    async def find_people(
        self,
        query: CrmPersonQuery | None = None,
        *,
        after: Ref | str | None = None,
        account: str | None = None,
        timeout: float | None = None,
    ) -> CrmPersonPage:
        """Get a page of the people with a reference or an email address, or of all people.

        Args:
            query: detail that the people must have; by default everybody.
            after: the `next` of the previous page.
            account: name of the account; required if several are configured.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(
            CrmFlows.find_people, query, after=after, account=account, timeout=timeout
        )

    async def save_company(
        self,
        company: CrmCompany,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> CrmReceipt:
        """Create a company, or update the company with the same reference.

        Args:
            company: company to save; fields that are None stay as they are.
            idempotency_key: identifies this call: a repeat returns the same receipt.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(
            CrmFlows.save_company, company, idempotency_key=idempotency_key, timeout=timeout
        )

    async def get_company(
        self, ref: Ref | str, *, timeout: float | None = None
    ) -> CrmCompanyRecord:
        """Get the current details of a company.

        Args:
            ref: reference of the company.
            timeout: seconds for the whole operation.

        Raises:
            VendorRejected: the CRM has no such company.
        """
        return await self._flows.run(CrmFlows.get_company, ref, timeout=timeout)

    async def find_companies(
        self,
        query: CrmCompanyQuery | None = None,
        *,
        after: Ref | str | None = None,
        account: str | None = None,
        timeout: float | None = None,
    ) -> CrmCompanyPage:
        """Get a page of the companies with a reference or a name, or of all companies.

        Args:
            query: detail that the companies must have; by default all companies.
            after: the `next` of the previous page.
            account: name of the account; required if several are configured.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(
            CrmFlows.find_companies, query, after=after, account=account, timeout=timeout
        )

    async def save_deal(
        self, deal: Deal, *, idempotency_key: str | None = None, timeout: float | None = None
    ) -> CrmReceipt:
        """Create a deal, or update the deal with the same reference.

        Args:
            deal: deal to save; fields that are None stay as they are.
            idempotency_key: identifies this call: a repeat returns the same receipt.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(
            CrmFlows.save_deal, deal, idempotency_key=idempotency_key, timeout=timeout
        )

    async def get_deal(self, ref: Ref | str, *, timeout: float | None = None) -> DealRecord:
        """Get the current details of a deal.

        Args:
            ref: reference of the deal.
            timeout: seconds for the whole operation.

        Raises:
            VendorRejected: the CRM has no such deal.
        """
        return await self._flows.run(CrmFlows.get_deal, ref, timeout=timeout)

    async def move_deal(
        self, ref: Ref | str, stage: str, *, timeout: float | None = None
    ) -> CrmReceipt:
        """Move a deal to another stage; repeating this has no further effect.

        Args:
            ref: reference of the deal.
            stage: the CRM's id of the stage.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(CrmFlows.move_deal, ref, stage, timeout=timeout)

    async def add_note(
        self,
        ref: Ref | str,
        note: CrmNote,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> CrmReceipt:
        """Add a note to a person, a company or a deal.

        Args:
            ref: reference of the person, the company or the deal.
            note: note to add.
            idempotency_key: identifies this note: a repeat returns the same receipt.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(
            CrmFlows.add_note, ref, note, idempotency_key=idempotency_key, timeout=timeout
        )
