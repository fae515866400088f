"""The documents of a WSDL: the WSDL itself, with imported WSDLs and schemas."""

from __future__ import annotations

from collections import deque
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

from moorage.adapters.http_operations.soap.xml_documents import NotXmlError, parsed
from moorage.domain.soap.locations import may_load, resolve_location
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_MAX_BYTES: Final = 16 * 1024 * 1024
_MOST_DOCUMENTS: Final = 200
WSDL: Final = "http://schemas.xmlsoap.org/wsdl/"
SCHEMA: Final = "http://www.w3.org/2001/XMLSchema"
_SCHEMAS: Final = frozenset({SCHEMA, "http://www.w3.org/1999/XMLSchema"})
_REFERENCES: Final = frozenset({"import", "include", "redefine"})
_ENCODING: Final = b"""\
<schema xmlns="http://www.w3.org/2001/XMLSchema" xmlns:e="http://schemas.xmlsoap.org/soap/encoding/"
    targetNamespace="http://schemas.xmlsoap.org/soap/encoding/">
  <attribute name="arrayType" type="string"/>
  <complexType name="Array">
    <sequence><any namespace="##any" minOccurs="0" maxOccurs="unbounded" processContents="lax"/>
    </sequence>
    <attribute ref="e:arrayType"/>
  </complexType>
</schema>
"""
_XML: Final = b"""\
<schema xmlns="http://www.w3.org/2001/XMLSchema"
    targetNamespace="http://www.w3.org/XML/1998/namespace">
  <attribute name="lang" type="string"/>
  <attribute name="space" type="string"/>
  <attribute name="base" type="anyURI"/>
</schema>
"""
KNOWN: Final[Mapping[str, bytes]] = {
    "http://schemas.xmlsoap.org/soap/encoding/": _ENCODING,
    **dict.fromkeys(
        (
            "http://www.w3.org/2001/xml.xsd",
            "http://www.w3.org/2009/01/xml.xsd",
            "https://www.w3.org/2001/xml.xsd",
        ),
        _XML,
    ),
}
"""The documents of standards that many WSDLs import, as far as messages need them."""


class Documents:
    """The documents of one WSDL by URL, loaded one after another.

    The loader gets the next URL from `wanted`, and passes the content to `add`.

    Args:
        root: the URL of the WSDL.
        copies: contents to use for URLs instead of loading them.
    """

    def __init__(self, root: str, copies: Mapping[str, bytes]) -> None:
        self.root = root
        self.contents: dict[str, bytes] = {}
        self.elements: dict[str, Any] = {}
        self._copies = {**KNOWN, **copies}
        self._queue = deque([root])
        self._seen = {root}

    def next_url(self) -> str | None:
        """Return the URL of the next document to load; None if all are loaded."""
        while self._queue:
            url = self._queue.popleft()
            copy = self._copies.get(url)
            if copy is None:
                return url
            self.add(url, copy)
        return None

    def add(self, url: str, content: bytes) -> None:
        """Add a document, and queue its imports that may be loaded.

        Raises:
            ConfigurationError: it is not XML, or there are too many documents.
        """
        if len(content) > _MAX_BYTES or len(self.contents) >= _MOST_DOCUMENTS:
            raise _wsdl_error(
                f"The WSDL is too large: {url} has more than {_MAX_BYTES} bytes, or the WSDL"
                f" consists of more than {_MOST_DOCUMENTS} documents.",
                "Save the parts that you need in a file, and set the path of that file.",
            )
        try:
            element = parsed(content)
        except NotXmlError:
            element = None
        if element is None:
            raise _wsdl_error(
                f"The document at {url} is not XML, or contains a document type definition (DTD).",
                "Correct the path of the WSDL, or remove the DTD from the file.",
            )
        self.contents[url] = content
        self.elements[url] = element
        for location in _locations(element):
            target = resolve_location(url, location)
            if target in self._seen:
                continue
            self._seen.add(target)
            if target in self._copies or may_load(self.root, target):
                self._queue.append(target)

    def load(self, url: str) -> bytes:
        """Return a document for zeep, which may have derived the URL itself.

        Raises:
            ConfigurationError: the document may not be loaded.
        """
        content = self.contents.get(url) or self._copies.get(url)
        if content is not None:
            return content
        raise _wsdl_error(
            f"The WSDL refers to {url}, which is outside the WSDL's own host or folder.",
            "Save that document in a file, and add the file to `copies` under this URL.",
        )


def file_url(path: str | PurePath) -> str:
    """Return the URL of a file, without symbolic links.

    Raises:
        ConfigurationError: the path cannot be resolved.
    """
    try:
        return Path(path).resolve().as_uri()
    except (OSError, ValueError, RuntimeError):
        pass
    raise _wsdl_error("The path of the WSDL is not a valid path of a file.", "Correct the path.")


def file_content(url: str, root: str) -> bytes:
    """Return the content of a file of a WSDL.

    Raises:
        ConfigurationError: the file cannot be read, or a symbolic link leads out of the folder.
    """
    path = Path(url2pathname(urlsplit(url).path))
    try:
        if not may_load(root, path.resolve().as_uri()):
            raise _wsdl_error(
                f"The file {path} is not in or below the folder of the WSDL.",
                "Replace the link with a copy of the file.",
            )
        with path.open("rb") as file:
            return file.read(_MAX_BYTES + 1)
    except (OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
    raise _wsdl_error(f"The file {path} cannot be read ({reason}).", "Correct the path.")


def _locations(element: Any) -> Iterator[str]:
    """Yield the locations of other documents that a document refers to."""
    for item in element.iter(*(f"{{{space}}}*" for space in (WSDL, *_SCHEMAS))):
        space, _, name = item.tag[1:].partition("}")
        attribute = "location" if space == WSDL else "schemaLocation"
        location = item.get(attribute) if name in _REFERENCES else None
        if location:
            yield location


def _wsdl_error(problem: str, remedy: str) -> ConfigurationError:
    return ConfigurationError(problem, path="wsdl", remedy=remedy)
