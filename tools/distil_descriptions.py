"""Writes excerpts of official API descriptions: the used operations, without prose.

    python -m tools.distil_descriptions FOLDER EXCERPTS [--check]

FOLDER has a folder for each vendor with the vendor's OpenAPI files, and EXCERPTS gets the same
folders with an excerpt of each file in JSON. An excerpt has the operations that the vendor's
scenarios use, their parameters outside the path, bodies and successful responses, with names,
types, requirements, formats and enumerations, and the source's version and licence. The same files
always give the same excerpts. With `--check` nothing is written, and the command fails if an
excerpt would change.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tools.command_line import tool_parser
from tools.descriptions import Description, exchanges_of, files_of, read_description, target_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tools.descriptions import Json

_PLAIN: Final = frozenset(
    {
        "$ref",
        "additionalProperties",
        "const",
        "format",
        "in",
        "maxLength",
        "name",
        "nullable",
        "readOnly",
        "required",
        "type",
        "writeOnly",
        "xml",
    }
)
_SCHEMAS: Final = frozenset({"additionalProperties", "items", "schema"})
_LISTS: Final = frozenset({"allOf", "anyOf", "oneOf"})
_TABLES: Final = frozenset({"content", "properties"})
_CHOICE: Final = frozenset({"mapping", "propertyName"})
_LOOK_UPS: Final = {
    "acrobat_sign": {("GET", "/api/rest/v6/agreements")},
    "docusign": {("GET", "/restapi/v2.1/accounts/1/envelopes")},
    "ebay": {("GET", "/sell/fulfillment/v1/order/1/shipping_fulfillment")},
    "fedex": {("POST", "/track/v1/referencenumbers")},
    "paystack": {("GET", "/refund")},
    "woocommerce": {
        ("GET", "/wp-json/wc/v3/orders/1/notes"),
        ("POST", "/wp-json/wc/v3/orders/1/notes"),
    },
}
"""Operations that no scenario requests, such as the search after a lost response."""
_SENTENCE: Final = 3
"""The number of spaces from which a text is a sentence."""


def facts(node: Json) -> Json:
    """Return a parameter, body, response or schema without prose, examples and extensions."""
    result: dict[str, Any] = {}
    for name, value in node.items():
        if name in _TABLES:
            result[name] = {key: facts(part) for key, part in value.items()}
        elif name in _LISTS:
            result[name] = [facts(part) for part in value]
        elif name in _SCHEMAS and isinstance(value, dict):
            result[name] = facts(value)
        elif name == "discriminator" and isinstance(value, dict):
            result[name] = {key: part for key, part in value.items() if key in _CHOICE}
        elif name in _PLAIN or (name == "enum" and not any(map(_is_sentence, value))):
            result[name] = value
    return result


def _is_sentence(word: object) -> bool:
    return str(word).count(" ") >= _SENTENCE


def excerpt(root: Json, source: str, requests: Iterable[tuple[str, str]]) -> Json:
    """Return the part of a description that these requests use; None if they use nothing in it.

    Args:
        root: the description.
        source: the name of its file.
        requests: the methods and targets that are in use, each target a path with its query.
    """
    description = Description(root)
    paths: dict[str, dict[str, Json]] = {}
    for method, target in sorted(requests):
        for operation in description.operations(method, target):
            paths.setdefault(operation.template, {})[operation.method] = _operation(
                description, operation.parts
            )
    if not paths:
        return None
    info = root.get("info", {})
    result = {
        "source": source,
        "version": info.get("version"),
        "license": info.get("license", {}).get("name"),
        "basePath": root.get("basePath", ""),
        "servers": [{"url": server["url"]} for server in root.get("servers", ())],
        "paths": paths,
        **({"looseAnswers": True} if root.get("looseAnswers") else {}),
    }
    _add_references(description, result)
    return result


def _operation(description: Description, parts: Json) -> Json:
    successes = [status for status in parts["responses"] if str(status)[0] == "2"]
    result: dict[str, Any] = {
        "parameters": [
            facts(part) for part in parts["parameters"] if part["in"] in {"body", "header", "query"}
        ],
        "responses": {
            str(status): facts(description.resolved(part))
            for status, part in parts["responses"].items()
            if status in (successes or ("default",))
        },
    }
    if "requestBody" in parts:
        result["requestBody"] = facts(description.resolved(parts["requestBody"]))
    return result


def _add_references(description: Description, result: Json) -> None:
    """Add everything that an excerpt references, directly or indirectly."""
    pending_references, added_references = sorted(_references(result)), set[str]()
    while pending_references:
        reference = pending_references.pop()
        if reference in added_references:
            continue
        added_references.add(reference)
        part = facts(description.resolved({"$ref": reference}))
        *folders, name = reference.removeprefix("#/").split("/")
        place = result
        for folder in folders:
            place = place.setdefault(folder, {})
        place[name] = part
        pending_references += sorted(_references(part))


def _references(node: Json) -> set[str]:
    if isinstance(node, dict):
        references = {reference for part in node.values() for reference in _references(part)}
        choices = node.get("discriminator", {})
        if isinstance(choices, dict) and "propertyName" in choices:
            references.update(choices.get("mapping", {}).values())
        return references | ({node["$ref"]} if isinstance(node.get("$ref"), str) else set())
    if isinstance(node, list):
        return {reference for part in node for reference in _references(part)}
    return set()


def json_text(value: Json, levels: int) -> str:
    """Return a value as JSON, with a line for each member of the outer levels."""
    if not (levels and isinstance(value, dict) and value):
        return json.dumps(value, sort_keys=True, ensure_ascii=False)
    members = (
        f"{json.dumps(name, ensure_ascii=False)}: {json_text(value[name], levels - 1)}"
        for name in sorted(value)
    )
    return "{\n" + ",\n".join(members) + "\n}"


def excerpts_of(folder: Path) -> dict[str, str]:
    """Return the excerpts of all descriptions in a vendor's folder, as text by file name."""
    requests = {
        (exchange.request.method.value, target_of(exchange))
        for exchange in exchanges_of(folder.name)
    } | _LOOK_UPS.get(folder.name, set())
    result: dict[str, str] = {}
    for file in files_of(folder):
        content = excerpt(read_description(file), file.name, requests)
        if content is not None:
            result[f"{file.stem}.json"] = f"{json_text(content, 3)}\n"
    return result


def main(folder: Path, target: Path, *, check: bool) -> int:
    """Write or check all excerpts; return 1 if a check finds a difference."""
    changed_paths: list[Path] = []
    for vendor in sorted(part for part in folder.iterdir() if part.is_dir()):
        for name, text in excerpts_of(vendor).items():
            file = target / vendor.name / name
            if file.exists() and file.read_text("utf-8") == text:
                continue
            changed_paths.append(file)
            if not check:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, "utf-8")
    for file in changed_paths:
        print(f"{file} {'differs from its description' if check else 'is written'}.")
    return int(check and bool(changed_paths))


if __name__ == "__main__":
    PARSER = tool_parser("distil_descriptions", __doc__)
    PARSER.add_argument("folder", type=Path, metavar="FOLDER")
    PARSER.add_argument("excerpts", type=Path, metavar="EXCERPTS")
    PARSER.add_argument("--check", action="store_true", help="compare, and write nothing")
    OPTIONS = PARSER.parse_args()
    sys.exit(main(OPTIONS.folder, OPTIONS.excerpts, check=OPTIONS.check))
