"""A parsed OpenAPI or AsyncAPI document, with JSON pointers and local references.

A description is untrusted. Only the parts that are mapped are visited, chains of references have a
maximum length, and a reference never leads out of the description.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import unquote

from moorage.domain.values.json_text import is_list, is_object
from moorage.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_LONGEST_CHAIN: Final = 50
_LONGEST_TEXT: Final = 200
_LONGEST_POSITION: Final = 9
_REFERENCE: Final = "$ref"


class Node(NamedTuple):
    """A node of an API description: a value and its JSON pointer.

    Attributes:
        value: the JSON value.
        pointer: the node's place in the description, as a JSON pointer in a fragment, such as
            `#/paths`.
    """

    value: Any
    pointer: str

    def child(self, name: str | int) -> Node:
        """Return a child of this object or list; the child's value is None if it does not exist."""
        pointer = child_pointer(self.pointer, name)
        if isinstance(name, int):
            return Node(self.value[name], pointer)
        return Node(self.value.get(name) if is_object(self.value) else None, pointer)

    def children(self) -> Iterator[tuple[str, Node]]:
        """Yield the child nodes of an object with their names; nothing for any other value."""
        if is_object(self.value):
            for name in self.value:
                yield str(name), self.child(name)

    def items(self) -> Iterator[Node]:
        """Yield the items of a list; nothing for any other value."""
        if is_list(self.value):
            for position in range(len(self.value)):
                yield self.child(position)

    def text(self, name: str) -> str | None:
        """Return the text under this name in an object; None if there is none."""
        value = self.child(name).value
        return value if isinstance(value, str) else None


class UnmappedOperation(Exception):
    """Raised for a part of an API description that cannot be mapped to a service."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.found)
        self.problem = problem


class Document:
    """A parsed API description whose local references can be resolved.

    Attributes:
        root: the whole description.
    """

    __slots__ = ("root",)

    def __init__(self, tree: Mapping[str, Any]) -> None:
        self.root = Node(tree, "#")

    def resolved(self, node: Node) -> Node:
        """Return a node, or the node that its reference leads to.

        Raises:
            Unmapped: the reference leads to another file, to nothing, or in a circle.
        """
        target = node
        for _ in range(_LONGEST_CHAIN):
            reference = reference_of(target)
            if reference is None:
                return target
            target = self._target(reference, target.pointer)
        raise refusal(
            node.pointer,
            f"The reference refers to itself, or to a chain of more than {_LONGEST_CHAIN}"
            " other references.",
            "Refer to the part itself instead.",
        )

    def _target(self, reference: str, pointer: str) -> Node:
        excerpt = reference[:_LONGEST_TEXT]
        if reference != "#" and not reference.startswith("#/"):
            raise refusal(
                pointer,
                f"The reference {excerpt!r} refers to another file.",
                "Bundle the description into one file.",
            )
        node = Node(self.root.value, "#")
        for part in reference.split("/")[1:]:
            name = unquote(part).replace("~1", "/").replace("~0", "~")
            if is_object(node.value) and name in node.value:
                node = node.child(name)
            elif is_list(node.value) and _is_position(name, node.value):
                node = node.child(int(name))
            else:
                raise refusal(
                    pointer,
                    f"The reference {excerpt!r} refers to a part that does not exist.",
                    "Correct the reference, or add the missing part.",
                )
        return node


def _is_position(name: str, items: Sequence[Any]) -> bool:
    # Python refuses to parse numbers of thousands of digits.
    return name.isdecimal() and len(name) <= _LONGEST_POSITION and int(name) < len(items)


def reference_of(node: Node) -> str | None:
    """Return the JSON reference (`$ref`) that a node contains instead of a value, if any."""
    if not is_object(node.value):
        return None
    reference = node.value.get(_REFERENCE)
    return reference if isinstance(reference, str) else None


def child_pointer(pointer: str, name: str | int) -> str:
    """Return the JSON pointer of a child of the value at this pointer."""
    return f"{pointer}/{str(name).replace('~', '~0').replace('/', '~1')}"


def refusal(pointer: str, problem: str, remedy: str) -> UnmappedOperation:
    """Return the exception for a part of a description that cannot be mapped."""
    return UnmappedOperation(Problem(pointer, problem, remedy))
