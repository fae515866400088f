"""The operations of one GraphQL service, as requests of its HTTP API."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.domain.graphql.answers import read_answer, refusal_of
from moorage.domain.graphql.documents import read_document
from moorage.domain.http.requests import Request
from moorage.domain.service.operation import HttpOperation
from moorage.domain.values.text import with_article
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import LiteralString

    from moorage.domain.graphql.answers import GraphQLAnswer
    from moorage.domain.graphql.documents import GraphQLDocument

_ACCEPT: Final = "application/graphql-response+json, application/json;q=0.9"
_KEPT_DOCUMENTS: Final = 500

# Reading a document takes longer than everything else of an operation, and programs have few.
_document: Final = lru_cache(_KEPT_DOCUMENTS)(read_document)


@attrs.frozen
class GraphQL:
    """Makes operations of a GraphQL service, which `manager.perform` performs.

    The text of a document must be a constant of the program: type checkers accept nothing else.
    Whatever varies is a variable.

    Attributes:
        path: the path of the API below the service's base URL.
    """

    path: str = "/graphql"

    def query(
        self,
        document: LiteralString,
        variables: Mapping[str, Any] | None = None,
        *,
        name: str | None = None,
    ) -> HttpOperation[GraphQLAnswer]:
        """Return an operation that asks for data; it changes nothing, and may be repeated.

        Args:
            document: a document with one query.
            variables: the values of its variables, as JSON has them.
            name: the name in events, errors and logs; by default that of the query.

        Raises:
            InvalidData: the document has no query, or several operations.
        """
        return self._operation("query", document, variables, name)

    def mutation(
        self,
        document: LiteralString,
        variables: Mapping[str, Any] | None = None,
        *,
        name: str | None = None,
    ) -> HttpOperation[GraphQLAnswer]:
        """Return an operation that sends a mutation, which changes data of the service.

        If its answer is lost, it is repeated only under an idempotency key that the service
        honours.

        Args:
            document: a document with one mutation.
            variables: the values of its variables, as JSON has them.
            name: the name in events, errors and logs; by default that of the mutation.

        Raises:
            InvalidData: the document has no mutation, or several operations.
        """
        return self._operation("mutation", document, variables, name)

    def _operation(
        self,
        kind: str,
        text: LiteralString,
        variables: Mapping[str, Any] | None,
        name: str | None,
    ) -> HttpOperation[GraphQLAnswer]:
        document = _document(text)
        if document.kind != kind:
            raise InvalidData(
                f"The document has {with_article(document.kind)}, and not {with_article(kind)}.",
                field="document",
                remedy=_REMEDIES[document.kind],
            )
        is_query = kind == "query"
        request = Request.post(
            self.path, json=_body(document, variables), headers={"Accept": _ACCEPT}
        )
        return HttpOperation(
            name=name or document.name or kind,
            request=request.evolve(idempotent=is_query),
            read=read_answer,
            refusal=refusal_of,
            system="graphql",
            safe=is_query,
        )


_REMEDIES: Final = {
    "query": "Make its operation with `GraphQL.query`.",
    "mutation": "Make its operation with `GraphQL.mutation`.",
    "subscription": "Subscribe with a client for WebSockets; a request has one answer.",
}


def _body(document: GraphQLDocument, variables: Mapping[str, Any] | None) -> dict[str, Any]:
    body: dict[str, Any] = {"query": document.text}
    if document.name is not None:
        body["operationName"] = document.name
    if variables:
        body["variables"] = dict(variables)
    return body
