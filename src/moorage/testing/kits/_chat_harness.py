"""A test environment for a chat vendor: the vendor, its sandbox and a hub."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.contracts.chat import ChatCapability, ChatMessage, LinkButton
from moorage.contracts.ref import Ref
from moorage.testing.kits._recorded_harness import RecordedHarness
from moorage.testing.kits._sent_requests import nested_values
from moorage.testing.kits.checks import OTHER_SECRET

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from moorage.contracts.vendor import Vendor
    from moorage.domain.http.requests import Response
    from moorage.errors import ConnectorError
    from moorage.testing.sandboxes.base import Notice, SandboxRequest
    from moorage.testing.sandboxes.chat.base import ChatSandbox, ShownMessage

    Refusal = (
        tuple[Response, type[ConnectorError]] | tuple[Response, type[ConnectorError], str | None]
    )

ACCOUNT: Final = "chats"
TEXT: Final = "Order 1042 of Ada is paid."
BUTTON: Final = LinkButton("Open", "https://erp.example/orders/1042")


@attrs.frozen(kw_only=True)
class ChatSubject:
    """A chat vendor to be checked, with its sandbox.

    Attributes:
        vendor: an account at the sandbox, with a usual channel if it needs one.
        sandbox: the sandbox, which shows the messages that people see in the chats.
        channel: a channel of the sandbox, as messages name it.
        refusals: error responses of the vendor, each with the error that it must raise and, as an
            optional third item, the vendor's code that the error must keep.
        uncertain: responses after which the message may have been posted.
        pause: a response by which the vendor asks for a pause, and the seconds of the pause.
        option: an option in the vendor's own words, and its value.
        secrets: texts that no repr, error, event or log entry may contain, such as a token.
        webhook_secret: secret of the vendor's webhooks; None if it sends none.
        strange_secret: another secret of the same form.
        receive: makes the webhook of a message with this text that a person wrote.
        answers_empty: True if the response to a message is empty, so that an empty body is a
            success.
        requests: fields of a message, each with values that its request must have, by the path of
            their names; None for a name that it must not have.
        answers: operations, such as "send", each with a response of the vendor, and the fields
            that the operation must read from it.
    """

    vendor: Vendor
    sandbox: ChatSandbox
    channel: str | None
    refusals: tuple[Refusal, ...]
    uncertain: tuple[Response, ...] = ()
    pause: tuple[Response, float]
    option: tuple[str, Any]
    secrets: tuple[str, ...] = attrs.field(repr=False)
    webhook_secret: str | None = attrs.field(default=None, repr=False)
    strange_secret: str = attrs.field(default=OTHER_SECRET, repr=False)
    receive: Callable[[str], Notice] | None = None
    answers_empty: bool = False
    requests: tuple[tuple[Mapping[str, Any], Mapping[str, Any]], ...] = ()
    answers: tuple[tuple[str, Response, Mapping[str, Any]], ...] = ()


class Harness(RecordedHarness[ChatSubject]):
    """A chat vendor under test, with its hub, integration log and observer."""

    contract = "chat"
    account_name = ACCOUNT
    logs_content = True

    def message(self, text: str = TEXT, **fields: Any) -> ChatMessage:
        """Return a message with these fields."""
        return ChatMessage(text=text, **fields)

    def shown(self) -> list[ShownMessage]:
        """Return the messages that people see in the chats."""
        return list(self.subject.sandbox.shown())

    def count(self) -> int:
        """Return the number of messages that people see."""
        return len(self.shown())

    def hidden(self) -> tuple[str, ...]:
        """Return texts that must stay hidden: the secrets, and message texts."""
        return (*self.subject.secrets, TEXT)


def calls_by_capability(harness: Harness) -> Mapping[ChatCapability, Callable[[], Awaitable[Any]]]:
    """Return, for each capability, a call that requires it."""
    ref = Ref(harness.subject.vendor.name, ACCOUNT, "1", {"channel": "1"})
    send_time = datetime.now(UTC) + timedelta(hours=1)

    def send(**fields: Any) -> Callable[[], Awaitable[Any]]:
        return lambda: harness("send", harness.message(**fields))

    return {
        ChatCapability.CHANNEL: send(channel=harness.subject.channel or "orders"),
        ChatCapability.SCHEDULED: send(send_at=send_time),
        ChatCapability.SILENT: send(silent=True),
        ChatCapability.BUTTONS: send(buttons=[BUTTON]),
        ChatCapability.THREAD: lambda: harness("reply", ref, harness.message()),
        ChatCapability.EDIT: lambda: harness("edit", ref, harness.message()),
        ChatCapability.DELETE: lambda: harness("delete", ref),
    }


def request_values(request: SandboxRequest) -> list[tuple[str, Any]]:
    """Return each value in a request's JSON body, with the path that leads to it."""
    return nested_values("", request.json())
