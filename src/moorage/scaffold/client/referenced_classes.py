"""Finds the classes that type annotations refer to."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from moorage.scaffold.client.schemas import EnumClass, ObjectClass

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moorage.scaffold.client.schemas import Schemas, UnionAlias

_MARKED_NAME: Final = re.compile(r"«(\w+)»")


def needed_declarations(
    kinds: Iterable[str], schemas: Schemas
) -> list[ObjectClass | EnumClass | UnionAlias]:
    """Return the declarations of the classes that type annotations refer to, in order."""
    names = needed_names(kinds, schemas) or set()
    return [declaration for name, declaration in schemas.declared.items() if name in names]


def needed_names(kinds: Iterable[str], schemas: Schemas) -> set[str] | None:
    """Return the names of the classes that annotations refer to; None if a class is incomplete."""
    names: set[str] = set()
    remaining_names = [name for kind in kinds for name in _MARKED_NAME.findall(kind)]
    while remaining_names:
        name = remaining_names.pop()
        if name in names:
            continue
        names.add(name)
        declaration = schemas.declared.get(name)
        if declaration is None:
            return None
        remaining_names += _MARKED_NAME.findall(" ".join(_annotations(declaration)))
    return names


def _annotations(declaration: ObjectClass | EnumClass | UnionAlias) -> list[str]:
    if isinstance(declaration, EnumClass):
        return []
    if isinstance(declaration, ObjectClass):
        return [*(field.kind.text for field in declaration.fields), declaration.other or ""]
    return [*declaration.kinds]
