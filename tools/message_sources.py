"""Finds the messages of all errors in the source code.

A message is a string that reaches an exception, a problem of a configuration or a warning:
directly, through a name, a condition or a table, or as an argument of a function that passes it
on.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections import defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from moorage import errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

HOLE: Final = "…"
"""A placeholder in a message for a value that is known only when the error is raised."""

_SKIPPED_FOLDERS: Final = ("testing/sandboxes/", "testing/kits/", "demo/", "scaffold/")
_FEW_WORDS: Final = 3
_WORD: Final = re.compile(r"\w")
_STATEMENT: Final = "SELECT "
_DEPTH: Final = 4

Function: TypeAlias = "ast.FunctionDef | ast.AsyncFunctionDef"


class Sink(NamedTuple):
    """A class or function that takes an error message as an argument.

    Attributes:
        kind: the name of the class of error.
        message: the position and the name of the message among the arguments.
        remedy: the same of the remedy; the position is -1 if it is given by name only.
    """

    kind: str
    message: tuple[int, str]
    remedy: tuple[int, str] = (-1, "remedy")


class Message(NamedTuple):
    """An error message that is written in the source code.

    Attributes:
        kind: the class of the error.
        text: the message, with `HOLE` for its values.
        remedy: the advice to the reader, if it is next to the message; empty otherwise.
        module: the path of the module, below the package.
    """

    kind: str
    text: str
    remedy: str
    module: str


_NAMED: Final = {
    "Problem": Sink("ConfigurationError", (1, "found"), (2, "remedy")),
    "HealthReason": Sink("HealthReason", (3, "text"), (4, "remedy")),
    "Violation": Sink("InvalidData", (2, "problem"), (3, "remedy")),
    "Rule": Sink("InvalidData", (2, "problem"), (3, "remedy")),
    "warn": Sink("RuntimeWarning", (0, "message")),
    **{
        name: Sink(name, (0, "message"))
        for name in ("AttributeError", "RuntimeError", "TypeError", "ValueError")
    },
    **{
        name: Sink(name, (0, "message"))
        for name, kind in vars(errors).items()
        if inspect.isclass(kind) and issubclass(kind, errors.ConnectorError) and name[0] != "_"
    },
}


def messages_of(package: Path) -> list[Message]:
    """Return the error messages in a package's modules, ordered by the modules' paths."""
    paths = sorted(package.rglob("*.py"))
    names = [path.relative_to(package).as_posix() for path in paths]
    modules = [
        _Module(name, ast.parse(path.read_text("utf-8")))
        for name, path in zip(names, paths, strict=True)
        if not name.startswith(_SKIPPED_FOLDERS)
    ]
    sinks = _all_sinks(modules)
    return [*dict.fromkeys(message for module in modules for message in module.messages(sinks))]


_LEAVES: Final = (ast.Constant, ast.Name, ast.expr_context, ast.operator, ast.cmpop, ast.alias)
"""Nodes without calls or functions inside; they are half of all."""


class _Call(NamedTuple):
    call: ast.Call
    function: Function | None


class _Module:
    """A module with its calls, and with the values that its names may have."""

    def __init__(self, name: str, tree: ast.Module) -> None:
        self.name = name
        self.calls: list[_Call] = []
        self.functions: list[tuple[Function, bool]] = []
        self._values: dict[Function | None, dict[str, list[ast.expr]]] = {}
        self._returns: dict[str, list[ast.expr]] = defaultdict(list)
        self._read(tree, None, is_method=False)

    def _read(self, node: ast.AST, function: Function | None, *, is_method: bool) -> None:
        values = self._values.setdefault(function, defaultdict(list))
        for child in ast.iter_child_nodes(node):
            if isinstance(child, _LEAVES):
                continue
            inner = function
            match child:
                case ast.FunctionDef() | ast.AsyncFunctionDef():
                    self.functions.append((child, is_method))
                    inner = child
                case ast.Call():
                    self.calls.append(_Call(child, function))
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    values[name].append(value)
                case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                    values[name].append(value)
                case ast.Return(value=ast.expr() as value) if function is not None:
                    self._returns[function.name].append(value)
                case _:
                    pass
            self._read(child, inner, is_method=isinstance(child, ast.ClassDef))

    def messages(self, sinks: dict[str, Sink]) -> Iterator[Message]:
        """Yield the error messages that are written in the module."""
        for call, function in self.calls:
            sink = sinks.get(_name_of(call.func))
            if sink is None:
                continue
            remedy = self._only_text(_argument(call, *sink.remedy), function)
            message = _argument(call, *sink.message)
            for text in self.texts(message, function):
                if _is_sentence(text):
                    yield Message(sink.kind, " ".join(text.split()), remedy, self.name)

    def _only_text(self, node: ast.expr | None, function: Function | None) -> str:
        texts = [*self.texts(node, function)]
        return " ".join(texts[0].split()) if len(texts) == 1 and HOLE not in texts[0] else ""

    def texts(
        self, node: ast.expr | None, function: Function | None, depth: int = 0
    ) -> Iterator[str]:
        """Yield the possible texts of an expression."""
        match node:
            case ast.Constant(value=str(text)):
                yield text
            case ast.JoinedStr():
                yield _joined_text(node)
            case ast.BinOp(op=ast.Add()) if depth <= _DEPTH:
                sides = [
                    [*self.texts(side, function, depth + 1)] for side in (node.left, node.right)
                ]
                yield "".join(side[0] if len(side) == 1 else HOLE for side in sides)
            case _ if depth <= _DEPTH:
                for part in self._choices(node, function):
                    yield from self.texts(part, function, depth + 1)
            case _:
                pass

    def _choices(self, node: ast.expr | None, function: Function | None) -> Iterable[ast.expr]:
        """Return the possible values of an expression."""
        match node:
            case ast.IfExp():
                return (node.body, node.orelse)
            case ast.BoolOp(values=values) | ast.Dict(values=values):
                return values
            case ast.Name(id=name):
                own_values = self._values.get(function, {}).get(name, ())
                return own_values or self._values[None].get(name, ())
            case ast.Subscript(value=ast.Name() as table):
                return (table,)
            case ast.Call(func=ast.Attribute(value=ast.Name() as table, attr="get")):
                return (table, *node.args[1:])
            case ast.Call(func=ast.Name(id=name)):
                return self._returns.get(name, ())
            case _:
                return ()


def _all_sinks(modules: list[_Module]) -> dict[str, Sink]:
    """Return all classes and functions that take a message, by name."""
    sinks = dict(_NAMED)
    calls: dict[Function, list[ast.Call]] = defaultdict(list)
    methods: dict[Function, bool] = {}
    for module in modules:
        methods.update(module.functions)
        for call, function in module.calls:
            if function is not None:
                calls[function].append(call)
    while True:
        passing = {
            function.name: sink
            for function, inner in calls.items()
            if function.name not in sinks
            for sink in (_forwarding_sink(function, inner, sinks, is_method=methods[function]),)
            if sink is not None
        }
        if not passing:
            return sinks
        sinks |= passing


def _forwarding_sink(
    function: Function, calls: list[ast.Call], sinks: dict[str, Sink], *, is_method: bool
) -> Sink | None:
    """Return a `Sink` for a function that passes an argument on as an error message, or None."""
    names = [argument.arg for argument in (*function.args.posonlyargs, *function.args.args)]
    names = names[1:] if is_method and names[:1] in (["self"], ["cls"]) else names
    for call in calls:
        sink = sinks.get(_name_of(call.func))
        message_name = None if sink is None else _message_variable(_argument(call, *sink.message))
        if sink is None or message_name not in names:
            continue
        remedy = names.index("remedy") if "remedy" in names else -1
        return Sink(sink.kind, (names.index(message_name), message_name), (remedy, "remedy"))
    return None


def _message_variable(node: ast.expr | None) -> str | None:
    """Return the name of the variable that provides all or nearly all of an expression's text."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.JoinedStr() if len(_joined_text(node).replace(HOLE, "").split()) < _FEW_WORDS:
            formatted_parts = [
                part.value for part in node.values if isinstance(part, ast.FormattedValue)
            ]
            return (
                formatted_parts[-1].id
                if formatted_parts and isinstance(formatted_parts[-1], ast.Name)
                else None
            )
        case _:
            return None


def _argument(call: ast.Call, position: int, name: str) -> ast.expr | None:
    for keyword in call.keywords:
        if keyword.arg == name:
            return keyword.value
    return call.args[position] if 0 <= position < len(call.args) else None


def _name_of(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(attr=name):
            return name
        case _:
            return ""


def _joined_text(node: ast.JoinedStr) -> str:
    return "".join(
        str(part.value) if isinstance(part, ast.Constant) else HOLE for part in node.values
    )


def _is_sentence(text: str) -> bool:
    words = [word for word in text.replace(HOLE, " ").split() if _WORD.search(word)]
    return len(words) >= _FEW_WORDS and not text.startswith(_STATEMENT)
