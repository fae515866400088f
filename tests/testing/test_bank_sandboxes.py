"""The sandboxes of banks, used as in the tests of an application."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from moorage import Hub
from moorage.adapters.credentials.memory import MemoryCredentialProvider
from moorage.contracts.bank import ConsentRequest
from moorage.contracts.routes import Account
from moorage.testing.sandbox_scenarios.bank import PERIOD
from moorage.testing.sandboxes.bank.base import RETURN_URL
from moorage.testing.sandboxes.bank.berlin_group import BerlinGroupSandbox
from moorage.testing.sandboxes.base import SandboxHttpClient
from tests.vendors.bank_subjects import SUBJECTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.testing.kits.bank_conformance import BankSubject


@pytest.mark.parametrize("subject", SUBJECTS)
def test_account_shows_the_given_transactions(subject: Callable[[], BankSubject]) -> None:
    """A bank sandbox shows exactly the transactions that a test defines."""
    bank_subject = subject()
    sandbox = bank_subject.sandbox
    sandbox.booked = sandbox.booked[-1:]
    hub = Hub(
        [Account("banks", bank_subject.vendor)],
        http=SandboxHttpClient(sandbox),
        credentials=MemoryCredentialProvider(),
    )
    bank = hub.bank()
    consent = bank.start_consent(ConsentRequest(return_url=RETURN_URL))
    sandbox.grant(consent.ref.id)
    bank.finish_consent(consent.ref, sandbox.returned_url(consent.link or ""))
    page = bank.transactions(bank.accounts(consent.ref)[0].ref, PERIOD)

    assert ["-3.00 EUR"] == [str(item.entry.amount) for item in page.booked]
    hub.close()


def test_bank_sends_owners_to_a_page_of_the_test() -> None:
    """A consent's link leads to the test's page, and the sandbox keeps the URL to return to."""
    bank_subject = SUBJECTS[0]()
    sandbox = bank_subject.sandbox
    assert isinstance(sandbox, BerlinGroupSandbox)
    sandbox.page = "http://127.0.0.1:8000/bank"
    with Hub([Account("banks", bank_subject.vendor)], http=SandboxHttpClient(sandbox)) as hub:
        consent = hub.bank().start_consent(ConsentRequest(return_url=RETURN_URL))

    assert f"http://127.0.0.1:8000/bank/consents/{consent.ref.id}" == consent.link
    assert {consent.ref.id: RETURN_URL} == sandbox.return_urls


@pytest.mark.parametrize("subject", SUBJECTS)
def test_transactions_keep_their_ids_when_a_later_one_is_booked(
    subject: Callable[[], BankSubject],
) -> None:
    """A transaction that is booked later does not change the ids of the earlier ones."""
    bank_subject = subject()
    sandbox = bank_subject.sandbox
    latest, sandbox.booked = sandbox.booked[0], sandbox.booked[1:]
    account = Account("banks", bank_subject.vendor)
    store = MemoryCredentialProvider()
    with Hub([account], http=SandboxHttpClient(sandbox), credentials=store) as hub:
        bank = hub.bank()
        consent = bank.start_consent(ConsentRequest(return_url=RETURN_URL))
        sandbox.grant(consent.ref.id)
        bank.finish_consent(consent.ref, sandbox.returned_url(consent.link or ""))
        ref = bank.accounts(consent.ref)[0].ref

        def ids() -> list[str | None]:
            page = bank.transactions(ref, PERIOD)
            listed = [*page.booked]
            while page.next is not None:
                page = bank.transactions(ref, PERIOD, after=page.next)
                listed += page.booked
            return [item.id for item in listed]

        earlier_ids = ids()
        sandbox.booked.insert(0, latest)
        assert earlier_ids == ids()[1:]
