"""The schema of a GraphQL service, against which documents are checked before sending."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from moorage.domain.secrets.frames import without_arguments_in_errors
from moorage.domain.values.installation import install
from moorage.domain.values.json_text import is_object
from moorage.errors import ConfigurationError, InvalidData

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_MOST_DOCUMENTS: Final = 10_000
_MOST_PROBLEMS: Final = 5


class GraphQLSchema:
    """The schema of a GraphQL service, created by one of three class methods.

    `GraphQL(schema=…)` compares each document with it when an operation is made. A document that
    was accepted once is not compared again. Several threads may use it concurrently.
    """

    @without_arguments_in_errors
    def __init__(self, make: Callable[[Any], Any], source: str) -> None:
        """Build the schema with graphql-core; errors contain `source`, the schema's origin."""
        self._library = library = _graphql_core()
        try:
            self._schema = make(library)
            # graphql-core raises TypeError for a schema that contradicts itself.
            library.assert_valid_schema(self._schema)
        except (library.GraphQLError, TypeError, ValueError, KeyError) as error:
            raise ConfigurationError(
                f"The GraphQL schema from {source} is not valid: {str(error)[:300]}",
                path="schema",
                remedy="Fetch the schema from the service again, as SDL or as an"
                " introspection result.",
            ) from None
        self._accepted: set[str] = set()

    @classmethod
    def from_sdl(cls, text: str) -> Self:
        """Return the schema that a string in the schema definition language describes.

        Raises:
            ConfigurationError: the string describes no schema, or graphql-core is not installed.
        """
        return cls(lambda library: library.build_schema(text), "the text")

    @classmethod
    def from_introspection(cls, result: Mapping[str, Any]) -> Self:
        """Return the schema from the result of an introspection query.

        Args:
            result: the answer, or its member "data".

        Raises:
            ConfigurationError: the answer describes no schema, or graphql-core is not installed.
        """
        return cls(lambda library: _schema_from_introspection(library, result), "the introspection")

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """Return the schema in a file: introspection JSON if its name ends in .json, otherwise SDL.

        Raises:
            ConfigurationError: the file cannot be read or describes no schema, or graphql-core is
                not installed.
        """
        file = Path(path)
        try:
            text = file.read_text("utf-8")
            result = json.loads(text) if file.suffix == ".json" else None
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"The file {file.name} with the GraphQL schema cannot be read:"
                f" {type(error).__name__}.",
                path="schema",
                remedy="Set the path of an SDL file, or of a .json file with an introspection"
                " result.",
            ) from None
        if file.suffix == ".json":
            return cls(lambda library: _schema_from_introspection(library, result), file.name)
        return cls(lambda library: library.build_schema(text), file.name)

    def check(self, document: str, /) -> None:
        """Check that a GraphQL document matches the schema.

        Raises:
            InvalidData: the service would refuse the document. The message has the line and the
                column of each problem.
        """
        if document in self._accepted:
            return
        library = self._library
        try:
            problems = library.validate(self._schema, library.parse(document))
        except library.GraphQLError as error:
            problems = [error]
        if problems:
            raise _mismatch_error(problems)
        if len(self._accepted) < _MOST_DOCUMENTS:
            self._accepted.add(document)


def _graphql_core() -> Any:
    try:
        import graphql  # noqa: PLC0415 - few programs have a schema
    except ImportError as error:
        raise ConfigurationError(
            "Checking documents against a schema needs graphql-core, which is not installed.",
            path="schema",
            remedy=install("graphql"),
        ) from error
    return graphql


def _schema_from_introspection(library: Any, result: object) -> Any:
    """Build the schema from an introspection result, with or without its `data` envelope."""
    data = result.get("data", result) if is_object(result) else None
    if not is_object(data):
        raise ValueError("it is not an object with the member __schema.")
    return library.build_client_schema(data)


def _mismatch_error(problems: Sequence[Any]) -> InvalidData:
    """Return the error for a GraphQL document that does not match the schema."""
    descriptions = [
        f"Line {problem.locations[0].line}, column {problem.locations[0].column}: {problem.message}"
        for problem in problems[:_MOST_PROBLEMS]
    ]
    hidden_count = len(problems) - len(descriptions)
    ending = f" There are {hidden_count} more." if hidden_count else ""
    return InvalidData(
        f"The document does not fit the schema of the service. {' '.join(descriptions)}{ending}",
        field="document",
        remedy="Correct the document, or fetch the schema from the service again if it has"
        " changed.",
    )
