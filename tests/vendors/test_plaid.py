"""Plaid: links, Items (bank logins), tokens for consents, and transactions."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage import (
    AuthenticationFailed,
    ConfigurationError,
    ConsentRequired,
    Credentials,
    Headers,
    Hub,
    InvalidData,
    InvalidRequest,
    Response,
    VendorFailed,
)
from moorage.adapters.credentials.environment import EnvironmentCredentialProvider
from moorage.adapters.credentials.memory import MemoryCredentialProvider
from moorage.contracts.bank import BankAccount, ConsentRequest, ConsentStatus
from moorage.contracts.routes import Account
from moorage.domain.service.safety import Mode
from moorage.domain.values.json_text import encode_json
from moorage.testing.sandbox_scenarios.bank import PERIOD
from moorage.testing.sandboxes.bank.base import IBANS, RETURN_URL
from moorage.testing.sandboxes.bank.plaid import PlaidSandbox
from moorage.testing.sandboxes.base import AlteredAnswer, SandboxHttpClient, SandboxRequest, reply
from moorage.vendors.bank.plaid import Plaid
from tests.vendors.bank_subjects import plaid_error, plaid_link

if TYPE_CHECKING:
    from collections.abc import Callable

REQUEST = ConsentRequest(return_url=RETURN_URL)
TOKEN = f"access-sandbox-{1:036d}"


def hub(sandbox: PlaidSandbox, *, store: Any = None, **options: Any) -> Hub:
    """Return a hub with one account at Plaid."""
    fields: dict[str, Any] = {
        "client_id": sandbox.client_id,
        "credentials": sandbox.secret,
        "client_name": "Harbour ERP",
        "countries": "DE FR",
    }
    account = Account("banks", Plaid(**fields | options), settings={"retry": None, "circuit": None})
    credentials = MemoryCredentialProvider() if store is None else store
    return Hub([account], http=SandboxHttpClient(sandbox), credentials=credentials)


def granted(sandbox: PlaidSandbox, bank: Any, **fields: Any) -> Any:
    """Return the reference of a consent to which its owner has agreed."""
    ref = bank.start_consent(attrs.evolve(REQUEST, **fields)).ref
    sandbox.grant(ref.id)
    return ref


def test_request_of_a_link() -> None:
    """To begin a consent, moorage creates a Hosted Link for a user id made from the key."""
    sandbox, other = PlaidSandbox(), PlaidSandbox()
    request = attrs.evolve(
        REQUEST, language="DE", extra={"plaid": {"webhook": "https://a.example"}}
    )
    consent = hub(sandbox, history_days=60).bank().start_consent(request, idempotency_key="k-1")
    hub(other).bank().start_consent(REQUEST, idempotency_key="k-1")

    body, other_body = (item.requests[0].json() for item in (sandbox, other))
    user = body.pop("user")
    assert {
        "client_name": "Harbour ERP",
        "language": "de",
        "country_codes": ["DE", "FR"],
        "products": ["transactions", "auth"],
        "transactions": {"days_requested": 60},
        "hosted_link": {"completion_redirect_uri": RETURN_URL},
        "webhook": "https://a.example",
    } == body
    assert {"days_requested": 90} == other_body["transactions"]
    assert (user, "en") == (other_body["user"], other_body["language"])
    assert {consent.ref.id: RETURN_URL} == sandbox.return_urls


def test_days_of_history_are_limited() -> None:
    """Plaid takes between 1 and 730 days of history."""
    options: dict[str, Any] = {"client_id": "c", "client_name": "H", "countries": "DE"}
    for days in (1, 730):
        assert days == Plaid(**options, history_days=days).history_days
    for days in (0, 731):
        with pytest.raises(ConfigurationError, match="history_days"):
            Plaid(**options, history_days=days)


def test_key_of_a_consent_belongs_to_its_tenant() -> None:
    """Two tenants that use the same idempotency key are different users of Plaid."""
    users: list[Any] = []
    for tenant in (None, "acme", "acme", "other"):
        sandbox = PlaidSandbox()
        hub(sandbox).bank(tenant).start_consent(REQUEST, idempotency_key="k-1")
        users.append(sandbox.requests[0].json()["user"])

    assert users[1] == users[2]
    assert 3 == len({user["client_user_id"] for user in users})


def test_token_is_kept_under_the_consent() -> None:
    """A token is exchanged once and stored by tenant and consent; no reference or repr shows it."""
    sandbox, store = PlaidSandbox(), MemoryCredentialProvider()
    bank = hub(sandbox, store=store).bank("acme")
    ref = granted(sandbox, bank)
    assert ConsentStatus.GRANTED is bank.get_consent(ref).status
    accounts = bank.accounts(ref)
    bank.balances(accounts[0].ref)

    assert TOKEN == store.get(f"banks/{ref.id}", "acme").secret.reveal()
    assert not store.has(f"banks/{ref.id}", None)
    exchanges = [item for item in sandbox.requests if item.path.endswith("/exchange")]
    assert 1 == len(exchanges)
    assert TOKEN not in f"{ref}{accounts!r}{[str(item.ref) for item in accounts]}"
    assert not [item for item in sandbox.requests if TOKEN in f"{item.path}{item.headers.pairs}"]


def test_consent_of_another_tenant_gives_nothing() -> None:
    """A tenant cannot read the accounts of a consent whose token another tenant's calls stored."""
    sandbox, store = PlaidSandbox(), MemoryCredentialProvider()
    main = hub(sandbox, store=store)
    ref = granted(sandbox, main.bank("acme"))
    account = main.bank("acme").accounts(ref)[0].ref
    with pytest.raises(ConsentRequired):
        main.bank("other").balances(account)


@pytest.mark.parametrize("is_read_only", [True, False])
def test_consent_needs_a_store_of_credentials(is_read_only: bool) -> None:
    """If no credential provider can store tokens, nothing is sent."""
    sandbox = PlaidSandbox()
    vendor = Plaid(
        client_id=sandbox.client_id, credentials=sandbox.secret, client_name="E", countries="DE"
    )
    provider = EnvironmentCredentialProvider() if is_read_only else None
    with Hub(
        [Account("banks", vendor)], http=SandboxHttpClient(sandbox), credentials=provider
    ) as hub_without_store:
        bank = hub_without_store.bank()
        calls: list[Callable[[], object]] = [
            lambda: bank.start_consent(REQUEST),
            lambda: bank.get_consent("plaid:banks:1"),
            lambda: bank.revoke_consent("plaid:banks:1"),
        ]
        for call in calls:
            with pytest.raises(ConfigurationError, match="no credential store is configured"):
                call()
    assert [] == sandbox.requests


def test_revoked_consent_has_no_token() -> None:
    """A revocation removes the Item and the stored token; its state is then known without Plaid."""
    sandbox, store = PlaidSandbox(), MemoryCredentialProvider()
    bank = hub(sandbox, store=store).bank()
    ref = granted(sandbox, bank)
    bank.revoke_consent(ref)
    assert ({}, None) == (sandbox.items, store.get(f"banks/{ref.id}", None).secret)

    count = len(sandbox.requests)
    assert ConsentStatus.REVOKED is bank.get_consent(ref).status
    assert count == len(sandbox.requests)


def test_revoked_link_is_not_followed_up() -> None:
    """If an owner agrees after an open link was revoked, nothing is granted."""
    sandbox = PlaidSandbox()
    bank = hub(sandbox).bank()
    ref = bank.start_consent(REQUEST).ref
    bank.revoke_consent(ref)
    sandbox.grant(ref.id)
    assert ConsentStatus.REVOKED is bank.get_consent(ref).status
    with pytest.raises(ConsentRequired, match="The consent is revoked"):
        bank.accounts(ref)


def test_removed_item_counts_as_revoked() -> None:
    """An Item that no longer exists at Plaid counts as revoked; other errors are raised."""
    sandbox = PlaidSandbox()
    bank = hub(sandbox).bank()
    ref = granted(sandbox, bank)
    bank.get_consent(ref)
    sandbox.fail(plaid_error("INVALID_FIELD"))
    with pytest.raises(InvalidRequest):
        bank.revoke_consent(ref)
    sandbox.items.clear()
    assert ConsentStatus.REVOKED is bank.revoke_consent(ref).status


def test_page_of_a_proxy_revokes_nothing() -> None:
    """If a proxy's HTML page comes instead of Plaid's response, the consent keeps its token."""
    sandbox = PlaidSandbox()
    bank = hub(sandbox).bank()
    ref = granted(sandbox, bank)
    bank.get_consent(ref)
    html = {"Content-Type": "text/html"}
    sandbox.fail(Response(200, html, b"<html>Please sign in.</html>"))
    with pytest.raises(VendorFailed):
        bank.revoke_consent(ref)
    assert ConsentStatus.GRANTED is bank.get_consent(ref).status


def test_token_of_an_old_link_is_used() -> None:
    """A link session in Plaid's older format also grants the consent."""
    sandbox = PlaidSandbox()
    bank = hub(sandbox).bank()
    ref = granted(sandbox, bank)
    public = next(iter(sandbox._links_of_tokens))  # noqa: SLF001 - a token for another answer
    sandbox.fail(plaid_link({"finished_at": "2031-05-06", "on_success": {"public_token": public}}))
    assert ConsentStatus.GRANTED is bank.get_consent(ref).status


def test_expired_public_token_needs_a_new_consent() -> None:
    """If a public token has expired before its exchange, the owner has to agree again."""
    sandbox = PlaidSandbox()
    bank = hub(sandbox).bank()
    ref = granted(sandbox, bank)
    sandbox._links_of_tokens.clear()  # noqa: SLF001 - as after half an hour
    with pytest.raises(ConsentRequired, match="could not find matching public token"):
        bank.get_consent(ref)


def test_faster_caller_exchanges_the_token() -> None:
    """A caller whose exchange comes too late uses the token that the faster caller has stored."""
    sandbox, store = PlaidSandbox(), MemoryCredentialProvider()
    bank = hub(sandbox, store=store).bank()
    ref = granted(sandbox, bank)

    def exchanged_by_another(response: Any) -> Any:
        public = response.json()["link_sessions"][0]["results"]["item_add_results"][0]
        code = raw(sandbox, "/item/public_token/exchange", {"public_token": public["public_token"]})
        assert "" == code
        store.rotate(f"banks/{ref.id}", None, Credentials.bearer(TOKEN))
        return response

    sandbox.fail(AlteredAnswer(exchanged_by_another))
    assert ConsentStatus.GRANTED is bank.get_consent(ref).status
    assert [TOKEN] == list(sandbox.items)


@pytest.mark.parametrize(
    "code, reason, status",
    [
        ("ITEM_LOGIN_REQUIRED", None, ConsentStatus.EXPIRED),
        ("ITEM_LOGIN_REQUIRED", "OAUTH_CONSENT_EXPIRED", ConsentStatus.EXPIRED),
        ("ITEM_LOGIN_REQUIRED", "OAUTH_USER_REVOKED", ConsentStatus.REVOKED),
        ("ITEM_LOGIN_REQUIRED", "A_NEW_REASON", ConsentStatus.EXPIRED),
        ("USER_PERMISSION_REVOKED", None, ConsentStatus.REVOKED),
        ("ACCESS_NOT_GRANTED", None, ConsentStatus.REFUSED),
        ("ITEM_LOCKED", None, ConsentStatus.SUSPENDED),
        ("INSTITUTION_DOWN", None, ConsentStatus.UNKNOWN),
    ],
)
def test_error_of_an_item_is_the_state(
    code: str, reason: str | None, status: ConsentStatus
) -> None:
    """An Item's error sets the consent's state; an unknown error means that there is no consent."""
    sandbox = PlaidSandbox()
    bank = hub(sandbox).bank()
    ref = granted(sandbox, bank)
    bank.get_consent(ref)
    sandbox.items[TOKEN]["error"] = {"error_code": code, "error_code_reason": reason}
    consent = bank.get_consent(ref)
    assert (status, code) == (consent.status, consent.vendor_status)


def test_granted_consent_has_last_day_that_plaid_states_for_its_item() -> None:
    """A granted consent has the last day that Plaid states for its Item."""
    sandbox = PlaidSandbox()
    bank = hub(sandbox).bank()
    assert date(2031, 11, 2) == bank.get_consent(granted(sandbox, bank)).valid_until


def listed(answer: dict[str, Any] | None = None, **options: Any) -> tuple[BankAccount, ...]:
    """Return a consent's accounts; `answer` replaces Plaid's response about account numbers."""
    sandbox = PlaidSandbox()
    bank = hub(sandbox, **options).bank()
    ref = granted(sandbox, bank)
    bank.get_consent(ref)
    if answer is not None:
        sandbox.fail(None, reply(answer))
    accounts: tuple[BankAccount, ...] = bank.accounts(ref)
    return accounts


def test_account_has_its_iban_and_bic() -> None:
    """An account has its IBAN and BIC, or the account number that is usual in its country."""
    first = listed()[0]
    assert (IBANS[0], IBANS[0], "COBADEFFXXX", "EUR", "Current account") == (
        str(first.iban and first.iban.value),
        first.number,
        str(first.bic and first.bic.value),
        first.currency,
        first.name,
    )
    ach = {"account_id": "plaid-account-0", "account": "1111222233330000", "routing": "011401533"}
    accounts = listed({"numbers": {"ach": [ach], "international": []}})
    assert [(None, "1111222233330000"), (None, None)] == [(x.iban, x.number) for x in accounts]


def test_account_numbers_are_optional() -> None:
    """Without account numbers, moorage neither requests the product nor calls its endpoint."""
    sandbox = PlaidSandbox()
    bank = hub(sandbox, account_numbers=False).bank()
    accounts = bank.accounts(granted(sandbox, bank))
    assert ["transactions"] == sandbox.requests[0].json()["products"]
    assert "/auth/get" not in [item.path for item in sandbox.requests]
    assert [None, None] == [item.number for item in accounts]


def test_debt_is_negative() -> None:
    """A credit card debt is a negative balance; balances that Plaid does not state are missing."""
    sandbox = PlaidSandbox()
    bank = hub(sandbox).bank()
    account = bank.accounts(granted(sandbox, bank))[0].ref
    balances = {"current": 410.5, "available": None, "limit": 2000, "iso_currency_code": "USD"}
    card = {"account_id": account.id, "type": "credit", "balances": balances}
    sandbox.fail(reply({"accounts": [card]}))
    assert [("booked", "-410.50 USD")] == [
        (item.kind, str(item.amount)) for item in bank.balances(account)
    ]


def test_period_and_page_of_transactions() -> None:
    """A query sends its days, by default the last 90 up to today, and the position of the page."""
    sandbox = PlaidSandbox()
    bank = hub(sandbox).bank()
    account = bank.accounts(granted(sandbox, bank))[0].ref
    page = bank.transactions(account, PERIOD)
    bank.transactions(account, PERIOD, after=page.next)
    bank.transactions(account)
    first, second, usual = (item.json() for item in sandbox.requests[-3:])

    assert ("2031-01-01", "2031-12-31") == (first["start_date"], first["end_date"])
    assert (0, 1) == (first["options"]["offset"], second["options"]["offset"])
    start, end = (date.fromisoformat(usual[name]) for name in ("start_date", "end_date"))
    assert (90, datetime.now(UTC).date()) == ((end - start).days, end)


def test_no_transaction_is_lost_or_doubled_between_two_pages() -> None:
    """A page continues after the last transaction, although others vanished or came before it."""
    sandbox = PlaidSandbox()
    bank = hub(sandbox).bank()
    account = bank.accounts(granted(sandbox, bank))[0].ref
    rows, waiting = list(sandbox.booked), list(sandbox.pending)
    all_ids = [row["transaction_id"] for row in rows]

    def read_while(change: Callable[[], None]) -> list[str | None]:
        sandbox.booked, sandbox.pending = list(rows), list(waiting)
        page = bank.transactions(account, PERIOD)
        change()
        read = [item.id for item in page.booked]
        while page.next is not None:
            page = bank.transactions(account, PERIOD, after=page.next)
            read += [item.id for item in page.booked]
        return read

    def remove_pending() -> None:
        sandbox.pending = []

    def add_booked() -> None:
        sandbox.booked.insert(0, {**rows[0], "transaction_id": "new-1"})

    def remove_booked() -> None:
        sandbox.booked = rows[1:]

    assert all_ids == read_while(lambda: None)
    assert all_ids == read_while(add_booked)
    assert all_ids == read_while(remove_pending)
    with pytest.raises(VendorFailed, match="changed while they were read"):
        read_while(remove_booked)


def test_page_ends_with_a_booked_transaction() -> None:
    """Pending transactions at the end of a page are left to the next page, as they may vanish."""
    sandbox = PlaidSandbox()
    bank = hub(sandbox).bank()
    account = bank.accounts(granted(sandbox, bank))[0].ref
    first_row = sandbox.booked.pop(0)
    waiting = {**sandbox.pending[0], "transaction_id": "waiting-1"}
    sandbox.pending = [first_row, waiting]
    page = bank.transactions(account, attrs.evolve(PERIOD, pending=True))
    assert page.next is not None
    assert ([first_row["transaction_id"]], ()) == ([item.id for item in page.booked], page.pending)
    after = bank.transactions(account, attrs.evolve(PERIOD, pending=True), after=page.next)
    assert ["waiting-1"] == [item.id for item in after.pending]


@pytest.mark.parametrize("page", ["", "one", "-2", "2", "2.5:a", "9999999999:a", "2:"])
def test_wrong_page_is_refused(page: str) -> None:
    """A page reference that is not the account's next page is refused before it is sent."""
    sandbox = PlaidSandbox()
    bank = hub(sandbox).bank()
    account = bank.accounts(granted(sandbox, bank))[0].ref
    count = len(sandbox.requests)
    for after in (account.with_related(page=page), attrs.evolve(account, id="another")):
        with pytest.raises(InvalidData, match="is not the `next`"):
            bank.transactions(account, PERIOD, after=after)
    assert count == len(sandbox.requests)


def test_page_without_transactions_is_the_last() -> None:
    """An empty page has no next one, even if Plaid counts more transactions."""
    sandbox = PlaidSandbox()
    bank = hub(sandbox).bank()
    account = bank.accounts(granted(sandbox, bank))[0].ref
    sandbox.fail(reply({"transactions": [], "total_transactions": 7}))
    assert bank.transactions(account, PERIOD).next is None


def test_parties_of_a_transfer() -> None:
    """A payer or payee that Plaid states is preferred to a name that Plaid found in the text."""

    def with_parties(response: Any) -> Any:
        body = response.json()
        for item in body["transactions"]:
            item["payment_meta"] |= {"payer": "Ada Ltd", "payee": "Bay GmbH", "reason": None}
            item["counterparties"] = [{"name": "Found in the text"}]
        return reply(body)

    sandbox = PlaidSandbox()
    bank = hub(sandbox).bank()
    account = bank.accounts(granted(sandbox, bank))[0].ref
    sandbox.fail(AlteredAnswer(with_parties))
    query = attrs.evolve(PERIOD, until=date(2031, 5, 6))
    credit, debit = bank.transactions(account, query).entries
    shown = [
        (item.transactions[0].counterparty.name, item.transactions[0].remittance)
        for item in (credit, debit)
    ]
    assert [("Ada Ltd", "Credit"), ("Bay GmbH", "Harbour GmbH")] == shown


@pytest.mark.parametrize("role", ["payer", "payee"])
def test_only_party_of_a_transfer_is_the_counterparty(role: str) -> None:
    """If Plaid states only one party, that party is the counterparty, whatever its role."""

    def with_party(response: Any) -> Any:
        body = response.json()
        for item in body["transactions"]:
            item["payment_meta"] |= {"payer": None, "payee": None, role: "Ada Ltd"}
        return reply(body)

    sandbox = PlaidSandbox()
    bank = hub(sandbox).bank()
    account = bank.accounts(granted(sandbox, bank))[0].ref
    sandbox.fail(AlteredAnswer(with_party))
    entries = bank.transactions(account, attrs.evolve(PERIOD, until=date(2031, 5, 6))).entries

    assert ["Ada Ltd"] * 2 == [entry.transactions[0].counterparty.name for entry in entries]


def test_mode_and_countries() -> None:
    """The URL decides between live and test mode; countries are codes of two capital letters."""
    fields: dict[str, Any] = {"client_id": "1", "client_name": "E", "countries": "GB"}
    names = ("production.plaid.com", "sandbox.plaid.com", "plaid.example")
    urls: list[dict[str, Any]] = [{"base_url": f"https://{name}"} for name in names]
    assert [Mode.LIVE, Mode.TEST, None] == [Plaid(**fields | url).mode() for url in urls]
    with pytest.raises(ConfigurationError, match="not a list of country codes"):
        Plaid(client_id="1", client_name="E", countries="gb")


def test_wrong_secret_is_refused() -> None:
    """With a wrong secret an error is raised, and no link is created."""
    sandbox = PlaidSandbox()
    with pytest.raises(AuthenticationFailed, match="invalid client_id or secret"):
        hub(sandbox, credentials="another-secret").bank().start_consent(REQUEST)
    assert {} == sandbox.links


def raw(sandbox: PlaidSandbox, path: str, body: dict[str, Any], **headers: str) -> str:
    """Return the error code of a sandbox's response to a request."""
    usual = {
        "PLAID-CLIENT-ID": sandbox.client_id,
        "PLAID-SECRET": sandbox.secret,
        "Plaid-Version": "2020-09-14",
        "Content-Type": "application/json",
    }
    request = SandboxRequest(
        "POST", sandbox.hosts[0], path, (), Headers(usual | headers), encode_json(body)
    )
    code: str = sandbox.answer(request).json().get("error_code", "")
    return code


def test_sandbox_refuses_wrong_requests() -> None:
    """The sandbox refuses wrong clients, versions, paths, fields, tokens and accounts."""
    sandbox = PlaidSandbox()
    bank = hub(sandbox, account_numbers=False).bank()
    bank.get_consent(granted(sandbox, bank))
    link = sandbox.requests[0].json()
    period = {"access_token": TOKEN, "start_date": "2031-01-01", "end_date": "2031-12-31"}
    codes = [
        raw(sandbox, "/item/get", {"access_token": TOKEN}, **{"Plaid-Version": "2017-03-08"}),
        raw(sandbox, "/item/get", {"access_token": TOKEN}, **{"PLAID-CLIENT-ID": "another"}),
        raw(sandbox, "/items", {}),
        raw(sandbox, "/item/get", {}),
        raw(sandbox, "/item/get", {"access_token": TOKEN, "page": 1}),
        raw(sandbox, "/item/get", {"access_token": 1}),
        raw(sandbox, "/item/get", {"access_token": "another"}),
        raw(sandbox, "/auth/get", {"access_token": TOKEN}),
        raw(sandbox, "/accounts/get", {"access_token": TOKEN, "options": {"account_ids": ["x"]}}),
        raw(sandbox, "/link/token/create", {**link, "client_name": "E" * 31}),
        raw(sandbox, "/link/token/create", {**link, "country_codes": ["XX"]}),
        raw(sandbox, "/transactions/get", {**period, "start_date": "2032-01-01"}),
        raw(sandbox, "/transactions/get", period),
    ]
    assert [
        "INVALID_HEADERS",
        "INVALID_API_KEYS",
        "NOT_FOUND",
        "MISSING_FIELDS",
        "UNKNOWN_FIELDS",
        "INVALID_FIELD",
        "INVALID_ACCESS_TOKEN",
        "PRODUCTS_NOT_SUPPORTED",
        "INVALID_ACCOUNT_ID",
        "INVALID_FIELD",
        "INVALID_FIELD",
        "INVALID_FIELD",
        "",
    ] == codes


@pytest.mark.parametrize(
    "fields",
    [
        {"start_date": "yesterday"},
        {"options": {"offset": -1}},
        {"options": {"count": 0}},
        {"options": {"count": 501}},
    ],
    ids=str,
)
def test_sandbox_refuses_impossible_pages(fields: dict[str, Any]) -> None:
    """The sandbox refuses a day in another format, a negative offset and a page that is too big."""
    sandbox = PlaidSandbox()
    bank = hub(sandbox).bank()
    bank.get_consent(granted(sandbox, bank))
    period = {"access_token": TOKEN, "start_date": "2031-01-01", "end_date": "2031-12-31"}

    assert "INVALID_FIELD" == raw(sandbox, "/transactions/get", {**period, **fields})
