"""Typical mistakes in a vendor adapter, as edits of its source code.

`plants_in` returns one plant per place and mistake: a wrong word in a table, another field, another
unit, a key that is lost, a status that is reported as done, the last of a batch that is dropped, an
error that is swallowed. An edit replaces one piece of text, so that a reader sees the change.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Any, Final, cast

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator

DONE: Final = {
    "PaymentState": "CAPTURED",
    "MoveState": "SUCCEEDED",
    "DisputeState": "WON",
    "PayoutState": "PAID",
    "SmsStatus": "DELIVERED",
    "EmailStatus": "DELIVERED",
    "ShipmentState": "PURCHASED",
    "CancelState": "CANCELED",
    "TrackingStatus": "DELIVERED",
    "AddressVerdict": "VALID",
    "Verdict": "PASS",
    "LineType": "MOBILE",
    "ConsentStatus": "GRANTED",
    "BankPaymentStatus": "SETTLED",
    "BalanceKind": "BOOKED",
    "InvoiceState": "PAID",
    "JournalState": "POSTED",
    "AccountClass": "ASSET",
    "BookChange": "UPDATED",
    "OrderState": "CLOSED",
    "OrderPayment": "PAID",
    "OrderFulfilment": "FULFILLED",
    "Completion": "DONE",
    "EnvelopeStatus": "COMPLETED",
    "SignerStatus": "SIGNED",
    "SignatureEventType": "COMPLETED",
    "MemberKind": "PERSON",
    "EinvoiceStatus": "DELIVERED",
    "PushOutcome": "ACCEPTED",
}
"""For each set of words, the word that means success."""

UNDECIDED: Final = frozenset(
    {
        "UNKNOWN",
        "PENDING",
        "QUEUED",
        "ACCEPTED",
        "REQUIRES_ACTION",
        "DRAFT",
        "PROCESSING",
        "VOIDING",
    }
)
_FIELD: Final = re.compile(r"[A-Za-z_$@:{}-][\w.$@:/{}-]*")
_TEXTS_FOR_PEOPLE: Final = frozenset({"field", "remedy", "problem", "vendor", "name"})
_NOT_FIELDS: Final = frozenset(
    {"compile", "cast", "TypeVar", "getattr", "matches", "one_of", "required", "malformed"}
)
"""Functions whose texts are patterns, or name a field in an error message only."""
_ZONE: Final = '__import__("datetime").timezone(__import__("datetime").timedelta(hours=1))'


@frozen
class Plant:
    """A mistake to insert into a vendor, as an edit of a source file.

    Attributes:
        kind: the sort of mistake.
        path: the file.
        line: the line of the file.
        first, last: the bytes that are replaced.
        was, becomes: the text before and after.
        inside: the lines of the function that has the place; empty where it runs at the import.
    """

    kind: str
    path: str
    line: int
    first: int
    last: int
    was: str
    becomes: str
    inside: range = range(0)

    def applied(self, source: str) -> str:
        """Return the source after the mistake was inserted."""
        data = source.encode()
        return (data[: self.first] + self.becomes.encode() + data[self.last :]).decode()

    def __str__(self) -> str:
        """Return the file, the line and the edit in one line of text."""
        edit = f"{self.was} -> {self.becomes}"
        return f"{self.path}:{self.line} [{self.kind}] {' '.join(edit.split())[:150]}"


def plants_in(path: str, source: str) -> list[Plant]:
    """Return all mistakes that can be inserted in a module and that still compile."""
    plants = _MistakePlanter(path, source).plants()
    return [plant for plant in plants if compiles(plant.applied(source))]


def compiles(source: str) -> bool:
    """Return whether a source is valid Python."""
    try:
        compile(source, "planted", "exec")
    except SyntaxError:
        return False
    return True


class SourceEdits:
    """Edits of one source file, by the nodes of its syntax tree."""

    def __init__(self, path: str, source: str) -> None:
        self.path = path
        self.data = source.encode()
        self.tree = ast.parse(source)
        starts = [0]
        for line in self.data.splitlines(keepends=True):
            starts.append(starts[-1] + len(line))
        self._starts = starts
        self.parents = {
            child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)
        }

    def is_for_types(self, node: ast.AST) -> bool:
        """Return whether code is for type checkers only."""
        if isinstance(node, ast.If) and self.text(node.test) == "TYPE_CHECKING":
            return True
        while (parent := self.parents.get(node)) is not None:
            match parent:
                case ast.If(test=ast.Name(id="TYPE_CHECKING")) | ast.arg():
                    return True
                case ast.FunctionDef() | ast.AsyncFunctionDef() if node is parent.returns:
                    return True
                case ast.AnnAssign() if node is parent.annotation:
                    return True
                case _:
                    pass
            node = parent
        return False

    def text(self, node: ast.AST) -> str:
        """Return the source of a node."""
        return self.data[slice(*self.span(node))].decode()

    def span(self, node: ast.AST) -> tuple[int, int]:
        """Return the first byte of a node, and the byte after its last one."""
        place = cast("Any", node)  # every node that is asked for has one
        line: int = place.lineno
        end_line: int = place.end_lineno
        start: int = self._starts[line - 1] + place.col_offset
        end: int = self._starts[end_line - 1] + place.end_col_offset
        return start, end

    def enclosing_lines(self, node: ast.AST) -> range:
        """Return the lines of the function around a node; none if it runs at the import."""
        function: ast.AST | None = node
        while function is not None and not isinstance(
            function, (ast.FunctionDef, ast.AsyncFunctionDef)
        ):
            function = self.parents.get(function)
        if function is None or node in (*function.args.defaults, *function.decorator_list):
            return range(0)
        assert function.end_lineno is not None
        return range(function.lineno, function.end_lineno + 1)

    def edit(self, kind: str, node: ast.AST, becomes: str) -> Plant:
        """Return the edit that replaces a node by other source."""
        return self.edit_at(kind, node, *self.span(node), becomes)

    def edit_at(self, kind: str, node: ast.AST, start: int, end: int, becomes: str) -> Plant:
        """Return the edit that replaces a part of a node's source, between two bytes."""
        return Plant(
            kind,
            self.path,
            1 + self.data.count(b"\n", 0, start),
            start,
            end,
            self.data[start:end].decode(),
            becomes,
            self.enclosing_lines(node),
        )


class _MistakePlanter(SourceEdits):
    def plants(self) -> Iterator[Plant]:
        """Yield all mistakes, by kind of syntax node."""
        for node in ast.walk(self.tree):
            if self.is_for_types(node):
                continue
            if isinstance(node, ast.expr):
                yield from self._expressions(node)
            if isinstance(node, (ast.For, ast.comprehension)):
                yield self.edit("batch", node.iter, f"tuple({self.text(node.iter)})[:-1]")
            if isinstance(node, ast.Raise):
                yield self.edit("swallowed", node, "pass")
            if isinstance(node, (ast.If, ast.IfExp)):
                yield self.edit("condition", node.test, f"not ({self.text(node.test)})")

    def _expressions(self, node: ast.expr) -> Iterator[Plant]:
        match node:
            case ast.Dict():
                yield from self._swapped_words(node)
            case ast.Call():
                yield from self._removed_words(node)
                yield from self._calls(node)
            case ast.Set() | ast.Tuple():
                yield from self._item_removals(node)
            case ast.Constant():
                yield from self._constants(node)
            case ast.Attribute():
                yield from self._attributes(node)
            case ast.Name(id="UTC", ctx=ast.Load()):
                yield self.edit("zone", node, _ZONE)
            case ast.BoolOp():
                yield from self._operands(node)
            case _:
                pass

    def _swapped_words(self, node: ast.Dict) -> Iterator[Plant]:
        """Yield edits that swap the meanings of two words in a table."""
        values = [value for value in node.values if isinstance(value, (ast.Attribute, ast.Name))]
        texts = [self.text(value) for value in values]
        words = [text for text in texts if text.split(".")[-1][:1].isupper()]
        for value, text in zip(values, texts, strict=True):
            if text in words:
                following_words = words[words.index(text) + 1 :] + words
                other_word = next((word for word in following_words if word != text), None)
                if other_word is not None:
                    yield self.edit("word", value, other_word)

    def _removed_words(self, node: ast.Call) -> Iterator[Plant]:
        """Yield edits that remove a word from a table that maps each word to itself."""
        if self.text(node.func).split(".")[-1] != "same":
            return
        for part in node.args[1:]:
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                texts = part.value.split()
                for text in texts:
                    remaining_words = " ".join(word for word in texts if word != text)
                    yield self.edit("word", part, repr(remaining_words))

    def _item_removals(self, node: ast.Set | ast.Tuple) -> Iterator[Plant]:
        """Yield edits that remove an item from a collection of constants."""
        constant = all(isinstance(item, (ast.Constant, ast.Attribute)) for item in node.elts)
        if not constant or len(node.elts) < 2 or not self.text(node).startswith(("(", "{")):
            return
        for item in node.elts:
            remaining_elements = ", ".join(
                self.text(element) for element in node.elts if element is not item
            )
            opening = "{" if isinstance(node, ast.Set) else "("
            closing_bracket = "}" if isinstance(node, ast.Set) else ",)"
            yield self.edit("word", node, f"{opening}{remaining_elements}{closing_bracket}")

    def _calls(self, node: ast.Call) -> Iterator[Plant]:
        name = self.text(node.func).split(".")[-1]
        for keyword in node.keywords:
            if keyword.arg == "key" and name in {"send", "Request", "post", "put", "patch"}:
                yield self.edit("key lost", keyword.value, "None")
                changed_key = f"{self.text(keyword.value)} + str(__import__('time').monotonic_ns())"
                yield self.edit("key changed", keyword.value, changed_key)
        if name == "key_for_vendor" and len(node.args) == 3:
            yield self.edit("key too long", node.args[2], "100000")
        yield from self._repeated_requests(node)
        if name in {"ref", "payment_ref", "ref_at"} and node.args:
            target = node.args[1 if name == "payment_ref" and len(node.args) > 1 else 0]
            if not isinstance(target, (ast.Constant, ast.Starred)):
                yield self.edit("reference", target, f'f"{{{self.text(target)}}}x"')
        yield from self._revealed_secrets(node)
        if name == "replace" and any(key.arg == "microsecond" for key in node.keywords):
            assert isinstance(node.func, ast.Attribute)
            yield self.edit("time", node, self.text(node.func.value))
        if name == "as_money" or name.endswith("from_minor"):
            yield self.edit("unit", node, f"({self.text(node)} or 0) * 100")

    def _revealed_secrets(self, node: ast.Call) -> Iterator[Plant]:
        """Yield edits that reveal a secret."""
        if self.text(node.func).endswith("masked_words"):
            yield self.edit("secret", node, self.text(node.args[0]))
        for keyword in node.keywords:
            if keyword.arg == "repr" and self.text(keyword.value) == "False":
                yield self.edit("secret", keyword.value, "True")

    def _repeated_requests(self, node: ast.Call) -> Iterator[Plant]:
        """Yield edits that send a request twice."""
        parent = self.parents[node]
        if self.text(node.func) == "wire.send" and isinstance(parent, ast.Await):
            # An element with a key is cached under it: the first one has no key.
            text = text_without_key = self.text(node)
            for keyword in node.keywords:
                if keyword.arg == "key":
                    text_without_key = text.replace(f"key={self.text(keyword.value)}", "key=None")
            sent_twice = f"(await {text_without_key}, await {text})[1]"
            yield self.edit("own retry", parent, sent_twice)

    def _constants(self, node: ast.Constant) -> Iterator[Plant]:
        parent = self.parents.get(node)
        if isinstance(node.value, str) and self._is_field(node.value, parent):
            yield self.edit("field", node, repr(f"{node.value}x"))
        if type(node.value) is int and not isinstance(parent, ast.UnaryOp) and node.value > 1:
            yield self.edit("number", node, str(node.value + 1))

    def _attributes(self, node: ast.Attribute) -> Iterator[Plant]:
        if not isinstance(node.ctx, ast.Load):
            return
        owner = self.text(node.value).split(".")[-1]
        if node.attr in UNDECIDED and owner in DONE and DONE[owner] != node.attr:
            yield self.edit("reported as done", node, f"{self.text(node.value)}.{DONE[owner]}")
        if node.attr == "minor":
            yield self.edit("unit", node, f"int({self.text(node.value)}.amount * 100)")
        if node.attr == "amount" and isinstance(self.parents[node], ast.Call):
            yield self.edit("unit", node, f'f"{{{self.text(node)}:.2f}}"')
        if node.attr == "currency":
            yield self.edit("unit", node, '"EUR"')

    def _operands(self, node: ast.BoolOp) -> Iterator[Plant]:
        """Yield edits that remove an operand of a condition, or a default."""
        word = " or " if isinstance(node.op, ast.Or) else " and "
        for operand in node.values:
            if operand is node.values[-1] and self._is_empty_key(node):
                continue
            remaining_operands = word.join(
                self.text(other_operand)
                for other_operand in node.values
                if other_operand is not operand
            )
            yield self.edit("condition", node, f"({remaining_operands})")

    def _is_empty_key(self, node: ast.BoolOp) -> bool:
        """Return whether a default is an empty key, for which a look-up finds nothing."""
        match self.parents[node], node.values[-1]:
            case ast.Call(func=ast.Attribute(attr="get")), ast.Constant(value=""):
                return True
            case _:
                return False

    def _is_field(self, text: str, parent: ast.AST | None) -> bool:
        """Return whether a text may be a field name in the vendor's API."""
        if _FIELD.fullmatch(text) is None:
            return False
        match parent:
            case ast.Expr() | ast.JoinedStr() | ast.FormattedValue() | ast.AnnAssign():
                return False
            case ast.keyword(arg=str(name)):
                return name not in _TEXTS_FOR_PEOPLE
            case ast.Call():
                return self.text(parent.func).split(".")[-1] not in _NOT_FIELDS
            case _:
                return True
