"""The operations of an OpenAPI description: methods, paths, parameters and security."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import attrs

from moorage.domain.http.requests import HttpMethod
from moorage.domain.openapi.document import Node, UnmappedOperation, refusal
from moorage.domain.openapi.security import alternatives
from moorage.domain.openapi.servers import same_servers
from moorage.domain.state.keys import LONGEST
from moorage.domain.values.json_text import is_object
from moorage.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from moorage.domain.openapi.document import Document

_METHODS: Final = {method.lower(): method for method in HttpMethod}
_OTHER_METHODS: Final = frozenset({"trace", "query"})
_PLACEHOLDER: Final = re.compile(r"\{([^{}/]+)\}")
_LEAVE_OUT: Final = "Leave the operation out."


@attrs.frozen(kw_only=True)
class Parameter:
    """A parameter of an OpenAPI operation.

    Attributes:
        name: the parameter's name.
        place: `path`, `query`, `header` or `cookie`.
        required: whether every request must contain it.
        node: the parameter's description.
    """

    name: str
    place: str
    required: bool
    node: Node = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class ApiOperation:
    """An operation of a service that OpenAPI describes.

    Attributes:
        name: the operationId; without one, the method and the path.
        method: the HTTP method.
        path: the path below the base URL, with names in braces.
        node: the operation's description.
        parameters: the operation's own parameters and its path's parameters.
        security: the alternative sets of security schemes, by name; an empty set means no
            authentication.
        problems: the reasons why it cannot be mapped; empty if it can.
    """

    name: str
    method: HttpMethod
    path: str
    node: Node = attrs.field(repr=False)
    parameters: tuple[Parameter, ...] = attrs.field(default=(), repr=False)
    security: tuple[frozenset[str], ...] = (frozenset(),)
    problems: tuple[Problem, ...] = ()

    @property
    def is_whole(self) -> bool:
        """True if each placeholder of the path fills a whole path segment."""
        return all(_PLACEHOLDER.fullmatch(part) or "{" not in part for part in self.path.split("/"))


def placeholders(path: str) -> list[str]:
    """Return the names in braces in a path, in order."""
    return _PLACEHOLDER.findall(path)


def api_operations(document: Document) -> Iterator[ApiOperation]:
    """Yield the operations of an OpenAPI description in order, each with its problems."""
    counts: dict[str, int] = {}
    all_operations = [*_operations(document)]
    for operation in all_operations:
        counts[operation.name] = counts.get(operation.name, 0) + 1
    for operation in all_operations:
        if counts[operation.name] == 1:
            yield operation
        else:
            problem = Problem(
                operation.node.child("operationId").pointer,
                f"{counts[operation.name]} operations have the same operationId"
                f" {operation.name[:100]!r}.",
                "Use a different operationId for each operation.",
            )
            yield attrs.evolve(operation, problems=(*operation.problems, problem))


def _operations(document: Document) -> Iterator[ApiOperation]:
    for path, item in document.root.child("paths").children():
        if path.startswith("x-"):
            continue
        try:
            path_item = document.resolved(item)
        except UnmappedOperation as error:
            yield ApiOperation(
                name=path,
                method=HttpMethod.GET,
                path=path,
                node=item,
                problems=(error.problem,),
            )
            continue
        for name, node in path_item.children():
            if name in _METHODS or name in _OTHER_METHODS:
                yield _operation(document, path, name, path_item, node)


def _operation(
    document: Document, path: str, method: str, path_item: Node, node: Node
) -> ApiOperation:
    problems: list[Problem] = []
    parameters: tuple[Parameter, ...] = ()
    checks: tuple[Callable[[], None], ...] = (
        lambda: _check_form(method, node, path),
        lambda: _check_servers(document, path_item.child("servers")),
        lambda: _check_servers(document, node.child("servers")),
    )
    for check in checks:
        try:
            check()
        except UnmappedOperation as error:
            problems.append(error.problem)
    try:
        parameters = _parameters(document, path_item, node)
        _check_path(path, parameters, node)
    except UnmappedOperation as error:
        problems.append(error.problem)
    requirement = node.child("security")
    if requirement.value is None:
        requirement = document.root.child("security")
    security = alternatives(requirement)
    if security is None:
        problems.append(
            Problem(requirement.pointer, "A security requirement is not an object.", "Correct it.")
        )
    known_method = _METHODS.get(method, HttpMethod.GET)
    return ApiOperation(
        name=_name_of(node) or f"{known_method} {path}"[:LONGEST],
        method=known_method,
        path=path,
        node=node,
        parameters=parameters,
        security=security or (frozenset(),),
        problems=tuple(problems),
    )


def _name_of(node: Node) -> str | None:
    name = node.text("operationId")
    return name if name and name.isprintable() and len(name) <= LONGEST else None


def _check_form(method: str, node: Node, path: str) -> None:
    if not is_object(node.value):
        raise refusal(node.pointer, "The operation is not an object.", "Correct it.")
    if method in _OTHER_METHODS:
        raise refusal(node.pointer, f"The method {method.upper()} is not supported.", _LEAVE_OUT)
    if not path.startswith("/") or "?" in path or "#" in path:
        raise refusal(
            node.pointer,
            "The path does not begin with a slash, or contains a query or a fragment.",
            "Describe the query as parameters, or leave the operation out.",
        )
    bare_path = _PLACEHOLDER.sub("", path)
    if "{" in bare_path or "}" in bare_path or not path.isprintable() or " " in path:
        raise refusal(
            node.pointer,
            "The path has an unclosed brace, an empty parameter name, or white space.",
            "Write a path such as /orders/{id}.",
        )
    name = node.child("operationId").value
    if name is not None and _name_of(node) is None:
        raise refusal(
            node.child("operationId").pointer,
            f"The operationId is not a printable text of 1 to {LONGEST} characters.",
            "Use a shorter printable operationId.",
        )


def _check_servers(document: Document, servers: Node) -> None:
    if not same_servers(servers, document.root):
        raise refusal(
            servers.pointer,
            "The operation has different servers than the description.",
            "Create a separate service for these operations, with server= and operations=.",
        )


def _parameters(document: Document, path_item: Node, node: Node) -> tuple[Parameter, ...]:
    parameters: dict[tuple[str, str], Parameter] = {}
    for parameter_owner in (path_item, node):
        for item in parameter_owner.child("parameters").items():
            parameter = document.resolved(item)
            name, place = parameter.text("name"), parameter.text("in")
            if name is None or place not in {"path", "query", "header", "cookie"}:
                raise refusal(
                    parameter.pointer,
                    "The parameter has no name, or its place (in) is missing or unknown.",
                    "Set a name, and a place: path, query, header or cookie.",
                )
            parameters[place, name] = Parameter(
                name=name,
                place=place,
                required=place == "path" or parameter.child("required").value is True,
                node=parameter,
            )
    return tuple(parameters.values())


def _check_path(path: str, parameters: tuple[Parameter, ...], node: Node) -> None:
    names = {parameter.name for parameter in parameters if parameter.place == "path"}
    missing_names = [name for name in placeholders(path) if name not in names]
    if missing_names:
        raise refusal(
            node.pointer,
            f"The path contains the parameter {missing_names[0][:100]!r}, but the description"
            " does not describe it.",
            "Describe the parameter with the place path.",
        )
