"""Generates files from templates."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Final

from moorage.contracts.catalog import CONTRACTS as _CATALOG
from moorage.domain.webhooks.template import nearest_hint
from moorage.errors import ConfigurationError
from moorage.scaffold.naming import checked_name, rename_template
from moorage.wiring.built_in_vendors import BUILT_IN

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from importlib.resources.abc import Traversable

_TEMPLATES: Final = files(__name__.rpartition(".")[0]) / "templates"
CONTRACTS: Final = tuple(sorted(_CATALOG, key=lambda kind: (kind != "sms", kind)))
"""The contracts of vendors; the first is the default."""
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
_CHOICE: Final = "{choice}"
"""The place of the contract or port in files that all templates of a kind share."""
_INSTALL_PLACEHOLDER: Final = "{install}"
"""The place in READMEs of vendors for the file `install.md`, which is the same for all."""
_DECLARED_TEMPLATE: Final = "vendor-declared"
"""The template of a vendor whose contract has no template of its own.

A contract with a conformance kit of its own has a template, whose tests run that kit.
"""


def scaffold(kind: str, name: str, choice: str | None = None) -> dict[str, str]:
    """Return the texts of the generated files, by path.

    Args:
        kind: one of `KINDS`.
        name: the name of the new vendor, adapter, scheme or application.
        choice: the contract of a vendor or the port of an adapter; the first by default.

    Raises:
        ConfigurationError: the kind or choice is unknown, the name is invalid, or the contract has
            no template and values that are too complex to be written without one; the error's
            `path` names the wrong argument.
    """
    choices = KINDS[_checked_choice(kind, KINDS, "kind")]
    if not choices:
        return _named_texts(name, [kind], {})
    checked_choice = _checked_choice(choice or choices[0], choices, "choice")
    folder = f"{kind}-{checked_choice}"
    if not (_TEMPLATES / folder).is_dir():
        return vendor_from_declaration(name, checked_choice)
    return _named_texts(name, [kind, folder], {_CHOICE: checked_choice})


def vendor_from_declaration(name: str, contract: str) -> dict[str, str]:
    """Return the texts of a vendor's files, made from its contract's declaration, by path.

    Raises:
        ConfigurationError: the name is invalid, or the contract has operations or values that are
            too complex for the template.
    """
    from moorage.scaffold.declared_vendor import (  # noqa: PLC0415 - imports all scenarios
        declared_parts,
    )

    return _named_texts(
        name, ["vendor", _DECLARED_TEMPLATE], {_CHOICE: contract, **declared_parts(contract)}
    )


def _named_texts(name: str, folders: Collection[str], parts: Mapping[str, str]) -> dict[str, str]:
    """Return the texts of templates, with the name of the new module filled in.

    Args:
        name: the name of the new module.
        folders: the folders of the templates; a file replaces that of an earlier folder.
        parts: the texts that replace places in the templates, by place.
    """
    files_by_path = {
        path.removesuffix(_ENDING): file
        for folder in folders
        for path, file in _template_files(_TEMPLATES / folder, "")
    }
    install = (_TEMPLATES / f"install.md{_ENDING}").read_text("utf-8").removesuffix("\n")
    places = {_INSTALL_PLACEHOLDER: install, **parts}
    texts = {
        path: _fill(files_by_path[path].read_text("utf-8"), places)
        for path in sorted(files_by_path)
    }
    sources = [text for path, text in texts.items() if path.endswith(".py")]
    name = checked_name(name, sources, BUILT_IN if "vendor" in folders else ())
    return {
        rename_template(path, name): rename_template(text, name) for path, text in texts.items()
    }


def _fill(text: str, parts: Mapping[str, str]) -> str:
    for place, part in parts.items():
        text = text.replace(place, part)
    return text


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
        remedy=f"{nearest_hint(choice, [*choices])}Use one of: {', '.join(choices)}.",
    )
