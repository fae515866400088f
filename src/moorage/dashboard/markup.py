"""HTML as values; every text that was not made by this module is escaped.

Laws:

1. A `str` never becomes markup. Only `Html`, which these functions make, is written unescaped.
2. Attributes are always quoted, and their values escaped.
3. Characters that reorder or hide text are replaced by a visible character, so that a text from a
   vendor cannot deceive the reader.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeAlias

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable

_ESCAPES: Final = {
    ord("&"): "&amp;",
    ord("<"): "&lt;",
    ord(">"): "&gt;",
    ord('"'): "&quot;",
    ord("'"): "&#x27;",
    ord("`"): "&#x60;",
}
_HIDDEN_CHARACTERS: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
)
_VOID_ELEMENTS: Final = frozenset({"br", "input", "link", "meta"})


@attrs.frozen
class Html:
    """A piece of HTML that is safe to write unescaped."""

    text: str


Node: TypeAlias = "Html | str | int | Iterable[Node] | None"


def visible(text: str) -> str:
    """Return a text with each control character and each hidden character replaced by U+FFFD."""
    return _HIDDEN_CHARACTERS.sub("\ufffd", text)


def escape(text: str) -> str:
    """Return a text escaped for HTML, as content or as a quoted attribute."""
    return visible(text).translate(_ESCAPES)


def join_nodes(*nodes: Node) -> Html:
    """Join pieces of HTML; None is skipped, and texts are escaped."""
    return Html("".join(map(_as_text, nodes)))


def tag(name: str, /, *nodes: Node, **attributes: str | int | bool | None) -> Html:
    """Return an HTML element.

    Args:
        name: name of the element, from this package only.
        nodes: the element's content.
        attributes: the element's attributes: `_` becomes `-`, and a last `_` is dropped; True is an
            attribute without a value, and None or False leaves the attribute out.
    """
    opening = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _VOID_ELEMENTS:
        return Html(f"<{name}{opening}>")
    return Html(f"<{name}{opening}>{join_nodes(*nodes).text}</{name}>")


def _attribute(name: str, value: str | int | bool | None) -> str:  # noqa: FBT001 - an attribute may be a boolean
    if value is None or value is False:
        return ""
    name = name.removesuffix("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'


def _as_text(node: Node) -> str:
    if node is None:
        return ""
    if isinstance(node, Html):
        return node.text
    if isinstance(node, (str, int)):
        return escape(str(node))
    return "".join(map(_as_text, node))
