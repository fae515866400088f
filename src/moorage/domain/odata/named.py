"""The operations of an OData service that can be run by name, with JSON arguments."""

from __future__ import annotations

from datetime import date, datetime, time
from decimal import Decimal
from functools import reduce
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urljoin
from uuid import UUID

import attrs

from moorage.domain.connectors.named_operation import NamedOperation
from moorage.domain.odata.answers import ODataPage
from moorage.domain.odata.filters import ODataFilter, odata_field
from moorage.domain.odata.service import ODataQuery
from moorage.domain.values.json_text import is_list, is_object
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moorage.domain.odata.answers import ODataEntity
    from moorage.domain.odata.service import OData

_KINDS: Final[Mapping[str, Callable[[str], Any]]] = {
    "guid": UUID,
    "date": date.fromisoformat,
    "datetime": datetime.fromisoformat,
    "time": time.fromisoformat,
    "decimal": Decimal,
}
"""Value types that JSON lacks; an argument is written as {"guid": "…"}."""

_SET: Final = {"entity_set": "The name of the entity set."}
_KEY: Final = {
    "key": (
        "The key: a value, or properties by name. Write a value that JSON does not have as"
        ' {"guid": "…"}, and a date, datetime, time or decimal in the same way.'
    )
}
_FILTER: Final = {
    "filter": (
        "A list of conditions that must all be true, each [property, operator, value];"
        " the operators are eq, ne, gt, ge, lt, le, contains, startswith and endswith."
    )
}
_PROJECTION_ARGUMENTS: Final = {
    "select": "A list of the properties to return.",
    "expand": "A list of the related entities to return.",
}
_QUERY: Final = {
    **_FILTER,
    **_PROJECTION_ARGUMENTS,
    "order_by": 'A list of properties, each followed by " desc" for the reverse order.',
    "top": "The largest number of entities.",
    "skip": "The number of entities to skip.",
    "count": "Whether to return the number of all entities.",
    "page_size": "The number of entities on a page.",
}
_ETAG: Final = {"etag": 'The version of the entity as it was read, or "*" for any.'}
_BINDING_ARGUMENTS: Final = {
    "name": "The name, with its namespace if it is bound.",
    "parameters": "The parameters by name.",
    "entity_set": "The entity set that it is bound to.",
    "key": "The key of the entity that it is bound to.",
}


def named_operations(client: OData) -> tuple[NamedOperation, ...]:
    """Return the operations of an OData service that can be run by name."""
    return (
        NamedOperation(
            name="query",
            about="Reads a page of entities.",
            arguments={**_SET, **_QUERY, "next": "The `next` value of the previous page."},
            build=lambda values: _query(client, values),
            render=_page,
        ),
        NamedOperation(
            name="count",
            about="Counts entities.",
            arguments={**_SET, **_FILTER},
            required=frozenset(_SET),
            build=lambda values: client.count(values["entity_set"], _filter(values)),
        ),
        NamedOperation(
            name="get",
            about="Reads one entity.",
            arguments={**_SET, **_KEY, **_PROJECTION_ARGUMENTS},
            required=frozenset({"entity_set", "key"}),
            build=lambda values: client.get(
                values["entity_set"], _value(values["key"]), _options(values)
            ),
            render=_entity,
        ),
        NamedOperation(
            name="create",
            about="Creates an entity.",
            arguments={**_SET, "data": "The properties of the entity."},
            required=frozenset({"entity_set", "data"}),
            build=lambda values: client.create(values["entity_set"], _object(values, "data")),
            render=_entity,
        ),
        NamedOperation(
            name="update",
            about="Changes properties of an entity.",
            arguments={**_SET, **_KEY, **_ETAG, "changes": "The properties to change."},
            required=frozenset({"entity_set", "key", "etag", "changes"}),
            build=lambda values: client.update(
                values["entity_set"],
                _value(values["key"]),
                _object(values, "changes"),
                etag=values["etag"],
            ),
            render=_entity,
        ),
        NamedOperation(
            name="delete",
            about="Deletes an entity.",
            arguments={**_SET, **_KEY, **_ETAG},
            required=frozenset({"entity_set", "key", "etag"}),
            build=lambda values: client.delete(
                values["entity_set"], _value(values["key"]), etag=values["etag"]
            ),
        ),
        NamedOperation(
            name="action",
            about="Runs an action, which may change something.",
            arguments=_BINDING_ARGUMENTS,
            required=frozenset({"name"}),
            build=lambda values: client.action(
                values["name"], _object(values, "parameters"), **_binding(values)
            ),
        ),
        NamedOperation(
            name="function",
            about="Runs a function, which changes nothing.",
            arguments=_BINDING_ARGUMENTS,
            required=frozenset({"name"}),
            build=lambda values: client.function(
                values["name"],
                {name: _value(value) for name, value in _object(values, "parameters").items()},
                **_binding(values),
            ),
        ),
    )


def _query(client: OData, values: Mapping[str, Any]) -> Any:
    next_link = values.get("next")
    if next_link is None:
        if "entity_set" not in values:
            raise _argument_error(
                "entity_set", "missing", "Pass the name of the entity set, or `next`."
            )
        return client.query(
            values["entity_set"], _options(values), page_size=values.get("page_size")
        )
    size = values.get("page_size")
    if not isinstance(next_link, str) or not next_link or len(values) > (1 if size is None else 2):
        raise _argument_error(
            "next",
            "not a link of a page",
            "Pass the `next` value of the page, and no other options.",
        )
    try:
        origin = urljoin(next_link, "/")
    except ValueError:
        raise _argument_error(
            "next", "not a link of a page", "Pass the `next` value of the page."
        ) from None
    # The code that sends the operation compares the link's origin with the service's.
    return client.next_page(ODataPage((), next_link=next_link, page_size=size, url=origin))


def _options(values: Mapping[str, Any]) -> ODataQuery:
    return ODataQuery(
        select=_list(values, "select"),
        expand=_list(values, "expand"),
        filter=_filter(values),
        order_by=_list(values, "order_by"),
        top=values.get("top"),
        skip=values.get("skip"),
        count=values.get("count") is True,
    )


def _filter(values: Mapping[str, Any]) -> ODataFilter | None:
    conditions = [_condition(item) for item in _list(values, "filter")]
    return reduce(ODataFilter.__and__, conditions) if conditions else None


def _condition(item: object) -> ODataFilter:
    if not is_list(item) or len(item) != 3 or not isinstance(item[1], str):
        raise _argument_error(
            "filter", "not a list of conditions", 'Pass conditions such as ["Name", "eq", "bolt"].'
        )
    return odata_field(item[0]).compare(item[1], _value(item[2]))


def _value(value: Any) -> Any:
    """Convert a JSON argument to an OData value, such as a date or a key's properties."""
    if not is_object(value):
        return value
    kind = next(iter(value)) if len(value) == 1 else ""
    if kind not in _KINDS:
        return {name: _value(item) for name, item in value.items()}
    try:
        return _KINDS[kind](value[kind])
    except (ValueError, TypeError, ArithmeticError, AttributeError):
        raise _argument_error(kind, f"not a valid {kind}", "Correct the value.") from None


def _binding(values: Mapping[str, Any]) -> dict[str, Any]:
    return {"entity_set": values.get("entity_set"), "key": _value(values.get("key"))}


def _list(values: Mapping[str, Any], name: str) -> list[Any]:
    value = values.get(name, [])
    if is_list(value):
        return value
    raise _argument_error(name, "not a list", "Pass a list.")


def _object(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = values.get(name, {})
    if is_object(value):
        return value
    raise _argument_error(name, "not an object", "Pass a JSON object.")


def _argument_error(name: str, problem: str, remedy: str) -> InvalidData:
    return InvalidData(f"The argument {name!r} is {problem}.", field=name, remedy=remedy)


def _page(page: ODataPage) -> dict[str, Any]:
    link = None if page.next_link is None else page.next_path()
    return {"items": list(page.items), "count": page.count, "next": link}


def _entity(entity: ODataEntity) -> dict[str, Any]:
    values = attrs.asdict(entity, recurse=False)
    return {**values, "data": dict(entity.data)}
