"""The comparison of JSON Schemas: whether a reader accepts each document of a writer.

The rules judge `type`, `enum`, `const`, limits of numbers, lengths and counts, `properties`,
`required`, `additionalProperties`, `items`, `prefixItems`, `uniqueItems`, `allOf`, `anyOf`, `oneOf`
whose branches differ in their types, and `$ref`. They judge any other rule of a reader only if the
writer has the same rule. The keyword `format` is ignored. Each document is read in the draft of
JSON Schema that it names.

Law: if no incompatibility is found, each document that is valid for the writer is valid for the
reader.
"""

from __future__ import annotations

import json
from math import inf
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from moorage.domain.schemas.evolution import Incompatibility
from moorage.domain.schemas.json_documents import NOT_RULES, JsonDocuments
from moorage.domain.schemas.json_drafts import LATEST, Subschema
from moorage.domain.values.json_text import is_list, is_object
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeAlias

    from moorage.domain.schemas.schema import CompleteSchema

    _Pairs: TypeAlias = dict[tuple[int, int], tuple[Any, Any]]
    """Pairs of parts by their ids. The parts are kept, so that no other part gets the id."""

_ALL_TYPES: Final = frozenset({
    "null", "boolean", "integer", "number", "string", "array", "object",
})  # fmt: skip
_REFERENCES: Final = frozenset({"$dynamicRef", "$recursiveRef", "$ref"})
"""Keywords that refer to another part, which may differ in the two schemas."""

_EQUAL_RULES: Final = frozenset(
    {"multipleOf", "not", "pattern", "patternProperties", "propertyNames"}
)
"""Rules that can be judged only if the writer has the same."""

_RULES_WITHOUT_PARTS: Final = frozenset({"multipleOf", "pattern"})
"""Rules that mean the same in all drafts, because they contain no schemas."""

_DEPENDENT_KEYWORDS: Final = frozenset({
    "$anchor", "$dynamicAnchor", "$dynamicRef", "$recursiveAnchor", "$recursiveRef",
    "contains", "dependencies", "dependentRequired", "dependentSchemas", "else", "if",
    "maxContains", "minContains", "then", "unevaluatedItems", "unevaluatedProperties",
})  # fmt: skip
"""Rules whose meaning depends on others, so that they are never judged alone."""


_NARROWING_RULES: Final = _DEPENDENT_KEYWORDS | _EQUAL_RULES | {"allOf", "const", "enum"}
"""Rules that may forbid a writer what its other rules allow."""


_DEPENDENT_RULES: Final = (
    {"additionalProperties", "patternProperties", "properties"},
    {"items", "prefixItems"},
    {"contains", "maxContains", "minContains"},
    {"else", "if", "then"},
)
"""Rules whose meaning depends on each other, so that they are taken from one part of a schema."""

_MOST_COMPARISONS: Final = 20_000
"""The number of pairs of parts that are compared at most. Without a limit, parts that refer to each
other through alternatives could need endless comparisons.
"""

_NAMES: Final[dict[type, str]] = {
    bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object",
}  # fmt: skip


class _Limit(NamedTuple):
    """A limit of JSON Schema on a size: its keywords, the type that it limits, and its name."""

    least: str
    most: str
    type: str
    name: str


_SIZES: Final = (
    _Limit("minLength", "maxLength", "string", "length"),
    _Limit("minItems", "maxItems", "array", "number of items"),
    _Limit("minProperties", "maxProperties", "object", "number of properties"),
)


def json_incompatibilities(
    reader: CompleteSchema, writer: CompleteSchema
) -> tuple[Incompatibility, ...]:
    """Return the reasons why a JSON Schema may refuse documents of another one.

    Raises:
        InvalidData: one of the documents is not JSON, or not a schema.
    """
    readers, writers = JsonDocuments.of(reader), JsonDocuments.of(writer)
    for draft in (readers.unknown_draft, writers.unknown_draft):
        if draft is not None:
            return (_uncheckable_change("", f"the draft {draft[:80]!r}"),)
    try:
        problems = _Comparison(readers, writers, {}, _ComparisonState()).compare(
            readers.root, writers.root, ""
        )
        return tuple(dict.fromkeys(problems))
    except _TooManyComparisons:
        return (_uncheckable_change("", "so many combinations of alternatives"),)
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError):
        pass
    raise InvalidData(
        "The JSON Schema has a keyword with the wrong type of value, or is nested too deeply.",
        field="schema",
        remedy="Correct the schema. A validator for JSON Schema shows which keyword is wrong.",
    )


class _TooManyComparisons(Exception):
    """Raised when two schemas have more pairs of parts than are compared."""


class _ComparisonState:
    """The state that all comparisons of two schemas share.

    Attributes:
        unfit: the pairs of parts that do not fit. A pair that does not fit even under the
            assumption that other pairs fit never fits.
        left: yields once for each remaining comparison.
    """

    def __init__(self) -> None:
        self.unfit: _Pairs = {}
        self.left = iter(range(_MOST_COMPARISONS))


class _Comparison:
    """Compares the parts of two schemas, each pair once.

    Args:
        readers: the documents of the reader's schema.
        writers: the documents of the writer's schema.
        compared_pairs: the pairs of parts that were compared already or are being compared.
        shared_state: the state that the comparison shares with others.
    """

    def __init__(
        self,
        readers: JsonDocuments,
        writers: JsonDocuments,
        compared_pairs: _Pairs,
        shared_state: _ComparisonState,
    ) -> None:
        self._readers = readers
        self._writers = writers
        self._compared = compared_pairs
        self._effort = shared_state

    def compare(self, reader: Any, writer: Any, path: str) -> list[Incompatibility]:
        """Return the reasons why a part of the reader's schema may refuse the writer's values."""
        if next(self._effort.left, None) is None:
            raise _TooManyComparisons
        reader, broken_reference = self._readers.follow_references(reader)
        writer, unfollowed_writer = self._writers.follow_references(writer)
        for name in (broken_reference, unfollowed_writer):
            if name is not None:
                return [_uncheckable_change(path, f"the reference {name[:80]!r}")]
        pair = id(reader), id(writer)
        if reader in (True, {}) or writer is False or pair in self._compared:
            return []
        self._compared[pair] = reader, writer
        if reader is False:
            return [Incompatibility(path, "The reader does not allow any value here.")]
        return self._compare_branches(
            reader, Subschema({}, LATEST) if writer is True else writer, path
        )

    def fits(self, reader: Any, writer: Any, path: str) -> bool:
        """Return whether the reader's part certainly accepts all values of the writer's part."""
        pair = id(reader), id(writer)
        if pair in self._effort.unfit:
            return False
        trial = _Comparison(self._readers, self._writers, {**self._compared}, self._effort)
        if trial.compare(reader, writer, path):
            self._effort.unfit[pair] = reader, writer
            return False
        self._compared = trial._compared
        return True

    def _compare_branches(
        self, reader: Subschema, writer: Subschema, path: str
    ) -> list[Incompatibility]:
        """Compare the reader's schema with each alternative of the writer's, such as in `anyOf`."""
        if reader.draft is writer.draft and _is_same(reader, writer):
            return []
        for keyword in ("anyOf", "oneOf"):
            branches = writer.get(keyword)
            if is_list(branches):
                rest = {
                    name: value
                    for name, value in writer.items()
                    if name not in {keyword, "unevaluatedItems", "unevaluatedProperties"}
                }
                other_fields = Subschema(rest, writer.draft)
                if self.fits(reader, other_fields, path):
                    return []
                narrowed_branches = [
                    self._branch_with_rest(other_fields, branch) for branch in branches
                ]
                return [
                    item for part in narrowed_branches for item in self.compare(reader, part, path)
                ]
        parts = writer.get("allOf")
        if is_list(parts) and any(self.fits(reader, part, path) for part in parts):
            return []
        problems = list(self._rules(reader, writer, path))
        is_vague = bool(_NARROWING_RULES & writer.keys())
        return [item._replace(is_certain=False) for item in problems] if is_vague else problems

    def _branch_with_rest(self, rest: Subschema, branch: Any) -> Any:
        """Return a schema that allows each value that an alternative and the rest allow.

        Where both have rules that depend on each other, those of the alternative are left out.
        """
        target, broken_reference = self._writers.follow_references(branch)
        if target is True:
            return rest
        if broken_reference is not None or not isinstance(target, Subschema):
            return branch
        if not rest.keys() - NOT_RULES:
            return target
        if target.draft is not rest.draft:
            return Subschema({**rest, "allOf": [target, *rest.get("allOf", ())]}, rest.draft)
        replaced_rules = {
            name for names in _DEPENDENT_RULES if names & rest.keys() for name in names
        }
        kept_rules = {name: rule for name, rule in target.items() if name not in replaced_rules}
        return Subschema({**kept_rules, **rest}, rest.draft)

    def _rules(self, reader: Subschema, writer: Subschema, path: str) -> Iterator[Incompatibility]:
        """Yield the rules of the reader's part that values of the writer's part may break."""
        types = _types(writer)
        for keyword in sorted((_DEPENDENT_KEYWORDS | _EQUAL_RULES) & reader.keys()):
            if keyword in _DEPENDENT_KEYWORDS or not _is_same_rule(keyword, reader, writer):
                yield _uncheckable_change(path, f"the rule {keyword!r}")
        extra_types = types - _declared_types(reader)
        if extra_types:
            names = ", ".join(sorted(extra_types))
            yield Incompatibility(
                path,
                f"The writer may write values of the type {names},"
                " which the reader does not accept.",
            )
        if (
            "integer" in types
            and "number" not in extra_types
            and reader.refuses_whole_floats
            and not writer.refuses_whole_floats
        ):
            problem = (
                "In draft 4, the reader's integers do not include numbers such as 1.0, which the"
                " writer may write."
            )
            yield Incompatibility(path, problem)
        yield from _values(reader, writer, path)
        yield from self._parts(reader, writer, path)
        if types & {"integer", "number"}:
            yield from _numbers(reader, writer, path)
        for limit in _SIZES:
            if limit.type in types:
                yield from _size(limit, reader, writer, path)
        if "array" in types:
            yield from self._items(reader, writer, path)
        if "object" in types:
            yield from self._properties(reader, writer, path)

    def _parts(self, reader: Subschema, writer: Subschema, path: str) -> Iterator[Incompatibility]:
        for part in reader.get("allOf", ()):
            yield from self.compare(part, writer, path)
        for keyword in ("anyOf", "oneOf"):
            branches = reader.get(keyword)
            if not is_list(branches) or _is_same_rule(keyword, reader, writer):
                continue
            is_clear = keyword == "anyOf" or self._differ_in_type(branches)
            if not is_clear or not any(self.fits(branch, writer, path) for branch in branches):
                yield _uncheckable_change(path, f"the rule {keyword!r}")

    def _differ_in_type(self, branches: list[Any]) -> bool:
        """Return whether the branches allow different types, so that a value fits only one."""
        seen_names: set[str] = set()
        for branch in branches:
            part, _ = self._readers.follow_references(branch)
            types = _types(part) if is_object(part) else _ALL_TYPES
            if seen_names & types:
                return False
            seen_names |= types
        return True

    def _items(
        self, reader: dict[str, Any], writer: dict[str, Any], path: str
    ) -> Iterator[Incompatibility]:
        if reader.get("uniqueItems") is True and writer.get("uniqueItems") is not True:
            yield Incompatibility(
                path, "The reader does not allow duplicate items, but the writer does."
            )
        first_parts, first_written = reader.get("prefixItems", []), writer.get("prefixItems", [])
        other_items, other_written = reader.get("items", True), writer.get("items", True)
        most, first_count = writer.get("maxItems", inf), max(len(first_parts), len(first_written))
        for number in range(first_count):
            part = first_parts[number] if number < len(first_parts) else other_items
            written_part = first_written[number] if number < len(first_written) else other_written
            if number >= most or written_part is False:
                return
            yield from self.compare(part, written_part, f"{path}[{number}]")
        if first_count < most:
            yield from self.compare(other_items, other_written, f"{path}[]")

    def _properties(
        self, reader: dict[str, Any], writer: dict[str, Any], path: str
    ) -> Iterator[Incompatibility]:
        for name in reader.get("required", ()):
            if name not in writer.get("required", ()):
                problem = "The reader requires the property, but the writer does not."
                yield Incompatibility(_property_path(path, name), problem)
        properties, written_schema = reader.get("properties", {}), writer.get("properties", {})
        reader_others, written_others = _other_properties(reader), _other_properties(writer)
        if "patternProperties" in writer and (properties or reader_others is not True):
            yield _uncheckable_change(path, "the rule 'patternProperties'")
            return
        for name, part in properties.items():
            yield from self.compare(
                part, written_schema.get(name, written_others), _property_path(path, name)
            )
        for name, part in written_schema.items():
            if name not in properties:
                yield from self.compare(reader_others, part, _property_path(path, name))
        yield from self.compare(reader_others, written_others, _property_path(path, "*"))


def _other_properties(part: dict[str, Any]) -> Any:
    return part.get("additionalProperties", True)


def _property_path(path: str, name: str) -> str:
    name = name[:80]
    return f"{path}.{name}" if path else name


def _types(part: dict[str, Any]) -> frozenset[str]:
    """Return the types of the values that a part of a schema may allow."""
    values = _listed_values(part)
    return _declared_types(part) if values is None else frozenset(map(_type_of, values))


def _declared_types(part: dict[str, Any]) -> frozenset[str]:
    """Return the types that a part of a schema states; "number" includes integers."""
    types = part.get("type", _ALL_TYPES)
    names = frozenset([types] if isinstance(types, str) else types)
    return names | {"integer"} if "number" in names else names


def _type_of(value: Any) -> str:
    return "null" if value is None else _NAMES[type(value)]


def _listed_values(part: dict[str, Any]) -> list[Any] | None:
    """Return the only values that a part of a JSON Schema allows; None if it lists none."""
    if "const" in part:
        return [part["const"]]
    return part.get("enum")


def _values(reader: dict[str, Any], writer: dict[str, Any], path: str) -> Iterator[Incompatibility]:
    allowed_values = _listed_values(reader)
    if allowed_values is None:
        return
    values = _listed_values(writer)
    if values is None:
        yield Incompatibility(
            path, "The reader allows only certain values, but the writer also allows others."
        )
        return
    texts = {_canonical(value) for value in allowed_values}
    for value in values:
        if _canonical(value) not in texts:
            problem = f"The reader does not allow the value {_canonical(value)[:80]}."
            yield Incompatibility(path, problem)


def _numbers(
    reader: dict[str, Any], writer: dict[str, Any], path: str
) -> Iterator[Incompatibility]:
    if _lower_bound(writer) < _lower_bound(reader):
        yield Incompatibility(
            path, "The reader does not allow small numbers that the writer may write."
        )
    if _upper_bound(writer) > _upper_bound(reader):
        yield Incompatibility(
            path, "The reader does not allow large numbers that the writer may write."
        )


def _lower_bound(part: dict[str, Any]) -> tuple[float, int]:
    """Return the lower bound of a number, with 1 if the bound itself is excluded, else 0."""
    return max(_bounds(part, "minimum", "exclusiveMinimum", -inf, 1))


def _upper_bound(part: dict[str, Any]) -> tuple[float, int]:
    """Return the upper bound of a number, with -1 if the bound itself is excluded, else 0."""
    return min(_bounds(part, "maximum", "exclusiveMaximum", inf, -1))


def _bounds(
    part: dict[str, Any], inclusive: str, exclusive: str, no_bound: float, sign: int
) -> list[tuple[float, int]]:
    return [
        (part.get(inclusive, no_bound), 0),
        (part.get(exclusive, no_bound), sign if exclusive in part else 0),
    ]


def _size(
    limit: _Limit, reader: dict[str, Any], writer: dict[str, Any], path: str
) -> Iterator[Incompatibility]:
    if writer.get(limit.least, 0) < reader.get(limit.least, 0):
        yield Incompatibility(
            path, f"The reader's minimum {limit.name} is greater than the writer's."
        )
    if writer.get(limit.most, inf) > reader.get(limit.most, inf):
        yield Incompatibility(
            path, f"The reader's maximum {limit.name} is smaller than the writer's."
        )


def _is_same_rule(keyword: str, part: Subschema, other: Subschema) -> bool:
    """Return whether a rule of one part is equal in the other, and means the same there."""
    is_one_draft = part.draft is other.draft or keyword in _RULES_WITHOUT_PARTS
    return is_one_draft and _is_same(part.get(keyword), other.get(keyword))


def _is_same(part: Any, other: Any) -> bool:
    """Return whether two schema parts are equal and have no references to different parts."""
    return _canonical(part) == _canonical(other) and not _has_reference(part)


def _has_reference(part: Any) -> bool:
    if is_list(part):
        return any(map(_has_reference, part))
    return is_object(part) and (
        not _REFERENCES.isdisjoint(part) or any(map(_has_reference, part.values()))
    )


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _uncheckable_change(path: str, what: str) -> Incompatibility:
    return Incompatibility(path, f"The compatibility check cannot judge {what}.", is_certain=False)
