"""Writes the table of webhook schemes from the schemes themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.domain.webhooks.algorithms import LEGACY, PLAIN
from moorage.domain.webhooks.presets import PRESETS

if TYPE_CHECKING:
    from moorage.domain.webhooks.scheme import WebhookScheme

_INTRODUCTION: Final = """# Webhook schemes

What each preset looks at, and what its vendor's signature vouches for. Where the body is not
covered, somebody who saw one genuine webhook can make up another: treat it as a hint that something
changed, and read the truth from the vendor. The event says so too, in `is_forgeable`, `covers` and
`fetch`.

The tolerance is how far the signed time may be off. Where no time is signed, only the guard against
replays keeps an old webhook out.
"""


_AMBIGUOUS_SCHEMES: Final = (
    "- `twilio`, `twilio-shared-key`: the names and values of a form are signed run together, so"
    " where one ends and the next begins is not covered. The guard against replays knows such a"
    " form again."
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
        description = "Who sends is known by a secret that travels along; nothing is signed."
    elif "checksum" in scheme.covers:
        description = "Of the body only a CRC-32 is signed, which another body can be made to have."
    elif scheme.each_signed:
        description = "Of each item only the fields named above are signed."
    else:
        description = "The body is not signed, so a genuine signature can be put on another one."
    truth = f" The truth is at `{scheme.fetch}`." if scheme.fetch else ""
    return f"- `{scheme.name}`: {description}{truth}"
