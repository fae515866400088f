"""Acme on this machine: as strict as Acme itself, for tests that need no network."""

from __future__ import annotations

import hmac
import json
from base64 import b64decode, b64encode
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from moorage.testing.sandboxes.base import Notice, Refusal, Replays, Sandbox, SandboxRequest, reply

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moorage import Response

_FIELDS: Final = {"to", "from", "text", "route"}


class AcmeSandbox(Sandbox):
    """Messages, and webhooks that are signed as Standard Webhooks signs.

    Args:
        api_key: who may come in.
        webhook_url: where webhooks go.

    Attributes:
        messages: by id, as Acme tells of them.
    """

    hosts = ("api.acme.example",)

    def __init__(
        self,
        api_key: str = "acme-sandbox-key",
        webhook_url: str = "https://shop.example/texts",
    ) -> None:
        super().__init__()
        self.api_key = api_key
        self.webhook_url = webhook_url
        self.webhook_secret = f"whsec_{b64encode(b'acme-sandbox-webhook-key').decode()}"
        self.messages: dict[str, dict[str, Any]] = {}
        self._replays = Replays(
            lambda: _refusal(409, "key_reuse", "The key was used for another message.")
        )

    def routes(self) -> Mapping[str, Callable[..., Response]]:
        """The routes of the sandbox."""
        return {"POST /v1/messages": self._once, "GET /v1/messages/{id}": self._look_up}

    def report(self, id: str, status: str) -> Notice:
        """Return the signed webhook about a message.

        Args:
            id: of the message.
            status: in Acme's word.
        """
        now = datetime.now(UTC)
        fields = {"type": f"message.{status}", "timestamp": now.isoformat(), "data": {"id": id}}
        body = json.dumps(fields).encode()
        number, stamp = f"msg_{self.number()}", str(int(now.timestamp()))
        key = b64decode(self.webhook_secret.removeprefix("whsec_"))
        mac = hmac.new(key, f"{number}.{stamp}.".encode() + body, sha256).digest()
        headers = {
            "webhook-id": number,
            "webhook-timestamp": stamp,
            "webhook-signature": f"v1,{b64encode(mac).decode()}",
            "Content-Type": "application/json",
        }
        return self.notify(self.webhook_url, body, headers)

    def check_access(self, request: SandboxRequest) -> None:
        """Check the key."""
        if request.bearer() != self.api_key:
            raise _refusal(401, "unauthorized", "The key is not known.")

    def _once(self, request: SandboxRequest) -> Response:
        """Return the response stored for a key, or execute the request."""
        key = request.headers.get("idempotency-key")
        if key is None:
            return self._create(request)
        return self._replays.respond(key, request.body, lambda: self._create(request))

    def _create(self, request: SandboxRequest) -> Response:
        body = request.json()
        if not isinstance(body, dict) or not body.keys() <= _FIELDS:
            raise _refusal(422, "unknown_field", "A message has no such field.")
        if not all(isinstance(body.get(name), str) for name in ("to", "text")):
            raise _refusal(422, "missing_field", "A message has a receiver and a text.")
        id = f"M{self.number():06d}"
        self.messages[id] = {"id": id, "status": "queued", **body}
        return reply(self.messages[id], 201)

    def _look_up(self, _: SandboxRequest, id: str) -> Response:
        if id not in self.messages:
            raise _refusal(404, "not_found", "There is no such message.")
        return reply(self.messages[id])


def _refusal(status: int, code: str, message: str) -> Refusal:
    return Refusal(reply({"error": {"code": code, "message": message}}, status))
