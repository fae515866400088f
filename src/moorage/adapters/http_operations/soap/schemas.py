"""The schemas of a WSDL as one validator, for rules that zeep does not check."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from xml.sax.saxutils import quoteattr

from moorage.adapters.concurrency.forking import ForkSafeLock
from moorage.adapters.http_operations.soap.documents import SCHEMA
from moorage.adapters.http_operations.soap.libraries import etree
from moorage.domain.soap.locations import resolve_location
from moorage.domain.values.patterns import late_pattern

if TYPE_CHECKING:
    from collections.abc import Mapping

_FACET: Final = late_pattern(r"\[facet '(\w+)'\]")
_UNREADABLE_ERRORS: Final = frozenset({
    "SCHEMAV_CVC_DATATYPE_VALID_1_2_1",
    "SCHEMAV_CVC_DATATYPE_VALID_1_2_2",
    "SCHEMAV_CVC_DATATYPE_VALID_1_2_3",
})  # fmt: skip
"""The errors of a text that is no value of its type."""


_MOST_TIMES: Final = 5_000
_TOO_MANY_REPETITIONS: Final = f"A schema repeats an element more than {_MOST_TIMES} times."
"""libxml2 builds a state for each repetition, which would take all memory."""


class Validator:
    """Checks elements against the schemas of a WSDL.

    Args:
        elements: the documents by their URLs.

    Raises:
        ValueError: the schemas have an error.
    """

    def __init__(self, elements: Mapping[str, Any]) -> None:
        library = etree()
        sources = _Sources(elements)
        parser = library.XMLParser(no_network=True, resolve_entities=False)
        parser.resolvers.add(_resolver(sources.texts))
        try:
            self._schema: Any = library.XMLSchema(library.fromstring(sources.root(), parser))
        except library.Error as error:
            raise ValueError(str(error)) from None
        self._lock = ForkSafeLock()

    def problem(self, element: Any, *, only_values: bool = False) -> tuple[str, str] | None:
        """Return the path of the first invalid element and the broken rule, or None.

        Args:
            element: the element to check, which must be declared by a schema.
            only_values: whether to look only for texts that are not values of their types.
        """
        with self._lock.current:
            if self._schema.validate(element):
                return None
            errors = list(self._schema.error_log)
        for error in errors:
            if error.type_name == "SCHEMAV_CVC_ELT_1":
                return None  # no schema declares the element
            if only_values and error.type_name not in _UNREADABLE_ERRORS:
                continue
            facet = _FACET.search(error.message)
            rule = error.type_name.removeprefix("SCHEMAV_CVC_").lower().rstrip("_0123456789")
            return _path(error.path), facet[1] if facet else rule.replace("_", " ")
        return None


class _Sources:
    """The texts of all schemas, linked by artificial URLs.

    libxml2 reads one document for each namespace, so several schemas of one namespace are included
    by an additional schema, which only includes them.
    """

    def __init__(self, elements: Mapping[str, Any]) -> None:
        self.texts: dict[str, bytes] = {}
        self._names: dict[str, str] = {}
        inline: list[tuple[str, Any]] = []
        for url, element in elements.items():
            if element.tag == f"{{{SCHEMA}}}schema":
                self._names[url] = f"moorage:file/{len(self._names)}"
                inline.append((url, element))
            else:
                inline += [(url, item) for item in element.iter(f"{{{SCHEMA}}}schema")]
        self._namespaces = list(dict.fromkeys(item.get("targetNamespace") for _, item in inline))
        members: dict[str | None, list[str]] = {space: [] for space in self._namespaces}
        for number, (url, item) in enumerate(inline):
            is_file = item.getparent() is None
            name = self._names[url] if is_file else f"moorage:inline/{number}"
            self.texts[name] = self._rewritten(url, item)
            members[item.get("targetNamespace")].append(name)
        for space, names in members.items():
            attribute = "" if space is None else f" targetNamespace={quoteattr(space)}"
            content = "".join(f'<include schemaLocation="{name}"/>' for name in names)
            self.texts[self._wrapper(space)] = (
                f'<schema xmlns="{SCHEMA}"{attribute}>{content}</schema>'.encode()
            )

    def root(self) -> bytes:
        """Return the schema that imports all other schemas."""
        imports = "".join(
            f'<import schemaLocation="{self._wrapper(space)}"'
            f"{'' if space is None else f' namespace={quoteattr(space)}'}/>"
            for space in self._namespaces
        )
        return (
            f'<schema xmlns="{SCHEMA}" targetNamespace="moorage:root">{imports}</schema>'.encode()
        )

    def _wrapper(self, namespace: str | None) -> str:
        return f"moorage:namespace/{self._namespaces.index(namespace)}"

    def _rewritten(self, url: str, element: Any) -> bytes:
        library = etree()
        # A copy of only this element would lose the namespace prefixes that its texts use.
        schema = library.fromstring(library.tostring(element, with_tail=False))
        if any(_is_huge(item) for item in schema.iter()):
            raise ValueError(_TOO_MANY_REPETITIONS)
        for item in list(schema):
            location = item.get("schemaLocation")
            if item.tag == f"{{{SCHEMA}}}import":
                item.attrib.pop("schemaLocation", None)
                if item.get("namespace") in self._namespaces:
                    item.set("schemaLocation", self._wrapper(item.get("namespace")))
            elif location is not None:
                item.set(
                    "schemaLocation",
                    self._names.get(resolve_location(url, location), "moorage:none"),
                )
        text: bytes = library.tostring(schema)
        return text


def _is_huge(element: Any) -> bool:
    """Return whether a declaration allows a very large number of repetitions."""
    times = (element.get("minOccurs"), element.get("maxOccurs"))
    return any(len(item) > 9 or int(item) > _MOST_TIMES for item in times if _is_number(item))


def _is_number(text: str | None) -> bool:
    return text is not None and text.isascii() and text.isdigit()


def _resolver(texts: Mapping[str, bytes]) -> Any:
    """Return a resolver for lxml that finds only these schema texts."""

    def resolve(resolver: Any, url: str, _: object, context: Any) -> Any:
        return resolver.resolve_string(texts.get(url, b""), context)

    return type("Texts", (etree().Resolver,), {"resolve": resolve})()


def _path(path: str | None) -> str:
    """Convert an XPath such as /*/*[2]/ns0:symbol to element names joined by dots."""
    names = [part.partition("[")[0].rpartition(":")[2] for part in (path or "").split("/")]
    return ".".join(name for name in names if name not in {"", "*"})
