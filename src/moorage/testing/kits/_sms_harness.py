"""An SMS vendor under test, and a hub with an account there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.contracts.ref import Ref
from moorage.contracts.routes import Account
from moorage.contracts.sms import SmsCapability, SmsMessage, SmsStatus
from moorage.hub.hub import AsyncHub, Hub
from moorage.testing.kits._contract_harness import ContractHarness
from moorage.testing.kits._sent_requests import nested_values
from moorage.testing.kits.checks import OTHER_SECRET, require
from moorage.testing.sandboxes.base import AsyncSandboxHttpClient, SandboxHttpClient

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from types import UnionType

    from moorage.contracts.vendor import Vendor
    from moorage.domain.http.requests import Response
    from moorage.errors import ConnectorError
    from moorage.testing.sandboxes.base import Notice, Sandbox, SandboxRequest

    Refusal = (
        tuple[Response, type[ConnectorError]] | tuple[Response, type[ConnectorError], str | None]
    )

ACCOUNT: Final = "texts"
URL: Final = "https://shop.example/texts"


def no_words() -> dict[str, SmsStatus]:
    """Return an empty mapping, for a vendor that reports no states of messages."""
    return {}


@attrs.frozen(kw_only=True)
class SmsSubject:
    """An SMS vendor to be checked, with its sandbox.

    Attributes:
        vendor: an account at the sandbox.
        sandbox: the sandbox.
        sent: returns the number of messages that the sandbox has accepted.
        refusals: error responses of the vendor, each with the error that it must raise, and
            optionally, as a third item, the vendor's code that the error must keep.
        option: an option in the vendor's own words, and a valid value of it.
        arrives: the name and the value of that option in the request, if they differ from
            `option`.
        secret: the secret part of the vendor's credentials, which no repr, error, event or log may
            show.
        webhook_secret: secret that signs the webhooks of the vendor; None if it sends none.
        strange_secret: a secret of the same form that does not match the vendor's webhooks.
        report: makes the webhook about the delivery of a message; takes the message's id, and the
            vendor's word for the status. It goes to https://shop.example/texts unless the message
            names a URL.
        delivered: the vendor's word for a message that was delivered.
        template: the vendor's name or id of a template that the sandbox knows.
        read: the vendor's word for a message from a template that was read, if it has one.
        to: the number of the recipient.
        unknown: a response to a message with an unknown status; None if responses have no status.
        wordless: True if the vendor has no word for the status of an accepted message.
        requests: fields of a message, such as `{"validity": timedelta(hours=1)}`, each with values
            that its request must have, by name; None for a name that it must not have.
        answers: operations, such as "get", each with a response of the vendor, and the fields
            that the operation must read from it, such as `{"status": SmsStatus.SENT, "segments":
            2}`.
        words: the vendor's words in webhooks, each with its meaning.
    """

    vendor: Vendor
    sandbox: Sandbox
    sent: Callable[[], int]
    refusals: tuple[Refusal, ...]
    option: tuple[str, str]
    arrives: tuple[str, str] | None = None
    secret: str = attrs.field(repr=False)
    webhook_secret: str | None = attrs.field(default=None, repr=False)
    strange_secret: str = attrs.field(default=OTHER_SECRET, repr=False)
    report: Callable[[str, str], Notice] | None = None
    delivered: str = "delivered"
    template: str = "order_ready"
    read: str | None = None
    to: str = "+447700900000"
    unknown: Response | None = None
    wordless: bool = False
    requests: tuple[tuple[Mapping[str, Any], Mapping[str, Any]], ...] = ()
    answers: tuple[tuple[str, Response, Mapping[str, Any]], ...] = ()
    words: Mapping[str, SmsStatus] = attrs.field(factory=no_words)


class Harness(ContractHarness[SmsSubject]):
    """An SMS vendor under test, with its hub and sandbox."""

    contract = "sms"

    def message(self, text: str = "Your code is 1234.", **fields: Any) -> SmsMessage:
        return SmsMessage(to=self.subject.to, text=text, **fields)

    def key_headers(self) -> list[str]:
        """Return the names of headers that carry idempotency keys, if any."""
        services = self.subject.vendor.services().values()
        return [
            service.idempotency_header
            for service in services
            if service.idempotency_header is not None
        ]

    def honours_keys(self) -> bool:
        return bool(self.key_headers())

    def hidden(self) -> tuple[str, ...]:
        return self.subject.to, self.subject.to[1:], self.subject.secret

    async def refused(
        self, kind: type[ConnectorError] | UnionType, doing: Awaitable[Any], step: str
    ) -> Any:
        """Return the error of an operation, which must have exactly this class."""
        error = await super().refused(kind, doing, step)
        require(type(error) is kind, f"{step} raised {type(error).__name__}: {error}")
        return error


def calls_by_capability(harness: Harness) -> Mapping[SmsCapability, Callable[[], Awaitable[Any]]]:
    """Return, for each capability, a call that requires it."""
    ref = Ref(harness.subject.vendor.name, ACCOUNT, "1")
    send_time = datetime.now(UTC) + timedelta(hours=1)

    def send(**fields: Any) -> Callable[[], Awaitable[Any]]:
        return lambda: harness("send", harness.message(**fields))

    return {
        SmsCapability.SENDER_POOL: send(sender_pool="pool"),
        SmsCapability.MEDIA: send(media=("https://shop.example/picture.png",)),
        SmsCapability.CALLBACK: send(callback_url=URL),
        SmsCapability.SCHEDULED: send(send_at=send_time),
        SmsCapability.VALIDITY: send(validity=timedelta(hours=1)),
        SmsCapability.CANCEL: lambda: harness("cancel", ref),
        SmsCapability.LOOK_UP: lambda: harness("get", ref),
        SmsCapability.VALIDATE_NUMBER: lambda: harness("validate_number", harness.subject.to),
        SmsCapability.BALANCE: lambda: harness("check_balance"),
        SmsCapability.OPT_OUTS: lambda: harness("find_opt_outs", harness.subject.to),
        SmsCapability.VERIFICATION: lambda: harness(
            "check_verification", ref, "123456", to=harness.subject.to
        ),
    }


def request_values(request: SandboxRequest) -> list[tuple[str, Any]]:
    """Return the values in a request's form, JSON or query.

    A nested value is named by its path with dots, such as `metadata.reference`.
    """
    kind = request.headers.get("content-type") or ""
    if kind.startswith("application/json"):
        return [*nested_values("", request.json()), *request.query]
    return [*request.form, *request.query]


def _accounts(subject: SmsSubject) -> list[Account]:
    return [Account(ACCOUNT, subject.vendor, settings={"retry": None, "circuit": None})]


def sync_harness(factory: Callable[[], SmsSubject]) -> Harness:
    """Return a test environment with a synchronous hub."""
    subject = factory()
    return Harness(subject, Hub(_accounts(subject), http=SandboxHttpClient(subject.sandbox)))


def async_harness(factory: Callable[[], SmsSubject]) -> Harness:
    """Return a test environment with an asynchronous hub."""
    subject = factory()
    return Harness(
        subject, AsyncHub(_accounts(subject), http=AsyncSandboxHttpClient(subject.sandbox))
    )
