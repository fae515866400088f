"""What is wrong in a configuration, gathered, and where things stand in it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import attrs

from moorage.domain.secrets.secret import Secret
from moorage.domain.values.json_text import is_object
from moorage.errors import ConfigurationError, ConnectorError, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

Made = TypeVar("Made")

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_WORD: Final = re.compile(r"[A-Za-z][A-Za-z_ -]{0,23}")
_LONGEST: Final = 80
_NOTHING: Final = ("this is nothing that belongs here.", "See the reference of the table.")


class Wrong:
    """What stands for a value that is none; what is wrong with it has been reported."""


WRONG: Final = Wrong()


class Report:
    """Everything that is wrong so far.

    Args:
        origins: whence what stands at a path comes, where it is not the source itself.
    """

    def __init__(self, origins: Mapping[str, str] | None = None) -> None:
        self.problems: list[Problem] = []
        self.stand_ins: dict[str, tuple[dict[str, Any], ...]] = {}
        """By the path of a table: it with other values in place of those that are wrong."""
        self._absent: set[str] = set()
        self._excused: set[Problem] = set()
        self._origins: Mapping[str, str] = {} if origins is None else origins

    def add(self, path: str, found: str, remedy: str, *, nearest: str | None = None) -> Wrong:
        """Note one thing that is wrong; what is returned stands for the value."""
        origin = origin_of(path, self._origins)
        hint = remedy if nearest is None else f"Did you mean {nearest}?"
        self.note(Problem(path, found, hint, nearest, origin))
        return WRONG

    def note(self, problem: Problem) -> None:
        """Note a problem, unless it is noted already."""
        if problem not in self.problems:
            self.problems.append(problem)

    def trial(self) -> Report:
        """An empty report, for what may not be so; what is absent here is absent there."""
        made = Report(self._origins)
        made._absent = self._absent
        return made

    def lack(self, path: str) -> Secret:
        """A secret that stands for one that could not be read, which has been reported.

        With it everything else is still checked. Its own value is unknown, so nothing that a check
        says of this path, of a path below it or of a table around it is reported.
        """
        self._absent.add(path)
        self._excused.update(one for one in self.problems if one.path == path)
        return Secret("0" * 32)

    def made(
        self, make: Callable[[], Made], path: str, fields: object = None, *, exact: bool = False
    ) -> Made | Wrong:
        """What `make` makes; what it refuses is a problem at the path, or at a field below it.

        Args:
            make: what is called.
            path: where what it is made of stands.
            fields: what it is made of; no text of these is quoted, unless it is a word.
            exact: whether it is one thing, with no fields below it.
        """
        try:
            return make()
        except ConnectorError as error:
            named = getattr(error, "path", None) or getattr(error, "field", None)
            place = under(path, "" if exact or named is None else str(named))
            if not self.lacks(place):
                self.add(place, shown(error.message, fields), error.remedy)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            if not self.lacks(path):
                self.add(path, *_NOTHING)
        return WRONG

    def check_fields(
        self, kinds: Iterable[type[Any]], fields: Mapping[str, Any], path: str
    ) -> None:
        """Note each field that the first of these classes that has it would refuse by itself."""
        left = {name: one for name, one in fields.items() if one is not WRONG}
        for kind in kinds:
            for field in attrs.fields(kind):
                if field.name in left:
                    value = left.pop(field.name)
                    refused = _refusal(field, value)
                    if refused is not None and not self.lacks(under(path, field.name)):
                        found, remedy = refused
                        self.add(under(path, field.name), shown(found, [value]), remedy)

    def clear(self, path: str) -> bool:
        """Whether nothing is wrong at a path or below it, besides secrets that cannot be read."""
        return not any(
            is_below(one.path, path) and one not in self._excused for one in self.problems
        )

    def lacks(self, path: str) -> bool:
        """Whether a secret that could not be read is at a path, below it or above it."""
        return any(is_below(one, path) or is_below(path, one) for one in self._absent)

    def refuse(self) -> None:
        """Raise what was noted, if anything was.

        Raises:
            ConfigurationError: something is wrong.
        """
        if self.problems:
            raise ConfigurationError.of(tuple(self.problems))


def _refusal(field: attrs.Attribute[Any], value: Any) -> tuple[str, str] | None:
    """What a field says to a value by itself: what is wrong, and what to do."""
    try:
        convert = cast("Callable[[Any], Any] | None", field.converter)
        if convert is not None:
            value = convert(value)
    except ConnectorError as error:
        return error.message, error.remedy
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return _NOTHING
    try:
        if field.validator is not None:
            field.validator(None, field, value)
    except ConnectorError as error:
        return error.message, error.remedy
    except AttributeError:
        pass  # It looks at other fields too, and so it is asked when all of them are there.
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return _NOTHING
    return None


def under(path: str, name: str) -> str:
    """The path of what is called so below another; a path below it, too."""
    if not name or not path:
        return f"{path}{name}"
    return f"{path}{name}" if name.startswith("[") else f"{path}.{name}"


def key(name: object) -> str:
    """A name as a path has it: as TOML would write it."""
    text = str(name)[:_LONGEST]
    if _BARE.fullmatch(text):
        return text
    return '"' + re.sub(r'["\\\x00-\x1f]', "?", text) + '"'


def quoted(text: str) -> str:
    """A text as a message may show it: what is more than a word may be a secret."""
    return repr(str(text)) if _WORD.fullmatch(text) else "this text"


def origin_of(path: str, origins: Mapping[str, str]) -> str | None:
    """Whence what stands at a path comes, if it is not the source itself."""
    found = [place for place in origins if is_below(path, place)]
    return origins[max(found, key=len)] if found else None


def near(given: str, known: Iterable[str]) -> str | None:
    """The name that was probably meant, if one is near."""
    from difflib import get_close_matches  # noqa: PLC0415 - needed for mistakes only

    names = {name.lower(): name for name in known}
    close = get_close_matches(given[:_LONGEST].lower(), names, n=1)
    return names[close[0]] if close else None


def shown(message: str, fields: object) -> str:
    """A message without any text of these fields that is more than a word: it may be a secret."""
    for text in sorted(_texts(fields), key=len, reverse=True):
        if text and _WORD.fullmatch(text) is None:
            message = message.replace(repr(text), "this text").replace(text, "…")
    return message


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield str(value)
    elif is_object(value):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, (list, tuple)):
        for one in cast("list[Any]", value):
            yield from _texts(one)


def is_below(path: str, place: str) -> bool:
    """Whether a path is that place, or below it."""
    return path == place or path.startswith((f"{place}.", f"{place}["))
