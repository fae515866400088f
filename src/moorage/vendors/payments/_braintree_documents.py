"""Braintree's GraphQL documents, and the requests with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.vendor_sdk import Request

if TYPE_CHECKING:
    from collections.abc import Mapping

PATH: Final = "/graphql"

_MONEY: Final = "{ value currencyCode }"
_CARD: Final = "{ brandCode last4 expirationMonth expirationYear }"
_DECLINED: Final = "processorResponse { legacyCode message }"
_PAGE: Final = "pageInfo { hasNextPage endCursor }"
_REFUND: Final = f"""{{
  id legacyId createdAt orderId status amount {_MONEY} refundedTransaction {{ id legacyId }}
}}"""
_TRANSACTION: Final = f"""{{
  id legacyId createdAt orderId status
  amount {_MONEY} initialRequestedAuthorizationAmount {_MONEY}
  statusHistory {{
    __typename status timestamp
    ... on AuthorizedEvent {{ authorizationExpiresAt }}
    ... on ProcessorDeclinedEvent {{ {_DECLINED} }}
    ... on FailedEvent {{ {_DECLINED} }}
    ... on GatewayRejectedEvent {{ gatewayRejectionReason }}
  }}
  paymentMethodSnapshot {{
    __typename
    ... on CreditCardDetails {_CARD}
    ... on CreditCardTransactionDetails {{ creditCard {_CARD} }}
  }}
  paymentMethod {{ id }}
  refunds {{ id legacyId createdAt status amount {_MONEY} }}
}}"""

CHARGE: Final = f"""mutation Charge($input: ChargePaymentMethodInput!) {{
  chargePaymentMethod(input: $input) {{ transaction {_TRANSACTION} }}
}}"""
AUTHORIZE: Final = f"""mutation Authorize($input: AuthorizePaymentMethodInput!) {{
  authorizePaymentMethod(input: $input) {{ transaction {_TRANSACTION} }}
}}"""
CAPTURE: Final = f"""mutation Capture($input: CaptureTransactionInput!) {{
  captureTransaction(input: $input) {{ transaction {_TRANSACTION} }}
}}"""
REVERSE: Final = f"""mutation Reverse($input: ReverseTransactionInput!) {{
  reverseTransaction(input: $input) {{
    reversal {{ __typename ... on Transaction {_TRANSACTION} ... on Refund {_REFUND} }}
  }}
}}"""
REFUND: Final = f"""mutation Refund($input: RefundTransactionInput!) {{
  refundTransaction(input: $input) {{ refund {_REFUND} }}
}}"""
GET: Final = f"""query Get($id: ID!) {{
  node(id: $id) {{ __typename ... on Transaction {_TRANSACTION} }}
}}"""
GET_REFUND: Final = f"""query GetRefund($id: ID!) {{
  node(id: $id) {{ __typename ... on Refund {_REFUND} }}
}}"""
RESOLVE: Final = """query Resolve($id: ID!, $type: LegacyIdType!) {
  idFromLegacyId(legacyId: $id, type: $type)
}"""
SEARCH: Final = f"""query Search($input: TransactionSearchInput!, $first: Int, $after: String) {{
  search {{
    transactions(input: $input, first: $first, after: $after) {{
      edges {{ node {_TRANSACTION} }} {_PAGE}
    }}
  }}
}}"""
SEARCH_REFUNDS: Final = f"""query SearchRefunds($input: RefundSearchInput!, $first: Int) {{
  search {{
    refunds(input: $input, first: $first) {{ edges {{ node {_REFUND} }} {_PAGE} }}
  }}
}}"""
MEANS: Final = f"""query Means($id: ID!, $first: Int, $after: String) {{
  node(id: $id) {{
    __typename
    ... on Customer {{
      paymentMethods(first: $first, after: $after) {{
        edges {{
          node {{ id createdAt details {{ __typename ... on CreditCardDetails {_CARD} }} }}
        }}
        {_PAGE}
      }}
    }}
  }}
}}"""
REMOVE: Final = """mutation Remove($input: DeletePaymentMethodFromVaultInput!) {
  deletePaymentMethodFromVault(input: $input) { clientMutationId }
}"""


def query(document: str, **variables: Any) -> Request:
    """Return the request of a GraphQL query, which changes nothing."""
    return _request(document, variables).evolve(idempotent=True)


def mutation(document: str, fields: Mapping[str, Any]) -> Request:
    """Return the request of a GraphQL mutation with these input fields."""
    return _request(document, {"input": fields})


def _request(document: str, variables: Mapping[str, Any]) -> Request:
    return Request.post(PATH, json={"query": document, "variables": variables})
