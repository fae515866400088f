"""Writes the functions for messages as a Python module."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.scaffold.client.code import (
    module_text,
    one_line,
    optional,
    prefixed_annotation,
    string_list,
)
from moorage.scaffold.client.layout import Group, assigned_field, laid_out, literal
from moorage.scaffold.client.words import member_name, unique

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from moorage.domain.asyncapi.operations import ChannelOperation
    from moorage.scaffold.client.calls import Argument
    from moorage.scaffold.client.messages import (
        MakeFunction,
        MessageFunction,
        Payload,
        ReadFunction,
    )

_SDK_NAMES: Final = (
    *("AS_TEXT", "Channel", "Items", "Number", "OneOf", "Text", "TopicMessage"),
    *("binary_content", "json_content", "json_payload", "make_message", "parameter"),
    *("text_content", "text_payload"),
)


def messages_module(
    makers: Sequence[MakeFunction],
    readers: Sequence[ReadFunction],
    title: str,
    *,
    package: str,
    checks: bool,
) -> str:
    """Return the source of the module with the channels and a function for each message.

    Args:
        makers: the functions that make messages.
        readers: the functions that read messages.
        title: the title of the described application.
        package: the name of the generated package.
        checks: True to check the limits of received values.
    """
    functions: list[MessageFunction] = [*makers, *readers]
    constants = channel_names([item.operation for item in functions])
    names = [*constants.values(), *(item.name for item in functions)]
    lines = ["", *laid_out(string_list(names), before="__all__ = ")]
    channels = {item.operation.channel: item.operation for item in functions}
    for channel, operation in channels.items():
        lines += ["", *laid_out(_channel(operation), before=f"{constants[channel]} = ")]
    for maker in makers:
        lines += ["", "", *_maker_lines(maker, constants[maker.operation.channel])]
    for reader in readers:
        lines += ["", "", *_reader_lines(reader, checks=checks)]
    docstring = f'"""The channels and messages of {title}."""'
    return module_text(docstring, "\n".join(lines), _SDK_NAMES, package=package)


def channel_names(operations: Sequence[ChannelOperation]) -> Mapping[str, str]:
    """Return the names of the constants for channels, by channel name."""
    taken_names = set(_SDK_NAMES)
    channels = dict.fromkeys(operation.channel for operation in operations)
    return {channel: unique(member_name(channel), taken_names) for channel in channels}


def _channel(operation: ChannelOperation) -> Group:
    items: list[str | Group] = [literal(operation.address)]
    choices = tuple(
        f"{literal(name)}: frozenset({{{', '.join(map(literal, values))}}})"
        for name, values in operation.choices
        if values is not None
    )
    if choices:
        items.append(Group("", choices, "{"))
    return Group("Channel", tuple(items))


def _maker_lines(maker: MakeFunction, channel: str) -> Iterator[str]:
    yield from laid_out(
        Group(f"def {maker.name}", tuple(_signature(maker))), after=" -> TopicMessage:"
    )
    yield f'    """{one_line(_docstring_of("Return", maker.operation, maker.message.name), 90)}"""'
    values = tuple(
        f"{literal(item.wire)}: {item.name}" for item in maker.arguments if item.place == "topic"
    )
    topic = Group(f"{channel}.topic", (Group("", values, "{"),) if values else ())
    headers = tuple(_header(item) for item in maker.arguments if item.place == "header")
    items: list[str | Group] = [_content(maker.payload)]
    if headers:
        items.append(Group("headers=", headers, "["))
    message = Group("make_message", (*items, "key=key", "message_id=message_id"))
    yield from laid_out(Group("TopicMessage", (topic, message)), indent=4, before="return ")


def _signature(maker: MakeFunction) -> Iterator[str]:
    yield f"body: {prefixed_annotation(maker.payload.kind.annotation)}"
    yield "*"
    for item in sorted(maker.arguments, key=lambda item: not item.required):
        annotation = prefixed_annotation(item.kind.nested)
        yield f"{item.name}: {annotation if item.required else optional(annotation)}"
    yield "key: str | bytes" if maker.message.has_key else "key: str | bytes | None = None"
    yield "message_id: str | None = None"


def _header(argument: Argument) -> Group:
    kind = prefixed_annotation(argument.kind.annotation)
    items = (literal(argument.wire), kind, argument.name, *argument.kind.limits)
    return Group("*parameter", items)


def _content(payload: Payload) -> Group:
    media_type = f"media_type={literal(payload.media_type)}"
    if payload.form != "json":
        return Group(f"{payload.form}_content", ("body", media_type))
    items = [prefixed_annotation(payload.kind.annotation), "body", *payload.kind.limits]
    if payload.media_type != "application/json":
        items.append(media_type)
    return Group("json_content", tuple(items))


def _reader_lines(reader: ReadFunction, *, checks: bool) -> Iterator[str]:
    payload = reader.payload
    annotation = prefixed_annotation(payload.kind.annotation)
    yield from laid_out(
        Group(f"def {reader.name}", ("payload: bytes",)), after=f" -> {annotation}:"
    )
    names = ", ".join(message.name for message in reader.operation.messages)
    docstring = _docstring_of("Return the payload of", reader.operation, names)
    yield f'    """{one_line(docstring, 90)}"""'
    if payload.form == "json":
        options = () if checks else ("checks=False",)
        items = (annotation, "payload", *payload.kind.limits, *options)
        yield from assigned_field("value", annotation, Group("json_payload", items))
        yield "    return value"
    else:
        yield f"    return {'text_payload(payload)' if payload.form == 'text' else 'payload'}"


def _docstring_of(start: str, operation: ChannelOperation, name: str) -> str:
    docstring = f"{start} {name} of {operation.address}"
    summary = operation.node.text("summary")
    return docstring if summary is None else f"{docstring}: {summary}"
