"""An OpenAPI 3.1 description of the sent requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.exporting.described_requests import Slot, variable
from moorage.exporting.shapes import shape_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from moorage.exporting.described_requests import DescribedRequest, Description

_FORM: Final = "application/x-www-form-urlencoded"
_IGNORED_HEADERS: Final = frozenset({"accept", "content-type", "authorization"})
"""Headers that OpenAPI tells otherwise than as parameters."""


def openapi(description: Description, title: str = "moorage") -> dict[str, Any]:
    """Return the OpenAPI description, with the server of each path.

    OpenAPI allows a path only once. If several servers have the same path, `#` and the account's
    name are appended to the later ones.
    """
    requests_by_path: dict[tuple[str, str], list[DescribedRequest]] = {}
    for request in description.sent:
        requests_by_path.setdefault((request.server, _shape(request)), []).append(request)
    paths: dict[str, Any] = {}
    described_shapes: set[str] = set()
    schemes: dict[str, Any] = {}
    for (server, shape), requests in requests_by_path.items():
        path = requests[0].template or "/"
        paths[f"{path}#{server}" if shape in described_shapes else path] = {
            "servers": [{"url": description.variables[server]}],
            **dict(_operations(requests, description, schemes)),
        }
        described_shapes.add(shape)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": "1", "description": _name_in_words(description)},
        "paths": paths,
        "components": {"securitySchemes": schemes},
    }


def _name_in_words(description: Description) -> str:
    text = (
        "Requests that moorage sends, recorded at sandboxes. Fill in the values in double braces."
    )
    missing_accounts = [
        f"{name} is not here: {reason}" for name, reason in description.silent.items()
    ]
    return "\n".join((text, *missing_accounts))


def _shape(sent: DescribedRequest) -> str:
    """Return a path with its variables' names removed, so that paths can be compared."""
    return "".join("{}" if isinstance(part, Slot) else part for part in sent.path)


def _operations(
    sent: Sequence[DescribedRequest], description: Description, schemes: dict[str, Any]
) -> Iterator[tuple[str, Any]]:
    for method in dict.fromkeys(request.method for request in sent):
        requests = [request for request in sent if request.method == method]
        yield method.lower(), _operation(requests, description, schemes)


def _operation(
    sent: Sequence[DescribedRequest], description: Description, schemes: dict[str, Any]
) -> dict[str, Any]:
    first_request = sent[0]
    uses = ", ".join(dict.fromkeys(request.use for request in sent))
    operation: dict[str, Any] = {
        "operationId": variable(first_request.server, first_request.method, first_request.template),
        "tags": [first_request.owner],
        "summary": f"Sent for {uses}",
        "parameters": [
            *_slots(first_request, description),
            *_named_schemas(sent, "query"),
            *_named_schemas(sent, "header"),
        ],
        "responses": {
            str(status): {"description": "The response of the sandbox."}
            for status in sorted({request.status for request in sent if request.status is not None})
        }
        or {"default": {"description": "Any response of the service."}},
    }
    bodies = {request.media for request in sent if request.media}
    if bodies:
        content = {media: _content(media, sent) for media in sorted(bodies)}
        operation["requestBody"] = {
            "required": all(request.media for request in sent),
            "content": content,
        }
    security = _security(sent, schemes)
    if security:
        operation["security"] = security
    return operation


def _slots(sent: DescribedRequest, description: Description) -> Iterator[dict[str, Any]]:
    for part in sent.path:
        if isinstance(part, Slot):
            example = description.variables.get(part.variable, "")
            schema: dict[str, Any] = {"type": "string"}
            if example:
                schema["examples"] = [example]
            yield {"name": part.name, "in": "path", "required": True, "schema": schema}


def _named_schemas(sent: Sequence[DescribedRequest], where: str) -> Iterator[dict[str, Any]]:
    """Yield the query parameters or headers of requests as OpenAPI parameters."""
    pairs_by_request = [dict(item.query if where == "query" else item.headers) for item in sent]
    for name in dict.fromkeys(name for item in pairs_by_request for name in item):
        if where == "header" and name.lower() in _IGNORED_HEADERS:
            continue
        values = dict.fromkeys(item[name] for item in pairs_by_request if name in item)
        yield {
            "name": name,
            "in": where,
            "required": all(name in item for item in pairs_by_request),
            "schema": {"type": "string", "examples": list(values)},
        }


def _content(media: str, sent: Sequence[DescribedRequest]) -> dict[str, Any]:
    bodies = {
        variable(request.use): dict(request.body) if media == _FORM else request.body
        for request in sent
        if request.media == media
    }
    return {
        "schema": shape_of(bodies.values()),
        "examples": {use: {"value": body} for use, body in bodies.items()},
    }


def _security(
    sent: Iterable[DescribedRequest], schemes: dict[str, Any]
) -> list[dict[str, list[str]]]:
    """Return a request's security requirements, and add their schemes to `schemes`."""
    requirements: dict[str, dict[str, list[str]]] = {}
    for request in sent:
        authorization = {name.lower(): value for name, value in request.headers}.get(
            "authorization"
        )
        if authorization is None:
            continue
        scheme = authorization.partition(" ")[0].lower()
        is_plain = scheme in {"basic", "bearer"}
        name = variable(request.owner, scheme if is_plain else "signed")
        schemes[name] = (
            {"type": "http", "scheme": scheme}
            if is_plain
            else {"type": "apiKey", "in": "header", "name": "Authorization"}
        )
        requirements[name] = {name: []}
    return list(requirements.values())
