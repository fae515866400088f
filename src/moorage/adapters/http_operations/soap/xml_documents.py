"""Safe parsing of untrusted XML: no document type, no entity, no network, bounded size."""

from __future__ import annotations

from typing import Any, Final, NoReturn
from xml.parsers import expat

from moorage.adapters.http_operations.soap.libraries import etree

LARGEST: Final = 64 * 1024 * 1024
"""The largest number of bytes of a document."""


class NotXmlError(ValueError):
    """Raised if a string is not XML, has a document type, or is too large or too deeply nested."""


def parsed(body: bytes) -> Any:
    """Parse an XML document safely, and return its root element.

    A document type is refused before lxml sees the text, so no entity is ever defined.

    Raises:
        NotXmlError: the document is malformed, has a document type, or is too large or too deep.
    """
    library = etree()
    if len(body) > LARGEST:
        raise NotXmlError
    text = body.lstrip()
    scanner = expat.ParserCreate()
    scanner.StartDoctypeDeclHandler = _refuse
    parser = library.XMLParser(
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        scanner.Parse(text, True)
        return library.fromstring(text, parser)
    except (expat.ExpatError, library.XMLSyntaxError, LookupError, ValueError):
        # Python raises errors of other types for an encoding that is unknown or not allowed in XML.
        raise NotXmlError from None


def _refuse(*_: object) -> NoReturn:
    raise NotXmlError
