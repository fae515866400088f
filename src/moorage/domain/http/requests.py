"""Requests and HTTP methods."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from moorage.domain.http.body import Body, BodyInput, BodyStream, as_body
from moorage.domain.http.fingerprint import fingerprint
from moorage.domain.http.headers import Headers, HeadersInput, as_headers
from moorage.domain.http.query import Pairs, PairsInput, as_pairs
from moorage.domain.http.response import Response
from moorage.domain.http.timeouts import Timeouts
from moorage.domain.http.urls import join_url, validate_base_url, validate_path
from moorage.domain.secrets.frames import without_arguments_in_errors
from moorage.domain.secrets.sensitive import MASK, is_sensitive
from moorage.domain.values.frozen_values import evolve, field, frozen
from moorage.domain.values.json_text import encode_json
from moorage.domain.values.text import brief_repr, with_article
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from moorage.domain.http.multipart import FilesInput

__all__ = [
    "Body",
    "BodyStream",
    "Headers",
    "HttpMethod",
    "Request",
    "Response",
    "Timeouts",
    "fingerprint",
    "join_url",
    "validate_base_url",
]


class HttpMethod(StrEnum):
    """The HTTP methods of RFC 9110."""

    GET = "GET"
    HEAD = "HEAD"
    OPTIONS = "OPTIONS"
    PUT = "PUT"
    DELETE = "DELETE"
    POST = "POST"
    PATCH = "PATCH"

    @property
    def safe(self) -> bool:
        """True if a request with this method changes nothing at the server."""
        return self in _SAFE_METHODS

    @property
    def idempotent(self) -> bool:
        """True if a repeated request with this method has the same effect as a single one."""
        return self in _IDEMPOTENT


_SAFE_METHODS = frozenset({HttpMethod.GET, HttpMethod.HEAD, HttpMethod.OPTIONS})
_IDEMPOTENT = _SAFE_METHODS | {HttpMethod.PUT, HttpMethod.DELETE}


def as_method(value: HttpMethod | str) -> HttpMethod:
    """Return the HTTP method of this name."""
    try:
        return value if isinstance(value, HttpMethod) else HttpMethod(value)
    except ValueError:
        raise InvalidData(
            f"{brief_repr(value)} is not a supported HTTP method.",
            field="method",
            remedy=f"Use one of {', '.join(HttpMethod)}.",
        ) from None


def _is_bool(_: object, __: object, value: Any) -> None:
    if value is not None and not isinstance(value, bool):
        raise InvalidData(
            f"The value must be a boolean or None, not {with_article(type(value).__name__)}.",
            field="idempotent",
            remedy="Pass True if the request may be repeated, False if not, or None to decide"
            " by its method.",
        )


def _query(parameters: PairsInput | None) -> Pairs:
    return as_pairs(parameters, "query")


@frozen(repr=False)
class Request:
    """A request to a service, without the service's base URL.

    Attributes:
        method: the HTTP method.
        path: the path below the service's base URL; or an absolute URL of the same origin.
        query: parameters in order; None is dropped, and a list becomes one parameter per item.
        headers: the header fields to send.
        body: bytes, or a stream.
        idempotent: whether sending the request twice has the same effect as once; by default the
            method decides.
    """

    method: HttpMethod = field(converter=as_method)
    # Pretty-printers show attrs fields, whatever `__repr__` returns.
    path: str = field(converter=validate_path, repr=False)
    query: Pairs = field(default=(), converter=_query, repr=False, kw_only=True)
    headers: Headers = field(factory=Headers, converter=as_headers, repr=False, kw_only=True)
    body: Body = field(default=b"", converter=as_body, repr=False, kw_only=True)
    idempotent: bool | None = field(default=None, validator=_is_bool, kw_only=True)

    @classmethod
    @without_arguments_in_errors
    def get(
        cls, path: str, *, query: PairsInput | None = None, headers: HeadersInput | None = None
    ) -> Request:
        """Return a GET request."""
        return cls(HttpMethod.GET, path, query=query, headers=headers)

    @classmethod
    @without_arguments_in_errors
    def head(
        cls, path: str, *, query: PairsInput | None = None, headers: HeadersInput | None = None
    ) -> Request:
        """Return a HEAD request."""
        return cls(HttpMethod.HEAD, path, query=query, headers=headers)

    @classmethod
    @without_arguments_in_errors
    def options(
        cls, path: str, *, query: PairsInput | None = None, headers: HeadersInput | None = None
    ) -> Request:
        """Return an OPTIONS request."""
        return cls(HttpMethod.OPTIONS, path, query=query, headers=headers)

    @classmethod
    @without_arguments_in_errors
    def post(
        cls,
        path: str,
        *,
        query: PairsInput | None = None,
        headers: HeadersInput | None = None,
        body: BodyInput = None,
        json: object = None,
        form: PairsInput | None = None,
        files: FilesInput | None = None,
    ) -> Request:
        """Return a POST request with at most one kind of body.

        Files can be combined with a form.
        """
        return _with_content(
            cls,
            HttpMethod.POST,
            path,
            query=query,
            headers=headers,
            body=body,
            json=json,
            form=form,
            files=files,
        )

    @classmethod
    @without_arguments_in_errors
    def put(
        cls,
        path: str,
        *,
        query: PairsInput | None = None,
        headers: HeadersInput | None = None,
        body: BodyInput = None,
        json: object = None,
        form: PairsInput | None = None,
        files: FilesInput | None = None,
    ) -> Request:
        """Return a PUT request with at most one kind of body.

        Files can be combined with a form.
        """
        return _with_content(
            cls,
            HttpMethod.PUT,
            path,
            query=query,
            headers=headers,
            body=body,
            json=json,
            form=form,
            files=files,
        )

    @classmethod
    @without_arguments_in_errors
    def patch(
        cls,
        path: str,
        *,
        query: PairsInput | None = None,
        headers: HeadersInput | None = None,
        body: BodyInput = None,
        json: object = None,
        form: PairsInput | None = None,
        files: FilesInput | None = None,
    ) -> Request:
        """Return a PATCH request with at most one kind of body.

        Files can be combined with a form.
        """
        return _with_content(
            cls,
            HttpMethod.PATCH,
            path,
            query=query,
            headers=headers,
            body=body,
            json=json,
            form=form,
            files=files,
        )

    @classmethod
    @without_arguments_in_errors
    def delete(
        cls,
        path: str,
        *,
        query: PairsInput | None = None,
        headers: HeadersInput | None = None,
        body: BodyInput = None,
        json: object = None,
        form: PairsInput | None = None,
    ) -> Request:
        """Return a DELETE request with at most one kind of body."""
        return _with_content(
            cls,
            HttpMethod.DELETE,
            path,
            query=query,
            headers=headers,
            body=body,
            json=json,
            form=form,
        )

    @without_arguments_in_errors
    def with_header(self, name: str, value: str) -> Request:
        """Return this request with one header set."""
        return self.with_only_headers(self.headers.with_header(name, value))

    @without_arguments_in_errors
    def with_headers(self, fields: HeadersInput) -> Request:
        """Return this request with these headers set; its other headers are unchanged."""
        added_headers = as_headers(fields)
        pairs = [pair for pair in self.headers.pairs if pair[0] not in added_headers]
        return self.with_only_headers(Headers([*pairs, *added_headers.pairs]))

    def with_only_headers(self, headers: Headers) -> Request:
        """Return this request with these headers in place of all its headers."""
        # Each authorised or signed request is copied here; its fields are not validated again.
        if type(self) is not Request:
            return evolve(self, headers=headers)
        request: Any = _new(_NewRequest)
        request.method = self.method
        request.path = self.path
        request.query = self.query
        request.headers = headers
        request.body = self.body
        request.idempotent = self.idempotent
        request.__class__ = Request
        return request  # type: ignore[no-any-return]  # its class was just set

    @without_arguments_in_errors
    def evolve(self, **changes: Any) -> Request:
        """Return this request with the given attributes replaced."""
        return evolve(self, **changes)

    @property
    def replayable(self) -> bool:
        """True if the body can be sent a second time, for a retry."""
        return not isinstance(self.body, BodyStream) or self.body.replayable

    @property
    def repeatable(self) -> bool:
        """True if sending the request twice has the same effect as sending it once."""
        return self.method.idempotent if self.idempotent is None else self.idempotent

    def __repr__(self) -> str:
        path, _, path_query = self.path.partition("?")
        query_pairs = [pair.split("=", 1) for pair in path_query.split("&") if pair]
        query_pairs += [list(pair) for pair in self.query]
        query = "&".join(
            "=".join([name, *(MASK if is_sensitive(name) else value for value in values)])
            for name, *values in query_pairs
        )
        return f"<Request {self.method} {path}{'?' if query else ''}{query}>"


class _NewRequest(Request):
    """A mutable request, which becomes a `Request` once all of its fields are set."""

    __slots__ = ()
    # Python sets an attribute without calling a function only if neither method is overridden.
    __setattr__ = object.__setattr__
    __delattr__ = object.__delattr__


_new: Final = object.__new__


def _with_content(
    cls: type[Request],
    method: HttpMethod,
    path: str,
    *,
    query: PairsInput | None,
    headers: HeadersInput | None,
    body: BodyInput,
    json: object,
    form: PairsInput | None,
    files: FilesInput | None = None,
) -> Request:
    fields = as_headers(headers)
    form_content = form if files is None else files
    if sum(content is not None for content in (body, json, form_content)) > 1:
        raise InvalidData(
            "More than one of the arguments body, json and form was passed.",
            field="body",
            remedy="Pass only one of body, json and form. Files need a form.",
        )
    if json is not None:
        body = encode_json(json)
        fields = fields.with_default("Content-Type", "application/json")
    elif files is not None:
        from moorage.domain.http.multipart import multipart  # noqa: PLC0415 - few send files

        content_type, body = multipart(as_pairs(form, "form"), files)
        if "content-type" in fields:
            raise InvalidData(
                "The request has files and a Content-Type header, but this header does not"
                " contain the boundary of the form.",
                field="headers.Content-Type",
                remedy="Remove the Content-Type header. moorage generates it.",
            )
        fields = fields.with_header("Content-Type", content_type)
    elif form is not None:
        body = urlencode(as_pairs(form, "form")).encode()
        fields = fields.with_default("Content-Type", "application/x-www-form-urlencoded")
    return cls(method, path, query=query, headers=fields, body=body)
