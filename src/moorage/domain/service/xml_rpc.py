"""Calls to XML-RPC services, such as Odoo, as HTTP requests."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.domain.http.headers import Headers
from moorage.domain.http.requests import HttpMethod, Request
from moorage.domain.resilience.classify import unreadable_answer_error
from moorage.domain.service.operation import AnswerReader, HttpOperation
from moorage.domain.service.xml_rpc_text import NotXmlRpcError, method_call, method_response
from moorage.domain.values.json_text import is_object
from moorage.domain.values.patterns import late_pattern
from moorage.errors import AuthenticationFailed, InvalidRequest, VendorFailed, VendorRejected

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    from moorage.domain.http.response import Response
    from moorage.errors import ConnectorError

    _Parse: TypeAlias = Callable[[Response], tuple[bool, Any]]
    """Returns whether an answer is a fault, and its value."""

_LONGEST_MESSAGE: Final = 500
_CODE: Final = late_pattern(r"[A-Za-z0-9_.:-]{1,64}")
_HEADERS: Final = Headers({"Content-Type": "text/xml; charset=utf-8", "Accept": "text/xml"})
_NOT_ALLOWED: Final = frozenset({3, 4, "AccessDenied"})
"""Odoo's fault codes for callers without permission."""

_FAILURE_CODES: Final = frozenset({1, -32603, -32500, -32400, -32300})
"""Fault codes for unexpected exceptions of the service; Odoo and Python use 1."""

_PROTOCOL_CODES: Final = range(-32_702, -32_599)


@attrs.frozen
class XmlRpc:
    """Makes calls to an XML-RPC service, which `manager.perform` performs.

    Attributes:
        path: the path of the API below the service's base URL.
    """

    path: str = "/xmlrpc/2/object"

    def call(
        self,
        method: str,
        parameters: Sequence[Any] = (),
        *,
        name: str | None = None,
        safe: bool = False,
        repeatable: bool | None = None,
    ) -> HttpOperation[Any]:
        """Return an operation that calls a method and returns the method's result.

        A `datetime` with a time zone is sent in UTC, because XML-RPC has no zones; a `datetime` in
        the result has no zone unless the service stated one. A `Secret` is sent as its text.

        Args:
            method: the name of the method.
            parameters: the parameters in their order.
            name: the name in events, errors and logs; by default the name of the method.
            safe: whether the method changes nothing.
            repeatable: whether calling it twice has the same effect as calling it once; by default
                if it is safe.

        Raises:
            InvalidData: a parameter cannot be written in XML-RPC.
        """
        parse = AnswerReader(_answer_of)  # so that each response is parsed once
        return HttpOperation(
            name=name or method,
            request=Request(
                HttpMethod.POST,
                self.path,
                headers=_HEADERS,
                body=method_call(method, parameters),
                idempotent=safe if repeatable is None else repeatable,
            ),
            read=partial(read_result, parse=parse),
            refusal=partial(refusal_of, parse=parse),
            system="xmlrpc",
            safe=safe,
        )

    def ping(self, method: str = "system.listMethods") -> HttpOperation[None]:
        """Return an operation that tests whether the service returns any XML-RPC response.

        Args:
            method: the name of a method that changes nothing.
        """
        call = self.call(method, safe=True, name="ping")
        return attrs.evolve(call, read=_read_any, refusal=_refuse_nothing)


def _answer_of(response: Response) -> tuple[bool, Any]:
    try:
        return method_response(response.body)
    except NotXmlRpcError:
        pass
    raise unreadable_answer_error(response, problem="is not an XML-RPC response")


def read_result(response: Response, parse: _Parse = _answer_of) -> Any:
    """Return the result in a successful XML-RPC response.

    Raises:
        VendorFailed: the response is not an XML-RPC response.
    """
    is_fault, value = parse(response)
    if is_fault:
        raise unreadable_answer_error(response, "result")
    return value


def refusal_of(response: Response, parse: _Parse = _answer_of) -> ConnectorError | None:
    """Return the error for an XML-RPC fault; None if the response is a result."""
    is_fault, value = parse(response)
    if not is_fault:
        return None
    fault = value if is_object(value) else {}
    code, text = fault.get("faultCode"), fault.get("faultString")
    code_text = str(code)
    return _error_class(code)(
        "The XML-RPC service returned a fault.",
        status=response.status,
        vendor_code=code_text if _CODE.fullmatch(code_text) else None,
        vendor_message=_message(text) if isinstance(text, str) else None,
        response=response,
    )


def _error_class(code: object) -> type[AuthenticationFailed | VendorFailed | VendorRejected]:
    if not isinstance(code, (int, str)):
        return VendorFailed
    if code in _NOT_ALLOWED:
        return AuthenticationFailed
    if code in _FAILURE_CODES:
        return VendorFailed
    if isinstance(code, str):
        # Odoo's older API reports an unexpected exception by its text in place of the code.
        return VendorRejected if code.startswith("warning --") else VendorFailed
    return InvalidRequest if code in _PROTOCOL_CODES else VendorRejected


def _message(text: str) -> str:
    """Return the text of a fault, but only the last line of a traceback, which may show secrets."""
    lines = text.strip().splitlines()
    if lines and lines[0].startswith("Traceback"):
        return lines[-1][:_LONGEST_MESSAGE]
    return text[:_LONGEST_MESSAGE]


def _read_any(response: Response) -> None:
    _answer_of(response)


def _refuse_nothing(_: Response) -> None:
    """Return None even for a fault, because any response shows that the service works."""
