"""GoCardless bank data: agreements, requisitions, tokens and daily limits."""

from __future__ import annotations

from datetime import date
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import attrs
import pytest

from moorage import (
    AuthenticationFailed,
    ConfigurationError,
    ConsentRequired,
    CredentialRefreshFailed,
    Headers,
    Hub,
    InvalidData,
    InvalidRequest,
    OutcomeUnknown,
    RateLimitExceeded,
    Response,
    VendorRejected,
)
from moorage.contracts.bank import ConsentRequest, TransactionQuery
from moorage.contracts.routes import Account
from moorage.testing.sandboxes.bank.base import RETURN_URL
from moorage.testing.sandboxes.bank.gocardless import BANK, GoCardlessSandbox
from moorage.testing.sandboxes.base import Lost, SandboxHttpClient, SandboxRequest, reply
from moorage.vendors.bank.gocardless import GoCardless

REQUEST = ConsentRequest(return_url=RETURN_URL)


def hub(sandbox: GoCardlessSandbox, **options: Any) -> Hub:
    """Return a hub with one account for GoCardless bank data."""
    fields: dict[str, Any] = {
        "secret_id": sandbox.secret_id,
        "secret_key": sandbox.secret_key,
        "institution": BANK,
    }
    vendor = GoCardless(**fields | options)
    account = Account("banks", vendor, settings={"retry": None, "circuit": None})
    return Hub([account], http=SandboxHttpClient(sandbox))


def test_requests_of_a_consent() -> None:
    """To begin a consent, moorage creates an agreement with terms, and a requisition with a URL."""
    sandbox = GoCardlessSandbox()
    request = attrs.evolve(REQUEST, days=30, language="de", institution=BANK)
    bank = hub(sandbox, institution=None, history_days=60).bank()
    bank.start_consent(request, idempotency_key="k-1")
    terms, requisition = sandbox.requests

    assert ("/api/v2/agreements/enduser/", "/api/v2/requisitions/") == (
        terms.path,
        requisition.path,
    )
    assert {
        "institution_id": BANK,
        "max_historical_days": 60,
        "access_valid_for_days": 30,
        "access_scope": ["balances", "details", "transactions"],
    } == terms.json()
    body = requisition.json()
    reference = body.pop("reference")
    assert {
        "redirect": RETURN_URL,
        "institution_id": BANK,
        "agreement": next(iter(sandbox.agreements)),
        "user_language": "DE",
    } == body
    other = GoCardlessSandbox()
    hub(other).bank().start_consent(REQUEST, idempotency_key="k-1")
    assert reference == other.requests[1].json()["reference"]
    assert 90 == other.requests[0].json()["max_historical_days"]


def test_days_of_history_are_limited() -> None:
    """An agreement covers between 1 and 730 days of history."""
    for days in (1, 730):
        assert days == GoCardless(history_days=days).history_days
    for days in (0, 731):
        with pytest.raises(ConfigurationError, match="history_days"):
            GoCardless(history_days=days)


def test_token_is_requested_once() -> None:
    """A single token, requested with the user secret, is used for many requests."""
    sandbox = GoCardlessSandbox()
    bank = hub(sandbox).bank()
    for _ in range(3):
        bank.start_consent(REQUEST)
    (request,) = sandbox.tokens.requests
    assert {"secret_id": sandbox.secret_id, "secret_key": sandbox.secret_key} == dict(request.form)


def test_wrong_secret_is_refused() -> None:
    """With a wrong user secret an error is raised, and no consent is begun."""
    sandbox = GoCardlessSandbox()
    with pytest.raises((AuthenticationFailed, CredentialRefreshFailed)):
        hub(sandbox, secret_key="another-key").bank().start_consent(REQUEST)
    assert {} == sandbox.requisitions


def test_id_and_key_belong_together() -> None:
    """A secret id without its key is refused; without either, the credential provider is used."""
    with pytest.raises(ConfigurationError, match="only one of them is set"):
        GoCardless(secret_id="1")
    assert {} == GoCardless().clients()


def test_consent_needs_a_bank() -> None:
    """A consent without a bank is refused before anything is sent."""
    sandbox = GoCardlessSandbox()
    with pytest.raises(InvalidData) as excinfo:
        hub(sandbox, institution=None).bank().start_consent(REQUEST)
    assert ("institution", []) == (excinfo.value.field, sandbox.requests)


def test_agreement_is_made_once() -> None:
    """A repeat after a lost response creates no second agreement and no second requisition."""
    sandbox = GoCardlessSandbox()
    bank = hub(sandbox).bank()
    sandbox.fail(None, Lost())
    for _ in range(2):
        with pytest.raises(OutcomeUnknown):
            bank.start_consent(REQUEST, idempotency_key="k-1")
    assert (1, 1) == (len(sandbox.agreements), len(sandbox.requisitions))


def test_wrong_terms_name_the_field() -> None:
    """If a field of the terms is wrong, the error has the field's name and GoCardless' words."""
    sandbox = GoCardlessSandbox()
    bank = hub(sandbox).bank()
    with pytest.raises(InvalidRequest, match="access_valid_for_days must be > 0 and <= 180"):
        bank.start_consent(attrs.evolve(REQUEST, days=200))
    with pytest.raises(InvalidRequest, match="institution_id: Unknown Institution ID A_BANK"):
        bank.start_consent(attrs.evolve(REQUEST, institution="A_BANK"))
    wrong = attrs.evolve(REQUEST, extra={"gocardless": {"redirect_immediate": "yes"}})
    with pytest.raises(InvalidRequest, match="redirect_immediate"):
        bank.start_consent(wrong)
    assert {} == sandbox.requisitions


def test_refusal_has_all_its_details() -> None:
    """An error has GoCardless' summary and detail, or the text for each wrong field."""
    sandbox = GoCardlessSandbox()
    fields: dict[str, Any] = {"access_scope": [{"detail": "Wrong."}], "redirect": ["Missing."]}
    sandbox.fail(reply({"summary": "Invalid ID", "detail": "No UUID."}, 400), reply(fields, 400))
    bank = hub(sandbox).bank()
    with pytest.raises(InvalidRequest, match=r"Invalid ID\. No UUID\."):
        bank.get_consent("gocardless:banks:1")
    with pytest.raises(InvalidRequest, match=r"access_scope: Wrong\.\. redirect: Missing\."):
        bank.get_consent("gocardless:banks:1")


@pytest.mark.parametrize(
    "fields, id_",
    [
        ({"internalTransactionId": "I", "transactionId": "T"}, "I"),
        ({"transactionId": "T"}, "T"),
        ({"entryReference": "E"}, None),
    ],
)
def test_identifier_of_a_transaction(fields: dict[str, Any], id_: str | None) -> None:
    """A transaction's id is GoCardless' internal id, or else the bank's."""
    sandbox = GoCardlessSandbox()
    item = {"transactionAmount": {"currency": "EUR", "amount": "1"}, **fields}
    sandbox.fail(reply({"transactions": {"booked": [item]}}))
    (transaction,) = hub(sandbox).bank().transactions("gocardless:banks:1").booked
    assert id_ == transaction.id


def test_period_is_sent() -> None:
    """The first and last day of a query are sent only if the caller gives them."""
    sandbox = GoCardlessSandbox()
    bank = hub(sandbox).bank()
    consent = bank.start_consent(REQUEST)
    sandbox.grant(consent.ref.id)
    ref = bank.accounts(consent.ref)[0].ref
    bank.transactions(ref)
    assert not sandbox.requests[-1].query
    bank.transactions(ref, TransactionQuery(since=date(2031, 5, 1), until=date(2031, 5, 6)))
    assert (("date_from", "2031-05-01"), ("date_to", "2031-05-06")) == sandbox.requests[-1].query
    with pytest.raises(InvalidData, match="no next page"):
        bank.transactions(ref, after=ref)


def test_end_of_a_consent_is_known() -> None:
    """An expired or deleted agreement means that a new consent is needed."""
    sandbox = GoCardlessSandbox()
    bank = hub(sandbox).bank()
    consent = bank.start_consent(REQUEST)
    sandbox.grant(consent.ref.id)
    ref = bank.accounts(consent.ref)[0].ref
    bank.revoke_consent(consent.ref)
    with pytest.raises(ConsentRequired, match="No valid End User Agreement"):
        bank.balances(ref)
    with pytest.raises(VendorRejected):
        bank.get_consent(consent.ref)
    with pytest.raises(VendorRejected):
        bank.balances("gocardless:banks:unknown")


def test_refused_revocation_is_an_error() -> None:
    """If GoCardless refuses to revoke a consent, an error is raised."""
    sandbox = GoCardlessSandbox()
    sandbox.fail(reply({"summary": "Invalid ID", "detail": "No."}, 400))
    with pytest.raises(InvalidRequest):
        hub(sandbox).bank().revoke_consent("gocardless:banks:1")


@pytest.mark.parametrize(
    "seconds, words",
    [
        ("86307", "in 86307 seconds"),
        ("soon", "end of the bank's day"),
        (None, "end of the bank's day"),
    ],
)
def test_remedy_for_spent_daily_limit_says_when_to_try_again(
    seconds: str | None, words: str
) -> None:
    """The remedy for a spent daily limit says when to try again, if GoCardless says so."""
    sandbox = GoCardlessSandbox()
    headers = {"Content-Type": "application/json"}
    if seconds is not None:
        headers["HTTP_X_RATELIMIT_ACCOUNT_SUCCESS_RESET"] = seconds
    body = b'{"summary": "No", "type": "RateLimitError"}'
    sandbox.fail(Response(429, headers, body))
    with pytest.raises(RateLimitExceeded) as excinfo:
        hub(sandbox).bank().balances("gocardless:banks:1")
    assert words in excinfo.value.remedy
    assert (False, None) == (excinfo.value.retryable, excinfo.value.retry_at)


def test_sandbox_refuses_a_reference_twice() -> None:
    """The sandbox refuses a second requisition with the same reference."""
    sandbox = GoCardlessSandbox()
    bank = hub(sandbox).bank()
    bank.start_consent(REQUEST)
    first = next(iter(sandbox.requisitions.values()))["reference"]
    request = attrs.evolve(REQUEST, extra={"gocardless": {"reference": first}})
    with pytest.raises(InvalidRequest, match="Client reference must be unique"):
        bank.start_consent(request)


def raw(path: str, token: str | None = None) -> Response:
    """Return a sandbox's response to a GET request for the given path."""
    sandbox = GoCardlessSandbox()
    sandbox.tokens.granted.add("good")
    sandbox.requisitions["r"] = {"status": "LN", "accounts": [path.split("/")[4]], "agreement": "a"}
    target = urlsplit(path)
    headers = Headers({"Authorization": f"Bearer {token or 'good'}"})
    query = tuple(parse_qsl(target.query))
    host = "bankaccountdata.gocardless.com"
    return sandbox.answer(SandboxRequest("GET", host, target.path, query, headers, b""))


def test_sandbox_refuses_wrong_requests() -> None:
    """The sandbox refuses wrong tokens, paths and parameters, and lists requisitions."""
    account = next(iter(GoCardlessSandbox()._accounts))  # noqa: SLF001 - the ids are always the same
    requests = {
        "list": raw("/api/v2/requisitions/"),
        "token": raw("/api/v2/requisitions/", "bad"),
        "path": raw("/api/v2/unknown/x/"),
        "account": raw("/api/v2/accounts/unknown/"),
        "parameter": raw(f"/api/v2/accounts/{account}/transactions/?page=1"),
    }
    statuses = {name: response.status for name, response in requests.items()}
    assert {"list": 200, "token": 401, "path": 404, "account": 404, "parameter": 400} == statuses
    assert 1 == requests["list"].json()["count"]
