"""Protobuf schemas made without a compiler."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

from google.protobuf import descriptor_pb2

from moorage.domain.schemas.schema import CompleteSchema, Schema

KINDS = descriptor_pb2.FieldDescriptorProto


def file_of(name: str = "shop.proto", **fields: Any) -> descriptor_pb2.FileDescriptorProto:
    """Return a descriptor of a file in the package shop."""
    fields.setdefault("syntax", "proto3")
    return descriptor_pb2.FileDescriptorProto(name=name, package="shop", **fields)


def add_field(
    message: descriptor_pb2.DescriptorProto, name: str, number: int, kind: str, **fields: Any
) -> None:
    """Add a field such as ("id", 1, "int64") to a message."""
    label = fields.pop("label", "optional")
    message.field.add(
        name=name,
        number=number,
        type=KINDS.Type.Value(f"TYPE_{kind.upper()}"),
        label=KINDS.Label.Value(f"LABEL_{label.upper()}"),
        **fields,
    )


def order_file(*fields: tuple[Any, ...], **more: Any) -> descriptor_pb2.FileDescriptorProto:
    """Return a file with a message Order that has these fields, each as name, number and type."""
    file = file_of(**more)
    message = file.message_type.add(name="Order")
    for name, number, kind, *options in fields:
        add_field(message, name, number, kind, **(options[0] if options else {}))
    return file


def schema_of(*files: descriptor_pb2.FileDescriptorProto) -> Schema:
    """Return a schema of one file, or of several files of which the last is the schema's own."""
    data = files[0].SerializeToString()
    if len(files) > 1:
        data = descriptor_pb2.FileDescriptorSet(file=files).SerializeToString()
    return Schema(b64encode(data).decode(), "protobuf")


def complete_schema(*files: descriptor_pb2.FileDescriptorProto) -> CompleteSchema:
    """Return a complete schema that has no references."""
    return CompleteSchema(schema_of(*files))
