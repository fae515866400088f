"""The conformance kit for vendors of bank accounts finds faulty vendors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage.contracts.bank import (
    BalanceKind,
    BankCapability,
    BankConsent,
    BankPaymentStatus,
    ConsentStatus,
    EntryStatus,
    Money,
    PaymentOrder,
    TransactionPage,
)
from moorage.errors import VendorFailed, VendorRejected
from moorage.testing import bank_conformance as kit
from moorage.testing import name_of
from moorage.testing.sandbox_scenarios.bank import TRANSFER
from moorage.testing.sandboxes.bank.base import IBANS
from moorage.vendors.bank._berlin_group_errors import classify
from moorage.vendors.bank.berlin_group import BerlinGroup
from moorage.vendors.bank.gocardless import GoCardless
from moorage.vendors.bank.open_banking_uk import OpenBankingUk
from tests.vendors import bank_subjects

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moorage.contracts.bank import (
        BankAccount,
        BankPayment,
        ConsentRequest,
        CurrentBalance,
        TransactionQuery,
    )
    from moorage.contracts.ref import Ref
    from moorage.contracts.wire import Wire
    from moorage.domain.http.requests import Request, Response
    from moorage.domain.service.settings import Service


def as_bank(kind: Callable[..., BerlinGroup]) -> kit.Factory:
    """Return a function that makes a test subject of a bank with another vendor class."""

    def new_subject() -> kit.BankSubject:
        subject = bank_subjects.berlin_group()
        return attrs.evolve(subject, vendor=kind(**_options(subject.vendor)))

    return new_subject


def with_unstated(*names: str) -> kit.Factory:
    """Return a maker of test subjects that declare some of the vendor's fields as missing."""

    def new_subject() -> kit.BankSubject:
        return attrs.evolve(bank_subjects.berlin_group(), unstated=frozenset(names))

    return new_subject


def as_plaid_with_owner() -> kit.BankSubject:
    """Return a Plaid subject that claims to state an account's owner, which Plaid does not."""
    subject = bank_subjects.plaid()
    return attrs.evolve(subject, unstated=subject.unstated - {"owner"})


def as_gocardless(kind: Callable[..., GoCardless]) -> kit.Factory:
    """Return a function that makes a test subject of GoCardless with another vendor class."""

    def new_subject() -> kit.BankSubject:
        subject = bank_subjects.gocardless()
        return attrs.evolve(subject, vendor=kind(**_options(subject.vendor)))

    return new_subject


def as_uk_bank(kind: Callable[..., OpenBankingUk]) -> kit.Factory:
    """Return a function that makes a test subject of a UK bank with another vendor class."""

    def new_subject() -> kit.BankSubject:
        subject = bank_subjects.open_banking_uk()
        return attrs.evolve(subject, vendor=kind(**_options(subject.vendor)))

    return new_subject


def _options(vendor: Any) -> dict[str, Any]:
    return attrs.asdict(vendor, recurse=False)


class _GrantsPendingConsentsVendor(BerlinGroup):
    """A faulty vendor that reads unknown states and pending consents as granted."""

    async def get_consent(self, wire: Wire, ref: Ref, /) -> BankConsent:
        consent = await super().get_consent(wire, ref)
        return attrs.evolve(consent, status=ConsentStatus.GRANTED)


class _GrantsUnknownStateVendor(BerlinGroup):
    """A faulty vendor that reads an unknown state as a granted consent."""

    async def get_consent(self, wire: Wire, ref: Ref, /) -> BankConsent:
        consent = await super().get_consent(wire, ref)
        is_unknown = consent.status is ConsentStatus.UNKNOWN
        return attrs.evolve(consent, status=ConsentStatus.GRANTED) if is_unknown else consent


class _ForgetsConsentOnReturnVendor(BerlinGroup):
    """A faulty vendor that reports a consent as unknown after its account owner has returned."""

    async def finish_consent(self, wire: Wire, ref: Ref, returned_url: str, /) -> BankConsent:
        assert returned_url.startswith("https://")
        consent = await self.get_consent(wire, ref)
        return attrs.evolve(consent, status=ConsentStatus.UNKNOWN)


class _FakeRevocationVendor(BerlinGroup):
    """A faulty vendor that reports a consent as revoked without asking the bank to revoke it."""

    async def revoke_consent(self, wire: Wire, ref: Ref, /) -> BankConsent:
        return BankConsent(ref=ref, status=ConsentStatus.REVOKED)


class _KeylessConsentsVendor(BerlinGroup):
    """A faulty vendor that loses the idempotency key of consents."""

    async def start_consent(
        self, wire: Wire, request: ConsentRequest, /, *, key: str | None
    ) -> BankConsent:
        del key
        return await super().start_consent(wire, request, key=None)


class _NoAccountsInsteadOfErrorVendor(GoCardless):
    """A faulty vendor that returns no accounts, rather than an error, if the consent is missing."""

    async def accounts(self, wire: Wire, ref: Ref, /) -> tuple[BankAccount, ...]:
        try:
            return await super().accounts(wire, ref)
        except VendorRejected:
            return ()


class _SameAccountNumberVendor(BerlinGroup):
    """A faulty vendor that gives all accounts the first account's number."""

    async def accounts(self, wire: Wire, ref: Ref, /) -> tuple[BankAccount, ...]:
        accounts = await super().accounts(wire, ref)
        return tuple(attrs.evolve(item, iban=accounts[0].iban) for item in accounts)


class _CentsVendor(BerlinGroup):
    """A faulty vendor that reads amounts as cents."""

    async def balances(self, wire: Wire, ref: Ref, /) -> tuple[CurrentBalance, ...]:
        balances = await super().balances(wire, ref)
        return tuple(attrs.evolve(item, amount=item.amount * 100) for item in balances)


class _EveryBalanceAvailableVendor(BerlinGroup):
    """A faulty vendor that reports every balance as available."""

    async def balances(self, wire: Wire, ref: Ref, /) -> tuple[CurrentBalance, ...]:
        balances = await super().balances(wire, ref)
        return tuple(attrs.evolve(item, kind=BalanceKind.AVAILABLE) for item in balances)


class _ChangedPagesVendor(BerlinGroup):
    """A faulty vendor whose pages of transactions a subclass changes."""

    async def transactions(
        self, wire: Wire, ref: Ref, query: TransactionQuery, /, *, after: Ref | None
    ) -> TransactionPage:
        return self.damage_page(await super().transactions(wire, ref, query, after=after))

    def damage_page(self, page: TransactionPage) -> TransactionPage:
        """Return the page with a fault."""
        return page


class _FirstPageVendor(_ChangedPagesVendor):
    """A faulty vendor that reads the first page only."""

    def damage_page(self, page: TransactionPage) -> TransactionPage:
        return attrs.evolve(page, next=None)


class _UnsignedVendor(_ChangedPagesVendor):
    """A faulty vendor that loses the sign of amounts."""

    def damage_page(self, page: TransactionPage) -> TransactionPage:
        return attrs.evolve(
            page,
            booked=tuple(
                attrs.evolve(item, entry=attrs.evolve(item.entry, amount=abs(item.entry.amount)))
                for item in page.booked
            ),
        )


class _AnonymousVendor(_ChangedPagesVendor):
    """A faulty vendor that loses the identifiers of transactions."""

    def damage_page(self, page: TransactionPage) -> TransactionPage:
        return attrs.evolve(page, booked=tuple(attrs.evolve(item, id=None) for item in page.booked))


class _ListsPendingAsBookedVendor(_ChangedPagesVendor):
    """A faulty vendor that lists pending transactions among the booked ones."""

    def damage_page(self, page: TransactionPage) -> TransactionPage:
        return attrs.evolve(page, booked=(*page.booked, *page.pending))


class _ReportsPendingAsBookedVendor(_ChangedPagesVendor):
    """A faulty vendor that reports pending transactions as booked."""

    def damage_page(self, page: TransactionPage) -> TransactionPage:
        return attrs.evolve(
            page,
            pending=tuple(
                attrs.evolve(item, entry=attrs.evolve(item.entry, status=EntryStatus.BOOKED))
                for item in page.pending
            ),
        )


class _DropsPaymentsOfEntryVendor(_ChangedPagesVendor):
    """A faulty vendor that drops the separate payments inside a booked entry."""

    def damage_page(self, page: TransactionPage) -> TransactionPage:
        def without_text(item: Any) -> Any:
            payment = attrs.evolve(item.entry.transactions[0], remittance="")
            return attrs.evolve(item, entry=attrs.evolve(item.entry, transactions=[payment]))

        return attrs.evolve(page, booked=tuple(map(without_text, page.booked)))


class _UndeclaredIdentifiersVendor(BerlinGroup):
    """A faulty vendor that reads end-to-end identifiers without declaring it."""

    capabilities = BerlinGroup.capabilities - {BankCapability.END_TO_END}


class _DropsIdentifiersVendor(GoCardless):
    """A faulty vendor that declares end-to-end identifiers, but drops them."""

    async def transactions(
        self, wire: Wire, ref: Ref, query: TransactionQuery, /, *, after: Ref | None
    ) -> TransactionPage:
        page = await super().transactions(wire, ref, query, after=after)

        def without_id(item: Any) -> Any:
            payment = attrs.evolve(item.entry.transactions[0], end_to_end_id=None)
            return attrs.evolve(item, entry=attrs.evolve(item.entry, transactions=[payment]))

        return attrs.evolve(page, booked=tuple(map(without_id, page.booked)))


class _PayingTwiceVendor(BerlinGroup):
    """A faulty vendor that initiates each payment twice."""

    async def pay(self, wire: Wire, order: PaymentOrder, /, *, key: str | None) -> BankPayment:
        await super().pay(wire, order, key=None)
        return await super().pay(wire, order, key=key)


class _KeylessPaymentsVendor(BerlinGroup):
    """A faulty vendor that loses the idempotency key of payments."""

    async def pay(self, wire: Wire, order: PaymentOrder, /, *, key: str | None) -> BankPayment:
        del key
        return await super().pay(wire, order, key=None)


class _PayingOnReturnVendor(BerlinGroup):
    """A faulty vendor that initiates another payment when the owner returns."""

    async def finish_payment(self, wire: Wire, ref: Ref, returned_url: str, /) -> BankPayment:
        order = PaymentOrder(debtor=IBANS[0], transfer=TRANSFER, return_url=returned_url)
        await self.pay(wire, order, key=None)
        return await self.get_payment(wire, ref)


class _PendingBeforeApprovalVendor(OpenBankingUk):
    """A faulty vendor that reports a payment as pending before anybody approved it."""

    async def finish_payment(self, wire: Wire, ref: Ref, returned_url: str, /) -> BankPayment:
        assert returned_url.startswith("https://")
        return await self.get_payment(wire, ref)


class _PaysPennyMoreVendor(OpenBankingUk):
    """A faulty vendor that pays a penny more."""

    async def pay(self, wire: Wire, order: PaymentOrder, /, *, key: str | None) -> BankPayment:
        amount = order.transfer.amount + Money("0.01", "GBP")
        transfer: Any = attrs.evolve(order.transfer, amount=amount)
        return await super().pay(wire, attrs.evolve(order, transfer=transfer), key=key)


class _InitiatedIsSettledVendor(BerlinGroup):
    """A faulty vendor that reports an initiated payment as settled."""

    async def pay(self, wire: Wire, order: PaymentOrder, /, *, key: str | None) -> BankPayment:
        payment = await super().pay(wire, order, key=key)
        return attrs.evolve(payment, status=BankPaymentStatus.SETTLED)


class _UnrefusedIsSettledVendor(BerlinGroup):
    """A faulty vendor that reports each payment that was not refused as settled."""

    async def get_payment(self, wire: Wire, ref: Ref, /) -> BankPayment:
        payment = await super().get_payment(wire, ref)
        is_unknown = payment.status is BankPaymentStatus.UNKNOWN
        return attrs.evolve(payment, status=BankPaymentStatus.SETTLED) if is_unknown else payment


class _UnreadableIsEmptyVendor(BerlinGroup):
    """A faulty vendor that reads an unreadable response as an account without balances."""

    async def balances(self, wire: Wire, ref: Ref, /) -> tuple[CurrentBalance, ...]:
        try:
            return await super().balances(wire, ref)
        except VendorFailed:
            return ()


class _ClassifiesByStatusVendor(BerlinGroup):
    """A faulty vendor that classifies its bank's errors by the HTTP status alone."""

    def services(self) -> Mapping[str, Service]:
        return {
            name: attrs.evolve(service, classify=None)
            for name, service in super().services().items()
        }


def _with_words(error: Any, words: str) -> Any:
    """Return a copy of an error response's error with this text instead of the vendor's."""
    text = error and f"The bank refused: {words}"
    return error and type(error)(text, response=error.response, vendor_code=error.vendor_code)


class _DropsErrorTextVendor(BerlinGroup):
    """A faulty vendor that drops the text of its bank's errors."""

    def services(self) -> Mapping[str, Service]:
        def refuse(request: Request, response: Response) -> Any:
            return _with_words(classify(request, response), "it does not say why.")

        return {"": attrs.evolve(super().services()[""], classify=refuse)}


class _ErrorsShowResponseVendor(BerlinGroup):
    """A faulty vendor whose errors show the bank's whole response."""

    def services(self) -> Mapping[str, Service]:
        def refuse(request: Request, response: Response) -> Any:
            return _with_words(classify(request, response), response.text)

        return {"": attrs.evolve(super().services()[""], classify=refuse)}


class _ReadsTwiceVendor(BerlinGroup):
    """A faulty vendor that reads the balances twice."""

    async def balances(self, wire: Wire, ref: Ref, /) -> tuple[CurrentBalance, ...]:
        await super().balances(wire, ref)
        return await super().balances(wire, ref)


class _ShowsTokenVendor(BerlinGroup):
    """A faulty vendor whose repr shows the token."""

    def __repr__(self) -> str:
        return "" if self.credentials is None else self.credentials.reveal()


WRONG = [
    (
        "a_consent_follows_its_owner",
        as_bank(_GrantsPendingConsentsVendor),
        "The consent became granted",
    ),
    ("a_consent_is_finished_once", as_bank(_ForgetsConsentOnReturnVendor), "A repeat is unknown"),
    ("a_revoked_consent_gives_nothing", as_bank(_FakeRevocationVendor), "gives 2 accounts"),
    ("a_key_starts_one_consent", as_bank(_KeylessConsentsVendor), "more than one consent"),
    ("a_lost_consent_is_unknown", as_bank(_KeylessConsentsVendor), "raised ConnectionFailed"),
    ("accounts_need_a_consent", as_gocardless(_NoAccountsInsteadOfErrorVendor), "was no error"),
    (
        "accounts_are_listed",
        as_bank(_SameAccountNumberVendor),
        "The accounts have different numbers",
    ),
    ("balances_are_exact", as_bank(_CentsVendor), "The amounts are"),
    ("balances_are_exact", as_bank(_EveryBalanceAvailableVendor), "The kinds are"),
    ("transactions_are_read_page_by_page", as_bank(_FirstPageVendor), "The amounts are"),
    ("transactions_are_read_page_by_page", as_bank(_UnsignedVendor), "The amounts are"),
    ("transactions_are_read_page_by_page", as_bank(_AnonymousVendor), "The ids are"),
    ("transactions_match_open_items", as_bank(_DropsPaymentsOfEntryVendor), "The texts are"),
    ("transactions_match_open_items", as_bank(_UndeclaredIdentifiersVendor), "The identifiers are"),
    (
        "transactions_match_open_items",
        as_gocardless(_DropsIdentifiersVendor),
        "The identifiers are",
    ),
    ("transactions_match_open_items", with_unstated("value_on"), "The details are"),
    ("accounts_are_listed", with_unstated("owner"), "The owner is lost"),
    ("accounts_are_listed", as_plaid_with_owner, "The owner is lost"),
    ("balances_are_exact", with_unstated("day"), "The day is 2031-05-06"),
    ("balances_are_exact", with_unstated("at"), "The time is 2031-05-06"),
    ("balances_are_exact", with_unstated("with_credit"), "credit of a balance is wrong"),
    ("pending_transactions_are_separate", as_bank(_ListsPendingAsBookedVendor), "among the booked"),
    ("pending_transactions_are_separate", as_bank(_ReportsPendingAsBookedVendor), "another status"),
    ("an_unknown_word_is_no_consent", as_bank(_GrantsUnknownStateVendor), "was read as granted"),
    ("a_payment_is_initiated_once", as_bank(_PayingTwiceVendor), "twice"),
    ("a_payment_is_initiated_once", as_bank(_KeylessPaymentsVendor), "more than one payment"),
    ("a_payment_is_initiated_once", as_bank(_InitiatedIsSettledVendor), "The payment is settled"),
    ("a_lost_payment_is_never_repeated", as_bank(_KeylessPaymentsVendor), "ConnectionFailed"),
    ("a_payment_is_finished_once", as_bank(_PayingOnReturnVendor), "submitted twice"),
    ("a_lost_submission_is_made_good", as_bank(_PayingOnReturnVendor), "submitted twice"),
    (
        "an_unapproved_payment_is_not_submitted",
        as_uk_bank(_PendingBeforeApprovalVendor),
        "was no error",
    ),
    ("a_sterling_payment_is_exact", as_uk_bank(_PaysPennyMoreVendor), '"0.01" is not in a request'),
    ("an_unknown_word_is_no_success", as_bank(_UnrefusedIsSettledVendor), "was read as settled"),
    ("a_damaged_answer_is_an_error", as_bank(_UnreadableIsEmptyVendor), "was no error"),
    ("a_refusal_has_its_type", as_bank(_ClassifiesByStatusVendor), "raised AuthenticationFailed"),
    ("a_refusal_has_its_type", as_bank(_DropsErrorTextVendor), "loses the vendor's words"),
    ("a_refusal_has_its_type", as_bank(_ErrorsShowResponseVendor), "shows an address"),
    ("a_daily_limit_is_not_retried", as_bank(_ClassifiesByStatusVendor), "worth another attempt"),
    ("each_request_is_sent_once", as_bank(_ReadsTwiceVendor), "twice"),
    ("secrets_are_shown_nowhere", as_bank(_ShowsTokenVendor), "secret is shown"),
]
CHECKS_BY_NAME = {name_of(check): check for check in kit.CHECKS}


@pytest.mark.parametrize("check, wrong, sentence", WRONG)
def test_check_fails_for_a_faulty_vendor(check: str, wrong: kit.Factory, sentence: str) -> None:
    """A bank vendor with one fault fails the check that looks for this fault."""
    with pytest.raises(AssertionError, match=sentence):
        CHECKS_BY_NAME[check](wrong)
