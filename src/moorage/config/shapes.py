"""The shapes of settings: each describes the values that a place in a configuration may have.

The reader, the JSON Schema and the reference page are all generated from these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moorage.domain.auth.keeping import Kept
    from moorage.domain.secrets.secret import Secret


@attrs.frozen
class Text:
    """A text."""


@attrs.frozen
class SecretText:
    """A secret text: it becomes a `Secret`, or a value made of one.

    Attributes:
        make: converts the secret, or the credentials if a credential store holds them.
        or_path: whether the text may also be the path of a file with the secret.
    """

    make: Callable[[Secret | Kept], Any] | None = attrs.field(default=None, repr=False)
    or_path: bool = False


@attrs.frozen
class Address:
    """A URL that may have a password in it."""


@attrs.frozen
class Flag:
    """A boolean."""


@attrs.frozen
class Number:
    """A number, or an integer."""

    whole: bool = False


@attrs.frozen
class TimeOfDay:
    """A time of day."""


@attrs.frozen
class Moment:
    """A date with a time and a time zone."""


@attrs.frozen
class Function:
    """The name of a function that an installed package provides."""


@attrs.frozen
class OneOf:
    """A choice of words or numbers, each with the value that it stands for if that differs."""

    choices: tuple[str | int, ...]
    meanings: tuple[Any, ...] = ()


@attrs.frozen
class Either:
    """A value that fits any of these shapes."""

    shapes: tuple[Shape, ...]


@attrs.frozen
class Many:
    """A single value of a shape, or a list of them."""

    of: Shape


@attrs.frozen
class Named:
    """A table whose names the user chooses, with values of one shape."""

    of: Shape


@attrs.frozen
class Anything:
    """Any value; its consumer validates it."""


@attrs.frozen
class Field:
    """A setting of a table.

    Attributes:
        shape: the shape of its value.
        about: its purpose, as a sentence.
        required: whether it must be present.
        nullable: whether null is allowed, in formats that have it.
        default: its default, if that is a plain value.
    """

    shape: Shape
    about: str = ""
    required: bool = False
    nullable: bool = False
    default: str | float | bool | None = None


@attrs.frozen
class Table:
    """A table of known settings.

    Attributes:
        name: its name in messages, in a word or two.
        about: its purpose, as a sentence.
        fields: its settings by name.
        make: creates a value from the settings that are present; without it they remain a dict.
        kinds: the classes that have the settings as fields, and may refuse a single one.
    """

    name: str
    about: str
    fields: Mapping[str, Field]
    make: Callable[..., Any] | None = attrs.field(default=None, repr=False)
    kinds: tuple[type[Any], ...] = ()


@attrs.frozen
class Kinded:
    """A table whose `kind` determines its settings; by default the kind is the table's own name.

    Attributes:
        name: its name in messages, in a word.
        names: returns the kinds.
        table: returns the table of a kind; raises ConfigurationError if the kind is unknown.
        named: whether the table's own name may be the kind.
    """

    name: str
    names: Callable[[], tuple[str, ...]] = attrs.field(repr=False)
    table: Callable[[str], Table] = attrs.field(repr=False)
    named: bool = True


Shape: TypeAlias = (
    Text
    | SecretText
    | Address
    | Flag
    | Number
    | TimeOfDay
    | Moment
    | Function
    | OneOf
    | Either
    | Many
    | Named
    | Anything
    | Table
    | Kinded
)
