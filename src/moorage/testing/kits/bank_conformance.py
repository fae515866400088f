"""Checks that every bank vendor must pass.

The most important ones are about consents that the owner has not given, payments with an unknown
outcome, and amounts.

Each check takes a function that makes a new `BankSubject`: the vendor, its sandbox, and what the
kit cannot know. `CHECKS` go through `Hub`, and `ASYNC_CHECKS` through `AsyncHub`.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from datetime import UTC, date, datetime
from functools import partial
from typing import Any, Final, TypeAlias

import attrs

from moorage.contracts.bank import (
    BalanceKind,
    BankAccount,
    BankCapability,
    BankConsent,
    BankPayment,
    BankPaymentStatus,
    ConsentStatus,
    CurrentBalance,
    Money,
    OpenItem,
    StatementEntry,
    TransactionPage,
    match,
)
from moorage.contracts.ref import Ref
from moorage.domain.http.requests import Response
from moorage.domain.values.json_text import encode_json
from moorage.errors import (
    ConnectorError,
    ConsentRequired,
    IdempotencyConflict,
    InvalidData,
    OutcomeUnknown,
    RateLimitExceeded,
    VendorFailed,
)
from moorage.testing.kits._bank_harness import ACCOUNT, BankSubject, Harness, calls_by_capability
from moorage.testing.kits._contract_harness import (
    require_refusal,
    require_unsupported,
    through_async_hub,
    through_hub,
    uncertain_answers,
    with_an_address,
    with_body,
    with_values,
)
from moorage.testing.kits._sent_requests import require_no_repeats
from moorage.testing.kits.checks import require
from moorage.testing.sandboxes.bank.base import BALANCES, BOOKED, IBANS, OWNER, PENDING
from moorage.testing.sandboxes.base import AlteredAnswer, Lost

__all__ = ["ASYNC_CHECKS", "CHECKS", "AsyncCheck", "BankSubject", "Check", "Factory"]

_MALFORMED: Final = (b"{}", b"[]", b"null", b"<html></html>")
_JSON: Final = {"Content-Type": "application/json"}
_READS: Final = ("balances", "transactions")
_AMOUNTS: Final = (("7", "73", "JPY"), ("1.126", "73.605", "KWD"), ("9" * 18, "0.01", "EUR"))
"""The amounts of two balances, the second one negative, and their currency."""

Factory: TypeAlias = Callable[[], BankSubject]
Check: TypeAlias = Callable[[Factory], None]
AsyncCheck: TypeAlias = Callable[[Factory], Coroutine[Any, Any, None]]
Open: TypeAlias = Callable[[], Harness]


async def a_consent_follows_its_owner(make: Open) -> None:
    """A consent is pending until its owner accepts or refuses it, and its state then changes."""
    async with make() as harness:
        decisions = (
            (harness.bank.grant, ConsentStatus.GRANTED),
            (harness.bank.refuse, ConsentStatus.REFUSED),
            (harness.bank.expire, ConsentStatus.EXPIRED),
        )
        for decide, status in decisions:
            consent: BankConsent = await harness.start()
            require(consent.status is ConsentStatus.PENDING, f"A new consent is {consent.status}.")
            link = consent.link or ""
            require(link.startswith("https://"), "A new consent has no link.")
            require(bool(consent.raw), "The result lacks the vendor's response.")
            ref = Ref.parse(str(consent.ref))
            require((ref.vendor, ref.account) == (harness.subject.vendor.name, ACCOUNT), f"{ref}")
            pending_consent: BankConsent = await harness("get_consent", str(ref))
            require(
                pending_consent.status is ConsentStatus.PENDING,
                f"The consent became {pending_consent.status}.",
            )
            if status is ConsentStatus.EXPIRED:
                await harness.finished(consent, harness.bank.grant)
            for consent_after in (
                await harness.finished(consent, decide),
                await harness("get_consent", ref),
            ):
                require(
                    consent_after.status is status, f"{status} was read as {consent_after.status}."
                )
                require(consent_after.ref == ref, "The consent has another reference.")
                require(
                    consent_after.link is None,
                    "A consent that the owner has decided still has a link.",
                )


async def a_consent_is_finished_once(make: Open) -> None:
    """Finishing a consent twice with the same URL returns the same state; no error shows a URL."""
    async with make() as harness:
        consent: BankConsent = await harness.start()
        harness.bank.grant(consent.ref.id)
        url = harness.bank.returned_url(consent.link or "")
        await harness("finish_consent", consent.ref, url)
        repeated_consent: BankConsent = await harness("finish_consent", str(consent.ref), url)
        require(
            repeated_consent.status is ConsentStatus.GRANTED,
            f"A repeat is {repeated_consent.status}.",
        )
        require(
            bool(await harness("accounts", consent.ref)), "A repeat does not return the accounts."
        )
        try:
            await harness("finish_consent", consent.ref, "http://erp.example/#code=secret-code")
        except InvalidData as error:
            require("secret-code" not in f"{error!r}", "An error shows the returned URL.")
        else:
            raise AssertionError("A URL without TLS is accepted.")


async def a_revoked_consent_gives_nothing(make: Open) -> None:
    """A revoked consent has no accounts, and repeating the revocation is not an error."""
    async with make() as harness:
        ref = (await harness.granted()).ref
        for _ in range(2):
            revoked: BankConsent = await harness("revoke_consent", str(ref))
            require(
                revoked.status is ConsentStatus.REVOKED, f"The revoked consent is {revoked.status}."
            )
            require(revoked.ref == ref, "Another consent was revoked.")
        try:
            accounts = await harness("accounts", ref)
        except ConnectorError:
            return
        raise AssertionError(f"A revoked consent gives {len(accounts)} accounts.")


async def a_key_starts_one_consent(make: Open) -> None:
    """A consent is started once per idempotency key; a repeat returns the same consent."""
    async with make() as harness:
        consents = [await harness.start(idempotency_key="k-1") for _ in range(3)]
        require(
            harness.bank.consent_count() == 1, "One idempotency key started more than one consent."
        )
        require(consents[0] == consents[1] == consents[2], "A repeat has another consent.")
        require(
            [item.replayed for item in consents] == [False, True, True],
            "The repeat is not marked as a replay.",
        )
        await harness.start(idempotency_key="k-2")
        require(
            harness.bank.consent_count() == 2, "A second idempotency key started no second consent."
        )


async def a_lost_consent_is_unknown(make: Open) -> None:
    """If a consent's response is lost, its outcome is unknown, and no second consent starts."""
    async with make() as harness:
        harness.sandbox.fail(*[None] * (await _requests_of_start(harness) - 1), Lost())
        for _ in range(2):
            await harness.refused(
                OutcomeUnknown, harness.start(idempotency_key="k-1"), "A lost answer"
            )
        require(harness.bank.consent_count() == 2, "A consent was started again.")


async def _requests_of_start(harness: Harness) -> int:
    """Return the number of requests that start a consent."""
    await harness.start()
    return len(harness.sandbox.requests)


async def accounts_need_a_consent(make: Open) -> None:
    """Accounts can be read only with the owner's consent, and no longer after its end."""
    async with make() as harness:
        consent: BankConsent = await harness.start()
        await harness.refused(
            ConsentRequired, harness("accounts", consent.ref), "A pending consent"
        )
        await harness.finished(consent, harness.bank.grant)
        account: Ref = (await harness("accounts", consent.ref))[0].ref
        harness.bank.expire(consent.ref.id)
        await harness.refused(
            ConsentRequired, harness("accounts", consent.ref), "An expired consent"
        )
        for operation in _READS:
            step = f"{operation} after the consent"
            await harness.refused(ConsentRequired, harness(operation, account), step)


async def accounts_are_listed(make: Open) -> None:
    """Each account has a number, an owner and a reference, none of which its repr shows."""
    async with make() as harness:
        accounts: tuple[BankAccount, ...] = await harness(
            "accounts", str((await harness.granted()).ref)
        )
        numbers = [item.iban.value if item.iban else item.number for item in accounts]
        require(tuple(numbers) == IBANS, "The accounts have different numbers.")
        owner = harness.subject.stated("owner", OWNER)
        require({item.owner for item in accounts} == {owner}, "The owner is lost.")
        require(len({item.ref for item in accounts}) == len(IBANS), "Accounts share a reference.")
        require(all(item.raw for item in accounts), "The result lacks the vendor's response.")
        harness.check_hides(f"{accounts!r}", "A list of accounts")


async def balances_are_exact(make: Open) -> None:
    """Each balance has the amount, kind and time that the bank reports."""
    async with make() as harness:
        account, stated = str(await harness.account()), harness.subject.stated
        balances: tuple[CurrentBalance, ...] = await harness("balances", account)
        words = tuple(item.vendor_kind for item in balances)
        require(words == harness.subject.balance_words, "The result lacks the bank's own status.")
        kinds = [item.kind for item in balances]
        require(kinds == [BalanceKind.BOOKED, BalanceKind.AVAILABLE], f"The kinds are {kinds}.")
        amounts = [item.amount for item in balances]
        require(amounts == _amounts(BALANCES, "balanceAmount"), f"The amounts are {amounts}.")
        day = stated("day", date(2031, 5, 6))
        require(balances[0].day == day, f"The day is {balances[0].day}.")
        time = stated("at", datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC))
        require(balances[1].at == time, f"The time is {balances[1].at}.")
        with_credit = stated("with_credit", value=False)
        require(balances[1].with_credit is with_credit, "The credit of a balance is wrong.")
        if harness.subject.has_other_balances:
            harness.sandbox.fail(
                AlteredAnswer(partial(with_values, {words[0] or "": "a-new-word"}))
            )
            kind = (await harness("balances", account))[0].kind
            require(kind is BalanceKind.UNKNOWN, f"An unknown word is read as {kind}.")
        for first, second, currency in _AMOUNTS:
            texts = {"1126.40": first, "73.6": second, "EUR": currency}
            harness.sandbox.fail(AlteredAnswer(partial(_with_texts, texts)))
            balances = await harness("balances", account)
            amounts = [item.amount for item in balances]
            expected = [Money(first, currency), -Money(second, currency)]
            require(amounts == expected, f"The amounts are {amounts}, not {expected}.")


def _with_texts(texts: Mapping[str, str], response: Response) -> Response:
    """Return a response with other amounts and currencies, written as texts or as numbers.

    An amount is replaced with however many zeros it ends in; its sign stays.
    """
    body = response.text
    for old, new in texts.items():
        form = re.escape(old.rstrip("0")) + "0*" if old[0].isdigit() else re.escape(old)
        body = re.sub(rf"(?<![0-9.]){form}(?![0-9.])", new, body)
    return response.evolve(body=body.encode())


def _amounts(items: tuple[dict[str, Any], ...], name: str) -> list[Money]:
    return [Money(item[name]["amount"], item[name]["currency"]) for item in items]


async def transactions_are_read_page_by_page(make: Open) -> None:
    """All pages together contain each transaction once, and a second reading has the same ids."""
    async with make() as harness:
        ref = await harness.account()
        booked = await harness.booked(ref)
        amounts = [item.entry.amount for item in booked]
        require(amounts == _amounts(BOOKED, "transactionAmount"), f"The amounts are {amounts}.")
        ids = [item.id for item in booked]
        require(None not in ids and len(set(ids)) == len(BOOKED), f"The ids are {ids}.")
        require([item.id for item in await harness.booked(ref)] == ids, "An id changes.")
        require(all(item.raw for item in booked), "The result lacks the vendor's response.")
        days = [item.entry.booked_on for item in booked]
        require(days == [date(2031, 5, day) for day in (6, 5, 4)], f"The days are {days}.")
        states = {item.entry.status for item in booked}
        require(states == {"booked"}, f"Booked transactions are {states}.")
        earlier_transactions = await harness.booked(ref, until=date(2031, 5, 5))
        require([item.id for item in earlier_transactions] == ids[1:], "The last day is ignored.")
        later_transactions = await harness.booked(ref, since=date(2031, 5, 6))
        require([item.id for item in later_transactions] == ids[:1], "The first day is ignored.")


_DETAILS: Final[tuple[dict[str, object], ...]] = (
    {
        "value_on": date(2031, 5, 7),
        "code": "PMNT/RCDT/ESCT",
        "bank_code": "166",
        "text": "Credit",
        "iban": "NL91ABNA0417164300",
        "bic": "ABNANL2A",
        "ultimate": "Grace's Rigging",
    },
    {
        "value_on": date(2031, 5, 5),
        "code": "PMNT/ICDT/ESCT",
        "bank_code": None,
        "text": "",
        "iban": "AT611904300234573201",
        "bic": "BKAUATWW",
        "ultimate": None,
    },
)
"""Value dates, codes, texts and other parties of the first two transactions."""
_END_TO_END: Final = (None, "RUN-7-1", "MANDATE-7", "AT61ZZZ01234567890")
"""The end-to-end identifiers of the first two transactions, and the second one's mandate."""


def _details(entry: StatementEntry) -> dict[str, object]:
    party = entry.transactions[0].counterparty
    return {
        "value_on": entry.value_on,
        "code": entry.code,
        "bank_code": entry.bank_code,
        "text": entry.text,
        "iban": party.iban and party.iban.value,
        "bic": party.bic and party.bic.value,
        "ultimate": party.ultimate,
    }


def _stated_details(subject: BankSubject, number: int) -> dict[str, object]:
    return {
        name: subject.stated(name, value, missing="" if name == "text" else None)
        for name, value in _DETAILS[number].items()
    }


async def transactions_match_open_items(make: Open) -> None:
    """Transactions state the other party and the remittance text, for matching with open items."""
    async with make() as harness:
        ref = await harness.account()
        booked = await harness.booked(ref)
        entries = [item.entry for item in booked]
        parties = [item.transactions[0].counterparty for item in entries]
        names = [party.name for party in parties]
        require(names == ["Grace Hopper", "Harbour GmbH", None], f"The parties are {names}.")
        texts = [item.transactions[0].remittance for item in entries]
        require(texts == ["Invoice INV-1042", "Moorage 7", "Fee"], f"The texts are {texts}.")
        has_ids = BankCapability.END_TO_END in harness.capabilities
        first, second = (item.transactions[0] for item in entries[:2])
        ids = (first.end_to_end_id, second.end_to_end_id, second.mandate_id, second.creditor_id)
        require(ids == (_END_TO_END if has_ids else (None,) * 4), f"The identifiers are {ids}.")
        details = [_stated_details(harness.subject, number) for number in (0, 1)]
        shown = [_details(item) for item in entries[:2]]
        require(shown == details, f"The details are {shown}, not {details}.")
        harness.sandbox.fail(AlteredAnswer(partial(_with_texts, {"149.90": "0.001", "EUR": "KWD"})))
        small = (await harness("transactions", ref, harness.query())).entries[0]
        require(small.amount == Money("0.001", "KWD"), f"0.001 KWD is read as {small.amount}.")
        require(_details(small) == details[0], "The transaction of 0.001 KWD has another party.")
        items = [
            OpenItem(id="invoice", amount=Money("149.90", "EUR"), invoice_number="INV-1042"),
            OpenItem(id="run", amount=Money("-20.50", "EUR"), end_to_end_id="RUN-7-1"),
        ]
        matched_ids = [payment.items[0].id for payment in match(entries, items).matched]
        expected = ["invoice", "run"] if has_ids else ["invoice"]
        require(
            matched_ids == expected, f"The matched transactions are {matched_ids}, not {expected}."
        )
        harness.check_hides(f"{booked!r}", "A transaction")


async def pending_transactions_are_separate(make: Open) -> None:
    """Pending transactions are returned only on request, and never as booked."""
    async with make() as harness:
        ref = await harness.account()
        usual_page: TransactionPage = await harness("transactions", ref, harness.query())
        require(usual_page.pending == (), "Pending transactions were not asked for.")
        if BankCapability.PENDING not in harness.capabilities:
            return
        pages = await harness.pages(ref, harness.query(pending=True))
        pending = [item.entry for page in pages for item in page.pending]
        amounts = [item.amount for item in pending]
        require(amounts == _amounts(PENDING, "transactionAmount"), f"The amounts are {amounts}.")
        require(
            {item.status for item in pending} == {"pending"},
            "The pending transactions have another status.",
        )
        booked = [entry.amount for page in pages for entry in page.entries]
        require(
            booked == _amounts(BOOKED, "transactionAmount"),
            "Pending transactions are among the booked ones.",
        )


async def an_unknown_word_is_no_consent(make: Open) -> None:
    """Each status word of the vendor is converted; an unknown word never means consent."""
    async with make() as harness:
        ref = (await harness.start()).ref
        for answer, status in harness.subject.consents:
            harness.sandbox.fail(answer)
            consent: BankConsent = await harness("get_consent", ref)
            word = consent.vendor_status
            require(consent.status is status, f"{word} was read as {consent.status}.")


async def a_payment_is_initiated_once(make: Open) -> None:
    """A payment is initiated once per idempotency key; it is pending, with a link for the owner."""
    async with make() as harness:
        if BankCapability.PAY not in harness.capabilities:
            return
        order = harness.order()
        payments: list[BankPayment] = [
            await harness("pay", order, idempotency_key="k-1") for _ in range(3)
        ]
        require(
            harness.bank.payment_count() == 1,
            "One idempotency key initiated more than one payment.",
        )
        require(payments[0] == payments[1] == payments[2], "A repeat has another payment.")
        payment = payments[0]
        require(payment.status is BankPaymentStatus.PENDING, f"The payment is {payment.status}.")
        require((payment.link or "").startswith("https://"), "A new payment has no link.")
        require(bool(payment.raw), "The result lacks the bank's response.")
        looked_up: BankPayment = await harness("get_payment", str(payment.ref))
        require(looked_up.ref == payment.ref, "A payment has another reference.")
        require(
            looked_up.status is BankPaymentStatus.PENDING,
            f"The looked-up payment is {looked_up.status}.",
        )
        other_payment = harness("pay", harness.order(debtor=IBANS[1]), idempotency_key="k-1")
        await harness.refused(IdempotencyConflict, other_payment, "A key for another payment")
        await harness("pay", order, idempotency_key="k-2")
        require(
            harness.bank.payment_count() == 2,
            "A second idempotency key initiated no second payment.",
        )


async def a_lost_payment_is_never_repeated(make: Open) -> None:
    """A payment with a lost or unreadable response is never initiated again.

    It stays unknown, unless the vendor recognises its key: then a repeat returns the payment.
    """
    async with make() as harness:
        if BankCapability.PAY not in harness.capabilities:
            return
        faults: list[Any] = [
            Lost(),
            *[AlteredAnswer(partial(with_body, body)) for body in _MALFORMED],
        ]
        for number, fault in enumerate(faults):
            await _require_one_effect(harness, partial(_pay, harness, f"k-{number}"), fault)
            require(harness.bank.payment_count() == number + 1, "A payment was initiated again.")
        outages = uncertain_answers(harness.subject.refusals[0][0])
        for outage in outages:
            await _require_one_effect(harness, partial(_pay, harness, f"k-{outage.status}"), outage)
        expected = len(faults) + (len(outages) if _recognises_keys(harness) else 0)
        require(harness.bank.payment_count() == expected, "A payment was initiated again.")


async def _pay(harness: Harness, key: str) -> BankPayment:
    payment: BankPayment = await harness("pay", harness.order(), idempotency_key=key)
    return payment


def _recognises_keys(harness: Harness) -> bool:
    return harness.subject.vendor.idempotency is not None


async def _require_one_effect(
    harness: Harness, operation: Callable[[], Awaitable[BankPayment]], fault: Any
) -> None:
    """Check that a payment with a lost or unreadable response is made once, even when repeated."""
    harness.sandbox.fail(fault)
    if not _recognises_keys(harness):
        for _ in range(2):
            await harness.refused(OutcomeUnknown, operation(), f"The fault {fault!r}")
        return
    error = await harness.refused(ConnectorError, operation(), f"The fault {fault!r}")
    require(
        error.may_have_been_processed,
        f"The error after {fault!r} reports that nothing was processed.",
    )
    status = (await operation()).status
    require(status is BankPaymentStatus.PENDING, f"A repeat after {fault!r} is {status}.")


async def a_payment_is_finished_once(make: Open) -> None:
    """A payment is submitted once, after its owner has approved it, and has a reference."""
    async with make() as harness:
        if BankCapability.PAY not in harness.capabilities:
            return
        started, url = await harness.approved(harness.order(), "k-1")
        for ref in (str(started.ref), started.ref):
            payment: BankPayment = await harness("finish_payment", ref, url)
            require(
                payment.status is BankPaymentStatus.PENDING, f"The payment is {payment.status}."
            )
            require(bool(payment.raw), "The result lacks the bank's response.")
            require(harness.bank.submitted_count() == 1, "A payment was submitted twice.")
            repeated_payment: BankPayment = await harness("finish_payment", payment.ref, url)
            require(repeated_payment.ref == payment.ref, "A payment has another reference.")
            looked_up: BankPayment = await harness("get_payment", str(payment.ref))
            require(looked_up.ref == payment.ref, "A payment has another reference.")
            require(looked_up.vendor_status == payment.vendor_status, "The status differs.")
        try:
            await harness("finish_payment", started.ref, "http://erp.example/#code=secret-code")
        except InvalidData as error:
            require("secret-code" not in f"{error!r}", "An error shows the returned URL.")
        else:
            raise AssertionError("A URL without TLS is accepted.")


async def a_lost_submission_is_made_good(make: Open) -> None:
    """If the response to a submission is lost, finishing the payment again submits it only once."""
    async with make() as harness:
        if BankCapability.PAY not in harness.capabilities:
            return
        started, url = await harness.approved(harness.order(), "k-1")
        count = len(harness.sandbox.requests)
        await harness("finish_payment", started.ref, url)
        steps = len(harness.sandbox.requests) - count
        for number in range(steps):
            started, url = await harness.approved(harness.order(), f"k-lost-{number}")
            harness.sandbox.fail(*[None] * number, Lost())
            finish = partial(harness, "finish_payment", started.ref, url)
            await harness.refused(ConnectorError, finish(), "A lost answer")
            payment: BankPayment = await finish()
            require(
                payment.status is BankPaymentStatus.PENDING, f"The payment is {payment.status}."
            )
            require(harness.bank.submitted_count() == number + 2, "A payment was submitted twice.")


async def an_unapproved_payment_is_not_submitted(make: Open) -> None:
    """A payment that the account's owner refused is reported as refused, and never submitted."""
    async with make() as harness:
        if BankCapability.PAY not in harness.capabilities or not harness.subject.initiations:
            return
        payment = await _pay(harness, "k-1")
        url = harness.bank.returned_url(payment.link or "")
        finish = partial(harness, "finish_payment", payment.ref, url)
        await harness.refused(ConsentRequired, finish(), "A payment that nobody approved")
        harness.bank.refuse(payment.ref.id)
        for refused in (await finish(), await harness("get_payment", payment.ref)):
            require(
                refused.status is BankPaymentStatus.REFUSED,
                f"The refused payment is {refused.status}.",
            )
        require(harness.bank.submitted_count() == 0, "A refused payment was submitted.")


async def a_sterling_payment_is_exact(make: Open) -> None:
    """A payment in pounds reaches the bank with its exact amount, accounts and reference."""
    async with make() as harness:
        if BankCapability.STERLING not in harness.capabilities:
            return
        for number, text in enumerate(("0.01", "1049.05", "9999999999999.99")):
            order = harness.sterling_order(amount=Money(text, "GBP"))
            count = len(harness.sandbox.requests)
            payment = await harness.paid(order, f"k-{number}")
            require(
                payment.status is BankPaymentStatus.PENDING, f"The payment is {payment.status}."
            )
            bodies = [item.body.decode() for item in harness.sandbox.requests[count:] if item.body]
            for body in bodies:
                for value in (f'"{text}"', "08080021325698", "2031-77", "RUN-8-2"):
                    require(value in body, f"{value} is not in a request.")
            require(bool(bodies), "No request with a body was sent.")
        other = harness(
            "pay", harness.sterling_order(amount=Money(1, "GBP")), idempotency_key="k-1"
        )
        await harness.refused(IdempotencyConflict, other, "A key for another amount")


async def an_unknown_word_is_no_success(make: Open) -> None:
    """Each payment status word is converted; an unknown word never means success."""
    async with make() as harness:
        if BankCapability.PAY not in harness.capabilities:
            return
        initiated = await _pay(harness, "k-initiated")
        payment = await harness.paid(harness.order())
        cases = (
            *((initiated.ref, *case) for case in harness.subject.initiations),
            *((payment.ref, *case) for case in harness.subject.payments),
        )
        for ref, answer, status in cases:
            harness.sandbox.fail(answer)
            looked_up: BankPayment = await harness("get_payment", ref)
            word = looked_up.vendor_status
            require(looked_up.status is status, f"{word} was read as {looked_up.status}.")


async def a_damaged_answer_is_an_error(make: Open) -> None:
    """A response that is empty or has an invalid amount raises an error."""
    async with make() as harness:
        consent = (await harness.granted()).ref
        account: Ref = (await harness("accounts", consent))[0].ref
        damaged = [
            *((name, Response(200, _JSON, body)) for name in _READS for body in _MALFORMED),
            *(("get_consent", Response(200, _JSON, body)) for body in _MALFORMED),
            *harness.subject.damaged,
        ]
        for operation, answer in damaged:
            ref = account if operation in _READS else consent
            harness.sandbox.fail(answer)
            await harness.refused(
                VendorFailed, harness(operation, ref), f"{operation}: {answer.text}"
            )


async def a_refusal_has_its_type(make: Open) -> None:
    """Each error response raises the right error, with the vendor's code and response."""
    async with make() as harness:
        ref = await harness.account()
        for number, (refusal, kind, code) in enumerate(harness.subject.refusals):
            answer = with_an_address(refusal)
            # Two responses, because a refused token is replaced by a new one.
            harness.sandbox.fail(answer, answer)
            error = await harness.refused(kind, harness("balances", ref), f"Refusal {number}")
            harness.sandbox.forget_faults()
            require_refusal(error, refusal, f"Refusal {number}", code)
            is_pause = kind is RateLimitExceeded
            require(error.retryable or not is_pause, f"Refusal {number} must be retryable.")
        missing_ref = attrs.evolve((await harness.start()).ref, id="404404")
        for operation in ("get_consent", "accounts"):
            unknown_call = harness(operation, missing_ref)
            await harness.refused(
                ConsentRequired, unknown_call, f"{operation} of an unknown consent"
            )


async def a_daily_limit_is_not_retried(make: Open) -> None:
    """If an account has reached its daily limit, nothing is retried; other accounts still work."""
    async with make() as harness:
        ref = await harness.account()
        for number, answer in enumerate(harness.subject.daily):
            harness.sandbox.fail(answer)
            step = f"Daily limit {number}"
            error = await harness.refused(RateLimitExceeded, harness("balances", ref), step)
            require(not error.retryable, f"{step} is reported as worth another attempt.")
            require(error.vendor_retry_after is None, f"{step} pauses other accounts.")
            await harness("balances", ref)


async def unsupported_features_are_refused(make: Open) -> None:
    """An unsupported feature is refused before sending; the error names vendors that have it."""
    async with make() as harness:
        await require_unsupported(harness, calls_by_capability(harness).items())


async def each_request_is_sent_once(make: Open) -> None:
    """No operation sends a request twice."""
    async with make() as harness:
        consent = (await harness.granted()).ref
        account: Ref = (await harness("accounts", consent))[0].ref
        reads = (("get_consent", consent), ("accounts", consent), *((n, account) for n in _READS))
        for name, ref in (*reads, ("revoke_consent", consent)):
            count = len(harness.sandbox.requests)
            await harness(name, ref)
            require_no_repeats(name, harness.sandbox.requests[count:])


async def secrets_are_shown_nowhere(make: Open) -> None:
    """No error, result or event shows a secret, even if the vendor repeats it."""
    async with make() as harness:
        all_secrets = " and ".join(harness.subject.secrets)
        ref = await harness.account()
        shown_texts = [f"{harness.hub.account(ACCOUNT)!r}", f"{await harness('balances', ref)!r}"]
        for status in (400, 403, 500):
            body = encode_json(
                {"summary": all_secrets, "detail": all_secrets, "title": all_secrets}
            )
            harness.sandbox.fail(Response(status, _JSON, body))
            try:
                await harness("balances", ref)
            except ConnectorError as error:
                trace = "".join(traceback.format_exception(error))
                response: Response | None = getattr(error, "response", None)
                text = "" if response is None else f"{response.text}{response.headers.pairs}"
                shown_texts.append(f"{error}{error!r}{vars(error)!r}{trace}{text}")
            else:
                raise AssertionError(f"HTTP {status} raises no error.")
        shown_texts += [repr(attrs.asdict(await harness.start(idempotency_key="k")))]
        await harness.require_hidden(shown_texts, harness.subject.secrets)


_ALL_CHECKS: Final = (
    a_consent_follows_its_owner,
    a_consent_is_finished_once,
    a_revoked_consent_gives_nothing,
    a_key_starts_one_consent,
    a_lost_consent_is_unknown,
    accounts_need_a_consent,
    accounts_are_listed,
    balances_are_exact,
    transactions_are_read_page_by_page,
    transactions_match_open_items,
    pending_transactions_are_separate,
    an_unknown_word_is_no_consent,
    a_payment_is_initiated_once,
    a_lost_payment_is_never_repeated,
    a_payment_is_finished_once,
    a_lost_submission_is_made_good,
    an_unapproved_payment_is_not_submitted,
    a_sterling_payment_is_exact,
    an_unknown_word_is_no_success,
    a_damaged_answer_is_an_error,
    a_refusal_has_its_type,
    a_daily_limit_is_not_retried,
    unsupported_features_are_refused,
    each_request_is_sent_once,
    secrets_are_shown_nowhere,
)


CHECKS: Final[tuple[Check, ...]] = through_hub(_ALL_CHECKS, Harness.with_sync_hub)
ASYNC_CHECKS: Final[tuple[AsyncCheck, ...]] = through_async_hub(_ALL_CHECKS, Harness.with_async_hub)
