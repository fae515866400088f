"""Templates of signed strings and event fields, filled with values from a webhook.

A place is `{name}` or `{name:argument}`; a placeholder that ends in `?` may be missing, and is then
empty. Templates are compiled once, to a list of literals and functions.
"""

from __future__ import annotations

import re
from binascii import crc32
from string import Formatter
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias, cast

from moorage.domain.values.json_text import is_list, is_object
from moorage.domain.webhooks.rejection import WebhookReason, rejection_error
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from moorage.domain.webhooks.delivery import Delivery


MOST_SIGNATURES: Final = 32


class TemplateValues(NamedTuple):
    """The values that fill a template: values of a webhook and of one item of its batch."""

    delivery: Delivery
    item: Any
    parameters: Mapping[str, str]
    marks: list[str]
    """The parts of the signature's text, such as `t=…` and `v1=…`."""

    def of(self, item: Any) -> TemplateValues:
        """Return the same values with another item of the batch."""
        return TemplateValues(self.delivery, item, self.parameters, self.marks)


Read: TypeAlias = "Callable[[TemplateValues, str], str | bytes | None]"
Piece: TypeAlias = "bytes | tuple[Read, str, str, bool]"


def _json(scene: TemplateValues, path: str) -> str | None:
    return as_text(at_path(scene.item, path))


def _root(scene: TemplateValues, path: str) -> str | None:
    return as_text(at_path(scene.delivery.json(), path))


def _claim(scene: TemplateValues, name: str) -> str | None:
    return as_text(scene.delivery.claims.get(name))


def _mark_position(scene: TemplateValues, name: str) -> str | None:
    start = f"{name}="
    value: str | None = None
    for template_mark in scene.marks:
        if template_mark.startswith(start):
            if value is not None and value != template_mark:
                raise rejection_error(
                    WebhookReason.DUPLICATED,
                    f"{start} occurs more than once, with different values.",
                )
            value = template_mark
    return None if value is None else value[len(start) :]


def _digest(scene: TemplateValues, _: str) -> str:
    from hashlib import sha256  # noqa: PLC0415 - loads OpenSSL

    return sha256(scene.delivery.body).hexdigest()


def _sorted_form(scene: TemplateValues, _: str) -> str:
    if not scene.delivery.is_form():
        return ""
    form = scene.delivery.form()
    return "".join(name + value for name in sorted(form) for value in sorted({*form[name]}))


def _joined_lines(scene: TemplateValues, names: str) -> str:
    item, text = scene.item, ""
    for number, name in enumerate(names.split(",")):
        value = as_text(at_path(item, name))
        if value is None:
            continue
        # Only the first value may contain line breaks; otherwise one value could imitate the lines
        # of others and hide the true ones.
        if number and "\n" in value:
            raise rejection_error(
                WebhookReason.MALFORMED, f"The {name} of the webhook is not one line."
            )
        text += f"{name}\n{value}\n"
    return text


_SEPARATOR_TABLE: Final = {ord("&"): "_", ord("="): "_"}


def _pairs_text(scene: TemplateValues, excluded_name: str) -> str:
    """Return the sorted form fields in the form that Vonage signs, without the signature."""
    if not isinstance(scene.item, dict):
        raise rejection_error(WebhookReason.MALFORMED, "The body of the webhook has no fields.")
    fields = cast("dict[str, Any]", scene.item)
    text = ""
    for name in sorted(fields):
        value = as_text(fields[name])
        # A name with special characters could hide another field.
        if value is None or not name.isascii() or name.translate(_SEPARATOR_TABLE) != name:
            raise rejection_error(
                WebhookReason.MALFORMED, "The webhook has a field that is not a plain value."
            )
        if name != excluded_name:
            text += f"&{name}={value.translate(_SEPARATOR_TABLE)}"
    return text


_ORIGIN: Final = re.compile(r"((?:[^/?#]*//)?[^/?#]*)(.*)", re.DOTALL)
_PORT: Final = re.compile(r"(.*?)(:[0-9]*)?", re.DOTALL)


_ESCAPES: Final = {f"%{ord(letter):02X}": letter for letter in ":/?@!$'()*,;"}
"""The characters that HubSpot decodes in a URL before signing it."""


def _decoded_url(scene: TemplateValues, _: str) -> str:
    address = scene.delivery.address()
    for escape, letter in _ESCAPES.items():
        address = address.replace(escape, letter).replace(escape.lower(), letter)
    return address


def _url_without_query(scene: TemplateValues, _: str) -> str:
    return _without_query(scene.delivery.address())


def _path_with_query(scene: TemplateValues, _: str) -> str:
    """Return the path and the query of the URL, as in the first line of an HTTP request."""
    path = cast("re.Match[str]", _ORIGIN.match(scene.delivery.address()))[2].partition("#")[0]
    return path if path.startswith("/") else f"/{path}"


def _without_query(address: str) -> str:
    """Return a URL without its query."""
    return re.split("[?#]", address)[0]


def _url_with_sorted_query(scene: TemplateValues, _: str) -> str:
    """Return the URL in Plivo's signed form: decoded, sorted parameters and a dot at the end."""
    query = scene.delivery.query()
    pairs = [f"{name}={value}" for name in sorted(query) for value in sorted(query[name])]
    return f"{_without_query(scene.delivery.address())}?{'&'.join(pairs)}{'.' if pairs else ''}"


_WITHOUT_ARGUMENT: Final[dict[str, Read]] = {
    "body": lambda scene, _: scene.delivery.body,
    "body_sha256": _digest,
    "body_crc32": lambda scene, _: str(crc32(scene.delivery.body)),
    "sorted_form": _sorted_form,
    "url": lambda scene, _: scene.delivery.address(),
    "url_with_port": lambda scene, _: urls_by_port(scene.delivery.address(), written=True),
    "url_without_port": lambda scene, _: urls_by_port(scene.delivery.address(), written=False),
    "url_decoded": _decoded_url,
    "url_without_query": _url_without_query,
    "url_query_sorted": _url_with_sorted_query,
    "url_path": _path_with_query,
    "method": lambda scene, _: scene.delivery.method,
}
_WITH_ARGUMENT: Final[dict[str, Read]] = {
    "header": lambda scene, name: scene.delivery.header(name),
    "query": lambda scene, name: scene.delivery.parameter(name),
    "form": lambda scene, name: scene.delivery.field(name),
    "json": _json,
    "root": _root,
    "lines": _joined_lines,
    "pairs": _pairs_text,
    "claim": _claim,
    "mark": _mark_position,
    "parameter": lambda scene, name: scene.parameters[name],
}
_PLACE_READERS: Final = _WITHOUT_ARGUMENT | _WITH_ARGUMENT
_COVERED_PARTS: Final = {
    "body_sha256": "body",
    "body_crc32": "checksum",
    "sorted_form": "form",
    "url_with_port": "url",
    "url_without_port": "url",
    "url_decoded": "url",
    "url_without_query": "url",
    "url_query_sorted": "url",
    "url_path": "url",
    "lines": "fields",
    "pairs": "fields",
}
"""The part of a webhook that a placeholder reads, if its name or argument is not that part."""


_WORDS: Final = {
    "header": "the header",
    "query": "the query parameter",
    "form": "the form field",
    "json": "the JSON field",
    "root": "the JSON field",
    "claim": "the claim",
    "mark": "the part of the signature",
}
"""The kinds of places in words, which the name of the place follows."""


class Template:
    """A compiled template; templates with equal strings are equal."""

    __slots__ = ("_one", "_pieces", "places", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        pieces: list[Piece] = []
        for literal, name, optional in _parse_template(text):
            if literal:
                pieces.append(literal.encode())
            if name is not None:
                kind, _, argument = name.partition(":")
                argument = argument.lower() if kind == "header" else argument
                pieces.append((_PLACE_READERS[kind], argument, name, optional))
        self._pieces = pieces
        self.places = tuple(piece[2] for piece in pieces if not isinstance(piece, bytes))
        single_bytes = pieces[0] if len(pieces) == 1 else None
        self._one = (
            None if single_bytes is None or isinstance(single_bytes, bytes) else single_bytes
        )

    @property
    def pieces(self) -> list[bytes | tuple[str, str, bool]]:
        """Return the literal texts and the placeholders of the template, in order."""
        return [
            piece if isinstance(piece, bytes) else (piece[2].partition(":")[0], piece[1], piece[3])
            for piece in self._pieces
        ]

    @property
    def words(self) -> str:
        """The placeholders described for people, such as "the header Stripe-Signature"."""
        values: list[str] = []
        for place in self.places:
            kind, _, argument = place.partition(":")
            words = _WORDS.get(kind, f"the {kind.replace('_', ' ')}")
            values.append(f"{words} {argument}".rstrip())
        return " and ".join(values) or f"the text {self.text}"

    def fill(self, scene: TemplateValues) -> bytes:
        """Return the template's bytes with all placeholders filled in."""
        return b"".join(
            [
                piece if piece.__class__ is bytes else _bytes(_fill_template(piece, scene))  # type: ignore[arg-type]  # it is the other kind
                for piece in self._pieces
            ]
        )

    def read(self, scene: TemplateValues) -> str | None:
        """Return the text of the filled template; None if all placeholders are missing."""
        if self._one is not None:
            value = self._one[0](scene, self._one[1])
            return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
        texts: list[bytes] = []
        is_complete = not self.places
        for piece in self._pieces:
            if isinstance(piece, bytes):
                texts.append(piece)
            elif value := piece[0](scene, piece[1]):
                texts.append(_bytes(value))
                is_complete = True
        return b"".join(texts).decode("utf-8", "replace").strip(" .:") if is_complete else None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Template) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return repr(self.text)


def _fill_template(piece: tuple[Read, str, str, bool], scene: TemplateValues) -> str | bytes:
    read_place, argument, name, optional = piece
    value = read_place(scene, argument)
    if value is None:
        if optional:
            return b""
        raise rejection_error(WebhookReason.MISSING, f"The webhook has no {name}.")
    return value


def _bytes(value: str | bytes) -> bytes:
    if isinstance(value, bytes):
        return value
    try:
        return value.encode()
    except UnicodeEncodeError:
        raise rejection_error(
            WebhookReason.MALFORMED, "The webhook has text that is not valid Unicode."
        ) from None


def _parse_template(text: str) -> list[tuple[str, str | None, bool]]:
    parsed_pieces: list[tuple[str, str | None, bool]] = []
    wrong_part: str | None = None
    try:
        for literal, name, argument, conversion in Formatter().parse(text):
            if name is None:
                parsed_pieces.append((literal, None, False))
                continue
            full_name = f"{name}:{argument}" if argument else name
            kinds = _WITH_ARGUMENT if (argument or "").strip("?") else _WITHOUT_ARGUMENT
            if name.removesuffix("?") not in kinds or conversion:
                wrong_part = full_name
                break
            parsed_pieces.append((literal, full_name.removesuffix("?"), full_name.endswith("?")))
    except ValueError:
        wrong_part = text
    if wrong_part is not None:
        raise ConfigurationError(
            f"{wrong_part[:80]!r} is not a known placeholder of a template.",
            path="scheme",
            remedy=f"{nearest_hint(_name_in(wrong_part), _PLACE_READERS)}Use"
            f" {', '.join(sorted(_PLACE_READERS))}, with an argument after a colon where one is"
            " required, such as {header:X-Signature}. Write a literal brace twice.",
        )
    return parsed_pieces


def _name_in(place: str) -> str:
    return place.partition(":")[0].strip("?{}")


def nearest_hint(written: object, names: Iterable[str]) -> str:
    """Return a hint with the known name most similar to `written`; "" if none is similar."""
    from difflib import get_close_matches  # noqa: PLC0415 - needed for mistakes only

    candidates = [str(name) for name in names if name != written]
    close_matches = get_close_matches(str(written)[:80].lower(), candidates, n=1)
    return f"Did you mean {close_matches[0]}? " if close_matches else ""


def covered_parts(places: tuple[str, ...]) -> set[str]:
    """Return the parts of a webhook that a signature covers."""
    names: set[str] = set()
    for place in places:
        kind, _, argument = place.partition(":")
        names.add(_COVERED_PARTS.get(kind) or argument or kind)
    return names


def at_path(item: Any, path: str) -> Any:
    """Return the value at a dotted path in JSON data, where a number is a position in a list.

    None if there is no value.
    """
    for step in path.split("."):
        if is_list(item) and step.isdecimal():
            item = item[int(step)] if int(step) < len(item) else None
        elif is_object(item):
            item = item.get(step)
        else:
            return None
    return item


def as_text(value: object) -> str | None:
    """Return a JSON scalar as text; None for anything else."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value:d}"
    return repr(value) if isinstance(value, float) else None


def urls_by_port(address: str, *, written: bool) -> str:
    """Return the URL with its port, or without any port."""
    origin, address_rest = cast("re.Match[str]", _ORIGIN.match(address)).groups()
    host, port = cast("re.Match[str]", _PORT.fullmatch(origin)).groups()
    if not written:
        return host + address_rest
    return f"{host}{port or (':80' if host[:5].lower() == 'http:' else ':443')}{address_rest}"
