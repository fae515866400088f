"""Partial changes of a resource (RFC 7644, section 3.5.2), as pure functions.

Identity providers deviate from the standard. Entra capitalises operations, names attributes by
dotted or qualified keys without a path, and sends the entries to remove as a value. Okta sends
whole tables, including the id, without a path. All these forms are accepted.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.domain.values.json_text import is_list, is_object
from moorage.scim.attributes import (
    ATTRIBUTES,
    CORE,
    READ_ONLY,
    REQUIRED,
    check_one_primary,
    check_value,
    joined_entries,
)
from moorage.scim.filters import entry_fulfils, path_of
from moorage.scim.refusals import ScimRefusal, invalid_value

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from moorage.scim.filters import AttributePath
    from moorage.scim.port import ScimKind

_OPERATIONS: Final = frozenset({"add", "remove", "replace"})
_MAX_OPERATIONS: Final = 1_000


def apply_patch(
    kind: ScimKind, content: Mapping[str, Any], body: Any, id: str, *, lenient: bool
) -> dict[str, Any]:
    """Return the attributes of a resource after all operations of a request.

    Args:
        kind: kind of the resource.
        content: the attributes before the request.
        body: parsed body of the request.
        id: id of the resource, which the request may repeat.
        lenient: True to accept the texts "True" and "False" as booleans, and to add an entry if the
            entry to replace does not exist, as Entra expects.

    Raises:
        ScimRefusal: an operation cannot be carried out.
    """
    operations = _operations_of(body)
    result: dict[str, Any] = copy.deepcopy(dict(content))
    for operation in operations:
        for verb, path_text, value in _steps_of(operation):
            if _is_identity(kind, path_text, value, id):
                continue
            path = _checked_path(kind, path_of(kind, path_text), lenient=lenient)
            if verb == "remove":
                _remove(result, path, value)
            else:
                attribute = _attribute_of(kind, path)
                shape = _shape_of(attribute, path)
                new_value = check_value(shape, value, path_text[:80], lenient=lenient)
                _set(result, path, attribute, new_value, verb=verb, lenient=lenient)
    if not str(result.get(REQUIRED[kind], "")).strip():
        raise invalid_value(f"The attribute {REQUIRED[kind]} cannot be removed.")
    return result


def _operations_of(body: Any) -> list[Any]:
    names = {str(name).lower(): name for name in body} if is_object(body) else {}
    operations = body[names["operations"]] if "operations" in names else None
    if not is_list(operations) or not 0 < len(operations) <= _MAX_OPERATIONS:
        detail = f"The request has no Operations, or more than {_MAX_OPERATIONS}."
        raise ScimRefusal(400, detail, "invalidSyntax")
    return operations


def _steps_of(operation: Any) -> Iterator[tuple[str, str, Any]]:
    """Yield each step's verb, path and value; a change without a path has one step per key."""
    fields = operation if is_object(operation) else {}
    verb, path, value = (fields.get(name) for name in ("op", "path", "value"))
    if not isinstance(verb, str) or verb.lower() not in _OPERATIONS:
        raise ScimRefusal(400, "An operation is not add, remove or replace.", "invalidSyntax")
    verb = verb.lower()
    if isinstance(path, str) and path:
        changes: list[tuple[Any, Any]] = [(path, value)]
    elif verb == "remove":
        raise ScimRefusal(400, "A remove operation needs a path.", "noTarget")
    elif is_object(value):
        changes = [*value.items()]
    else:
        raise invalid_value("An operation without a path needs attributes as its value.")
    for name, content in changes:
        # A null is no value: it replaces the value that there is, and adds nothing to it.
        is_null = content is None and "value" in fields
        if not is_null or verb == "remove":
            yield verb, str(name), content
        elif verb == "replace":
            yield "remove", str(name), None


def _is_identity(kind: ScimKind, path: str, value: Any, id: str) -> bool:
    """Return whether a change only repeats the resource's id; refuse changing read-only fields."""
    schema = f"{CORE[kind]}:"
    if path.lower().startswith(schema.lower()):
        path = path[len(schema) :]
    name = path.partition(".")[0].partition("[")[0]
    read_only = next((item for item in READ_ONLY if item.lower() == name.lower()), None)
    if read_only is None:
        return False
    if read_only == "schemas" or (read_only == "id" and value == id):
        return True
    raise ScimRefusal(400, f"The attribute {read_only} is read-only.", "mutability")


def _checked_path(kind: ScimKind, path: AttributePath, *, lenient: bool) -> AttributePath:
    """Return a path, after a check that the values in its conditions have the right types."""
    if not path.conditions:
        return path
    parts = _attribute_of(kind, path)[0]
    conditions = tuple(
        attrs.evolve(
            condition,
            value=check_value(
                parts[condition.path[0]], condition.value, condition.path[0], lenient=lenient
            ),
        )
        for condition in path.conditions
    )
    return path._replace(conditions=conditions)


def _attribute_of(kind: ScimKind, path: AttributePath) -> Any:
    """Return the type of the whole attribute that a path names."""
    shape: Any = ATTRIBUTES[kind]
    for name in path.names:
        shape = shape[name]
    return shape


def _shape_of(shape: Any, path: AttributePath) -> Any:
    """Return the type of the value to change; the type of one entry if the path selects entries."""
    if is_list(shape) and (path.conditions or path.part):
        entry_shape: Any = shape[0]
        shape = entry_shape
    parts: Any = shape
    return parts[path.part] if path.part else parts


def _parent(
    result: dict[str, Any], path: AttributePath, *, create: bool
) -> tuple[dict[str, Any], str]:
    """Return the object that contains the attribute, and the attribute's name in it."""
    *parents, name = path.names
    table = result
    for parent in parents:
        table = table.setdefault(parent, {}) if create else table.get(parent, {})
    return table, name


def _set(
    result: dict[str, Any],
    path: AttributePath,
    attribute: Any,
    value: Any,
    *,
    verb: str,
    lenient: bool,
) -> None:
    table, name = _parent(result, path, create=True)
    before = copy.deepcopy(table.get(name))
    if is_list(attribute) and (path.conditions or path.part):
        _set_entries(table, name, path, value, verb=verb, lenient=lenient)
    elif path.part:
        table[name] = {**table.get(name, {}), path.part: value}
    elif is_list(attribute):
        entries: list[Any] = table.get(name, []) if verb == "add" else []
        table[name] = joined_entries(name, entries, value)
    elif is_object(value) and name != "manager":
        table[name] = {**table.get(name, {}), **value}
    else:
        table[name] = value
    if is_list(attribute):
        _keep_one_primary(table[name], before or [])


def _keep_one_primary(entries: list[dict[str, Any]], before: list[Any]) -> None:
    """Unset `primary` in all other entries if a change made an entry primary."""
    primary = [entry for entry in entries if entry.get("primary")]
    if any(entry not in before for entry in primary):
        for entry in primary:
            if entry in before:
                entry["primary"] = False
    check_one_primary(entries)


def _set_entries(
    table: dict[str, Any],
    name: str,
    path: AttributePath,
    value: Any,
    *,
    verb: str,
    lenient: bool,
) -> None:
    new_part = value if path.part is None else {path.part: value}
    entries: list[dict[str, Any]] = table.setdefault(name, [])
    matching_entries = [entry for entry in entries if entry_fulfils(name, entry, path.conditions)]
    for entry in matching_entries:
        entry.update(new_part)
    if matching_entries:
        return
    if verb == "replace" and not lenient:
        raise ScimRefusal(400, f"No entry of {name} fulfils the condition.", "noTarget")
    conditions = {condition.path[-1]: condition.value for condition in path.conditions}
    entries.append({**conditions, **new_part})


def _remove(result: dict[str, Any], path: AttributePath, value: Any) -> None:
    table, name = _parent(result, path, create=False)
    entries: Any = table.get(name)
    if entries is None:
        return
    if is_list(entries) and (path.conditions or path.part):
        other_entries = [
            entry for entry in entries if not entry_fulfils(name, entry, path.conditions)
        ]
        if path.part is None:
            table[name] = other_entries
            return
        for entry in entries:
            if entry_fulfils(name, entry, path.conditions):
                entry.pop(path.part, None)
    elif path.part:
        table[name].pop(path.part, None)
    elif is_list(entries) and value is not None:
        removed_values = {_value_of(item) for item in (value if is_list(value) else [value])}
        table[name] = [entry for entry in entries if entry.get("value") not in removed_values]
    else:
        del table[name]


def _value_of(item: Any) -> Any:
    value = item.get("value") if is_object(item) else item
    if isinstance(value, str):
        return value
    raise invalid_value("An entry to remove has no value.")
