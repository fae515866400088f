"""The parsed `Content-Type` header: the media type, its charset, and whether it is JSON."""

from __future__ import annotations

import codecs
import re
from functools import lru_cache

from moorage.domain.values.patterns import late_pattern

_CHARSET = late_pattern(r';\s*charset\s*=\s*"?([^";\s]+)', re.IGNORECASE)

# Python treats these codecs as charsets too, but they are other encodings, some slow or with
# warnings.
_NOT_CHARSETS = frozenset({"idna", "punycode", "unicode-escape", "raw-unicode-escape"})


def essence(content_type: str | None) -> str:
    """Return the media type in lower case, without parameters; empty if there is none."""
    return content_type.partition(";")[0].strip().lower() if content_type else ""


@lru_cache(maxsize=256)
def is_json(content_type: str | None) -> bool:
    """Return whether a content type is JSON, by its name or its suffix `+json`."""
    kind = essence(content_type)
    return kind in {"application/json", "text/json"} or kind.endswith("+json")


def decode_body(body: bytes, content_type: str | None) -> str:
    """Return the text of a body in its declared charset, else UTF-8, with bad bytes replaced."""
    match = _CHARSET.search(content_type) if content_type else None
    if match:
        try:
            if codecs.lookup(match[1]).name not in _NOT_CHARSETS:
                return body.decode(match[1], "replace")
        except (LookupError, ValueError):
            pass
    return body.decode("utf-8", "replace")
