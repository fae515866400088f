"""A local sandbox that imitates GoCardless Bank Account Data.

Its bank is SANDBOXFINANCE_SFIN0000. A token is granted to the user secret as GoCardless grants it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from moorage.testing.sandboxes import base
from moorage.testing.sandboxes._fields import problems, typed
from moorage.testing.sandboxes.bank.base import (
    BALANCES,
    IBANS,
    OWNER,
    PENDING,
    BankSandbox,
)
from moorage.testing.sandboxes.fixture import SandboxFixture

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from moorage.domain.http.requests import Response

BANK: Final = "SANDBOXFINANCE_SFIN0000"
"""GoCardless' id of the bank."""
_MAX_LENGTH: Final = 180
_SCOPES: Final = frozenset({"balances", "details", "transactions"})
AGREEMENT: Final[Mapping[str, Any]] = {
    "institution_id!": str,
    "max_historical_days": int,
    "access_valid_for_days": int,
    "access_scope": [_SCOPES],
}
"""The fields of an agreement."""
REQUISITION: Final[Mapping[str, Any]] = {
    **typed(str, "redirect! institution_id! agreement reference user_language ssn"),
    "account_selection": bool,
    "redirect_immediate": bool,
}
"""The fields of a requisition."""


class _Tokens(base.Sandbox):
    """The endpoint that exchanges a user secret for a token."""

    def __init__(self, secret_id: str, secret_key: str) -> None:
        super().__init__()
        self.secret = {"secret_id": secret_id, "secret_key": secret_key}
        self.granted: set[str] = set()

    def routes(self) -> base.Routes:
        """The route of the endpoint."""
        return {"POST /api/v2/token/new/": self._grant}

    def _grant(self, request: base.SandboxRequest) -> Response:
        if dict(request.form) != self.secret:
            raise _error(
                401, "Authentication failed", "No active account found with the given credentials"
            )
        token = f"sandbox-access-{self.number():04d}"
        self.granted.add(token)
        return base.reply(
            {
                "access": token,
                "access_expires": 86_400,
                "refresh": f"sandbox-refresh-{self.number():04d}",
                "refresh_expires": 2_592_000,
            }
        )


class GoCardlessSandbox(BankSandbox):
    """A sandbox of GoCardless Bank Account Data, with agreements, requisitions and accounts.

    Attributes:
        secret_id, secret_key: the user secret.
        agreements: the agreements, by id.
        requisitions: the requisitions, by id.
        tokens: the endpoint that grants tokens.
    """

    hosts = ("bankaccountdata.gocardless.com",)

    secret_id: str = "00000000-0000-4000-9000-000000000001"
    secret_key: str = "gocardless-sandbox-secret-key-0001"
    agreements: dict[str, dict[str, Any]] = base.state_field(dict)
    requisitions: dict[str, dict[str, Any]] = base.state_field(dict)

    def __attrs_post_init__(self) -> None:
        self.tokens = _Tokens(self.secret_id, self.secret_key)
        self.mounts = {"/api/v2/token/new/": self.tokens}
        self._accounts = {self.uuid(): iban for iban in IBANS}

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        return {
            "POST /api/v2/agreements/enduser/": self._agree,
            "POST /api/v2/requisitions/": self._start,
            "GET /api/v2/requisitions/": self._list,
            "GET /api/v2/requisitions/{id_}/": self._get,
            "DELETE /api/v2/requisitions/{id_}/": self._delete,
            "GET /api/v2/accounts/{id_}/": self._account,
            "GET /api/v2/accounts/{id_}/balances/": self._balances,
            "GET /api/v2/accounts/{id_}/transactions/": self._transactions,
        }

    def unknown(self, request: base.SandboxRequest) -> Response:  # noqa: ARG002 - as the base has it
        """Return the response for an unknown path."""
        return _error(404, "Not found.", "Not found.").response

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check a request's token."""
        if request.bearer() not in self.tokens.granted:
            raise _error(401, "Invalid token", "Token is invalid or expired")

    def grant(self, consent: str) -> None:
        """Link a requisition, as happens when its owner agrees."""
        self.requisitions[consent] |= {"status": "LN", "accounts": list(self._accounts)}

    def refuse(self, consent: str) -> None:
        """Reject a requisition."""
        self.requisitions[consent]["status"] = "RJ"

    def expire(self, consent: str) -> None:
        """End the agreement of a requisition."""
        self.requisitions[consent]["status"] = "EX"

    def consent_count(self) -> int:
        """Return the number of requisitions."""
        return len(self.requisitions)

    def _agree(self, request: base.SandboxRequest) -> Response:
        body = _checked_body(request, AGREEMENT)
        _check_bank(body)
        days = body.get("access_valid_for_days", 90)
        if not 0 < days <= _MAX_LENGTH:
            detail = f"access_valid_for_days must be > 0 and <= {_MAX_LENGTH}"
            problem = {"summary": "Incorrect access_valid_for_days", "detail": detail}
            raise base.refusal({"access_valid_for_days": problem, "status_code": 400}, 400)
        agreement: dict[str, Any] = {
            "id": self.uuid(),
            "created": _now(),
            "max_historical_days": 90,
            "access_valid_for_days": 90,
            "access_scope": sorted(_SCOPES),
            "accepted": None,
            **body,
        }
        self.agreements[agreement["id"]] = agreement
        return base.reply(agreement, 201)

    def _start(self, request: base.SandboxRequest) -> Response:
        body = _checked_body(request, REQUISITION)
        _check_bank(body)
        if any(item["reference"] == body.get("reference") for item in self.requisitions.values()):
            problem = {"summary": "Client reference must be unique"}
            raise base.refusal({"reference": problem, "status_code": 400}, 400)
        base.existing(
            {"": {}, **self.agreements}, body.get("agreement", ""), _error(400, "Invalid  ID", "")
        )
        id_ = self.uuid()
        requisition: dict[str, Any] = {
            "id": id_,
            "created": _now(),
            "status": "CR",
            "agreement": None,
            "reference": id_,
            "accounts": [],
            "user_language": "EN",
            "link": f"https://ob.gocardless.com/psd2/start/{id_}/{BANK}",
            "ssn": None,
            "account_selection": False,
            "redirect_immediate": False,
            **body,
        }
        self.requisitions[id_] = requisition
        return base.reply(requisition, 201)

    def _list(self, _: base.SandboxRequest) -> Response:
        items = list(self.requisitions.values())
        return base.reply({"count": len(items), "next": None, "previous": None, "results": items})

    def _get(self, _: base.SandboxRequest, id_: str) -> Response:
        return base.reply(base.existing(self.requisitions, id_, _not_found()))

    def _delete(self, _: base.SandboxRequest, id_: str) -> Response:
        base.existing(self.requisitions, id_, _not_found())
        del self.requisitions[id_]
        detail = f"Requisition {id_} deleted with all its End User Agreements"
        return base.reply({"summary": "Requisition deleted", "detail": detail})

    def _account(self, _: base.SandboxRequest, id_: str) -> Response:
        iban = base.existing(self._accounts, id_, _not_found())
        return base.reply(
            {
                "id": id_,
                "created": _now(),
                "last_accessed": _now(),
                "iban": iban,
                "institution_id": BANK,
                "status": "READY",
                "owner_name": OWNER,
            }
        )

    def _balances(self, _: base.SandboxRequest, id_: str) -> Response:
        self._check_consent(id_)
        return base.reply({"balances": BALANCES})

    def _transactions(self, request: base.SandboxRequest, id_: str) -> Response:
        self._check_consent(id_)
        if dict(request.query).keys() - {"date_from", "date_to"}:
            raise _error(400, "Unknown fields", "There are unknown fields in the request.")
        is_first = id_ == next(iter(self._accounts))
        booked = [
            {**item, "transactionId": f"T{number}", "internalTransactionId": f"I{number}"}
            for number, item in self.numbered()
            if is_first and _is_within(item, dict(request.query))
        ]
        pending = list(PENDING) if is_first else []
        return base.reply({"transactions": {"booked": booked, "pending": pending}})

    def _check_consent(self, account: str) -> None:
        base.existing(
            self._accounts,
            account,
            _error(404, f"Account ID {account} not found", "Please check the Account ID"),
        )
        owners = [item for item in self.requisitions.values() if account in item["accounts"]]
        if any(item["status"] == "LN" for item in owners):
            return
        if owners:
            detail = (
                "EUA was valid for 90 days and it expired. The end user must connect the account"
                " once more with new EUA and Requisition"
            )
            agreement = owners[0]["agreement"]
            raise _error(401, f"End User Agreement (EUA) {agreement} has expired", detail)
        detail = "There is no valid End User Agreement permitting you to access the account"
        raise _error(403, "No valid End User Agreement", detail)


def _is_within(item: Mapping[str, Any], query: Mapping[str, str]) -> bool:
    day: str = item["bookingDate"]
    return query.get("date_from", "") <= day <= query.get("date_to", "9")


def _checked_body(request: base.SandboxRequest, shape: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body of a request, after checking its fields."""
    body: dict[str, Any] = request.json()
    mistakes = {
        f"{location}/{name}".split("/")[1]: [f"{kind}."]
        for location, name, kind in problems(shape, body)
    }
    if mistakes:
        raise base.refusal({**mistakes, "status_code": 400}, 400)
    return body


def _check_bank(body: Mapping[str, Any]) -> None:
    if body["institution_id"] != BANK:
        problem = {
            "summary": f"Unknown Institution ID {body['institution_id']}",
            "detail": "Get Institution IDs from /institutions/?country={$COUNTRY_CODE}",
        }
        raise base.refusal({"institution_id": problem, "status_code": 400}, 400)


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _not_found() -> base.Refusal:
    return _error(404, "Not found.", "Not found.")


def _error(status: int, summary: str, detail: str) -> base.Refusal:
    return base.refusal({"summary": summary, "detail": detail, "status_code": status}, status)


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = GoCardlessSandbox()
    options = {
        "secret_id": sandbox.secret_id,
        "secret_key": sandbox.secret_key,
        "institution": BANK,
    }
    return SandboxFixture(sandbox=sandbox, options=options, vendor_values={"institution": BANK})
