"""Checks the wording of docstrings, error messages and names.

`python -m tools.words` checks the folders in `FOLDERS`; `python -m tools.words PATH ...` checks
the given files or folders. It prints `file:line` and the wording to use instead, and exits with
status 1 if it finds anything. A line that must keep a word ends in `# words: ` and the reason.
"""

from __future__ import annotations

import ast
import re
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from moorage import errors
from tools.command_line import tool_parser

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FOLDERS: Final = ("src", "tests", "tools", "benchmarks", "adapters-examples")

# The first words of a docstring that describe nothing, with the phrase to begin with.
OPENINGS: Final = {
    "what": "the noun, such as 'The current credentials'",
    "who": "the noun, such as 'The process that holds the lease'",
    "whose": "the noun, such as 'The owner of the key'",
    "whether": "'Return whether ...', 'True if ...' or the noun",
    "let": "the verb for what happens, such as 'Skips the check if ...'",
    "how": "the noun, such as 'The number of attempts' or 'The way that ...'",
    "those": "the noun, such as 'The vendors that ...'",
    "its": "the owner's name, such as 'Return the vendor's address'",
    "their": "the owners' name, such as 'The names of the vendors'",
    "theirs": "the noun, such as 'The result of the other library'",
    "they": "the noun, such as 'The tasks end with ...'",
    "so": "the noun; a sentence must not continue another docstring",
    "nor": "the noun; a sentence must not continue another docstring",
    "likewise": "the noun; a sentence must not continue another docstring",
}

# Names that say which verb made a value, not what the value is.
VERBS: Final = frozenset(
    {"asked", "told", "given", "known", "found", "said", "kept", "own", "wanted", "meant"}
)

# Adjectives, adverbs and participles that do not say what a local value is if they alone are its
# name.
BARE: Final = frozenset(
    {
        "above",
        "afresh",
        "aside",
        "because",
        "behind",
        "below",
        "beyond",
        "dying",
        "joined",
        "masked",
        "meanwhile",
        "resolved",
        "some",
        "suggested",
        "through",
        "together",
        "twice",
        "under",
        "whose",
    }
)

# Names of a loop's elements that do not say what the elements are.
ELEMENTS: Final = frozenset({"one", "each"})

# Functions besides the classes of errors that take a message, with its position.
REPORTERS: Final = {"Problem": 1, "rejected": 1}

# Private metaphors, as whole words or parts of a name, with the word that the field uses.
METAPHORS: Final = {
    "colour": "synchronous or asynchronous",
    "colours": "synchronous and asynchronous",
    "calm": "fast path",
    "desk": "dispatcher, or CLI context",
    "errand": "outgoing request",
    "faces": "synchronous and asynchronous API",
    "lender": "connection pool",
    "lent": "borrowed client",
    "news": "events",
    "pantry": "guarded cache",
    "shelter": "store fallback",
    "shelves": "entry stores",
}

# The same for docstrings, where more than one word is needed to be sure.
PHRASES: Final = {
    r"\Aone (?:that|of|or|which|who|whose)": "the noun with its article",
    r"\A(?:the same(?=,)|as (?:above|before))": "the whole sentence again, with its noun",
    r"\bplain (?:and|or) awaited|\bawaited (?:and|or) plain": "synchronous and asynchronous",
    r"\b(?:hub|manager|client|call|twin)s? that (?:is|are) awaited": "asynchronous",
    r"\bawaited (?:hub|manager|client|call|twin|one)s?": "asynchronous",
    r"\bfences?(?!:)": "environment guard, or fencing token",
    r"\bwhat is no": "a positive sentence with a noun",
}

ERRORS: Final = frozenset(
    name
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, errors.ConnectorError)
)

_CONSONANT_SOUND: Final = re.compile(r"(?i)^(?:us[aeu]|uni[^nm]|util|eu|ewe|on(?:e|ce)\b)")
_ARTICLE: Final = re.compile(r"(?<![\w`'\"./{<-])([Aa]n?) (`{0,2})([A-Za-z][\w-]*)")
_SILENT_H: Final = re.compile(r"(?i)^(?:hour|honest|honou?r|heir)")
_SILENCER: Final = re.compile(
    r"# *(?:ruff: *)?(?:noqa(?:: *[A-Z]+\d*(?:, *[A-Z]+\d*)*)?"
    r"|(?:type|pyright): *ignore(?:\[[^]]*\])?|pragma: *no +\w+)"
)
_REASON: Final = re.compile(r"[^\W\d_]{2}")
_EXCEPTION: Final = "# words: "


class Finding(NamedTuple):
    """The line and the description of a bad wording.

    Attributes:
        path: the file.
        line: the line of the file, from 1.
        advice: the wording that was found, and the wording to use instead.
    """

    path: Path
    line: int
    advice: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.advice}"


def check(text: str, path: Path) -> list[Finding]:
    """Return the bad wordings in a Python file, by line.

    Error messages in tests are not checked, because no user reads a fake's error. In `tests/typing`
    every line that silences a check is an expected mistake, and needs no reason.
    """
    tree = ast.parse(text)
    nodes = list(ast.walk(tree))
    lines = text.splitlines()
    messages = [] if path.parts[:1] == ("tests",) else _messages(tree, [])
    silencers = [] if path.parts[:2] == ("tests", "typing") else _silencers(lines)
    findings = [
        Finding(path, line, advice)
        for line, advice in sorted(
            {*_docstrings(nodes), *_articles(nodes), *messages, *_names(nodes), *silencers}
        )
        if _EXCEPTION not in lines[line - 1]
    ]
    findings += [Finding(path, 1, advice) for advice in _metaphors_in_name(path.stem)]
    return findings


def main(arguments: Sequence[str]) -> int:
    """Print the bad wordings in the given files and folders, and return the exit status."""
    paths = [Path(argument) for argument in arguments or FOLDERS]
    wrong_paths = [path for path in paths if not path.is_dir() and path.suffix != ".py"]
    wrong_paths += [path for path in paths if path.suffix == ".py" and not path.is_file()]
    for path in wrong_paths:
        print(f"{path} is not a file of Python. Give Python files, or folders of them.")
    if wrong_paths:
        return 2
    findings = [
        finding
        for path in paths
        for file in (sorted(path.rglob("*.py")) if path.is_dir() else [path])
        for finding in check(file.read_text("utf-8"), file)
    ]
    for finding in findings:
        print(finding)
    return 1 if findings else 0


_Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
_Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_Finding = tuple[int, str]


def _docstrings(nodes: Sequence[ast.AST]) -> Iterator[_Finding]:
    for node in nodes:
        if not isinstance(node, _Documented) or not ast.get_docstring(node, clean=False):
            continue
        statement = node.body[0]
        text = re.sub(r"`+[^`]*`+", "``", ast.get_docstring(node) or "")
        first_word = re.match(r"\W*(\w+)", text)
        if first_word and (noun := OPENINGS.get(first_word[1].lower())):
            yield statement.lineno, f"docstring begins with {first_word[1]!r}: begin with {noun}"
        for word, better in METAPHORS.items():
            if re.search(rf"(?i)\b{word}\b", text):
                yield statement.lineno, f"{word!r} in a docstring: say {better}"
        for phrase, better in PHRASES.items():
            if match := re.search(rf"(?i)(?:{phrase})\b", text):
                yield statement.lineno, f"{match[0]!r} in a docstring: say {better}"


def _silencers(lines: Sequence[str]) -> Iterator[_Finding]:
    """Yield lines that silence a linter without a reason."""
    for number, line in enumerate(lines, 1):
        if match := _SILENCER.search(line):
            reason = _SILENCER.sub("", line[match.start() :])
            if not _REASON.search(reason):
                yield number, "silenced check: add the reason on the same line"


def _articles(nodes: Sequence[ast.AST]) -> Iterator[_Finding]:
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            for match in _ARTICLE.finditer(node.value):
                article, word = match[1], match[3]
                if (right_article := _article(word)) and article.lower() != right_article:
                    line = node.lineno + node.value[: match.start()].count("\n")
                    yield line, f"'{article} {word}': write '{right_article} {word}'"
        elif isinstance(node, ast.JoinedStr):
            for literal, value in zip(node.values, node.values[1:], strict=False):
                end_match = re.search(r"\b[Aa]n? `?$", _literal_text(literal) or "")
                if end_match and isinstance(value, ast.FormattedValue) and _is_class_name(value):
                    yield value.lineno, "article before a class's name: use with_article()"


def _article(word: str) -> str | None:
    """Return the article, `a` or `an`, for a word.

    None if it depends on the word's pronunciation.
    """
    if re.match(r"\w\b|[A-Z]{2}|\w*\d|[Hh]ttp|ssl", word):
        return None
    if word[0] in "hH":
        return "an" if _SILENT_H.match(word) else "a"
    return "an" if word[0] in "aeiouAEIOU" and not _CONSONANT_SOUND.match(word) else "a"


def _is_class_name(value: ast.FormattedValue) -> bool:
    return isinstance(value.value, ast.Attribute) and value.value.attr in {
        "__name__",
        "__qualname__",
    }


def _messages(node: ast.AST, outer: list[ast.AST]) -> Iterator[_Finding]:
    """Yield the error messages that begin in lower case or lack a full stop.

    Args:
        node: the tree to look through.
        outer: the classes and functions around it, whose fields and parameters a message may
            begin with.
    """
    if isinstance(node, ast.Call):
        function = node.func
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        position = 0 if name in ERRORS else REPORTERS.get(name)
        if name == "add" and ast.unparse(function).endswith("report.add"):
            position = 1
        if position is not None and len(node.args) > position:
            message = node.args[position]
            start, end = _outer_literals(message)
            if start and start[0].islower() and not _begins_with_name(start, outer):
                yield message.lineno, f"message begins in lower case: {start[:40]!r}"
            if end and not end.rstrip("'\"`)").endswith((".", "?", "!")):
                yield message.end_lineno or 0, f"message has no full stop: {end[-40:]!r}"
    scopes = [*outer, node] if isinstance(node, ast.ClassDef | _Function) else outer
    for child in ast.iter_child_nodes(node):
        yield from _messages(child, scopes)


def _outer_literals(message: ast.expr) -> tuple[str | None, str | None]:
    """Return the literal text at the start and end of a message; None where it is computed."""
    if isinstance(message, ast.JoinedStr):
        return _literal_text(message.values[0]), _literal_text(message.values[-1])
    return _literal_text(message), _literal_text(message)


def _literal_text(node: ast.AST) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return None


def _begins_with_name(text: str, outer: list[ast.AST]) -> bool:
    """Return whether a message begins with a name known to its reader, such as a field."""
    word = text.split(maxsplit=1)[0].rstrip(":,")
    if word == "moorage" or re.search(r"[\W_]", word):
        return True
    names: set[str] = set()
    for node in outer:
        if isinstance(node, _Function):
            names |= {name for _, name in _parameters(node)}
        elif isinstance(node, ast.ClassDef):
            names |= {
                field.target.id
                for field in node.body
                if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
            }
    return word in names


def _names(nodes: Sequence[ast.AST]) -> Iterator[_Finding]:
    """Yield the names that are verbs or metaphors."""
    for node in nodes:
        if isinstance(node, _Function):
            yield from _values(node)
        if isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
            for target in ast.walk(node.target):
                if isinstance(target, ast.Name) and target.id in ELEMENTS:
                    yield target.lineno, f"element named {target.id!r}: name the thing"
        for advice in _metaphors_in_name(_defined_name(node) or ""):
            yield node.lineno, advice  # type: ignore[attr-defined]  # a node with a name has a line


def _values(function: _Function) -> Iterator[_Finding]:
    local_names = list(_locals(function))
    for line, name in (*_parameters(function), *local_names):
        if name in VERBS:
            yield line, f"value named {name!r}: name the thing"
    for line, name in local_names:
        if name in BARE:
            yield line, f"value named {name!r}: add the noun that it describes"


def _defined_name(node: ast.AST) -> str | None:
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return node.name
    if isinstance(node, ast.arg):
        return node.arg
    return node.id if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) else None


def _parameters(node: _Function) -> Iterator[_Finding]:
    arguments = node.args
    for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
        yield argument.lineno, argument.arg
    for variadic in (arguments.vararg, arguments.kwarg):
        if variadic is not None:
            yield variadic.lineno, variadic.arg


def _locals(node: _Function) -> Iterator[_Finding]:
    """Yield the names assigned in a function, without fields of inner classes."""
    pending_nodes: list[ast.AST] = list(ast.iter_child_nodes(node))
    while pending_nodes:
        child = pending_nodes.pop()
        if isinstance(child, ast.ClassDef):
            continue
        if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store):
            yield child.lineno, child.id
        pending_nodes += ast.iter_child_nodes(child)


@cache
def _metaphors_in_name(name: str) -> tuple[str, ...]:
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().split("_")
    return tuple(
        f"{word!r} in the name {name!r}: use {METAPHORS[word]}"
        for word in words
        if word in METAPHORS
    )


if __name__ == "__main__":
    PARSER = tool_parser("words", __doc__)
    PARSER.add_argument("paths", nargs="*", metavar="PATH", help="files of Python, or folders")
    sys.exit(main(PARSER.parse_args().paths))
