"""The facts that a vendor's module states, each with a change that makes it wrong.

A fact is a literal: a word in a table and its meaning, the name of a field, a path, a code of a
refusal, a limit, a time, a unit, a capability. Sentences for people, types, pages of documentation
and the name that moorage itself gives the vendor are none.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tools.plants import Plant, SourceEdits, compiles

if TYPE_CHECKING:
    from collections.abc import Iterator

_TEXTS_FOR_PEOPLE: Final = frozenset(
    {"documentation", "field", "message", "otherwise", "problem", "remedy", "source", "vendor"}
)
"""Arguments and constants that only people read."""
_SETTINGS_OF_MOORAGE: Final = frozenset(
    {"kinds", "name", "repr", "kw_only", "strict", "default_words"}
)
"""Arguments and constants that moorage or Python gives a meaning to, and no vendor."""
_NOT_FACTS: Final = frozenset(
    {
        "TypeVar",
        "cast",
        "decode",
        "encode",
        "field_named",
        "getattr",
        "isinstance",
        "malformed",
        "other",
        "part_key",
        "required",
        "stable_uuid",
    }
)
"""Functions whose literal arguments name something of moorage's or Python's."""
_WORD_LISTS: Final = frozenset({"error_statuses", "same", "word_set", "words"})
_MEMBER_LISTS: Final = frozenset({"members_of"})
_LABELS: Final = frozenset({"field", "vendor"})
"""The parameters of functions that take the name of a field or of a vendor for messages."""
_LABEL_ARGUMENTS: Final = {"needed": 1, "refusal": 1, "Service": 0}
"""For a function, the position of an argument that is a name of moorage's, or for messages."""
_STRIPPING: Final = frozenset({"lstrip", "rstrip", "strip"})
_SENTENCE: Final = re.compile(r".+\s.+\.", re.DOTALL)
_MEMBER: Final = re.compile(r"[A-Z][A-Z0-9_]*")
_CLASS: Final = re.compile(r"(?:\w+\.)*[A-Z][a-z]\w*")
_ERRORS: Final = frozenset(
    {
        "AuthenticationFailed",
        "ConnectionFailed",
        "ConsentRequired",
        "InvalidData",
        "InvalidRequest",
        "OutcomeUnknown",
        "PaymentDeclined",
        "RateLimitExceeded",
        "UnsupportedByVendor",
        "VendorFailed",
        "VendorRejected",
    }
)


def facts_in(path: str, source: str) -> list[Plant]:
    """Return one wrong edit for each fact that a module states."""
    return [fact for fact in _FactEdits(path, source).facts() if compiles(fact.applied(source))]


def labels_in(path: str, tree: ast.AST) -> dict[str, set[int]]:
    """Return the positions of arguments that only name a field in messages, by function name.

    A module's functions come first, then those of the modules beside it.
    """
    positions: dict[str, set[int]] = {}
    for other in (tree, *_neighbours(Path(path).parent)):
        for function, places in _label_positions(other).items():
            positions.setdefault(function, places)
    return positions


@cache
def _neighbours(folder: Path) -> tuple[ast.Module, ...]:
    if "vendors" not in folder.parts:
        return ()
    return tuple(ast.parse(path.read_text("utf-8")) for path in sorted(folder.glob("_*.py")))


def _label_positions(tree: ast.AST) -> dict[str, set[int]]:
    """Return the positions of each function's parameters of `_LABELS`, unless it reads by them.

    A function reads by a parameter that passes it to a method, as in `answer.text(field)`, or to a
    function of the same module that does.
    """
    functions = {
        node.name: node
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    }
    readers: set[str] = set()
    is_complete = False
    while not is_complete:
        more_readers = {name for name, node in functions.items() if _is_read_by(node, readers)}
        is_complete, readers = more_readers == readers, more_readers
    return {
        name: {
            position
            for position, parameter in enumerate(function.args.args)
            if parameter.arg in _LABELS and name not in readers
        }
        for name, function in functions.items()
    }


def _is_read_by(function: ast.AST, readers: set[str]) -> bool:
    for node in ast.walk(function):
        match node:
            case ast.Subscript(slice=value):
                values = [value]
            case ast.Call(func=ast.Attribute(), args=values):
                pass
            case ast.Call(func=ast.Name(id=name), args=values) if name in readers:
                pass
            case _:
                continue
        if any(isinstance(value, ast.Name) and value.id in _LABELS for value in values):
            return True
    return False


class _FactEdits(SourceEdits):
    def __init__(self, path: str, source: str) -> None:
        super().__init__(path, source)
        self._labels = labels_in(path, self.tree)
        self._lists = {
            argument.id
            for node in ast.walk(self.tree)
            for argument in self._word_values(node)
            if isinstance(argument, ast.Name)
        }

    def _word_values(self, node: ast.AST) -> list[ast.expr]:
        """Return the texts that a node splits into words, for example at a call of `split`."""
        match node:
            case ast.Call() if self._function_name(node) in _WORD_LISTS:
                return [*node.args, *(keyword.value for keyword in node.keywords)]
            case ast.Attribute(attr="split"):
                return [node.value]
            case _:
                return []

    def facts(self) -> Iterator[Plant]:
        """Yield the edits, in the order of the syntax tree."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.expr) and not self.is_for_types(node) and self._states(node):
                yield from self._edits(node)

    def _states(self, node: ast.expr) -> bool:
        """Return whether a literal is addressed to the vendor, not to people or to Python."""
        child: ast.AST = node
        while (parent := self.parents.get(child)) is not None:
            match parent:
                case ast.Raise() | ast.Assert() | ast.Subscript(slice=ast.Slice()):
                    return False
                case ast.Expr(value=ast.Constant()):
                    return False
                case ast.keyword(arg=str(name)) if name in _TEXTS_FOR_PEOPLE | _SETTINGS_OF_MOORAGE:
                    return False
                case ast.Call() if child is not parent.func and self._has_no_facts(parent):
                    return False
                case ast.Call(args=arguments) if any(
                    arguments[position : position + 1] == [child]
                    for position in self._label_positions(parent)
                ):
                    return False
                case ast.Call(func=ast.Attribute(attr="ref"), args=[key, *_]) if key is node:
                    return False  # an id of moorage's own, such as of a position in a list
                case (
                    ast.AnnAssign(target=ast.Name(id=name))
                    | ast.Assign(targets=[ast.Name(id=name)])
                ) if name in _TEXTS_FOR_PEOPLE | _SETTINGS_OF_MOORAGE:
                    return False
                case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                    return True
                case _:
                    pass
            child = parent
        return True

    def _has_no_facts(self, call: ast.Call) -> bool:
        name = self._function_name(call)
        return name in _NOT_FACTS or name in _ERRORS or name.endswith("Error")

    def _label_positions(self, call: ast.Call) -> set[int]:
        """Return the positions of arguments that are names of moorage's, or for messages."""
        name = self._function_name(call)
        positions = self._labels.get(name, set()) if isinstance(call.func, ast.Name) else set()
        return positions | {_LABEL_ARGUMENTS[name]} if name in _LABEL_ARGUMENTS else positions

    def _function_name(self, call: ast.Call) -> str:
        return self.text(call.func).split(".")[-1]

    def _edits(self, node: ast.expr) -> Iterator[Plant]:
        match node:
            case ast.Constant(value=str()):
                yield from self._texts(node)
            case ast.Constant():
                yield from self._numbers(node)
            case ast.Attribute(attr=name, ctx=ast.Load()) if _MEMBER.fullmatch(name):
                text = self.text(node)
                if _CLASS.fullmatch(self.text(node.value)):
                    other = f"next(one for one in type({text}) if one is not {text})"
                    yield self.edit("meaning", node, f"({other})")
            case ast.Attribute(attr=name) | ast.Name(id=name) if name in _ERRORS:
                if self._is_meaning(node):
                    other = "ConnectionFailed" if name == "VendorFailed" else "VendorFailed"
                    yield self.edit("meaning", node, f'__import__("moorage").{other}')
            case _:
                pass

    def _is_meaning(self, node: ast.expr) -> bool:
        """Return whether an error class is the meaning that a table assigns to a word."""
        parent = self.parents[node]
        if isinstance(parent, ast.Call):
            return parent.func is not node and not self.enclosing_lines(node)
        return isinstance(parent, ast.Dict)

    def _numbers(self, node: ast.Constant) -> Iterator[Plant]:
        at_import = not self.enclosing_lines(node)
        match node.value:
            case bool(flag):
                if at_import or isinstance(self.parents[node], ast.Dict):
                    yield self.edit("boolean", node, str(not flag))
            case int(number):
                if at_import or number > 1:
                    yield self.edit("number", node, str(number + 1))
            case float(number):
                yield self.edit("number", node, repr(number * 2 or 1.0))
            case _:
                pass

    def _texts(self, node: ast.Constant) -> Iterator[Plant]:
        text = str(node.value)
        parent = self.parents[node]
        called = self._function_name(parent) if isinstance(parent, ast.Call) else ""
        if isinstance(parent, ast.keyword):
            call = self.parents[parent]
            called = self._function_name(call) if isinstance(call, ast.Call) else ""
        if self._is_split(parent) or called in _WORD_LISTS | _MEMBER_LISTS:
            yield from self._words(node, removed=called in _MEMBER_LISTS)
        elif isinstance(parent, ast.JoinedStr):
            if re.search(r"[/?=&:]", text) and not re.search(r"\s", text):
                yield self.edit("text", node, f"{self.text(node)}x")
        elif (
            text
            and not self._is_own_name(text)
            and not _SENTENCE.fullmatch(text)
            and (not re.search(r"\s", text.strip()) or not self.enclosing_lines(node))
        ):
            changed = "x" if called in _STRIPPING else _other_text(text)
            if isinstance(parent, ast.keyword) and parent.arg == "safe":
                changed = ""  # letters are never quoted
            yield self.edit("text", node, repr(changed))

    def _words(self, node: ast.Constant, *, removed: bool) -> Iterator[Plant]:
        """Yield an edit for each word of a text, which removes or replaces the word."""
        start, end = self.span(node)
        for match in re.finditer(rb"[^\s\"']+", self.data[start:end]):
            word = match[0].decode()
            changed = "" if removed else _other_word(word)
            yield self.edit_at("word", node, start + match.start(), start + match.end(), changed)

    def _is_split(self, parent: ast.AST) -> bool:
        """Return whether the code splits a text into words, here or where its name is used."""
        match parent:
            case ast.Attribute(attr="split"):
                return True
            case ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]):
                return name in self._lists
            case _:
                return False

    def _is_own_name(self, text: str) -> bool:
        """Return whether a text is the name of the vendor in messages, such as "SparkPost"."""
        stem = Path(self.path).stem.replace("_", "")
        return text[0].isupper() and text.lower().replace(" ", "") in stem


def _other_word(word: str) -> str:
    return str(int(word) + 1) if word.isdecimal() else f"{word}x"


def _other_text(text: str) -> str:
    # A pattern that matches the beginning of a text also matches all texts with that beginning.
    return f"x{text}" if text.endswith("x") else f"{text}x"
