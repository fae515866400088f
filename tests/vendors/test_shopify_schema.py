"""Shopify's requests and sandbox match an excerpt of Shopify's own GraphQL schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import graphql

from moorage.testing.fakes.http import as_bytes
from tools.descriptions import exchanges_of
from tools.graphql_excerpts import excerpt, requests_of

EXCERPT: Final = Path(__file__).parent / "descriptions" / "shopify.graphql"


def test_requests_and_answers_match_the_schema() -> None:
    """Running each request against Shopify's schema gives the response that the sandbox gives."""
    schema = graphql.build_schema(EXCERPT.read_text("utf-8"))
    answers: list[object] = []
    results: list[object] = []
    for exchange in exchanges_of("shopify"):
        request = json.loads(as_bytes(exchange.request))
        document = graphql.parse(request["query"])
        assert [] == graphql.validate(schema, document)
        answer = json.loads(exchange.response.body)["data"]
        result = graphql.execute_sync(
            schema, document, root_value=answer, variable_values=request["variables"]
        )
        answers.append({"data": answer, "errors": None})
        results.append({"data": result.data, "errors": result.errors})

    assert answers == results


def test_stored_excerpt_of_schema_contains_nothing_that_requests_do_not_use() -> None:
    """The stored excerpt of the schema contains nothing that the requests do not use."""
    text = EXCERPT.read_text("utf-8")

    assert text == excerpt(graphql.build_schema(text), requests_of("shopify"))
