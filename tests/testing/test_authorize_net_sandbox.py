"""The sandbox of Authorize.Net is as strict as Authorize.Net."""

from __future__ import annotations

import codecs
import json
from typing import Any

import pytest

from moorage.domain.http.requests import Headers
from moorage.testing.sandboxes.base import SandboxRequest
from moorage.testing.sandboxes.payments.authorize_net import STORED, AuthorizeNetSandbox

NONCE = {"opaqueData": {"dataDescriptor": "COMMON.ACCEPT.INAPP.PAYMENT", "dataValue": "nonce-ok"}}
CHARGE: dict[str, Any] = {
    "transactionType": "authCaptureTransaction",
    "amount": "20.00",
    "payment": NONCE,
}


def send(sandbox: AuthorizeNetSandbox, body: Any) -> dict[str, Any]:
    """Return the content of the response to a body, which begins with a byte order mark."""
    request = SandboxRequest(
        method="POST",
        host="apitest.authorize.net",
        path="/xml/v1/request.api",
        query=(),
        headers=Headers({"Content-Type": "application/json"}),
        body=json.dumps(body).encode(),
    )
    response = sandbox.answer(request)
    assert response.body.startswith(codecs.BOM_UTF8)
    assert 200 == response.status
    content: dict[str, Any] = response.json()
    return content


def ask(sandbox: AuthorizeNetSandbox, name: str, **fields: Any) -> dict[str, Any]:
    """Return the content of the response to a request with the sandbox's credentials."""
    login = {"name": sandbox.login_id, "transactionKey": sandbox.transaction_key}
    return send(sandbox, {f"{name}Request": {"merchantAuthentication": login, **fields}})


def order(sandbox: AuthorizeNetSandbox, **fields: Any) -> dict[str, Any]:
    """Return the content of the response to a transaction with the given fields."""
    return ask(sandbox, "createTransaction", transactionRequest=fields)


def code_of(content: dict[str, Any]) -> str:
    """Return the code of the error of a transaction, or of the message of a request."""
    errors = content.get("transactionResponse", {}).get("errors")
    message = content["messages"]["message"][0]
    code: str = errors[0]["errorCode"] if errors else message["code"]
    return code


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        {"aRequest": {}, "bRequest": {}},
        {"createTransactionRequest": {"transactionRequest": CHARGE}},
        {"createTransactionRequest": []},
    ],
)
def test_malformed_body_is_refused(body: Any) -> None:
    """A body that is not a request, or has no credentials, is refused as invalid."""
    assert "E00003" == code_of(send(AuthorizeNetSandbox(), body))


@pytest.mark.parametrize("name", ["createTransaction", "logoutRequest"])
def test_unknown_method_is_refused(name: str) -> None:
    """An unknown API method is refused."""
    assert "E00004" == code_of(send(AuthorizeNetSandbox(), {name: {}}))


@pytest.mark.parametrize("field", ["name", "transactionKey"])
def test_wrong_credentials_are_refused(field: str) -> None:
    """A wrong login id or transaction key is refused."""
    sandbox = AuthorizeNetSandbox()
    login = {"name": sandbox.login_id, "transactionKey": sandbox.transaction_key, field: "another"}
    body = {"getTransactionDetailsRequest": {"merchantAuthentication": login, "transId": "1"}}

    assert "E00007" == code_of(send(sandbox, body))


@pytest.mark.parametrize(
    "fields",
    [
        {"amount": "20.00", "transactionType": "authCaptureTransaction", "payment": NONCE},
        {**CHARGE, "poNumber": "1", "order": {"invoiceNumber": "1"}},
        {**CHARGE, "order": {"description": "d", "invoiceNumber": "1"}},
        {**CHARGE, "transactionSettings": {"setting": [{"settingValue": "1", "settingName": "a"}]}},
        {**CHARGE, "order": {"invoiceNumber": "1" * 21}},
        {**CHARGE, "poNumber": "1" * 26},
        {**CHARGE, "customer": {"id": "1" * 21}},
        {**CHARGE, "colour": "red"},
        {**CHARGE, "transactionType": "gift"},
    ],
)
def test_fields_follow_the_schema(fields: dict[str, Any]) -> None:
    """A misplaced, unknown or too long field is refused, as the schema demands."""
    sandbox = AuthorizeNetSandbox()

    assert "E00003" == code_of(order(sandbox, **fields))
    assert {} == sandbox.transactions


@pytest.mark.parametrize(
    "fields, code",
    [
        ({**CHARGE, "amount": "0"}, "5"),
        ({**CHARGE, "amount": "1.001"}, "5"),
        ({**CHARGE, "amount": "many"}, "5"),
        (
            {
                "transactionType": "authCaptureTransaction",
                "amount": "1",
                "currencyCode": "USD",
                "payment": NONCE,
            },
            "39",
        ),
        ({**CHARGE, "payment": {}}, "E00029"),
        (
            {**CHARGE, "payment": {"opaqueData": {"dataDescriptor": "a", "dataValue": "b"}}},
            "E00114",
        ),
        (
            {
                "transactionType": "authCaptureTransaction",
                "amount": "1",
                "profile": {
                    "customerProfileId": "8000001",
                    "paymentProfile": {"paymentProfileId": "1"},
                },
            },
            "E00040",
        ),
        (
            {
                **CHARGE,
                "profile": {
                    "customerProfileId": "8000001",
                    "paymentProfile": {"paymentProfileId": "9000001"},
                },
            },
            "E00093",
        ),
        ({**CHARGE, "profile": {"createProfile": True}}, "E00102"),
        ({"transactionType": "voidTransaction", "refTransId": "1"}, "16"),
        ({"transactionType": "priorAuthCaptureTransaction", "refTransId": "1"}, "16"),
        ({"transactionType": "refundTransaction", "amount": "1", "refTransId": "1"}, "16"),
    ],
)
def test_impossible_transaction_is_refused(fields: dict[str, Any], code: str) -> None:
    """An impossible transaction is refused with the error code of its reason."""
    assert code == code_of(order(AuthorizeNetSandbox(), **fields))


def test_capture_beyond_its_bounds_is_refused() -> None:
    """A capture of nothing, of too much, or of a payment under review is refused."""
    sandbox = AuthorizeNetSandbox()
    held = order(sandbox, **CHARGE | {"transactionType": "authOnlyTransaction"})
    id_ = held["transactionResponse"]["transId"]
    capture = {"transactionType": "priorAuthCaptureTransaction", "refTransId": id_}

    def captured(amount: str) -> str:
        fields = {"transactionType": capture["transactionType"], "amount": amount}
        return code_of(order(sandbox, **fields, refTransId=id_))

    assert ["5", "47"] == [captured(amount) for amount in ("0", "20.01")]
    sandbox.transactions[id_]["status"] = "FDSPendingReview"
    assert "16" == code_of(order(sandbox, **capture))


def test_refund_needs_the_card_of_the_payment() -> None:
    """A refund with another card than that of the payment is refused."""
    sandbox = AuthorizeNetSandbox()
    id_ = order(sandbox, **CHARGE)["transactionResponse"]["transId"]
    sandbox.settle()
    card = {"cardNumber": "2222", "expirationDate": "XXXX"}
    refund = {"transactionType": "refundTransaction", "amount": "1"}
    content = order(sandbox, **refund, payment={"creditCard": card}, refTransId=id_)

    assert "54" == code_of(content)


def test_duplicate_names_the_earlier_transaction_if_a_window_was_sent() -> None:
    """A refused duplicate names the earlier transaction only if the request states a window."""
    sandbox = AuthorizeNetSandbox(now=lambda: moments[0])
    moments = [1_930_000_000.0]
    id_ = order(sandbox, **CHARGE)["transactionResponse"]["transId"]

    def repeated(window: str | None) -> tuple[str, str]:
        setting = {"settingName": "duplicateWindow", "settingValue": window}
        fields = {} if window is None else {"transactionSettings": {"setting": [setting]}}
        content = order(sandbox, **CHARGE, **fields)
        return code_of(content), content["transactionResponse"]["transId"]

    assert [("11", "0"), ("11", id_)] == [repeated(None), repeated("60")]
    moments[0] += 100
    assert "11" == repeated(None)[0]
    assert "I00001" == repeated("60")[0]


@pytest.mark.parametrize(
    "paging, code",
    [({"limit": 1000, "offset": 1}, "I00004"), ({"limit": 1001, "offset": 1}, "E00013")],
)
def test_page_has_at_most_a_thousand_transactions(paging: dict[str, int], code: str) -> None:
    """A page of a list has at most 1,000 transactions; an empty list has its own message."""
    content = ask(AuthorizeNetSandbox(), "getUnsettledTransactionList", paging=paging)

    assert code == code_of(content)


@pytest.mark.parametrize(
    "last, code",
    [("2031-02-01", "I00004"), ("2031-02-02", "E00013"), ("2030-12-31", "E00013")],
)
def test_list_of_batches_covers_at_most_31_days(last: str, code: str) -> None:
    """A list of batches covers at most 31 days."""
    dates = {
        "firstSettlementDate": "2031-01-01T00:00:00Z",
        "lastSettlementDate": f"{last}T00:00:00Z",
    }

    assert code == code_of(ask(AuthorizeNetSandbox(), "getSettledBatchList", **dates))


def test_profile_of_a_known_customer_is_a_duplicate() -> None:
    """A charge stores no second profile for a customer, but is carried out."""
    sandbox = AuthorizeNetSandbox()
    content = order(sandbox, **CHARGE, profile={"createProfile": True}, customer={"id": "ada-1"})

    assert "E00039" == content["profileResponse"]["messages"]["message"][0]["code"]
    assert "1" == content["transactionResponse"]["responseCode"]
    assert [STORED.split("/")[0]] == list(sandbox.profiles)
