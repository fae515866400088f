"""Generated message packages are typed, tested and deterministic, and read their own messages."""

from __future__ import annotations

import json
import subprocess
import sys
from decimal import Decimal
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

from moorage import ConnectorManager, DescriptionRefused, InvalidData, Service
from moorage.cli import main
from moorage.client_sdk import Channel, TopicMessage, json_payload, make_message, text_payload
from moorage.client_sdk.contents import binary_content
from moorage.domain.asyncapi.description import AsyncApi
from moorage.scaffold import write
from moorage.scaffold.client.message_package import MessageOptions, message_files
from moorage.testing import MemoryBroker
from tests.support.asyncapi_samples import events

if TYPE_CHECKING:
    from pathlib import Path

ORDERS = {"$ref": "#/channels/orders"}
NOTES = {"$ref": "#/channels/notes"}
SHOP = events(
    {
        "onOrder": {"action": "receive", "channel": ORDERS, "summary": 'Take "one" order.'},
        "tellOrders": {"action": "send", "channel": ORDERS},
        "takeNote": {"action": "receive", "channel": NOTES},
        "takeNoteAgain": {"action": "receive", "channel": NOTES},
        "tellNote": {"action": "send", "channel": NOTES},
        "takeScan": {"action": "receive", "channel": {"$ref": "#/channels/scans"}},
        "tellScan": {"action": "send", "channel": {"$ref": "#/channels/scans"}},
    },
    servers={
        "main": {"host": "kafka.example:9092", "protocol": "kafka"},
        "web": {"host": "ws.example", "protocol": "wss"},
    },
    channels={
        "orders": {
            "address": "shops/{shop}/{env}/orders",
            "parameters": {"shop": {}, "env": {"enum": ["test", "live"]}},
            "messages": {
                "orderPlaced": {"$ref": "#/components/messages/orderPlaced"},
                "orderCancelled": {
                    "contentType": "application/vnd.shop+json",
                    "payload": {
                        "type": "object",
                        "required": ["why"],
                        "properties": {"why": {"type": "string", "maxLength": 5}},
                    },
                },
            },
        },
        "notes": {
            "address": "notes",
            "messages": {"note": {"contentType": "text/plain", "payload": {"type": "string"}}},
        },
        "scans": {"address": "scans", "messages": {"scan": {"contentType": "image/png"}}},
    },
    components={
        "messages": {
            "orderPlaced": {
                "bindings": {"kafka": {"key": {"type": "string"}}},
                "headers": {
                    "type": "object",
                    "required": ["trace-id"],
                    "properties": {
                        "attempt": {"type": "integer", "minimum": 1},
                        "trace-id": {"type": "string"},
                        "mode": {"enum": ["fast", "slow"]},
                    },
                },
                "payload": {"$ref": "#/components/schemas/Order"},
            }
        },
        "schemas": {
            "Order": {
                "type": "object",
                "required": ["id", "total"],
                "properties": {"id": {"type": "string"}, "total": {"type": "number"}},
            }
        },
    },
)


def run(folder: Path, *command: str) -> str:
    """Run a Python program in a folder, and return its output."""
    finished = subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True, check=False
    )
    assert 0 == finished.returncode, finished.stdout + finished.stderr
    return finished.stdout


def files(tree: dict[str, Any], **options: Any) -> dict[str, str]:
    """Return the generated files for the messages of a description."""
    return message_files(AsyncApi(tree), "shop", MessageOptions(**options))


def test_package_passes_its_tests_types_and_format(tmp_path: Path) -> None:
    """The generated package passes its own tests, strict type checks and the formatter."""
    write(files(SHOP), tmp_path / "shop")
    plugins = ("cacheprovider", "django", "hypothesispytest", "pytest_cov", "randomly", "xdist")
    folder = tmp_path / "shop"
    assert " passed" in run(folder, "pytest", "-q", *(f"-pno:{plugin}" for plugin in plugins))
    for module in ("mypy", "ruff"):
        pytest.importorskip(module)
    run(folder, "mypy", "--strict", "src")
    run(folder, "ruff", "format", "--check", ".")
    run(folder, "ruff", "check", ".")


def test_same_description_gives_same_files() -> None:
    """Generating the messages twice from one description produces the same files."""
    first = files(SHOP)
    assert first == files(json.loads(json.dumps(SHOP)))
    assert "makes 5 and reads 3 kinds" in first["README.md"]
    assert '`kind = "kafka"`' in first["README.md"]
    assert "no kind of connector" in first["README.md"]
    assert "makes 4 and reads 4 kinds" in files(SHOP, role="application")["README.md"]


def test_messages_go_through_a_broker_and_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message that is made, published and received is read as the same value."""
    for role in ("client", "application"):
        name = f"{role}_shop"
        texts = message_files(AsyncApi(SHOP), name, MessageOptions(role=role, check_received=True))
        write(texts, tmp_path / role)
        monkeypatch.syspath_prepend(tmp_path / role / "src")
    sent_messages = import_module("client_shop_messages.messages")
    models = import_module("client_shop_messages.models")
    received_messages = import_module("application_shop_messages.messages")
    broker = MemoryBroker()
    publisher = broker.publisher("events")
    order = models.Order(id="7", total=Decimal("0.1000000000000000055"))
    order_message = sent_messages.make_order_placed(
        order, shop="a-1", env="live", trace_id="4711", attempt=2, key="7", message_id="m"
    )
    with ConnectorManager([Service("events")]) as manager:
        manager.perform("events", publisher.publish(*order_message))
    [message] = broker.messages
    assert "shops/a-1/live/orders" == message.topic
    assert (("attempt", "2"), ("trace-id", "4711")) == message.message.headers
    assert (b"7", "m", "application/json") == (
        message.message.key,
        message.message.id,
        message.message.content_type,
    )
    payload = message.message.payload
    assert order.total == received_messages.read_on_order(payload).total
    assert {"shop": "a-1", "env": "live"} == received_messages.ORDERS.values_of(message.topic)
    for refused_payload in (b'{"why": "123456"}', b'{"id": "7", "total": 1e9999999999999999999}'):
        with pytest.raises(InvalidData):
            received_messages.read_on_order(refused_payload)
    note = sent_messages.make_note("é").message
    assert ("text/plain", "é") == (note.content_type, received_messages.read_note(note.payload))
    assert "take_note_again" not in sent_messages.make_note_of_take_note_again("a").topic
    scan = sent_messages.make_scan(b"\x00").message
    assert ("image/png", b"\x00") == (scan.content_type, received_messages.read_scan(scan.payload))
    cancelled = sent_messages.make_order_cancelled(
        models.OrderCancelled(why="x"), shop="a", env="test"
    )
    assert "application/vnd.shop+json" == cancelled.message.content_type


def test_names_of_generated_modules_may_occur_in_the_message_description(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operation called "message" and a channel called "as text" have functions that work."""
    channel = {
        "address": "{package}/orders",
        "parameters": {"package": {}},
        "messages": {"message": {"payload": {"type": "string", "format": "decimal"}}},
    }
    tree = events(
        {"message": {"action": "receive", "channel": {"$ref": "#/channels/as text"}}},
        channels={"as text": channel},
    )
    write(message_files(AsyncApi(tree), "parcels", MessageOptions()), tmp_path)
    monkeypatch.syspath_prepend(tmp_path / "src")
    messages = import_module("parcels_messages.messages")
    topic_message = messages.make_message_(Decimal("1.50"), package="left-pad")
    assert ("left-pad/orders", b'"1.50"') == (topic_message.topic, topic_message.message.payload)


def with_message(message: Any, **parts: Any) -> dict[str, Any]:
    """Return a description whose first operation has this message besides the usual messages."""
    channels = {
        "a": {"address": "a", "messages": {"one": message}},
        "b": {"address": "b", "messages": {"two": {}}},
    }
    return events(
        {
            "take": {"action": "receive", "channel": {"$ref": "#/channels/a"}},
            "other": {"action": "receive", "channel": {"$ref": "#/channels/b"}},
        },
        channels=channels,
        **parts,
    )


@pytest.mark.parametrize(
    "message, place",
    [
        ({"contentType": "application/xml", "payload": {"type": "object"}}, "payload"),
        ({"payload": {"type": "tuple"}}, "payload/type"),
        ({"headers": 1}, "headers"),
        ({"headers": {"allOf": []}}, "headers"),
        ({"headers": {"properties": {"a": {"type": "array"}}}}, "headers/properties/a"),
        ({"headers": {"properties": {"a": 1}}}, "headers/properties/a"),
    ],
)
def test_messages_that_cannot_be_mapped_are_reported(message: Any, place: str) -> None:
    """A message that cannot be mapped is reported by its place, or left out and listed."""
    tree = with_message(message)
    with pytest.raises(DescriptionRefused) as excinfo:
        files(tree)
    assert [f"#/channels/a/messages/one/{place}"] == [
        problem.path for problem in excinfo.value.problems
    ]
    texts = files(tree, skip_unmapped=True)
    assert f"`#/channels/a/messages/one/{place}`" in texts["README.md"]
    assert "make_two" in texts["src/shop_messages/messages.py"]


def test_message_that_needs_an_incomplete_class_is_refused() -> None:
    """If a class cannot be generated, messages that need it, even indirectly, are refused too."""
    schemas = {
        "First": {
            "type": "object",
            "properties": {
                "other": {"$ref": "#/components/schemas/Second"},
                "bad": {"type": "tuple"},
            },
        },
        "Second": {
            "type": "object",
            "properties": {
                "first": {"$ref": "#/components/schemas/First"},
                "again": {"$ref": "#/components/schemas/Second"},
            },
        },
    }
    tree = with_message(
        {"payload": {"$ref": "#/components/schemas/First"}}, components={"schemas": schemas}
    )
    tree["channels"]["b"]["messages"]["two"] = {"payload": {"$ref": "#/components/schemas/Second"}}
    with pytest.raises(DescriptionRefused) as excinfo:
        files(tree)
    assert ["#/components/schemas/First/properties/bad/type", "#/operations/other"] == [
        problem.path for problem in excinfo.value.problems
    ]


def test_indistinguishable_alternatives_are_refused() -> None:
    """Several messages of one receiving operation are refused unless all of them are JSON."""
    tree = with_message({"contentType": "text/plain"})
    tree["channels"]["a"]["messages"]["three"] = {}
    with pytest.raises(DescriptionRefused, match="cannot be distinguished"):
        files(tree, role="application")
    del tree["channels"]["a"]["messages"]["one"]["contentType"]
    module = files(tree, role="application")["src/shop_messages/messages.py"]
    assert "def read_take(payload: bytes) -> Any:" in module


def test_description_without_operations_is_refused() -> None:
    """An AsyncAPI description without operations is refused."""
    with pytest.raises(DescriptionRefused, match="no operation"):
        files(events())
    tree = with_message({"payload": {"type": "tuple"}})
    with pytest.raises(DescriptionRefused, match="tuple"):
        files(tree, operations=frozenset({"take"}), skip_unmapped=True)


def test_command_writes_the_messages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`moorage scaffold messages` writes the package, and lists what it cannot map."""
    file = tmp_path / "shop.json"
    file.write_text(json.dumps(SHOP))
    folder = tmp_path / "messages"
    arguments = ["scaffold", "messages", str(file), "--into", str(folder), "--drop-unknown"]
    assert 0 == main([*arguments, "--operation", "onOrder", "--role", "application"])
    module = (folder / "src/shop_events_messages/messages.py").read_text()
    assert "def read_on_order(" in module
    assert "other_fields" not in (folder / "src/shop_events_messages/models.py").read_text()
    assert 2 == main([*arguments, "--force", "--operation", "none"])
    assert "none" in capsys.readouterr().err


CHANNEL = Channel("shops/{shop}/{env}/{shop}", {"env": frozenset({"test", "live"})})


def test_topic_is_built_from_values_and_parsed_back() -> None:
    """A topic is built from values and parsed back; its pattern covers all such topics."""
    values = {"shop": "a.b", "env": "live"}
    assert "shops/a.b/live/a.b" == CHANNEL.topic(values)
    assert values == CHANNEL.values_of("shops/a.b/live/a.b")
    assert ("shop", "env") == CHANNEL.parameters
    assert "shops/+/+/+" == CHANNEL.pattern()
    assert "orders.*" == Channel("orders.{id}").pattern("*")
    assert ("orders", {}) == (Channel("orders").topic(), Channel("orders").values_of("orders"))


@pytest.mark.parametrize("topic", ["shops/a/live/b", "shops/a/b/live/a", "shop/a/live/a", ""])
def test_topic_of_another_channel_is_refused(topic: str) -> None:
    """Parsing a topic that does not belong to the channel is refused."""
    assert not CHANNEL.has(topic)
    with pytest.raises(InvalidData, match="does not belong to the channel"):
        CHANNEL.values_of(topic)


@pytest.mark.parametrize(
    "shop, env, problem",
    [
        ("a/b", "live", "a separator of topics"),
        ("#", "live", "a separator of topics"),
        ("a b", "live", "white space"),
        ("", "live", "must be a string of printable characters"),
        ("a\n", "live", "must be a string of printable characters"),
        (7, "live", "must be a string of printable characters"),
        (None, "live", "must be a string of printable characters"),
        ("a", "none", "not one of the values in the description"),
    ],
)
def test_value_that_changes_the_segments_of_a_topic_is_refused(
    shop: Any, env: str, problem: str
) -> None:
    """A value that would add or remove segments of a topic is refused."""
    with pytest.raises(InvalidData, match=problem):
        CHANNEL.topic({"shop": shop, "env": env})


def test_unreadable_payload_is_invalid_data() -> None:
    """A received payload that is not JSON or not UTF-8 is refused as invalid data."""
    for payload in (b"{", b"NaN", b"[" * 100_000, b"\xff"):
        with pytest.raises(InvalidData, match="not JSON"):
            json_payload(int, payload)
    with pytest.raises(InvalidData, match="UTF-8"):
        text_payload(b"\xff")
    assert 1 == json_payload(int, b"1")


def test_message_and_topic_are_a_pair() -> None:
    """A TopicMessage unpacks into the topic and message that a publisher accepts."""
    message = make_message(binary_content(b"a"), headers=[("a", "b")], key=b"k")
    topic, unpacked = TopicMessage("orders", message)
    assert ("orders", message) == (topic, unpacked)
