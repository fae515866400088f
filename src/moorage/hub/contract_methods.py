"""The methods of hubs that return the operations of the contracts.

Written by tools/operations.py from the declarations in contracts/declared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage import operations

if TYPE_CHECKING:
    from moorage.operations import (
        Accounting,
        AsyncAccounting,
        AsyncBank,
        AsyncCalendars,
        AsyncChat,
        AsyncCrm,
        AsyncCurrencies,
        AsyncEinvoices,
        AsyncEmail,
        AsyncInference,
        AsyncPayments,
        AsyncPeople,
        AsyncPush,
        AsyncShipping,
        AsyncShops,
        AsyncSignatures,
        AsyncSms,
        AsyncStorage,
        AsyncTax,
        Bank,
        Calendars,
        Chat,
        Crm,
        Currencies,
        Einvoices,
        Email,
        Inference,
        Payments,
        People,
        Push,
        Shipping,
        Shops,
        Signatures,
        Sms,
        Storage,
        Tax,
    )
    from moorage.services.contracts.live_configuration import LiveConfiguration


class ContractMethods:
    """The methods of a hub that return the operations of its contracts."""

    _live: LiveConfiguration

    def email(self, tenant: str | None = None, *, subject: str | None = None) -> Email:
        """Return the tenant's operations on mail; `subject` is the person concerned."""
        return operations.Email(self._live.about(subject), tenant)

    def sms(self, tenant: str | None = None, *, subject: str | None = None) -> Sms:
        """Return the tenant's operations on text messages; `subject` is the person concerned."""
        return operations.Sms(self._live.about(subject), tenant)

    def chat(self, tenant: str | None = None, *, subject: str | None = None) -> Chat:
        """Return the tenant's operations on chat messages; `subject` is the person concerned."""
        return operations.Chat(self._live.about(subject), tenant)

    def push(self, tenant: str | None = None, *, subject: str | None = None) -> Push:
        """Return the tenant's operations on notifications; `subject` is the person concerned."""
        return operations.Push(self._live.about(subject), tenant)

    def payments(self, tenant: str | None = None, *, subject: str | None = None) -> Payments:
        """Return the tenant's operations on payments; `subject` is the person concerned."""
        return operations.Payments(self._live.about(subject), tenant)

    def storage(self, tenant: str | None = None, *, subject: str | None = None) -> Storage:
        """Return the tenant's operations on files; `subject` is the person concerned."""
        return operations.Storage(self._live.about(subject), tenant)

    def shipping(self, tenant: str | None = None, *, subject: str | None = None) -> Shipping:
        """Return the tenant's operations on shipments; `subject` is the person concerned."""
        return operations.Shipping(self._live.about(subject), tenant)

    def bank(self, tenant: str | None = None, *, subject: str | None = None) -> Bank:
        """Return the tenant's operations on bank accounts; `subject` is the person concerned."""
        return operations.Bank(self._live.about(subject), tenant)

    def currencies(self, tenant: str | None = None, *, subject: str | None = None) -> Currencies:
        """Return the tenant's operations on exchange rates; `subject` is the person concerned."""
        return operations.Currencies(self._live.about(subject), tenant)

    def tax(self, tenant: str | None = None, *, subject: str | None = None) -> Tax:
        """Return the tenant's operations on taxes; `subject` is the person concerned."""
        return operations.Tax(self._live.about(subject), tenant)

    def einvoices(self, tenant: str | None = None, *, subject: str | None = None) -> Einvoices:
        """Return the tenant's operations on e-invoices; `subject` is the person concerned."""
        return operations.Einvoices(self._live.about(subject), tenant)

    def people(self, tenant: str | None = None, *, subject: str | None = None) -> People:
        """Return the tenant's operations on people; `subject` is the person concerned."""
        return operations.People(self._live.about(subject), tenant)

    def calendars(self, tenant: str | None = None, *, subject: str | None = None) -> Calendars:
        """Return the tenant's operations on calendars; `subject` is the person concerned."""
        return operations.Calendars(self._live.about(subject), tenant)

    def accounting(self, tenant: str | None = None, *, subject: str | None = None) -> Accounting:
        """Return the tenant's operations on accounting; `subject` is the person concerned."""
        return operations.Accounting(self._live.about(subject), tenant)

    def shops(self, tenant: str | None = None, *, subject: str | None = None) -> Shops:
        """Return the tenant's operations on shops; `subject` is the person concerned."""
        return operations.Shops(self._live.about(subject), tenant)

    def signatures(self, tenant: str | None = None, *, subject: str | None = None) -> Signatures:
        """Return the tenant's operations on signatures; `subject` is the person concerned."""
        return operations.Signatures(self._live.about(subject), tenant)

    def inference(self, tenant: str | None = None, *, subject: str | None = None) -> Inference:
        """Return the tenant's operations on language models; `subject` is the person concerned."""
        return operations.Inference(self._live.about(subject), tenant)

    def crm(self, tenant: str | None = None, *, subject: str | None = None) -> Crm:
        """Return the tenant's operations on customers; `subject` is the person concerned."""
        return operations.Crm(self._live.about(subject), tenant)


class AsyncContractMethods:
    """The methods of an asynchronous hub that return the operations of its contracts."""

    _live: LiveConfiguration

    def email(self, tenant: str | None = None, *, subject: str | None = None) -> AsyncEmail:
        """Return the tenant's operations on mail; `subject` is the person concerned."""
        return operations.AsyncEmail(self._live.about(subject), tenant)

    def sms(self, tenant: str | None = None, *, subject: str | None = None) -> AsyncSms:
        """Return the tenant's operations on text messages; `subject` is the person concerned."""
        return operations.AsyncSms(self._live.about(subject), tenant)

    def chat(self, tenant: str | None = None, *, subject: str | None = None) -> AsyncChat:
        """Return the tenant's operations on chat messages; `subject` is the person concerned."""
        return operations.AsyncChat(self._live.about(subject), tenant)

    def push(self, tenant: str | None = None, *, subject: str | None = None) -> AsyncPush:
        """Return the tenant's operations on notifications; `subject` is the person concerned."""
        return operations.AsyncPush(self._live.about(subject), tenant)

    def payments(self, tenant: str | None = None, *, subject: str | None = None) -> AsyncPayments:
        """Return the tenant's operations on payments; `subject` is the person concerned."""
        return operations.AsyncPayments(self._live.about(subject), tenant)

    def storage(self, tenant: str | None = None, *, subject: str | None = None) -> AsyncStorage:
        """Return the tenant's operations on files; `subject` is the person concerned."""
        return operations.AsyncStorage(self._live.about(subject), tenant)

    def shipping(self, tenant: str | None = None, *, subject: str | None = None) -> AsyncShipping:
        """Return the tenant's operations on shipments; `subject` is the person concerned."""
        return operations.AsyncShipping(self._live.about(subject), tenant)

    def bank(self, tenant: str | None = None, *, subject: str | None = None) -> AsyncBank:
        """Return the tenant's operations on bank accounts; `subject` is the person concerned."""
        return operations.AsyncBank(self._live.about(subject), tenant)

    def currencies(
        self, tenant: str | None = None, *, subject: str | None = None
    ) -> AsyncCurrencies:
        """Return the tenant's operations on exchange rates; `subject` is the person concerned."""
        return operations.AsyncCurrencies(self._live.about(subject), tenant)

    def tax(self, tenant: str | None = None, *, subject: str | None = None) -> AsyncTax:
        """Return the tenant's operations on taxes; `subject` is the person concerned."""
        return operations.AsyncTax(self._live.about(subject), tenant)

    def einvoices(self, tenant: str | None = None, *, subject: str | None = None) -> AsyncEinvoices:
        """Return the tenant's operations on e-invoices; `subject` is the person concerned."""
        return operations.AsyncEinvoices(self._live.about(subject), tenant)

    def people(self, tenant: str | None = None, *, subject: str | None = None) -> AsyncPeople:
        """Return the tenant's operations on people; `subject` is the person concerned."""
        return operations.AsyncPeople(self._live.about(subject), tenant)

    def calendars(self, tenant: str | None = None, *, subject: str | None = None) -> AsyncCalendars:
        """Return the tenant's operations on calendars; `subject` is the person concerned."""
        return operations.AsyncCalendars(self._live.about(subject), tenant)

    def accounting(
        self, tenant: str | None = None, *, subject: str | None = None
    ) -> AsyncAccounting:
        """Return the tenant's operations on accounting; `subject` is the person concerned."""
        return operations.AsyncAccounting(self._live.about(subject), tenant)

    def shops(self, tenant: str | None = None, *, subject: str | None = None) -> AsyncShops:
        """Return the tenant's operations on shops; `subject` is the person concerned."""
        return operations.AsyncShops(self._live.about(subject), tenant)

    def signatures(
        self, tenant: str | None = None, *, subject: str | None = None
    ) -> AsyncSignatures:
        """Return the tenant's operations on signatures; `subject` is the person concerned."""
        return operations.AsyncSignatures(self._live.about(subject), tenant)

    def inference(self, tenant: str | None = None, *, subject: str | None = None) -> AsyncInference:
        """Return the tenant's operations on language models; `subject` is the person concerned."""
        return operations.AsyncInference(self._live.about(subject), tenant)

    def crm(self, tenant: str | None = None, *, subject: str | None = None) -> AsyncCrm:
        """Return the tenant's operations on customers; `subject` is the person concerned."""
        return operations.AsyncCrm(self._live.about(subject), tenant)
