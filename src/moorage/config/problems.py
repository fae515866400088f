"""Collects the problems of a configuration, each with the path of its setting."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from moorage.domain.secrets.secret import Secret
from moorage.domain.values.frozen_values import fields_of
from moorage.domain.values.json_text import is_object
from moorage.domain.values.patterns import late_pattern
from moorage.errors import ConfigurationError, ConnectorError, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    import attrs

Made = TypeVar("Made")

_BARE_KEY: Final = late_pattern(r"[A-Za-z0-9_-]+")
_WORD: Final = late_pattern(r"[A-Za-z][A-Za-z_ -]{0,23}")
_NAME: Final = late_pattern(r"[A-Za-z][A-Za-z0-9_ .%-]{0,39}")
_LONG_RUN: Final = late_pattern(r"[A-Za-z0-9]{16,}")
_NUMBERED_WORD: Final = late_pattern(r"[A-Za-z]+[0-9]{0,4}")
_CASE_CHANGE: Final = late_pattern(r"[a-z](?=[A-Z])|[A-Z](?=[a-z])")
_SHOWN_LENGTH: Final = 4
_MAX_LENGTH: Final = 80
_MAX_SUGGESTIONS: Final = 1_000
"""The number of different unknown words of a configuration that are compared with known words."""
OF_ENVIRONMENT: Final = "the environment "
OF_VARIABLE: Final = "the environment variable "
"""The first words of the origin of a value that an environment or a variable has set."""

_INVALID: Final = Problem(
    "", "The value is not valid here.", "See the table in the reference of the configuration."
)


class ReportedProblem:
    """A placeholder for a value whose problem is already reported."""


REPORTED: Final = ReportedProblem()


class Report:
    """Collects the problems of a configuration.

    Attributes:
        source: the file of the configuration; None for a mapping.
        lines: returns the line of each setting of the file by its path.

    Args:
        origins: the origin of a value by its path, if it is not the source itself.
    """

    source: str | None = None

    def __init__(self, origins: Mapping[str, str] | None = None) -> None:
        self.problems: list[Problem] = []
        self._noted = set[Problem]()
        self.lines: Callable[[], Mapping[str, int]] = dict[str, int]
        self.trial_values: dict[str, tuple[dict[str, Any], ...]] = {}
        """By the path of a table: it with other values in place of those that are wrong."""
        self._absent: set[str] = set()
        self._around_absent: set[str] = set()
        self._by_path: dict[str, list[Problem]] = {}
        self._excused: set[Problem] = set()
        self._unexcused_at_or_below: Counter[str] = Counter()
        self._similar_words: dict[tuple[str, tuple[str, ...]], str | None] = {}
        self._origins: Mapping[str, str] = {} if origins is None else origins

    def add(
        self, path: str, message: str, remedy: str, *, nearest: str | None = None
    ) -> ReportedProblem:
        """Add a problem, and return the placeholder for the value."""
        origin = origin_of(path, self._origins)
        hint = remedy if nearest is None else f"Did you mean {nearest}?"
        self.add_problem(Problem(path, message, hint, nearest, origin))
        return REPORTED

    def add_problem(self, problem: Problem) -> None:
        """Add a problem, unless it was added before."""
        if problem not in self._noted:
            self._noted.add(problem)
            self.problems.append(problem)
            self._by_path.setdefault(problem.path, []).append(problem)
            self._unexcused_at_or_below.update(paths_around(problem.path))

    def trial(self) -> Report:
        """Return an empty report, for a trial with assumed values.

        The new report has the same unreadable secrets.
        """
        trial_report = Report(self._origins)
        trial_report._absent, trial_report._around_absent = self._absent, self._around_absent
        return trial_report

    def unreadable_placeholder(self, path: str) -> Secret:
        """Return a placeholder for an unreadable secret whose problem was reported.

        The rest of the configuration is checked with the placeholder. The secret's real value is
        unknown, so no further problem is reported at this path, below it, or at a table around it.
        """
        self._absent.add(path)
        self._around_absent.update(paths_around(path))
        for problem in self._by_path.get(path, ()):
            if problem not in self._excused:
                self._excused.add(problem)
                self._unexcused_at_or_below.subtract(paths_around(path))
        return Secret("0" * 32)

    def make_or_report(
        self, make: Callable[[], Made], path: str, fields: object = None, *, exact: bool = False
    ) -> Made | ReportedProblem:
        """Call `make` and return its result; report an error, and return a placeholder then.

        Each problem of an error is reported at the path, or at the field that it names.

        Args:
            make: the function to call.
            path: the path of the values that it uses.
            fields: the values that `make` uses; messages quote only values that are single words.
            exact: True if the path belongs to a single value, without fields below it.
        """
        try:
            return make()
        except ConnectorError as error:
            for problem in problems_of(error):
                place = path_below(path, "" if exact else problem.path)
                if not self.is_unreadable_at(place):
                    self.add(place, shown_message(problem.found, fields), problem.remedy)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            if not self.is_unreadable_at(path):
                self.add(path, _INVALID.found, _INVALID.remedy)
        return REPORTED

    def check_fields(
        self, kinds: Iterable[type[Any]], fields: Mapping[str, Any], path: str
    ) -> None:
        """Report each wrong field, according to the first class that has a field of this name."""
        remaining_fields = {name: value for name, value in fields.items() if value is not REPORTED}
        for kind in kinds:
            for field in fields_of(kind):
                if field.name in remaining_fields:
                    value = remaining_fields.pop(field.name)
                    for problem in _refusals(field, value):
                        names_field = is_below(problem.path, field.name)
                        place = path_below(path, problem.path if names_field else field.name)
                        if not self.is_unreadable_at(place):
                            self.add(place, shown_message(problem.found, [value]), problem.remedy)

    def has_no_problem(self, path: str) -> bool:
        """Return whether nothing at or below a path has a problem, except unreadable secrets."""
        return not self._unexcused_at_or_below[path]

    def has_problem_at(self, path: str) -> bool:
        """Return whether a problem is at exactly this path."""
        return path in self._by_path

    def similar_word(self, word: str, candidates: Iterable[str]) -> str | None:
        """Return the candidate that the user probably meant, if any is similar.

        After a thousand different words, no further word is compared, because comparing is slow.
        """
        names = tuple(candidates)
        comparison = (word[:_MAX_LENGTH], names)
        if comparison not in self._similar_words and len(self._similar_words) < _MAX_SUGGESTIONS:
            self._similar_words[comparison] = similar_word(word, names)
        return self._similar_words.get(comparison)

    def is_unreadable_at(self, path: str) -> bool:
        """Return whether an unreadable secret is at a path, below it or above it."""
        if not self._absent:
            return False
        return path in self._around_absent or any(
            outer_path in self._absent for outer_path in paths_around(path)
        )

    def raise_problems(self) -> None:
        """Raise the reported problems, if any, as one error.

        The error is retryable if all problems are unreadable secrets, which may be readable later.

        Raises:
            ConfigurationError: problems were reported.
        """
        if self.problems:
            error = located_error(self.problems, self.source, self.lines())
            error.retryable = self._excused.issuperset(self.problems)
            raise error


def located_error(
    problems: Iterable[Problem], source: str | None, lines: Mapping[str, int]
) -> ConfigurationError:
    """Return one error for these problems, with the file's name and each problem's line.

    Names that look like secrets are cut off, because somebody may have pasted one as a name.
    """
    return ConfigurationError.of(
        [_without_secrets(_problem_with_line(problem, lines)) for problem in problems],
        source=source,
    )


def _without_secrets(problem: Problem) -> Problem:
    return problem._replace(
        path=_hide_secrets(problem.path),
        found=_hide_secrets(problem.found),
        remedy=_hide_secrets(problem.remedy),
    )


def _hide_secrets(text: str) -> str:
    """Cut off each long run of letters and digits that looks like a secret and not like a name."""
    return _LONG_RUN.sub(
        lambda run: f"{run[0][:_SHOWN_LENGTH]}…" if _is_random(run[0]) else run[0], text
    )


def _is_random(run: str) -> bool:
    if _NUMBERED_WORD.fullmatch(run) is None:
        return True
    return len(_CASE_CHANGE.findall(run)) > len(run) / 3


def _problem_with_line(problem: Problem, lines: Mapping[str, int]) -> Problem:
    """Return a problem with the line of its setting, or of the innermost enclosing table."""
    path = problem.path
    if problem.origin is not None:
        if problem.origin.startswith(OF_VARIABLE):
            return problem
        path = path_below(f"environments.{problem.origin.removeprefix(OF_ENVIRONMENT)}", path)
    while path and path not in lines:
        path = path[: max(path.rfind("."), path.rfind("["), 0)]
    return problem._replace(line=lines[path]) if path else problem


def problems_of(error: ConnectorError) -> tuple[Problem, ...]:
    """Return the problems that an error reports, each with the field that it names."""
    if isinstance(error, ConfigurationError):
        return error.problems
    return (Problem(str(getattr(error, "field", None) or ""), error.message, error.remedy),)


def _refusals(field: attrs.Attribute[Any], value: Any) -> tuple[Problem, ...]:
    """Return the problems that a field's validator finds in a value."""
    try:
        convert = cast("Callable[[Any], Any] | None", field.converter)
        if convert is not None:
            value = convert(value)
    except ConnectorError as error:
        return problems_of(error)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return (_INVALID,)
    try:
        if field.validator is not None:
            field.validator(None, field, value)
    except ConnectorError as error:
        return problems_of(error)
    except AttributeError:
        pass  # The validator reads other fields too, so it runs after all of them are set.
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return (_INVALID,)
    return ()


def path_below(path: str, name: str) -> str:
    """Return a path, extended by a name or by a relative path."""
    if not name or not path:
        return f"{path}{name}"
    return f"{path}{name}" if name.startswith("[") else f"{path}.{name}"


def key(name: object) -> str:
    """Return a name as it appears in a path: quoted as in TOML if necessary.

    Question marks replace characters that are not printable, which could control a terminal.
    """
    text = str(name)[:_MAX_LENGTH]
    if _BARE_KEY.fullmatch(text):
        return text
    if not text.isprintable():
        text = "".join(letter if letter.isprintable() else "?" for letter in text)
    return '"' + re.sub(r'["\\]', "?", text) + '"'


def quote_word(text: str) -> str:
    """Return a word in quotes for a message; hide a longer text, which may be a secret."""
    return repr(str(text)) if _WORD.fullmatch(text) else "this text"


def quote_value(text: str) -> str:
    """Return the beginning of a sentence about a value; only a word is quoted in it."""
    return f"The value {str(text)!r}" if _WORD.fullmatch(text) else "The value"


def origin_of(path: str, origins: Mapping[str, str]) -> str | None:
    """Return the origin of the value at a path; None if it comes from the configuration itself."""
    return next(
        (origins[outer_path] for outer_path in paths_around(path) if outer_path in origins), None
    )


def similar_word(word: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate that the user probably meant, if any is similar."""
    from difflib import get_close_matches  # noqa: PLC0415 - needed only for mistakes

    names = {name.lower(): name for name in candidates}
    matches = get_close_matches(word[:_MAX_LENGTH].lower(), names, n=1)
    return names[matches[0]] if matches else None


def shown_message(message: str, fields: object) -> str:
    """Hide each field value of several words in a message, because it may be secret.

    A longer text may be a secret, while single words are mostly names.
    """
    for text in sorted(_texts(fields), key=len, reverse=True):
        if text and _WORD.fullmatch(text) is None:
            message = message.replace(repr(text), "this text").replace(text, "…")
    return f"T{message[1:]}" if message.startswith("this text") else message


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield str(value)
    elif is_object(value):
        for name, entry in value.items():
            if name != "name" or not isinstance(entry, str) or not _NAME.fullmatch(entry):
                yield from _texts(entry)
    elif isinstance(value, (list, tuple)):
        for entry in cast("list[Any]", value):
            yield from _texts(entry)


def paths_around(path: str) -> Iterator[str]:
    """Yield a path and each path above it, from the inside out."""
    yield path
    for position in range(len(path) - 1, -1, -1):
        if path[position] in ".[":
            yield path[:position]


def is_below(path: str, parent: str) -> bool:
    """Return whether a path equals another, or is below it."""
    return path == parent or path.startswith((f"{parent}.", f"{parent}["))
