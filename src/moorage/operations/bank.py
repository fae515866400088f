"""The operations on bank accounts for users, synchronous and asynchronous.

Written by tools/operations.py from the declarations in contracts/declared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.domain.values.uncopyable import Uncopyable
from moorage.runtime.flows import run_now
from moorage.services.contracts.bank import BankFlows
from moorage.services.contracts.live_configuration import CurrentOperations

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
    from moorage.services.contracts.live_configuration import FindDispatcher


class Bank(Uncopyable):
    """Reads bank accounts, and pays from them, by the vendor that the configuration chooses."""

    def __init__(self, find_dispatcher: FindDispatcher, tenant: str | None) -> None:
        self._flows = CurrentOperations(BankFlows, find_dispatcher, tenant)

    def finish_consent(
        self, ref: Ref | str, returned_url: str, *, timeout: float | None = None
    ) -> BankConsent:
        """Finish a consent when its owner returns from the bank, and get its state.

        Some vendors need the URL to which the owner returned, because it has a code that is
        exchanged for tokens; for the others, this is the same as `get_consent`. A repeat with the
        same URL returns the state of the consent again.

        Args:
            ref: reference of the consent.
            returned_url: complete URL to which the owner returned, with query and fragment.
            timeout: seconds for the whole operation.

        Raises:
            InvalidData: the URL does not belong to this consent.
            ConsentRequired: the code in the URL has expired or was used.
        """
        return run_now(
            self._flows.run(BankFlows.finish_consent, ref, returned_url, timeout=timeout)
        )

    def finish_payment(
        self, ref: Ref | str, returned_url: str, *, timeout: float | None = None
    ) -> BankPayment:
        """Finish a payment when its owner returns from the bank, and get its state.

        Some banks execute a payment only after this call, which takes a code from the URL to which
        the owner returned; for the others, this is the same as `get_payment`. If the call fails,
        the bank may have the payment: repeat the call, since the same URL never pays a second
        time. Store the `ref` of the result, in place of the earlier one.

        Args:
            ref: reference of the payment, from `pay`.
            returned_url: complete URL to which the owner returned, with query and fragment.
            timeout: seconds for the whole operation.

        Raises:
            InvalidData: the URL does not belong to this payment.
            ConsentRequired: the owner has not agreed, or the code in the URL has expired.
        """
        return run_now(
            self._flows.run(BankFlows.finish_payment, ref, returned_url, timeout=timeout)
        )

    def start_consent(
        self,
        request: ConsentRequest,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> BankConsent:
        """Ask the owner of bank accounts for consent; the result has the link to send the owner to.

        Args:
            request: consent to ask for.
            idempotency_key: identifies this consent: a repeat returns the same consent.
            timeout: seconds for the whole operation.
        """
        return run_now(
            self._flows.run(
                BankFlows.start_consent, request, idempotency_key=idempotency_key, timeout=timeout
            )
        )

    def get_consent(self, ref: Ref | str, *, timeout: float | None = None) -> BankConsent:
        """Get the current state of a consent."""
        return run_now(self._flows.run(BankFlows.get_consent, ref, timeout=timeout))

    def revoke_consent(self, ref: Ref | str, *, timeout: float | None = None) -> BankConsent:
        """End a consent; a consent that does not exist any more counts as revoked.

        Args:
            ref: reference of the consent.
            timeout: seconds for the whole operation.
        """
        return run_now(self._flows.run(BankFlows.revoke_consent, ref, timeout=timeout))

    def accounts(self, ref: Ref | str, *, timeout: float | None = None) -> tuple[BankAccount, ...]:
        """List the accounts of a consent, by the reference of the consent.

        Raises:
            ConsentRequired: the owner has not agreed, or the consent has ended.
        """
        return run_now(self._flows.run(BankFlows.accounts, ref, timeout=timeout))

    def balances(
        self, ref: Ref | str, *, timeout: float | None = None
    ) -> tuple[CurrentBalance, ...]:
        """Get the balances of an account, by the reference of the account.

        Raises:
            ConsentRequired: the consent has ended.
        """
        return run_now(self._flows.run(BankFlows.balances, ref, timeout=timeout))

    def transactions(
        self,
        ref: Ref | str,
        query: TransactionQuery | None = None,
        *,
        after: Ref | str | None = None,
        timeout: float | None = None,
    ) -> TransactionPage:
        """Get a page of the transactions of an account.

        Args:
            ref: reference of the account.
            query: period of the transactions; pass the same query for each page.
            after: the `next` of the previous page.
            timeout: seconds for the whole operation.

        Raises:
            ConsentRequired: the consent has ended.
        """
        return run_now(
            self._flows.run(BankFlows.transactions, ref, query, after=after, timeout=timeout)
        )

    def pay(
        self, order: PaymentOrder, *, idempotency_key: str, timeout: float | None = None
    ) -> BankPayment:
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
        return run_now(
            self._flows.run(BankFlows.pay, order, idempotency_key=idempotency_key, timeout=timeout)
        )

    def get_payment(self, ref: Ref | str, *, timeout: float | None = None) -> BankPayment:
        """Get the current state of a payment, by its own reference."""
        return run_now(self._flows.run(BankFlows.get_payment, ref, timeout=timeout))


class AsyncBank(Uncopyable):
    """The asynchronous version of `Bank`."""

    def __init__(self, find_dispatcher: FindDispatcher, tenant: str | None) -> None:
        self._flows = CurrentOperations(BankFlows, find_dispatcher, tenant)

    async def finish_consent(
        self, ref: Ref | str, returned_url: str, *, timeout: float | None = None
    ) -> BankConsent:
        """Finish a consent when its owner returns from the bank, and get its state.

        Some vendors need the URL to which the owner returned, because it has a code that is
        exchanged for tokens; for the others, this is the same as `get_consent`. A repeat with the
        same URL returns the state of the consent again.

        Args:
            ref: reference of the consent.
            returned_url: complete URL to which the owner returned, with query and fragment.
            timeout: seconds for the whole operation.

        Raises:
            InvalidData: the URL does not belong to this consent.
            ConsentRequired: the code in the URL has expired or was used.
        """
        return await self._flows.run(BankFlows.finish_consent, ref, returned_url, timeout=timeout)

    async def finish_payment(
        self, ref: Ref | str, returned_url: str, *, timeout: float | None = None
    ) -> BankPayment:
        """Finish a payment when its owner returns from the bank, and get its state.

        Some banks execute a payment only after this call, which takes a code from the URL to which
        the owner returned; for the others, this is the same as `get_payment`. If the call fails,
        the bank may have the payment: repeat the call, since the same URL never pays a second
        time. Store the `ref` of the result, in place of the earlier one.

        Args:
            ref: reference of the payment, from `pay`.
            returned_url: complete URL to which the owner returned, with query and fragment.
            timeout: seconds for the whole operation.

        Raises:
            InvalidData: the URL does not belong to this payment.
            ConsentRequired: the owner has not agreed, or the code in the URL has expired.
        """
        return await self._flows.run(BankFlows.finish_payment, ref, returned_url, timeout=timeout)

    async def start_consent(
        self,
        request: ConsentRequest,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> BankConsent:
        """Ask the owner of bank accounts for consent; the result has the link to send the owner to.

        Args:
            request: consent to ask for.
            idempotency_key: identifies this consent: a repeat returns the same consent.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(
            BankFlows.start_consent, request, idempotency_key=idempotency_key, timeout=timeout
        )

    async def get_consent(self, ref: Ref | str, *, timeout: float | None = None) -> BankConsent:
        """Get the current state of a consent."""
        return await self._flows.run(BankFlows.get_consent, ref, timeout=timeout)

    async def revoke_consent(self, ref: Ref | str, *, timeout: float | None = None) -> BankConsent:
        """End a consent; a consent that does not exist any more counts as revoked.

        Args:
            ref: reference of the consent.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(BankFlows.revoke_consent, ref, timeout=timeout)

    async def accounts(
        self, ref: Ref | str, *, timeout: float | None = None
    ) -> tuple[BankAccount, ...]:
        """List the accounts of a consent, by the reference of the consent.

        Raises:
            ConsentRequired: the owner has not agreed, or the consent has ended.
        """
        return await self._flows.run(BankFlows.accounts, ref, timeout=timeout)

    async def balances(
        self, ref: Ref | str, *, timeout: float | None = None
    ) -> tuple[CurrentBalance, ...]:
        """Get the balances of an account, by the reference of the account.

        Raises:
            ConsentRequired: the consent has ended.
        """
        return await self._flows.run(BankFlows.balances, ref, timeout=timeout)

    async def transactions(
        self,
        ref: Ref | str,
        query: TransactionQuery | None = None,
        *,
        after: Ref | str | None = None,
        timeout: float | None = None,
    ) -> TransactionPage:
        """Get a page of the transactions of an account.

        Args:
            ref: reference of the account.
            query: period of the transactions; pass the same query for each page.
            after: the `next` of the previous page.
            timeout: seconds for the whole operation.

        Raises:
            ConsentRequired: the consent has ended.
        """
        return await self._flows.run(
            BankFlows.transactions, ref, query, after=after, timeout=timeout
        )

    async def pay(
        self, order: PaymentOrder, *, idempotency_key: str, timeout: float | None = None
    ) -> BankPayment:
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
        return await self._flows.run(
            BankFlows.pay, order, idempotency_key=idempotency_key, timeout=timeout
        )

    async def get_payment(self, ref: Ref | str, *, timeout: float | None = None) -> BankPayment:
        """Get the current state of a payment, by its own reference."""
        return await self._flows.run(BankFlows.get_payment, ref, timeout=timeout)
