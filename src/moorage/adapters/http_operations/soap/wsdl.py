"""Loads WSDLs from a file or through a manager; zeep parses them offline."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Self

import attrs

from moorage.adapters.http_operations.soap.documents import Documents, file_content, file_url
from moorage.adapters.http_operations.soap.libraries import zeep
from moorage.domain.http.requests import Request
from moorage.domain.service.operation import HttpOperation
from moorage.domain.soap.locations import with_tls
from moorage.domain.values.installation import install
from moorage.errors import ConfigurationError, ConnectorError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import PurePath

    from moorage.adapters.http_operations.soap.schemas import Validator
    from moorage.domain.http.response import Response
    from moorage.ports.connector import AsyncPerformer, Performer


@attrs.frozen(kw_only=True, eq=False)
class WsdlPort:
    """A port of a WSDL: an address, and the operations that it offers.

    Attributes:
        service: the name of the port's service in the WSDL.
        name: the name of the port.
        address: the URL in the WSDL.
        version: the version of SOAP, "1.1" or "1.2".
        operations: the operations as zeep describes them, by name.
    """

    service: str
    name: str
    address: str
    version: str
    operations: Mapping[str, Any] = attrs.field(repr=False)


class Wsdl:
    """The description of a SOAP service, including imported schemas.

    Make it with `from_file`, `fetch` or `afetch`. Reading it opens no connection of zeep's own.
    Imported documents are followed only if they have the host of the WSDL, or are files in its
    folder or below it. A document with a document type (DTD), and so with entities, is refused.

    Attributes:
        url: the URL that the WSDL was loaded from.
        documents: the WSDL and all documents that it imports, by their URLs.
        ports: the ports with a SOAP binding.
        schema_problem: the reason why arguments are checked only for their types; None if they are
            checked against the whole schema.
    """

    def __init__(self, documents: Documents) -> None:
        self.url = documents.root
        self.documents: Mapping[str, bytes] = documents.contents
        self.ports: tuple[WsdlPort, ...] = _ports(documents)
        self.schema_problem: str | None = None
        self.validator: Validator | None = None
        from moorage.adapters.http_operations.soap.schemas import Validator  # noqa: PLC0415 - loads lxml

        try:
            self.validator = Validator(documents.elements)
        except ValueError as error:
            self.schema_problem = str(error)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.url}>"

    @classmethod
    def from_file(
        cls, path: str | PurePath, *, copies: Mapping[str, str | PurePath] | None = None
    ) -> Self:
        """Return the WSDL in a file.

        Args:
            path: the path of the file.
            copies: files to read in the place of URLs that the WSDL imports.

        Raises:
            ConfigurationError: a file cannot be read, or is not a WSDL.
        """
        require_zeep()
        documents = Documents(file_url(path), _read_copies(copies))
        while (url := documents.next_url()) is not None:
            documents.add(url, file_content(url, documents.root))
        return cls(documents)

    @classmethod
    def fetch(
        cls,
        manager: Performer,
        service: str,
        path: str,
        *,
        copies: Mapping[str, str | PurePath] | None = None,
        timeout: float | None = None,
    ) -> Self:
        """Return the WSDL of a service, loaded through the service's protections.

        Args:
            manager: a synchronous manager.
            service: the name of the service.
            path: the path of the WSDL below the service's base URL, such as "/quotes?wsdl".
            copies: files to read in the place of URLs that the WSDL imports.
            timeout: seconds for each document, in place of the service's.

        Raises:
            ConnectorError: a document could not be loaded.
            ConfigurationError: the document is not a WSDL.
        """
        require_zeep()
        first = manager.perform(service, _as_any(wsdl_request(path)), timeout=timeout)
        documents = _new_documents(first, copies)
        while (url := documents.next_url()) is not None:
            answer = manager.perform(service, _as_any(wsdl_request(url)), timeout=timeout)
            documents.add(url, answer.body)
        return cls(documents)

    @classmethod
    async def afetch(
        cls,
        manager: AsyncPerformer,
        service: str,
        path: str,
        *,
        copies: Mapping[str, str | PurePath] | None = None,
        timeout: float | None = None,
    ) -> Self:
        """Return the WSDL of a service, loaded through its protections and parsed in a thread."""
        from asyncio import to_thread  # noqa: PLC0415 - for asynchronous programs

        require_zeep()
        first = await manager.perform(service, _as_any(wsdl_request(path)), timeout=timeout)
        documents = await to_thread(_new_documents, first, copies)
        while (url := await to_thread(documents.next_url)) is not None:
            answer = await manager.perform(service, _as_any(wsdl_request(url)), timeout=timeout)
            await to_thread(documents.add, url, answer.body)
        return await to_thread(cls, documents)

    def port(self, service: str | None = None, name: str | None = None) -> WsdlPort:
        """Return a port of the WSDL, by default the first one.

        Args:
            service: the name of the port's service in the WSDL; needed if there are several.
            name: the name of the port.

        Raises:
            ConfigurationError: there is no such port, or the WSDL has several services.
        """
        services = dict.fromkeys(port.service for port in self.ports)
        if not services:
            raise ConfigurationError(
                "The WSDL has no service with a SOAP binding over HTTP.",
                path="wsdl",
                remedy="Use the WSDL that declares the service. moorage does not support WSDL 2.0.",
            )
        if service not in services and (service is not None or len(services) > 1):
            problem = "several services" if service is None else f"no service {service!r}"
            raise ConfigurationError(
                f"The WSDL has {problem}.",
                path="wsdl_service",
                remedy=f"Use one of: {', '.join(services)}.",
            )
        ports = [port for port in self.ports if service in {None, port.service}]
        for port in ports:
            if name in {None, port.name}:
                return port
        raise ConfigurationError(
            f"The WSDL has no port {name!r}.",
            path="port",
            remedy="Use one of: "
            + ", ".join(f"{port.name} (SOAP {port.version})" for port in ports)
            + ".",
        )


def wsdl_request(path: str) -> HttpOperation[Response]:
    """Return the operation that loads a WSDL document from the service."""
    headers = {"Accept": "text/xml, application/wsdl+xml, application/xml"}
    return HttpOperation(
        name="wsdl", request=Request.get(path, headers=headers), read=_whole_response, system="soap"
    )


def require_zeep() -> None:
    """Raise an error if zeep is not installed.

    Raises:
        ConfigurationError: zeep is not installed.
    """
    if find_spec("zeep") is None:
        raise ConfigurationError(
            "SOAP services need zeep, which is not installed.", path="kind", remedy=install("soap")
        )


def _whole_response(response: Response) -> Response:
    return response


def _as_any(operation: Any) -> Any:
    """Return the operation unchanged, with the type that performers accept."""
    return operation


def _new_documents(first: Response, copies: Mapping[str, str | PurePath] | None) -> Documents:
    documents = Documents(first.url or "", _read_copies(copies))
    documents.next_url()
    documents.add(documents.root, first.body)
    return documents


def _read_copies(copies: Mapping[str, str | PurePath] | None) -> dict[str, bytes]:
    return {
        url: file_content(file_url(path), file_url(path)) for url, path in (copies or {}).items()
    }


class _NoTransport:
    """A zeep transport that only returns documents loaded before, and opens no connection."""

    def __init__(self, documents: Documents) -> None:
        bindings = zeep("wsdl.bindings")
        self.load = documents.load
        self.binding_classes = (bindings.Soap11Binding, bindings.Soap12Binding)


def _ports(documents: Documents) -> tuple[WsdlPort, ...]:
    """Return the ports that zeep finds in a WSDL.

    Raises:
        ConfigurationError: zeep cannot read the WSDL.
    """
    settings = zeep("settings").Settings(forbid_dtd=True, force_https=False)
    soap12 = zeep("wsdl.bindings").Soap12Binding
    try:
        document = zeep("wsdl").Document(documents.root, _NoTransport(documents), settings=settings)
    except ConnectorError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever zeep raises for a WSDL that has mistakes
        reason = f"{type(error).__name__}: {str(error)[:300]}".rstrip(": ")
    else:
        return tuple(
            WsdlPort(
                service=service.name,
                name=port.name,
                address=with_tls(port.binding_options["address"] or "", documents.root),
                version="1.2" if isinstance(port.binding, soap12) else "1.1",
                operations=dict(port.binding.all()),
            )
            for service in document.services.values()
            for port in service.ports.values()
            if port.binding_options
        )
    raise ConfigurationError(
        f"The WSDL at {documents.root} cannot be read ({reason}).",
        path="wsdl",
        remedy="Correct the path. If the path is right, report the error to the vendor, or"
        " correct a copy of the WSDL in a file.",
    )
