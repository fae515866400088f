"""Writes the table of webhook schemes from the schemes themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.domain.webhooks.algorithms import LEGACY, PLAIN
from moorage.domain.webhooks.presets import PRESETS

if TYPE_CHECKING:
    from moorage.domain.webhooks.scheme import WebhookScheme

_INTRODUCTION: Final = """# Webhook schemes

The table shows where each preset finds the signature, and what the signature covers. If it does not
cover the body, an attacker who has seen one genuine webhook can forge another. Treat such a webhook
as a hint that something has changed, and request the current state from the vendor. The event's
attributes `is_forgeable`, `covers` and `fetch` contain the same facts.

The tolerance is the largest allowed difference between the signed time and the current time. If no
time is signed, only the replay guard rejects old webhooks.
"""


_AMBIGUOUS_SCHEMES: Final = (
    "- `twilio`, `twilio-shared-key`: the names and values of a form are signed as one text without"
    " separators, so the signature does not cover where a name or value ends. The replay guard"
    " treats forms with the same text as the same webhook."
)


def page() -> str:
    """Return the page as Markdown."""
    head = "| scheme | signature | how | covers | tolerance | wants |\n|---|---|---|---|---|---|"
    rows = "\n".join(_row(scheme) for scheme in PRESETS.values())
    weaknesses = "\n".join(
        [*map(_weakness, filter(_is_weak, PRESETS.values())), _AMBIGUOUS_SCHEMES]
    )
    return f"{_INTRODUCTION}\n{head}\n{rows}\n\n## What is not covered\n\n{weaknesses}\n"


def _row(scheme: WebhookScheme) -> str:
    places = scheme.signature[:1]
    location = ", ".join(f"`{place.text.strip('{}?')}`" for place in places)
    algorithm = f"{scheme.algorithm.value}{' (legacy)' if scheme.algorithm in LEGACY else ''}"
    parts = ", ".join(f"`{name}`" for name in sorted(scheme.covers)) or "nothing"
    tolerance = "" if scheme.tolerance is None else f"{scheme.tolerance:g} s"
    parameters = ", ".join(f"`{name}`" for name in sorted(scheme.parameters))
    return f"| `{scheme.name}` | {location} | {algorithm} | {parts} | {tolerance} | {parameters} |"


def _is_weak(scheme: WebhookScheme) -> bool:
    return scheme.is_forgeable


def _weakness(scheme: WebhookScheme) -> str:
    if scheme.algorithm in PLAIN:
        description = (
            "The sender proves its identity by a secret in the request; nothing is signed."
        )
    elif "checksum" in scheme.covers:
        description = (
            "The signature covers only a CRC-32 of the body, and another body can have the same"
            " CRC-32."
        )
    elif scheme.each_signed:
        description = "The signature of each item covers only the fields in the table."
    else:
        description = (
            "The body is not signed, so an attacker can use a genuine signature with another body."
        )
    truth = f" Request the current state from `{scheme.fetch}`." if scheme.fetch else ""
    return f"- `{scheme.name}`: {description}{truth}"
