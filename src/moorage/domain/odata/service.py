"""The operations of one OData v4 service, as requests of its HTTP API."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar, cast
from urllib.parse import quote

import attrs

from moorage.domain.http.headers import Headers
from moorage.domain.http.requests import HttpMethod, Request
from moorage.domain.http.urls import validate_path
from moorage.domain.odata.answers import (
    ODataEntity,
    ODataPage,
    failure_of,
    json_in,
    read_count,
    read_entity,
    read_nothing,
    read_page,
    read_value,
    refusal_of,
)
from moorage.domain.odata.batch import batch_of
from moorage.domain.odata.literals import arguments, checked_name, checked_path, key_path
from moorage.domain.service.operation import AnswerReader, HttpOperation
from moorage.domain.values.json_text import encode_json
from moorage.domain.values.patterns import late_pattern
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from moorage.domain.http.response import Response
    from moorage.domain.odata.answers import Parse
    from moorage.domain.odata.filters import ODataFilter
    from moorage.domain.odata.literals import ODataKey
    from moorage.domain.values.result import Result
    from moorage.errors import ConnectorError

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

_ORDER: Final = late_pattern(r"(\S+)(?: (asc|desc))?")
_REFERENCE: Final = late_pattern(r"(\$[0-9]{1,4})(?:/(.+))?")
_VERSION: Final = {"OData-Version": "4.0", "OData-MaxVersion": "4.0"}
_JSON: Final = {**_VERSION, "Accept": "application/json"}
_READING_HEADERS: Final = Headers(_JSON)
_LARGEST_NUMBER: Final = 2**31


@attrs.frozen(kw_only=True)
class ODataQuery:
    """The options of an OData query: entities, their properties and their order.

    Attributes:
        select: the names of the properties to return; by default all.
        expand: the related entities to return, as names or as `ODataExpand`.
        filter: the condition that entities fulfil, made with `odata_field`.
        order_by: names of properties, each followed by " desc" for the reverse order.
        top: the largest number of entities in the whole result.
        skip: the number of entities to leave out at the beginning.
        count: whether to return the number of all entities that fulfil the condition.
    """

    select: Sequence[str] = ()
    expand: Sequence[str | ODataExpand] = ()
    filter: ODataFilter | None = None
    order_by: Sequence[str] = ()
    top: int | None = None
    skip: int | None = None
    count: bool = False

    def options(self) -> list[tuple[str, str]]:
        """Return the query's options as parameters of a URL.

        Raises:
            InvalidData: a name is not a valid OData name, or a number is negative.
        """
        options: list[tuple[str, str]] = []
        if self.select:
            options.append(("$select", _joined_names(checked_path, self.select, "select")))
        if self.expand:
            options.append(
                ("$expand", ",".join(_expansion(item) for item in _checked_names(self.expand)))
            )
        if self.filter is not None:
            options.append(("$filter", self.filter.text))
        if self.order_by:
            options.append(("$orderby", _joined_names(_order, self.order_by, "order_by")))
        for name, number in (("top", self.top), ("skip", self.skip)):
            if number is not None:
                options.append((f"${name}", str(_checked_number(number, name))))
        if self.count:
            options.append(("$count", "true"))
        return options


@attrs.frozen
class ODataExpand:
    """The part of an OData query that asks for related entities along with each entity.

    Attributes:
        name: the name of the navigation property.
        query: the selection of related entities, and of their properties.
    """

    name: str
    query: ODataQuery = attrs.field(factory=ODataQuery)


@attrs.frozen
class OData:
    """Makes the operations of an OData v4 service, which `manager.perform` performs.

    Names come from your program; a value cannot become a part of the query's syntax. An operation
    that changes something is repeated after a failure only under an idempotency key that the
    service honours.

    Attributes:
        path: the path of the OData service below the base URL; "" if it is the base URL itself.
    """

    path: str = attrs.field(default="", converter=validate_path)

    def query(
        self,
        entity_set: str,
        query: ODataQuery | None = None,
        *,
        page_size: int | None = None,
        name: str | None = None,
    ) -> HttpOperation[ODataPage]:
        """Return the operation that reads the first page of the entities that a query selects.

        Args:
            entity_set: the name of the entity set, such as "Orders".
            query: the selection of entities and of their properties; by default all.
            page_size: the number of entities that the service is asked to put on a page.
            name: the name in events, errors and logs; by default "Orders.query".

        Raises:
            InvalidData: a name is not a valid OData name, or a number is negative.
        """
        path = self._path(entity_set) + _question(query)
        return self._page(path, page_size, name or f"{entity_set}.query")

    def next_page(
        self, page: ODataPage, *, name: str = "next_page"
    ) -> HttpOperation[ODataPage] | None:
        """Return the operation that reads the page after the given one; None after the last page.

        Args:
            page: the page.
            name: the name in events, errors and logs.

        Raises:
            VendorFailed: the link leads to another host, which must not get the credentials.
        """
        return (
            None if page.next_link is None else self._page(page.next_path(), page.page_size, name)
        )

    def count(
        self, entity_set: str, condition: ODataFilter | None = None, *, name: str | None = None
    ) -> HttpOperation[int]:
        """Return the operation that counts the entities of a set.

        Args:
            entity_set: the name of the entity set.
            condition: the condition that they fulfil; by default none.
            name: the name in events, errors and logs; by default "Orders.count".
        """
        path = f"{self._path(entity_set)}/$count{_question(ODataQuery(filter=condition))}"
        request = Request.get(path, headers={**_VERSION, "Accept": "text/plain, application/json"})
        return _operation(name or f"{entity_set}.count", request, read_count)

    def get(
        self,
        entity_set: str,
        key: ODataKey,
        query: ODataQuery | None = None,
        *,
        name: str | None = None,
    ) -> HttpOperation[ODataEntity]:
        """Return the operation that reads one entity.

        Args:
            entity_set: the name of the entity set.
            key: the key, or the key's properties by their names.
            query: the query's `select` and `expand`; by default all properties.
            name: the name in events, errors and logs; by default "Orders.get".
        """
        path = self._path(entity_set) + key_path(key) + _question(query)
        return _json_operation(
            name or f"{entity_set}.get", Request.get(path, headers=_READING_HEADERS), read_entity
        )

    def create(
        self,
        entity_set: str,
        data: Mapping[str, Any],
        *,
        minimal: bool = False,
        name: str | None = None,
    ) -> HttpOperation[ODataEntity]:
        """Return the operation that creates an entity.

        Args:
            entity_set: the name of the entity set.
            data: the entity's properties, as JSON values.
            minimal: whether the service should respond without the new entity.
            name: the name in events, errors and logs; by default "Orders.create".
        """
        path = self._path(entity_set)
        headers = {**_JSON, "Prefer": _return(minimal=minimal)}
        request = _write("POST", path, headers, data)
        return _json_operation(name or f"{entity_set}.create", request, read_entity)

    def update(
        self,
        entity_set: str,
        key: ODataKey,
        changes: Mapping[str, Any],
        *,
        etag: str,
        minimal: bool = False,
        name: str | None = None,
    ) -> HttpOperation[ODataEntity]:
        """Return the operation that changes properties of an entity, by PATCH.

        Args:
            entity_set: the name of the entity set.
            key: the key, or the key's properties by their names.
            changes: the properties to change, as JSON values.
            etag: the version that the changes were made for; "*" changes any version. An entity
                that does not exist is never created.
            minimal: whether the service should respond without the changed entity.
            name: the name in events, errors and logs; by default "Orders.update".
        """
        path = self._path(entity_set) + key_path(key)
        headers = {**_JSON, "If-Match": _checked_etag(etag), "Prefer": _return(minimal=minimal)}
        request = _write("PATCH", path, headers, changes)
        return _json_operation(name or f"{entity_set}.update", request, read_entity)

    def delete(
        self, entity_set: str, key: ODataKey, *, etag: str, name: str | None = None
    ) -> HttpOperation[None]:
        """Return the operation that deletes an entity.

        Args:
            entity_set: the name of the entity set.
            key: the key, or the key's properties by their names.
            etag: the version to delete; "*" deletes any version.
            name: the name in events, errors and logs; by default "Orders.delete".
        """
        path = self._path(entity_set) + key_path(key)
        request = _write("DELETE", path, {**_JSON, "If-Match": _checked_etag(etag)})
        return _operation(name or f"{entity_set}.delete", request, read_nothing)

    def action(
        self,
        action: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        entity_set: str | None = None,
        key: ODataKey = None,
        name: str | None = None,
    ) -> HttpOperation[Any]:
        """Return the operation that runs an OData action, which may change data.

        Args:
            action: the name of the action; with its namespace if it is bound.
            parameters: the action's parameters, as JSON values.
            entity_set: the entity set to which it is bound; by default it is unbound.
            key: the key of the entity to which it is bound; None if it is bound to the entity set.
            name: the name in events, errors and logs; by default the name of the action.
        """
        path = self._bound(entity_set, key) + f"/{quote(checked_name(action, 'action'))}"
        request = _write("POST", path, _JSON, {} if parameters is None else parameters)
        return _json_operation(name or action, request, read_value)

    def function(
        self,
        function: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        entity_set: str | None = None,
        key: ODataKey = None,
        name: str | None = None,
    ) -> HttpOperation[Any]:
        """Return the operation that runs an OData function, which changes no data.

        Args:
            function: the name of the function; with its namespace if it is bound.
            parameters: the function's parameters by name.
            entity_set: the entity set to which it is bound; by default it is unbound.
            key: the key of the entity to which it is bound; None if it is bound to the entity set.
            name: the name in events, errors and logs; by default the name of the function.
        """
        path = self._bound(entity_set, key) + f"/{quote(checked_name(function, 'function'))}"
        path += f"({arguments(parameters or {}, 'parameters')})"
        return _json_operation(
            name or function, Request.get(path, headers=_READING_HEADERS), read_value
        )

    def batch(
        self,
        entries: Sequence[HttpOperation[Any] | Sequence[HttpOperation[Any]]],
        *,
        continue_on_error: bool = False,
        name: str = "batch",
    ) -> HttpOperation[tuple[Result[Any], ...]]:
        """Return the operation that sends many operations in one request, as multipart/mixed.

        It returns one result per operation, in their order. A list among the operations is a change
        set: the service performs all operations of it or none. An operation may refer to an entity
        that its change set creates: "$1" is the first operation of the change set, as in
        `create("$1/Items", …)`.

        Args:
            entries: operations of this service, and lists of operations that change something.
            continue_on_error: whether the service should continue after an operation that fails; by
                default it stops, and the operations after that one are not performed.
            name: the name in events, errors and logs.

        Raises:
            InvalidData: there is no operation or there are too many, or a change set contains an
                operation that only reads.
        """
        headers = {**_VERSION, "Accept": "multipart/mixed"}
        if continue_on_error:
            headers["Prefer"] = "odata.continue-on-error"
        content = batch_of(entries, self.path)
        request = Request(
            HttpMethod.POST,
            f"{self.path}/$batch",
            headers={**headers, "Content-Type": content.content_type},
            body=content.body,
            idempotent=content.safe,
        )
        return HttpOperation(
            name=name,
            request=request,
            read=content.read,
            failure=failure_of,
            system="odata",
            safe=content.safe,
        )

    def ping(self) -> HttpOperation[None]:
        """Return the operation that tests the service by reading its service document."""
        return _operation("ping", Request.get(f"{self.path}/", headers=_JSON), read_nothing)

    def _path(self, entity_set: str) -> str:
        reference = _REFERENCE.fullmatch(entity_set) if isinstance(entity_set, str) else None
        if reference is None:
            return f"{self.path}/{quote(checked_path(entity_set, 'entity_set'))}"
        place = f"{self.path}/{reference[1]}"
        names = reference[2]
        return f"{place}/{quote(checked_path(names, 'entity_set'))}" if names else place

    def _bound(self, entity_set: str | None, key: ODataKey) -> str:
        if entity_set is None:
            return self.path
        return self._path(entity_set) + ("" if key is None else key_path(key))

    def _page(self, path: str, page_size: int | None, name: str) -> HttpOperation[ODataPage]:
        headers = _READING_HEADERS
        if page_size is not None:
            size = _checked_number(page_size, "page_size")
            headers = headers.with_header("Prefer", f"odata.maxpagesize={size}")
        read_items = partial(read_page, page_size=page_size)
        return _json_operation(name, Request.get(path, headers=headers), read_items)


class _JsonReader(Protocol[R_co]):
    """Returns the result in a successful response; `parse` returns the response's JSON."""

    def __call__(self, response: Response, *, parse: Parse) -> R_co: ...


def _json_operation(name: str, request: Request, read: _JsonReader[R]) -> HttpOperation[R]:
    """Return an operation whose response is JSON, which is parsed once."""
    parse = AnswerReader(json_in)
    return _operation(name, request, partial(read, parse=parse), partial(refusal_of, parse=parse))


def _operation(
    name: str,
    request: Request,
    read: Callable[[Response], R],
    refusal: Callable[[Response], ConnectorError | None] = refusal_of,
) -> HttpOperation[R]:
    return HttpOperation(
        name=name,
        request=request,
        read=read,
        refusal=refusal,
        failure=failure_of,
        system="odata",
    )


def _write(method: str, path: str, headers: Mapping[str, str], data: object = None) -> Request:
    """Return a request that changes data; retries repeat it only if it has an idempotency key."""
    fields, body = headers, b""
    if data is not None:
        fields = {**headers, "Content-Type": "application/json"}
        body = encode_json(data)
    return Request(method, path, headers=fields, body=body, idempotent=False)


def _question(query: ODataQuery | None) -> str:
    """Return a URL's query string with OData options, whose dollar signs stay unencoded."""
    if query is None:
        return ""
    pairs = "&".join(f"{name}={quote(value, safe='')}" for name, value in query.options())
    return f"?{pairs}" if pairs else ""


def _expansion(item: str | ODataExpand) -> str:
    if not isinstance(item, ODataExpand):
        return checked_path(item, "expand")
    # A semicolon in a quoted text is part of the text: services split only outside of quotes.
    inner_query = ";".join(f"{name}={value}" for name, value in item.query.options())
    return checked_path(item.name, "expand") + (f"({inner_query})" if inner_query else "")


def _joined_names(check: Callable[[object, str], str], names: object, field: str) -> str:
    return ",".join(
        check(name, field) for name in _checked_names(cast("Sequence[Any]", names), field)
    )


def _checked_names(names: Sequence[R], field: str = "expand") -> Sequence[R]:
    if isinstance(names, str):
        raise InvalidData(
            f"{field} is a string, not a list of names.",
            field=field,
            remedy="Pass a list or tuple.",
        )
    return names


def _order(text: object, field: str) -> str:
    match = _ORDER.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        return checked_path(None, field)
    return checked_path(match[1], field) + (f" {match[2]}" if match[2] else "")


def _checked_number(number: object, field: str) -> int:
    if isinstance(number, int) and not isinstance(number, bool) and 0 <= number < _LARGEST_NUMBER:
        return number
    raise InvalidData(
        f"{field} is not a whole number of 0 or more.", field=field, remedy="Pass such a number."
    )


def _return(*, minimal: bool) -> str:
    return "return=minimal" if minimal else "return=representation"


def _checked_etag(etag: object) -> str:
    if isinstance(etag, str) and (etag == "*" or _is_etag(etag)):
        return etag
    raise InvalidData(
        "The etag is not valid.",
        field="etag",
        remedy='Pass the `etag` of the entity that you read, or "*" for any version.',
    )


def _is_etag(etag: str) -> bool:
    quoted_tag = etag.removeprefix("W/")
    return (
        len(quoted_tag) > 1
        and quoted_tag[0] == quoted_tag[-1] == '"'
        and quoted_tag.isascii()
        and quoted_tag.isprintable()
        and '"' not in quoted_tag[1:-1]
    )
