"""The shapes of settings: each shape describes the values that a setting may have.

The reader, the JSON Schema and the reference page are all generated from these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from moorage.domain.values.frozen_values import field, frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping

    from moorage.domain.auth.credential_codec import AnyCredentials
    from moorage.domain.secrets.secret import Secret


@frozen
class Text:
    """The shape of a text."""


@frozen
class SecretText:
    """The shape of a secret text, which is converted to a `Secret` or an object made from it.

    Attributes:
        make: converts the secret, or the credentials from a credential store.
        or_path: True if the text may also be the path of a file with the secret.
    """

    make: Callable[[Secret | AnyCredentials], Any] | None = field(default=None, repr=False)
    or_path: bool = False


@frozen
class Address:
    """The shape of a URL that may contain a password."""


@frozen
class Flag:
    """The shape of a boolean."""


@frozen
class Number:
    """The shape of a number or an integer."""

    whole: bool = False


@frozen
class TimeOfDay:
    """The shape of a time of day."""


@frozen
class DateTimeShape:
    """The shape of a date with a time and a time zone."""


@frozen
class Function:
    """The shape of the name of a function that an installed package provides."""


@frozen
class OneOf:
    """The shape of a choice among words or numbers, which may be mapped to other values."""

    choices: tuple[str | int, ...]
    meanings: tuple[Any, ...] = ()


@frozen
class AnyOf:
    """The shape of a value that fits any of several shapes."""

    shapes: tuple[Shape, ...]


@frozen
class ListOf:
    """The shape of a list of values.

    Attributes:
        of: the shape of each value.
        single: True if a single value may replace a list with one value.
    """

    of: Shape
    single: bool = True


@frozen
class NamedTable:
    """The shape of a table with keys of the user's choice, and values of one shape."""

    of: Shape


@frozen
class AnyValue:
    """The shape of a value that only the code that uses it validates."""


@frozen
class Field:
    """A setting of a table: its shape, description and default.

    Attributes:
        shape_or_load: the shape of its value, or a function that loads the module with the shape.
        about: the setting's purpose, as a sentence.
        required: True if it must be present.
        nullable: True if null is allowed, in formats with null.
        default: the setting's default, if that can be written in a configuration.
    """

    shape_or_load: Shape | Callable[[], Shape]
    about: str = ""
    required: bool = False
    nullable: bool = False
    default: str | float | bool | None = None

    @property
    def shape(self) -> Shape:
        """The shape of the setting's value."""
        return self.shape_or_load() if callable(self.shape_or_load) else self.shape_or_load


@frozen
class Table:
    """The shape of a table with known settings.

    Attributes:
        name: the table's name in messages.
        about: the table's purpose, as a sentence.
        fields: the table's settings by name.
        make: creates a value from the settings that are present; by default they remain a dict.
        kinds: the classes with these settings as fields, which may refuse a value.
        advice: a sentence for a reader who wrote an unknown setting; empty for none.
    """

    name: str
    about: str
    fields: Mapping[str, Field]
    make: Callable[..., Any] | None = field(default=None, repr=False)
    kinds: tuple[type[Any], ...] = ()
    advice: str = ""


@frozen
class TableByKind:
    """A table whose `kind` determines its settings; by default the kind is the table's own name.

    Attributes:
        name: the table's name in messages.
        names: returns the kinds.
        table: returns the table of a kind; raises ConfigurationError if the kind is unknown.
        known: kinds that are known without calling `names`, which may be slow.
        named: True if the table's own name may be the kind.
        other: the shape of a table without a kind; None if a kind is required.
    """

    name: str
    names: Callable[[], tuple[str, ...]] = field(repr=False)
    table: Callable[[str], Table] = field(repr=False)
    named: bool = True
    other: Shape | None = None
    known: Container[str] = field(default=(), repr=False)


Shape: TypeAlias = (
    Text
    | SecretText
    | Address
    | Flag
    | Number
    | TimeOfDay
    | DateTimeShape
    | Function
    | OneOf
    | AnyOf
    | ListOf
    | NamedTable
    | AnyValue
    | Table
    | TableByKind
)
