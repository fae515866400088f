"""Webhook schemes of vendors for shops, shipping, accounting and contracts."""

from __future__ import annotations

from typing import Final

from moorage.domain.webhooks.scheme import WebhookScheme

COMMERCE: Final = (
    WebhookScheme(
        name="shopify",
        signature="{header:X-Shopify-Hmac-Sha256}",
        encoding="base64",
        id="{header:X-Shopify-Webhook-Id}",
        type="{header:X-Shopify-Topic}",
        time="{header:X-Shopify-Triggered-At}",
        time_form="iso",
    ),
    WebhookScheme(
        name="woocommerce",
        signature="{header:X-WC-Webhook-Signature}",
        encoding="base64",
        id="{header:X-WC-Webhook-Delivery-ID}",
        type="{header:X-WC-Webhook-Topic}",
    ),
    WebhookScheme(
        name="easypost",
        signature="{header:X-Hmac-Signature}",
        prefix="hmac-sha256-hex=",
        secret_form="nfkd",
        id="{json:id}",
        type="{json:description}",
        time="{json:created_at}",
        time_form="iso",
        data="result",
        types={
            "tracker.created": "shipment.tracked",
            "tracker.updated": "shipment.tracked",
        },
    ),
    WebhookScheme(
        name="shippo",
        signature="{header:Shippo-Auth-Signature}",
        signs="{mark:t}.{body}",
        separator=",",
        prefix="v1=",
        timestamp="{mark:t}",
        tolerance=300,
        type="{json:event}",
        data="data",
        types={"track_updated": "shipment.tracked"},
    ),
    WebhookScheme(
        name="shipengine",
        signature="{header:X-ShipEngine-RSA-SHA256-Signature}",
        signs="{header:X-ShipEngine-Timestamp}.{body}",
        algorithm="rsa-v1_5-sha256",
        encoding="base64",
        key_id="{header:X-ShipEngine-RSA-SHA256-Key-ID}",
        timestamp="{header:X-ShipEngine-Timestamp}",
        timestamp_form="iso",
        tolerance=300,
        type="{json:resource_type}",
        time="{header:X-ShipEngine-Timestamp}",
        time_form="iso",
        data="data",
        types={"API_TRACK": "shipment.tracked"},
    ),
    WebhookScheme(
        name="xero",
        signature="{header:x-xero-signature}",
        encoding="base64",
        items="events",
        id="{json:resourceId}.{json:eventType}.{json:eventDateUtc}",
        type="{json:eventCategory}.{json:eventType}",
        time="{json:eventDateUtc}",
        time_form="iso",
    ),
    # Intuit has sent CloudEvents since 2026; the older form with eventNotifications is not read.
    WebhookScheme(
        name="intuit",
        signature="{header:intuit-signature}",
        encoding="base64",
        items=".",
        id="{json:id}",
        type="{json:type}",
        time="{json:time}",
        time_form="iso",
    ),
    WebhookScheme(
        name="docusign",
        # DocuSign sends one header for each key that is configured.
        signature=tuple(f"{{header:X-DocuSign-Signature-{number}?}}" for number in range(1, 11)),
        encoding="base64",
        type="{json:event}",
        time="{json:generatedDateTime}",
        time_form="iso",
        data="data",
    ),
    # Dropbox Sign's signature covers only the type and the time in seconds, which two webhooks may
    # share. So each webhook is only a hint to get the signature request.
    WebhookScheme(
        name="dropbox-sign",
        body="either",
        signature="{json:event.event_hash}",
        signs="{json:event.event_time}{json:event.event_type}",
        timestamp="{json:event.event_time}",
        # How long Dropbox Sign retries is not documented.
        tolerance=4 * 86_400,
        id="{json:event.event_hash}.{json:signature_request.signature_request_id?}"
        ".{json:event.event_metadata.related_signature_id?}",
        type="{json:event.event_type}",
        time="{json:event.event_time}",
        only_hints=True,
        accepted="Hello API Event Received",
    ),
    # Acrobat Sign signs nothing, and its client id is known to others. So the URL has a token.
    WebhookScheme(
        name="acrobat-sign",
        signature="{query:token}",
        algorithm="token",
        id="{json:webhookNotificationId}",
        type="{json:event}",
        time="{json:eventDate}",
        time_form="iso",
        handshake="adobe",
    ),
)
