"""The changes in an API description that affect a vendor, with the vendor's source lines."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlsplit

import attrs

from moorage.domain.http.media_type import is_json
from moorage.domain.openapi.document import Node
from moorage.domain.openapi.drift import DescriptionDifferences, Usage, find_drift
from moorage.domain.values.json_text import is_list, is_object
from moorage.errors import ConfigurationError
from moorage.exporting.recording import recorded_exchanges
from moorage.grading.sources import Line, modules_of, shown_path, texts_of
from moorage.testing.fakes.http import as_bytes
from moorage.wiring.installed_vendors import vendor_class, vendor_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from moorage.domain.openapi.drift import Change
    from moorage.exporting.recording import Exchange

_BRACKETS: Final = re.compile(r"\[(\w*)\]")


@attrs.frozen(eq=False)
class VendorFacts:
    """The parts of an API that a vendor uses.

    Attributes:
        usage: the requests, field names and words that the vendor uses.
        lines: the first source line of each name and word.
        start: the first source line of the vendor's module.
    """

    usage: Usage
    lines: Mapping[str, Line]
    start: Line

    def line_of(self, change: Change) -> Line:
        """Return the source line that uses the changed part of the API."""
        for word in change.words:
            if word in self.lines:
                return self.lines[word]
        if change.path:
            parts = [part for part in re.split(r"[.\[\]*]+", change.path) if part]
            for number in range(len(parts)):
                line = self.lines.get(".".join(parts[number:]))
                if line is not None:
                    return line
        return self._line_of_path(change.operation.partition(" ")[2])

    def _line_of_path(self, template: str) -> Line:
        segments = [part for part in template.split("/") if part and "{" not in part]
        ranked_lines = [
            (segments[-1] in parts, len({*segments} & parts), -len(text), line)
            for text, line in self.lines.items()
            if "/" in text and (parts := {*text.split("/")}) & {*segments}
        ]
        return max(ranked_lines, key=lambda ranked: ranked[:3])[3] if ranked_lines else self.start


def facts_of(name: str) -> VendorFacts:
    """Return the parts of an API that a vendor uses, from its sandbox requests and source.

    Raises:
        ConfigurationError: there is no such vendor, or it has no sandbox.
    """
    modules = modules_of(vendor_class(name))
    lines = texts_of(modules)
    exchanges = recorded_exchanges(name)
    usage = Usage(
        requests=frozenset(map(_request, exchanges)),
        names=frozenset(lines),
        sent=_sent_fields(exchanges),
    )
    return VendorFacts(usage, lines, Line(shown_path(modules[0].path), 1))


def vendors_at(description: object) -> tuple[str, ...]:
    """Return the vendors whose host an API description names.

    Raises:
        ConfigurationError: there is no such vendor.
    """
    hosts = described_hosts(description)
    names = tuple(name for name in vendor_names() if _names_host(name, hosts))
    if names:
        return names
    raise ConfigurationError(
        "The old description does not contain a host that an installed vendor uses.",
        path="old",
        remedy="Pass the name of the vendor with --vendor.",
    )


def described_hosts(description: object) -> frozenset[str]:
    """Return the hosts of the servers that an API description lists."""
    root = Node(description, "#")
    urls = [server.text("url") or "" for server in root.child("servers").items()]
    hosts = {_host_of(url).lower() for url in urls} | {(root.text("host") or "").lower()}
    return frozenset(hosts - {""})


def _host_of(url: str) -> str:
    """Return the host of a URL; an empty text if the URL is invalid."""
    try:
        return urlsplit(url).netloc
    except ValueError:
        return ""


def _names_host(vendor: str, hosts: frozenset[str]) -> bool:
    """Return whether a vendor's source contains one of these hosts, or one without its region."""
    texts = texts_of(modules_of(vendor_class(vendor)))
    return any(
        _host_of(text) in hosts
        or (text.startswith(".") and any(host.endswith(text) for host in hosts))
        for text in texts
        if "." in text
    )


def vendor_drift(
    facts: VendorFacts, vendor: str, old: object, new: object
) -> DescriptionDifferences:
    """Return the differences between two API descriptions that affect a vendor.

    Raises:
        ConfigurationError: the descriptions have no operation that the vendor uses.
        DescriptionRefused: one of them is not an OpenAPI description of version 2 or 3.
    """
    result = find_drift(old, new, facts.usage)
    if not result.compared:
        raise ConfigurationError(
            f"The old description has no operation that {vendor} uses.",
            path="old",
            remedy="Pass the vendor's own description, or another vendor with --vendor.",
        )
    return result


def _request(exchange: Exchange) -> tuple[str, str]:
    return exchange.request.method.value, urlsplit(exchange.url).path


def _sent_fields(exchanges: Iterable[Exchange]) -> dict[tuple[str, str], frozenset[str]]:
    sent_fields: dict[tuple[str, str], frozenset[str]] = {}
    for exchange in exchanges:
        fields = frozenset(_fields(exchange))
        request = _request(exchange)
        sent_fields[request] = sent_fields.get(request, fields) & fields
    return sent_fields


def _fields(exchange: Exchange) -> Iterator[str]:
    """Yield the dotted paths of the fields of a request."""
    pairs = parse_qsl(urlsplit(exchange.url).query, keep_blank_values=True)
    body = as_bytes(exchange.request)
    kind = exchange.request.headers.get("content-type") or ""
    if is_json(kind):
        with suppress(ValueError):  # a request may declare JSON and have no body
            yield from _paths(json.loads(body))
    elif "urlencoded" in kind:
        pairs += parse_qsl(body.decode(), keep_blank_values=True)
    for name, _ in pairs:
        yield name
        yield from _with_dots(name)


def _with_dots(name: str) -> Iterator[str]:
    """Yield a form field's bracketed name as a dotted path, then the paths of its parents."""
    dotted_name = _BRACKETS.sub(lambda match: "[]" if match[1].isdigit() else f".{match[1]}", name)
    parts = dotted_name.split(".")
    for number in range(len(parts)):
        yield ".".join(parts[: number + 1]).removesuffix("[]")


def _paths(value: Any, path: str = "") -> Iterator[str]:
    if is_object(value):
        for name, item in value.items():
            item_path = f"{path}.{name}".lstrip(".")
            yield item_path
            yield from _paths(item, item_path)
    elif is_list(value):
        for item in value:
            yield from _paths(item, f"{path}[]")
