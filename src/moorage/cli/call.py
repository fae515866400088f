"""`moorage call`: one request through every protection of a service."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from moorage.cli.answer import Answer
from moorage.cli.desk import Desk
from moorage.cli.ends import OK, UNWELL, code_of, told
from moorage.cli.places import opened_hub
from moorage.domain.http import Request
from moorage.domain.media_type import is_json
from moorage.domain.redaction import Redaction
from moorage.domain.response import Response
from moorage.errors import ConfigurationError, InvalidData, VendorFailed, VendorRejected

_ONE = Parameter(consume_multiple=False)
_MOST = 1_000_000


def call(
    service: str,
    method: str,
    path: str,
    /,
    *,
    query: Annotated[tuple[str, ...], _ONE] = (),
    header: Annotated[tuple[str, ...], _ONE] = (),
    json_body: str | None = None,
    body: str | None = None,
    key: str | None = None,
    tenant: str | None = None,
    timeout: float | None = None,
    credentials: str | None = None,
    desk: Desk,
) -> Answer:
    """Send one request through every protection of a service, and show the answer.

    What must not be shown is masked in it, as it is in logs.

    Args:
        service: a configured service, or an account's.
        method: such as GET.
        path: below the service's base URL.
        query: a parameter, as name=value; may be repeated.
        header: a field, as name=value; may be repeated.
        json_body: a body of JSON.
        body: a body as it is: @file, or @- for the standard input.
        key: the idempotency key, which names this one effect.
        tenant: whose limits, circuit and keys to use.
        timeout: seconds for the whole call instead of the service's.
        credentials: the URL of a store of credentials, for a service that asks for its own.
        desk: what all commands share.
    """
    try:
        request = Request(
            method.upper(),
            path,
            query=[_pair(one, "--query") for one in query],
            headers=[*_typed(json_body), *(_pair(one, "--header") for one in header)],
            body=_body(json_body, body),
        )
    except InvalidData as error:
        raise ConfigurationError(error.message, path=error.field, remedy=error.remedy) from None
    with opened_hub(desk, credentials) as hub:
        known = hub.manager.flows.plans.services
        redaction = known[service].redaction if service in known else Redaction()
        try:
            response = hub.manager.call(
                service, request, tenant=tenant, idempotency_key=key, timeout=timeout
            )
        except (VendorRejected, VendorFailed) as error:
            shown = Answer({}) if error.response is None else _shown(error.response, redaction)
            return Answer(
                {**shown.found, "error": told(error)},
                [*shown.shown, "", f"moorage: {error}"],
                code_of(error),
            )
    return _shown(response, redaction)


def _shown(response: Response, redaction: Redaction) -> Answer:
    headers = redaction.headers(response.headers)
    kind = response.header("content-type")
    text = redaction.body(response.body, kind, _MOST) if response.body else ""
    body: Any = text
    if is_json(kind):
        try:
            body = json.loads(text)
        except ValueError:  # it says that it is JSON, and is none
            body = text
    pretty = body if isinstance(body, str) else json.dumps(body, indent=2, ensure_ascii=False)
    fields = [[name, value] for name, value in headers.pairs]
    found = {
        "status": response.status,
        "reason": response.reason,
        "headers": fields,
        "body": body,
        "elapsed": response.elapsed,
        "replayed": response.replayed,
        "cached": response.cached,
    }
    lines = [f"HTTP {response.status} {response.reason or ''}".rstrip()]
    lines += [f"{name}: {value}" for name, value in fields]
    return Answer(found, [*lines, *(["", pretty] if pretty else [])], OK if response.ok else UNWELL)


def _typed(json_body: str | None) -> list[tuple[str, str]]:
    return [] if json_body is None else [("Content-Type", "application/json")]


def _body(json_body: str | None, body: str | None) -> bytes:
    if json_body is not None and body is not None:
        raise ConfigurationError(
            "a request has one body.", path="--body", remedy="Give --json-body or --body."
        )
    if json_body is not None:
        try:
            json.loads(json_body)
            return json_body.encode()
        except ValueError:
            raise ConfigurationError(
                "this is no JSON.",
                path="--json-body",
                remedy="Quote it for your shell, or give a file with --body @file.",
            ) from None
    return b"" if body is None else read_bytes(body, "--body")


def read_bytes(given: str, option: str) -> bytes:
    """What an option means: text as it is, @file, or @- for the standard input.

    Raises:
        ConfigurationError: there is no such file.
    """
    if not given.startswith("@"):
        return given.encode(errors="surrogateescape")
    name = given[1:]
    if name == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(name).read_bytes()
    except (OSError, ValueError):
        raise ConfigurationError(
            "this file cannot be read.", path=option, remedy="Name a file that can be read, or @-."
        ) from None


def _pair(text: str, option: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise ConfigurationError(
            "it is not of the form name=value.", path=option, remedy=f"Give {option} name=value."
        )
    return name, value
