"""What may stand somewhere in a configuration, as values.

The reader, the JSON Schema and the reference page are all drawn from these.
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
    """A text that nobody must see: it becomes a `Secret`, or what is made of one.

    Attributes:
        make: is given the secret, or the whole credentials where a store of credentials holds it.
        or_path: whether a text may be the path of a file with the secret instead.
    """

    make: Callable[[Secret | Kept], Any] | None = attrs.field(default=None, repr=False)
    or_path: bool = False


@attrs.frozen
class Address:
    """A URL that may have a password in it."""


@attrs.frozen
class Flag:
    """Yes or no."""


@attrs.frozen
class Number:
    """A number, or a whole one."""

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
    """One of these words or numbers, and what each of them means if that is something else."""

    choices: tuple[str | int, ...]
    meanings: tuple[Any, ...] = ()


@attrs.frozen
class Either:
    """What fits any of these."""

    shapes: tuple[Shape, ...]


@attrs.frozen
class Many:
    """One of something, or a list of them."""

    of: Shape


@attrs.frozen
class Named:
    """A table from names of one's own."""

    of: Shape


@attrs.frozen
class Anything:
    """Whatever its reader takes."""


@attrs.frozen
class Field:
    """A name in a table.

    Attributes:
        shape: what stands there.
        about: what it is good for, in a sentence.
        required: whether it has to be there.
        nullable: whether null may stand there, in formats that have it.
        default: what holds without it, if that is a plain value.
    """

    shape: Shape
    about: str = ""
    required: bool = False
    nullable: bool = False
    default: str | float | bool | None = None


@attrs.frozen
class Table:
    """A table of names that are known.

    Attributes:
        name: what it is, in a word or two.
        about: what it is good for.
        fields: by name.
        make: makes a value of the fields that are given; without it they stay as they are.
        kinds: the classes that the fields are those of, which may refuse one by itself.
    """

    name: str
    about: str
    fields: Mapping[str, Field]
    make: Callable[..., Any] | None = attrs.field(default=None, repr=False)
    kinds: tuple[type[Any], ...] = ()


@attrs.frozen
class Kinded:
    """A table whose `kind` says which fields it has; its own name is the kind unless one is given.

    Attributes:
        name: what such a table is, in a word.
        names: the kinds that there are.
        table: the table of a kind; it raises ConfigurationError for what is none.
        named: whether its own name may be the kind.
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
