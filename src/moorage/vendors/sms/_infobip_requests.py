"""Request bodies that send messages at Infobip."""

from __future__ import annotations

from datetime import UTC
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.sms_templates import TemplateChannel
from moorage.vendors.sms._common import template_sender

if TYPE_CHECKING:
    from moorage.contracts.sms import SmsMessage
    from moorage.contracts.sms_templates import TemplateMessage
    from moorage.vendors.sms.infobip import Infobip

_TYPE: Final = "type"


def message_body(vendor: Infobip, message: SmsMessage, id_: str | None) -> dict[str, Any]:
    """The body that sends a message.

    Args:
        vendor: the account.
        message: the message, whose options in `extra` are merged into the message itself.
        id_: the id of a scheduled message; None leaves it to Infobip.
    """
    content: dict[str, Any] = {
        "destinations": [{"to": message.to.removeprefix("+")}],
        "content": {"text": message.text},
    }
    sender = message.sender or vendor.sender
    if sender is not None:
        content["sender"] = sender.removeprefix("+")
    if message.validity is not None:
        amount = int(message.validity.total_seconds())
        content["options"] = {"validityPeriod": {"amount": amount, "timeUnit": "SECONDS"}}
    webhooks: dict[str, Any] = {}
    if message.callback_url is not None:
        webhooks["delivery"] = {"url": message.callback_url, "intermediateReport": True}
        webhooks["contentType"] = "application/json"
    if message.reference is not None:
        webhooks["callbackData"] = message.reference
    if webhooks:
        content["webhooks"] = webhooks
    content = sdk.merged(content, sdk.extra_for(vendor.name, message.extra))
    if message.send_at is None or id_ is None:
        return {"messages": [content]}
    moment = message.send_at.astimezone(UTC).isoformat(timespec="milliseconds")
    content["destinations"][0]["messageId"] = id_
    schedule = {"bulkId": id_, "sendAt": moment.replace("+00:00", "+0000")}
    return {"messages": [content], "options": {"schedule": schedule}}


def template_body(vendor: Infobip, message: TemplateMessage, id_: str) -> dict[str, Any]:
    """The body that sends a message from a template.

    Args:
        vendor: the account.
        message: the message, whose options in `extra` are merged into the message itself.
        id_: the id of the message; an SMS that replaces it gets the same id.

    Raises:
        InvalidData: a sender is missing, or a variable has the name of a field of Infobip's.
    """
    if _TYPE in message.variables:
        raise sdk.InvalidData(
            f"A variable of the template is called {_TYPE!r}, which Infobip reserves.",
            field="variables",
            remedy="Rename the placeholder in the template, or give the values by position.",
        )
    channel, number = message.channel.upper(), message.to.removeprefix("+")
    usual_senders = {
        TemplateChannel.WHATSAPP: vendor.whatsapp_sender,
        TemplateChannel.RCS: vendor.rcs_sender,
    }
    sender = template_sender(message, usual_senders[message.channel], "Infobip")
    template = {"templateName": message.template}
    if message.language is not None:
        template["language"] = message.language
    content: dict[str, Any] = {
        "channel": channel,
        "sender": sender.removeprefix("+"),
        "destinations": [{"messageId": id_, "to": number}],
        "template": template,
    }
    if message.variables:
        content["content"] = {"body": {_TYPE: "TEXT", **message.variables}}
    if message.sms_fallback is not None:
        channels = [{"channel": name, "to": number} for name in (channel, "SMS")]
        content["destinations"] = [{"messageId": id_, "byChannel": channels}]
        content["failover"] = [_sms_step(vendor, message.sms_fallback)]
    webhooks: dict[str, Any] = {}
    if message.callback_url is not None:
        webhooks["delivery"] = {"url": message.callback_url, "intermediateReport": True}
        webhooks["seen"] = {"url": message.callback_url}
        webhooks["contentType"] = "application/json"
    if message.reference is not None:
        webhooks["callbackData"] = message.reference
    if webhooks:
        content["webhooks"] = webhooks
    return {"messages": [sdk.merged(content, sdk.extra_for(vendor.name, message.extra))]}


def _sms_step(vendor: Infobip, text: str) -> dict[str, Any]:
    """The SMS that Infobip sends if a message from a template does not reach its recipient."""
    if vendor.sender is None:
        raise sdk.InvalidData(
            "Infobip needs a sender for the SMS that replaces an undelivered message.",
            field="sms_fallback",
            remedy="Set the sender of the account, or remove sms_fallback from the message.",
        )
    body = {_TYPE: "TEXT", "text": text}
    return {
        "channel": "SMS",
        "sender": vendor.sender.removeprefix("+"),
        "content": {"body": body},
    }


def own_id(wire: sdk.Wire, key: str | None) -> str:
    """A message id derived from the key, so that a repeat has the same body."""
    if key is None:
        return wire.new_id()
    return sha256(f"{wire.account}\n{wire.tenant or ''}\n{key}".encode()).hexdigest()[:32]
