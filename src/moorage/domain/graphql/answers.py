"""The responses of GraphQL services: results, problems of fields, and errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.domain.http.redaction import Redaction
from moorage.domain.resilience.classify import unreadable_answer_error
from moorage.domain.values.json_text import is_list, is_object
from moorage.errors import (
    AuthenticationFailed,
    InvalidData,
    InvalidRequest,
    RateLimitExceeded,
    VendorFailed,
    VendorRejected,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeAlias

    from moorage.domain.http.response import Response
    from moorage.errors import ConnectorError

    _Parse: TypeAlias = Callable[[Response], Mapping[str, Any]]
    """Returns the JSON object in an answer."""

_LONGEST_MESSAGE: Final = 500
_USUAL_REDACTION: Final = Redaction()
_MOST_PROBLEMS: Final = 100
_LARGEST_NUMBER: Final = 2**53

UNKNOWN_DOCUMENT: Final = (
    "PERSISTED_QUERY_NOT_FOUND",
    "PERSISTED_QUERY_NOT_SUPPORTED",
    "PERSISTED_DOCUMENT_NOT_FOUND",
    "TRUSTED_DOCUMENT_ERROR",
)
"""Error codes of a GraphQL service that does not know a document's hash or id."""

_CODES_OF_MESSAGES: Final = {
    "PersistedQueryNotFound": "PERSISTED_QUERY_NOT_FOUND",
    "PersistedQueryNotSupported": "PERSISTED_QUERY_NOT_SUPPORTED",
}
"""GraphQL error codes by message, for services that send no code."""

_ERRORS_BY_CODE: Final = {
    **dict.fromkeys(
        ("UNAUTHENTICATED", "UNAUTHORIZED", "FORBIDDEN", "ACCESS_DENIED", "INVALID_JWT"),
        AuthenticationFailed,
    ),
    **dict.fromkeys(
        ("THROTTLED", "RATE_LIMIT", "RATE_LIMITED", "RATELIMITED", "TOO_MANY_REQUESTS"),
        RateLimitExceeded,
    ),
    **dict.fromkeys(
        (
            "BAD_REQUEST",
            "BAD_USER_INPUT",
            "GRAPHQL_PARSE_FAILED",
            "GRAPHQL_VALIDATION_FAILED",
            "MAX_COST_EXCEEDED",
            "OPERATION_PARSING_ERROR",
            "OPERATION_RESOLUTION_FAILURE",
            "OPERATION_VALIDATION_ERROR",
            "VALIDATION_ERROR",
            "VALIDATION_FAILED",
            *UNKNOWN_DOCUMENT,
        ),
        InvalidRequest,
    ),
    **dict.fromkeys(
        (
            "GATEWAY_TIMEOUT",
            "INTERNAL",
            "INTERNAL_ERROR",
            "INTERNAL_SERVER_ERROR",
            "SERVICE_UNAVAILABLE",
            "TIMEOUT",
            "UNAVAILABLE",
        ),
        VendorFailed,
    ),
}
"""The error classes for usual GraphQL error codes."""


@attrs.frozen
class GraphQLProblem:
    """A problem that a GraphQL service reports, usually about one field of the result.

    Attributes:
        message: the service's own description.
        code: the code in `extensions`, or else the problem's type, if there is one.
        path: the names and list positions that lead to the field; empty if the problem is not about
            a field.
        extensions: the service's additional data.
    """

    message: str
    code: str | None = None
    path: tuple[str | int, ...] = ()
    extensions: Mapping[str, Any] = attrs.field(factory=dict[str, Any], repr=False)


@attrs.frozen
class GraphQLPage:
    """One page of a GraphQL connection, as Relay defines it.

    Attributes:
        nodes: the objects of the page.
        cursor: the cursor after which the next page begins; None on the last page.
    """

    nodes: tuple[Any, ...] = attrs.field(repr=False)
    cursor: str | None

    def next_variables(
        self, variables: Mapping[str, Any], cursor: str = "after"
    ) -> dict[str, Any] | None:
        """Return the variables that query the next page; None if this is the last page.

        Args:
            variables: the variables of the query for this page.
            cursor: the name of the variable for the cursor after which a page begins.

        Raises:
            InvalidData: the next page would be this page again, so the pages would never end.
        """
        if self.cursor is None:
            return None
        if variables.get(cursor) == self.cursor:
            raise InvalidData(
                f"The next page would be the same page again, because ${cursor} does not change.",
                field=cursor,
                remedy=f"Use the variable ${cursor} in the document. If the document uses it,"
                " report the error to the vendor.",
            )
        return {**variables, cursor: self.cursor}


@attrs.frozen
class GraphQLAnswer:
    """The result of a GraphQL operation, in which fields may be missing because of problems.

    Attributes:
        data: the result. A field that the service could not compute is None.
        problems: the reasons why fields are missing.
        extensions: the service's additional data, such as the cost of the query.
        replayed: whether this is the stored response of an earlier call with the same key.
    """

    data: Mapping[str, Any] = attrs.field(repr=False)
    problems: tuple[GraphQLProblem, ...] = ()
    extensions: Mapping[str, Any] = attrs.field(factory=dict[str, Any], repr=False)
    replayed: bool = False

    def whole_data(self) -> Mapping[str, Any]:
        """Return the response's data; raise an error if the service reported any problem.

        Raises:
            VendorRejected: the service reported a problem, so that the data may lack fields.
        """
        if self.problems:
            raise _refusal_of(self.problems, None)
        return self.data

    def page(self, at: str) -> GraphQLPage:
        """Return the page of the GraphQL connection at a path of the data, such as "shop.orders".

        Raises:
            InvalidData: the value at the path is not a connection with `pageInfo`, and `nodes` or
                `edges`.
        """
        connection: Any = self.data
        for name in at.split("."):
            connection = connection.get(name) if is_object(connection) else None
        info = connection.get("pageInfo") if is_object(connection) else None
        nodes = _nodes_of(connection)
        if not is_object(info) or not isinstance(info.get("hasNextPage"), bool) or nodes is None:
            raise InvalidData(
                f"The response has no page of a connection at {at!r}.",
                field="at",
                remedy="Select `pageInfo { hasNextPage endCursor }` and `nodes` or `edges {"
                " node }` in this field.",
            )
        cursor = info.get("endCursor") if info["hasNextPage"] else None
        if info["hasNextPage"] and not isinstance(cursor, str):
            raise InvalidData(
                f"The page at {at!r} has a next page, but no `endCursor`.",
                field="at",
                remedy="Select `pageInfo { hasNextPage endCursor }`.",
            )
        return GraphQLPage(tuple(nodes), cursor)


def body_of(response: Response) -> Mapping[str, Any]:
    """Return the JSON object in a response.

    Raises:
        VendorFailed: the response is not a JSON object.
    """
    try:
        body = response.json()
    except InvalidData:
        body = None
    if not is_object(body):
        raise unreadable_answer_error(response)
    return body


def read_answer(response: Response, parse: _Parse = body_of) -> GraphQLAnswer:
    """Return the GraphQL result in a successful HTTP response.

    Raises:
        VendorFailed: the response is not a GraphQL response.
    """
    body = parse(response)
    data = body.get("data")
    if not is_object(data):
        raise unreadable_answer_error(response, "data")
    return GraphQLAnswer(
        data, _problems_of(body), _object(body.get("extensions")), response.replayed
    )


def read_message(body: object) -> GraphQLAnswer | ConnectorError:
    """Return the GraphQL result in a subscription's message, or the error that it reports."""
    members = _object(body)
    problems, data = _problems_of(members), members.get("data")
    if is_object(data) and (not problems or _has_result(data)):
        return GraphQLAnswer(data, problems, _object(members.get("extensions")))
    if problems:
        return _refusal_of(problems, None)
    return VendorFailed(
        "A message of the subscription contains no data and no errors.",
        retryable=False,
        remedy="Tell the vendor.",
    )


def refusal_of(response: Response, parse: _Parse = body_of) -> ConnectorError | None:
    """Return the error of a GraphQL response without a result; None if it has any result."""
    body = parse(response)
    problems = _problems_of(body)
    if not problems or _has_result(body.get("data")):
        return None
    return _refusal_of(problems, response)


def refusal_of_mutation(response: Response, parse: _Parse = body_of) -> ConnectorError | None:
    """Return the error of a GraphQL mutation's response that has no result.

    A problem without a code whose response has the member `data` occurred while the mutation was
    executed. Such a problem does not show whether the mutation took effect, so the error leaves
    that open.
    """
    error = refusal_of(response, parse)
    if type(error) is not VendorRejected or error.vendor_code is not None:
        return error
    return _uncertain_failure(response, error) if "data" in parse(response) else error


def failure_of(response: Response) -> ConnectorError | None:
    """Return the GraphQL error in a response with an HTTP error status; None if it has none.

    A usual code decides the error; otherwise the status does. With a status of 500 or above, only
    the code of a limit or a credential proves that a mutation did not happen.
    """
    try:
        problems = _problems_of(body_of(response))
    except VendorFailed:
        return None
    if not problems:
        return None
    error = _refusal_of(problems, response, _kind_of_status(response.status))
    if response.status < 500 or isinstance(error, (AuthenticationFailed, RateLimitExceeded)):
        return error
    return _refusal_of(problems, response, VendorFailed, by_code=False)


def _kind_of_status(status: int) -> type[ConnectorError]:
    kinds: dict[int, type[ConnectorError]] = {
        400: InvalidRequest,
        401: AuthenticationFailed,
        403: AuthenticationFailed,
        408: VendorFailed,
        422: InvalidRequest,
        429: RateLimitExceeded,
    }
    return kinds.get(status, VendorRejected if status < 500 else VendorFailed)


def _uncertain_failure(response: Response, error: VendorRejected) -> VendorFailed:
    return VendorFailed(
        "The GraphQL service failed while it executed the mutation, so the outcome of the"
        " mutation is unknown.",
        status=response.status,
        vendor_message=error.vendor_message,
        response=response,
        retryable=False,
        remedy="Check at the service whether the mutation was executed before you repeat it.",
    )


def _refusal_of(
    problems: tuple[GraphQLProblem, ...],
    response: Response | None,
    otherwise: type[ConnectorError] = VendorRejected,
    *,
    by_code: bool = True,
) -> ConnectorError:
    """Return the error for a GraphQL response's problems, by the first problem with a known code.

    Args:
        problems: the problems, at least one.
        response: the response, if available.
        otherwise: the class of the error if no problem has a usual code.
        by_code: whether a usual code decides the class of the error.
    """
    problem = next((item for item in problems if _error_class(item) is not None), problems[0])
    kind = (_error_class(problem) if by_code else None) or otherwise
    text = _USUAL_REDACTION.words(problem.message, _LONGEST_MESSAGE)
    details: dict[str, Any] = {
        "status": None if response is None else response.status,
        "vendor_code": problem.code,
        "vendor_message": text,
        "response": response,
    }
    if kind is RateLimitExceeded:
        details["by_vendor"] = True
    suffix = f": {text}" if text else "."
    error: ConnectorError = kind(f"The GraphQL service answered with an error{suffix}", **details)
    if _normalized_code(problem) in UNKNOWN_DOCUMENT:
        error.remedy = (
            "Register the document with the service, or let `GraphQL` send the document's text."
        )
    error.vendor_retry_after = _pause_of(problem.extensions, response)
    return error


def _error_class(problem: GraphQLProblem) -> type[ConnectorError] | None:
    return _ERRORS_BY_CODE.get(_normalized_code(problem))


def _normalized_code(problem: GraphQLProblem) -> str:
    """Return a GraphQL problem's code in the spelling that the error tables use."""
    return (problem.code or "").upper().replace("-", "_")


def _pause_of(extensions: Mapping[str, Any], response: Response | None) -> float | None:
    """Return the seconds until the GraphQL service has capacity again, if they are stated."""
    pause_value = _number(extensions.get("retryAfter"))
    if pause_value is not None and pause_value >= 0:
        return pause_value
    body: Mapping[str, Any] = {} if response is None else body_of(response)
    cost = _object(_object(body.get("extensions")).get("cost"))
    throttle_status = _object(cost.get("throttleStatus"))
    requested_points, free_points, restore_rate = (
        _number(value)
        for value in (
            cost.get("requestedQueryCost"),
            throttle_status.get("currentlyAvailable"),
            throttle_status.get("restoreRate"),
        )
    )
    if requested_points is None or free_points is None or not restore_rate or restore_rate < 0:
        return None
    return max(0.0, (requested_points - free_points) / restore_rate)


def _problems_of(body: Mapping[str, Any]) -> tuple[GraphQLProblem, ...]:
    errors = body.get("errors")
    if not is_list(errors):
        return ()
    return tuple(_problem(_object(error)) for error in errors[:_MOST_PROBLEMS])


def _problem(error: Mapping[str, Any]) -> GraphQLProblem:
    message, path = error.get("message"), error.get("path")
    extensions = _object(error.get("extensions"))
    codes = (extensions.get("code"), error.get("type"), _CODES_OF_MESSAGES.get(str(message)))
    return GraphQLProblem(
        message[:_LONGEST_MESSAGE] if isinstance(message, str) else "",
        next((code for code in codes if isinstance(code, str)), None),
        tuple(item for item in path if isinstance(item, (str, int))) if is_list(path) else (),
        extensions,
    )


def _has_result(data: object) -> bool:
    """Return whether any top-level field of the GraphQL data has a value."""
    return is_object(data) and any(value is not None for value in data.values())


def _nodes_of(connection: object) -> list[Any] | None:
    if not is_object(connection):
        return None
    nodes, edges = connection.get("nodes"), connection.get("edges")
    if is_list(nodes):
        return nodes
    return [_object(edge).get("node") for edge in edges] if is_list(edges) else None


def _object(value: object) -> Mapping[str, Any]:
    return value if is_object(value) else {}


def _number(value: object) -> float | None:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    # A JSON integer may be too large for a float.
    return float(max(-_LARGEST_NUMBER, min(value, _LARGEST_NUMBER)))
