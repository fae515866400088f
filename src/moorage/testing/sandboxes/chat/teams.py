"""A local sandbox that imitates a workflow of Microsoft Teams with a webhook.

Magic text: if a text run of a card is `too many messages`, the workflow is throttled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlsplit

from moorage.domain.http.requests import Response
from moorage.domain.values.json_text import is_list
from moorage.testing.sandboxes import base
from moorage.testing.sandboxes._fields import problems
from moorage.testing.sandboxes.chat.base import (
    CHANNEL,
    ChatSandbox,
    ShownMessage,
    as_dict,
    without_markdown,
)
from moorage.testing.sandboxes.fixture import SandboxFixture

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_MOST_BYTES: Final = 28 * 1024
_TOO_MANY: Final = "too many messages"
_PATH: Final = (
    "/powerautomate/automations/direct/workflows/4a00d2bd0be54b57a9f3dd5cf2a4f3e1/triggers/manual"
    "/paths/invoke"
)
_SPACING: Final = frozenset({"Default", "None", "Small", "Medium", "Large", "ExtraLarge"})
_RUN: Final = {
    "type!": frozenset({"TextRun"}),
    "text!": str,
    "weight": frozenset({"Lighter", "Default", "Bolder"}),
    "size": frozenset({"Small", "Default", "Medium", "Large", "ExtraLarge"}),
}
_BLOCKS: Final[dict[str, dict[str, Any]]] = {
    "RichTextBlock": {"type!": str, "inlines!": [_RUN], "spacing": _SPACING},
    "TextBlock": {"type!": str, "text!": str, "wrap": bool, "spacing": _SPACING},
}
_CARD: Final = {
    "$schema": str,
    "type!": frozenset({"AdaptiveCard"}),
    "version!": frozenset({"1.2", "1.3", "1.4", "1.5"}),
    "body!": [dict],
    "actions": [{"type!": frozenset({"Action.OpenUrl"}), "title!": str, "url!": str}],
    "speak": str,
    "msteams": dict,
}
_ATTACHMENT: Final = {
    "contentType!": frozenset({"application/vnd.microsoft.card.adaptive"}),
    "contentUrl": type(None),
    "content!": _CARD,
}
_MESSAGE: Final = {"type!": frozenset({"message"}), "attachments!": [_ATTACHMENT]}


class TeamsSandbox(ChatSandbox):
    """A sandbox of a workflow that posts cards to one channel.

    Attributes:
        signature: signature in the URL of the webhook.
        cards: the cards that were accepted.
    """

    hosts = ("default00.0a.environment.api.powerplatform.com:443",)

    signature: str = "Zm9yLXRlYW1zLXNhbmRib3gtb25seQ-signature"
    cards: list[dict[str, Any]] = base.state_field(list)

    @property
    def webhook_url(self) -> str:
        """The URL of the workflow's trigger."""
        options = f"api-version=1&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig={self.signature}"
        return f"https://{self.hosts[0]}{_PATH}?{options}"

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        return {f"POST {_PATH}": self._accept}

    def unknown(self, request: base.SandboxRequest) -> Response:
        """Return the response for an unknown workflow."""
        return _error(404, "WorkflowNotFound", f"There is no {request.path}.").response

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check the signature and the other URL parameters."""
        if sorted(request.query) != sorted(parse_qsl(urlsplit(self.webhook_url).query)):
            raise _error(
                401, "DirectApiAuthorizationRequired", "The request has no valid signature."
            )

    def shown(self) -> Sequence[ShownMessage]:
        """Return the messages that people can see."""
        return [_message_of_card(card) for card in self.cards]

    def _accept(self, request: base.SandboxRequest) -> Response:
        body = request.json()
        invalid_fields = list(problems(_MESSAGE, body))
        invalid_fields += [item for card in _cards(body) for item in _card_problems(card)]
        if invalid_fields:
            raise _error(400, "TriggerInputSchemaMismatch", f"The input is {invalid_fields}.")
        if len(request.body) > _MOST_BYTES:
            raise _error(413, "RequestEntityTooLarge", "The card is too large.")
        cards = list(_cards(body))
        if any(_TOO_MANY in _message_of_card(card).text for card in cards):
            raise _error(429, "TooManyRequests", "Try again later.", Retry_After="11")
        self.cards += cards
        return Response(202)


def _cards(body: Any) -> Iterator[dict[str, Any]]:
    attachments = as_dict(body).get("attachments")
    for attachment in attachments if is_list(attachments) else []:
        yield as_dict(as_dict(attachment).get("content"))


def _card_problems(card: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    for block in card.get("body", []):
        shape = _BLOCKS.get(block.get("type"), {"type!": frozenset(_BLOCKS)})
        yield from problems(shape, block)


def _message_of_card(card: dict[str, Any]) -> ShownMessage:
    texts: list[str] = []
    links: list[str] = []
    for block in card["body"]:
        if block["type"] == "RichTextBlock":
            texts.append("".join(run["text"] for run in block["inlines"]))
        else:
            text, block_links = without_markdown(block["text"])
            texts.append(text)
            links += block_links
    entities = as_dict(card.get("msteams")).get("entities", [])
    buttons = tuple((action["title"], action["url"]) for action in card.get("actions", []))
    return ShownMessage(
        channel=CHANNEL,
        text="\n".join(texts),
        mentions=tuple(str(entity) for entity in entities),
        links=tuple(links),
        buttons=buttons,
    )


def _error(status: int, code: str, message: str, **headers: str) -> base.Refusal:
    return base.refusal({"error": {"code": code, "message": message}}, status, **headers)


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = TeamsSandbox()
    return SandboxFixture(sandbox=sandbox, options={"webhook_url": sandbox.webhook_url})
