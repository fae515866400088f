"""The contract of bank accounts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.contracts.bank import access, account_entries, initiation
from moorage.contracts.bank.access import ConsentRequest
from moorage.contracts.bank.account_entries import TransactionQuery
from moorage.contracts.bank.initiation import PaymentOrder
from moorage.contracts.bank.payment_orders import SterlingTransfer
from moorage.contracts.bank.vendor import BankCapability
from moorage.contracts.declaration import (
    Contract,
    Effect,
    Requirements,
    Target,
    changes,
    reads,
)
from moorage.contracts.ref import Ref
from moorage.contracts.validators import check_kind, check_text

if TYPE_CHECKING:
    from moorage.contracts.bank.access import BankAccount, BankConsent, CurrentBalance
    from moorage.contracts.bank.account_entries import TransactionPage
    from moorage.contracts.bank.initiation import BankPayment

_CONSENT: Final[Requirements[BankConsent]] = Requirements()
_ACCOUNTS: Final[Requirements[tuple[BankAccount, ...]]] = Requirements()
_BALANCES: Final[Requirements[tuple[CurrentBalance, ...]]] = Requirements()
_PAYMENT: Final[Requirements[BankPayment]] = Requirements()


class BankContract(Contract):
    """Reads bank accounts, and pays from them, by the vendor that the configuration chooses."""

    kind = "bank"
    capabilities = BankCapability
    values = (access, account_entries, initiation)
    flows = {"finish_consent": Effect.IMMEDIATE, "finish_payment": Effect.IMMEDIATE}

    @changes(deferrable=False)
    def start_consent(
        self,
        request: ConsentRequest,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> Requirements[BankConsent]:
        """Ask the owner of bank accounts for consent; the result has the link to send the owner to.

        Args:
            request: consent to ask for.
            idempotency_key: identifies this consent: a repeat returns the same consent.
            timeout: seconds for the whole operation.
        """
        check_kind(request, ConsentRequest, "request")
        needs = {
            BankCapability.INSTITUTION: request.institution is not None,
            BankCapability.CHOSEN_ACCOUNTS: bool(request.accounts),
        }
        return Requirements(needs={name for name, is_needed in needs.items() if is_needed})

    @reads(target=Target.REFERENCE)
    def get_consent(
        self, ref: Ref | str, *, timeout: float | None = None
    ) -> Requirements[BankConsent]:
        """Get the current state of a consent."""
        return _CONSENT

    @changes(target=Target.REFERENCE)
    def revoke_consent(
        self, ref: Ref | str, *, timeout: float | None = None
    ) -> Requirements[BankConsent]:
        """End a consent; a consent that does not exist any more counts as revoked.

        Args:
            ref: reference of the consent.
            timeout: seconds for the whole operation.
        """
        return _CONSENT

    @reads(target=Target.REFERENCE)
    def accounts(
        self, ref: Ref | str, *, timeout: float | None = None
    ) -> Requirements[tuple[BankAccount, ...]]:
        """List the accounts of a consent, by the reference of the consent.

        Raises:
            ConsentRequired: the owner has not agreed, or the consent has ended.
        """
        return _ACCOUNTS

    @reads(target=Target.REFERENCE)
    def balances(
        self, ref: Ref | str, *, timeout: float | None = None
    ) -> Requirements[tuple[CurrentBalance, ...]]:
        """Get the balances of an account, by the reference of the account.

        Raises:
            ConsentRequired: the consent has ended.
        """
        return _BALANCES

    @reads(target=Target.REFERENCE)
    def transactions(
        self,
        ref: Ref | str,
        query: TransactionQuery | None = None,
        *,
        after: Ref | str | None = None,
        timeout: float | None = None,
    ) -> Requirements[TransactionPage]:
        """Get a page of the transactions of an account.

        Args:
            ref: reference of the account.
            query: period of the transactions; pass the same query for each page.
            after: the `next` of the previous page.
            timeout: seconds for the whole operation.

        Raises:
            ConsentRequired: the consent has ended.
        """
        bounds = TransactionQuery() if query is None else query
        check_kind(bounds, TransactionQuery, "query")
        start = None if after is None else Ref.parse(after, "after")
        needs = {
            BankCapability.PENDING: bounds.pending,
            BankCapability.END_TO_END: bounds.end_to_end,
        }
        return Requirements(
            needs={name for name, is_needed in needs.items() if is_needed},
            arguments={"query": bounds, "after": start},
        )

    @changes(deferrable=False, needs=BankCapability.PAY)
    def pay(
        self, order: PaymentOrder, *, idempotency_key: str, timeout: float | None = None
    ) -> Requirements[BankPayment]:
        """Initiate a payment; the result has the link at which the owner approves it.

        Call `finish_payment` when the owner returns.

        Args:
            order: payment to initiate.
            idempotency_key: identifies this payment: a repeat returns the same payment, never a
                second one.
            timeout: seconds for the whole operation.

        Raises:
            OutcomeUnknown: the bank may have the payment. Look at the account before you pay with
                another key.
        """
        check_kind(order, PaymentOrder, "order")
        check_text(idempotency_key, "idempotency_key")
        needs = {
            BankCapability.INSTANT: order.instant,
            BankCapability.STERLING: isinstance(order.transfer, SterlingTransfer),
        }
        return Requirements(
            needs={name for name, is_needed in needs.items() if is_needed},
            currency=order.transfer.amount.currency,
        )

    @reads(target=Target.REFERENCE, needs=BankCapability.PAY)
    def get_payment(
        self, ref: Ref | str, *, timeout: float | None = None
    ) -> Requirements[BankPayment]:
        """Get the current state of a payment, by its own reference."""
        return _PAYMENT
