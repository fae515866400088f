"""Operations of vendors: values that combine a request with the parsing of its answer.

In the class of a vendor, `get = vendor_sdk.get("/messages/{id}", reads=RECEIPT)` defines a method
that can be used and overridden like `async def get(self, wire, ref, /)`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeAlias, TypeVar, overload
from urllib.parse import quote

from moorage.contracts.vendor import extra_for, key_for_vendor, merged
from moorage.domain.http.requests import HttpMethod, Request
from moorage.domain.values.json_text import is_list
from moorage.domain.values.patterns import late_pattern
from moorage.errors import VendorRejected
from moorage.vendor_sdk.readings import Reading

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from moorage.contracts.vendor import MakeRef, Vendor
    from moorage.contracts.wire import Wire
    from moorage.domain.http.requests import Response

R = TypeVar("R")
Reads: TypeAlias = "Reading[R] | Callable[[MakeRef, Response], R]"
Fields: TypeAlias = "Mapping[str, Any] | Callable[..., Mapping[str, Any]]"

_OPTION: Final = late_pattern(r"\{(\w+)\}")
_ID: Final = "id"
_NOT_KEYED: Final[Any] = object()
_MAKERS: Final[dict[HttpMethod, Callable[..., Request]]] = {
    HttpMethod.GET: Request.get,
    HttpMethod.POST: Request.post,
    HttpMethod.PUT: Request.put,
    HttpMethod.DELETE: Request.delete,
}


def filled_path(path: str, vendor: Vendor) -> str:
    """Return a path with its names in braces replaced by the account's options, percent-encoded."""
    return _fill_path(_OPTION.split(path), vendor, None)


def _fill_path(parts: list[str], vendor: Vendor, about: Any) -> str:
    """Return the path from a split template, in which every second part is an option's name."""
    path = parts[0]
    for number in range(1, len(parts), 2):
        name = parts[number]
        value: str = getattr(about, _ID, about) if name == _ID else getattr(vendor, name)
        path += value if value.isalnum() and value.isascii() else quote(value, safe="")
        path += parts[number + 1]
    return path


def form_pairs(fields: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the fields of a form; a list becomes several fields, and None is left out."""
    return [
        (name, str(item).lower() if isinstance(item, bool) else str(item))
        for name, value in fields.items()
        for item in (value if is_list(value) else (value,))
        if item is not None
    ]


class VendorOperation(Generic[R]):
    """A method of a vendor class that sends a request and parses the answer.

    The method's arguments are the wire and the subject of the operation: a `Ref`, an id, a value
    such as a message, or nothing. Further arguments are passed to functions that make fields. The
    keyword `key` is an idempotency key; it is shortened to the vendor's limit `idempotency_key`.

    Args:
        method, path: the request. In the path, `{id}` is replaced by the id of the subject, and any
            other name in braces by an option of the account; both are quoted.
        reads: the reading of the answer, or a function of `wire.ref` and the answer that raises
            `VendorFailed` if required data is missing.
        to: the service that the request goes to.
        json, form: the fields of the body, or a function that makes them from the vendor and the
            subject. None is left out. Options for this vendor in `extra` are added.
        query: the fields of the query, or a function that makes them. None is left out.
        check: raises an error, before anything is sent, for arguments that the vendor would refuse.
        idempotent: True if the request may be repeated although its HTTP method is not idempotent.
        refused: reads a result from an error response that counts as an answer; returns None for
            other error responses.
    """

    def __init__(
        self,
        method: HttpMethod,
        path: str,
        *,
        reads: Reads[R],
        to: str = "",
        json: Fields | None = None,
        form: Fields | None = None,
        query: Fields | None = None,
        check: Callable[[Any], object] | None = None,
        idempotent: bool | None = None,
        refused: Callable[[VendorRejected], R | None] | None = None,
    ) -> None:
        self.method, self.path, self.to = method, path, to
        self.read: Callable[[MakeRef, Response], R]
        self.read = reads.parse if isinstance(reads, Reading) else reads
        self._parts, self._make = _OPTION.split(path), _MAKERS[method]
        self._json, self._form, self._query = json, form, query
        self._check, self._idempotent, self._refused = check, idempotent, refused

    @overload
    def __get__(self, vendor: None, owner: type) -> Self: ...

    @overload
    def __get__(self, vendor: Vendor, owner: type) -> Callable[..., Coroutine[Any, Any, R]]: ...

    def __get__(self, vendor: Vendor | None, owner: type) -> Any:
        """Return the operation as a method of an account."""
        return self if vendor is None else partial(self._run, vendor)

    def request(self, vendor: Vendor, about: Any = None, /, *others: Any, **more: Any) -> Request:
        """Return the operation's request for a subject and further arguments."""
        if self._check is not None:
            self._check(about)
        content: dict[str, Any] = {}
        if self._json is not None:
            content["json"] = _body(self._json, vendor, (about, *others), more)
        if self._form is not None:
            content["form"] = form_pairs(_body(self._form, vendor, (about, *others), more))
        if self._query is not None:
            content["query"] = _fields_of(self._query, vendor, (about, *others), more)
        request = self._make(_fill_path(self._parts, vendor, about), **content)
        if self._idempotent is None:
            return request
        return request.evolve(idempotent=self._idempotent)

    async def _run(
        self,
        vendor: Vendor,
        wire: Wire,
        about: Any = None,
        /,
        *others: Any,
        key: str | None = _NOT_KEYED,
        **more: Any,
    ) -> R:
        request = self.request(vendor, about, *others, **more)
        try:
            if key is _NOT_KEYED:
                return self.read(wire.ref, await wire.send(request, to=self.to))
            longest_key = vendor.limits.get("idempotency_key")
            if key is not None and longest_key is not None:
                key = key_for_vendor(wire, key, longest_key)
            parse = partial(self.read, wire.ref)
            return await wire.send(request, to=self.to, key=key, parse=parse)
        except VendorRejected as refusal:
            value = None if self._refused is None else self._refused(refusal)
            if value is None:
                raise
            return value


def _fields_of(
    fields: Fields, vendor: Vendor, arguments: tuple[Any, ...], more: dict[str, Any]
) -> Mapping[str, Any]:
    return fields(vendor, *arguments, **more) if callable(fields) else fields


def _body(
    fields: Fields, vendor: Vendor, arguments: tuple[Any, ...], more: dict[str, Any]
) -> dict[str, Any]:
    body = _fields_of(fields, vendor, arguments, more)
    extra_options = getattr(arguments[0], "extra", None)
    if extra_options:
        body = merged(body, extra_for(vendor.name, extra_options))
    return {name: value for name, value in body.items() if value is not None}


def get(path: str, *, reads: Reads[R], **more: Any) -> VendorOperation[R]:
    """Return a `VendorOperation` that sends a GET request."""
    return VendorOperation(HttpMethod.GET, path, reads=reads, **more)


def post(path: str, *, reads: Reads[R], **more: Any) -> VendorOperation[R]:
    """Return a `VendorOperation` that sends a POST request."""
    return VendorOperation(HttpMethod.POST, path, reads=reads, **more)


def put(path: str, *, reads: Reads[R], **more: Any) -> VendorOperation[R]:
    """Return a `VendorOperation` that sends a PUT request."""
    return VendorOperation(HttpMethod.PUT, path, reads=reads, **more)


def delete(path: str, *, reads: Reads[R], **more: Any) -> VendorOperation[R]:
    """Return a `VendorOperation` that sends a DELETE request."""
    return VendorOperation(HttpMethod.DELETE, path, reads=reads, **more)
