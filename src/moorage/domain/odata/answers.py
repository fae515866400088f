"""The responses of OData services: entities, pages, values and errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urljoin

import attrs

from moorage.domain.http.urls import is_absolute, same_origin
from moorage.domain.resilience.classify import classify, unreadable_answer_error
from moorage.domain.values.json_text import is_list, is_object
from moorage.errors import InvalidData, InvalidRequest, VendorFailed, VendorRejected

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeAlias

    from moorage.domain.http.response import Response
    from moorage.errors import ConnectorError

    Parse: TypeAlias = Callable[[Response], Any]
    """Returns the JSON value in an answer; None if the answer is not JSON."""

_LONGEST_MESSAGE: Final = 500
_MOST_DETAILS: Final = 100
_CHANGED_STATUS: Final = 412
_NEEDS_ETAG: Final = 428
_NO_CONTENT: Final = 204


@attrs.frozen
class ODataEntity:
    """An entity in the response of an OData service.

    Attributes:
        data: the entity's properties; empty if the service answered without content.
        etag: the version of the entity, for `update` and `delete`; None if the service states none.
        id: the URL of the entity; None if the service states none.
        replayed: whether this is the stored response of an earlier call with the same key.
    """

    data: Mapping[str, Any] = attrs.field(repr=False)
    etag: str | None = None
    id: str | None = None
    replayed: bool = False


@attrs.frozen
class ODataPage:
    """A page of the entities that an OData query returns.

    Attributes:
        items: the entities of the page, each in the form that the service sent.
        count: the number of entities on all pages, if the query asked for it.
        next_link: the URL of the next page; None on the last page. `OData.next_page` follows it.
        page_size: the number of entities that the query wanted on a page.
        url: the URL of this page.
    """

    items: tuple[Any, ...] = attrs.field(repr=False)
    count: int | None = None
    next_link: str | None = attrs.field(default=None, repr=False)
    page_size: int | None = None
    url: str | None = attrs.field(default=None, repr=False)

    def next_path(self) -> str:
        """Return the path of the next page of the query's result.

        Raises:
            VendorFailed: the link leads to another host, which must not get the credentials, or to
                this page again.
            InvalidData: this is the last page.
        """
        if self.next_link is None:
            raise InvalidData(
                "This page is the last page.",
                field="page",
                remedy="Read a next page only if `next_link` is not None.",
            )
        problem, link = None, _join_link(self.url, self.next_link)
        if link is None:
            problem = "is not at a URL"
        elif link == self.url:
            problem = "is the same page again, so the pages would never end"
        elif link.startswith("//") or (
            is_absolute(link) and not (self.url and same_origin(self.url, link))
        ):
            problem = "has another origin, and the credentials must not be sent there"
        if problem is None and link is not None:
            return link
        raise VendorFailed(
            f"The next page of the OData service {problem}.",
            retryable=False,
            remedy="Set the base_url to the address that the service uses in its links, or"
            " inform the vendor.",
        )


@attrs.frozen
class ODataProblem:
    """The error that an OData service describes in its response.

    Attributes:
        code: the code of the service.
        message: the problem's description.
        target: the part of the request that the error is about.
        details: more errors, each with its own code, message and target.
    """

    code: str | None
    message: str
    target: str | None = None
    details: tuple[ODataProblem, ...] = ()

    @classmethod
    def of(cls, error: ConnectorError) -> ODataProblem | None:
        """Return the OData problem in an error response; None if it has none."""
        response: Response | None = getattr(error, "response", None)
        problem = None if response is None else _error_in(response)
        return None if problem is None else _problem(problem)


def json_in(response: Response) -> Any:
    """Return the JSON value in a response; None if the response is not JSON."""
    try:
        return response.json()
    except InvalidData:
        return None


def read_page(
    response: Response, parse: Parse = json_in, *, page_size: int | None = None
) -> ODataPage:
    """Return the page of entities in a successful response.

    Raises:
        VendorFailed: the response is not a page of entities.
    """
    body = _body_of(response, parse)
    items = body.get("value")
    if not is_list(items):
        raise unreadable_answer_error(response, "list of entities")
    count, link = body.get("@odata.count"), body.get("@odata.nextLink")
    if isinstance(count, str) and count.isdecimal():
        count = int(count[:20])  # as IEEE754Compatible writes it
    return ODataPage(
        tuple(items),
        count if isinstance(count, int) and not isinstance(count, bool) else None,
        link if isinstance(link, str) and link else None,
        page_size,
        response.url,
    )


def read_entity(response: Response, parse: Parse = json_in) -> ODataEntity:
    """Return the entity in a successful response, which may have no content.

    Raises:
        VendorFailed: the content of the response is not an entity.
    """
    data: Mapping[str, Any]
    data = {} if response.status == _NO_CONTENT or not response.body else _body_of(response, parse)
    etag = response.header("etag") or data.get("@odata.etag")
    place = (
        response.header("odata-entityid") or response.header("location") or data.get("@odata.id")
    )
    return ODataEntity(
        data,
        etag if isinstance(etag, str) else None,
        place if isinstance(place, str) else None,
        response.replayed,
    )


def read_value(response: Response, parse: Parse = json_in) -> Any:
    """Return the result of an OData action or function; None if the response has no content.

    A collection or a primitive value is returned without the object around it.

    Raises:
        VendorFailed: the response has other content than JSON.
    """
    if response.status == _NO_CONTENT or not response.body:
        return None
    body = _body_of(response, parse)
    control = {name for name in body if name.startswith("@") and name != "@odata.nextLink"}
    return body["value"] if body.keys() - control == {"value"} else body


def read_count(response: Response) -> int:
    """Return the number of entities in the response to an OData `$count` request.

    Raises:
        VendorFailed: the response is not a number.
    """
    text = response.text.strip().removeprefix("\ufeff")
    if not text.isascii() or not text.isdecimal() or len(text) > 20:
        raise unreadable_answer_error(response, "number")
    return int(text)


def read_nothing(_: Response) -> None:
    """Return None; for operations whose response has no content."""


def refusal_of(response: Response, parse: Parse = json_in) -> ConnectorError | None:
    """Return the error that an OData service reports within a response of status 200."""
    problem = _error_in(response, parse)
    if problem is None:
        return None
    problem_description = _problem(problem)
    return VendorFailed(
        "The OData service failed while it was sending its response.",
        status=response.status,
        vendor_code=problem_description.code,
        vendor_message=problem_description.message,
        response=response,
    )


def failure_of(response: Response) -> ConnectorError | None:
    """Return the error if the service refused a change because of the entity's version, or None."""
    if response.status not in {_CHANGED_STATUS, _NEEDS_ETAG}:
        return None
    problem_description = _problem(_error_in(response) or {})
    details: dict[str, Any] = {
        "status": response.status,
        "vendor_code": problem_description.code,
        "vendor_message": problem_description.message or None,
        "response": response,
    }
    if response.status == _NEEDS_ETAG:
        return InvalidRequest(
            "The OData service changes this entity only if the request contains the entity's"
            " version.",
            remedy="Read the entity, and pass its etag.",
            **details,
        )
    return VendorRejected(
        "The version of the entity differs from the version in the request. Nothing was changed.",
        remedy="Read the entity again, and repeat the change with its new etag.",
        **details,
    )


def error_in_batch(response: Response, *, safe: bool) -> ConnectorError | None:
    """Return the error of one operation in a batch response; None if it succeeded."""
    error = classify(response, safe=safe)
    if error is None:
        return refusal_of(response)
    return failure_of(response) or error


def _join_link(url: str | None, link: str) -> str | None:
    """Return the next page's link as a URL or path; None if the link is invalid."""
    try:
        joined_url = link if url is None else urljoin(url, link)
    except ValueError:
        return None
    return quote(joined_url, safe="/%:@!$&'()*+,;=?[]")


def _error_in(response: Response, parse: Parse = json_in) -> Mapping[str, Any] | None:
    is_json = response.body[:1] in {b"{", b" ", b"\n", b"\r", b"\xef"}
    body = parse(response) if is_json else None
    problem = body.get("error") if is_object(body) else None
    return problem if is_object(problem) else None


def _problem(problem: Mapping[str, Any]) -> ODataProblem:
    details = problem.get("details")
    return ODataProblem(
        _text(problem.get("code")),
        _text(problem.get("message")) or "",
        _text(problem.get("target")),
        tuple(
            ODataProblem(
                _text(item.get("code")), _text(item.get("message")) or "", _text(item.get("target"))
            )
            for item in (details[:_MOST_DETAILS] if is_list(details) else ())
            if is_object(item)
        ),
    )


def _text(value: object) -> str | None:
    return value[:_LONGEST_MESSAGE] if isinstance(value, str) and value else None


def _body_of(response: Response, parse: Parse) -> Mapping[str, Any]:
    body = parse(response)
    if not is_object(body):
        raise unreadable_answer_error(response)
    return body
