"""Shopify's sandbox refuses what Shopify would refuse."""

from __future__ import annotations

from typing import Any

import pytest

from moorage import Request, Response, Timeouts
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.testing.sandboxes.shops.shopify import ShopifySandbox


def _post(sandbox: ShopifySandbox, body: Any, **headers: str) -> Response:
    path = next(iter(sandbox.routes())).removeprefix("POST ")
    fields = {"X-Shopify-Access-Token": sandbox.token} | headers
    request = Request.post(path, headers=fields, json=body)
    return _send(sandbox, request)


def _send(sandbox: ShopifySandbox, request: Request) -> Response:
    url = f"https://{sandbox.hosts[0]}{request.path}"
    return SandboxHttpClient(sandbox).send(request, url, Timeouts())


def test_other_paths_and_tokens_are_refused() -> None:
    """Shopify's sandbox answers an unknown path and a wrong token with Shopify's statuses."""
    sandbox = ShopifySandbox()
    headers = {"X-Shopify-Access-Token": sandbox.token}
    request = Request.get("/admin/none", headers=headers)
    assert 404 == _send(sandbox, request).status
    body = {"query": "query { shop { id } }"}
    assert 401 == _post(sandbox, body, **{"X-Shopify-Access-Token": "none"}).status
    assert 400 == _post(sandbox, {"query": 7}).status


def test_empty_bucket_throttles() -> None:
    """A query that costs more than the remaining points is throttled, with their restore rate."""
    sandbox = ShopifySandbox()
    sandbox.drain()
    answer = _post(sandbox, {"query": "query { shop { id } }"}).json()
    assert "THROTTLED" == answer["errors"][0]["extensions"]["code"]
    assert 0 == answer["extensions"]["cost"]["throttleStatus"]["currentlyAvailable"]


@pytest.mark.parametrize(
    "query, message",
    [
        ("query { harbour { id } }", "'harbour' doesn't exist on query"),
        ("query { shop { harbour } }", "'harbour' doesn't exist on shop"),
        ("query { shop }", "must have a selection"),
        ("query { shop { currencyCode { id } } }", "has no fields"),
        ("query { shop { id }", "the end stands where"),
        ("query shop", "stands where"),
        ("subscription { shop { id } }", "not a single operation"),
        ('query { orders(sortKey: "ID", first: 1) { nodes { id } } }', "sorts by UPDATED_AT"),
    ],
)
def test_wrong_queries_are_refused(query: str, message: str) -> None:
    """A query that Shopify could not read or answer is refused with an explanation."""
    errors = _post(ShopifySandbox(), {"query": query}).json()["errors"]
    assert message in errors[0]["message"]
