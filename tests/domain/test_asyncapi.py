"""Operations, messages and servers read from AsyncAPI descriptions."""

from __future__ import annotations

from typing import Any

import pytest

from moorage import DescriptionRefused
from moorage.domain.asyncapi.description import AsyncApi
from tests.support.asyncapi_samples import events


@pytest.mark.parametrize("version", ["2.0.0", "2.6.0", "3.0.0", "3.1.0"])
def test_asyncapi_descriptions_of_supported_versions_are_read(version: str) -> None:
    """AsyncAPI descriptions of the supported versions are read, even without operations."""
    assert ((), ()) == AsyncApi({"asyncapi": version}).map_operations()


@pytest.mark.parametrize("tree", [{"asyncapi": "1.2.0"}, {"openapi": "3.1.0"}, {"asyncapi": 3}, []])
def test_other_descriptions_are_refused(tree: Any) -> None:
    """A description of another kind or version is refused with a list of supported versions."""
    with pytest.raises(DescriptionRefused, match=r"2\.0 to 2\.6"):
        AsyncApi(tree)


def test_both_versions_describe_the_same() -> None:
    """AsyncAPI 2's `publish` is read like AsyncAPI 3's action `receive`."""
    message = {"name": "placed", "payload": {"type": "object"}}
    older = AsyncApi(
        {
            "asyncapi": "2.6.0",
            "channels": {
                "orders/{id}": {
                    "parameters": {"id": {"schema": {"type": "string", "enum": ["a", "b"]}}},
                    "publish": {"operationId": "takeOrder", "message": message},
                    "subscribe": {"message": {"oneOf": [message, {"title": "cancelled"}]}},
                }
            },
        }
    )
    newer = AsyncApi(
        events(
            {
                "takeOrder": {"action": "receive", "channel": {"$ref": "#/channels/orders"}},
                "subscribe orders/{id}": {
                    "action": "send",
                    "channel": {"$ref": "#/channels/orders"},
                    "messages": [
                        {"$ref": "#/channels/orders/messages/placed"},
                        {"$ref": "#/components/messages/cancelled"},
                    ],
                },
            },
            channels={
                "orders": {
                    "address": "orders/{id}",
                    "parameters": {"id": {"enum": ["a", "b"]}},
                    "messages": {"placed": message},
                }
            },
            components={"messages": {"cancelled": {}}},
        )
    )
    seen_values = []
    for api in (older, newer):
        operations, problems = api.map_operations()
        assert () == problems
        seen_values.append(
            [
                (
                    item.name,
                    item.action,
                    item.address,
                    item.choices,
                    [m.name for m in item.messages],
                )
                for item in operations
            ]
        )
    assert seen_values[0] == seen_values[1]
    assert (
        "takeOrder",
        "receive",
        "orders/{id}",
        (("id", ("a", "b")),),
        ["placed"],
    ) == seen_values[0][0]


def test_fields_of_messages_come_from_traits_and_defaults() -> None:
    """An AsyncAPI message inherits missing fields from its traits."""
    trait = {"headers": {"type": "object"}, "contentType": "text/plain", "name": "trait"}
    channels = {
        "a": {
            "address": "a",
            "messages": {
                "first": {"traits": [{"$ref": "#/components/messageTraits/usual"}], "name": "one"},
                "second": {"bindings": {"kafka": {"key": {"type": "string"}}}},
            },
        }
    }
    api = AsyncApi(
        events(
            {"take": {"action": "receive", "channel": {"$ref": "#/channels/a"}}},
            channels=channels,
            components={"messageTraits": {"usual": trait}},
            defaultContentType="application/vnd.shop+json",
        )
    )
    [operation], _ = api.map_operations()
    first, second = operation.messages
    assert ("one", "text/plain", {"type": "object"}) == (
        first.name,
        first.content_type,
        first.headers.value,
    )
    assert ("second", "application/vnd.shop+json", True) == (
        second.name,
        second.content_type,
        second.has_key,
    )


def test_message_without_a_name_has_that_of_its_operation() -> None:
    """An AsyncAPI message without a name is named after its operation."""
    alternatives = [{"payload": {}}, {"messageId": "named"}]
    tree = {
        "asyncapi": "2.4.0",
        "channels": {
            "a": {
                "publish": {"operationId": "take", "message": {"payload": {}}},
                "subscribe": {"operationId": "give", "message": {"oneOf": alternatives}},
            }
        },
    }
    operations, _ = AsyncApi(tree).map_operations()
    assert [["take"], ["give", "named"]] == [[m.name for m in item.messages] for item in operations]


@pytest.mark.parametrize("schema_format", ["application/schema+json;version=draft-07", None])
def test_asyncapi_3_payload_may_contain_schema_and_name_of_schema_format(
    schema_format: str | None,
) -> None:
    """An AsyncAPI 3 payload may contain a schema and the name of the schema's format."""
    payload = {"schemaFormat": schema_format, "schema": {"type": "string"}}
    channels = {"a": {"address": "a", "messages": {"one": {"payload": payload}}}}
    operations = {"take": {"action": "receive", "channel": {"$ref": "#/channels/a"}}}
    [operation], _ = AsyncApi(events(operations, channels=channels)).map_operations()
    assert {"type": "string"} == operation.messages[0].payload.value


@pytest.mark.parametrize(
    "operation, channel, place, problem",
    [
        ([], {}, "#/operations/take", "not an object"),
        ({"reply": {}}, {}, "#/operations/take/reply", "reply"),
        ({"action": "ask"}, {}, "#/operations/take/action", "not send or receive"),
        ({"channel": {"$ref": "#/no"}}, {}, "#/operations/take/channel", "that does not exist"),
        ({}, {"address": None}, "#/channels/a/address", "no address"),
        ({}, {"address": "a/{b"}, "#/channels/a", "brace"),
        ({}, {"address": "a b"}, "#/channels/a", "white space"),
        ({}, {"address": "a/{b}"}, "#/channels/a", "the channel does not describe it"),
        (
            {},
            {"address": "a/{b}", "parameters": {"b": {"enum": [1]}}},
            "#/channels/a/parameters/b/enum",
            "not a list of strings",
        ),
        ({}, {"messages": {}}, "#/operations/take", "no message"),
        ({}, {"messages": {"one": 1}}, "#/channels/a/messages/one", "not an object"),
        (
            {},
            {"messages": {"one": {"schemaFormat": "application/vnd.apache.avro;version=1.9.0"}}},
            "#/channels/a/messages/one/schemaFormat",
            "schema format",
        ),
    ],
)
def test_asyncapi_operation_that_cannot_be_mapped_is_reported_with_its_place(
    operation: Any, channel: Any, place: str, problem: str
) -> None:
    """AsyncAPI operations that cannot be mapped are reported by location; the rest is mapped."""
    valid_operation = {"action": "receive", "channel": {"$ref": "#/channels/a"}}
    broken = {**valid_operation, **operation} if isinstance(operation, dict) else operation
    usual_channel = {"address": "a", "messages": {"one": {}}}
    api = AsyncApi(
        events(
            {"take": broken, "other": {"action": "send", "channel": {"$ref": "#/channels/b"}}},
            channels={"a": {**usual_channel, **channel}, "b": usual_channel},
        )
    )
    mapped, problems = api.map_operations()
    assert ["other"] == [item.name for item in mapped]
    assert [place] == [item.path for item in problems]
    assert problem in problems[0].found


def test_operation_of_version_2_without_a_message() -> None:
    """An AsyncAPI 2 operation without a message is refused."""
    tree = {"asyncapi": "2.6.0", "channels": {"a": {"publish": {}}}}
    mapped, problems = AsyncApi(tree).map_operations()
    assert ((), "#/channels/a/publish") == (mapped, problems[0].path)


def test_operations_are_chosen_by_name() -> None:
    """If AsyncAPI operations are chosen by name, an unknown name is refused."""
    channels = {"a": {"address": "a", "messages": {"one": {}}}}
    operations = {
        name: {"action": "send", "channel": {"$ref": "#/channels/a"}}
        for name in ("first", "second")
    }
    api = AsyncApi(events(operations, channels=channels))
    assert ["second"] == [item.name for item in api.map_operations({"second"})[0]]
    with pytest.raises(DescriptionRefused, match="'third'"):
        api.map_operations({"third"})


def test_asyncapi_server_protocol_decides_kind_of_connector() -> None:
    """An AsyncAPI server's protocol decides the kind of connector."""
    api = AsyncApi(
        events(
            servers={
                "main": {"host": "mq.example", "pathname": "/shop", "protocol": "amqps"},
                "old": {"url": "mqtt.example:1883", "protocol": "secure-mqtt"},
                "web": {"$ref": "#/components/servers/web"},
            },
            components={"servers": {"web": {"host": "ws.example", "protocol": "wss"}}},
        )
    )
    assert [
        ("main", "mq.example/shop", "rabbitmq"),
        ("old", "mqtt.example:1883", "mqtt"),
        ("web", "ws.example", None),
    ] == [(item.name, item.address, item.kind) for item in api.servers]


def test_broken_reference_to_a_server_is_refused() -> None:
    """The error for a broken reference to a server has its place."""
    api = AsyncApi(events(servers={"main": {"$ref": "#/components/servers/main"}}))
    with pytest.raises(DescriptionRefused) as excinfo:
        _ = api.servers
    assert ["#/servers/main"] == [problem.path for problem in excinfo.value.problems]


@pytest.mark.parametrize("title, name", [("Shop: Events!", "shop-events"), ("", "events")])
def test_name_of_a_description_is_its_title_or_a_default(title: str, name: str) -> None:
    """The name of an AsyncAPI description is its title, or else a default name."""
    api = AsyncApi(events(info={"title": title}))
    assert (title or "events", name) == (api.title, api.name)
