"""Webhook schemes of vendors for email, text messages and chat."""

from __future__ import annotations

from typing import Any, Final

from moorage.domain.webhooks.scheme import WebhookScheme

_DAY: Final = 86_400
_URLS: Final = (
    "{url}{sorted_form}",
    "{url_without_port}{sorted_form}",
    "{url_with_port}{sorted_form}",
)


def _twilio(name: str, **fields: Any) -> WebhookScheme:
    return WebhookScheme(
        name=name,
        signature="{header:X-Twilio-Signature}",
        # Twilio sometimes signs the URL with its port, and sometimes without it.
        signs=_URLS,
        encoding="base64",
        body="either",
        # Twilio signs a body that is not a form by its digest in the URL.
        digest="{query:bodySHA256?}",
        id="{header:I-Twilio-Idempotency-Token}",
        type="{json:MessageStatus?}{json:CallStatus?}",
        types={
            "queued": "message.queued",
            "sent": "message.sent",
            "delivered": "message.delivered",
            "undelivered": "message.failed",
            "failed": "message.failed",
            "received": "message.received",
        },
        **fields,
    )


def _plivo(name: str, version: str, **fields: Any) -> WebhookScheme:
    return WebhookScheme(
        name=name,
        # The second signature is made by the main account, if a subaccount sent the message.
        signature=(
            f"{{header:X-Plivo-Signature-{version}?}}",
            f"{{header:X-Plivo-Signature-Ma-{version}?}}",
        ),
        encoding="base64",
        body="form",
        id="{json:MessageUUID}.{json:Status?}",
        type="{json:Status?}",
        types={
            "queued": "message.queued",
            "sent": "message.sent",
            "delivered": "message.delivered",
            "undelivered": "message.failed",
            "failed": "message.failed",
            "rejected": "message.failed",
        },
        **fields,
    )


def _sns(name: str, algorithm: str, version: str) -> WebhookScheme:
    return WebhookScheme(
        name=name,
        signature="{json:Signature}",
        signs="{lines:Message,MessageId,Subject,SubscribeURL,Timestamp,Token,TopicArn,Type}",
        algorithm=algorithm,
        encoding="base64",
        # Any user can create a topic, and Amazon signs the messages of all topics.
        requires={"{json:SignatureVersion}": version, "{json:TopicArn}": "{topic_arn}"},
        certificate="{json:SigningCertURL}",
        certificate_url=r"https://sns\.[a-z]{2}(?:-[a-z]+)+-[0-9]\.amazonaws\.com(?:\.cn)?"
        r"/SimpleNotificationService-[0-9a-zA-Z]{16,64}\.pem",
        timestamp="{json:Timestamp}",
        timestamp_form="iso",
        # The timestamp is the time of publishing, and SNS retries for up to an hour.
        tolerance=3_900,
        id="{json:MessageId}",
        type="{json:Type}",
        time="{json:Timestamp}",
        time_form="iso",
        data="Message",
        handshake="sns",
    )


_SINCH_STATUSES: Final = {
    "Queued": "message.queued",
    "Dispatched": "message.sent",
    "Delivered": "message.delivered",
    **dict.fromkeys(
        ("Aborted", "Cancelled", "Deleted", "Expired", "Failed", "Rejected"), "message.failed"
    ),
}
_MESSAGEMEDIA_STATUSES: Final = {
    "enroute": "message.queued",
    "submitted": "message.sent",
    "delivered": "message.delivered",
    **dict.fromkeys(("expired", "failed", "rejected"), "message.failed"),
}
_TELNYX_STATUSES: Final = {
    "delivered": "message.delivered",
    "delivery_unconfirmed": "message.sent",
    **dict.fromkeys(("delivery_failed", "expired", "sending_failed"), "message.failed"),
}
_POSTMARK_BOUNCES: Final = {
    **dict.fromkeys(("Transient", "DnsError"), "email.deferred"),
    **dict.fromkeys(
        (
            "BadEmailAddress",
            "Blocked",
            "DMARCPolicy",
            "ManuallyDeactivated",
            "SpamNotification",
            "Unconfirmed",
            "VirusNotification",
        ),
        "email.rejected",
    ),
    **dict.fromkeys(("SMTPApiError", "TemplateRenderingFailed"), "email.failed"),
    "SpamComplaint": "email.complained",
    "Subscribe": "email.subscribed",
    "Unsubscribe": "email.unsubscribed",
}
"""Our names for the types of Postmark's bounces that did not bounce."""
_SPARKPOST_GROUPS: Final = ("message_event", "track_event", "gen_event", "unsubscribe_event")


def _of_sparkpost(field: str) -> str:
    """Return a template that finds a field of a SparkPost event in any of its event groups."""
    return "".join(f"{{json:msys.{group}.{field}?}}" for group in _SPARKPOST_GROUPS)


def _sparkpost(name: str, **fields: Any) -> WebhookScheme:
    # SparkPost signs nothing: it sends the credentials that it was given in the header.
    return WebhookScheme(
        name=name,
        signature="{header:Authorization}",
        items=".",
        id=_of_sparkpost("event_id"),
        type=_of_sparkpost("type"),
        time=_of_sparkpost("timestamp"),
        types={
            "injection": "email.queued",
            "delay": "email.deferred",
            "delivery": "email.delivered",
            "bounce": "email.bounced",
            "out_of_band": "email.bounced",
            "policy_rejection": "email.rejected",
            "generation_rejection": "email.rejected",
            "generation_failure": "email.failed",
            "spam_complaint": "email.complained",
            "open": "email.opened",
            "initial_open": "email.opened",
            "click": "email.clicked",
            "list_unsubscribe": "email.unsubscribed",
            "link_unsubscribe": "email.unsubscribed",
        },
        **fields,
    )


def _brevo(name: str, **fields: Any) -> WebhookScheme:
    return WebhookScheme(
        name=name,
        signature="{header:Authorization}",
        # Brevo gives its events no id, and repeats a webhook with the same body.
        id="{json:message-id?}.{json:event}.{body_sha256}",
        type="{json:event}",
        time="{json:ts_event?}",
        types={
            "request": "email.queued",
            "sent": "email.queued",
            "delivered": "email.delivered",
            "deferred": "email.deferred",
            "soft_bounce": "email.bounced",
            "hard_bounce": "email.bounced",
            "blocked": "email.rejected",
            "invalid_email": "email.rejected",
            "error": "email.failed",
            "opened": "email.opened",
            "unique_opened": "email.opened",
            "proxy_open": "email.opened",
            "unique_proxy_open": "email.opened",
            "click": "email.clicked",
            "spam": "email.complained",
            "complaint": "email.complained",
            "unsubscribe": "email.unsubscribed",
            "unsubscribed": "email.unsubscribed",
        },
        **fields,
    )


def _sendgrid_inbound(name: str, **fields: Any) -> WebhookScheme:
    # Received mail arrives as a form with files. It has no id, and a repeat has the same body.
    return WebhookScheme(name=name, body="form", **fields)


MESSAGING: Final = (
    _twilio("twilio", algorithm="hmac-sha1"),
    _twilio("twilio-shared-key", algorithm="hmac-sha256"),
    WebhookScheme(
        name="sendgrid",
        signature="{header:X-Twilio-Email-Event-Webhook-Signature}",
        signs="{header:X-Twilio-Email-Event-Webhook-Timestamp}{body}",
        algorithm="ecdsa-p256-sha256",
        encoding="base64",
        timestamp="{header:X-Twilio-Email-Event-Webhook-Timestamp}",
        # SendGrid retries for a day.
        tolerance=_DAY + 3_600,
        items=".",
        id="{json:sg_event_id}",
        type="{json:event}",
        time="{json:timestamp}",
        types={
            "processed": "email.queued",
            "delivered": "email.delivered",
            "deferred": "email.deferred",
            "bounce": "email.bounced",
            "dropped": "email.rejected",
            "open": "email.opened",
            "click": "email.clicked",
            "spamreport": "email.complained",
            "unsubscribe": "email.unsubscribed",
            "group_unsubscribe": "email.unsubscribed",
            "group_resubscribe": "email.subscribed",
        },
    ),
    _sendgrid_inbound(
        "sendgrid-inbound",
        signature="{header:X-Twilio-Email-Event-Webhook-Signature}",
        signs="{header:X-Twilio-Email-Event-Webhook-Timestamp}{body}",
        algorithm="ecdsa-p256-sha256",
        encoding="base64",
        timestamp="{header:X-Twilio-Email-Event-Webhook-Timestamp}",
        # SendGrid retries for three days.
        tolerance=3 * _DAY + 3_600,
    ),
    # Without a security policy, SendGrid does not sign received mail: its URL contains a user name
    # and a password.
    _sendgrid_inbound(
        "sendgrid-inbound-basic", signature="{header:Authorization}", algorithm="basic"
    ),
    WebhookScheme(
        name="mailgun",
        signature="{json:signature.signature}",
        # Mailgun's signature covers only the time and a token, not the body.
        signs="{json:signature.timestamp}{json:signature.token}",
        timestamp="{json:signature.timestamp}",
        # Mailgun retries for eight hours.
        tolerance=8 * 3_600 + 900,
        id="{json:signature.token}",
        type="{json:event-data.event}",
        time="{json:event-data.timestamp}",
        data="event-data",
        outcome="{json:event-data.severity?}",
        types={
            "accepted": "email.queued",
            "delivered": "email.delivered",
            "failed": "email.failed",
            # Mailgun tries again.
            "failed:temporary": "email.deferred",
            "opened": "email.opened",
            "clicked": "email.clicked",
            "unsubscribed": "email.unsubscribed",
            "complained": "email.complained",
            "rejected": "email.rejected",
        },
    ),
    # A route of Mailgun forwards received mail as a form, with the same weak signature.
    WebhookScheme(
        name="mailgun-inbound",
        signature="{form:signature}",
        signs="{form:timestamp}{form:token}",
        body="form",
        timestamp="{form:timestamp}",
        # Mailgun retries for eight hours.
        tolerance=8 * 3_600 + 900,
        id="{form:token}",
        time="{form:timestamp}",
    ),
    WebhookScheme(
        name="mailersend",
        signature="{header:Signature}",
        # Webhooks that are not about messages have no id.
        id="{json:type}.{json:data.id?}",
        type="{json:type}",
        time="{json:created_at?}",
        time_form="iso",
        types={
            "activity.queued": "email.queued",
            "activity.sent": "email.sent",
            "activity.delivered": "email.delivered",
            "activity.deferred": "email.deferred",
            "activity.soft_bounced": "email.bounced",
            "activity.hard_bounced": "email.bounced",
            "activity.suppressed": "email.rejected",
            "activity.opened": "email.opened",
            "activity.opened_unique": "email.opened",
            "activity.clicked": "email.clicked",
            "activity.clicked_unique": "email.clicked",
            "activity.unsubscribed": "email.unsubscribed",
            "activity.spam_complaint": "email.complained",
            "inbound.message": "email.received",
        },
    ),
    WebhookScheme(
        name="mailtrap",
        signature="{header:Mailtrap-Signature}",
        items="events",
        id="{json:event_id}",
        type="{json:event}",
        time="{json:timestamp}",
        types={
            "delivery": "email.delivered",
            "soft bounce": "email.deferred",
            "bounce": "email.bounced",
            "suspension": "email.deferred",
            "reject": "email.rejected",
            "open": "email.opened",
            "click": "email.clicked",
            "spam": "email.complained",
            "unsubscribe": "email.unsubscribed",
        },
    ),
    # Mandrill's events have the id of their message, and none of their own: one of the same second
    # is told apart by its place in the body. Changes of its lists have a type instead of an event.
    WebhookScheme(
        name="mandrill",
        signature="{header:X-Mandrill-Signature}",
        signs="{url}{sorted_form}",
        algorithm="hmac-sha1",
        encoding="base64",
        body="form",
        items=".",
        type="{json:event?}{json:type?}",
        time="{json:ts?}",
        types={
            "send": "email.sent",
            "deferral": "email.deferred",
            "delivered": "email.delivered",
            "hard_bounce": "email.bounced",
            "soft_bounce": "email.bounced",
            "open": "email.opened",
            "click": "email.clicked",
            "spam": "email.complained",
            "unsub": "email.unsubscribed",
            "reject": "email.rejected",
            "inbound": "email.received",
        },
    ),
    # Postal signs requests about events and received mail alike, and these have no event. It also
    # signs with SHA-1, and releases before 3.2 sign with nothing else.
    WebhookScheme(
        name="postal",
        signature="{header:X-Postal-Signature-256}",
        algorithm="rsa-v1_5-sha256",
        encoding="base64",
        weaker_headers=("X-Postal-Signature",),
        id="{json:uuid?}{json:id?}",
        type="{json:event?}",
        time="{json:timestamp?}",
        types={
            "MessageSent": "email.delivered",
            "MessageDelayed": "email.deferred",
            "MessageDeliveryFailed": "email.bounced",
            "MessageHeld": "email.queued",
            "MessageBounced": "email.bounced",
            "MessageLinkClicked": "email.clicked",
            "MessageLoaded": "email.opened",
            "": "email.received",
        },
    ),
    # Unisender Go signs with the API key, which it puts in place of the signature. Its events have
    # no id: equal ones in a body are told apart by their place.
    WebhookScheme(
        name="unisender-go",
        signature="{json:auth}",
        algorithm="md5-key-in-body",
        items="events_by_user.*.events.*",
        type="{json:event_data.status?}{json:event_data.domain_status?}",
        time="{json:event_data.event_time?}{json:event_data.block_time?}",
        time_form="iso",
        types={
            "accepted": "email.queued",
            "sent": "email.sent",
            "delivered": "email.delivered",
            "soft_bounced": "email.deferred",
            "hard_bounced": "email.bounced",
            "opened": "email.opened",
            "clicked": "email.clicked",
            "unsubscribed": "email.unsubscribed",
            "subscribed": "email.subscribed",
            "spam": "email.complained",
        },
    ),
    # Postmark signs nothing: the webhook's URL contains a user name and a password.
    WebhookScheme(
        name="postmark",
        signature="{header:Authorization}",
        algorithm="basic",
        # Times are in whole seconds, and one message can reach many recipients in a second. A
        # suppression by hand has no message id.
        id="{json:RecordType}.{json:MessageID?}.{body_sha256}",
        type="{json:RecordType}",
        time="{json:DeliveredAt?}{json:BouncedAt?}{json:ReceivedAt?}{json:ChangedAt?}",
        time_form="iso",
        # A bounce has a type, and a change of a subscription has the other two fields.
        outcome="{json:Type?}{json:SuppressSending?}{json:SuppressionReason?}",
        types={
            "Delivery": "email.delivered",
            "Bounce": "email.bounced",
            **{f"Bounce:{kind}": name for kind, name in _POSTMARK_BOUNCES.items()},
            "SpamComplaint": "email.complained",
            "Open": "email.opened",
            "Click": "email.clicked",
            "SubscriptionChange": "email.unsubscribed",
            "SubscriptionChange:trueHardBounce": "email.bounced",
            "SubscriptionChange:trueSpamComplaint": "email.complained",
            "SubscriptionChange:false": "email.subscribed",
            "Inbound": "email.received",
        },
    ),
    # Mailjet signs nothing, and its events have no id: events of the same second are distinguished
    # by their positions in the body.
    WebhookScheme(
        name="mailjet",
        signature="{header:Authorization}",
        algorithm="basic",
        items=".",
        type="{json:event}",
        time="{json:time}",
        types={
            "sent": "email.delivered",
            "open": "email.opened",
            "click": "email.clicked",
            "bounce": "email.bounced",
            "blocked": "email.rejected",
            "spam": "email.complained",
            "unsub": "email.unsubscribed",
        },
    ),
    _sparkpost("sparkpost", algorithm="basic"),
    # The bearer token that the authorization server issues to SparkPost.
    _sparkpost("sparkpost-oauth2", algorithm="token", prefix="Bearer "),
    # Brevo signs nothing: it sends the webhook's token, or the user name and password in its URL.
    _brevo("brevo", algorithm="token", prefix="Bearer "),
    _brevo("brevo-basic", algorithm="basic"),
    _sns("aws-sns", "rsa-v1_5-sha256", "2"),
    # Topics that were never set to version 2 still sign with SHA-1.
    _sns("aws-sns-sha1", "rsa-v1_5-sha1", "1"),
    # For an account that uses the signature method SHA-256 HMAC, which is chosen in the dashboard.
    WebhookScheme(
        name="vonage",
        signature="{json:sig}",
        signs="{pairs:sig}",
        encoding="hex-any-case",
        body="either",
        timestamp="{json:timestamp}",
        # Vonage retries for a day.
        tolerance=_DAY + 3_600,
        id="{json:messageId}.{json:status?}",
        type="{json:status?}{json:type?}",
        time="{json:timestamp}",
        types={
            "accepted": "message.sent",
            "buffered": "message.queued",
            "delivered": "message.delivered",
            "expired": "message.failed",
            "failed": "message.failed",
            "rejected": "message.failed",
            "text": "message.received",
            "unicode": "message.received",
            "binary": "message.received",
        },
    ),
    _plivo(
        "plivo",
        "V3",
        signs="{url_query_sorted}{sorted_form}.{header:X-Plivo-Signature-V3-Nonce}",
        separator=",",
        weaker_headers=("X-Plivo-Signature-V2", "X-Plivo-Signature-Ma-V2"),
    ),
    # Plivo's version 2 signature does not cover the body.
    _plivo("plivo-v2", "V2", signs="{url_without_query}{header:X-Plivo-Signature-V2-Nonce}"),
    # Infobip's HMAC signature is not documented, so its webhooks carry a user name and a password.
    WebhookScheme(
        name="infobip",
        signature="{header:Authorization}",
        algorithm="basic",
        items="results",
        id="{json:messageId}.{json:status.name?}",
        type="{json:status.name?}",
        time="{json:doneAt?}{json:receivedAt?}",
        time_form="iso",
        types={
            "PENDING_ACCEPTED": "message.queued",
            "PENDING_ENROUTE": "message.sent",
            "PENDING_WAITING_DELIVERY": "message.sent",
            "DELIVERED_TO_OPERATOR": "message.sent",
            "DELIVERED_TO_HANDSET": "message.delivered",
        },
    ),
    # For a service plan with a secret for HMAC, which Sinch sets up on request.
    WebhookScheme(
        name="sinch",
        signature="{header:x-sinch-webhook-signature}",
        signs="{body}.{header:x-sinch-webhook-signature-nonce}"
        ".{header:x-sinch-webhook-signature-timestamp}",
        encoding="base64",
        timestamp="{header:x-sinch-webhook-signature-timestamp}",
        # Sinch retries for nearly a day.
        tolerance=_DAY + 3_600,
        # A report has no id, and a message can have several reports.
        id="{json:batch_id?}{json:id?}.{body_sha256}",
        type="{json:type}.{json:status?}",
        time="{json:at?}{json:received_at?}",
        time_form="iso",
        types={
            **{
                f"recipient_delivery_report_{medium}.{status}": event
                for medium in ("sms", "mms")
                for status, event in _SINCH_STATUSES.items()
            },
            "mo_text": "message.received",
            "mo_media": "message.received",
            "mo_binary": "message.received",
        },
    ),
    # Telnyx signs with one key for all webhooks of an account, whose public half the portal shows.
    WebhookScheme(
        name="telnyx",
        signature="{header:telnyx-signature-ed25519}",
        signs="{header:telnyx-timestamp}|{body}",
        algorithm="ed25519",
        encoding="base64",
        timestamp="{header:telnyx-timestamp}",
        tolerance=300,
        id="{json:data.id}",
        type="{json:data.event_type}",
        time="{json:data.occurred_at}",
        time_form="iso",
        data="data.payload",
        outcome="{json:data.payload.to.0.status?}",
        types={
            "message.sent": "message.sent",
            "message.received": "message.received",
            **{f"message.finalized:{status}": event for status, event in _TELNYX_STATUSES.items()},
        },
    ),
    # For an account that lets MessageMedia sign, with a key that was created with SHA-256.
    WebhookScheme(
        name="messagemedia",
        signature="{header:X-MessageMedia-Signature}",
        signs="{method} {url_path} HTTP/1.1{header:Date}{body}",
        algorithm="rsa-v1_5-sha256",
        encoding="base64",
        timestamp="{header:Date}",
        timestamp_form="http",
        tolerance=3_600,
        # A received message has no status; the owner of its number may have opted out by it.
        id="{json:delivery_report_id?}{json:reply_id?}{json:notification_id?}",
        type="{json:status?}",
        time="{json:date_received?}",
        time_form="iso",
        types={**_MESSAGEMEDIA_STATUSES, "": "message.received"},
    ),
    WebhookScheme(
        name="telegram",
        signature="{header:X-Telegram-Bot-Api-Secret-Token}",
        algorithm="token",
        id="{json:update_id}",
    ),
)
