"""Example calls to SMS vendors."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.ref import Ref
from moorage.contracts.sms import SmsCapability, SmsMessage
from moorage.contracts.sms_templates import TemplateMessage
from moorage.contracts.verification import VerificationRequest
from moorage.errors import UnsupportedByVendor

if TYPE_CHECKING:
    from moorage.testing.sandbox_scenarios.runner import Scenario, ScenarioVendor

PHONE: Final = "+4915112345678"
IMAGE: Final = "https://shop.example/picture.png"


async def send_text(vendor: ScenarioVendor, **fields: Any) -> Any:
    """Send a text message with these fields."""
    return (await vendor("send", SmsMessage(to=PHONE, text="Hello.", **fields))).ref


async def text_from_pool(vendor: ScenarioVendor, **fields: Any) -> Any:
    """Send a text message from a pool of senders."""
    return await send_text(
        vendor, sender_pool=str(vendor.fixture.vendor_values.get("sender_pool", "pool")), **fields
    )


async def scheduled_text(vendor: ScenarioVendor) -> Any:
    """Schedule a text message for tomorrow."""
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    return await (text_from_pool if vendor.fixture.vendor_values.get("sender_pool") else send_text)(
        vendor, send_at=tomorrow
    )


async def cancel(vendor: ScenarioVendor) -> Any:
    """Cancel a scheduled text message."""
    ref = Ref.parse(f"{vendor.name}:{vendor.name}:1")
    return await vendor("cancel", await scheduled_text(vendor) if vendor.is_supported else ref)


async def look_up(vendor: ScenarioVendor) -> Any:
    """Return the state of a text message, and of a scheduled one if supported."""
    refs = [await vendor.ref("send", SmsMessage(to=PHONE, text="Hello."))]
    with suppress(UnsupportedByVendor):
        refs += [await scheduled_text(vendor)] if vendor.is_supported else []
    return refs == [(await vendor("get", ref)).ref for ref in refs]


async def validate_number(vendor: ScenarioVendor) -> Any:
    """Validate a phone number."""
    return (await vendor("validate_number", PHONE)).valid


async def carrier(vendor: ScenarioVendor) -> Any:
    """Look up the carrier of a phone number."""
    return (await vendor("validate_number", PHONE)).carrier


async def balance(vendor: ScenarioVendor) -> Any:
    """Return the account's balance at the SMS vendor."""
    return (await vendor("check_balance")).amount


async def opt_outs(vendor: ScenarioVendor) -> Any:
    """List the opt-outs, remove the opt-outs of one number, and check that none are left."""
    page = await vendor("opt_outs")
    await vendor("remove_opt_out", PHONE)
    found_opt_outs = await vendor("find_opt_outs", PHONE, account=vendor.name)
    return found_opt_outs == () and page.next is None


async def verification(vendor: ScenarioVendor, **fields: Any) -> Any:
    """Send a verification code with these fields, and check a wrong code."""
    started = await vendor("start_verification", VerificationRequest(to=PHONE, **fields))
    checked = await vendor("check_verification", started.ref, "000000", to=PHONE)
    return started.status == checked.status == "pending"


async def template(vendor: ScenarioVendor, **fields: Any) -> Any:
    """Send a message from a template by WhatsApp, or with these fields."""
    name = str(vendor.fixture.vendor_values.get("template", "order_ready"))
    defaults: dict[str, Any] = {
        "channel": "whatsapp",
        "language": "en",
        "variables": ("Ada", "Q-17"),
    }
    message = TemplateMessage(to=PHONE, template=name, **{**defaults, **fields})
    return (await vendor("send_template", message)).ref


BASIC: Final[dict[str, Scenario]] = {"send": send_text}

BY_CAPABILITY: Final[dict[str, Scenario]] = {
    SmsCapability.SENDER_POOL: text_from_pool,
    SmsCapability.MEDIA: partial(send_text, media=[IMAGE]),
    SmsCapability.CALLBACK: partial(send_text, callback_url="https://erp.example/hooks/texts"),
    SmsCapability.SCHEDULED: scheduled_text,
    SmsCapability.CANCEL: cancel,
    SmsCapability.VALIDITY: partial(send_text, validity=timedelta(hours=1)),
    SmsCapability.LOOK_UP: look_up,
    SmsCapability.VALIDATE_NUMBER: validate_number,
    SmsCapability.CARRIER: carrier,
    SmsCapability.BALANCE: balance,
    SmsCapability.OPT_OUTS: opt_outs,
    SmsCapability.TEMPLATES: template,
    SmsCapability.WHATSAPP: template,
    SmsCapability.RCS: partial(template, channel="rcs"),
    SmsCapability.SMS_FALLBACK: partial(template, sms_fallback="Your order is ready."),
    SmsCapability.VERIFICATION: verification,
    SmsCapability.VERIFICATION_CALL: partial(verification, channel="call"),
}
