"""Signing of test webhooks like a vendor, for schemes with a shared secret."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC
from email.utils import format_datetime
from hmac import digest
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from moorage.domain.webhooks.algorithms import WebhookAlgorithm, WebhookEncoding, hmac_key
from moorage.domain.webhooks.choices import TimeForm
from moorage.domain.webhooks.delivery import Delivery
from moorage.domain.webhooks.template import TemplateValues
from moorage.errors import ConfigurationError, ConnectorError
from moorage.parts.webhook_verifier import WebhookVerifier
from moorage.wiring.installed_vendors import webhook_scheme

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from moorage.domain.secrets.secret import Secret
    from moorage.domain.webhooks.scheme import WebhookScheme
    from moorage.domain.webhooks.template import Template

_HASHES: Final = {
    WebhookAlgorithm.HMAC_SHA1_LEGACY: "sha1",
    WebhookAlgorithm.HMAC_SHA256: "sha256",
    WebhookAlgorithm.HMAC_SHA384: "sha384",
    WebhookAlgorithm.HMAC_SHA512: "sha512",
}
_HEADER, _MARK = "header", "mark"


class _SignedParts(NamedTuple):
    """The parts of a webhook that may be signed."""

    body: bytes
    id: str
    at: datetime
    parameters: Mapping[str, str]
    url: str


def signed_headers(
    name: str,
    secret: Secret,
    body: bytes,
    *,
    id: str | None,
    at: datetime,
    parameters: Mapping[str, str],
    url: str,
) -> dict[str, str]:
    """Return the headers that sign a body by a scheme.

    Raises:
        ConfigurationError: the scheme has no shared secret, or a signed part is missing.
    """
    scheme = webhook_scheme(name)
    try:
        parts = _SignedParts(body, id or "msg_1", at, parameters, url)
        headers = _sign(scheme, secret, parts)
        verifier = WebhookVerifier(scheme, secret, parameters=parameters, replay_guard=False)
        verifier.verify(headers=headers, body=body, url=url)
    except ConfigurationError:
        raise
    except ConnectorError as error:
        raise ConfigurationError(
            f"The webhook cannot be signed for {name}: {error.message}",
            path="scheme",
            remedy="Pass every part that the scheme signs, such as --body and --parameter.",
        ) from None
    return headers


def _sign(scheme: WebhookScheme, secret: Secret, parts: _SignedParts) -> dict[str, str]:
    signature_header = _single_placeholder(scheme.signature[0], _HEADER)
    key = hmac_key(secret, scheme.secret_form, scheme.secret_prefix)
    if scheme.algorithm not in _HASHES or signature_header is None or key is None:
        raise ConfigurationError(
            f"{scheme.name} has no shared secret, or the secret has a wrong format.",
            path="scheme",
            remedy="Use a scheme with a shared secret, and pass the secret as the vendor shows it.",
        )
    timestamp = timestamp_text(scheme.timestamp_form, parts.at)
    timestamp_template = scheme.timestamp
    headers: dict[str, str] = {}
    for template in (*scheme.signs[:1], *filter(None, (timestamp_template, scheme.id))):
        for kind, argument, _ in _placeholders(template):
            if kind == _HEADER and argument != signature_header:
                headers[argument] = (
                    timestamp if template == timestamp_template else headers.get(argument, parts.id)
                )
    marks = [
        f"{argument}={timestamp}"
        for kind, argument, _ in _placeholders(timestamp_template)
        if kind == _MARK
    ]
    delivery = Delivery(headers, parts.body, names=frozenset(headers), url=parts.url)
    content = scheme.signs[0].fill(TemplateValues(delivery, None, parts.parameters, marks))
    signature = digest(key, content, _HASHES[scheme.algorithm])
    encoded_signature = _encoded_body(signature, scheme.encoding)
    text = scheme.separator.join([*marks, f"{scheme.prefix}{encoded_signature}"])
    return {**headers, signature_header: text}


def _placeholders(template: Template | None) -> list[tuple[str, str, bool]]:
    pieces: list[Any] = [] if template is None else template.pieces
    return [piece for piece in pieces if not isinstance(piece, bytes)]


def _single_placeholder(template: Template, kind: str) -> str | None:
    places = _placeholders(template)
    return places[0][1] if len(places) == 1 and places[0][0] == kind else None


def timestamp_text(form: TimeForm, at: datetime) -> str:
    """Return a time in the form that a signature scheme prescribes."""
    moment = at.astimezone(UTC).replace(microsecond=0)
    if form is TimeForm.ISO:
        return moment.isoformat()
    if form is TimeForm.HTTP:
        return format_datetime(moment, usegmt=True)
    seconds = at.timestamp()
    return str(int(seconds * 1000) if form is TimeForm.MILLISECONDS else int(seconds))


def _encoded_body(signature: bytes, encoding: WebhookEncoding) -> str:
    if encoding in {WebhookEncoding.HEX, WebhookEncoding.HEX_ANY_CASE}:
        return signature.hex()
    text = b64encode(signature).decode()
    return (
        text if encoding is WebhookEncoding.BASE64 else text.translate({43: "-", 47: "_", 61: ""})
    )
