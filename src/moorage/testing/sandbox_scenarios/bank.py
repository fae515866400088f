"""Example calls to vendors that give access to bank accounts."""

from __future__ import annotations

from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.contracts.bank import (
    BankCapability,
    BankParty,
    ConsentRequest,
    CreditTransfer,
    Money,
    PaymentOrder,
    SortCodeAccount,
    SterlingTransfer,
    TransactionQuery,
)
from moorage.contracts.ref import Ref
from moorage.testing.sandboxes.bank.base import IBANS, RETURN_URL

if TYPE_CHECKING:
    from moorage.contracts.bank import TransactionPage
    from moorage.testing.sandbox_scenarios.runner import Scenario, ScenarioVendor

TRANSFER: Final = CreditTransfer(
    end_to_end_id="RUN-8-1",
    amount=Money("149.90", "EUR"),
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
PERIOD: Final = TransactionQuery(since=date(2031, 1, 1), until=date(2031, 12, 31))
"""The period in which sandboxes have transactions."""


async def start_consent(vendor: ScenarioVendor, **fields: Any) -> Any:
    """Start a consent with these fields."""
    request = ConsentRequest(return_url=RETURN_URL, **fields)
    return (await vendor("start_consent", request)).status


async def named_institution(vendor: ScenarioVendor) -> Any:
    """Start a consent at the bank named in the request."""
    return await start_consent(
        vendor, institution=vendor.fixture.vendor_values.get("institution", "B")
    )


async def grant_consent(vendor: ScenarioVendor) -> Ref:
    """Start a consent, let its owner grant it, finish it, and return the reference."""
    consent = await vendor("start_consent", ConsentRequest(return_url=RETURN_URL))
    sandbox: Any = vendor.fixture.sandbox
    sandbox.grant(consent.ref.id)
    ref: Ref = consent.ref
    await vendor("finish_consent", ref, sandbox.returned_url(consent.link))
    return ref


async def account(vendor: ScenarioVendor) -> Ref:
    """Return the reference of a granted consent's first account."""
    ref: Ref = (await vendor("accounts", await grant_consent(vendor)))[0].ref
    return ref


async def finish_consent(vendor: ScenarioVendor) -> Any:
    """Finish a consent with the URL to which its owner returned."""
    consent = await vendor("start_consent", ConsentRequest(return_url=RETURN_URL))
    sandbox: Any = vendor.fixture.sandbox
    sandbox.grant(consent.ref.id)
    url = sandbox.returned_url(consent.link)
    return (await vendor("finish_consent", consent.ref, url)).status


async def looked_at(vendor: ScenarioVendor) -> Any:
    """Get the state of a granted consent."""
    return (await vendor("get_consent", await grant_consent(vendor))).status


async def revoke_consent(vendor: ScenarioVendor) -> Any:
    """Revoke a granted consent."""
    return (await vendor("revoke_consent", await grant_consent(vendor))).status


async def list_accounts(vendor: ScenarioVendor) -> Any:
    """List the accounts of a granted consent."""
    return len(await vendor("accounts", await grant_consent(vendor)))


async def get_balances(vendor: ScenarioVendor) -> Any:
    """Get the balances of an account."""
    return len(await vendor("balances", await account(vendor)))


async def read_transactions(vendor: ScenarioVendor) -> Any:
    """Get a page of an account's booked transactions."""
    return len((await vendor("transactions", await account(vendor), PERIOD)).booked)


async def read_pending(vendor: ScenarioVendor) -> Any:
    """Get an account's pending transactions."""
    return len((await _page(vendor, pending=True)).pending)


async def read_end_to_end(vendor: ScenarioVendor) -> Any:
    """Get an account's transactions with their end-to-end identifiers."""
    page = await _page(vendor, end_to_end=True)
    return [item.entry.transactions[0].end_to_end_id for item in page.booked]


async def _page(vendor: ScenarioVendor, **fields: Any) -> TransactionPage:
    ref = await account(vendor) if vendor.is_supported else Ref(vendor.name, vendor.name, "1")
    page: TransactionPage = await vendor("transactions", ref, attrs.evolve(PERIOD, **fields))
    return page


async def initiate_payment(vendor: ScenarioVendor, **fields: Any) -> Any:
    """Initiate a payment, finish it when its owner has approved it, and get its state."""
    values: dict[str, Any] = {"debtor": IBANS[0], "transfer": TRANSFER, **fields}
    order = PaymentOrder(return_url=RETURN_URL, **values)
    payment = await vendor("pay", order, idempotency_key="run-8-1")
    sandbox: Any = vendor.fixture.sandbox
    sandbox.approve(payment.ref.id)
    finished = await vendor("finish_payment", payment.ref, sandbox.returned_url(payment.link or ""))
    return (await vendor("get_payment", finished.ref)).status


BASIC: Final[dict[str, Scenario]] = {
    "start_consent": start_consent,
    "finish_consent": finish_consent,
    "get_consent": looked_at,
    "revoke_consent": revoke_consent,
    "accounts": list_accounts,
    "balances": get_balances,
    "transactions": read_transactions,
}

BY_CAPABILITY: Final[dict[str, Scenario]] = {
    BankCapability.INSTITUTION: named_institution,
    BankCapability.CHOSEN_ACCOUNTS: partial(start_consent, accounts=[IBANS[0]]),
    BankCapability.PENDING: read_pending,
    BankCapability.END_TO_END: read_end_to_end,
    BankCapability.PAY: initiate_payment,
    BankCapability.INSTANT: partial(initiate_payment, instant=True),
    BankCapability.STERLING: partial(initiate_payment, debtor=None, transfer=STERLING),
}
