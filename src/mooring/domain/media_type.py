"""What a `Content-Type` says about the bytes below it."""

from __future__ import annotations

import re

_CHARSET = re.compile(r';\s*charset\s*=\s*"?([^";\s]+)', re.IGNORECASE)


def essence(content_type: str | None) -> str:
    """Return `type/subtype` in lower case, without parameters; empty when there is none."""
    return content_type.partition(";")[0].strip().lower() if content_type else ""


def is_json(content_type: str | None) -> bool:
    """Tell whether this is JSON, by its own name or by the `+json` suffix."""
    kind = essence(content_type)
    return kind in {"application/json", "text/json"} or kind.endswith("+json")


def charset(content_type: str | None) -> str | None:
    """Return the declared charset, if one is declared."""
    found = _CHARSET.search(content_type) if content_type else None
    return found[1] if found else None
