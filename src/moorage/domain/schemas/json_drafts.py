"""The drafts of JSON Schema, and the translation of a subschema to the latest draft.

Laws:

1. A translated subschema allows the same values as the original, except integers that are written
   like 1.0: draft 4 does not accept them.
2. A keyword that the original's draft does not define is not a rule, so it is left out.
3. A schema without a draft follows the latest one. Forms that only earlier drafts define, such as a
   list in `items`, are understood in each draft.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Final

from moorage.domain.values.json_text import is_list, is_object


class JsonDraft(IntEnum):
    """A draft of JSON Schema; later drafts are greater."""

    DRAFT_4 = 4
    DRAFT_6 = 6
    DRAFT_7 = 7
    DRAFT_2019_09 = 2019
    DRAFT_2020_12 = 2020


LATEST: Final = JsonDraft.DRAFT_2020_12

_DRAFTS: Final = {
    "json-schema.org/schema": LATEST,
    "json-schema.org/draft-04/schema": JsonDraft.DRAFT_4,
    "json-schema.org/draft-06/schema": JsonDraft.DRAFT_6,
    "json-schema.org/draft-07/schema": JsonDraft.DRAFT_7,
    "json-schema.org/draft/2019-09/schema": JsonDraft.DRAFT_2019_09,
    "json-schema.org/draft/2020-12/schema": JsonDraft.DRAFT_2020_12,
}
"""The drafts by the values of `$schema`, without the scheme and an empty fragment."""

_FIRST_DRAFTS: Final = {
    **dict.fromkeys(("const", "contains", "propertyNames"), JsonDraft.DRAFT_6),
    **dict.fromkeys(("if", "then", "else"), JsonDraft.DRAFT_7),
    **dict.fromkeys(
        (
            "$anchor", "$recursiveAnchor", "$recursiveRef", "dependentRequired", "dependentSchemas",
            "maxContains", "minContains", "unevaluatedItems", "unevaluatedProperties",
        ),
        JsonDraft.DRAFT_2019_09,
    ),
    **dict.fromkeys(("$dynamicAnchor", "$dynamicRef", "prefixItems"), JsonDraft.DRAFT_2020_12),
}  # fmt: skip
"""The keywords that the first drafts did not have, with the first draft that defines each."""

_ABOLISHED: Final = frozenset({"$recursiveAnchor", "$recursiveRef"})
"""Keywords that the latest draft does not define any more."""


class Subschema(dict[str, Any]):
    """A subschema whose keywords are those of the latest draft.

    The subschemas inside it are not translated.

    Args:
        rules: the keywords and their values.
        draft: the draft in which the original, and the subschemas inside it, are written.
    """

    def __init__(self, rules: dict[str, Any], draft: JsonDraft) -> None:
        super().__init__(rules)
        self.draft = draft

    @property
    def refuses_whole_floats(self) -> bool:
        """True if the type "integer" of this subschema excludes numbers such as 1.0."""
        types = self.get("type")
        names = [types] if isinstance(types, str) else types or ()
        return self.draft is JsonDraft.DRAFT_4 and "integer" in names and "number" not in names


def draft_of(document: Any) -> JsonDraft | None:
    """Return the draft that a schema names in `$schema`; None if there is no such draft."""
    name = document.get("$schema") if is_object(document) else None
    if name is None:
        return LATEST
    return _DRAFTS.get(str(name).removesuffix("#").partition("://")[2])


def in_latest_draft(original: dict[str, Any], draft: JsonDraft) -> Subschema:
    """Return a subschema with the keywords of the latest draft.

    Args:
        original: the subschema as it is written.
        draft: the draft in which it is written.
    """
    rules = {
        name: value
        for name, value in original.items()
        if _FIRST_DRAFTS.get(name, draft) <= draft and not (draft is LATEST and name in _ABOLISHED)
    }
    for bound, exclusive in ("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum"):
        # In draft 4, a boolean tells whether the other bound is excluded.
        if isinstance(rules.get(exclusive), bool):
            is_excluded = rules.pop(exclusive)
            if is_excluded and bound in rules:
                rules[exclusive] = rules.pop(bound)
    remaining_items = rules.pop("additionalItems", True)
    if is_list(rules.get("items")):
        rules["prefixItems"] = rules["items"]
        rules["items"] = remaining_items
    return Subschema(rules, draft)
