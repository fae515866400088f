"""The base of sandboxes for bank vendors, with accounts and transactions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Final

from moorage.testing.sandboxes.base import Sandbox, state_field

IBANS: Final = ("DE89370400440532013000", "FR1420041010050500013M02606")
"""The numbers of the two accounts that each sandbox has."""

RETURN_URL: Final = "https://erp.example/banks/return"
"""The page to which owners return."""

OWNER: Final = "Ada Lovelace Ltd"
"""The owner of the accounts."""

BOOKED: Final[tuple[dict[str, Any], ...]] = (
    {
        "endToEndId": "NOTPROVIDED",
        "bookingDate": "2031-05-06",
        "valueDate": "2031-05-07",
        "transactionAmount": {"currency": "EUR", "amount": "149.90"},
        "debtorName": "Grace Hopper",
        "debtorAccount": {"iban": "NL91ABNA0417164300"},
        "debtorAgent": "ABNANL2A",
        "ultimateDebtor": "Grace's Rigging",
        "remittanceInformationUnstructured": "Invoice INV-1042",
        "bankTransactionCode": "PMNT-RCDT-ESCT",
        "proprietaryBankTransactionCode": "166",
        "additionalInformation": "Credit",
    },
    {
        "endToEndId": "RUN-7-1",
        "bookingDate": "2031-05-05",
        "valueDate": "2031-05-05",
        "transactionAmount": {"currency": "EUR", "amount": "-20.5"},
        "creditorName": "Harbour GmbH",
        "creditorAccount": {"iban": "AT611904300234573201"},
        "creditorAgent": "BKAUATWW",
        "mandateId": "MANDATE-7",
        "creditorId": "AT61ZZZ01234567890",
        "remittanceInformationUnstructured": "Moorage 7",
        "bankTransactionCode": "PMNT-ICDT-ESCT",
    },
    {
        "bookingDate": "2031-05-04",
        "valueDate": "2031-05-04",
        "transactionAmount": {"currency": "EUR", "amount": "-3"},
        "remittanceInformationUnstructured": "Fee",
        "bankTransactionCode": "PMNT-MCOP-OTHR",
    },
)
"""The booked transactions that the first account begins with, the latest first."""

PENDING: Final[tuple[dict[str, Any], ...]] = (
    {
        "valueDate": "2031-05-07",
        "transactionAmount": {"currency": "EUR", "amount": "-9.99"},
        "creditorName": "Chandler SARL",
        "remittanceInformationUnstructured": "Rope",
    },
)
"""The pending transactions of the first account."""

BALANCES: Final[tuple[dict[str, Any], ...]] = (
    {
        "balanceAmount": {"currency": "EUR", "amount": "1126.40"},
        "balanceType": "closingBooked",
        "referenceDate": "2031-05-06",
    },
    {
        "balanceAmount": {"currency": "EUR", "amount": "-73.6"},
        "balanceType": "interimAvailable",
        "creditLimitIncluded": False,
        "lastChangeDateTime": "2031-05-06T07:08:09Z",
    },
)
"""The balances of each account."""


class BankSandbox(Sandbox, ABC):
    """A local sandbox that imitates a vendor that gives access to bank accounts.

    Attributes:
        booked: the booked transactions of the first account, the latest first, as the vendor
            shows them; the other account has none.
    """

    booked: list[dict[str, Any]] = state_field(lambda: list(BOOKED))

    def numbered(self) -> list[tuple[int, dict[str, Any]]]:
        """Return the booked transactions with numbers that later transactions do not change."""
        return [*enumerate(self.booked[::-1])][::-1]

    @abstractmethod
    def grant(self, consent: str) -> None:
        """Grant the consent with an id, as its owner would do."""

    @abstractmethod
    def refuse(self, consent: str) -> None:
        """Refuse the consent with an id, as its owner would do."""

    @abstractmethod
    def expire(self, consent: str) -> None:
        """End the consent with an id, as if its last day had passed."""

    def returned_url(self, link: str) -> str:  # noqa: ARG002 - vendors with a code need it
        """Return the URL to which an owner returns after deciding at a consent's link."""
        return RETURN_URL

    @abstractmethod
    def consent_count(self) -> int:
        """Return the number of started consents."""

    def approve(self, payment: str) -> None:
        """Approve the payment with an id, as its owner would do at the bank."""

    def payment_count(self) -> int:
        """Return the number of initiated payments."""
        return 0

    def submitted_count(self) -> int:
        """Return the number of payments that the bank was asked to execute."""
        return self.payment_count()


__all__ = ["BALANCES", "BOOKED", "IBANS", "OWNER", "PENDING", "RETURN_URL", "BankSandbox"]
