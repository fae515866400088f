"""The operations of one GraphQL service, sent as HTTP requests."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Final, Protocol

import attrs

from moorage.domain.graphql.answers import (
    body_of,
    failure_of,
    read_answer,
    refusal_of,
    refusal_of_mutation,
)
from moorage.domain.graphql.documents import read_document
from moorage.domain.graphql.persisted import PersistedDocuments, is_unknown_document
from moorage.domain.graphql.subscriptions import GraphQLSubscription
from moorage.domain.http.headers import Headers
from moorage.domain.http.requests import HttpMethod, Request
from moorage.domain.service.operation import AnswerReader, HttpOperation
from moorage.domain.values.json_text import encode_json
from moorage.domain.values.text import with_article
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import LiteralString

    from moorage.domain.graphql.answers import GraphQLAnswer
    from moorage.domain.graphql.documents import GraphQLDocument
    from moorage.errors import ConnectorError

_HEADERS: Final = Headers(
    {
        "Accept": "application/graphql-response+json, application/json;q=0.9",
        "Content-Type": "application/json",
    }
)
_KEPT_DOCUMENTS: Final = 500

# Parsing a GraphQL document is an operation's slowest step, and a program has few documents.
_document: Final = lru_cache(_KEPT_DOCUMENTS)(read_document)


class DocumentCheck(Protocol):
    """Checks documents against the schema of a GraphQL service: a `GraphQLSchema`.

    `check` raises `InvalidData` if the service would refuse the document. It is called whenever an
    operation is made, so it remembers the documents that it has accepted.
    """

    def check(self, document: str, /) -> None: ...  # noqa: D102 - as the class says


@attrs.frozen
class GraphQL:
    """Makes the operations of a GraphQL service, which `manager.perform` performs.

    The text of a document must be a constant of the program: type checkers accept nothing else.
    All varying values are variables.

    Attributes:
        path: the path of the API below the service's base URL.
        persisted: the way that requests name documents in place of their text; None to send the
            text.
        schema: the schema that every document must match; None to leave the check to the service.
    """

    path: str = "/graphql"
    persisted: PersistedDocuments | None = None
    schema: DocumentCheck | None = None

    def query(
        self,
        document: LiteralString,
        variables: Mapping[str, Any] | None = None,
        *,
        name: str | None = None,
    ) -> HttpOperation[GraphQLAnswer]:
        """Return an operation for a GraphQL query, which changes nothing and may be repeated.

        Args:
            document: a document with one query.
            variables: the values of its variables, as JSON values.
            name: the name in events, errors and logs; by default that of the query.

        Raises:
            InvalidData: the document has no query or several operations, or does not fit the
                schema.
        """
        return self._operation("query", document, variables, name)

    def mutation(
        self,
        document: LiteralString,
        variables: Mapping[str, Any] | None = None,
        *,
        name: str | None = None,
    ) -> HttpOperation[GraphQLAnswer]:
        """Return an operation for a GraphQL mutation, which changes data of the service.

        If its response is lost, it is repeated only under an idempotency key that the service
        honours.

        Args:
            document: a document with one mutation.
            variables: the values of its variables, as JSON values.
            name: the name in events, errors and logs; by default that of the mutation.

        Raises:
            InvalidData: the document has no mutation or several operations, or does not fit the
                schema.
        """
        return self._operation("mutation", document, variables, name)

    def subscription(
        self,
        document: LiteralString,
        variables: Mapping[str, Any] | None = None,
        *,
        cursor: str | None = None,
    ) -> GraphQLSubscription:
        """Return a GraphQL subscription, to be started by a WebSocket connector.

        Args:
            document: a document with one subscription.
            variables: the values of its variables, as JSON values.
            cursor: the variable with the position after which the messages begin.

        Raises:
            InvalidData: the document has no subscription or several operations, or does not fit the
                schema.
        """
        checked_document = self._checked("subscription", document)
        return GraphQLSubscription(checked_document, dict(variables or {}), cursor)

    def _checked(self, kind: str, text: LiteralString) -> GraphQLDocument:
        """Parse a document of this kind, and check it against the schema if one is configured."""
        document = _document(text)
        if document.kind != kind:
            raise InvalidData(
                f"The document contains {with_article(document.kind)} instead of"
                f" {with_article(kind)}.",
                field="document",
                remedy=_REMEDIES[document.kind],
            )
        if self.schema is not None:
            self.schema.check(document.text)
        return document

    def _operation(
        self,
        kind: str,
        text: LiteralString,
        variables: Mapping[str, Any] | None,
        name: str | None,
    ) -> HttpOperation[GraphQLAnswer]:
        document = self._checked(kind, text)
        is_query = kind == "query"
        body = _body(document, variables)
        request = self._request({**body, **self._reference(document)}, idempotent=is_query)

        def with_text(error: ConnectorError) -> Request | None:
            """Return the request with the document's text, for services that lack its hash."""
            if not (is_automatic and is_unknown_document(error)):
                return None
            whole_body = {**body, **self._reference(document), "query": document.text}
            return self._request(whole_body, idempotent=is_query)

        parse = AnswerReader(body_of)  # so that each response is parsed once
        is_automatic = self.persisted is not None and self.persisted.is_automatic
        return HttpOperation(
            name=name or document.name or kind,
            request=request,
            read=partial(read_answer, parse=parse),
            refusal=partial(refusal_of if is_query else refusal_of_mutation, parse=parse),
            failure=failure_of,
            replacement=with_text,
            system="graphql",
            safe=is_query,
        )

    def _reference(self, document: GraphQLDocument) -> dict[str, Any]:
        """Return the request fields that hold the document's text, or its hash or id instead."""
        persisted_documents = self.persisted
        return (
            {"query": document.text}
            if persisted_documents is None
            else persisted_documents.members(document)
        )

    def _request(self, body: dict[str, Any], *, idempotent: bool) -> Request:
        return Request(
            HttpMethod.POST,
            self.path,
            headers=_HEADERS,
            body=encode_json(body),
            idempotent=idempotent,
        )


_REMEDIES: Final = {
    "query": "Create the operation with `GraphQL.query`.",
    "mutation": "Create the operation with `GraphQL.mutation`.",
    "subscription": (
        "Create the subscription with `GraphQL.subscription`, and use it with a"
        " WebSocket connector."
    ),
}


def _body(document: GraphQLDocument, variables: Mapping[str, Any] | None) -> dict[str, Any]:
    body: dict[str, Any] = {}
    if document.name is not None:
        body["operationName"] = document.name
    if variables:
        body["variables"] = dict(variables)
    return body
