"""Writes a client's classes and functions as Python modules."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from moorage.domain.secrets.sensitive import is_sensitive
from moorage.scaffold.client.layout import Group, assigned_field, assigned_text, laid_out, literal
from moorage.scaffold.client.schemas import EnumClass, ObjectClass, UnionAlias
from moorage.scaffold.client.words import member_name, unique

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from moorage.scaffold.client.calls import Argument, Body, Call
    from moorage.scaffold.client.schemas import ClassField

_MARKED_NAME: Final = re.compile(r"«(\w+)»")
_MODEL_NAMES: Final = (
    *("AS_TEXT", "UNSET", "Discriminator", "Items", "Member", "Number", "OneOf", "OpenEnum"),
    *("Text", "Unset"),
)
_CALL_NAMES: Final = (
    *("AS_TEXT", "Items", "Number", "OneOf", "Text", "binary_answer", "binary_content"),
    *("form_content", "json_answer", "json_content", "make_request", "multipart_content"),
    *("no_answer", "parameter", "segment", "text_answer", "text_content"),
)
_STANDARD_IMPORTS: Final = (
    ("collections.abc", ("Mapping", "Sequence")),
    ("datetime", ("date", "datetime")),
    ("decimal", ("Decimal",)),
    ("typing", ("Annotated", "Any", "TypeAlias", "Union")),
    ("uuid", ("UUID",)),
)
_WORD: Final = re.compile(r"[A-Za-z_]\w*")
_TEXTS: Final = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'')


def models_module(declared: Iterable[ObjectClass | EnumClass | UnionAlias], title: str) -> str:
    """Return the source of the module with all classes: enumerations, then objects, then unions."""
    declarations = sorted(declared, key=lambda item: (_rank(item), item.name))
    unions = [item for item in declared if isinstance(item, UnionAlias)]
    lines: list[str] = []
    for declaration in declarations:
        if isinstance(declaration, EnumClass):
            lines += ["", "", *_enum_lines(declaration)]
        elif isinstance(declaration, ObjectClass):
            lines += ["", "", *_class_lines(declaration)]
    if unions:
        lines += ["", ""]
    for union in unions:
        lines += _union_lines(union)
    body = "\n".join(lines)
    docstring = f'"""The values of {title}."""'
    return module_text(docstring, body, _MODEL_NAMES)


def operations_module(calls: Sequence[Call], title: str, *, package: str, checks: bool) -> str:
    """Return the source of the module with a function for each operation."""
    lines = ["", *laid_out(string_list(call.name for call in calls), before="__all__ = ")]
    for call in calls:
        lines += ["", "", *_call_lines(call, checks=checks)]
    docstring = f'"""The operations of {title}; `manager.perform` performs them."""'
    return module_text(
        docstring, "\n".join(lines), _CALL_NAMES, ("FormFile", "HttpOperation"), package=package
    )


def string_list(names: Iterable[str]) -> Group:
    """Return the names as a list of string literals, in order."""
    return Group("", tuple(map(literal, sorted(names))), "[")


def _rank(declaration: object) -> int:
    return 0 if isinstance(declaration, EnumClass) else 1


def module_text(
    about: str,
    body: str,
    sdk_names: Sequence[str],
    package_names: Sequence[str] = (),
    *,
    package: str | None = None,
) -> str:
    """Return the source of a module, with the imports that its body needs.

    Args:
        about: the docstring of the module.
        body: the text below the imports.
        sdk_names: the names that may be imported from `moorage.client_sdk`.
        package_names: the names that may be imported from `moorage`.
        package: the module's own package, whose classes may be imported; None for no such import.
    """
    used_words = set(_WORD.findall(_TEXTS.sub("", body)))
    standard = [
        f"from {module} import {', '.join(name for name in names if name in used_words)}"
        for module, names in _STANDARD_IMPORTS
        if used_words.intersection(names)
    ]
    foreign = ["import attrs"] if "@attrs.frozen" in body else []
    foreign += _import_lines("moorage", [name for name in package_names if name in used_words])
    foreign += _import_lines(
        "moorage.client_sdk", [name for name in sdk_names if name in used_words]
    )
    package_lines = [f"from {package} import models"] if package and "models" in used_words else []
    imports = [
        line for group in (standard, foreign, package_lines) if group for line in ["", *group]
    ]
    return "\n".join([about, "", "from __future__ import annotations", *imports, body, ""])


def _import_lines(module: str, names: Sequence[str]) -> list[str]:
    """Return the import statement for some names, in an import sorter's format."""
    if not names:
        return []
    line = f"from {module} import {', '.join(names)}"
    if len(line) <= 100:
        return [line]
    return [f"from {module} import (", *(f"    {name}," for name in names), ")"]


def _enum_lines(declaration: EnumClass) -> Iterator[str]:
    taken_names: set[str] = set()
    yield f"class {declaration.name}(OpenEnum):"
    yield f'    """{_module_docstring(declaration.source)}"""'
    yield ""
    for value in declaration.values:
        yield from assigned_text(unique(member_name(value), taken_names), value)


def _class_lines(declaration: ObjectClass) -> Iterator[str]:
    yield "@attrs.frozen(kw_only=True)"
    yield f"class {declaration.name}:"
    yield f'    """{_module_docstring(declaration.source)}"""'
    if declaration.fields or declaration.other is not None:
        yield ""
    for field in declaration.fields:
        yield from _field_lines(field)
    if declaration.other is not None:
        other = _local_annotation(declaration.other)
        # An expression cannot name a class that is defined below it.
        value = Group("attrs.field", ("factory=dict[str, Any]", "repr=False"))
        yield from assigned_field("other_fields", f"Mapping[str, {other}]", value)


def _field_lines(field: ClassField) -> Iterator[str]:
    kind = field.kind
    annotation, default = _local_annotation(kind.annotation), ""
    if not field.required:
        default = "None"
        if kind.text != "Any":
            annotation = f"{_local_annotation(kind.text)} | None"
            if kind.nullable:
                annotation, default = f"{_local_annotation(kind.text)} | Unset | None", "UNSET"
    options: list[str | Group] = [f"default={default}"] if default else []
    if field.member != field.name or kind.limits:
        member = Group('"member": Member', (literal(field.member), *kind.limits))
        options.append(Group("metadata=", (member,), "{"))
    if is_sensitive(field.member):
        options.append("repr=False")
    if options == [f"default={default}"]:
        yield from assigned_field(field.name, annotation, default)
    elif options:
        yield from assigned_field(field.name, annotation, Group("attrs.field", tuple(options)))
    else:
        yield f"    {field.name}: {annotation}"


def _union_lines(union: UnionAlias) -> Iterator[str]:
    kinds = Group("Union", tuple(map(_local_annotation, union.kinds)), "[")
    part = kinds
    if union.member is not None:
        classes = tuple(f"{literal(value)}: {literal(name)}" for value, name in union.classes)
        table = Group("Discriminator", (literal(union.member), Group("", classes, "{")))
        part = Group("Annotated", (kinds, table), "[")
    yield from laid_out(part, before=f"{union.name}: TypeAlias = ")


def _call_lines(call: Call, *, checks: bool) -> Iterator[str]:
    result = prefixed_annotation(call.result.kind.annotation)
    yield from laid_out(
        Group(f"def {call.name}", tuple(_signature(call))), after=f" -> HttpOperation[{result}]:"
    )
    yield f'    """{_call_about(call)}"""'
    operation = call.operation
    parts: list[str | Group] = [literal(operation.method.value), literal(operation.path)]
    segments = tuple(
        Group(f"{literal(item.wire)}: segment", tuple(_segment_arguments(item)))
        for item in call.arguments
        if item.place == "path"
    )
    if segments:
        parts.append(Group("", segments, "{"))
    for place, name in (("query", "query"), ("header", "headers")):
        items = tuple(_parameter_part(item) for item in call.arguments if item.place == place)
        if items:
            parts.append(Group(f"{name}=", items, "["))
    if call.result.accept is not None:
        parts.append(f"accept={literal(call.result.accept)}")
    if call.body is not None:
        content = _content_part(call.body)
        if call.body.required:
            parts.append(Group(f"content={content.head}", content.items))
        else:
            yield "    content = None"
            yield "    if body is not None:"
            yield from laid_out(content, indent=8, before="content = ")
            parts.append("content=content")
    request = Group("request=make_request", tuple(parts))
    read = f"read={call.result.form if call.result.form != 'none' else 'no'}_answer"
    reader: str | Group = read
    if call.result.form == "json":
        options = [result, *call.result.kind.limits, *(["checks=True"] if checks else [])]
        reader = Group(read, tuple(options))
    group = Group("HttpOperation", (f"name={literal(operation.name)}", request, reader))
    yield from laid_out(group, indent=4, before="return ")


def _signature(call: Call) -> Iterator[str]:
    arguments = sorted(call.arguments, key=lambda item: (item.place != "path", not item.required))
    by_position = [item for item in arguments if item.place == "path"]
    by_name = [item for item in arguments if item.place != "path"]
    for item in by_position:
        yield f"{item.name}: {prefixed_annotation(item.kind.nested)}"
    body = call.body
    if body is not None and body.required:
        yield f"body: {prefixed_annotation(body.kind.nested)}"
    has_body_option = body is not None and not body.required
    has_files = body is not None and body.form == "multipart"
    if by_name or has_body_option or has_files:
        yield "*"
    for item in by_name:
        annotation = prefixed_annotation(item.kind.nested)
        yield f"{item.name}: {annotation if item.required else optional(annotation)}"
    if body is not None and has_body_option:
        yield f"body: {optional(prefixed_annotation(body.kind.nested))}"
    if has_files:
        yield "files: Mapping[str, FormFile | None] | None = None"


def optional(annotation: str) -> str:
    """Return an annotation that allows None, with None as default."""
    is_optional = annotation.endswith("| None") or annotation == "Any"
    return f"{annotation} = None" if is_optional else f"{annotation} | None = None"


def _arguments_of(argument: Argument) -> Iterator[str]:
    yield literal(argument.wire)
    yield prefixed_annotation(argument.kind.annotation)
    yield argument.name
    yield from argument.kind.limits


def _segment_arguments(argument: Argument) -> Iterator[str]:
    yield from _arguments_of(argument)
    if argument.style != "comma":
        yield f"style={literal(argument.style)}"


def _parameter_part(argument: Argument) -> Group:
    items = [*_arguments_of(argument)]
    if argument.style != "form":
        items.append(f"style={literal(argument.style)}")
    return Group("*parameter", tuple(items))


def _content_part(body: Body) -> Group:
    kind = prefixed_annotation(body.kind.annotation)
    if body.form in {"text", "binary"}:
        return Group(f"{body.form}_content", ("body", f"media_type={literal(body.media_type)}"))
    items: list[str | Group] = [kind, "body", *body.kind.limits]
    if body.form == "multipart":
        items = [kind, "body", "files"]
    if body.styles:
        styles = tuple(f"{literal(name)}: {literal(style)}" for name, style in body.styles)
        items.append(Group("", styles, "{"))
    if body.form == "json" and body.media_type != "application/json":
        items.append(f"media_type={literal(body.media_type)}")
    return Group(f"{body.form}_content", tuple(items))


def _local_annotation(annotation: str) -> str:
    """Return a type annotation as it is written in the module that defines the classes."""
    return _MARKED_NAME.sub(r"\1", annotation)


def prefixed_annotation(annotation: str) -> str:
    """Return a type annotation as it is written outside the module of the classes."""
    return _MARKED_NAME.sub(r"models.\1", annotation)


def _module_docstring(source: str) -> str:
    return one_line(f"The schema at {source}", 90)


def _call_about(call: Call) -> str:
    docstring = f"Return the operation {call.operation.method} {call.operation.path}"
    summary = call.operation.node.text("summary")
    return one_line(docstring if summary is None else f"{docstring}: {summary}", 90)


def one_line(text: str, width: int) -> str:
    """Return an untrusted text as one safe line that ends with a full stop."""
    printable = "".join(item if item.isprintable() else " " for item in text)
    plain_text = " ".join(printable.replace('"', "'").replace("\\", "/").split()).rstrip(".' ")
    short = plain_text if len(plain_text) <= width else f"{plain_text[: width - 1].rstrip()}…"
    return f"{short}."
