"""The operations of a vendor of bank accounts, and its optional features."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

if TYPE_CHECKING:
    from moorage.contracts.bank.access import (
        BankAccount,
        BankConsent,
        ConsentRequest,
        CurrentBalance,
    )
    from moorage.contracts.bank.account_entries import TransactionPage, TransactionQuery
    from moorage.contracts.bank.initiation import BankPayment, PaymentOrder
    from moorage.contracts.ref import Ref
    from moorage.contracts.wire import Wire

KIND: Final = "bank"


class BankCapability(StrEnum):
    """An optional feature of a vendor of bank accounts."""

    INSTITUTION = "institution"
    CHOSEN_ACCOUNTS = "chosen_accounts"
    PENDING = "pending"
    END_TO_END = "end_to_end"
    PAY = "pay"
    INSTANT = "instant"
    STERLING = "sterling"


class BankVendor(Protocol):
    """The operations of a vendor of bank accounts; its `capabilities` list the optional ones.

    A vendor that needs the URL to which an owner returned for consents is also a `FinishingVendor`,
    and a vendor that needs it for payments is also a `PaymentFinishingVendor`.
    """

    async def start_consent(
        self, wire: Wire, request: ConsentRequest, /, *, key: str | None
    ) -> BankConsent: ...

    async def get_consent(self, wire: Wire, ref: Ref, /) -> BankConsent: ...

    async def revoke_consent(self, wire: Wire, ref: Ref, /) -> BankConsent: ...

    async def accounts(self, wire: Wire, ref: Ref, /) -> tuple[BankAccount, ...]: ...

    async def balances(self, wire: Wire, ref: Ref, /) -> tuple[CurrentBalance, ...]: ...

    async def transactions(
        self, wire: Wire, ref: Ref, query: TransactionQuery, /, *, after: Ref | None
    ) -> TransactionPage: ...

    async def pay(self, wire: Wire, order: PaymentOrder, /, *, key: str | None) -> BankPayment: ...

    async def get_payment(self, wire: Wire, ref: Ref, /) -> BankPayment: ...


@runtime_checkable
class FinishingVendor(Protocol):
    """A vendor that needs the URL to which the account's owner returned; it may contain a code."""

    async def finish_consent(self, wire: Wire, ref: Ref, returned_url: str, /) -> BankConsent: ...


@runtime_checkable
class PaymentFinishingVendor(Protocol):
    """A vendor that submits a payment only when it gets the URL to which the payer returned."""

    async def finish_payment(self, wire: Wire, ref: Ref, returned_url: str, /) -> BankPayment: ...
