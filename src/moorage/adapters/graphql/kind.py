"""The connector kind "graphql" of configurations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.domain.secrets.options import checked_options
from moorage.errors import ConfigurationError, InvalidData
from moorage.ports.connector import ConnectorKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.adapters.http_operations.connector_async import AsyncHttpConnector
    from moorage.adapters.http_operations.connector_sync import HttpConnector
    from moorage.domain.connectors.named_operation import NamedOperation
    from moorage.domain.graphql.answers import GraphQLAnswer
    from moorage.domain.graphql.service import GraphQL
    from moorage.domain.service.operation import HttpOperation
    from moorage.ports.connector import AsyncPerformer, Performer


_PERSISTED_CHOICES: Final = ("automatic", "registered")


@checked_options
@attrs.frozen(kw_only=True)
class GraphQLSettings:
    """The settings of a GraphQL connector, which calls one of the configured services.

    Attributes:
        service: the name of the service; by default that of the connector.
        path: the path of the API below the base URL of the service.
        documents: the documents that can be run by name, each with one query or one mutation. Their
            variables are the arguments.
        schema: a file with the schema that the documents have to fit: SDL, or an introspection if
            its name ends in .json.
        persisted: how requests name the documents in place of their text: automatic if the service
            learns them by their hash, registered if it knows them already.
        ping: the name of the query that shows whether the service answers; by default one that
            every service knows.
    """

    service: str | None = None
    path: str = "/graphql"
    documents: dict[str, str] = attrs.field(factory=dict[str, str])
    schema: str | None = None
    persisted: str | None = attrs.field(default=None, metadata={"choices": _PERSISTED_CHOICES})
    ping: str | None = None

    def __attrs_post_init__(self) -> None:
        """Refuse documents that are neither queries nor mutations, or do not fit the schema."""
        client = self.client()
        for name in self.documents:
            try:
                _operation(client, self.documents[name], {})
            except InvalidData as error:
                problem, remedy = error.message, error.remedy
            else:
                continue
            raise ConfigurationError(problem, path=f"documents.{name}", remedy=remedy)
        if self.ping is not None and not self._is_query(self.ping):
            raise ConfigurationError(
                f"`documents` contains no query named {self.ping[:80]!r}.",
                path="ping",
                remedy="Set the name of a query in `documents`, or leave out `ping`.",
            )

    def _is_query(self, name: str) -> bool:
        document = self.documents.get(name)
        return document is not None and _operation(self.client(), document, {}).safe

    def client(self) -> GraphQL:
        """Return the object that creates the service's operations.

        Raises:
            ConfigurationError: the schema cannot be read, or graphql-core is not installed.
        """
        from moorage.domain.graphql.persisted import PersistedDocuments  # noqa: PLC0415 - few programs have one
        from moorage.domain.graphql.service import GraphQL  # noqa: PLC0415 - few programs have one

        persisted = schema = None
        if self.persisted is not None:
            if self.persisted not in _PERSISTED_CHOICES:
                raise ConfigurationError(
                    f"The kind of persisted documents {self.persisted[:80]!r} is unknown.",
                    path="persisted",
                    remedy="Set automatic or registered, or leave out `persisted`.",
                )
            persisted = getattr(PersistedDocuments, self.persisted)()
        if self.schema is not None:
            from moorage.adapters.graphql.schema import GraphQLSchema  # noqa: PLC0415 - few programs have one

            schema = GraphQLSchema.from_file(self.schema)
        return GraphQL(self.path, persisted=persisted, schema=schema)


def _operation(
    client: GraphQL, text: str, variables: Mapping[str, Any]
) -> HttpOperation[GraphQLAnswer]:
    """Return an operation of the GraphQL service, made from a document in the configuration."""
    from moorage.domain.graphql.documents import read_document  # noqa: PLC0415 - few programs have one

    make: Any = client.mutation if read_document(text).kind == "mutation" else client.query
    operation: HttpOperation[GraphQLAnswer] = make(text, variables)
    return operation


def _options(settings: GraphQLSettings) -> dict[str, Any]:
    from moorage.domain.graphql.service import GraphQL  # noqa: PLC0415 - few programs have one

    client = settings.client()
    ping = GraphQL(settings.path).query("{ __typename }", name="ping")
    if settings.ping is not None:
        ping = _operation(client, settings.documents[settings.ping], {})
    return {
        "client": client,
        "operations": [_named_query(client, *item) for item in settings.documents.items()],
        "ping": ping,
        "service": settings.service,
    }


def _named_query(client: GraphQL, name: str, text: str) -> NamedOperation:
    from moorage.domain.connectors.named_operation import NamedOperation  # noqa: PLC0415 - few programs have one

    return NamedOperation(
        name=name,
        about=f"Runs the document {name} with the arguments as its variables.",
        any_arguments=True,
        build=lambda variables: _operation(client, text, variables),
        render=_to_plain,
    )


def _to_plain(answer: GraphQLAnswer) -> dict[str, Any]:
    """Return a GraphQL answer as plain JSON, with the errors of single fields."""
    problems = [
        {"message": problem.message, "code": problem.code, "path": list(problem.path)}
        for problem in answer.problems
    ]
    return {"data": answer.data, "problems": problems}


def _build(name: str, settings: GraphQLSettings, performer: Performer) -> HttpConnector:
    from moorage.adapters.http_operations.connector_sync import HttpConnector  # noqa: PLC0415 - few programs have one

    return HttpConnector(name, "graphql", performer, **_options(settings))


def _build_async(
    name: str, settings: GraphQLSettings, performer: AsyncPerformer
) -> AsyncHttpConnector:
    from moorage.adapters.http_operations.connector_async import (  # noqa: PLC0415 - few programs have one
        AsyncHttpConnector,
    )

    return AsyncHttpConnector(name, "graphql", performer, **_options(settings))


GRAPHQL: Final = ConnectorKind(
    name="graphql", settings=GraphQLSettings, build=_build, build_async=_build_async
)
"""The kind of connectors of GraphQL services."""
