"""A check of SEPA files against a list of elements from ISO 20022's schemas.

A line of a table has the path of an element and its content: `sequence` or `choice` with the names
of its elements (`?` may be missing, `+` and `*` may be repeated, `{0,2}` so often), or a type with
its limits.
"""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from xml.etree import ElementTree as ET

_TABLES = Path(__file__).parent / "tables"
_NAME = re.compile(r"(\w+)(\?|\+|\*|\{(\d+),(\d+)\})?")
_TIMES = {None: (1, 1), "?": (0, 1), "+": (1, 10**9), "*": (0, 10**9)}


def table(version: str, folder: Path = _TABLES) -> dict[str, str]:
    """Return the content that a version allows in each element, by the element's path."""
    lines = (folder / f"{version}.txt").read_text("utf-8").splitlines()
    return {path: content for path, _, content in (line.partition(" ") for line in lines)}


def faults(document: bytes, version: str) -> list[str]:
    """Return every difference between a document and the schema of a version."""
    root = ET.fromstring(document)  # noqa: S314 - the tests wrote it
    space = f"{{urn:iso:std:iso:20022:tech:xsd:{version}}}"
    if root.tag != f"{space}Document":
        return [f"root {root.tag}"]
    return list(element_faults(root, "Document", space, table(version)))


def element_faults(element: ET.Element, path: str, space: str, facts: dict[str, str]) -> list[str]:
    """Return each difference between an XML element and the content that its schema allows."""
    content = facts.get(path)
    if content is None:
        return [f"{path}: unknown element"]
    kind, _, remainder = content.partition(" ")
    if kind not in {"sequence", "choice"}:
        return (
            [] if len(element) == 0 and _fits(element, kind, remainder) else [f"{path}: {content}"]
        )
    names = [child.tag.removeprefix(space) for child in element]
    problems = [f"{path}: {names}"] if not _in_order(names, kind, remainder) else []
    for child, name in zip(element, names, strict=True):
        problems += element_faults(child, f"{path}/{name}", space, facts)
    return problems


def _in_order(names: list[str], kind: str, rest: str) -> bool:
    if kind == "choice":
        return len(names) == 1 and names[0] in rest.split()
    rest_names = list(names)
    for part in rest.split():
        match = _NAME.fullmatch(part)
        assert match is not None
        minimum, maximum = (int(match[3]), int(match[4])) if match[3] else _TIMES[match[2] or None]
        count = 0
        while rest_names and rest_names[0] == match[1]:
            rest_names.pop(0)
            count += 1
        if not minimum <= count <= maximum:
            return False
    return not rest_names


def _fits(element: ET.Element, kind: str, rest: str) -> bool:
    text = element.text or ""
    limits = dict(part.split("=", 1) for part in rest.split())
    if "attribute" in limits and set(element.attrib) != {limits["attribute"]}:
        return False
    if kind == "decimal":
        _, digits, exponent = Decimal(text).as_tuple()
        return len(digits) <= int(limits["totalDigits"]) and -int(exponent) <= int(
            limits["fractionDigits"]
        )
    patterns = {
        "boolean": "true|false",
        "date": r"\d{4}-\d\d-\d\d",
        "dateTime": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:Z|[+-]\d\d:\d\d)?",
    }
    pattern = patterns.get(kind) or limits.get("pattern")
    return (
        (pattern is None or re.fullmatch(pattern, text) is not None)
        and ("values" not in limits or text in limits["values"].split(","))
        and int(limits.get("minLength", 0)) <= len(text) <= int(limits.get("maxLength", 10**6))
    )
