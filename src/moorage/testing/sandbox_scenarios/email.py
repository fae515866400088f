"""Example calls to email vendors."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.email import (
    Attachment,
    Disposition,
    EmailCapability,
    EmailMessage,
    TemplateRef,
)
from moorage.contracts.email_bulk import BulkMessage, BulkRecipient
from moorage.contracts.email_outcomes import StatisticsQuery, Verdict
from moorage.contracts.email_unsubscribe import Unsubscribe
from moorage.contracts.ref import Ref

if TYPE_CHECKING:
    from moorage.testing.sandbox_scenarios.runner import Scenario, ScenarioVendor


async def mail(vendor: ScenarioVendor, **fields: Any) -> Any:
    """Send an email with these fields."""
    default_fields: dict[str, Any] = {"to": "ada@example.com", "subject": "Hello", "text": "Hello."}
    receipt = await vendor("send_transactional", EmailMessage(**{**default_fields, **fields}))
    return receipt.status in {"accepted", "queued", "scheduled"}


async def inline(vendor: ScenarioVendor) -> Any:
    """Send an email with an inline image."""
    logo = Attachment(
        filename="a.png",
        content=b"\x89PNG\r\n\x1a\n",
        content_type="image/png",
        disposition=Disposition.INLINE,
        content_id="logo",
    )
    return await mail(vendor, html='<img src="cid:logo">', attachments=[logo])


async def template(vendor: ScenarioVendor) -> Any:
    """Send an email from a template of the vendor."""
    template_ref = TemplateRef(
        str(vendor.fixture.vendor_values.get("template", "welcome")), {"name": "Ada"}
    )
    return await mail(vendor, subject="", text=None, template=template_ref)


async def address(vendor: ScenarioVendor) -> Any:
    """Validate an email address."""
    return (await vendor("validate_address", "ada@example.com")).verdict is not Verdict.UNKNOWN


async def counts(vendor: ScenarioVendor) -> Any:
    """Return a month of email statistics."""
    query = StatisticsQuery(start=date(2026, 1, 1), end=date(2026, 1, 31))
    return (await vendor("get_statistics", query)).query == query


async def receive_email(vendor: ScenarioVendor) -> Any:
    """Return a received message."""
    id_ = str(vendor.fixture.vendor_values.get("received", "1"))
    return (await vendor("get_received", Ref(vendor.name, vendor.name, id_))).subject == "Hello"


async def cancel(vendor: ScenarioVendor) -> Any:
    """Cancel a scheduled message."""
    later_time = datetime.now(UTC) + timedelta(hours=1)
    message = EmailMessage(to="ada@example.com", subject="Hello", text="Hello.", send_at=later_time)
    ref = await vendor.ref("send_transactional", message)
    return (await vendor("cancel", ref)).status == "canceled"


async def look_up(vendor: ScenarioVendor) -> Any:
    """Return the state of an email."""
    message = EmailMessage(to="ada@example.com", subject="Hello", text="Hello.")
    ref = await vendor.ref("send_transactional", message)
    return (await vendor("get", ref)).ref == ref


async def list_suppressions(vendor: ScenarioVendor) -> Any:
    """List the suppressed addresses, and remove an address that is not suppressed."""
    page = await vendor("suppressions")
    await vendor("remove_suppression", "ada@example.com")
    return page.items == ()


async def add_suppression(vendor: ScenarioVendor) -> Any:
    """Suppress an address."""
    return await vendor("add_suppression", "ada@example.com", account=vendor.name) is None


async def send_to_many(vendor: ScenarioVendor) -> Any:
    """Send one email to several recipients."""
    base = EmailMessage(subject="Hello", text="Hello.")
    recipients = [BulkRecipient(to=f"{name}@example.com") for name in ("ada", "grace")]
    results = await vendor("send_bulk", BulkMessage(base=base, recipients=recipients))
    return all(result.ok for result in results)


BASIC: Final[dict[str, Scenario]] = {"send_transactional": mail, "send_bulk": send_to_many}

BY_CAPABILITY: Final[dict[str, Scenario]] = {
    EmailCapability.ATTACHMENTS: partial(
        mail, attachments=[Attachment(filename="a.txt", content=b"a")]
    ),
    EmailCapability.INLINE_IMAGES: inline,
    EmailCapability.AMP_HTML: partial(mail, amp_html="<!doctype html><html ⚡4email></html>"),
    EmailCapability.CUSTOM_HEADERS: partial(mail, headers={"X-Invoice": "7"}),
    EmailCapability.UNSUBSCRIBE: partial(
        mail, unsubscribe=Unsubscribe(url="https://shop.example/unsubscribe/4f7a")
    ),
    EmailCapability.ENVELOPE_SENDER: partial(mail, envelope_sender="bounces@acme.example"),
    EmailCapability.INTERNATIONAL: partial(mail, to="zoë@example.com"),
    EmailCapability.TEMPLATES: template,
    EmailCapability.METADATA: partial(mail, metadata={"invoice": "7"}),
    EmailCapability.TAGS: partial(mail, tags=["invoice"]),
    EmailCapability.SCHEDULED: lambda vendor: mail(
        vendor, send_at=datetime.now(UTC) + timedelta(hours=1)
    ),
    EmailCapability.CANCEL: cancel,
    EmailCapability.LOOK_UP: look_up,
    EmailCapability.TRACK_OPENS: partial(mail, track_opens=True),
    EmailCapability.TRACK_CLICKS: partial(mail, track_clicks=False),
    EmailCapability.VALIDATE_ADDRESS: address,
    EmailCapability.STATISTICS: counts,
    EmailCapability.RECEIVED: receive_email,
    EmailCapability.SUPPRESSIONS: list_suppressions,
    EmailCapability.ADD_SUPPRESSION: add_suppression,
}
