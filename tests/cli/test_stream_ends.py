"""`moorage stream run` with sources and sinks of each kind that a configuration can name."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet
import pytest

import moorage
from moorage import AsyncWebhookInbox
from moorage.adapters.entries.sqlite import AsyncSqliteInbox
from moorage.testing import VendorServer
from tests.pipelines.webhook_worker import ACCOUNTS, SECRET, delivery
from tests.support.command import command

if TYPE_CHECKING:
    from collections.abc import Iterator

MODULE = '''
"""The functions of pipelines."""

from moorage import Request, SourceRecord
from moorage.contracts.sms import SmsMessage


def after(position):
    numbers = [number for number in range(1, 4) if number > (position or 0)]
    return [
        SourceRecord.of_json({"number": number, "note": "tea"}, offset=number)
        for number in numbers
    ] or None


def row(record):
    return {"number": record.json()["number"] * 10, "note": "by function"}


def request(record):
    return Request.put(f"/notes/{record.json()['number']}", json=record.json())


def sms(record):
    return SmsMessage(to="+4917000000" + str(record.json()["number"]), text="Tea is there.")
'''
STATE = '[state]\nurl = "sqlite:///state.db"\n'
SHOP = '[connectors.shop]\nkind = "sql"\nurl = "sqlite:///shop.db"\n'
SOURCE = '[pipelines.orders]\nsource = {function = "our_ends:after"}\n'


@pytest.fixture(autouse=True)
def _program(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Write a Python program with the functions that the pipelines use."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    Path("our_ends.py").write_text(MODULE, encoding="utf-8")
    yield
    sys.modules.pop("our_ends", None)


@pytest.fixture(name="vendor")
def _vendor() -> Iterator[VendorServer]:
    """Start a server whose responses the test sets."""
    with VendorServer() as server:
        yield server


def run(sink: str, *more: str) -> None:
    """Run a pipeline with a sink until its source ends."""
    text = "\n".join([STATE, *more, SOURCE, f"sink = {sink}"])
    Path("moorage.toml").write_text(text, encoding="utf-8")
    ending = command("stream", "run")
    assert 0 == ending.code, ending.err


def execute(statement: str) -> list[Any]:
    """Execute a statement in the shop's database, and return the rows of its result."""
    with closing(sqlite3.connect("shop.db")) as shop, shop:
        return shop.execute(statement).fetchall()


def test_rows_are_written_to_a_database() -> None:
    """A sink of kind `sql` writes fields of the records, or the values that a function returns."""
    execute("CREATE TABLE orders (number integer PRIMARY KEY, note text)")
    sink = 'kind = "sql", connector = "shop", table = "orders", columns = ["number", "note"]'
    run(f'{{{sink}, key = "number"}}', SHOP)
    assert [(1, "tea"), (2, "tea"), (3, "tea")] == execute("SELECT * FROM orders")
    command("stream", "reset", "orders")
    run(f'{{{sink}, key = "number", row = "our_ends:row"}}', SHOP)
    assert [(10,), (20,), (30,)] == execute("SELECT number FROM orders WHERE note = 'by function'")


def test_positions_move_with_the_rows_of_a_configured_sink() -> None:
    """With checkpoints, a row is written once; `stream reset` moves the position back."""
    execute("CREATE TABLE orders (number integer, note text)")
    sink = (
        '{kind = "sql", connector = "shop", table = "orders", columns = ["number", "note"],'
        " checkpoints = true}"
    )
    run(sink, SHOP)
    run(sink, SHOP)
    assert [(1,), (2,), (3,)] == execute("SELECT number FROM orders")
    assert [('{"0": 3}',)] == execute("SELECT positions FROM moorage_checkpoints")
    assert 0 == command("stream", "reset", "orders", "--to", "1").code
    run(sink, SHOP)
    assert [(1,), (2,), (3,), (2,), (3,)] == execute("SELECT number FROM orders")


def test_dead_letters_of_rows_with_positions_are_replayed() -> None:
    """A replay writes rows without changing the source's position."""
    execute("CREATE TABLE orders (number integer CHECK (number <> 2), note text)")
    sink = (
        '{kind = "sql", connector = "shop", table = "orders", columns = ["number", "note"],'
        ' checkpoints = true}\ndead_letters = {file = "dead.jsonl"}'
    )
    run(sink, SHOP)
    assert [(1,), (3,)] == execute("SELECT number FROM orders")
    execute("DROP TABLE orders")
    execute("CREATE TABLE orders (number integer, note text)")
    ending = command("stream", "dlq", "replay", "orders", "--everything")
    assert (0, "replayed: 1 processed, 0 failed again\n") == (ending.code, ending.out)
    assert [(2,)] == execute("SELECT number FROM orders")


def test_sink_of_kind_files_writes_csv() -> None:
    """A sink of kind `files` writes CSV, and a source of kind `file` reads the file."""
    Path("exports").mkdir()
    run('{kind = "files", folder = "exports", format = "csv", columns = ["number", "note"]}')
    [path] = Path("exports").glob("orders-*.csv")
    assert ["number,note", "1,tea", "2,tea", "3,tea"] == path.read_text("utf-8").splitlines()

    source = f'{{kind = "file", path = "{path}", format = "csv", is_complete = true}}'
    text = (
        f"{STATE}[pipelines.import]\nsource = {source}\n"
        'sink = {kind = "files", folder = "exports", name = "copies"}\n'
    )
    Path("moorage.toml").write_text(text, encoding="utf-8")
    assert 0 == command("stream", "run").code
    [copy] = Path("exports").glob("copies-*.jsonl")
    assert ["1", "2", "3"] == [
        json.loads(line)["number"] for line in copy.read_text("utf-8").splitlines()
    ]


def test_records_are_written_to_parquet() -> None:
    """A sink of kind `parquet` writes Parquet files with the configured columns."""
    run('{kind = "parquet", folder = ".", columns = {number = "int32"}}')
    [path] = Path().glob("orders-*.parquet")
    assert {"number": [1, 2, 3]} == pyarrow.parquet.read_table(path).to_pydict()
    run('{kind = "parquet", folder = ".", name = "all"}')


def test_http_endpoint_is_polled(vendor: VendorServer) -> None:
    """A source of kind `http` delivers the items of an endpoint that come after its position."""
    orders = [{"id": number, "at": f"2026-03-01T10:00:0{number}Z"} for number in range(3)]
    vendor.respond_json({"orders": orders})
    vendor.respond_json({"orders": [{"id": 3}]})
    text = f"""{STATE}
[services.shop]
base_url = "{vendor.url}"

[pipelines.orders.source]
kind = "http"
service = "shop"
path = "/orders"
query = {{state = "paid"}}
items = "orders"
since = "from"
time = "at"
overlap = 0

[pipelines.orders.sink]
kind = "files"
folder = "."
"""
    Path("moorage.toml").write_text(text, encoding="utf-8")
    ending = command("stream", "run")
    # The second response has no times, which ends the pipeline with an error.
    assert "no time of a record" in ending.err
    [path] = Path().glob("orders-*.jsonl")
    assert orders == [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    vendor.respond_json({"orders": [{"id": 4}]})
    command("stream", "run")
    next_query = {"state": "paid", "from": "2026-03-01T10:00:02Z"}
    assert [{"state": "paid"}, next_query, next_query] == [
        dict(item.query) for item in vendor.requests
    ]


WEBHOOKS = """
from moorage import AsyncWebhookInbox, AuthenticationFailed
from moorage.adapters.entries.sqlite import AsyncSqliteInbox


def inbox(hub):
    return AsyncWebhookInbox(hub, AsyncSqliteInbox("inbox.db"))


def no_inbox(hub):
    return None


def store(record):
    if record.json()["id"] == "evt_2":
        raise AuthenticationFailed("That is enough.")
    with open("ids", "a") as file:
        file.write(record.json()["id"])
"""


def test_stored_webhooks_are_delivered() -> None:
    """A source of kind `webhooks` delivers webhooks from the inbox that a function returns."""

    async def receive() -> None:
        async with moorage.aopen(ACCOUNTS) as hub, AsyncSqliteInbox("inbox.db", create=True) as db:
            for id in ("evt_1", "evt_2"):
                await AsyncWebhookInbox(hub, db).receive("stripe", **delivery(id))

    asyncio.run(receive())
    Path("our_ends.py").write_text(WEBHOOKS, encoding="utf-8")
    accounts = f"""{STATE}
[payments]
vendor = "stripe"
[vendors.stripe]
credentials = "sk_test_1"
webhook_secrets = ["{SECRET}"]
volatile_keys = true
[pipelines.webhooks]
sink = {{function = "our_ends:store"}}
"""
    for function, message in (("inbox", "That is enough."), ("no_inbox", "not an asynchronous")):
        source = f'source = {{kind = "webhooks", inbox = "our_ends:{function}"}}'
        Path("moorage.toml").write_text(accounts + source, encoding="utf-8")
        assert message in command("stream", "run").err
    assert "evt_1" == Path("ids").read_text("utf-8")


def test_outbox_table_is_read() -> None:
    """A source of kind `outbox-table` delivers the rows of a database table."""
    execute("CREATE TABLE outbox (id integer PRIMARY KEY AUTOINCREMENT, payload text)")
    execute("INSERT INTO outbox (payload) VALUES ('{\"number\": 1}'), ('{\"number\": 2}')")
    execute("CREATE TABLE orders (number integer PRIMARY KEY)")
    text = f"""{STATE}{SHOP}
[pipelines.orders]
source = {{kind = "outbox-table", connector = "shop", table = "outbox", ordered = false}}
transforms = ["our_ends:last_ends"]
[pipelines.orders.sink]
kind = "sql"
connector = "shop"
table = "orders"
columns = "number"
checkpoints = true
"""
    Path("our_ends.py").write_text(
        f"{MODULE}\n\nimport os\nimport signal\n\n\ndef last_ends(record):\n"
        "    if record.json() == {'number': 2}:\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "    return record\n",
        encoding="utf-8",
    )
    Path("moorage.toml").write_text(text, encoding="utf-8")
    assert 0 == command("stream", "run").code
    assert [(1,), (2,)] == execute("SELECT number FROM orders")


@pytest.mark.parametrize(
    "options, requests",
    [
        ('path = "/orders"', [("POST", "/orders", n) for n in (1, 2, 3)]),
        ('path = "/orders", method = "PATCH"', [("PATCH", "/orders", n) for n in (1, 2, 3)]),
        ('request = "our_ends:request"', [("PUT", f"/notes/{n}", n) for n in (1, 2, 3)]),
    ],
)
def test_requests_are_sent_for_records(
    vendor: VendorServer, options: str, requests: list[tuple[str, str, int]]
) -> None:
    """A sink of kind `http` sends each record, or the request that a function makes of it."""
    for _ in range(3):
        vendor.respond_json({})
    service = f'[services.erp]\nbase_url = "{vendor.url}"\n'
    run(f'{{kind = "http", service = "erp", {options}}}', service)
    assert requests == [
        (request.method, request.path, json.loads(request.body)["number"])
        for request in vendor.requests
    ]


def test_request_is_sent_for_a_batch(vendor: VendorServer) -> None:
    """With `batch`, a sink of kind `http` sends a list of records in one request."""
    vendor.respond_json({})
    service = f'[services.erp]\nbase_url = "{vendor.url}"\n'
    run('{kind = "http", service = "erp", path = "/orders", batch = true}', service)
    [request] = vendor.requests
    assert [1, 2, 3] == [order["number"] for order in json.loads(request.body)]


def test_operation_of_a_contract_is_called(
    vendor: VendorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sink of kind `call` sends a text message for each record through configured accounts."""
    monkeypatch.setenv("TWILIO_TOKEN", "a-token")
    for number in range(3):
        vendor.respond_json({"sid": f"SM{number}", "status": "queued"}, status=201)
    account = f"""[vendors.twilio]
base_url = "{vendor.url}"
account_sid = "AC00000000000000000000000000000000"
credentials = "secret://env/TWILIO_TOKEN"
sender = "+15005550006"
"""
    account += '[sms]\nvendor = "twilio"\n'
    run('{kind = "call", operation = "sms.send", request = "our_ends:sms"}', account)
    assert 3 == len(vendor.requests)
    assert all(request.path.endswith("/Messages.json") for request in vendor.requests)


PACKAGE = '''
import attrs

from moorage import PollingSource, RecordSink, SinkKind, SourceKind, SourceRecord

written = []


@attrs.frozen
class Options:
    """A list.

    Attributes:
        word: a word that is written before each record.
    """

    word: str


@attrs.frozen
class Greedy:
    """Options with a reserved name."""

    kind: str


def build(options, parts):
    return RecordSink(lambda record: written.append((parts.name, options.word, record.json())))


def after(position):
    numbers = [number for number in range(1, 4) if number > (position or 0)]
    return [SourceRecord.of_json({"number": n}, offset=n) for n in numbers] or None


def source(options, parts):
    return PollingSource(parts.name, after, parts.checkpoints())


LIST = SinkKind(name="list", options=Options, build=build)
NUMBERS = SourceKind(name="numbers", options=Options, build=source, has_checkpoints=True)
GREEDY = SinkKind(name="greedy", options=Greedy, build=build)
'''
POINTS = """[moorage.sinks]
list = our_kinds:LIST
greedy = our_kinds:GREEDY
wrong = our_kinds:NUMBERS
[moorage.sources]
numbers = our_kinds:NUMBERS
"""


@pytest.fixture(name="package")
def _package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Install a fake package with kinds of sources and sinks."""
    folder = tmp_path / "installed"
    metadata = folder / "our_kinds-1.0.dist-info"
    metadata.mkdir(parents=True)
    (folder / "our_kinds.py").write_text(PACKAGE)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: our-kinds\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(POINTS)
    monkeypatch.syspath_prepend(folder)
    yield
    sys.modules.pop("our_kinds", None)


@pytest.mark.usefixtures("package")
def test_package_declares_kinds_of_sources_and_sinks_as_entry_points() -> None:
    """A package declares kinds of sources and sinks as entry points."""
    text = (
        f'{STATE}[pipelines.orders]\nsource = {{kind = "numbers", word = "a"}}\n'
        'sink = {kind = "list", word = "new"}\n'
    )
    Path("moorage.toml").write_text(text, encoding="utf-8")
    ending = command("stream", "run")
    assert 0 == ending.code, ending.err
    written_records = sys.modules["our_kinds"].written
    assert [("orders", "new", number) for number in (1, 2, 3)] == [
        (name, word, record["number"]) for name, word, record in written_records
    ]
    assert 0 == command("stream", "reset", "orders").code


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize(
    "sink, message",
    [
        ('{kind = "greedy"}', "have a field 'kind'"),
        ('{kind = "wrong", word = "a"}', "is not an object of the type SinkKind"),
        ('{kind = "list"}', "pipelines.orders.sink.word"),
        ('{kind = "lost"}', "Did you mean list?"),
    ],
)
def test_entry_point_that_is_not_a_kind_is_refused(sink: str, message: str) -> None:
    """An entry point that declares no kind, or has a reserved name, is refused with its path."""
    Path("moorage.toml").write_text(f"{STATE}{SOURCE}sink = {sink}\n", encoding="utf-8")
    ending = command("stream", "run")
    assert 2 == ending.code
    assert message in ending.err
