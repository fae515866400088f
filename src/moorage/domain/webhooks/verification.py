"""The full verification of webhooks: the decision to accept one, and its events.

Laws:

1. `examine` only reads: it determines which key is needed, and trusts nothing. `decide` trusts only
   content that the owner's key has signed.
2. Every item of a batch is verified, or all are refused.
3. A signature weaker than the scheme's is never used.
4. Replays are recognised by their signed content, so that an attacker cannot give one a new id.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote

from moorage.domain.values.durations import FOREVER, SECOND
from moorage.domain.webhooks.algorithms import JWTS, PLAIN, WebhookAlgorithm
from moorage.domain.webhooks.choices import BodyForm, TimeForm
from moorage.domain.webhooks.delivery import Delivery, json_of
from moorage.domain.webhooks.events import WebhookEvent, read_stamp, read_time
from moorage.domain.webhooks.handshakes import confirmation, expected_answer, reply_to_signed_check
from moorage.domain.webhooks.payloads import items_of, payload_of
from moorage.domain.webhooks.rejection import WebhookReason, rejection_error
from moorage.domain.webhooks.template import MOST_SIGNATURES, TemplateValues, as_text, at_path
from moorage.domain.webhooks.tokens import Token, read_token
from moorage.errors import WebhookRejected

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from moorage.domain.secrets.secret import Secret
    from moorage.domain.webhooks.algorithms import Check
    from moorage.domain.webhooks.replies import WebhookReply
    from moorage.domain.webhooks.scheme import WebhookScheme
    from moorage.domain.webhooks.template import Template

_CLOCK_DIFFERENCE: Final = 60.0
"""Seconds by which a store's clock may be ahead of the verifier's."""


class ExaminedWebhook(NamedTuple):
    """The values in a webhook that are not verified yet."""

    scene: TemplateValues
    parts: list[tuple[Any, list[str]]]
    """Each batch item with its signatures; one entry if the whole body is signed."""
    token: Token | None
    key_id: str | None
    certificate: str | None


class Key(NamedTuple):
    """A secret or public key, prepared for checking signatures."""

    check: Check
    secret: Secret | None = None


def examine(
    scheme: WebhookScheme,
    delivery: Delivery,
    parameters: Mapping[str, str],
    now: datetime,
    tolerance: float | None,
) -> ExaminedWebhook:
    """Return the unverified values of a webhook that its scheme needs.

    A delivery that no key could verify is refused.
    """
    values = TemplateValues(delivery, None, parameters, [])
    if scheme.reads_body:
        values = TemplateValues(delivery, payload_of(scheme, delivery), parameters, values.marks)
    for place, value in scheme.requires:
        _require_mark(place, value, values)
    if scheme.each_signed:
        items = items_of(values.item, scheme.items)
        parts = [(item, _signatures(scheme, values.of(item), now)) for item in items]
        if not parts:
            raise rejection_error(WebhookReason.MISSING, "The webhook has no signed items.")
    else:
        parts = [(values.item, _signatures(scheme, values, now))]
    token = None
    if scheme.algorithm in JWTS:
        token = read_token(parts[0][1][0], scheme.algorithm)
        delivery.claims = token.claims
        parts = [(values.item, [token.signature])]
        _check_span(token.claims, now, tolerance or 0.0)
    if scheme.timestamp is not None and tolerance is not None:
        _check_time(scheme, scheme.timestamp, values, now, tolerance)
    key_id = token.key_id if token else None
    if scheme.key_id is not None:
        key_id = scheme.key_id.read(values)
    certificate = None
    if scheme.certificate is not None:
        certificate = scheme.certificate.fill(values).decode("utf-8", "replace")
    return ExaminedWebhook(values, parts, token, key_id, certificate)


def _require_mark(place: Template, required: str, scene: TemplateValues) -> None:
    expected_value = required.format_map(scene.parameters)
    if place.read(scene) == expected_value:
        return
    if expected_value != required:
        raise rejection_error(
            WebhookReason.FOREIGN, f"In the webhook, {place.words} names another receiver."
        )
    raise rejection_error(
        WebhookReason.DOWNGRADED, f"In the webhook, {place.words} is not {required}."
    )


def _signatures(scheme: WebhookScheme, scene: TemplateValues, now: datetime) -> list[str]:
    texts: list[str] = []
    for place in scheme.signature:
        texts += _texts(scheme, place, scene)
    if not texts:
        if any(scene.delivery.lines(name.lower()) for name in scheme.weaker_headers):
            raise rejection_error(
                WebhookReason.DOWNGRADED, "The webhook has only a signature of a weaker algorithm."
            )
        raise rejection_error(
            WebhookReason.MISSING,
            "The webhook has no signature.",
            remedy=f"Check {' or '.join(place.words for place in scheme.signature[:2])}:"
            " does the request come from the vendor, and does every proxy forward this"
            " part?",
        )
    parts = texts
    if scheme.separator:
        parts = [part.strip() for text in texts for part in text.split(scheme.separator)]
    if len(parts) > MOST_SIGNATURES:
        raise rejection_error(WebhookReason.MALFORMED, "The webhook has too many signatures.")
    scene.marks[:] = parts
    prefix = scheme.prefix
    if prefix:
        if scene.parameters:
            prefix = prefix.format_map(scene.parameters)
        signatures = [part[len(prefix) :] for part in parts if part.startswith(prefix)]
        if not signatures:
            raise rejection_error(
                WebhookReason.DOWNGRADED, f"No signature of the webhook begins with {scheme.prefix}"
            )
    else:
        signatures = [*parts]
    if scheme.algorithm is WebhookAlgorithm.CLIENT_CERTIFICATE:
        return _fingerprints(signatures, now)
    return signatures


def _texts(scheme: WebhookScheme, place: Template, scene: TemplateValues) -> Sequence[str]:
    kind, _, name = place.places[0].partition(":")
    if scheme.repeats and kind == "header":
        return scene.delivery.lines(name.lower())
    text = place.read(scene)
    return (text,) if text else ()


def _fingerprints(certificates: Sequence[str], now: datetime) -> list[str]:
    from moorage.domain.webhooks.public_keys import fingerprint  # noqa: PLC0415 - loads OpenSSL

    fingerprints = [fingerprint(text, now) for text in certificates]
    if None in fingerprints:
        raise rejection_error(
            WebhookReason.CERTIFICATE, "The client's certificate is missing, invalid or expired."
        )
    return [text for text in fingerprints if text is not None]


def _check_time(
    scheme: WebhookScheme, place: Template, scene: TemplateValues, now: datetime, tolerance: float
) -> None:
    text = place.fill(scene).decode("utf-8", "replace")
    moment = read_stamp(text, scheme.timestamp_form)
    if moment is None:
        raise rejection_error(WebhookReason.MALFORMED, "The webhook's timestamp is not a time.")
    allowed_drift = timedelta(seconds=tolerance)
    remedy = (
        "Do not process the webhook. If the sender is genuine, set this machine's clock, or handle"
    )
    if now - moment > allowed_drift:
        raise rejection_error(
            WebhookReason.STALE,
            f"The webhook is more than {tolerance:g} seconds old.",
            remedy=f"{remedy} webhooks sooner.",
        )
    if moment - now > allowed_drift:
        raise rejection_error(
            WebhookReason.FUTURE,
            f"The webhook is from more than {tolerance:g} seconds in the future.",
            remedy=f"{remedy} it again later.",
        )


def acceptable_for(tolerance: float | None) -> float:
    """Return the seconds for which a webhook's signed time is acceptable; 0.0 for no limit.

    A delivery from the future is accepted from `tolerance` seconds before its time on, and until
    `tolerance` seconds after it. Small differences between clocks are allowed for.
    """
    if tolerance is None:
        return 0.0
    return min(2 * tolerance + _CLOCK_DIFFERENCE, float(FOREVER // SECOND))


def _check_span(claims: Mapping[str, Any], now: datetime, tolerance: float) -> None:
    for name, reason in (("exp", WebhookReason.STALE), ("nbf", WebhookReason.FUTURE)):
        text = as_text(claims.get(name))
        if text is None and name not in claims:
            continue
        moment = read_time(text, TimeForm.SECONDS)
        if moment is None:
            raise rejection_error(WebhookReason.MALFORMED, f"The token's {name} is not a time.")
        late_duration = now - moment if name == "exp" else moment - now
        if late_duration > timedelta(seconds=tolerance):
            raise rejection_error(reason, f"The token's {name} does not allow its use now.")


# --- deciding -----------------------------------------------------------------------


def decide(
    scheme: WebhookScheme,
    examined_webhook: ExaminedWebhook,
    keys: Sequence[Key],
    tenant: str | None = None,
) -> tuple[WebhookEvent, ...]:
    """Return a webhook's events if any of these keys signed all its parts; else raise an error.

    Raises:
        WebhookRejected: none of the keys made the signature, or the signed text cannot be read.
    """
    values = examined_webhook.scene
    contents: list[bytes] = []
    secret: Secret | None = None
    for item, signatures in examined_webhook.parts:
        content, secret = _matched_signature(
            scheme, examined_webhook.token, values.of(item), signatures, keys
        )
        contents.append(content)
    if scheme.digest is not None:
        _check_digest(scheme.digest, values)
    payload = values.item if values.item is not None else payload_of(scheme, values.delivery)
    reply = reply_to_signed_check(scheme.handshake, payload, () if secret is None else (secret,))
    answer = expected_answer(scheme.handshake, values.delivery)
    items = [payload] if reply is not None else items_of(payload, scheme.items)
    event_ids = _EventIds(contents)
    return tuple(
        _event(
            scheme,
            values.of(item),
            event_ids.of(number),
            tenant=tenant,
            reply=reply,
            answer=answer,
        )
        for number, item in enumerate(items)
    )


class _EventIds:
    """Create ids for events without an id, so that replays of an event are recognised."""

    def __init__(self, contents: list[bytes]) -> None:
        self._contents = contents
        self._digests: dict[int, str] = {}

    def of(self, number: int) -> Callable[[], str]:
        """Return a function that returns the id of the batch item with this number."""
        part = min(number, len(self._contents) - 1)

        def event_id() -> str:
            from hashlib import sha256  # noqa: PLC0415 - loads OpenSSL

            if part not in self._digests:
                self._digests[part] = sha256(self._contents[part]).hexdigest()
            return self._digests[part] if part == number else f"{self._digests[part]}.{number}"

        return event_id


def _matched_signature(
    scheme: WebhookScheme,
    token: Token | None,
    scene: TemplateValues,
    signatures: Sequence[str],
    keys: Sequence[Key],
) -> tuple[bytes, Secret | None]:
    """Return the text that was signed, and the secret that signed it."""
    if token is not None:
        contents = [token.content]
    elif scheme.algorithm in PLAIN:
        contents = [scene.delivery.body]
    else:
        contents = [template.fill(scene) for template in scheme.signs]
    for content in contents:
        for key in keys:
            if key.check(content, signatures):
                return content, key.secret
    raise rejection_error(
        WebhookReason.SIGNATURE,
        "The signature of the webhook does not match any secret.",
        remedy=(
            "Do not process the webhook. If the sender is genuine, check the secret, and"
            " pass the body exactly as it was received"
        )
        + (", and the URL exactly as the vendor knows it." if "url" in scheme.covers else "."),
    )


def _check_digest(place: Template, scene: TemplateValues) -> None:
    from hashlib import sha256  # noqa: PLC0415 - loads OpenSSL
    from hmac import compare_digest  # noqa: PLC0415 - loads OpenSSL

    delivery = scene.delivery
    claimed_digest = place.read(scene)
    if claimed_digest is None:
        if not delivery.body or ("?" in place.text and delivery.is_form()):
            return
        raise rejection_error(WebhookReason.MISSING, f"The webhook lacks {place.words}.")
    digest = sha256(delivery.body).hexdigest()
    if not compare_digest(digest.encode(), claimed_digest.encode("utf-8", "surrogatepass")):
        raise rejection_error(WebhookReason.SIGNATURE, "The body differs from the signed body.")


class Reader:
    """A parser for webhooks that the fast path accepted; it parses a webhook at its first use."""

    def __init__(self, scheme: WebhookScheme, parameters: Mapping[str, str], name: str) -> None:
        self._scheme = scheme
        self._parameters = parameters
        self._name = name

    def payload(self, values: dict[str, str], body: bytes) -> Any:
        """Return the webhook's payload without parsing the other fields."""
        try:
            if self._scheme.body is BodyForm.JSON:
                return json_of(body)
            return payload_of(self._scheme, self._delivery(values, body))
        except WebhookRejected as error:
            error.service = self._name
            raise

    def event(self, values: dict[str, str], body: bytes, tenant: str | None) -> WebhookEvent:
        """Return the webhook's payload as one event."""
        scheme, payload = self._scheme, self.payload(values, body)
        delivery = self._delivery(values, body)
        text = scheme.signature[0].read(TemplateValues(delivery, None, self._parameters, [])) or ""
        items = text.split(scheme.separator) if scheme.separator else [text]
        parts = [item.strip() for item in items]
        template_values = TemplateValues(delivery, payload, self._parameters, parts)

        def event_id() -> str:
            return _EventIds([scheme.signs[0].fill(template_values)]).of(0)()

        try:
            return _event(scheme, template_values, event_id, tenant=tenant, reply=None)
        except WebhookRejected as error:
            error.service = self._name
            raise

    def _delivery(self, values: dict[str, str], body: bytes) -> Delivery:
        return Delivery(values, body, names=self._scheme.headers)


def _own_type(scheme: WebhookScheme, vendor_type: str, scene: TemplateValues) -> str:
    """Our name for an event's type, or the vendor's if there is none."""
    outcome = None if scheme.outcome is None else scheme.outcome.read(scene)
    general_name = scheme.known_types.get(vendor_type, vendor_type)
    return scheme.known_types.get(f"{vendor_type}:{outcome}", general_name)


def _event(
    scheme: WebhookScheme,
    scene: TemplateValues,
    make_id: Callable[[], str],
    *,
    tenant: str | None,
    reply: WebhookReply | None,
    answer: WebhookReply | None = None,
) -> WebhookEvent:
    vendor_id = None if scheme.id is None else scheme.id.read(scene)
    vendor_type = ("" if scheme.type is None else scheme.type.read(scene)) or ""
    fetch = None
    if vendor_id and scheme.fetch is not None:
        fetch = scheme.fetch.replace("{id}", quote(vendor_id, safe="", errors="replace"))
    is_signed_id = scheme.algorithm in PLAIN or scheme.vouches_for_id
    claim_id = vendor_id if vendor_id and is_signed_id else make_id()
    payload = scene.item
    return WebhookEvent(
        vendor=scheme.name,
        id=vendor_id or claim_id,
        type=_own_type(scheme, vendor_type, scene),
        vendor_type=vendor_type,
        time=None if scheme.time is None else read_time(scheme.time.read(scene), scheme.time_form),
        data=payload if scheme.data is None else at_path(payload, scheme.data),
        payload=payload,
        covers=scheme.covers,
        is_forgeable=scheme.is_forgeable,
        fetch=fetch,
        tenant=tenant,
        confirm=confirmation(scheme.handshake, payload),
        reply=reply,
        answer=answer,
        body=scene.delivery.body,
        claim=(claim_id, 0),
    )
