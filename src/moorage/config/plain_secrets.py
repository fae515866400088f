"""Secrets that stand in a configuration as they are, where everybody who has it can read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.config.overlays import ENVIRONMENTS
from moorage.config.problems import Report, key, under
from moorage.config.references import refers
from moorage.config.shapes import Either, Kinded, Many, Named, SecretText, Table, Text
from moorage.config.structure import kind_of
from moorage.config.tables import CONFIGURATION
from moorage.config.toml_text import has_password
from moorage.domain.http.transport import PEM
from moorage.domain.secrets.sensitive import is_sensitive
from moorage.domain.values.json_text import is_list, is_object
from moorage.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from moorage.config.shapes import Shape

_REMEDY: Final = "Keep it elsewhere, and write secret://env/NAME or another secret:// instead."


def plain_secrets(tree: Mapping[str, Any], where: str) -> tuple[Problem, ...]:
    """The secrets that a configuration holds itself, each with its path.

    Args:
        tree: all of it.
        where: what holds it, such as "a file".
    """
    rest = {name: one for name, one in tree.items() if name != ENVIRONMENTS}
    found = list(_below(CONFIGURATION, rest, ""))
    environments = tree.get(ENVIRONMENTS)
    if is_object(environments):
        for name, overlay in environments.items():
            found += _below(CONFIGURATION, overlay, f"{ENVIRONMENTS}.{key(name)}")
    return tuple(
        Problem(path, f"a secret stands here as it is, in {where}.", _REMEDY) for path in found
    )


def _below(shape: Shape | None, value: Any, path: str, name: str = "") -> Iterator[str]:
    if is_object(value):
        if isinstance(shape, Either):
            shape = next((one for one in shape.shapes if isinstance(one, Table)), None)
        if isinstance(shape, Kinded):
            shape = kind_of(shape, value, path, name, Report())
        for own, one in value.items():
            yield from _below(_inner(shape, own), one, under(path, key(own)), str(own))
    elif is_list(value):
        of = shape.of if isinstance(shape, Many) else shape
        for place, one in enumerate(value):
            yield from _below(of, one, f"{path}[{place}]")
    elif isinstance(value, str):
        if isinstance(shape, Many):
            shape = shape.of
        shapes = shape.shapes if isinstance(shape, Either) else (shape,)
        plain = any(_is_secret(one, value) for one in shapes) and not refers(value)
        if (plain and value) or has_password(value):
            yield path


def _is_secret(shape: Shape | None, text: str) -> bool:
    """Whether a text is a secret by its shape, and no path of a file with one."""
    return isinstance(shape, SecretText) and (not shape.or_path or PEM in text)


def _inner(shape: Shape | None, name: str) -> Shape | None:
    if isinstance(shape, Many):
        shape = shape.of
    if isinstance(shape, Table):
        field = shape.fields.get(name)
        return None if field is None else field.shape
    if not isinstance(shape, Named):
        return None
    # A header is a secret if its name says so.
    return SecretText() if isinstance(shape.of, Text) and is_sensitive(str(name)) else shape.of
