"""The fast path of webhook verification, for HMACs of the body and a few headers.

Laws:

1. The fast path never refuses. Any unusual delivery is left to the full verifier, `examine` and
   `decide`.
2. The full verifier would accept every delivery that the fast path accepts, with the same event. It
   makes the same checks: one value for each header, the time, the prefix, and a comparison in
   constant time.
3. It returns copies of the values that it read. Later parsing uses these copies, and not headers
   that may have been changed since.
4. Keys are hashed once, into the two states that an HMAC begins with. The states are copied for
   each webhook.
"""

from __future__ import annotations

import re
from binascii import b2a_base64
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from moorage.domain.webhooks.algorithms import HASHES, WebhookEncoding, hmac_key
from moorage.domain.webhooks.choices import DATE_FORMS, TimeForm
from moorage.domain.webhooks.template import MOST_SIGNATURES

if TYPE_CHECKING:
    from moorage.domain.secrets.secret import Secret
    from moorage.domain.webhooks.scheme import WebhookScheme
    from moorage.domain.webhooks.template import Template

Quick: TypeAlias = Callable[[Any, Any, float], "dict[str, str] | None"]
"""A function of headers, body and time that returns a genuine webhook's headers, or None."""

_NAME: Final = re.compile(r"[A-Za-z0-9_\-]+")
_LATER_PREFIXES: Final = ("header:", "json:", "root:", "form:")
_MAX_LENGTH: Final = 14
_MARGIN: Final = 0.001
"""Seconds; this near to the tolerance's limit, the full verifier decides."""
_INNER_PAD: Final = bytes(number ^ 0x36 for number in range(256))
_OUTER_PAD: Final = bytes(number ^ 0x5C for number in range(256))


class _UnusualError(ValueError):
    """Raised for an unusual webhook, which only the full verifier can judge."""


class _Plan(NamedTuple):
    """The settings of a webhook scheme in the form that the fast path needs."""

    place: str
    mark: str
    before: str
    after: str
    stamp: str


def quick_verifier(
    scheme: WebhookScheme,
    secrets: Sequence[Secret],
    parameters: Mapping[str, str],
    tolerance: float | None,
) -> Quick | None:
    """Return a function that accepts webhooks on the fast path; None if the scheme forbids it."""
    plan = _plan_of(scheme)
    prefix = scheme.prefix.format_map(parameters) if parameters else scheme.prefix
    if plan is None or (plan.mark and _prefixes_overlap(prefix, f"{plan.mark}=")):
        return None
    keys = [hmac_key(secret, scheme.secret_form, scheme.secret_prefix) for secret in secrets]
    states = [_states(key, HASHES[scheme.algorithm]) for key in keys if key is not None]
    pick_signatures = _signature_reader(plan, scheme.separator, prefix)
    prove = _signature_checker(plan, states, _WRITERS[scheme.encoding])
    names, stamp = scheme.headers, plan.stamp
    allowed_age = (tolerance or 0.0) - _MARGIN
    unit = 1000 if scheme.timestamp_form is TimeForm.MILLISECONDS else 1

    def accept_delivery(headers: Any, body: Any, now: float) -> dict[str, str] | None:
        try:
            values = _single_header_values(headers, names)
            signatures = pick_signatures(values)
            if (
                stamp
                and not -allowed_age <= now - _unix_seconds(values[stamp]) / unit <= allowed_age
            ):
                return None
            return values if prove(values, body, signatures) else None
        except (AttributeError, KeyError, TypeError, ValueError):
            return None

    return accept_delivery


def _prefixes_overlap(first: str, second: str) -> bool:
    return first.startswith(second) or second.startswith(first)


# --- whether a scheme can be verified in this way ---------------------------------------


def _plan_of(scheme: WebhookScheme) -> _Plan | None:
    if _is_unusual(scheme):
        return None
    place, stamp = _key(scheme.signature[0]), ""
    if scheme.timestamp is not None:
        stamp = _key(scheme.timestamp) or "?"
    signed_parts = _split_template(scheme.signs[0])
    if place is None or signed_parts is None:
        return None
    marks = {name[5:] for name in scheme.signs[0].places if name.startswith("mark:")}
    names = scheme.headers
    usable = {"", *names, *(f"={signature_mark}" for signature_mark in marks)}
    if (
        place not in names
        or stamp not in usable
        or len(marks) > 1
        or (marks and not scheme.separator)
        or not all(_NAME.fullmatch(name) for name in (*names, *marks))
    ):
        return None
    return _Plan(place, "".join(marks), *signed_parts, stamp)


def _is_unusual(scheme: WebhookScheme) -> bool:
    later_templates = [item for item in (scheme.id, scheme.type, scheme.time) if item is not None]
    return (
        any(
            (scheme.algorithm not in HASHES, scheme.is_forgeable, scheme.reads_body, scheme.repeats)
        )
        or any((scheme.requires, scheme.handshake, scheme.digest, scheme.certificate))
        or any((scheme.items is not None, scheme.key_id, scheme.timestamp_form in DATE_FORMS))
        or any((len(scheme.signature) > 1, len(scheme.signs) > 1))
        or not all(
            place.startswith(_LATER_PREFIXES) for item in later_templates for place in item.places
        )
    )


def _key(template: Template) -> str | None:
    """Return the header's name if the template is a single header; otherwise None."""
    pieces = template.pieces
    if len(pieces) != 1 or isinstance(pieces[0], bytes):
        return None
    kind, name, _ = pieces[0]
    return {"header": name, "mark": f"={name}"}.get(kind)


def _split_template(template: Template) -> tuple[str, str] | None:
    """Return the signed text before and after the body; None if the template has another form."""
    halves = [""]
    for piece in template.pieces:
        if isinstance(piece, bytes):
            halves[-1] += piece.decode().replace("%", "%%")
        elif piece == ("body", "", False):
            halves.append("")
        elif piece[0] in {"header", "mark"} and not piece[2]:
            halves[-1] += f"%({'=' if piece[0] == 'mark' else ''}{piece[1]})s"
        else:
            return None
    return (halves[0], halves[1]) if len(halves) == 2 else None


# --- looking at a webhook ---------------------------------------------------------------


def _single_header_values(headers: Any, names: frozenset[str]) -> dict[str, str]:
    """Return the values of these headers, each of which must occur exactly once."""
    pairs: Any = headers
    if type(headers) is dict:
        pairs = pairs.items()
    elif type(headers) is not list:
        raise _UnusualError
    values: dict[str, str] = {}
    lower = str.lower  # refuses names in bytes
    for name, value in pairs:
        lower_name = lower(name)
        if lower_name in names:
            if lower_name in values or not value.isascii():
                raise _UnusualError
            values[lower_name] = value.strip(" \t")
    return values


def _unix_seconds(text: str) -> int:
    if text.isdigit() and text.isascii() and len(text) <= _MAX_LENGTH:
        return int(text)
    raise _UnusualError


def _signature_reader(
    plan: _Plan, separator: str, prefix: str
) -> Callable[[dict[str, str]], list[str]]:
    """Return a function that reads the signatures from a header's value."""
    place, prefix_length = plan.place, len(prefix)
    if not separator:

        def single_headers(values: dict[str, str]) -> list[str]:
            text = values[place]
            return [text[prefix_length:]] if text.startswith(prefix) else []

        return single_headers

    start, mark_key = f"{plan.mark}=", f"={plan.mark}"
    prefix_size = len(start) if plan.mark else 0

    def pick_signatures(values: dict[str, str]) -> list[str]:
        signatures: list[str] = []
        items = values[place].split(separator)
        if len(items) > MOST_SIGNATURES:
            raise _UnusualError
        for item in items:
            signature_mark = item.strip()
            if signature_mark.startswith(prefix):
                signatures.append(signature_mark[prefix_length:])
            elif prefix_size and signature_mark.startswith(start):
                if mark_key in values:
                    raise _UnusualError
                values[mark_key] = signature_mark[prefix_size:]
        return signatures

    return pick_signatures


def _signature_checker(
    plan: _Plan, states: list[tuple[Any, Any]], write: Callable[[Any], str]
) -> Callable[[dict[str, str], bytes, list[str]], bool]:
    """Return a function that checks whether a secret made one of a webhook's signatures."""
    from hmac import compare_digest  # noqa: PLC0415 - loads OpenSSL

    head_template, tail_template = plan.before, plan.after

    def prove_signature(values: dict[str, str], body: bytes, signatures: list[str]) -> bool:
        if type(body) is not bytes:
            return False
        head, tail = (head_template % values).encode(), (tail_template % values).encode()
        for inner_hash_start, outer_hash_start in states:
            inner_hash, mac = inner_hash_start.copy(), outer_hash_start.copy()
            inner_hash.update(head)
            inner_hash.update(body)
            inner_hash.update(tail)
            mac.update(inner_hash.digest())
            expected_signature, is_same = write(mac), False
            for signature in signatures:
                is_same |= compare_digest(expected_signature, signature)
            if is_same:
                return True
        return False

    return prove_signature


def _states(key: bytes, name: str) -> tuple[Any, Any]:
    """Return the inner and outer hash states that begin every HMAC of this key (RFC 2104)."""
    from hashlib import new  # noqa: PLC0415 - loads OpenSSL

    size = new(name).block_size
    padded_bytes = (new(name, key).digest() if len(key) > size else key).ljust(size, b"\0")
    return new(name, padded_bytes.translate(_INNER_PAD)), new(
        name, padded_bytes.translate(_OUTER_PAD)
    )


_URL_SAFE: Final = str.maketrans("+/", "-_", "=")


def _base64(state: Any) -> str:
    return b2a_base64(state.digest(), newline=False).decode()


_WRITERS: Final[dict[WebhookEncoding, Callable[[Any], str]]] = {
    WebhookEncoding.HEX: lambda state: state.hexdigest(),
    # The full verifier handles capital letters.
    WebhookEncoding.HEX_ANY_CASE: lambda state: state.hexdigest(),
    WebhookEncoding.BASE64: _base64,
    WebhookEncoding.BASE64URL: lambda state: _base64(state).translate(_URL_SAFE),
}
