"""Acme on this machine: as strict as Acme itself, for tests that need no network."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import TYPE_CHECKING, Any, Final

from moorage.testing.sandboxes import base
from moorage.testing.sandboxes.sms.base import SmsSandbox
from moorage.testing.sandboxes.webhook_signatures import standard_headers

if TYPE_CHECKING:
    from datetime import datetime

    from moorage import Response

_FIELDS: Final = {"to", "from", "text", "route"}


class AcmeSandbox(SmsSandbox):
    """A fake Acme server with messages, and webhooks signed as Standard Webhooks requires."""

    hosts = ("api.acme.example",)

    def __init__(self) -> None:
        self._replays = base.Replays(
            lambda: _refusal(409, "key_reuse", "The key was used for another message.")
        )
        super().__init__()
        self.api_key = "acme-sandbox-key"
        self.webhook_secret = f"whsec_{b64encode(b'acme-sandbox-webhook-key').decode()}"

    def routes(self) -> base.Routes:
        """The routes of the sandbox."""
        return {
            "POST /v1/messages": self._replays.once(self._create),
            "GET /v1/messages/{id}": self._look_up,
        }

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check the key."""
        if request.bearer() != self.api_key:
            raise _refusal(401, "unauthorized", "The key is not known.")

    def _create(self, request: base.SandboxRequest) -> Response:
        body = request.json()
        if not isinstance(body, dict) or not body.keys() <= _FIELDS:
            raise _refusal(422, "unknown_field", "A message has no field of this name.")
        if not all(isinstance(body.get(name), str) for name in ("to", "text")):
            raise _refusal(422, "missing_field", "A message must have a receiver and a text.")
        id = f"M{self.number():06d}"
        self.messages[id] = {"id": id, "status": "queued", **body}
        self.callbacks[id] = "https://shop.example/texts"
        return base.reply(self.messages[id], 201)

    def _look_up(self, _: base.SandboxRequest, id: str) -> Response:
        missing = _refusal(404, "not_found", "There is no such message.")
        return base.reply(base.existing(self.messages, id, missing))

    def _report_fields(self, id: str, status: str, _code: str | None, /) -> dict[str, Any]:
        return {"type": f"message.{status}", "data": {"id": id}}

    def _incoming_fields(self, sender: str, text: str, /) -> dict[str, Any]:
        return {"type": "message.received", "data": {"from": sender, "text": text}}

    def _webhook(self, url: str, fields: dict[str, Any], at: datetime, /) -> base.Notice:
        body = json.dumps({"timestamp": at.isoformat(), **fields}).encode()
        id = f"msg_{self.number()}"
        return self.notify(url, body, standard_headers(self.webhook_secret, id, at, body))


def _refusal(status: int, code: str, message: str) -> base.Refusal:
    return base.refusal({"error": {"code": code, "message": message}}, status)
