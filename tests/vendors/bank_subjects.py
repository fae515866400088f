"""Test subjects of the vendors of bank accounts, for the conformance kit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.bank import BankPaymentStatus, ConsentStatus
from moorage.errors import (
    AuthenticationFailed,
    ConsentRequired,
    InvalidRequest,
    RateLimitExceeded,
    VendorRejected,
)
from moorage.testing.kits.bank_conformance import BankSubject
from moorage.testing.sandboxes.bank.berlin_group import BASE, HOST, BerlinGroupSandbox
from moorage.testing.sandboxes.bank.gocardless import BANK, GoCardlessSandbox
from moorage.testing.sandboxes.base import reply
from moorage.vendors.bank.berlin_group import BerlinGroup
from moorage.vendors.bank.gocardless import GoCardless

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.domain.http.requests import Response

WRONG_AMOUNTS: Final = (
    {"currency": "EUR", "amount": "1,50"},
    {"currency": "EUR", "amount": "1.505"},
    {"currency": "EUROS", "amount": "1.50"},
    {"amount": "1.50"},
    None,
)
BASE_URL: Final = f"https://{HOST}{BASE}"


def damaged_answers() -> tuple[tuple[str, Response], ...]:
    """Return answers in the format of NextGenPSD2 whose amounts cannot be read."""
    balances = [reply({"balances": [{"balanceAmount": amount}]}) for amount in WRONG_AMOUNTS]
    lists: list[dict[str, Any]] = [
        {"booked": [{"transactionAmount": amount}]} for amount in WRONG_AMOUNTS
    ]
    lists += [
        {"booked": [], "pending": [{"transactionAmount": amount}]} for amount in WRONG_AMOUNTS
    ]
    lists += [
        {
            "booked": [
                {
                    "transactionAmount": {"currency": "EUR", "amount": "1.50"},
                    "entryDetails": [{"transactionDetails": {"transactionAmount": amount}}],
                }
            ]
        }
        for amount in WRONG_AMOUNTS
    ]
    transactions = [reply({"transactions": lines}) for lines in lists]
    return (
        *(("balances", answer) for answer in balances),
        *(("transactions", answer) for answer in transactions),
    )


def bank_says(status: int, code: str | None, text: str = "No.", **headers: str) -> Response:
    """Return a refusal of a bank in NextGenPSD2."""
    message = {"category": "ERROR", "text": text, **({"code": code} if code else {})}
    return reply({"tppMessages": [message]}, status, **headers)


def berlin_group() -> BankSubject:
    """Return a test subject of a bank in NextGenPSD2 with a new sandbox."""
    sandbox = BerlinGroupSandbox()
    words = {
        "received": ConsentStatus.PENDING,
        "partiallyAuthorised": ConsentStatus.PENDING,
        "valid": ConsentStatus.GRANTED,
        "rejected": ConsentStatus.REFUSED,
        "expired": ConsentStatus.EXPIRED,
        "revokedByPsu": ConsentStatus.REVOKED,
        "terminatedByTpp": ConsentStatus.REVOKED,
        "VALID": ConsentStatus.UNKNOWN,
        "a-new-word": ConsentStatus.UNKNOWN,
    }
    pending = ("RCVD", "PDNG", "PATC", "ACTC", "ACCP", "ACFC", "ACWC", "ACSP", "ACWP")
    payments = {
        **dict.fromkeys(pending, BankPaymentStatus.PENDING),
        "ACSC": BankPaymentStatus.SETTLED,
        "ACCC": BankPaymentStatus.SETTLED,
        "RJCT": BankPaymentStatus.REFUSED,
        "CANC": BankPaymentStatus.CANCELED,
        "PART": BankPaymentStatus.UNKNOWN,
        "acsc": BankPaymentStatus.UNKNOWN,
        "NEWW": BankPaymentStatus.UNKNOWN,
    }
    problem = {"type": "https://bank.example/e", "title": "No.", "code": "CONSENT_EXPIRED"}
    return BankSubject(
        vendor=BerlinGroup(base_url=BASE_URL, credentials=sandbox.token, ip_address="192.0.2.7"),
        sandbox=sandbox,
        refusals=(
            (bank_says(401, "CONSENT_EXPIRED"), ConsentRequired, "CONSENT_EXPIRED"),
            (bank_says(401, "CONSENT_INVALID"), ConsentRequired, "CONSENT_INVALID"),
            (bank_says(403, "CONSENT_UNKNOWN"), ConsentRequired, "CONSENT_UNKNOWN"),
            (bank_says(400, "CONSENT_UNKNOWN"), ConsentRequired, "CONSENT_UNKNOWN"),
            (reply(problem, 401), ConsentRequired, "CONSENT_EXPIRED"),
            (
                reply({"title": "Forbidden.", "detail": "No such account."}, 403),
                VendorRejected,
                None,
            ),
            (bank_says(401, "TOKEN_EXPIRED"), AuthenticationFailed, "TOKEN_EXPIRED"),
            (bank_says(401, "CERTIFICATE_MISSING"), AuthenticationFailed, "CERTIFICATE_MISSING"),
            (bank_says(401, "A_NEW_CODE"), AuthenticationFailed, "A_NEW_CODE"),
            (bank_says(400, "FORMAT_ERROR"), InvalidRequest, "FORMAT_ERROR"),
            (
                bank_says(406, "PARAMETER_NOT_SUPPORTED"),
                InvalidRequest,
                "PARAMETER_NOT_SUPPORTED",
            ),
            (bank_says(404, "RESOURCE_UNKNOWN"), VendorRejected, "RESOURCE_UNKNOWN"),
            (bank_says(403, "SERVICE_BLOCKED"), VendorRejected, "SERVICE_BLOCKED"),
            (bank_says(429, None), RateLimitExceeded, None),
        ),
        daily=(bank_says(429, "ACCESS_EXCEEDED"),),
        consents=tuple((reply({"consentStatus": word}), status) for word, status in words.items()),
        payments=tuple(
            (reply({"transactionStatus": word}), status) for word, status in payments.items()
        ),
        damaged=(
            *damaged_answers(),
            (
                "transactions",
                reply(
                    {
                        "transactions": {
                            "booked": [],
                            "_links": {"next": {"href": "https://elsewhere.example/psd2?page=1"}},
                        }
                    }
                ),
            ),
        ),
        secrets=(sandbox.token,),
    )


def gocardless_says(
    status: int, summary: str, detail: str = "No.", kind: str | None = None, **headers: str
) -> Response:
    """Return a refusal of GoCardless."""
    body: dict[str, Any] = {"summary": summary, "detail": detail, "status_code": status}
    response = reply({**body, **({} if kind is None else {"type": kind})}, status)
    return response.evolve(headers={**dict(response.headers), **headers})


def gocardless() -> BankSubject:
    """Return a GoCardless test subject with a new sandbox."""
    sandbox = GoCardlessSandbox()
    words = {
        **dict.fromkeys(("CR", "GC", "UA", "SA", "GA"), ConsentStatus.PENDING),
        "LN": ConsentStatus.GRANTED,
        "RJ": ConsentStatus.REFUSED,
        "EX": ConsentStatus.EXPIRED,
        "SU": ConsentStatus.SUSPENDED,
        "ER": ConsentStatus.UNKNOWN,
        "ID": ConsentStatus.UNKNOWN,
        "ln": ConsentStatus.UNKNOWN,
    }
    fields = {"date_from": {"summary": "Date can't be in future"}, "status_code": 400}
    failed = "Couldn't update account balances"
    return BankSubject(
        vendor=GoCardless(
            secret_id=sandbox.secret_id, secret_key=sandbox.secret_key, institution=BANK
        ),
        sandbox=sandbox,
        refusals=(
            (gocardless_says(401, "End User Agreement (EUA) 1 has expired"), ConsentRequired, None),
            (gocardless_says(403, "No valid End User Agreement"), ConsentRequired, None),
            (gocardless_says(409, "Account suspended"), ConsentRequired, None),
            (
                gocardless_says(401, failed, kind="AccessExpiredError"),
                ConsentRequired,
                "AccessExpiredError",
            ),
            (
                gocardless_says(401, failed, kind="AccountInactiveError"),
                ConsentRequired,
                "AccountInactiveError",
            ),
            (
                gocardless_says(403, failed, kind="AccountAccessForbidden"),
                VendorRejected,
                "AccountAccessForbidden",
            ),
            (gocardless_says(401, "Invalid token"), AuthenticationFailed, None),
            (gocardless_says(403, "IP address access denied"), AuthenticationFailed, None),
            (gocardless_says(402, "Payment Required"), VendorRejected, None),
            (gocardless_says(404, "Not found."), VendorRejected, None),
            (gocardless_says(429, "Rate limit exceeded"), RateLimitExceeded, None),
            (reply(fields, 400), InvalidRequest, None),
            (reply({"institution_id": ["It is missing."]}, 400), InvalidRequest, None),
            (reply({"access_scope": [{"summary": "Wrong."}]}, 400), InvalidRequest, None),
        ),
        daily=(
            gocardless_says(429, failed, kind="RateLimitError"),
            gocardless_says(
                429,
                "Rate limit exceeded",
                HTTP_X_RATELIMIT_ACCOUNT_SUCCESS_REMAINING="0",
                HTTP_X_RATELIMIT_ACCOUNT_SUCCESS_RESET="86307",
                Date="Tue, 06 May 2031 07:08:09 GMT",
            ),
        ),
        consents=tuple(
            (reply({"id": "1", "status": word}), status) for word, status in words.items()
        ),
        damaged=damaged_answers(),
        secrets=(sandbox.secret_key,),
        institution=BANK,
    )


SUBJECTS: Final[tuple[Callable[[], BankSubject], ...]] = (berlin_group, gocardless)
