"""Path templates: the variable segments of similar paths, and their names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from moorage.exporting.sent import Slot, variable
from moorage.testing.sandbox_scenarios.storage import KEYS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from moorage.exporting.sent import Path

_BRACED: Final = re.compile(r"\{(\w+)(\*?)\}")


def path_of(
    path: str, route: str | None, base: str, owner: str, variables: Mapping[str, str]
) -> tuple[Path, dict[str, str]]:
    """The pieces of a path below a base, and the values of its slots' variables.

    Args:
        path: as it was sent.
        route: the pattern that fits it, if one is known.
        base: what the server's URL has of it already.
        owner: whose variables these are.
        variables: names by the values that they stand for.
    """
    pieces: list[str | Slot] = []
    values: dict[str, str] = {}
    cut = len(base)
    for name, text in _parts(path, route):
        remaining_text, cut = text[cut:], max(cut - len(text), 0)
        if not remaining_text:
            continue
        if name is None and remaining_text not in variables:
            pieces.append(remaining_text)
            continue
        called_text = name or variables[remaining_text]
        if any(isinstance(part, Slot) and part.name == called_text for part in pieces):
            called_text = f"{called_text}_{len(pieces)}"
        stands = variables.get(remaining_text) or variable(owner, called_text)
        values.setdefault(stands, remaining_text)
        pieces.append(Slot(called_text, stands))
    return tuple(pieces), values


def _parts(path: str, route: str | None) -> Iterator[tuple[str | None, str]]:
    """The texts of a path in order, with the names of those that differ."""
    if route is None:
        for text in re.split(r"(/)", path):
            yield ("key" if text in KEYS else None), text
        return
    template = route.partition(" ")[2]
    names = [matched[1] for matched in _BRACED.finditer(template)]
    texts = _BRACED.split(template)[::3]
    matched_match = re.match(_pattern(template), path)
    yield None, texts[0]
    for name, value, text in zip(
        names, matched_match.groups() if matched_match else (), texts[1:], strict=False
    ):
        yield name, value
        yield None, text


def _pattern(template: str) -> str:
    parts = _BRACED.split(template)
    return "".join(
        re.escape(part) if number % 3 == 0 else ("(.*)" if part else "([^/]+)")
        for number, part in enumerate(parts)
        if number % 3 != 1
    )
