"""Operations of a SOAP service, as requests of its HTTP API."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import attrs

from moorage.adapters.http_operations.soap.answers import (
    check_references,
    envelope_in,
    envelope_of,
    fault_in,
    fault_of,
    plain,
)
from moorage.adapters.http_operations.soap.arguments import (
    argument_error,
    arguments_for,
    members_of,
    only_argument,
    secrets_in,
)
from moorage.adapters.http_operations.soap.libraries import etree, zeep
from moorage.domain.http.requests import HttpMethod, Request
from moorage.domain.resilience.classify import unreadable_answer_error
from moorage.domain.service.operation import AnswerReader, HttpOperation
from moorage.domain.soap.faults import error_of
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from moorage.adapters.http_operations.soap.answers import ParseEnvelope
    from moorage.adapters.http_operations.soap.wsdl import Wsdl, WsdlPort
    from moorage.domain.http.response import Response
    from moorage.domain.soap.faults import SoapFault
    from moorage.domain.soap.security import SoapSecurity
    from moorage.errors import ConnectorError


def _names(names: Iterable[str]) -> frozenset[str]:
    return frozenset(names)


@attrs.frozen(kw_only=True, eq=False)
class Soap:
    """Makes the operations of a SOAP 1.1 or 1.2 service for `manager.perform`.

    Every operation is sent once, unless `safe` or `repeatable` names it.

    Attributes:
        wsdl: the description of the service.
        wsdl_service: the name of the service in the WSDL; needed if there are several.
        port: the name of the port, which decides the version of SOAP; by default the first one.
        location: the path below the service's base URL to send requests to, or a URL of the same
            host; by default the address in the WSDL.
        safe: the names of operations that change nothing.
        repeatable: the names of operations that have the same effect when they are sent twice.
        security: the WS-Security header of each request; None for none.
        headers: the values of SOAP headers that the WSDL declares, by name.
    """

    wsdl: Wsdl
    wsdl_service: str | None = None
    port: str | None = None
    location: str | None = None
    safe: frozenset[str] = attrs.field(default=frozenset(), converter=_names)
    repeatable: frozenset[str] = attrs.field(default=frozenset(), converter=_names)
    security: SoapSecurity | None = None
    headers: Mapping[str, Any] = attrs.field(factory=dict[str, Any], repr=False)
    _port: WsdlPort = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        """Check that the WSDL contains the named operations."""
        port = self.wsdl.port(self.wsdl_service, self.port)
        object.__setattr__(self, "_port", port)
        for field, names in (("safe", self.safe), ("repeatable", self.repeatable)):
            for name in sorted(names):
                self._described(name, field)

    @property
    def operations(self) -> dict[str, str]:
        """The operations by name, with the names and types of their arguments."""
        return {
            name: operation.input.signature() or ""
            for name, operation in sorted(self._port.operations.items())
        }

    def with_headers(self, **headers: Any) -> Soap:
        """Return a copy of this service that adds SOAP headers of the WSDL to its requests."""
        return attrs.evolve(self, headers=headers)

    def operation(self, name: str, /, **arguments: Any) -> HttpOperation[Any]:
        """Return an operation with a result of plain values.

        An element with children becomes a dictionary, an element that may occur several times
        becomes a list, and a decimal number a `Decimal`. If the result has a single part, that part
        is returned. A `Secret` among the arguments is sent as its text.

        Args:
            name: the name of the operation in the WSDL.
            arguments: the operation's arguments by name.

        Raises:
            ConfigurationError: there is no such operation.
            InvalidData: an argument is unknown, is missing, or does not match the schema.
        """
        description = self._described(name, "operation")
        content = self._envelope(description, arguments)
        secrets = [*secrets_in(arguments), *secrets_in(self.headers)]
        security = self.security
        headers = self._http_headers(description)
        is_safe = name in self.safe
        parse = AnswerReader(envelope_in)  # so that each response is parsed once
        refusal = partial(_refusal, parse)
        return HttpOperation(
            name=name,
            request=Request(
                HttpMethod.POST,
                self.location or self._address(),
                headers=headers,
                body=content,
                idempotent=is_safe or name in self.repeatable,
            ),
            read=partial(_read, description, self.wsdl, parse),
            refusal=refusal,
            failure=refusal,
            attempt_body=None if security is None else security.body,
            secrets=(*secrets, *(() if security is None else security.secrets)),
            system="soap",
            safe=is_safe,
        )

    @staticmethod
    def fault(error: ConnectorError) -> SoapFault | None:
        """Return the SOAP fault in an error's response; None if there is none.

        The fault includes its detail, with the secrets of the request masked.
        """
        response: Response | None = getattr(error, "response", None)
        return None if response is None else fault_of(response)

    def parameters(self, name: str) -> dict[str, Any]:
        """Return zeep's elements and attributes for an operation's arguments, by name."""
        body = self._described(name, "operation").input.body
        if body is None:
            return {}
        return members_of(body.type) if _is_compound(body) else {body.name: body}

    def _described(self, name: str, path: str) -> Any:
        try:
            return self._port.operations[name]
        except (KeyError, TypeError):
            pass
        raise ConfigurationError(
            f"The port {self._port.name} has no operation {name!r}.",
            path=path,
            remedy=f"Use one of: {', '.join(sorted(self._port.operations)) or 'it has none'}.",
        )

    def _address(self) -> str:
        if self._port.address:
            return self._port.address
        raise ConfigurationError(
            f"The WSDL has no address for the port {self._port.name}.",
            path="location",
            remedy="Set the location, which is a path below the service's base URL.",
        )

    def _http_headers(self, described: Any) -> dict[str, str]:
        action = described.soapaction or ""
        if self._port.version == "1.1":
            return {
                "Content-Type": "text/xml; charset=utf-8",
                "Accept": "text/xml",
                "SOAPAction": f'"{action}"',
            }
        kind = "application/soap+xml; charset=utf-8"
        return {
            "Content-Type": f'{kind}; action="{action}"' if action else kind,
            "Accept": "application/soap+xml",
        }

    def _envelope(self, described: Any, arguments: Mapping[str, Any]) -> bytes:
        """Build the SOAP envelope of a request.

        Raises:
            InvalidData: an argument is wrong.
        """
        body = described.input.body
        values: list[Any] = []
        if body is None:
            checked = {}
            for argument in arguments:
                raise argument_error(argument, "does not exist; the operation accepts no arguments")
        elif _is_compound(body):
            checked = arguments_for(body.type, arguments)
        else:
            checked = {}
            values = [only_argument(body, arguments)]
        headers = {"_soapheaders": arguments_for(described.input.header.type, self.headers)}
        problem, envelope = None, None
        try:
            message = described.create(*values, **checked, **(headers if self.headers else {}))
        except Exception as error:  # noqa: BLE001 - whatever zeep raises for wrong arguments
            problem = _problem(error)
        else:
            envelope = message.content
            problem = self._broken_rule(envelope)
        if problem is not None:
            raise argument_error(*problem)
        text: bytes = etree().tostring(envelope, encoding="utf-8", xml_declaration=True)
        return text

    def _broken_rule(self, envelope: Any) -> tuple[str, str] | None:
        """Return the path of an argument that breaks the schema, and the broken rule; else None."""
        validator = self.wsdl.validator
        if validator is None or not len(envelope[-1]):
            return None
        problem = validator.problem(envelope[-1][0])
        if problem is None:
            return None
        path, rule = problem
        return path.partition(".")[2] or path, f"does not match the schema ({rule})"


def _is_compound(body: Any) -> bool:
    return isinstance(body.type, zeep("xsd").ComplexType)


def _problem(error: Exception) -> tuple[str, str]:
    """Return the path of an argument that zeep refuses, and the problem.

    The text of zeep's error may contain the value, so only the kind of the error is returned.
    """
    path = [str(part) for part in getattr(error, "path", None) or ()][1:]
    if path and str(getattr(error, "message", "")).startswith("Missing element"):
        return ".".join(path), "is missing"
    place = ".".join(path) or "(one of them)"
    return place, f"does not match the schema ({type(error).__name__})"


def _read(described: Any, wsdl: Wsdl, parse: ParseEnvelope, response: Response) -> Any:
    """Return the result in the response of a SOAP operation.

    Raises:
        VendorFailed: the answer does not match the WSDL.
    """
    if not response.body.strip():
        if described.output is None or described.output.envelope is None:
            return None
        raise unreadable_answer_error(response, problem="is empty")
    envelope = envelope_of(response, parse)
    if fault_in(envelope) is not None:
        raise unreadable_answer_error(response, "result")
    check_references(envelope, response)
    body = envelope.find(f"{envelope.tag.removesuffix('Envelope')}Body")
    if not _is_expected(described, body):
        raise unreadable_answer_error(
            response, problem="contains a different element than the WSDL declares"
        )
    if wsdl.validator is not None and body is not None and len(body):
        # zeep would return None for a text that is not a value of its type.
        problem = wsdl.validator.problem(body[0], only_values=True)
        if problem is not None:
            raise unreadable_answer_error(
                response, problem=f"contains a value of the wrong type at {problem[0]}"
            )
    reason = None
    try:
        return plain(described.process_reply(envelope))
    except Exception as error:  # noqa: BLE001 - whatever zeep raises for a wrong answer
        reason = type(error).__name__
    raise unreadable_answer_error(response, problem=f"does not match the WSDL ({reason})")


def _is_expected(described: Any, body: Any) -> bool:
    """Return whether a SOAP body begins with the element that the WSDL declares.

    zeep does not check the element's name. In the RPC style the name is not declared.
    """
    output: Any = described.output
    element: Any = getattr(output, "body", None)
    if described.style == "rpc" or element is None or body is None or not len(body):
        return True
    return bool(output._is_body_wrapped) or body[0].tag == element.qname.text  # noqa: SLF001 - zeep shows it nowhere else


def _refusal(parse: ParseEnvelope, response: Response) -> ConnectorError | None:
    fault = fault_of(response, parse)
    return None if fault is None else error_of(fault, response)
