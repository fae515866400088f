"""`moorage webhook`: sign, verify, and see what arrives."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Annotated, Any

from cyclopts import Parameter

from moorage.cli.answer import Answer
from moorage.cli.call import read_bytes
from moorage.cli.desk import Desk
from moorage.cli.webhook_listener import Listener
from moorage.cli.webhook_signing import signed_headers
from moorage.domain.secret import Secret
from moorage.domain.webhooks.events import WebhookEvent
from moorage.domain.webhooks.replies import reply_to
from moorage.errors import ConfigurationError, ConnectorError, WebhookRejected
from moorage.parts.webhook_verifier import WebhookVerifier

_ONE = Parameter(consume_multiple=False)
_EXAMPLE = b'{"id": "evt_1", "type": "example"}'
_URL = "https://localhost/"


def sign(
    scheme: str,
    /,
    *,
    secret_env: str,
    body: str | None = None,
    id: str | None = None,
    parameter: Annotated[tuple[str, ...], _ONE] = (),
    url: str = _URL,
    desk: Desk,
) -> Answer:
    """Sign a body as a vendor would, to try what receives it.

    Args:
        scheme: such as stripe or standard-webhooks.
        secret_env: the environment variable with the secret.
        body: what is sent: text, @file, or @- for the standard input.
        id: of the message, where the scheme has one.
        parameter: what the scheme wants to know besides, as name=value; may be repeated.
        url: where it is sent, where the scheme signs that.
        desk: what all commands share.
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
    return Answer({"headers": headers, "body": text}, [*lines, "", text])


def verify(
    scheme: str,
    /,
    *,
    secret_env: str | None = None,
    header: Annotated[tuple[str, ...], _ONE] = (),
    body: str = "@-",
    parameter: Annotated[tuple[str, ...], _ONE] = (),
    url: str = _URL,
    method: str = "POST",
    tolerance: float | None = None,
    desk: Desk,
) -> Answer:
    """Verify a saved webhook: its headers and its body, byte by byte as it came.

    Args:
        scheme: such as stripe or standard-webhooks.
        secret_env: the environment variable with the secret.
        header: a field, as `name: value`; may be repeated.
        body: text, @file, or @- for the standard input.
        parameter: what the scheme wants to know besides, as name=value; may be repeated.
        url: where it was sent.
        method: how it was sent.
        tolerance: seconds that its time may be off, for a webhook of yesterday.
        desk: what all commands share.
    """
    verifier = _verifier(scheme, secret_env, parameter, tolerance)
    events = verifier.verify(
        headers=[_field(one) for one in header],
        body=read_bytes(body, "--body"),
        url=url,
        method=method,
    )
    found = [described(event) for event in events]
    return Answer({"scheme": scheme, "events": found}, ["It is genuine.", *map(_line, found)])


def listen(
    scheme: str,
    /,
    *,
    secret_env: str | None = None,
    parameter: Annotated[tuple[str, ...], _ONE] = (),
    port: int = 8080,
    count: int | None = None,
    desk: Desk,
) -> Answer:
    """Listen on this machine, verify what arrives, and show it; Ctrl-C ends it.

    With --json, each webhook is a line.

    Args:
        scheme: such as stripe or standard-webhooks.
        secret_env: the environment variable with the secret.
        parameter: what the scheme wants to know besides, as name=value; may be repeated.
        port: of 127.0.0.1; any that is free if it is 0.
        count: leave after so many requests.
        desk: what all commands share.
    """
    verifier = _verifier(scheme, secret_env, parameter, None)
    seen = genuine = 0
    gone: list[OSError] = []

    def judge(received: dict[str, Any]) -> int:
        try:
            return judged(received)
        except OSError as error:
            gone.append(error)
            raise

    def judged(received: dict[str, Any]) -> int:
        nonlocal seen, genuine
        seen += 1
        try:
            events = verifier.verify(**received)
        except WebhookRejected as error:
            _say(desk, {"genuine": False, "problem": str(error)}, f"refused: {error}")
            return 400
        except ConnectorError as error:
            _say(desk, {"genuine": None, "problem": str(error)}, f"not decided: {error}")
            return reply_to(error).status
        verifier.done(events)
        genuine += 1
        for event in map(described, events):
            _say(desk, {"genuine": True, **event}, _line(event))
        return 200

    with Listener(port, judge) as listener:
        desk.tell(f"listening on {listener.url}")
        while not gone and (count is None or seen < count):
            listener.handle_request()
    if gone:
        # Whoever read along has left, and so do we.
        raise gone[0]
    return Answer({"seen": seen, "genuine": genuine}, [f"{genuine} of {seen} were genuine"])


def described(event: WebhookEvent) -> dict[str, Any]:
    """An event as a table of plain values."""
    return {
        "id": event.id,
        "type": event.type,
        "time": None if event.time is None else event.time.isoformat(),
    }


def _say(desk: Desk, found: dict[str, Any], line: str) -> None:
    if desk.as_json:
        desk.note(found)
    else:
        desk.tell(line)


def _line(event: dict[str, Any]) -> str:
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
            f"the environment variable {name} is empty or not set.",
            path="--secret-env",
            remedy="Put the secret of the webhooks into it.",
        )
    return Secret(os.environ[name])


def _pairs(given: tuple[str, ...]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not name or not equals:
            raise ConfigurationError(
                "it is not of the form name=value.",
                path="--parameter",
                remedy="Give for instance --parameter webhook_id=….",
            )
        pairs[name] = value
    return pairs


def _field(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not name or not colon:
        raise ConfigurationError(
            "it is not of the form name: value.",
            path="--header",
            remedy="Give for instance --header 'Webhook-Id: msg_1'.",
        )
    return name.strip(), value.strip()
