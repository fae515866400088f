"""A test environment for a bank vendor: the vendor, its sandbox and a hub."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.contracts.bank import (
    BankCapability,
    BankParty,
    BankPaymentStatus,
    ConsentRequest,
    ConsentStatus,
    CreditTransfer,
    Money,
    PaymentOrder,
    SortCodeAccount,
    SterlingTransfer,
    TransactionQuery,
)
from moorage.contracts.ref import Ref
from moorage.testing.kits._recorded_harness import RecordedHarness
from moorage.testing.kits.checks import require
from moorage.testing.sandboxes.bank.base import IBANS, OWNER, RETURN_URL

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from moorage.contracts.bank import (
        AccountTransaction,
        BankConsent,
        BankPayment,
        TransactionPage,
    )
    from moorage.contracts.vendor import Vendor
    from moorage.domain.http.requests import Response
    from moorage.errors import ConnectorError
    from moorage.testing.sandboxes.bank.base import BankSandbox

ACCOUNT: Final = "banks"
SINCE: Final = date(2031, 1, 1)
UNTIL: Final = date(2031, 12, 31)
TRANSFER: Final = CreditTransfer(
    end_to_end_id="RUN-8-1",
    amount=Money("149.9", "EUR"),
    creditor=BankParty(name="Harbour GmbH", iban="AT61 1904 3002 3457 3201"),
    remittance="Invoice 2031-77",
)
STERLING: Final = SterlingTransfer(
    end_to_end_id="RUN-8-2",
    amount=Money("1049.05", "GBP"),
    creditor_name="Harbour Ltd",
    creditor_account=SortCodeAccount(sort_code="08-08-00", number="21325698"),
    reference="2031-77",
)


@attrs.frozen(kw_only=True)
class BankSubject:
    """A vendor of bank accounts to be checked, with its sandbox.

    Attributes:
        vendor: an account at the sandbox.
        sandbox: the sandbox.
        refusals: error responses to a request for an account's balances, each with the error that
            it must raise, and the vendor's code that the error must keep.
        daily: responses by which the vendor says that an account was read too often today.
        consents: responses about a consent, with the status that each must become.
        payments: responses about a payment, with the status that each must become.
        initiations: responses about a payment that the vendor has not submitted yet, with the
            status that each must become.
        damaged: operations, such as "balances", each with a response that must not be read,
            such as one with an invalid amount.
        secrets: texts that no repr, error, event or log entry may contain, such as a token.
        institution: the vendor's id of a bank; None if the vendor is one bank.
        balance_words: the vendor's own words for the booked and the available balance.
        has_other_balances: False if the balances are fields with fixed names, so that no other
            kind can occur.
        unstated: optional fields that no response of the vendor has, and which must be None or
            empty: of accounts, of balances and of transactions, such as "owner".
    """

    vendor: Vendor
    sandbox: BankSandbox
    refusals: tuple[tuple[Response, type[ConnectorError], str | None], ...]
    daily: tuple[Response, ...]
    consents: tuple[tuple[Response, ConsentStatus], ...]
    payments: tuple[tuple[Response, BankPaymentStatus], ...] = ()
    initiations: tuple[tuple[Response, BankPaymentStatus], ...] = ()
    damaged: tuple[tuple[str, Response], ...] = ()
    secrets: tuple[str, ...] = attrs.field(repr=False)
    institution: str | None = None
    balance_words: tuple[str, str] = ("closingBooked", "interimAvailable")
    has_other_balances: bool = True
    unstated: frozenset[str] = frozenset()

    def stated(self, name: str, value: object, *, missing: object = None) -> object:
        """Return the expected value of a field; `missing` if this vendor never returns it."""
        return missing if name in self.unstated else value


class Harness(RecordedHarness[BankSubject]):
    """A vendor of bank accounts under test, with its hub and its observer."""

    contract = "bank"
    account_name = ACCOUNT

    @property
    def bank(self) -> BankSandbox:
        """The sandbox, which shows the state at the simulated bank."""
        return self.subject.sandbox

    async def start(self, **options: Any) -> Any:
        """Start a consent, and return it."""
        return await self("start_consent", ConsentRequest(return_url=RETURN_URL), **options)

    async def granted(self) -> BankConsent:
        """Start a consent, let the account's owner accept it, and finish it."""
        return await self.finished(await self.start(), self.bank.grant)

    async def finished(self, started: BankConsent, decide: Callable[[str], None]) -> BankConsent:
        """Finish a consent with the owner's return URL, after `decide` has made the decision."""
        decide(started.ref.id)
        url = self.bank.returned_url(started.link or "")
        consent: BankConsent = await self("finish_consent", started.ref, url)
        return consent

    async def account(self) -> Ref:
        """Return the reference of a granted consent's first account."""
        ref: Ref = (await self("accounts", (await self.granted()).ref))[0].ref
        return ref

    async def pages(self, ref: Ref, query: TransactionQuery) -> list[TransactionPage]:
        """Return all pages of an account's transactions."""
        pages: list[TransactionPage] = [await self("transactions", ref, query)]
        while pages[-1].next is not None:
            require(len(pages) < 9, "The pages of transactions do not end.")
            pages.append(await self("transactions", ref, query, after=str(pages[-1].next)))
        return pages

    def query(self, **fields: Any) -> TransactionQuery:
        """Return a query of the period in which the account has transactions."""
        values: dict[str, Any] = {"since": SINCE, "until": UNTIL}
        return TransactionQuery(**values | fields)

    async def booked(self, ref: Ref, **fields: Any) -> list[AccountTransaction]:
        """Return the booked transactions of all pages."""
        query = self.query(**fields)
        return [item for page in await self.pages(ref, query) for item in page.booked]

    def order(self, **fields: Any) -> PaymentOrder:
        """Return a payment order from the first account."""
        values: dict[str, Any] = {"debtor": IBANS[0], "transfer": TRANSFER, **fields}
        return PaymentOrder(return_url=RETURN_URL, **values)

    def sterling_order(self, **fields: Any) -> PaymentOrder:
        """Return an order to pay pounds, from an account that the owner chooses."""
        return PaymentOrder(return_url=RETURN_URL, transfer=attrs.evolve(STERLING, **fields))

    async def approved(self, order: PaymentOrder, key: str) -> tuple[BankPayment, str]:
        """Initiate a payment that its owner approves; return it and the owner's return URL."""
        payment: BankPayment = await self("pay", order, idempotency_key=key)
        self.bank.approve(payment.ref.id)
        return payment, self.bank.returned_url(payment.link or "")

    async def paid(self, order: PaymentOrder, key: str = "k-1") -> BankPayment:
        """Initiate a payment, let the account's owner approve it, and finish it."""
        started, url = await self.approved(order, key)
        payment: BankPayment = await self("finish_payment", str(started.ref), url)
        return payment

    def hidden(self) -> tuple[str, ...]:
        """Return texts that must stay hidden: secrets, account numbers, and the owner."""
        return (*self.subject.secrets, *IBANS, OWNER)


def calls_by_capability(harness: Harness) -> Mapping[BankCapability, Callable[[], Awaitable[Any]]]:
    """Return, for each capability, a call that requires it."""
    ref = Ref(harness.subject.vendor.name, ACCOUNT, "1")

    def start(**fields: Any) -> Callable[[], Awaitable[Any]]:
        return lambda: harness("start_consent", ConsentRequest(return_url=RETURN_URL, **fields))

    return {
        BankCapability.INSTITUTION: start(institution="A_BANK"),
        BankCapability.CHOSEN_ACCOUNTS: start(accounts=[IBANS[0]]),
        BankCapability.PENDING: lambda: harness(
            "transactions", ref, TransactionQuery(pending=True)
        ),
        BankCapability.END_TO_END: lambda: harness(
            "transactions", ref, TransactionQuery(end_to_end=True)
        ),
        BankCapability.PAY: lambda: harness("pay", harness.order(), idempotency_key="k"),
        BankCapability.INSTANT: lambda: harness(
            "pay", harness.order(instant=True), idempotency_key="k-instant"
        ),
        BankCapability.STERLING: lambda: harness(
            "pay", harness.sterling_order(), idempotency_key="k-sterling"
        ),
    }
