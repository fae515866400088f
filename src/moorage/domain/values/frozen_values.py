"""Immutable values like those of attrs. Their code is generated when it is first needed.

Loading attrs takes half as long as creating a process's first manager, and attrs compiles source
text for each class when its module is imported. The decorator `frozen` accepts the same
declarations, and compiles an initialiser when a class is first called. `attrs.fields`,
`attrs.evolve` and `attrs.asdict` work on these classes and their values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.domain.values.frozen_classes import as_dict, refuse_change

if TYPE_CHECKING:
    # For type checkers, these are the declarations and functions of attrs.
    from attrs import NOTHING, Factory, evolve, field, frozen
    from attrs import fields as fields_of
    from attrs import has as has_fields
    from attrs.converters import optional
else:
    from moorage.domain.values.field_declarations import NOTHING, Factory, field, optional
    from moorage.domain.values.frozen_classes import evolve, fields_of, frozen, has_fields

__all__ = (
    "NOTHING",
    "Factory",
    "as_dict",
    "evolve",
    "field",
    "fields_of",
    "frozen",
    "has_fields",
    "optional",
    "refuse_change",
)
