"""`moorage webhook`: sign, verify and receive webhooks."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Annotated, Any

from cyclopts import Parameter

from moorage.cli.answer import CommandResult
from moorage.cli.commands.call import read_bytes
from moorage.cli.context import Context
from moorage.cli.numbers import Count, Port, Seconds
from moorage.cli.webhook_listener import Listener
from moorage.cli.webhook_signing import signed_headers
from moorage.domain.secrets.secret import Secret
from moorage.domain.webhooks.events import WebhookEvent
from moorage.domain.webhooks.replies import reply_to
from moorage.errors import ConfigurationError, ConnectorError, WebhookRejected
from moorage.parts.webhook_verifier import WebhookVerifier

_SINGLE_VALUE = Parameter(consume_multiple=False)
_EXAMPLE = b'{"id": "evt_1", "type": "example"}'
_URL = "https://localhost/"


def sign(
    scheme: str,
    /,
    *,
    secret_env: str,
    body: str | None = None,
    id: str | None = None,
    parameter: Annotated[tuple[str, ...], _SINGLE_VALUE] = (),
    url: str = _URL,
    context: Context,
) -> CommandResult:
    """Sign a body as a vendor would, to test your webhook receiver.

    Args:
        scheme: the webhook scheme, such as stripe or standard-webhooks.
        secret_env: the environment variable with the webhook secret.
        body: the body: text, @file, or @- for the standard input.
        id: the message id, if the scheme has one.
        parameter: a further value for the scheme, as name=value; may be repeated.
        url: the receiver's URL, if the scheme signs it.
        context: the options that all commands share.
    """
    content = _EXAMPLE if body is None else read_bytes(body, "--body")
    headers = signed_headers(
        scheme,
        _secret(secret_env),
        content,
        id=id,
        at=datetime.now(UTC),
        parameters=_pairs(parameter),
        url=url,
    )
    lines = [f"{name}: {value}" for name, value in headers.items()]
    text = content.decode(errors="replace")
    return CommandResult({"headers": headers, "body": text}, [*lines, "", text])


def verify(
    scheme: str,
    /,
    *,
    secret_env: str | None = None,
    header: Annotated[tuple[str, ...], _SINGLE_VALUE] = (),
    body: str = "@-",
    parameter: Annotated[tuple[str, ...], _SINGLE_VALUE] = (),
    url: str = _URL,
    method: str = "POST",
    tolerance: Seconds | None = None,
    context: Context,
) -> CommandResult:
    """Verify a saved webhook from its headers and its exact body.

    Args:
        scheme: the webhook scheme, such as stripe or standard-webhooks.
        secret_env: the environment variable with the webhook secret.
        header: a header field, as `name: value`; may be repeated.
        body: the body: text, @file, or @- for the standard input.
        parameter: a further value for the scheme, as name=value; may be repeated.
        url: the URL that received the webhook.
        method: the HTTP method of the webhook.
        tolerance: the allowed age in seconds; raise it for an old webhook.
        context: the options that all commands share.
    """
    verifier = _verifier(scheme, secret_env, parameter, tolerance)
    events = verifier.verify(
        headers=[_field(line) for line in header],
        body=read_bytes(body, "--body"),
        url=url,
        method=method,
    )
    rows = [event_fields(event) for event in events]
    return CommandResult(
        {"scheme": scheme, "events": rows}, ["It is genuine.", *map(_row_text, rows)]
    )


def listen(
    scheme: str,
    /,
    *,
    secret_env: str | None = None,
    parameter: Annotated[tuple[str, ...], _SINGLE_VALUE] = (),
    port: Port = 8080,
    count: Count | None = None,
    context: Context,
) -> CommandResult:
    """Listen on this machine, verify and show incoming webhooks; Ctrl-C ends it.

    With --json, each webhook is one line.

    Args:
        scheme: the webhook scheme, such as stripe or standard-webhooks.
        secret_env: the environment variable with the webhook secret.
        parameter: a further value for the scheme, as name=value; may be repeated.
        port: the port on 127.0.0.1; 0 for any free port.
        count: end after this number of requests.
        context: the options that all commands share.
    """
    verifier = _verifier(scheme, secret_env, parameter, None)
    received_webhooks = genuine_webhooks = 0
    broken_pipes: list[OSError] = []

    def verify_request(webhook: dict[str, Any]) -> int:
        try:
            return verify_and_print(webhook)
        except OSError as error:
            broken_pipes.append(error)
            raise

    def verify_and_print(webhook: dict[str, Any]) -> int:
        nonlocal received_webhooks, genuine_webhooks
        received_webhooks += 1
        try:
            events = verifier.verify(**webhook)
        except WebhookRejected as error:
            _print_row(context, {"genuine": False, "problem": str(error)}, f"refused: {error}")
            return 400
        except ConnectorError as error:
            _print_row(context, {"genuine": None, "problem": str(error)}, f"not decided: {error}")
            return reply_to(error).status
        verifier.done(events)
        genuine_webhooks += 1
        for event in map(event_fields, events):
            _print_row(context, {"genuine": True, **event}, _row_text(event))
        return 200

    with Listener(port, verify_request) as listener:
        context.print_progress(f"listening on {listener.url}")
        while not broken_pipes and (count is None or received_webhooks < count):
            listener.handle_request()
    if broken_pipes:
        # The reader has closed the pipe.
        raise broken_pipes[0]
    return CommandResult(
        {"seen": received_webhooks, "genuine": genuine_webhooks},
        [f"{genuine_webhooks} of {received_webhooks} were genuine"],
    )


def event_fields(event: WebhookEvent) -> dict[str, Any]:
    """Return an event as a dict of plain values."""
    return {
        "id": event.id,
        "type": event.type,
        "time": None if event.time is None else event.time.isoformat(),
    }


def _print_row(context: Context, row: dict[str, Any], line: str) -> None:
    if context.as_json:
        context.print_json_line(row)
    else:
        context.print_progress(line)


def _row_text(event: dict[str, Any]) -> str:
    return " ".join(str(value) for value in event.values() if value is not None)


def _verifier(
    scheme: str, secret_env: str | None, parameter: tuple[str, ...], tolerance: float | None
) -> WebhookVerifier:
    return WebhookVerifier(
        scheme,
        None if secret_env is None else _secret(secret_env),
        parameters=_pairs(parameter),
        tolerance=tolerance,
    )


def _secret(name: str) -> Secret:
    if not os.environ.get(name):
        raise ConfigurationError(
            f"The environment variable {name} is empty or not set.",
            path="--secret-env",
            remedy="Set the variable to the webhook secret.",
        )
    return Secret(os.environ[name])


def _pairs(options: tuple[str, ...]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for option in options:
        name, equals_sign, value = option.partition("=")
        if not name or not equals_sign:
            raise ConfigurationError(
                "--parameter needs the form name=value.",
                path="--parameter",
                remedy="Pass for example --parameter webhook_id=….",
            )
        pairs[name] = value
    return pairs


def _field(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not name or not colon:
        raise ConfigurationError(
            "--header needs the form name: value.",
            path="--header",
            remedy="Pass for example --header 'Webhook-Id: msg_1'.",
        )
    return name.strip(), value.strip()
