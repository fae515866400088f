"""Signing as a vendor would, for schemes whose secret both sides know."""

from __future__ import annotations

from base64 import b64encode
from hmac import digest
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from moorage.domain.webhooks.algorithms import WebhookAlgorithm, WebhookEncoding, hmac_key
from moorage.domain.webhooks.choices import TimeForm
from moorage.domain.webhooks.delivery import Delivery
from moorage.domain.webhooks.presets import preset
from moorage.domain.webhooks.template import Scene
from moorage.errors import ConfigurationError, ConnectorError
from moorage.parts.webhook_verifier import WebhookVerifier

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from moorage.domain.secret import Secret
    from moorage.domain.webhooks.scheme import WebhookScheme
    from moorage.domain.webhooks.template import Template

_HASHES: Final = {
    WebhookAlgorithm.HMAC_SHA1_LEGACY: "sha1",
    WebhookAlgorithm.HMAC_SHA256: "sha256",
    WebhookAlgorithm.HMAC_SHA384: "sha384",
    WebhookAlgorithm.HMAC_SHA512: "sha512",
}
_HEADER, _MARK = "header", "mark"


class _Said(NamedTuple):
    """What is signed."""

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
    """The headers to send a body with, which a verifier of the scheme takes.

    Raises:
        ConfigurationError: only the vendor can sign so, or something is missing that is signed.
    """
    scheme = preset(name)
    try:
        said = _Said(body, id or "msg_1", at, parameters, url)
        headers = _signed(scheme, secret, said)
        verifier = WebhookVerifier(scheme, secret, parameters=parameters, replay_guard=False)
        verifier.verify(headers=headers, body=body, url=url)
    except ConfigurationError:
        raise
    except ConnectorError as error:
        raise ConfigurationError(
            f"a webhook like this cannot be signed for {name}: {error.message}",
            path="scheme",
            remedy="Give what the scheme signs, as with --body and --parameter.",
        ) from None
    return headers


def _signed(scheme: WebhookScheme, secret: Secret, said: _Said) -> dict[str, str]:
    place = _only(scheme.signature[0], _HEADER)
    key = hmac_key(secret, scheme.secret_form, scheme.secret_prefix)
    if scheme.algorithm not in _HASHES or place is None or key is None:
        raise ConfigurationError(
            f"only the vendor can sign as {scheme.name} says, or this is no secret of it.",
            path="scheme",
            remedy="Use a scheme with a shared secret, in the form that the vendor gives it.",
        )
    stamp = _stamp(scheme.timestamp_form, said.at)
    timed = scheme.timestamp
    headers: dict[str, str] = {}
    for template in (*scheme.signs[:1], *filter(None, (timed, scheme.id))):
        for kind, argument, _ in _places(template):
            if kind == _HEADER and argument != place:
                headers[argument] = stamp if template == timed else headers.get(argument, said.id)
    marks = [f"{argument}={stamp}" for kind, argument, _ in _places(timed) if kind == _MARK]
    wanted = frozenset[str | bytes]([*headers, *(one.encode() for one in headers)])
    delivery = Delivery(headers, said.body, wanted=wanted, url=said.url)
    content = scheme.signs[0].fill(Scene(delivery, None, said.parameters, marks))
    made = digest(key, content, _HASHES[scheme.algorithm])
    written = _written(made, scheme.encoding)
    text = scheme.separator.join([*marks, f"{scheme.prefix}{written}"])
    return {**headers, place: text}


def _places(template: Template | None) -> list[tuple[str, str, bool]]:
    pieces: list[Any] = [] if template is None else template.pieces
    return [piece for piece in pieces if not isinstance(piece, bytes)]


def _only(template: Template, kind: str) -> str | None:
    places = _places(template)
    return places[0][1] if len(places) == 1 and places[0][0] == kind else None


def _stamp(form: TimeForm, at: datetime) -> str:
    seconds = at.timestamp()
    return str(int(seconds * 1000) if form is TimeForm.MILLISECONDS else int(seconds))


def _written(made: bytes, encoding: WebhookEncoding) -> str:
    if encoding in {WebhookEncoding.HEX, WebhookEncoding.HEX_ANY_CASE}:
        return made.hex()
    text = b64encode(made).decode()
    return (
        text if encoding is WebhookEncoding.BASE64 else text.translate({43: "-", 47: "_", 61: ""})
    )
