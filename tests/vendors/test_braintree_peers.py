"""Braintree's GraphQL operations agree with those in another payment library.

The names are those of the documents and types of Hyperswitch, which are under the Apache licence.
Its documents select less than moorage's, so only what both have is compared.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import graphql
import pytest

from moorage.testing.fakes.http import as_bytes
from tools.descriptions import exchanges_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TRANSACTION: Final = {
    *("id", "legacyId", "createdAt", "status"),
    *("amount.value", "amount.currencyCode", "paymentMethod.id"),
}
REFUND: Final = {
    *("id", "legacyId", "createdAt", "status", "orderId"),
    *("amount.value", "amount.currencyCode"),
}
PAYMENT: Final = {
    *("paymentMethodId", "transaction.amount", "transaction.orderId"),
    *("transaction.merchantAccountId", "transaction.customerDetails.email"),
    "transaction.vaultPaymentMethodAfterTransacting.when",
}


def under(prefix: str, names: set[str]) -> set[str]:
    """Return the names, each with the prefix and a dot before it."""
    return {f"{prefix}.{name}" for name in names}


ANSWERS: Final = {
    "chargePaymentMethod": under("transaction", TRANSACTION),
    "authorizePaymentMethod": under("transaction", TRANSACTION),
    "captureTransaction": under("transaction", TRANSACTION),
    "reverseTransaction": under("reversal", TRANSACTION),
    "refundTransaction": under("refund", REFUND),
    "deletePaymentMethodFromVault": {"clientMutationId"},
    "search": {
        *under("transactions.edges.node", {"id", "status"}),
        *under("refunds.edges.node", REFUND),
    },
}
"""The paths that Hyperswitch selects, by the field of the query or mutation."""
INPUT_TYPES: Final = {
    "chargePaymentMethod": "ChargePaymentMethodInput",
    "authorizePaymentMethod": "AuthorizePaymentMethodInput",
    "captureTransaction": "CaptureTransactionInput",
    "reverseTransaction": "ReverseTransactionInput",
    "refundTransaction": "RefundTransactionInput",
    "deletePaymentMethodFromVault": "DeletePaymentMethodFromVaultInput",
}
SEARCHES: Final = {"transactions": "TransactionSearchInput", "refunds": "RefundSearchInput"}
INPUTS: Final = {
    "ChargePaymentMethodInput": PAYMENT,
    "AuthorizePaymentMethodInput": PAYMENT,
    "CaptureTransactionInput": {"transactionId", "transaction.amount"},
    "ReverseTransactionInput": {"transactionId"},
    "RefundTransactionInput": {
        *("transactionId", "refund.amount", "refund.merchantAccountId", "refund.orderId"),
    },
    "DeletePaymentMethodFromVaultInput": {"paymentMethodId"},
    "TransactionSearchInput": {"id.is"},
    "RefundSearchInput": {"id.is"},
}
"""The paths that Hyperswitch sends, by the type of the input."""
OTHER_INPUTS: Final[Mapping[str, set[str]]] = {
    "AuthorizePaymentMethodInput": {"transaction.customerId"},
    "ChargePaymentMethodInput": {
        *("transaction.customerId", "transaction.paymentInitiator"),
        *under(
            "transaction.shipping.shippingAddress",
            {"firstName", "addressLine1", "adminArea2", "postalCode", "countryCodeAlpha2"},
        ),
    },
    "RefundSearchInput": {"orderId.is"},
    "TransactionSearchInput": {"orderId.is"},
}
"""The paths that moorage sends and Hyperswitch does not."""


def selected_paths(node: Any, prefix: str = "") -> Iterator[str]:
    """Yield the path of each field that a GraphQL document selects, ignoring inline fragments."""
    for part in node.selection_set.selections:
        name = prefix
        if isinstance(part, graphql.FieldNode):
            name = f"{prefix}.{part.name.value}".lstrip(".")
            if part.selection_set is None:
                yield name
                continue
        yield from selected_paths(part, name)


def sent_paths(value: Any, prefix: str = "") -> Iterator[str]:
    """Yield the path of each value in a GraphQL operation's input."""
    if not isinstance(value, dict):
        yield prefix
        return
    for name, part in value.items():
        yield from sent_paths(part, f"{prefix}.{name}".lstrip("."))


def operations() -> list[tuple[graphql.OperationDefinitionNode, dict[str, Any]]]:
    """Return each GraphQL operation that the example calls send, with its variables."""
    results: list[tuple[graphql.OperationDefinitionNode, dict[str, Any]]] = []
    for exchange in exchanges_of("braintree"):
        body = json.loads(as_bytes(exchange.request))
        (definition,) = graphql.parse(body["query"]).definitions
        assert isinstance(definition, graphql.OperationDefinitionNode)
        results.append((definition, body["variables"]))
    return results


def type_of_input(definition: graphql.OperationDefinitionNode) -> str | None:
    """Return the type of an operation's variable `input`, or None if it has none."""
    types = {
        part.variable.name.value: graphql.print_ast(part.type).rstrip("!")
        for part in definition.variable_definitions or ()
    }
    return types.get("input")


@pytest.mark.parametrize("field", ANSWERS)
def test_graphql_documents_select_the_fields_of_another_library(field: str) -> None:
    """For each kind of record, all fields that the other library reads are also selected here."""
    paths: set[str] = set()
    for definition, _ in operations():
        for root in definition.selection_set.selections:
            if isinstance(root, graphql.FieldNode) and root.name.value == field:
                paths.update(selected_paths(root))

    assert set() == ANSWERS[field] - paths


def test_graphql_inputs_match_those_of_another_library() -> None:
    """Each input has the same type and fields as in the other library."""
    unknown_paths: dict[str, set[str]] = {}
    for definition, variables in operations():
        (root,) = definition.selection_set.selections
        assert isinstance(root, graphql.FieldNode)
        kind = type_of_input(definition)
        names = {root.name.value}
        if names == {"search"} and root.selection_set is not None:
            names = {
                graphql.print_ast(part).split("(")[0] for part in root.selection_set.selections
            }
        expected = [{**INPUT_TYPES, **SEARCHES}.get(name) for name in names]
        assert expected == [kind]
        if kind is not None:
            paths = {*sent_paths(variables["input"])}
            unknown_paths.setdefault(kind, set()).update(paths - INPUTS[kind])

    assert OTHER_INPUTS == {kind: paths for kind, paths in unknown_paths.items() if paths}
