"""Validates documents with Schematron files, which it translates to XSLT for Saxon.

Saxon is not a dependency of moorage: `pip install saxonche` installs it.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final
from xml.sax.saxutils import escape, quoteattr

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SCHEMATRON: Final = "{http://purl.oclc.org/dsdl/schematron}"
_XSLT_NAMESPACE: Final = "http://www.w3.org/1999/XSL/Transform"
_XSLT: Final = f"{{{_XSLT_NAMESPACE}}}"
_ALWAYS_DECLARED: Final = {"xs": "http://www.w3.org/2001/XMLSchema", "u": "utils"}
_RULE_ID: Final = re.compile(r"\[([^\]]+)\]")
_FIRST_PRIORITY: Final = 9000
"""The priority of a pattern's first rule; each later rule has the next lower priority."""


class StoppedError(Exception):
    """Saxon stopped, for example because a rule computes with a text that is not a number."""


@attrs.frozen
class Schematron:
    """A compiled Schematron file.

    Attributes:
        rules: the identifiers of its rules.
    """

    rules: frozenset[str]
    _processor: Any
    _program: Any

    def violated_rules(self, document: bytes) -> dict[str, str]:
        """Return the identifiers of the rules that a document violates, with their flags.

        Raises:
            StoppedError: Saxon stopped before the end.
        """
        try:
            node = self._processor.parse_xml(xml_text=document.decode("utf-8-sig"))
            text = self._program.transform_to_string(xdm_node=node) or ""
        except Exception as error:  # noqa: BLE001 - Saxon's error has no public class
            raise StoppedError(str(error)) from None
        return dict(line.split("|") for line in text.splitlines() if line)


class SchematronCompiler:
    """Compiles Schematron files and runs XSLT files, with one Saxon processor."""

    def __init__(self) -> None:
        self._processor: Any = import_module("saxonche").PySaxonProcessor(license=False)

    def compile(self, path: Path, *, without: frozenset[str] = frozenset()) -> Schematron:
        """Return the rules of a file, without the patterns of these names."""
        root = _included(path)
        rules = frozenset(
            _rule_id(item)
            for pattern in root.iterfind(f"{_SCHEMATRON}pattern")
            if pattern.get("id") not in without
            for item in _assertions(pattern)
        )
        program = self._processor.new_xslt30_processor().compile_stylesheet(
            stylesheet_text=xslt_of(root, without=without)
        )
        return Schematron(rules, self._processor, program)

    def transform(self, program: Path, source: Path, target: Path, **parameters: str) -> None:
        """Run an XSLT file on a source, and write the result to a target."""
        executable = self._processor.new_xslt30_processor().compile_stylesheet(
            stylesheet_file=str(program)
        )
        for name, value in parameters.items():
            executable.set_parameter(name, self._processor.make_string_value(value))
        target.write_text(executable.transform_to_string(source_file=str(source)), "utf-8")


def xslt_of(root: ET.Element, *, without: frozenset[str]) -> str:
    """Return a schema as an XSLT program that prints a line for each violation."""
    namespaces = {
        item.get("prefix", ""): item.get("uri", "") for item in root.iterfind(f"{_SCHEMATRON}ns")
    }
    declared = {**_ALWAYS_DECLARED, **namespaces, "xsl": _XSLT_NAMESPACE}
    for prefix, namespace in declared.items():
        ET.register_namespace(prefix, namespace)
    patterns = root.findall(f"{_SCHEMATRON}pattern")
    modes = {
        f"p{number}": pattern
        for number, pattern in enumerate(patterns)
        if pattern.get("id") not in without
    }
    attributes = "".join(f" xmlns:{name}={quoteattr(uri)}" for name, uri in declared.items())
    calls = "".join(f'<xsl:apply-templates select="/" mode="{mode}"/>' for mode in modes)
    return "".join(
        (
            f'<xsl:stylesheet version="2.0"{attributes}><xsl:output method="text"/>',
            *(_variable(item) for item in root.iterfind(f"{_SCHEMATRON}let")),
            *(ET.tostring(item, encoding="unicode") for item in root.iterfind(f"{_XSLT}function")),
            *(
                _variable(item)
                for pattern in patterns
                for item in pattern.iterfind(f"{_SCHEMATRON}let")
            ),
            *(text for mode, pattern in modes.items() for text in _templates(mode, pattern)),
            f'<xsl:template match="/">{calls}</xsl:template></xsl:stylesheet>',
        )
    )


def _included(path: Path) -> ET.Element:
    root = ET.parse(path).getroot()  # noqa: S314 - a file that the developer named
    for number, item in enumerate(root):
        if item.tag == f"{_SCHEMATRON}include":
            root[number] = ET.parse(path.parent / item.get("href", "")).getroot()  # noqa: S314 - likewise
    return root


def _templates(mode: str, pattern: ET.Element) -> Iterator[str]:
    inner = f'<xsl:apply-templates select="@*|*" mode="{mode}"/>'
    yield f'<xsl:template match="@*|text()" mode="{mode}" priority="-9"/>'
    yield f'<xsl:template match="*|/" mode="{mode}" priority="-8">{inner}</xsl:template>'
    for number, rule in enumerate(pattern.iterfind(f"{_SCHEMATRON}rule")):
        priority = _FIRST_PRIORITY - number
        match = quoteattr(rule.get("context", ""))
        steps = "".join(_step(item) for item in rule)
        yield (
            f'<xsl:template match={match} mode="{mode}" priority="{priority}">{steps}{inner}'
            "</xsl:template>"
        )


def _step(item: ET.Element) -> str:
    if item.tag == f"{_SCHEMATRON}let":
        return _variable(item)
    if item.tag not in {f"{_SCHEMATRON}assert", f"{_SCHEMATRON}report"}:
        return ""
    test = item.get("test", "")
    condition = test if item.tag == f"{_SCHEMATRON}report" else f"not({test})"
    line = escape(f"{_rule_id(item)}|{item.get('flag', 'fatal')}")
    return f"<xsl:if test={quoteattr(condition)}>{line}<xsl:text>&#10;</xsl:text></xsl:if>"


def _variable(item: ET.Element) -> str:
    name, value = quoteattr(item.get("name", "")), quoteattr(item.get("value", ""))
    return f"<xsl:variable name={name} select={value}/>"


def _assertions(pattern: ET.Element) -> Iterator[ET.Element]:
    for name in ("assert", "report"):
        yield from pattern.iterfind(f"{_SCHEMATRON}rule/{_SCHEMATRON}{name}")


def _rule_id(item: ET.Element) -> str:
    match = _RULE_ID.search("".join(item.itertext()))
    return item.get("id") or (match[1] if match else "unnamed")
