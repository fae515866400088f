"""Maps the operations of an API description to functions, with their arguments and results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from moorage.domain.http.requests import HttpMethod
from moorage.domain.openapi.document import Node, refusal
from moorage.domain.openapi.operations import placeholders
from moorage.scaffold.client.schemas import Kind, ObjectClass, with_optional_files
from moorage.scaffold.client.words import argument_name, unique, words

if TYPE_CHECKING:
    from moorage.domain.openapi.document import Document
    from moorage.domain.openapi.operations import ApiOperation, Parameter
    from moorage.scaffold.client.schemas import Schemas

_LEAVE_OUT: Final = "Omit the operation."
_IGNORED_HEADERS: Final = frozenset({"accept", "authorization", "content-type", "idempotency-key"})
_STYLES: Final = {"spaceDelimited": "space", "pipeDelimited": "pipe", "deepObject": "deep"}
_FORM: Final = "application/x-www-form-urlencoded"
_MULTIPART: Final = "multipart/form-data"


@attrs.frozen(kw_only=True)
class Argument:
    """An argument of a function: a parameter of its operation.

    Attributes:
        name: the name in Python.
        wire: the name in the request.
        place: `path`, `query` or `header`.
        kind: the type annotation.
        required: True if it has no default.
        style: the notation of lists and objects.
    """

    name: str
    wire: str
    place: str
    kind: Kind
    required: bool
    style: str


@attrs.frozen(kw_only=True)
class Body:
    """The content of a request.

    Attributes:
        form: the function that makes it: `json`, `form`, `multipart`, `text` or `binary`.
        media_type: the body's Content-Type.
        kind: the type annotation.
        required: True if every request has it.
        styles: the styles of a form's fields that are lists or objects.
    """

    form: str
    media_type: str
    kind: Kind
    required: bool
    styles: tuple[tuple[str, str], ...] = ()


@attrs.frozen(kw_only=True)
class Result:
    """The result type of an operation.

    Attributes:
        form: `json`, `text`, `binary` or `none`.
        kind: the type annotation.
        accept: the media type for the Accept header; None for no such header.
    """

    form: str
    kind: Kind
    accept: str | None = None


@attrs.frozen(kw_only=True)
class Call:
    """A function of a generated client, which makes the request of one operation."""

    name: str
    operation: ApiOperation
    arguments: tuple[Argument, ...]
    body: Body | None
    result: Result

    @property
    def kinds(self) -> tuple[str, ...]:
        """The type annotations that the generated function uses."""
        return (*self.sent_kinds, self.result.kind.text)

    @property
    def sent_kinds(self) -> tuple[str, ...]:
        """The type annotations of the function's arguments."""
        texts = [argument.kind.text for argument in self.arguments]
        return (*texts, *([self.body.kind.text] if self.body else []))


def call_of(operation: ApiOperation, document: Document, schemas: Schemas, taken: set[str]) -> Call:
    """Return the function for an operation.

    Args:
        operation: the operation.
        document: the description.
        schemas: the classes; those that the operation needs are added.
        taken: the names of other functions.

    Raises:
        Unmapped: a part of the operation cannot be mapped.
    """
    hint = operation.node.text("operationId") or f"{operation.method.lower()} {operation.path}"
    names = {"body", "files"}
    sorted_parameters = sorted(
        operation.parameters, key=lambda item: _position(item, operation.path)
    )
    arguments = tuple(
        _argument(item, schemas, names, hint)
        for item in sorted_parameters
        if _is_argument(item, operation)
    )
    body = _body(operation, document, schemas, hint)
    result = _result(operation, document, schemas, hint)
    name = unique(argument_name("_".join(words(hint)) or "call"), taken)
    return Call(name=name, operation=operation, arguments=arguments, body=body, result=result)


def _position(parameter: Parameter, path: str) -> int:
    names = placeholders(path)
    is_in_path = parameter.place == "path" and parameter.name in names
    return names.index(parameter.name) if is_in_path else len(names)


def _is_argument(parameter: Parameter, operation: ApiOperation) -> bool:
    if parameter.place == "path":
        return parameter.name in placeholders(operation.path)
    if parameter.place == "cookie":
        if parameter.required:
            raise refusal(parameter.node.pointer, "A required cookie is not supported.", _LEAVE_OUT)
        return False
    return parameter.place == "query" or parameter.name.lower() not in _IGNORED_HEADERS


def _argument(parameter: Parameter, schemas: Schemas, names: set[str], hint: str) -> Argument:
    node, style = parameter.node, parameter.node.text("style")
    usual_style = "form" if parameter.place == "query" else "simple"
    if style not in {None, usual_style} and (parameter.place != "query" or style not in _STYLES):
        raise refusal(
            node.child("style").pointer, f"The style {style!r} is not supported.", _LEAVE_OUT
        )
    explode = node.child("explode").value
    is_in_query = parameter.place == "query"
    joined_style = "comma" if is_in_query or explode is not True else "equals"
    joins = not is_in_query or explode is False
    written_style = _STYLES.get(style or "", joined_style if joins else "form")
    if written_style in {"space", "pipe"} and explode is True:
        written_style = "form"
    schema = node.child("schema")
    for media_type, content in node.child("content").children():
        if not is_json(media_type):
            raise refusal(
                content.pointer, f"A parameter in {media_type!r} is not supported.", _LEAVE_OUT
            )
        schema, written_style = content.child("schema"), "json"
    kind = Kind("str") if schema.value is None else schemas.kind(schema, f"{hint} {parameter.name}")
    return Argument(
        name=unique(argument_name(parameter.name), names),
        wire=parameter.name,
        place=parameter.place,
        kind=kind,
        required=parameter.required,
        style=written_style,
    )


def _body(operation: ApiOperation, document: Document, schemas: Schemas, hint: str) -> Body | None:
    node = operation.node.child("requestBody")
    if node.value is None:
        return None
    node = document.resolved(node)
    contents = dict(node.child("content").children())
    if operation.method in {HttpMethod.GET, HttpMethod.HEAD} or not contents:
        raise refusal(
            node.pointer,
            "A request of this method cannot have content, or its content has no media type.",
            _LEAVE_OUT,
        )
    required = node.child("required").value is True
    media_type = min(contents, key=_preference)
    content = contents[media_type]
    if is_json(media_type):
        kind = _kind_of(content, schemas, f"{hint} body")
        return Body(
            form="json", media_type=concrete_media_type(media_type), kind=kind, required=required
        )
    if _bare(media_type) in {_FORM, _MULTIPART}:
        return _form(content, _bare(media_type), schemas, f"{hint} body", required=required)
    form = "text" if media_type.startswith("text/") else "binary"
    kind = Kind("str" if form == "text" else "bytes")
    return Body(form=form, media_type=concrete_media_type(media_type), kind=kind, required=required)


def _form(content: Node, media_type: str, schemas: Schemas, hint: str, *, required: bool) -> Body:
    kind = _kind_of(content, schemas, hint)
    declared = schemas.declared.get(kind.text[1:-1])
    if isinstance(declared, ObjectClass) and media_type == _MULTIPART:
        schemas.declared[declared.name] = with_optional_files(declared)
    elif not isinstance(declared, ObjectClass) and not kind.text.startswith("Mapping["):
        raise refusal(content.pointer, "The form is not an object.", _LEAVE_OUT)
    return Body(
        form="form" if media_type == _FORM else "multipart",
        media_type=media_type,
        kind=kind,
        required=required,
        styles=tuple(_styles(content)),
    )


def _styles(content: Node) -> list[tuple[str, str]]:
    """Return the notations of the form fields that do not use the default notation."""
    styles: list[tuple[str, str]] = []
    for name, encoding in content.child("encoding").children():
        style = encoding.text("style")
        if style in _STYLES:
            styles.append((name, _STYLES[style]))
        elif encoding.child("explode").value is False:
            styles.append((name, "comma"))
        elif is_json(encoding.text("contentType") or ""):
            styles.append((name, "json"))
    return styles


def _result(operation: ApiOperation, document: Document, schemas: Schemas, hint: str) -> Result:
    responses = dict(operation.node.child("responses").children())
    codes = [code for code in responses if code[:1] == "2"]
    if not codes and "default" in responses:
        codes = ["default"]
    contents: list[tuple[str, Node]] = []
    is_empty = not codes
    for code in codes:
        content = dict(document.resolved(responses[code]).child("content").children())
        if content:
            media_type = min(content, key=_preference)
            contents.append((media_type, content[media_type]))
        else:
            is_empty = True
    if not contents or operation.method is HttpMethod.HEAD:
        return Result(form="none", kind=Kind("None"))
    if not all(is_json(media_type) for media_type, _ in contents):
        if all(media_type.startswith("text/") for media_type, _ in contents):
            return Result(form="text", kind=Kind("str"), accept=contents[0][0])
        return Result(form="binary", kind=Kind("bytes"), accept=contents[0][0])
    kinds = [_kind_of(content, schemas, f"{hint} answer") for _, content in contents]
    texts = dict.fromkeys(attrs.evolve(kind, nullable=False).nested for kind in kinds)
    kind = kinds[0] if len(texts) == 1 else Kind(f"Union[{', '.join(texts)}]")
    nullable = is_empty or any(kind.nullable for kind in kinds)
    return Result(
        form="json",
        kind=attrs.evolve(kind, nullable=nullable),
        accept=concrete_media_type(contents[0][0]),
    )


def _kind_of(content: Node, schemas: Schemas, hint: str) -> Kind:
    schema = content.child("schema")
    if schema.value is None:
        return Kind("Any")
    return schemas.kind(schema, hint)


def is_json(media_type: str) -> bool:
    """Return whether a media type is JSON."""
    name = _bare(media_type)
    return name == "application/json" or name.endswith("+json") or name in {"*/*", "application/*"}


def concrete_media_type(media_type: str) -> str:
    """Return a concrete media type for a range such as `text/*`."""
    if "*" not in media_type:
        return media_type
    if is_json(media_type):
        return "application/json"
    return "text/plain" if media_type.startswith("text/") else "application/octet-stream"


def _bare(media_type: str) -> str:
    """Return a media type without its parameters, such as a charset."""
    return media_type.partition(";")[0].strip().lower()


def _preference(media_type: str) -> int:
    """Return the rank of a media type: the lower it is, the more the media type is preferred."""
    if is_json(media_type):
        return 0 if "json" in media_type else 3
    if _bare(media_type) in {_FORM, _MULTIPART}:
        return 1 if _bare(media_type) == _FORM else 2
    return 4 if media_type.startswith("text/") else 5
