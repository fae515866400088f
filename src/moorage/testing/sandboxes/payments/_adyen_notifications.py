"""The signed notifications and buyer actions of Adyen's sandbox."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moorage.domain.values.json_text import encode_json
from moorage.testing.sandboxes.webhook_signatures import base64_hmac

if TYPE_CHECKING:
    from collections.abc import Mapping


def notification(key: str, item: dict[str, Any], additional: Mapping[str, str]) -> bytes:
    """Return the body of a notification, signed with a hexadecimal key."""
    signed_item = {
        **item,
        "additionalData": {**additional, "hmacSignature": _signature(key, item)},
    }
    body = {"live": "false", "notificationItems": [{"NotificationRequestItem": signed_item}]}
    return encode_json(body)


def _signature(key: str, item: dict[str, Any]) -> str:
    parts = (
        item["pspReference"],
        item.get("originalReference", ""),
        item["merchantAccountCode"],
        item["merchantReference"],
        str(item["amount"]["value"]),
        item["amount"]["currency"],
        item["eventCode"],
        item["success"],
    )
    return base64_hmac(bytes.fromhex(key), ":".join(parts).encode())


def redirect_to(kind: str, psp: str) -> dict[str, Any]:
    """Return the action that redirects a buyer to another page."""
    return {
        "type": "redirect",
        "method": "GET",
        "paymentMethodType": kind,
        "url": f"https://checkoutshopper-test.adyen.com/redirect/{psp}",
    }


def challenge(psp: str, *, native: bool) -> dict[str, Any]:
    """Return the action with which a cardholder authenticates, on the shop's or the bank's page."""
    if not native:
        return {"resultCode": "RedirectShopper", "action": redirect_to("scheme", psp)}
    action = {
        "type": "threeDS2",
        "subtype": "fingerprint",
        "paymentMethodType": "scheme",
        "paymentData": f"data-{psp}",
        "authorisationToken": f"authorisation-{psp}",
        "token": f"token-{psp}",
    }
    return {"resultCode": "IdentifyShopper", "action": action}
