"""A local SOAP server, for tests of programs that call SOAP services.

It speaks the messages of a WSDL, and a function for each operation returns the result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Self
from xml.sax.saxutils import escape

from moorage.adapters.http_operations.soap.answers import plain
from moorage.adapters.http_operations.soap.libraries import etree
from moorage.adapters.http_operations.soap.wsdl import Wsdl
from moorage.adapters.http_operations.soap.xml_documents import NotXmlError, parsed
from moorage.domain.values.json_text import is_object
from moorage.testing.fakes.http_script import Behaviour, ReceivedRequest
from moorage.testing.fakes.http_server import VendorServer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import PurePath

_ENVELOPES: Final = {
    "1.1": "http://schemas.xmlsoap.org/soap/envelope/",
    "1.2": "http://www.w3.org/2003/05/soap-envelope",
}
_TYPES: Final = {"1.1": "text/xml; charset=utf-8", "1.2": "application/soap+xml; charset=utf-8"}


class SoapServerFault(Exception):
    """Raised in an operation of a `SoapServer`, to answer with a fault.

    Args:
        code: the code, such as "Client", "Server", "Sender" or "Receiver".
        message: the description.
        detail: XML to put into the detail.
    """

    def __init__(self, code: str, message: str, detail: str = "") -> None:
        super().__init__(code, message, detail)
        self.code = code
        self.message = message
        self.detail = detail


class SoapServer(VendorServer):
    """A SOAP server with functions as operations, which runs during its `with` block.

    A request to any path counts as a SOAP request; a GET for the WSDL returns it with the server's
    own address. Responses that are queued as for a `VendorServer` come first, such as a failure.

    Args:
        wsdl: the path of the WSDL.
        operations: the functions by the names of their operations. Each takes the arguments by
            name, and returns the result's parts by name, or the only part.
        port: the name of the port in the WSDL; by default the first one.

    Attributes:
        calls: the names and arguments of the operations that were performed, in their order.
    """

    def __init__(
        self,
        wsdl: str | PurePath,
        operations: Mapping[str, Callable[..., Any]],
        *,
        port: str | None = None,
    ) -> None:
        super().__init__()
        self._wsdl = Wsdl.from_file(wsdl)
        self._port = self._wsdl.port(name=port)
        self._operations = dict(operations)
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.always(self._answer)

    def __enter__(self) -> Self:
        super().__enter__()
        return self

    def _answer(self, request: ReceivedRequest) -> Behaviour:
        if request.method == "GET":
            return self._document(request.target)
        try:
            envelope = parsed(request.body)
            name, arguments = self._call(envelope)
            self.calls.append((name, arguments))
            return self._result(name, self._operations[name](**arguments))
        except NotXmlError:
            return self.fault(SoapServerFault("Client", "The request is not XML."))
        except SoapServerFault as fault:
            return self.fault(fault)

    def _document(self, target: str) -> Behaviour:
        """Return the response with the WSDL or a document imported by it."""
        folder, headers = self._wsdl.url.rpartition("/")[0], {"Content-Type": "text/xml"}
        if "wsdl" not in target.lower():
            content = self._wsdl.documents.get(folder + target)
            return Behaviour(404) if content is None else Behaviour(200, headers, content)
        content = self._wsdl.documents[self._wsdl.url]
        for port in self._wsdl.ports:
            content = content.replace(port.address.encode(), f"{self.url}/soap".encode())
        return Behaviour(200, headers, content)

    def _call(self, envelope: Any) -> tuple[str, dict[str, Any]]:
        """Return the operation name and arguments in a request's SOAP envelope.

        Raises:
            SoapServerFault: there is no such operation.
        """
        body = envelope.find(f"{{{_ENVELOPES[self._port.version]}}}Body")
        content: Any = None if body is None or not len(body) else body[0]
        tag = None if content is None else content.tag
        for name, operation in self._port.operations.items():
            element: Any = operation.input.body
            if element is not None and element.qname.text == tag and name in self._operations:
                value: Any = plain(element.parse(content, operation.input.wsdl.types))
                return name, value if is_object(value) else {}
        raise SoapServerFault("Client", "The service has no operation of this name.")

    def _result(self, name: str, result: Any) -> Behaviour:
        operation = self._port.operations[name]
        if operation.output is None:
            return Behaviour(202)
        parts: dict[str, Any] = result if is_object(result) else {}
        values = () if is_object(result) else (result,)
        envelope = operation.output.serialize(*values, **parts).content
        return Behaviour(200, {"Content-Type": self._type}, etree().tostring(envelope))

    @property
    def port(self) -> str:
        """The WSDL port that the server implements."""
        return self._port.name

    @property
    def _type(self) -> str:
        return _TYPES[self._port.version]

    def fault(self, fault: SoapServerFault) -> Behaviour:
        """Return a response with a SOAP fault, for example to queue it."""
        version = self._port.version
        if version == "1.1":
            content = (
                f"<faultcode>e:{fault.code}</faultcode>"
                f"<faultstring>{escape(fault.message)}</faultstring><detail>{fault.detail}</detail>"
            )
        else:
            content = (
                f"<e:Code><e:Value>e:{fault.code}</e:Value></e:Code><e:Reason>"
                f'<e:Text xml:lang="en">{escape(fault.message)}</e:Text></e:Reason>'
                f"<e:Detail>{fault.detail}</e:Detail>"
            )
        envelope = (
            f'<e:Envelope xmlns:e="{_ENVELOPES[version]}"><e:Body><e:Fault>{content}</e:Fault>'
            "</e:Body></e:Envelope>"
        )
        return Behaviour(500, {"Content-Type": self._type}, envelope.encode())
