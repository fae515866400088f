"""Webhook schemes that do not belong to one vendor, such as Standard Webhooks."""

from __future__ import annotations

from typing import Final

from moorage.domain.webhooks.scheme import WebhookScheme


def standard(name: str, headers: str = "webhook", **fields: object) -> WebhookScheme:
    """Return the scheme of Standard Webhooks with another prefix of header names."""
    shared_options: dict[str, object] = {
        "name": name,
        "signature": f"{{header:{headers}-signature}}",
        "signs": f"{{header:{headers}-id}}.{{header:{headers}-timestamp}}.{{body}}",
        "encoding": "base64",
        "separator": " ",
        "prefix": "v1,",
        "secret_form": "base64",
        "secret_prefix": "whsec_",
        "timestamp": f"{{header:{headers}-timestamp}}",
        "tolerance": 300,
        "id": f"{{header:{headers}-id}}",
        "type": "{json:type}",
        "time": "{json:timestamp}",
        "time_form": "iso",
        "data": "data",
    }
    return WebhookScheme(**(shared_options | fields))  # type: ignore[arg-type]  # converted, and checked there


STANDARDS: Final = (
    standard("standard-webhooks"),
    standard(
        "standard-webhooks-ed25519",
        algorithm="ed25519",
        prefix="v1a,",
        secret_form="text",
        secret_prefix="",
    ),
    standard("svix", "svix"),
    # A token in a header; both sides have agreed on it.
    WebhookScheme(
        name="bearer-token", signature="{header:Authorization}", prefix="Bearer ", algorithm="token"
    ),
    # A token in the URL; the logs of every proxy on the way contain it.
    WebhookScheme(name="url-token", signature="{query:token}", algorithm="token"),
    WebhookScheme(name="basic-auth", signature="{header:Authorization}", algorithm="basic"),
    # The TLS proxy passes on the client's certificate (RFC 9440), and drops headers of this name
    # from clients. The secret is the SHA-256 of the certificate.
    WebhookScheme(
        name="client-certificate",
        signature="{header:Client-Cert}",
        algorithm="client-certificate",
    ),
)
