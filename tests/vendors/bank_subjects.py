"""Test subjects of the bank vendors for the conformance kit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.bank import BankPaymentStatus, ConsentStatus
from moorage.errors import (
    AuthenticationFailed,
    ConsentRequired,
    InvalidRequest,
    RateLimitExceeded,
    VendorFailed,
    VendorRejected,
)
from moorage.testing.kits.bank_conformance import BankSubject
from moorage.testing.sandboxes.bank.berlin_group import BASE, HOST, BerlinGroupSandbox
from moorage.testing.sandboxes.bank.gocardless import BANK, GoCardlessSandbox
from moorage.testing.sandboxes.bank.open_banking_uk import OpenBankingUkSandbox, options_of
from moorage.testing.sandboxes.bank.plaid import PlaidSandbox
from moorage.testing.sandboxes.base import reply
from moorage.vendors.bank.berlin_group import BerlinGroup
from moorage.vendors.bank.gocardless import GoCardless
from moorage.vendors.bank.open_banking_uk import OpenBankingUk
from moorage.vendors.bank.plaid import Plaid

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.domain.http.requests import Response
    from moorage.errors import ConnectorError

WRONG_AMOUNTS: Final = (
    {"currency": "EUR", "amount": "1,50"},
    {"currency": "EUR", "amount": "1.505"},
    {"currency": "EUROS", "amount": "1.50"},
    {"amount": "1.50"},
    None,
)
BASE_URL: Final = f"https://{HOST}{BASE}"


def damaged_answers() -> tuple[tuple[str, Response], ...]:
    """Return responses in the NextGenPSD2 format with amounts that cannot be read."""
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


def bank_error(status: int, code: str | None, text: str = "No.", **headers: str) -> Response:
    """Return an error response of a bank in NextGenPSD2."""
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
            (bank_error(401, "CONSENT_EXPIRED"), ConsentRequired, "CONSENT_EXPIRED"),
            (bank_error(401, "CONSENT_INVALID"), ConsentRequired, "CONSENT_INVALID"),
            (bank_error(403, "CONSENT_UNKNOWN"), ConsentRequired, "CONSENT_UNKNOWN"),
            (bank_error(400, "CONSENT_UNKNOWN"), ConsentRequired, "CONSENT_UNKNOWN"),
            (reply(problem, 401), ConsentRequired, "CONSENT_EXPIRED"),
            (
                reply({"title": "Forbidden.", "detail": "No such account."}, 403),
                VendorRejected,
                None,
            ),
            (bank_error(401, "TOKEN_EXPIRED"), AuthenticationFailed, "TOKEN_EXPIRED"),
            (bank_error(401, "CERTIFICATE_MISSING"), AuthenticationFailed, "CERTIFICATE_MISSING"),
            (bank_error(401, "A_NEW_CODE"), AuthenticationFailed, "A_NEW_CODE"),
            (bank_error(400, "FORMAT_ERROR"), InvalidRequest, "FORMAT_ERROR"),
            (
                bank_error(406, "PARAMETER_NOT_SUPPORTED"),
                InvalidRequest,
                "PARAMETER_NOT_SUPPORTED",
            ),
            (bank_error(404, "RESOURCE_UNKNOWN"), VendorRejected, "RESOURCE_UNKNOWN"),
            (bank_error(403, "SERVICE_BLOCKED"), VendorRejected, "SERVICE_BLOCKED"),
            (bank_error(429, None), RateLimitExceeded, None),
        ),
        daily=(bank_error(429, "ACCESS_EXCEEDED"),),
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


def gocardless_error(
    status: int, summary: str, detail: str = "No.", kind: str | None = None, **headers: str
) -> Response:
    """Return an error response of GoCardless."""
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
            (
                gocardless_error(401, "End User Agreement (EUA) 1 has expired"),
                ConsentRequired,
                None,
            ),
            (gocardless_error(403, "No valid End User Agreement"), ConsentRequired, None),
            (gocardless_error(409, "Account suspended"), ConsentRequired, None),
            (
                gocardless_error(401, failed, kind="AccessExpiredError"),
                ConsentRequired,
                "AccessExpiredError",
            ),
            (
                gocardless_error(401, failed, kind="AccountInactiveError"),
                ConsentRequired,
                "AccountInactiveError",
            ),
            (
                gocardless_error(403, failed, kind="AccountAccessForbidden"),
                VendorRejected,
                "AccountAccessForbidden",
            ),
            (gocardless_error(401, "Invalid token"), AuthenticationFailed, None),
            (gocardless_error(403, "IP address access denied"), AuthenticationFailed, None),
            (gocardless_error(402, "Payment Required"), VendorRejected, None),
            (gocardless_error(404, "Not found."), VendorRejected, None),
            (gocardless_error(429, "Rate limit exceeded"), RateLimitExceeded, None),
            (reply(fields, 400), InvalidRequest, None),
            (reply({"institution_id": ["It is missing."]}, 400), InvalidRequest, None),
            (reply({"access_scope": [{"summary": "Wrong."}]}, 400), InvalidRequest, None),
        ),
        daily=(
            gocardless_error(429, failed, kind="RateLimitError"),
            gocardless_error(
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


def plaid_error(code: str, status: int = 400) -> Response:
    """Return an error response of Plaid."""
    body = {"error_type": "ITEM_ERROR", "error_code": code, "error_message": "Plaid says no."}
    return reply({**body, "display_message": None, "request_id": "1"}, status)


def plaid_link(*sessions: dict[str, Any], expiration: str = "2131-01-01T00:00:00Z") -> Response:
    """Return Plaid's response about a link token, with the given link sessions."""
    fields = {"link_token": "link-1", "created_at": None, "expiration": expiration}
    return reply({**fields, "link_sessions": list(sessions)})


def _plaid_damage() -> tuple[tuple[str, Response], ...]:
    """Return responses in Plaid's format that cannot be read."""
    amounts: tuple[dict[str, Any], ...] = (
        {"iso_currency_code": "EUR", "amount": "1,50"},
        {"iso_currency_code": "EUR", "amount": 1.505},
        {"iso_currency_code": None, "unofficial_currency_code": "BTC", "amount": 1.5},
        {"iso_currency_code": "EUR"},
        {"iso_currency_code": "EUR", "amount": True},
    )
    transactions = [
        {"transactions": [{"transaction_id": "1", **amount}], "total_transactions": 1}
        for amount in amounts
    ]
    transactions += [
        {"transactions": [{"amount": 1.5, "iso_currency_code": "EUR"}], "total_transactions": 1},
        {"transactions": []},
    ]
    first = "plaid-account-0"
    accounts = [
        {
            "account_id": first,
            "balances": {"current": amount.get("amount", "x"), **amount},
        }
        for amount in amounts
    ]
    accounts += [{"account_id": "another", "balances": {}}]
    return (
        *(("balances", reply({"accounts": [account]})) for account in accounts),
        *(("transactions", reply(page)) for page in transactions),
    )


def plaid() -> BankSubject:
    """Return a Plaid test subject with a new sandbox."""
    sandbox = PlaidSandbox()
    abandoned_link = {
        "finished_at": "2031-05-06T07:08:09Z",
        "exit": {"metadata": {"status": "unknown"}},
    }
    refusals: dict[str, type[ConnectorError]] = {
        **dict.fromkeys(
            ("ITEM_LOGIN_REQUIRED", "ITEM_NOT_FOUND", "INVALID_ACCESS_TOKEN"), ConsentRequired
        ),
        **dict.fromkeys(("USER_PERMISSION_REVOKED", "ACCESS_NOT_GRANTED"), ConsentRequired),
        **dict.fromkeys(("INVALID_API_KEYS", "UNAUTHORIZED_ENVIRONMENT"), AuthenticationFailed),
        **dict.fromkeys(("INSTITUTION_DOWN", "PRODUCT_NOT_READY"), VendorFailed),
        "INVALID_FIELD": InvalidRequest,
        "A_NEW_CODE": InvalidRequest,
    }
    return BankSubject(
        vendor=Plaid(
            client_id=sandbox.client_id,
            credentials=sandbox.secret,
            client_name="Harbour ERP",
            countries="DE FR",
        ),
        sandbox=sandbox,
        refusals=(
            *((plaid_error(code), kind, code) for code, kind in refusals.items()),
            (
                plaid_error("BALANCE_LIMIT", status=429),
                RateLimitExceeded,
                "BALANCE_LIMIT",
            ),
            (plaid_error("NOT_FOUND", status=404), VendorRejected, "NOT_FOUND"),
        ),
        daily=(),
        consents=(
            (plaid_link(), ConsentStatus.PENDING),
            (plaid_link({"finished_at": None}), ConsentStatus.PENDING),
            (plaid_link(abandoned_link, {"finished_at": None}), ConsentStatus.PENDING),
            (plaid_link({"finished_at": None, "results": None}), ConsentStatus.PENDING),
            (plaid_link(abandoned_link), ConsentStatus.REFUSED),
            (plaid_link(expiration="2020-01-01T00:00:00Z"), ConsentStatus.EXPIRED),
        ),
        damaged=_plaid_damage(),
        secrets=(sandbox.secret, f"access-sandbox-{1:036d}"),
        balance_words=("current", "available"),
        has_other_balances=False,
        unstated=frozenset(
            {"owner", "day", "at", "with_credit", "value_on", "code", "bank_code", "ultimate"}
        ),
    )


def uk_bank_error(status: int, code: str | None, message: str = "No.") -> Response:
    """Return an error response of a UK bank, with the error's code or, in version 3.1, its name."""
    error = {"Message": message, **({"ErrorCode": code} if code else {})}
    return reply({"Id": "1", "Errors": [error]}, status)


def uk_consent(status: str, **fields: str) -> Response:
    """Return a UK bank's response about a consent."""
    data = {"ConsentId": "1", "Status": status, **fields}
    return reply({"Data": data, "Risk": {}, "Links": {"Self": "https://a.example"}, "Meta": {}})


def uk_payment(status: str) -> Response:
    """Return a UK bank's response about a payment, or about the consent to it."""
    data = {"DomesticPaymentId": "1", "ConsentId": "1", "Status": status}
    return reply({"Data": data, "Links": {"Self": "https://a.example"}, "Meta": {}})


def _uk_damage() -> tuple[tuple[str, Response], ...]:
    """Return responses of a UK bank that cannot be read."""
    amounts: tuple[dict[str, Any], ...] = (
        {"Amount": {"Amount": "1,50", "Currency": "GBP"}, "CreditDebitIndicator": "Credit"},
        {"Amount": {"Amount": "-1.50", "Currency": "GBP"}, "CreditDebitIndicator": "Credit"},
        {"Amount": {"Amount": "1.505", "Currency": "GBP"}, "CreditDebitIndicator": "Credit"},
        {"Amount": {"Amount": "1.50"}, "CreditDebitIndicator": "Debit"},
        {"Amount": {"Amount": "1.50", "Currency": "GBP"}, "CreditDebitIndicator": "CRDT"},
        {"Amount": {"Amount": "1.50", "Currency": "GBP"}},
        {"CreditDebitIndicator": "Debit"},
    )
    foreign_link = {"Next": "https://elsewhere.example/accounts/22289/transactions?pg=1"}
    return (
        *(("balances", reply({"Data": {"Balance": [amount]}})) for amount in amounts),
        *(
            ("transactions", reply({"Data": {"Transaction": [{"Status": "BOOK", **amount}]}}))
            for amount in amounts
        ),
        ("transactions", reply({"Data": {"Transaction": [amounts[0] | {"Status": None}]}})),
        ("transactions", reply({"Data": {"Transaction": {}}})),
        ("transactions", reply({"Data": {"Transaction": []}, "Links": foreign_link})),
    )


def open_banking_uk() -> BankSubject:
    """Return a test subject of a UK bank with a new sandbox."""
    sandbox = OpenBankingUkSandbox()
    words = {
        **dict.fromkeys(("AWAU", "AwaitingAuthorisation"), ConsentStatus.PENDING),
        # The owner has agreed, but has not returned yet.
        **dict.fromkeys(("AUTH", "Authorised"), ConsentStatus.PENDING),
        **dict.fromkeys(("RJCT", "Rejected"), ConsentStatus.REFUSED),
        **dict.fromkeys(("CANC", "Revoked"), ConsentStatus.REVOKED),
        "EXPD": ConsentStatus.EXPIRED,
        "auth": ConsentStatus.UNKNOWN,
        "NEWW": ConsentStatus.UNKNOWN,
    }
    pending = "RCVD PDNG ACTC PATC ACCP ACFC ACSP ACWC ACWP Pending AcceptedSettlementInProcess"
    settled = "ACSC ACCC AcceptedSettlementCompleted AcceptedCreditSettlementCompleted"
    payments = {
        **dict.fromkeys(pending.split(), BankPaymentStatus.PENDING),
        "AcceptedWithoutPosting": BankPaymentStatus.PENDING,
        **dict.fromkeys(settled.split(), BankPaymentStatus.SETTLED),
        **dict.fromkeys(("RJCT", "Rejected"), BankPaymentStatus.REFUSED),
        **dict.fromkeys(("BLCK", "CANC", "acsc", "AUTH", "NEWW"), BankPaymentStatus.UNKNOWN),
    }
    authorised = ("AWAU", "AUTH", "AwaitingAuthorisation", "Authorised")
    initiations = {
        **dict.fromkeys(authorised, BankPaymentStatus.PENDING),
        **dict.fromkeys(("RJCT", "Rejected"), BankPaymentStatus.REFUSED),
        **dict.fromkeys(("COND", "Consumed", "ACSC", "auth"), BankPaymentStatus.UNKNOWN),
    }
    refusals: dict[tuple[int, str], type[ConnectorError]] = {
        (401, "TKXP"): ConsentRequired,
        (401, "A_NEW_CODE"): ConsentRequired,
        (403, "U028"): ConsentRequired,
        (403, "UK.OBIE.Reauthenticate"): ConsentRequired,
        (400, "U009"): ConsentRequired,
        (400, "UK.OBIE.Resource.InvalidConsentStatus"): ConsentRequired,
        (403, "AG08"): VendorRejected,
        (400, "U002"): InvalidRequest,
        (400, "UK.OBIE.Field.Invalid"): InvalidRequest,
        (404, "U011"): ConsentRequired,
    }
    vendor_options: dict[str, Any] = {**options_of(sandbox)}
    return BankSubject(
        vendor=OpenBankingUk(**vendor_options),
        sandbox=sandbox,
        refusals=(
            *(
                (uk_bank_error(status, code), kind, code)
                for (status, code), kind in refusals.items()
            ),
            (uk_bank_error(403, None), VendorRejected, None),
            (uk_bank_error(429, None), RateLimitExceeded, None),
        ),
        daily=(),
        consents=(
            *((uk_consent(word), status) for word, status in words.items()),
            (
                uk_consent("AUTH", ExpirationDateTime="2020-01-01T00:00:00+00:00"),
                ConsentStatus.EXPIRED,
            ),
        ),
        payments=tuple((uk_payment(word), status) for word, status in payments.items()),
        initiations=tuple((uk_payment(word), status) for word, status in initiations.items()),
        damaged=_uk_damage(),
        secrets=(
            "sandbox-owner-token-",
            "sandbox-refresh-token-",
            "sandbox-code-",
            sandbox.private_key.splitlines()[1],
        ),
        balance_words=("CLBD", "ITAV"),
        unstated=frozenset({"code", "text"}),
    )


SUBJECTS: Final[tuple[Callable[[], BankSubject], ...]] = (
    berlin_group,
    gocardless,
    open_banking_uk,
    plaid,
)
