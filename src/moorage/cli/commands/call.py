"""`moorage call`: send one request through all protections of a service."""

from __future__ import annotations

import json
import math
import sys
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from moorage.cli.answer import CommandResult
from moorage.cli.context import Context
from moorage.cli.exit_codes import FAILED, OK, code_of, error_as_dict
from moorage.cli.limited_input import read_all
from moorage.cli.numbers import Seconds
from moorage.cli.places import opened_hub
from moorage.domain.http.headers import Headers
from moorage.domain.http.media_type import is_json
from moorage.domain.http.redaction import Redaction
from moorage.domain.http.requests import Request
from moorage.domain.http.response import Response
from moorage.errors import ConfigurationError, InvalidData, VendorFailed, VendorRejected
from moorage.hub.internals import flows_of

_SINGLE = Parameter(consume_multiple=False)
_MAX_BODY = 1_000_000


def call(
    service: str,
    method: str,
    path: str,
    /,
    *,
    query: Annotated[tuple[str, ...], _SINGLE] = (),
    header: Annotated[tuple[str, ...], _SINGLE] = (),
    json_body: str | None = None,
    body: str | None = None,
    key: str | None = None,
    tenant: str | None = None,
    timeout: Seconds | None = None,
    credentials: str | None = None,
    context: Context,
) -> CommandResult:
    """Send one request through a service's protections and show the response.

    Secrets in the response are masked, as in logs.

    Args:
        service: a configured service, or the service of an account.
        method: the HTTP method, such as GET.
        path: the path below the service's base URL.
        query: a query parameter, as name=value; may be repeated.
        header: a header field, as name=value; may be repeated.
        json_body: the request body, as JSON.
        body: the request body, unchanged: text, @file, or @- for the standard input.
        key: the idempotency key of this effect.
        tenant: the tenant whose limits, circuit and keys apply.
        timeout: seconds for the whole call, instead of the service's timeout.
        credentials: the URL of a credential store, for a service with `needs_credentials`.
        context: the options that all commands share.
    """
    try:
        request = Request(
            method.upper(),
            path,
            query=[_pair(pair, "--query") for pair in query],
            headers=_headers(json_body, header),
            body=_body(json_body, body),
        )
    except InvalidData as error:
        raise ConfigurationError(error.message, path=error.field, remedy=error.remedy) from None
    with opened_hub(context, credentials) as hub:
        services = flows_of(hub.manager).plans.services
        redaction = services[service].redaction if service in services else Redaction()
        try:
            response = hub.manager.call(
                service, request, tenant=tenant, idempotency_key=key, timeout=timeout
            )
        except (VendorRejected, VendorFailed) as error:
            response_result = (
                CommandResult({}) if error.response is None else _result(error.response, redaction)
            )
            return CommandResult(
                {**response_result.document, "error": error_as_dict(error)},
                [*response_result.output, "", f"moorage: {error}"],
                code_of(error),
            )
    return _result(response, redaction)


def _result(response: Response, redaction: Redaction) -> CommandResult:
    headers = redaction.headers(response.headers)
    kind = response.header("content-type")
    text = redaction.body(response.body, kind, _MAX_BODY) if response.body else ""
    body: Any = text
    body_text = text
    if is_json(kind):
        # A body whose numbers would change is shown as text, like one that is not JSON.
        with suppress(ValueError, ArithmeticError, RecursionError):
            value = json.loads(text, parse_float=_exact_float, parse_constant=_exact_float)
            if not isinstance(value, str):
                body_text = json.dumps(value, indent=2, ensure_ascii=False)
            body = value
    fields = [[name, value] for name, value in headers.pairs]
    result = {
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
    return CommandResult(
        result, [*lines, *(["", body_text] if body_text else [])], OK if response.ok else FAILED
    )


def _exact_float(text: str) -> float:
    """Return the number that a text stands for.

    Raises:
        ValueError: a float would be another number, or JSON has no such number.
    """
    value = float(text)
    if not math.isfinite(value) or Decimal(text) != Decimal(repr(value)):
        raise ValueError(text)
    return value


def _headers(json_body: str | None, header: tuple[str, ...]) -> Headers:
    headers = Headers([_pair(pair, "--header") for pair in header])
    if json_body is None:
        return headers
    return headers.with_default("Content-Type", "application/json")


def _body(json_body: str | None, body: str | None) -> bytes:
    if json_body is not None and body is not None:
        raise ConfigurationError(
            "--json-body and --body cannot be combined.",
            path="--body",
            remedy="Pass only one of them.",
        )
    if json_body is not None:
        try:
            json.loads(json_body)
            return json_body.encode()
        except ValueError:
            raise ConfigurationError(
                "The body is not valid JSON.",
                path="--json-body",
                remedy="Quote the JSON for your shell, or pass a file with --body @file.",
            ) from None
    return b"" if body is None else read_bytes(body, "--body")


def read_bytes(value: str, option: str) -> bytes:
    """Return an option's value as bytes: its text, @file, or @- for the standard input.

    Raises:
        ConfigurationError: the file cannot be read, or is too long.
    """
    if not value.startswith("@"):
        return value.encode(errors="surrogateescape")
    name = value[1:]
    if name == "-":
        return read_all(sys.stdin.buffer, "The standard input", option)
    try:
        with Path(name).open("rb") as file:
            return read_all(file, f"The file {name}", option)
    except (OSError, ValueError):
        raise ConfigurationError(
            f"The file {name} cannot be read.",
            path=option,
            remedy="Pass @ and the path of a readable file, or @- for the standard input.",
        ) from None


def _pair(text: str, option: str) -> tuple[str, str]:
    name, equals_sign, value = text.partition("=")
    if not name or not equals_sign:
        raise ConfigurationError(
            f"{option} needs the form name=value.", path=option, remedy=f"Pass {option} name=value."
        )
    return name, value
