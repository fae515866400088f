"""Protobuf definitions of a small gRPC service in two files, built without generated code."""

from __future__ import annotations

from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, timestamp_pb2
from google.protobuf.message_factory import GetMessageClass

GET: Final = "shop.Orders/Get"
WATCH: Final = "shop.Orders/Watch"
PUT: Final = "shop.Orders/Put"


def files() -> list[descriptor_pb2.FileDescriptorProto]:
    """Return the file descriptors in order, so that each follows the files that it imports."""
    stamp = descriptor_pb2.FileDescriptorProto()
    timestamp_pb2.DESCRIPTOR.CopyToProto(stamp)
    types = descriptor_pb2.FileDescriptorProto(
        name="shop/types.proto", package="shop", syntax="proto3", dependency=[stamp.name]
    )
    order = types.message_type.add(name="Order")
    kinds = descriptor_pb2.FieldDescriptorProto
    order.field.add(name="order_id", number=1, type=kinds.TYPE_INT64, label=kinds.LABEL_OPTIONAL)
    order.field.add(name="notes", number=2, type=kinds.TYPE_STRING, label=kinds.LABEL_REPEATED)
    order.field.add(
        name="due",
        number=3,
        type=kinds.TYPE_MESSAGE,
        type_name=".google.protobuf.Timestamp",
        label=kinds.LABEL_OPTIONAL,
    )
    order.enum_type.add(name="State").value.add(name="NEW", number=0)
    order.field.add(
        name="state",
        number=4,
        type=kinds.TYPE_ENUM,
        type_name=".shop.Order.State",
        label=kinds.LABEL_OPTIONAL,
    )
    entry = order.nested_type.add(name="PricesEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=kinds.TYPE_STRING, label=kinds.LABEL_OPTIONAL)
    entry.field.add(name="value", number=2, type=kinds.TYPE_DOUBLE, label=kinds.LABEL_OPTIONAL)
    order.field.add(
        name="prices",
        number=5,
        type=kinds.TYPE_MESSAGE,
        type_name=".shop.Order.PricesEntry",
        label=kinds.LABEL_REPEATED,
    )
    service_file = descriptor_pb2.FileDescriptorProto(
        name="shop/orders.proto", package="shop", syntax="proto3", dependency=[types.name]
    )
    service = service_file.service.add(name="Orders")
    for name in ("Get", "Put", "Watch"):
        method = service.method.add(name=name, input_type=".shop.Order", output_type=".shop.Order")
        method.server_streaming = name == "Watch"
    service.method[0].options.idempotency_level = descriptor_pb2.MethodOptions.NO_SIDE_EFFECTS
    return [stamp, types, service_file]


def descriptor_set(without: str = "") -> bytes:
    """Return a serialized `FileDescriptorSet` of the files, optionally without one of them."""
    chosen = [file for file in files() if file.name != without]
    return descriptor_pb2.FileDescriptorSet(file=chosen).SerializeToString()


def new_pool() -> Any:
    """Return a descriptor pool that contains the files."""
    pool: Any = descriptor_pool.DescriptorPool()
    for file in files():
        pool.Add(file)
    return pool


def order_class(pool: Any) -> Any:
    """Return the message class of orders."""
    return GetMessageClass(pool.FindMessageTypeByName("shop.Order"))
