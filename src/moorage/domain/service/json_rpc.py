"""Calls to JSON-RPC 2.0 services, such as Odoo, as HTTP requests."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.domain.http.headers import Headers
from moorage.domain.http.requests import HttpMethod, Request
from moorage.domain.resilience.classify import unreadable_answer_error
from moorage.domain.service.operation import AnswerReader, HttpOperation
from moorage.domain.values.json_text import encode_json, is_object
from moorage.errors import (
    AuthenticationFailed,
    InvalidData,
    InvalidRequest,
    VendorFailed,
    VendorRejected,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TypeAlias

    from moorage.domain.http.response import Response
    from moorage.errors import ConnectorError

    _Parse: TypeAlias = Callable[[Response], Mapping[str, Any]]
    """Returns the body of an answer."""

_ID: Final = 1
"""The id of every JSON-RPC call: a request has one call, and repeats must be identical."""

_HEADERS: Final = Headers({"Content-Type": "application/json"})
_LONGEST_MESSAGE: Final = 500
_PROTOCOL_CODES: Final = range(-32_700, -32_599)
_SERVER_ERROR_CODES: Final = range(-32_099, -31_999)
_INTERNAL_ERROR: Final = -32_603
_NOT_ALLOWED: Final = frozenset({"AccessDenied", "AccessError", "SessionExpiredException"})
"""The last parts of Odoo's exception names for callers without permission."""


@attrs.frozen
class JsonRpc:
    """Makes calls to a JSON-RPC 2.0 service, which `manager.perform` performs.

    Attributes:
        path: the path of the API below the service's base URL.
    """

    path: str = "/jsonrpc"

    def call(
        self,
        method: str,
        parameters: Mapping[str, Any] | Sequence[Any] = (),
        *,
        name: str | None = None,
        safe: bool = False,
        repeatable: bool | None = None,
    ) -> HttpOperation[Any]:
        """Return an operation that calls a method and returns the method's result.

        Args:
            method: the name of the method.
            parameters: the parameters by name, or in their order.
            name: the name in events, errors and logs; by default the name of the method.
            safe: whether the method changes nothing.
            repeatable: whether calling it twice has the same effect as calling it once; by default
                if it is safe.
        """
        parse = AnswerReader(_body_of)  # so that each response is parsed once
        arguments = parameters if is_object(parameters) else list(parameters)
        body = {"jsonrpc": "2.0", "id": _ID, "method": method, "params": arguments}
        return HttpOperation(
            name=name or method,
            request=Request(
                HttpMethod.POST,
                self.path,
                headers=_HEADERS,
                body=encode_json(body),
                idempotent=safe if repeatable is None else repeatable,
            ),
            read=partial(read_result, parse=parse),
            refusal=partial(refusal_of, parse=parse),
            system="jsonrpc",
            safe=safe,
        )

    def ping(self, method: str = "rpc.discover") -> HttpOperation[None]:
        """Return an operation that tests whether the service returns any JSON-RPC response.

        Args:
            method: the name of a method that changes nothing.
        """
        call = self.call(method, safe=True, name="ping")
        return attrs.evolve(call, read=_read_any, refusal=_refuse_nothing)


def _body_of(response: Response) -> Mapping[str, Any]:
    try:
        body = response.json()
    except InvalidData:
        body = None
    # The id is null in an error about a request that the server could not parse.
    if not is_object(body) or body.get("id") not in (_ID, None):
        raise unreadable_answer_error(response)
    return body


def read_result(response: Response, parse: _Parse = _body_of) -> Any:
    """Return the result in a successful JSON-RPC response.

    Raises:
        VendorFailed: the response is not a JSON-RPC response, or belongs to another call.
    """
    body = parse(response)
    if "result" not in body:
        raise unreadable_answer_error(response, "result")
    return body["result"]


def refusal_of(response: Response, parse: _Parse = _body_of) -> ConnectorError | None:
    """Return the error in a JSON-RPC response; None if it has none."""
    problem = parse(response).get("error")
    if problem is None:
        return None
    if not is_object(problem):
        raise unreadable_answer_error(response, "error with a code")
    return error_of(problem, status=response.status, response=response)


def error_of(problem: Mapping[str, Any], **details: Any) -> ConnectorError:
    """Return the moorage error for the `error` object of a JSON-RPC response.

    Args:
        problem: the `error` object.
        details: more attributes of the error.
    """
    code, data = problem.get("code"), problem.get("data")
    fields = data if is_object(data) else {}
    exception = fields.get("name")
    message = fields.get("message") or problem.get("message")
    kind = _error_class(code, exception if isinstance(exception, str) else "")
    return kind(
        "The JSON-RPC service returned an error.",
        vendor_code=exception if isinstance(exception, str) else str(code),
        vendor_message=message[:_LONGEST_MESSAGE] if isinstance(message, str) else None,
        **details,
    )


def _error_class(
    code: object, exception: str
) -> type[AuthenticationFailed | VendorFailed | VendorRejected]:
    """Return the error class for a JSON-RPC code and for an exception name of Odoo."""
    if exception.rpartition(".")[2] in _NOT_ALLOWED:
        return AuthenticationFailed
    if code == _INTERNAL_ERROR or code in _SERVER_ERROR_CODES:
        return VendorFailed
    return InvalidRequest if code in _PROTOCOL_CODES else VendorRejected


def _read_any(response: Response) -> None:
    """Read a response, which may be an error; raise if it is not JSON-RPC."""
    body = _body_of(response)
    if "result" not in body and not is_object(body.get("error")):
        raise unreadable_answer_error(response, "result")


def _refuse_nothing(_: Response) -> None:
    """Return None, because even a refusal of the method shows that the service works."""
