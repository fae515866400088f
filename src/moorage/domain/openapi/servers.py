"""The base URL of a service that OpenAPI describes, chosen from its servers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from moorage.domain.http.urls import is_absolute, validate_base_url
from moorage.domain.openapi.document import Node, refusal
from moorage.domain.values.json_text import is_list, is_object
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Mapping

_VARIABLE: Final = re.compile(r"\{([^{}]*)\}")
_MOST_SHOWN: Final = 5


def base_url(root: Node, choice: int | str | None, variables: Mapping[str, str]) -> str:
    """Return the base URL of a described service.

    Args:
        root: the description.
        choice: the position of the server; or its URL or description, as in the document; or a base
            URL that is not in the document. None chooses the only server.
        variables: values of the server's variables, in place of their defaults.

    Raises:
        Unmapped: no server can be chosen, or its URL cannot be a base URL.
    """
    servers = [*root.child("servers").items()]
    server = _chosen_server(servers, choice, root.child("servers").pointer)
    if isinstance(server, str):
        return _checked_url(server, root.child("servers").pointer)
    url = server.text("url")
    if url is None:
        raise refusal(server.pointer, "The server has no URL.", "Pass server='https://…'.")
    described = server.child("variables")
    unknown_names = sorted(variables.keys() - {name for name, _ in described.children()})
    if unknown_names:
        raise refusal(
            server.pointer,
            f"The server has no variable {unknown_names[0]!r}.",
            f"Use one of: {', '.join(name for name, _ in described.children()) or 'none'}.",
        )
    filled_url = _VARIABLE.sub(
        lambda match: _value_of(match[1], described.child(match[1]), variables), url
    )
    return _checked_url(filled_url, server.child("url").pointer)


def same_servers(servers: Node, root: Node) -> bool:
    """Return whether an operation uses the same servers as the whole API description."""
    return servers.value is None or servers.value == root.child("servers").value


def _chosen_server(servers: list[Node], choice: int | str | None, pointer: str) -> Node | str:
    remedy = "Pass the position, the URL or the description of one of the servers in server=."
    if isinstance(choice, int):
        if 0 <= choice < len(servers):
            return servers[choice]
        raise refusal(pointer, f"The description has no server at position {choice}.", remedy)
    if choice is not None:
        for server in servers:
            if choice in {server.text("url"), server.text("description")}:
                return server
        if is_absolute(choice):
            return choice
        raise refusal(pointer, f"No server has the URL or description {choice[:200]!r}.", remedy)
    if len(servers) == 1:
        return servers[0]
    if not servers:
        raise refusal(pointer, "The description has no servers.", "Pass server='https://…'.")
    urls = ", ".join(str(server.text("url"))[:100] for server in servers[:_MOST_SHOWN])
    raise refusal(pointer, f"There are {len(servers)} servers: {urls}.", remedy)


def _value_of(name: str, variable: Node, values: Mapping[str, str]) -> str:
    value = values.get(name, variable.text("default"))
    if not is_object(variable.value) or value is None:
        raise refusal(
            variable.pointer,
            f"The server's variable {name[:100]!r} has no value.",
            f"Pass server_variables={{{name[:100]!r}: …}}.",
        )
    choices = variable.child("enum").value
    if is_list(choices) and value not in choices:
        raise refusal(
            variable.pointer,
            f"The value {value[:100]!r} is not allowed for the server's variable {name[:100]!r}.",
            f"Use one of: {', '.join(map(str, choices[:20]))}.",
        )
    return value


def _checked_url(url: str, pointer: str) -> str:
    if not is_absolute(url):
        raise refusal(
            pointer,
            f"The server's URL {url[:200]!r} is relative to the URL of the description.",
            "Pass the whole base URL as server='https://…'.",
        )
    try:
        return validate_base_url(url).rstrip("/")
    except InvalidData as error:
        problem = error.message
    raise refusal(pointer, problem, "Pass another base URL as server='https://…'.")
