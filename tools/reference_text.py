"""Reference entries: the signature, docstring and members of each documented name."""

import enum
import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import attrs

import moorage
from moorage import testing, vendor_sdk
from tools.reference_pages import Page, members_of

_SECTIONS: Final = {"Args": "Parameters", "Attributes": "Attributes", "Raises": "Raises"}
_ITEM: Final = re.compile(r"([*\w][\w*., ]*): (.*)", re.DOTALL)
_ADDRESS: Final = re.compile(r" at 0x[0-9a-f]+")

# Classes that moorage creates and users only receive, so their constructors are left out.
_RECEIVED_CLASSES: Final = frozenset(
    {
        "AsyncDownload",
        "AsyncStreamedAnswer",
        "Attempt",
        "Download",
        "Entry",
        "Receipt",
        "Reservation",
        "StreamedAnswer",
    }
)


class _ShownAnnotation(NamedTuple):
    """An annotation shown as written, without quotes."""

    text: str

    def __repr__(self) -> str:
        return self.text

    @classmethod
    def of(cls, parameter: inspect.Parameter) -> Any:
        annotation = _annotation(parameter.annotation, "")
        return cls(annotation) if annotation else inspect.Parameter.empty


def text_of(page: Page) -> str:
    """Return a reference page as Markdown."""
    parts = [f"# {page.title}", page.about]
    for entry in page.names:
        for name, value in members_of(entry):
            homes = (moorage, vendor_sdk, testing)
            exporting_modules = [
                home_module.__name__
                for home_module in homes
                # A star import leaves Python's own `open` as it is.
                if name in home_module.__all__ or name == "open"
            ]
            home_module_name = (
                exporting_modules[0] if exporting_modules else entry.partition(":")[0]
            )
            parts.extend(_describe_export(name, value, home_module_name))
    return "\n\n".join(parts) + "\n"


def _describe_export(name: str, value: Any, home: str) -> Iterator[str]:
    yield f"## {name}"
    if inspect.ismodule(value):
        yield _prose(value)
        return
    yield f"```text\nfrom {home} import {name}\n```"
    if isinstance(value, type) and issubclass(value, enum.Enum):
        yield _prose(value)
        yield "\n".join(f"- `{name}.{member.name}`" for member in value)
    elif isinstance(value, type):
        yield from _describe_class(name, value)
    elif inspect.isroutine(value):
        kind = "async " if inspect.iscoroutinefunction(value) else ""
        yield f"```text\n{kind}{_call_signature(name, value)}\n```"
        yield _prose(value)
    for member, attribute, kind in _members(value):
        description = _prose(attribute)
        if not description and _is_protocol(value):
            continue  # Its signature stands above, and the port's docstring speaks for all.
        yield f"### {name}.{member}"
        if kind != "property":
            yield f"```text\n{kind}{_call_signature(member, attribute)}\n```"
        if description:
            yield description


def _describe_class(name: str, value: type[Any]) -> Iterator[str]:
    shape = _shape(name, value)
    if shape and name not in _RECEIVED_CLASSES:
        yield f"```text\n{shape}\n```"
    yield _prose(value)
    initializer: Any = value.__init__  # only its docstring is read
    is_ours = getattr(initializer, "__module__", "").startswith("moorage")
    if is_ours and initializer.__doc__ and not attrs.has(value):
        yield _prose(initializer)


def _is_protocol(value: object) -> bool:
    return bool(getattr(value, "_is_protocol", False))


def _shape(name: str, kind: type[Any]) -> str:
    """Return a class's signature, or a protocol's members."""
    if _is_protocol(kind):
        lines = [
            f"{member}{_annotation(inspect.signature(attribute.fget).return_annotation, ': ')}"
            if member_kind == "property"
            else f"{member_kind}{_call_signature(member, attribute)}"
            for member, attribute, member_kind in _members(kind)
        ]
        return "\n".join(lines)
    return _attrs_signature(kind) if attrs.has(kind) else _call_signature(name, kind)


def _call_signature(name: str, value: Callable[..., Any]) -> str:
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):
        return ""
    options = [
        parameter
        for parameter in signature.parameters.values()
        if parameter.name not in {"self", "cls"}
    ]
    if not options and isinstance(value, type):
        return ""
    returns = "" if isinstance(value, type) else _annotation(signature.return_annotation, " -> ")
    options = [
        parameter.replace(annotation=_ShownAnnotation.of(parameter)) for parameter in options
    ]
    # `Signature` itself lays it out, so that `/` and `*` are in the right places.
    line = str(signature.replace(parameters=options, return_annotation=inspect.Signature.empty))
    line = _ADDRESS.sub("", f"{name}{line}{returns}")
    if len(line) <= 90 or not options:
        return line
    parameters = line[len(name) + 1 : line.rindex(")")]
    return f"{name}(\n    " + ",\n    ".join(_split_text(parameters)) + f"\n){returns}"


def _split_text(parameters: str) -> Iterator[str]:
    depth, begin = 0, 0
    for place, letter in enumerate(parameters):
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and not depth:
            yield parameters[begin:place].strip()
            begin = place + 1
    yield parameters[begin:].strip()


def _attrs_signature(kind: type[Any]) -> str:
    lines: list[str] = []
    keywords = False
    accepted_types = inspect.get_annotations(kind.__init__)
    for field in attrs.fields(kind):
        if not field.init:
            continue
        if field.kw_only and not keywords:
            lines.append("*,")
            keywords = True
        # A converter accepts more types than the attribute has.
        accepted_type = accepted_types.get(field.alias or field.name) or field.type
        parameter = f"{(field.alias or field.name).lstrip('_')}: {_annotation(accepted_type, '')}"
        if field.default is not attrs.NOTHING:
            parameter += f" = {_default(field)}"
        lines.append(parameter + ",")
    text = f"{kind.__name__}(\n    " + "\n    ".join(lines) + "\n)" if lines else ""
    return _ADDRESS.sub("", text)


def _default(field: Any) -> str:
    default = field.default
    if not isinstance(default, attrs.Factory):  # type: ignore[arg-type]  # a class in truth
        return str(default) if isinstance(default, enum.Enum) else repr(default)
    if default.takes_self:
        return "…"
    default_value = default.factory()
    return f"{type(default_value).__name__}()"


def _annotation(annotation: object, before: str) -> str:
    if annotation is inspect.Signature.empty or annotation is None:
        return ""
    annotation_text = (
        annotation if isinstance(annotation, str) else getattr(annotation, "__name__", None)
    )
    return before + (annotation_text or str(annotation))


def _members(value: Any) -> Iterator[tuple[str, Any, str]]:
    """Yield the public methods and properties of a class, including inherited ones."""
    seen_names: set[str] = set()
    for kind in value.__mro__ if isinstance(value, type) else ():
        if not kind.__module__.startswith("moorage") or issubclass(kind, enum.Enum) is not (
            issubclass(value, enum.Enum)
        ):
            continue
        for name, attribute in vars(kind).items():
            if name.startswith("_") or name in seen_names:
                continue
            seen_names.add(name)
            if isinstance(attribute, property):
                yield name, attribute, "property"
            elif isinstance(attribute, (classmethod, staticmethod)):
                yield name, attribute.__func__, ""
            elif inspect.isfunction(attribute):
                yield (
                    name,
                    attribute,
                    "async " if inspect.iscoroutinefunction(attribute) else "",
                )


def _prose(value: object) -> str:
    """Return a docstring as Markdown, with sections as lists."""
    docstring = value.__dict__.get("__doc__") if isinstance(value, type) else value.__doc__
    lines = inspect.cleandoc(docstring or "").split("\n")
    parts: list[str] = []
    place = 0
    while place < len(lines):
        section = _SECTIONS.get(lines[place].rstrip().removesuffix(":"))
        if section is None or not lines[place].endswith(":"):
            parts.append(lines[place])
            place += 1
            continue
        place += 1
        block: list[str] = []
        while place < len(lines) and (lines[place].startswith("    ") or not lines[place]):
            block.append(lines[place][4:])
            place += 1
        parts.extend(("", f"{section}:", "", *_items(block), ""))
    return "\n".join(parts).strip()


def _items(block: list[str]) -> Iterator[str]:
    for item in re.split(r"\n(?=\S)", "\n".join(block).strip()):
        field_match = _ITEM.fullmatch(item)
        text = re.sub(r"\s*\n\s*", " ", field_match[2] if field_match else item)
        names = ", ".join(f"`{name}`" for name in field_match[1].split(", ")) if field_match else ""
        yield f"- {names}: {text}" if names else f"- {text}"
