"""The subset of Google's user search that the sandbox supports."""

from __future__ import annotations

import re
from typing import Any, Final

_CLAUSE: Final = re.compile(r"(\w+)=(?:'((?:[^'\\]|\\.)*)'|([^\s'\\]+))(?: |$)")
_ESCAPE: Final = re.compile(r"\\(.)")


class SearchProblemError(Exception):
    """Raised if a search cannot be parsed."""


def matches(query: str | None, user: dict[str, Any]) -> bool:
    """Return whether a user matches all clauses of a search."""
    position = 0
    fulfilled = True
    while query is not None and position < len(query):
        match = _CLAUSE.match(query, position)
        if match is None or match[1] not in {"email", "externalId"}:
            raise SearchProblemError
        value = _ESCAPE.sub(r"\1", match[2]) if match[2] is not None else match[3]
        fulfilled = fulfilled and value.casefold() in _values(user, match[1])
        position = match.end()
    return fulfilled


def _values(user: dict[str, Any], field: str) -> set[str]:
    if field == "email":
        texts = [user["primaryEmail"], *(item["address"] for item in user.get("emails", []))]
    else:
        texts = [item["value"] for item in user.get("externalIds", [])]
    return {text.casefold() for text in texts}
