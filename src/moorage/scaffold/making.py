"""Generates texts from templates."""

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
"""The contracts that a vendor may implement; the first is the default."""
PORTS: Final = ("state", "log", "http", "credentials")
"""The ports that an adapter may implement; the first is the default."""
KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    "vendor": CONTRACTS,
    "adapter": PORTS,
    "scheme": (),
    "django": (),
    "flask": (),
}
"""The choices by the kind of thing to generate."""
_ENDING: Final = ".txt"


def scaffold(kind: str, name: str, choice: str | None = None) -> dict[str, str]:
    """Return the texts to write, by path.

    Args:
        kind: one of `KINDS`.
        name: the name of the new vendor, adapter, scheme or application.
        choice: the contract of a vendor or the port of an adapter; the first by default.

    Raises:
        ConfigurationError: the kind or choice is unknown, or the name is invalid; `path` says
            which.
    """
    choices = KINDS[_checked_choice(kind, KINDS, "kind")]
    template = kind
    if choices:
        template = f"{kind}-{_checked_choice(choice or choices[0], choices, 'choice')}"
    template_folder = files(__name__.rpartition(".")[0]) / "templates" / template
    files_by_path = sorted(_template_files(template_folder, ""))
    texts = {path.removesuffix(_ENDING): file.read_text("utf-8") for path, file in files_by_path}
    name = checked_name(name, (text for path, text in texts.items() if path.endswith(".py")))
    return {renamed(path, name): renamed(text, name) for path, text in texts.items()}


def _template_files(folder: Traversable, path: str) -> Iterator[tuple[str, Traversable]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _template_files(entry, f"{path}{entry.name}/")
        else:
            yield f"{path}{entry.name}", entry


def _checked_choice(choice: str, choices: Mapping[str, object] | tuple[str, ...], path: str) -> str:
    if choice in choices:
        return choice
    raise ConfigurationError(
        f"The {path} {choice[:40]!r} is unknown.",
        path=path,
        remedy=f"{nearest(choice, [*choices])}Use one of: {', '.join(choices)}.",
    )
