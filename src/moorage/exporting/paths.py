"""Path templates: the segments that differ between similar paths, and names for them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from moorage.exporting.described_requests import Slot, variable
from moorage.testing.sandbox_scenarios.storage import KEYS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from moorage.exporting.described_requests import Path

_BRACED_NAME: Final = re.compile(r"\{(\w+)(\*?)\}")


def path_of(
    path: str, route: str | None, base: str, owner: str, variables: Mapping[str, str]
) -> tuple[Path, dict[str, str]]:
    """Return a path's segments below a base URL, and the values of those that are variable.

    Args:
        path: the path as it was sent.
        route: the pattern that matches the path, if one is known.
        base: the beginning of the path that the server's URL already contains.
        owner: the account or service that the variables belong to.
        variables: the names of variables, by the values that they stand for.
    """
    pieces: list[str | Slot] = []
    values: dict[str, str] = {}
    base_length = len(base)
    for name, text in _named_segments(path, route):
        segment, base_length = text[base_length:], max(base_length - len(text), 0)
        if not segment:
            continue
        if name is None and segment not in variables:
            pieces.append(segment)
            continue
        slot_name = name or variables[segment]
        if any(isinstance(part, Slot) and part.name == slot_name for part in pieces):
            slot_name = f"{slot_name}_{len(pieces)}"
        variable_name = variables.get(segment) or variable(owner, slot_name)
        values.setdefault(variable_name, segment)
        pieces.append(Slot(slot_name, variable_name))
    return tuple(pieces), values


def _named_segments(path: str, route: str | None) -> Iterator[tuple[str | None, str]]:
    """Yield a path's segments in order; each variable segment gets a name."""
    if route is None:
        for text in re.split(r"(/)", path):
            yield ("key" if text in KEYS else None), text
        return
    template = route.partition(" ")[2]
    names = [braced_name[1] for braced_name in _BRACED_NAME.finditer(template)]
    texts = _BRACED_NAME.split(template)[::3]
    path_match = re.match(_pattern(template), path)
    yield None, texts[0]
    for name, value, text in zip(
        names, path_match.groups() if path_match else (), texts[1:], strict=False
    ):
        yield name, value
        yield None, text


def _pattern(template: str) -> str:
    parts = _BRACED_NAME.split(template)
    return "".join(
        re.escape(part) if number % 3 == 0 else ("(.*)" if part else "([^/]+)")
        for number, part in enumerate(parts)
        if number % 3 != 1
    )
