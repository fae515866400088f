"""Webhook schemes of platforms for collaboration, meetings and software development."""

from __future__ import annotations

from typing import Final

from moorage.domain.webhooks.presets.standards import standard
from moorage.domain.webhooks.scheme import WebhookScheme

PLATFORMS: Final = (
    WebhookScheme(
        name="github",
        body="either",
        signature="{header:X-Hub-Signature-256}",
        prefix="sha256=",
        weaker_headers="X-Hub-Signature",
        id="{header:X-GitHub-Delivery}",
        type="{header:X-GitHub-Event}.{json:action?}",
    ),
    # A signing token, which GitLab offers besides the older secret token.
    standard(
        "gitlab",
        id="{header:webhook-id}",
        type="{json:object_kind}",
        time=None,
        data=None,
    ),
    WebhookScheme(
        name="gitlab-token",
        signature="{header:X-Gitlab-Token}",
        algorithm="token",
        id="{header:X-Gitlab-Event-UUID}",
        type="{json:object_kind}",
    ),
    WebhookScheme(
        name="slack",
        body="either",
        signature="{header:X-Slack-Signature}",
        signs="v0:{header:X-Slack-Request-Timestamp}:{body}",
        prefix="v0=",
        timestamp="{header:X-Slack-Request-Timestamp}",
        tolerance=300,
        id="{json:event_id}",
        type="{json:event.type?}",
        time="{json:event_time}",
        handshake="slack",
    ),
    WebhookScheme(
        name="discord",
        signature="{header:X-Signature-Ed25519}",
        signs="{header:X-Signature-Timestamp}{body}",
        algorithm="ed25519",
        timestamp="{header:X-Signature-Timestamp}",
        tolerance=300,
        id="{json:id}",
        type="{json:type}",
        data="data",
        handshake="discord",
    ),
    WebhookScheme(
        name="zoom",
        signature="{header:x-zm-signature}",
        signs="v0:{header:x-zm-request-timestamp}:{body}",
        prefix="v0=",
        timestamp="{header:x-zm-request-timestamp}",
        tolerance=300,
        type="{json:event}",
        time="{json:event_ts}",
        time_form="milliseconds",
        data="payload.object",
        handshake="zoom",
    ),
    WebhookScheme(
        name="hubspot",
        signature="{header:X-HubSpot-Signature-v3}",
        signs=(
            "{method}{url_decoded}{body}{header:X-HubSpot-Request-Timestamp}",
            "{method}{url}{body}{header:X-HubSpot-Request-Timestamp}",
        ),
        encoding="base64",
        weaker_headers="X-HubSpot-Signature",
        timestamp="{header:X-HubSpot-Request-Timestamp}",
        timestamp_form="milliseconds",
        tolerance=300,
        items=".",
        id="{json:subscriptionId}.{json:eventId}.{json:occurredAt}",
        type="{json:subscriptionType}",
        time="{json:occurredAt}",
        time_form="milliseconds",
    ),
    # SHA-1 is all that Intercom offers.
    WebhookScheme(
        name="intercom",
        signature="{header:X-Hub-Signature}",
        algorithm="hmac-sha1",
        prefix="sha1=",
        id="{json:id}",
        type="{json:topic}",
        time="{json:created_at}",
        data="data.item",
    ),
    WebhookScheme(
        name="linear",
        signature="{header:Linear-Signature}",
        timestamp="{json:webhookTimestamp}",
        timestamp_form="milliseconds",
        tolerance=60,
        id="{header:Linear-Delivery}",
        type="{json:type}.{json:action}",
        time="{json:createdAt}",
        time_form="iso",
        data="data",
    ),
    WebhookScheme(
        name="meta",
        signature="{header:X-Hub-Signature-256}",
        prefix="sha256=",
        weaker_headers="X-Hub-Signature",
        items="entry",
        type="{root:object}",
        handshake="meta",
    ),
)
