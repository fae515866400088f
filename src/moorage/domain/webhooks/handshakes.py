"""Requests by which vendors check a webhook endpoint (handshakes), and the responses to them.

A challenge is echoed only if it is a plain word. So an attacker cannot make moorage sign or repeat
a webhook, a page or a header.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, cast

from moorage.domain.secrets.secret import Secret
from moorage.domain.webhooks.choices import Handshake
from moorage.domain.webhooks.rejection import WebhookReason, rejection_error
from moorage.domain.webhooks.replies import WebhookReply

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from moorage.domain.webhooks.delivery import Delivery

UNSIGNED: Final = frozenset({Handshake.META, Handshake.BRAINTREE, Handshake.ADOBE})
"""The handshakes that are unsigned GET requests."""

ADOBE_HEADER: Final = "x-adobesign-clientid"
"""The header whose value each response to Adobe Acrobat Sign repeats."""

_WORD: Final = re.compile(r"[A-Za-z0-9_\-]{1,256}")
_SNS_LINK: Final = re.compile(
    r"https://sns\.[a-z]{2}(?:-[a-z]+)+-[0-9]\.amazonaws\.com(?:\.cn)?/\?Action=ConfirmSubscription&[!-~]{1,2000}"
)
_BRAINTREE: Final = re.compile(r"[a-f0-9]{20,32}")


def reply_to_unsigned_check(
    handshake: Handshake,
    delivery: Delivery,
    parameters: Mapping[str, str],
    secrets: Sequence[Secret],
    verify_token: Secret | None,
) -> WebhookReply:
    """Return the response to an unsigned GET request by which a vendor checks the endpoint."""
    if handshake is Handshake.BRAINTREE:
        return _braintree(delivery, parameters["public_key"], secrets)
    if handshake is Handshake.ADOBE:
        return _adobe(delivery, secrets)
    token = delivery.parameter("hub.verify_token")
    if delivery.parameter("hub.mode") == "subscribe" and _is_token(token, verify_token):
        return WebhookReply.text(_challenge_word(delivery.parameter("hub.challenge"), _WORD))
    raise rejection_error(WebhookReason.SIGNATURE, "The verify token of the handshake is wrong.")


def expected_answer(handshake: Handshake | None, delivery: Delivery) -> WebhookReply | None:
    """Return the response that the vendor expects to each webhook; None if any success will do."""
    if handshake is not Handshake.ADOBE:
        return None
    client_id = delivery.header(ADOBE_HEADER)
    if client_id is None or _WORD.fullmatch(client_id) is None:
        return None
    return WebhookReply.json({"xAdobeSignClientId": client_id})


def reply_to_signed_check(
    handshake: Handshake | None,
    payload: object,
    secrets: Sequence[Secret],
) -> WebhookReply | None:
    """Return the response to a signed endpoint check; None for a webhook with events."""
    if handshake is None or not isinstance(payload, dict):
        return None
    members = cast("dict[str, Any]", payload)
    if handshake is Handshake.SLACK and members.get("type") == "url_verification":
        return WebhookReply.text(_challenge_word(members.get("challenge"), _WORD))
    if handshake is Handshake.DISCORD and members.get("type") == 1:
        return WebhookReply.json({"type": 1})
    if handshake is Handshake.ZOOM and members.get("event") == "endpoint.url_validation":
        return _zoom(members.get("payload"), secrets)
    return None


def confirmation(handshake: Handshake | None, payload: object) -> str | None:
    """Return the link that confirms a webhook subscription; None for any other webhook.

    Return None if the payload asks for no confirmation.
    """
    if handshake is not Handshake.SNS or not isinstance(payload, dict):
        return None
    members = cast("dict[str, Any]", payload)
    if members.get("Type") != "SubscriptionConfirmation":
        return None
    link = members.get("SubscribeURL")
    if isinstance(link, str) and _SNS_LINK.fullmatch(link):
        return link
    raise rejection_error(
        WebhookReason.MALFORMED, "The link for the subscription does not lead to the vendor."
    )


def _zoom(payload: Any, secrets: Sequence[Secret]) -> WebhookReply:
    from hmac import digest  # noqa: PLC0415 - loads OpenSSL

    token = _challenge_word(
        cast("dict[str, Any]", payload).get("plainToken") if isinstance(payload, dict) else None,
        _WORD,
    )
    encrypted_token = digest(secrets[0].reveal_bytes(), token.encode(), "sha256").hex()
    return WebhookReply.json({"plainToken": token, "encryptedToken": encrypted_token})


def _is_token(received: str | None, expected: Secret | None) -> bool:
    return (
        received is not None
        and expected is not None
        and expected == Secret(received.encode("utf-8", "surrogatepass"))
    )


def _adobe(delivery: Delivery, secrets: Sequence[Secret]) -> WebhookReply:
    token = delivery.parameter("token")
    if not any(_is_token(token, secret) for secret in secrets):
        raise rejection_error(WebhookReason.SIGNATURE, "The token of the handshake is wrong.")
    answer = expected_answer(Handshake.ADOBE, delivery)
    if answer is None:
        raise rejection_error(
            WebhookReason.MALFORMED, "The handshake has no client id that moorage can echo."
        )
    return answer


def _braintree(delivery: Delivery, public: str, secrets: Sequence[Secret]) -> WebhookReply:
    from hashlib import sha1  # noqa: PLC0415 - loads OpenSSL
    from hmac import digest  # noqa: PLC0415 - loads OpenSSL

    challenge = _challenge_word(delivery.parameter("bt_challenge"), _BRAINTREE)
    key = sha1(secrets[0].reveal_bytes()).digest()  # noqa: S324 - the vendor's own way
    return WebhookReply.text(f"{public}|{digest(key, challenge.encode(), 'sha1').hex()}")


def _challenge_word(value: object, pattern: re.Pattern[str]) -> str:
    if isinstance(value, str) and pattern.fullmatch(value):
        return value
    raise rejection_error(
        WebhookReason.MALFORMED, "The handshake has no challenge that moorage can echo."
    )
