"""Shopify's GraphQL documents, and the requests with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage import vendor_sdk as sdk

if TYPE_CHECKING:
    from collections.abc import Mapping


API_VERSION: Final = "2026-07"
PATH: Final = f"/admin/api/{API_VERSION}/graphql.json"

_ADDRESS: Final = """{
  firstName lastName company address1 address2 city provinceCode zip countryCodeV2 phone
}"""
_SHOP_MONEY: Final = "{ shopMoney { amount currencyCode } }"
_LINES: Final = f"""{{
  nodes {{
    id sku name quantity unfulfilledQuantity
    originalUnitPriceSet {_SHOP_MONEY}
    discountAllocations {{ allocatedAmountSet {_SHOP_MONEY} }}
  }}
  pageInfo {{ hasNextPage endCursor }}
}}"""
_PARTS: Final = """{
  nodes {
    id status
    lineItems(first: 20) {
      nodes { id remainingQuantity lineItem { id } }
      pageInfo { hasNextPage endCursor }
    }
  }
  pageInfo { hasNextPage endCursor }
}"""


def _order(lines: int) -> str:
    """The fields of an order with at most this number of its lines."""
    return f"""{{
  id name createdAt updatedAt cancelledAt closed note email
  displayFinancialStatus displayFulfillmentStatus taxesIncluded
  currentTotalPriceSet {{
    shopMoney {{ amount currencyCode }} presentmentMoney {{ amount currencyCode }}
  }}
  currentTotalTaxSet {_SHOP_MONEY}
  currentTotalDiscountsSet {_SHOP_MONEY}
  currentShippingPriceSet {_SHOP_MONEY}
  billingAddress {_ADDRESS}
  shippingAddress {_ADDRESS}
  lineItems(first: {lines}) {_LINES}
}}"""


# Shopify refuses a query that costs more than 1,000 points; a full page costs one point per object.
ORDERS: Final = f"""query Orders($first: Int!, $after: String, $query: String) {{
  orders(first: $first, after: $after, query: $query, sortKey: UPDATED_AT) {{
    nodes {_order(10)}
    pageInfo {{ hasNextPage endCursor }}
  }}
}}"""
ORDER: Final = f"query Order($id: ID!) {{ order(id: $id) {_order(100)} }}"
LINES: Final = f"""query Lines($id: ID!, $after: String) {{
  order(id: $id) {{ id lineItems(first: 100, after: $after) {_LINES} }}
}}"""
STATE: Final = """query State($id: ID!) {
  order(id: $id) { id cancelledAt displayFulfillmentStatus }
}"""
PARCELS: Final = f"""query Parcels($id: ID!) {{
  order(id: $id) {{
    id cancelledAt
    fulfillments(first: 50) {{ id status totalQuantity trackingInfo(first: 3) {{ number }} }}
    fulfillmentOrders(first: 10) {_PARTS}
  }}
}}"""
PARTS: Final = f"""query Parts($id: ID!, $after: String) {{
  order(id: $id) {{ id fulfillmentOrders(first: 10, after: $after) {_PARTS} }}
}}"""
PART_LINES: Final = """query PartLines($id: ID!, $after: String) {
  fulfillmentOrder(id: $id) {
    id
    lineItems(first: 100, after: $after) {
      nodes { id remainingQuantity lineItem { id } }
      pageInfo { hasNextPage endCursor }
    }
  }
}"""
FULFIL: Final = """mutation Fulfil($fulfillment: FulfillmentInput!) {
  fulfillmentCreate(fulfillment: $fulfillment) {
    fulfillment { id status }
    userErrors { field message }
  }
}"""
CANCEL: Final = """mutation Cancel($orderId: ID!) {
  orderCancel(orderId: $orderId, reason: OTHER, restock: true, notifyCustomer: false) {
    job { id done }
    orderCancelUserErrors { code field message }
  }
}"""
ITEMS: Final = """query Items($first: Int!, $after: String, $query: String) {
  shop { currencyCode }
  productVariants(first: $first, after: $after, query: $query) {
    nodes {
      id sku displayName price inventoryQuantity
      product { id }
      inventoryItem { id tracked }
    }
    pageInfo { hasNextPage endCursor }
  }
}"""
SET_STOCK: Final = """mutation SetStock($input: InventorySetQuantitiesInput!, $key: String!) {
  inventorySetQuantities(input: $input) @idempotent(key: $key) {
    inventoryAdjustmentGroup {
      id
      changes(quantityNames: ["available"]) {
        delta item { id variants(first: 1) { nodes { id } } }
      }
    }
    userErrors { code field message }
  }
}"""
SET_PRICE: Final = """mutation SetPrice($productId: ID!, $variants: [ProductVariantsBulkInput!]!) {
  productVariantsBulkUpdate(productId: $productId, variants: $variants) {
    productVariants { id price }
    userErrors { code field message }
  }
}"""


def request(document: str, variables: Mapping[str, Any]) -> sdk.Request:
    """The request that sends a document; it may be repeated if the document only reads."""
    variables_with_values = {name: value for name, value in variables.items() if value is not None}
    document_request = sdk.Request.post(
        PATH, json={"query": document, "variables": variables_with_values}
    )
    return (
        document_request.evolve(idempotent=True)
        if document.startswith("query")
        else document_request
    )


def quoted(text: str) -> str:
    """A string as a single term of Shopify's search."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
