"""A test environment for an e-invoice vendor: the vendor, its sandbox and a hub."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.contracts.einvoices import EinvoiceCapability, OutgoingInvoice
from moorage.contracts.ref import Ref
from moorage.testing.kits._recorded_harness import RecordedHarness
from moorage.testing.sandboxes.einvoices.base import DOCUMENT, FA3, RECIPIENT

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from moorage.contracts.vendor import Vendor
    from moorage.domain.http.requests import Response
    from moorage.errors import ConnectorError
    from moorage.testing.sandboxes.base import AlteredAnswer, Lost, Notice
    from moorage.testing.sandboxes.einvoices.base import EinvoicesSandbox

ACCOUNT: Final = "access_point"
CII: Final = (
    b'<rsm:CrossIndustryInvoice xmlns:rsm="urn:un:unece:uncefact:data:standard:'
    b'CrossIndustryInvoice:100"/>'
)


@attrs.frozen(kw_only=True)
class EinvoicesSubject:
    """A vendor of electronic invoices to be checked, with its sandbox.

    Attributes:
        vendor: an account at the sandbox.
        sandbox: the sandbox, which shows the delivered invoices.
        recipient: the recipient of the kit's invoices, in the vendor's own words.
        refusals: error responses to an invoice, each with the error that it must raise, and the
            vendor's code that the error must keep.
        uncertain: responses after which the invoice may have been sent.
        deliver: delivers a sent invoice, and returns the webhook that reports it, if there is one;
            None if the vendor delivers before it answers.
        option: an option in the vendor's own words, and its value.
        secrets: texts that no repr, error, event or log entry may contain, such as a token.
        reports: makes the webhook of an event of a sent invoice, by its id and the vendor's word;
            None if the vendor sends none.
        words: the vendor's words for states, with the state that each must become.
        requests: operations, each with its arguments and the JSON body that its request must have.
        answers: operations, each with its arguments, a response of the vendor, and the fields
            that must be read from it.
        malformed: operations that only read, each with its arguments.
        login_count: number of requests that each operation sends first, such as a login.
        send_count: number of further requests before the one that sends the invoice.
    """

    vendor: Vendor
    sandbox: EinvoicesSandbox
    recipient: str
    refusals: tuple[tuple[Response, type[ConnectorError], str | None], ...]
    uncertain: tuple[Response, ...] = ()
    deliver: Callable[[str], Notice | None] | None = None
    option: tuple[str, Any]
    secrets: tuple[str, ...] = attrs.field(repr=False)
    reports: Callable[[str, str], Notice] | None = None
    words: tuple[tuple[str, str], ...] = ()
    requests: tuple[tuple[str, tuple[Any, ...], Mapping[str, Any]], ...] = ()
    answers: tuple[tuple[str, tuple[Any, ...], Response, Mapping[str, Any]], ...] = ()
    malformed: tuple[tuple[str, tuple[Any, ...]], ...] = ()
    login_count: int = 0
    send_count: int = 0


class Harness(RecordedHarness[EinvoicesSubject]):
    """A vendor of electronic invoices under test, with its hub, integration log and observer."""

    contract = "einvoices"
    account_name = ACCOUNT
    logs_content = True

    def outgoing(self, document: bytes | None = None, **fields: Any) -> OutgoingInvoice:
        """Return an invoice that the sandbox can deliver, by default with its usual document."""
        sandbox = self.subject.sandbox
        usual_document = sandbox.document if document is None else document
        return OutgoingInvoice(document=usual_document, recipient=sandbox.recipient, **fields)

    def fail(
        self, answer: Response | Lost | AlteredAnswer | None, *, operation: str = "send"
    ) -> None:
        """Give this response to an operation's main request.

        Earlier requests get normal responses.
        """
        subject = self.subject
        count = subject.login_count + (subject.send_count if operation == "send" else 0)
        self.sandbox.fail(*[None] * count, answer)

    def count(self) -> int:
        """Return the number of invoices accepted for delivery."""
        return len(self.subject.sandbox.deliveries())

    def hidden(self) -> tuple[str, ...]:
        """Return texts that no repr, error, event or log entry may contain."""
        return self.subject.secrets


def outgoing_invoice(document: bytes = DOCUMENT, **fields: Any) -> OutgoingInvoice:
    """Return an invoice to the recipient that every sandbox knows."""
    return OutgoingInvoice(document=document, recipient=RECIPIENT, **fields)


def calls_by_capability(harness: Harness) -> list[tuple[str, Callable[[], Awaitable[Any]]]]:
    """Return, for each capability, a call that requires it."""
    ref = Ref(harness.subject.vendor.name, ACCOUNT, "1")
    return [
        (EinvoiceCapability.UBL, lambda: harness("send", outgoing_invoice())),
        (EinvoiceCapability.CII, lambda: harness("send", outgoing_invoice(CII))),
        (EinvoiceCapability.FA3, lambda: harness("send", OutgoingInvoice(document=FA3))),
        (EinvoiceCapability.LOOK_UP, lambda: harness("check_recipient", RECIPIENT)),
        (EinvoiceCapability.STATUS, lambda: harness("get", ref)),
        (EinvoiceCapability.DOWNLOAD, lambda: harness("download", ref)),
        (EinvoiceCapability.INBOX, lambda: harness("list_received")),
        (EinvoiceCapability.INBOX, lambda: harness("mark_fetched", ref)),
    ]
