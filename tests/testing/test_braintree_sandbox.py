"""The sandbox of Braintree is as strict as Braintree."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest

from moorage.domain.http.requests import Headers
from moorage.testing.sandboxes.base import SandboxRequest
from moorage.testing.sandboxes.payments._braintree_rules import VAULTED
from moorage.testing.sandboxes.payments.braintree import BraintreeSandbox

PAY = "{ transaction { id legacyId status } }"
CHARGE = f"mutation($input: I!) {{ chargePaymentMethod(input: $input) {PAY} }}"
AUTHORIZE = f"mutation($input: I!) {{ authorizePaymentMethod(input: $input) {PAY} }}"
CAPTURE = f"mutation($input: I!) {{ captureTransaction(input: $input) {PAY} }}"
REVERSE = "mutation($input: I!) { reverseTransaction(input: $input) { reversal { __typename } } }"
REFUND = "mutation($input: I!) { refundTransaction(input: $input) { refund { id } } }"
REMOVE = "mutation($input: I!) { deletePaymentMethodFromVault(input: $input) { clientMutationId } }"
CARD: dict[str, Any] = {"paymentMethodId": "fake-valid-nonce", "transaction": {"amount": "20.00"}}


def answer(
    sandbox: BraintreeSandbox, query: Any, *, headers: dict[str, str] | None = None, **fields: Any
) -> dict[str, Any]:
    """Return the content of the response to a query with the given input fields."""
    keys = b64encode(f"{sandbox.public_key}:{sandbox.private_key}".encode()).decode()
    defaults = {
        "Authorization": f"Basic {keys}",
        "Braintree-Version": "2018-09-10",
        "Content-Type": "application/json",
    }
    request = SandboxRequest(
        method="POST",
        host="payments.sandbox.braintree-api.com",
        path="/graphql",
        query=(),
        headers=Headers(defaults | (headers or {})),
        body=json.dumps({"query": query, "variables": {"input": fields}}).encode(),
    )
    content: dict[str, Any] = sandbox.answer(request).json()
    return content


def refusal_of(content: dict[str, Any]) -> str:
    """Return an error's code, or its class."""
    details = content["errors"][0]["extensions"]
    code: str = details.get("legacyCode") or details["errorClass"]
    return code


def create_transaction(sandbox: BraintreeSandbox, query: str = CHARGE) -> str:
    """Return the id of a new transaction."""
    [result] = answer(sandbox, query, **CARD)["data"].values()
    id_: str = result["transaction"]["id"]
    return id_


@pytest.mark.parametrize(
    "headers, code",
    [
        ({"Authorization": "Basic YTpi"}, "AUTHENTICATION"),
        ({"Braintree-Version": "newest"}, "UNSUPPORTED_CLIENT"),
    ],
)
def test_wrong_api_key_or_version_is_refused(headers: dict[str, str], code: str) -> None:
    """A wrong API key or version is refused."""
    sandbox = BraintreeSandbox()

    assert code == refusal_of(answer(sandbox, CHARGE, headers=headers, **CARD))
    assert {} == sandbox.transactions


@pytest.mark.parametrize(
    "query", [7, "query { planets { id } }", "mutation { node(id: 1) { id } }", "query {"]
)
def test_document_that_is_not_graphql_is_refused(query: Any) -> None:
    """A document that is not GraphQL, or names an unknown field, is refused."""
    assert "VALIDATION" == refusal_of(answer(BraintreeSandbox(), query))


@pytest.mark.parametrize(
    "fields, code",
    [
        ({"transaction": {"amount": "20.00"}}, "VALIDATION"),
        ({**CARD, "transaction": {}}, "VALIDATION"),
        ({**CARD, "transaction": {"amount": 20}}, "VALIDATION"),
        ({**CARD, "transaction": {"amount": "20.00", "currency": "EUR"}}, "VALIDATION"),
        ({**CARD, "transaction": {"amount": "20.0"}}, "81503"),
        ({**CARD, "transaction": {"amount": "0.00"}}, "81503"),
        ({**CARD, "paymentMethodId": "fake-consumed-nonce"}, "91565"),
        ({**CARD, "paymentMethodId": f"{VAULTED}_of_somebody_else"}, "91565"),
    ],
)
def test_charge_needs_payment_method_and_amount_with_two_decimals(
    fields: dict[str, Any], code: str
) -> None:
    """A charge needs a payment method and an amount with two decimals, and no other fields."""
    sandbox = BraintreeSandbox()

    assert code == refusal_of(answer(sandbox, CHARGE, **fields))
    assert {} == sandbox.transactions


def test_only_authorised_amount_can_be_captured() -> None:
    """Only an authorised amount can be captured, and no more than that."""
    sandbox = BraintreeSandbox()
    authorization = create_transaction(sandbox, AUTHORIZE)
    too_much: dict[str, Any] = {"transactionId": authorization, "transaction": {"amount": "20.01"}}

    assert "91522" == refusal_of(answer(sandbox, CAPTURE, **too_much))
    assert "NOT_FOUND" == refusal_of(answer(sandbox, CAPTURE, transactionId="x"))
    assert "errors" not in answer(sandbox, CAPTURE, transactionId=authorization)
    assert "91507" == refusal_of(answer(sandbox, CAPTURE, transactionId=authorization))


def test_transaction_can_be_voided_before_it_is_settled() -> None:
    """A transaction can be voided before it is settled, and refunded afterwards."""
    sandbox = BraintreeSandbox()
    first, second = create_transaction(sandbox), create_transaction(sandbox, AUTHORIZE)
    sandbox.settle()
    kinds = [
        answer(sandbox, REVERSE, transactionId=id_)["data"]["reverseTransaction"]["reversal"]
        for id_ in (first, second)
    ]

    assert ["Refund", "Transaction"] == [kind["__typename"] for kind in kinds]
    assert "91504" == refusal_of(answer(sandbox, REVERSE, transactionId=second))


def test_only_settled_amount_can_be_refunded() -> None:
    """Only a settled amount can be refunded, and no more than is left."""
    sandbox = BraintreeSandbox()
    paid = create_transaction(sandbox)
    part: dict[str, Any] = {"transactionId": paid, "refund": {"amount": "15.00"}}

    assert "91506" == refusal_of(answer(sandbox, REFUND, **part))
    sandbox.settle()
    assert "errors" not in answer(sandbox, REFUND, **part)
    assert "91521" == refusal_of(answer(sandbox, REFUND, **part))
    assert "errors" not in answer(sandbox, REFUND, transactionId=paid)
    assert "91512" == refusal_of(answer(sandbox, REFUND, transactionId=paid))


def test_reversal_after_a_refund_returns_no_more_than_was_paid() -> None:
    """A settled transaction that was refunded in part cannot be reversed as a whole."""
    sandbox = BraintreeSandbox()
    paid = create_transaction(sandbox)
    sandbox.settle()
    answer(sandbox, REFUND, transactionId=paid, refund={"amount": "15.00"})

    assert "91521" == refusal_of(answer(sandbox, REVERSE, transactionId=paid))
    assert 1 == len(sandbox.refunds)


def test_failed_refund_can_be_made_again() -> None:
    """After a failed refund the same amount can be refunded again."""
    sandbox = BraintreeSandbox()
    paid = create_transaction(sandbox)
    sandbox.settle()
    answer(sandbox, REFUND, transactionId=paid)
    sandbox.settle(success=False)

    assert "errors" not in answer(sandbox, REFUND, transactionId=paid)


def test_stored_payment_method_can_be_deleted_once() -> None:
    """A stored payment method can be deleted once."""
    sandbox = BraintreeSandbox()

    assert "errors" not in answer(sandbox, REMOVE, paymentMethodId=VAULTED)
    assert "NOT_FOUND" == refusal_of(answer(sandbox, REMOVE, paymentMethodId=VAULTED))


def test_missing_node_or_legacy_id_has_its_own_error_class() -> None:
    """A missing GraphQL node and a missing legacy id each have their own error class."""
    sandbox = BraintreeSandbox()
    node = 'query { node(id: "x") { __typename } }'
    old_id = 'query { idFromLegacyId(legacyId: "x", type: "REFUND") }'

    assert ["NOT_FOUND"] * 2 == [refusal_of(answer(sandbox, query)) for query in (node, old_id)]


def test_next_page_follows_the_last_one_while_transactions_are_added() -> None:
    """A cursor names a record, so that a new transaction neither repeats nor hides another."""
    sandbox = BraintreeSandbox()
    ids = [create_transaction(sandbox) for _ in range(4)]

    def page(after: str) -> dict[str, Any]:
        query = (
            f"query($input: I!) {{ search {{ transactions(input: $input, first: 2{after})"
            " { edges { node { id } } pageInfo { hasNextPage endCursor } } } }"
        )
        found_page: dict[str, Any] = answer(sandbox, query)["data"]["search"]["transactions"]
        return found_page

    first = page("")
    create_transaction(sandbox)
    last = page(f', after: "{first["pageInfo"]["endCursor"]}"')

    assert ids[::-1] == [edge["node"]["id"] for part in (first, last) for edge in part["edges"]]
    assert [True, False] == [part["pageInfo"]["hasNextPage"] for part in (first, last)]
