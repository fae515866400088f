"""From answers to files."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Final

from moorage.domain.webhooks.template import nearest
from moorage.errors import ConfigurationError
from moorage.scaffold.naming import checked_name, renamed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from importlib.resources.abc import Traversable

CONTRACTS: Final = ("sms", "email", "payments", "shipping", "storage")
"""What a vendor may fill; the first unless something else is said."""
PORTS: Final = ("state", "log", "http", "credentials")
"""What an adapter may be for."""
KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    "vendor": CONTRACTS,
    "adapter": PORTS,
    "scheme": (),
    "django": (),
    "flask": (),
}
"""What can be made, and what there is to choose."""
_ENDING: Final = ".txt"


def scaffold(kind: str, name: str, choice: str | None = None) -> dict[str, str]:
    """The texts of what is to be made, by their paths in its folder.

    Args:
        kind: one of `KINDS`.
        name: what it is called.
        choice: the contract of a vendor, the port of an adapter; the first of them by default.

    Raises:
        ConfigurationError: there is no such kind or choice, or the name is none; `path` says what.
    """
    choices = KINDS[_one_of(kind, KINDS, "kind")]
    template = kind
    if choices:
        template = f"{kind}-{_one_of(choice or choices[0], choices, 'choice')}"
    found = files(__name__.rpartition(".")[0]) / "templates" / template
    known = sorted(_texts(found, ""))
    texts = {path.removesuffix(_ENDING): one.read_text("utf-8") for path, one in known}
    name = checked_name(name, (text for path, text in texts.items() if path.endswith(".py")))
    return {renamed(path, name): renamed(text, name) for path, text in texts.items()}


def _texts(folder: Traversable, at: str) -> Iterator[tuple[str, Traversable]]:
    for one in folder.iterdir():
        if one.is_dir():
            yield from _texts(one, f"{at}{one.name}/")
        else:
            yield f"{at}{one.name}", one


def _one_of(given: str, known: Mapping[str, object] | tuple[str, ...], path: str) -> str:
    if given in known:
        return given
    raise ConfigurationError(
        f"there is nothing for {given[:40]!r}.",
        path=path,
        remedy=f"{nearest(given, [*known])}Use one of: {', '.join(known)}.",
    )
