"""`moorage outbox` and `moorage inbox`, run as an operator runs them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from moorage import AsyncWebhookInbox, Hub, Outbox, Request, WebhookInbox
from moorage.adapters.ciphers.aes_gcm import AesGcmCipher, generate_keys
from moorage.adapters.entries.sqlite import AsyncSqliteInbox, SqliteInbox, SqliteOutbox
from moorage.cli import main
from moorage.cli.host import Host
from moorage.cli.places import opened_store
from moorage.contracts.payments import Charge, Money
from moorage.domain.entries.inbox import InboxEntry
from moorage.domain.entries.queue import EntryQuery, EntryState, mark_unknown
from moorage.errors import StorageUnavailable
from moorage.testing.fakes.http_script import Behaviour
from moorage.testing.fakes.http_server import VendorServer
from moorage.testing.sandboxes.base import Lost
from moorage.testing.sandboxes.payments.stripe import StripeSandbox
from tests.pipelines.webhook_worker import delivery, open_hub
from tests.support.registered_charge import registered_charge
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

URL = "sqlite:///calls.db"


@pytest.fixture
def server() -> Iterator[VendorServer]:
    """Start a fake vendor on this machine."""
    with VendorServer() as new_server:
        new_server.patience = 30.0
        new_server.always(Behaviour(200))
        yield new_server


@pytest.fixture
def outbox(server: VendorServer) -> Outbox:
    """Return an outbox in a SQLite file, and write a configuration with this outbox."""
    Path("moorage.toml").write_text(f'[services.shop]\nbase_url = "{server.url}"\n')
    store = SqliteOutbox("calls.db")
    store.migrate()
    return Outbox(store)


def run(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0, **named: Any) -> Any:
    """Run a command, check its exit code, and return its JSON output."""
    assert main([*words, "--json"], **named) == code
    output = capsys.readouterr()
    document = json.loads(output.out)
    return document["result"] if document["ok"] else document["error"]


def put_call(outbox: Outbox, **options: Any) -> str:
    """Store a call in the outbox."""
    return outbox.put_request("shop", Request.post("/orders", json={}), **options).id


def test_run_once_makes_the_due_calls_and_ends(
    outbox: Outbox, server: VendorServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """`moorage outbox run --once` makes the calls that are due, and ends."""
    put_call(outbox)
    put_call(outbox)
    run_result = run(capsys, "outbox", "run", "--store", URL, "--once")
    assert run_result == {"done": 2, "later": 0, "dead": 0, "unknown": 0, "settled": 0}
    assert len(server.requests) == 2
    assert main(["outbox", "run", "--store", URL, "--once"]) == 0
    assert capsys.readouterr().out == "0 done, 0 later, 0 dead, 0 unknown, 0 settled\n"


def test_payments_are_settled_before_calls_are_made(
    server: VendorServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`outbox run` settles a call without sending it if an operator has closed its payment."""
    stripe = StripeSandbox()
    Path("moorage.toml").write_text(
        '[state]\nurl = "sqlite:///state.db"\n[payments]\nvendor = "stripe"\n[vendors.stripe]\n'
        f'base_url = "{server.url}"\ncredentials = "secret://env/STRIPE_KEY"\n'
        "retry = { max_attempts = 1 }\n"
    )
    monkeypatch.setenv("STRIPE_KEY", stripe.api_key)
    server.always(stripe.behave)
    store = SqliteOutbox("calls.db")
    store.migrate()
    charge = Charge(Money("20.00", "EUR"), "pm_card_visa", reference="INV-7")
    entry = Outbox(store).put("payments", "charge", charge)
    stripe.fail(Lost())
    first = run(capsys, "outbox", "run", "--store", URL, "--once")
    assert first == {"done": 0, "later": 1, "dead": 0, "unknown": 0, "settled": 0}
    (stored_entry,) = store.find(EntryQuery(id=entry.id)).items
    assert store.swap(mark_unknown(stored_entry, store.now(), "OutcomeUnknown"), stored_entry.fence)
    run(capsys, "payments", "close", entry.key, "--done")
    second = run(capsys, "outbox", "run", "--store", URL, "--once")
    assert second == {"done": 1, "later": 0, "dead": 0, "unknown": 0, "settled": 0}
    assert len(stripe.charges) == 1
    with opened_store("sqlite:///state.db") as state:
        state.execute(registered_charge("INV-8", charge))
    third = run(capsys, "outbox", "run", "--store", URL, "--once")
    assert third == {"done": 0, "later": 0, "dead": 0, "unknown": 0, "settled": 1}


def test_a_worker_stops_at_a_signal(
    outbox: Outbox, server: VendorServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """On SIGTERM, `outbox run` finishes its call, prints its counts and exits."""
    put_call(outbox)

    def stop() -> None:
        wait_until(lambda: bool(server.requests), "making the call")
        os.kill(os.getpid(), signal.SIGTERM)

    stopper = threading.Thread(target=stop)
    stopper.start()
    run_result = run(capsys, "outbox", "run", "--store", URL)
    stopper.join()
    assert run_result == {"done": 1, "later": 0, "dead": 0, "unknown": 0, "settled": 0}


def test_worker_runs_until_stopped(outbox: Outbox, server: VendorServer) -> None:
    """`moorage outbox run` makes each call when it is due, and exits cleanly on a signal."""
    put_call(outbox)
    command = [sys.executable, "-m", "moorage", "outbox", "run", "--pause", "0.05"]
    environment = {**os.environ, "MOORAGE_OUTBOX": URL}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as worker:
        server.wait_for_requests(1)
        put_call(outbox)
        server.wait_for_requests(2)
        worker.send_signal(signal.SIGTERM)
        result, _ = worker.communicate(timeout=30)
    assert worker.returncode == 0
    assert result.splitlines() == [
        "The worker is running. Press Ctrl-C or send SIGTERM to stop it.",
        "2 done, 0 later, 0 dead, 0 unknown, 0 settled",
    ]


def test_calls_are_listed(outbox: Outbox, capsys: pytest.CaptureFixture[str]) -> None:
    """`moorage outbox list` shows the calls' properties, newest first, without their content."""
    first, second = put_call(outbox), put_call(outbox, tenant="acme")
    first_page = run(capsys, "outbox", "list", "--store", URL, "--limit", "1")
    assert [entry["id"] for entry in first_page["entries"]] == [second]
    second_page = run(capsys, "outbox", "list", "--store", URL, "--after", first_page["next"])
    assert [entry["id"] for entry in second_page["entries"]] == [first]
    assert second_page["next"] is None
    filtered_page = run(
        capsys, "outbox", "list", "--store", URL, "--tenant", "acme", "--state", "waiting"
    )
    assert [entry["id"] for entry in filtered_page["entries"]] == [second]
    assert run(capsys, "outbox", "list", "--store", URL, "--stuck")["entries"] == []
    run(capsys, "outbox", "list", "--store", URL, "--stuck", "--tenant", "a", code=2)

    assert main(["outbox", "list", "--store", URL, "--limit", "1"]) == 0
    table_output = capsys.readouterr().out
    assert "waiting" in table_output
    assert "More with --after" in table_output
    assert main(["outbox", "list", "--store", URL, "--state", "dead"]) == 0
    assert capsys.readouterr().out == "nothing\n"


def test_calls_that_wait_for_others_are_listed(
    outbox: Outbox, capsys: pytest.CaptureFixture[str]
) -> None:
    """For each call, `moorage outbox list` shows the earlier calls for which it waits."""
    first = put_call(outbox)
    second = put_call(outbox, after=[first])
    page = run(capsys, "outbox", "list", "--store", URL, "--state", "blocked")
    assert [(entry["id"], entry["after"]) for entry in page["entries"]] == [(second, [first])]
    assert main(["outbox", "list", "--store", URL, "--state", "blocked"]) == 0
    assert "after" in capsys.readouterr().out


def test_calls_are_dropped_and_replayed(outbox: Outbox, capsys: pytest.CaptureFixture[str]) -> None:
    """A call dropped with `moorage outbox drop` is not made until it is replayed."""
    names = [put_call(outbox), put_call(outbox)]
    dropped_result = run(capsys, "outbox", "drop", *names, "--store", URL)
    assert [entry["state"] for entry in dropped_result["entries"]] == ["dropped", "dropped"]
    assert main(["outbox", "replay", names[0], "--store", URL]) == 0
    assert capsys.readouterr().out == f"{names[0]} is waiting\n"
    assert run(capsys, "outbox", "run", "--store", URL, "--once")["done"] == 1
    refusal = run(capsys, "outbox", "drop", names[0], "--store", URL, code=1)
    assert "cannot be cancelled" in refusal["message"]
    run(capsys, "outbox", "drop", "--store", URL, code=2)
    run(capsys, "outbox", "replay", "nobody", "--store", URL, code=1)


def test_wrong_id_changes_no_entry(outbox: Outbox, capsys: pytest.CaptureFixture[str]) -> None:
    """If one of several ids is unknown, no entry changes."""
    name = put_call(outbox)
    run(capsys, "outbox", "drop", name, "nobody", "--store", URL, code=1)
    assert outbox.find(EntryQuery(id=name)).items[0].state is EntryState.WAITING


def test_entries_changed_before_an_error_are_shown(
    outbox: Outbox, server: VendorServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """If an entry cannot be changed, the output shows the entries that were changed before it."""
    put_call(outbox)
    run(capsys, "outbox", "run", "--store", URL, "--once")
    done, waiting = outbox.find(EntryQuery()).items[0].id, put_call(outbox)
    assert main(["outbox", "drop", waiting, done, "--store", URL]) == 1
    shown_lines = capsys.readouterr().out.splitlines()
    assert shown_lines[0] == f"{waiting} is dropped"
    assert "cannot be cancelled, because it is already done" in shown_lines[1]


@pytest.mark.usefixtures("outbox")
def test_commands_decrypt_calls_with_moorage_keys(
    server: VendorServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """With MOORAGE_KEYS, commands can decrypt calls that were encrypted with these keys."""
    keys = generate_keys()
    os.environ["MOORAGE_KEYS"] = keys.text().reveal()
    put_call(Outbox(SqliteOutbox("calls.db"), cipher=AesGcmCipher(keys)))
    assert run(capsys, "outbox", "run", "--store", URL, "--once")["done"] == 1
    assert len(server.requests) == 1


@pytest.mark.usefixtures("outbox")
def test_sealed_calls_with_keys_of_the_configuration(
    server: VendorServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """With [cipher] in the configuration, commands can decrypt calls encrypted with its keys."""
    keys = generate_keys()
    configuration = Path("moorage.toml").read_text()
    Path("moorage.toml").write_text(f'{configuration}[cipher]\nkeys = "secret://env/OUR_KEYS"\n')
    os.environ["OUR_KEYS"] = keys.text().reveal()
    os.environ["MOORAGE_KEYS"] = generate_keys().text().reveal()
    put_call(Outbox(SqliteOutbox("calls.db"), cipher=AesGcmCipher(keys)))
    assert run(capsys, "outbox", "run", "--store", URL, "--once")["done"] == 1
    assert len(server.requests) == 1


PROGRAM = """
from moorage import Hub, Outbox, WebhookInbox
from moorage.adapters.entries.sqlite import SqliteInbox, SqliteOutbox

outbox = Outbox(SqliteOutbox("calls.db", create=True))
inbox = WebhookInbox(Hub([]), SqliteInbox("calls.db", create=True))

@inbox.on("webhook")
def heard(event, entry):
    print("heard")
"""


def test_module_attribute_names_the_outbox_of_a_program(
    outbox: Outbox, capsys: pytest.CaptureFixture[str]
) -> None:
    """`module:attribute` names the outbox or inbox object of a program."""
    Path("shop_of_mine.py").write_text(PROGRAM)
    put_call(outbox)
    assert run(capsys, "outbox", "run", "--app", "shop_of_mine:outbox", "--once")["done"] == 1
    assert run(capsys, "inbox", "run", "--app", "shop_of_mine:inbox", "--once")["done"] == 0
    for app in ("shop_of_mine:nothing", "no_module_of_mine:inbox", "shop_of_mine:outbox", ":"):
        refusal = run(capsys, "inbox", "list", "--app", app, code=2)
        assert refusal["path"] == "--app"
    app_and_store = ("--app", "shop_of_mine:outbox", "--store", "sqlite:///other.db")
    assert run(capsys, "outbox", "list", *app_and_store, code=2)["path"] == "--store"


ASYNC_PROGRAM = """
import asyncio
import os
import signal

from moorage import AsyncWebhookInbox
from moorage.adapters.entries.sqlite import AsyncSqliteInbox
from tests.pipelines.webhook_worker import open_hub

inbox = AsyncWebhookInbox(open_hub(), AsyncSqliteInbox("calls.db", create=True))

@inbox.on("webhook")
async def heard(event, entry):
    assert asyncio.get_running_loop().is_running()
    os.kill(os.getpid(), signal.SIGTERM)
"""


@pytest.mark.parametrize("options", [["--once"], []], ids=["once", "until a signal"])
def test_inbox_of_an_asynchronous_program_is_handled(
    capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    """`moorage inbox run` handles the webhooks of an AsyncWebhookInbox in an event loop."""
    Path("moorage.toml").touch()
    # Python keeps modules, so each case needs one of its own.
    module = f"async_shop_{len(options)}"
    Path(f"{module}.py").write_text(ASYNC_PROGRAM)

    async def receive() -> None:
        async with open_hub() as hub:
            inbox = AsyncWebhookInbox(hub, AsyncSqliteInbox("calls.db", create=True))
            await inbox.receive("stripe", **delivery("evt_1"))

    asyncio.run(receive())
    app = ["--app", f"{module}:inbox"]
    assert main(["inbox", "run", *app, *options]) == 0
    *_, counts = capsys.readouterr().out.splitlines()
    assert "1 done, 0 later, 0 dead, 0 unknown" == counts


def test_webhooks_of_an_asynchronous_program_are_listed_and_changed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """All commands for the inbox take an AsyncWebhookInbox, as they take a WebhookInbox."""
    Path("moorage.toml").touch()
    Path("async_shop_listed.py").write_text(ASYNC_PROGRAM)

    async def receive() -> None:
        async with open_hub() as hub:
            inbox = AsyncWebhookInbox(hub, AsyncSqliteInbox("calls.db", create=True))
            await inbox.receive("stripe", **delivery("evt_1"))

    asyncio.run(receive())
    app = ["--app", "async_shop_listed:inbox"]
    (entry,) = run(capsys, "inbox", "list", *app)["entries"]
    assert ("waiting", False) == (entry["state"], entry["paused"])
    assert run(capsys, "inbox", "list", "--stuck", *app)["entries"] == []
    run(capsys, "inbox", "pause", "--reason", "test", *app)
    rows = run(capsys, "inbox", "list", *app)["entries"]
    assert {row["id"]: row["paused"] for row in rows}[entry["id"]]
    assert run(capsys, "inbox", "resume", *app)["resumed"]
    (dropped,) = run(capsys, "inbox", "drop", entry["id"], *app)["entries"]
    assert "dropped" == dropped["state"]
    (replayed,) = run(capsys, "inbox", "replay", entry["id"], *app)["entries"]
    assert (entry["id"], "waiting") == (replayed["id"], replayed["state"])
    assert run(capsys, "inbox", "replay", "none", *app, code=1)["field"] == "id"


def test_app_has_precedence_over_the_variable(
    outbox: Outbox, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With --app, a command uses this object although a variable names another store."""
    Path("shop_of_variable.py").write_text(PROGRAM)
    SqliteOutbox("other.db").migrate()
    monkeypatch.setenv("MOORAGE_OUTBOX", "sqlite:///other.db")
    name = put_call(outbox)
    entries = run(capsys, "outbox", "list", "--app", "shop_of_variable:outbox")["entries"]
    assert [entry["id"] for entry in entries] == [name]
    assert run(capsys, "outbox", "list")["entries"] == []


@pytest.mark.usefixtures("outbox")
@pytest.mark.parametrize(
    "app, reason",
    [
        ("failing_shop:inbox", "(RuntimeError in <module>, line 1)"),
        (".shop:inbox", "(TypeError in import_module, line "),
        ("sh\u00f6p-\n:inbox", "No module named"),
    ],
)
def test_objects_that_cannot_be_imported(
    capsys: pytest.CaptureFixture[str], app: str, reason: str
) -> None:
    """Whatever a program raises on import, the error mentions --app and shows no secret."""
    Path("failing_shop.py").write_text('raise RuntimeError("s3cret")')
    refusal = run(capsys, "inbox", "list", "--app", app, code=2)
    assert "--app" == refusal["path"]
    assert reason in refusal["message"]
    assert "s3cret" not in str(refusal)


@pytest.mark.usefixtures("outbox")
def test_inbox_commands_list_drop_and_replay_webhooks(capsys: pytest.CaptureFixture[str]) -> None:
    """The inbox commands list, drop and replay webhooks, like the outbox commands do with calls."""
    store = SqliteInbox("calls.db", create=True)
    now = store.now()
    store.add(InboxEntry(id="w1", target="stripe", operation="paid", added_at=now))
    assert run(capsys, "inbox", "drop", "w1", "--store", URL)["entries"][0]["state"] == "dropped"
    assert run(capsys, "inbox", "replay", "w1", "--store", URL)["entries"][0]["state"] == "waiting"
    listed_entries = run(capsys, "inbox", "list", "--store", URL)
    assert [entry["operation"] for entry in listed_entries["entries"]] == ["paid"]
    run(capsys, "inbox", "run", code=2)


@pytest.mark.usefixtures("outbox")
def test_commands_need_a_store_that_processes_share(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a store that processes share, `moorage outbox` and `moorage inbox` are refused."""
    run(capsys, "outbox", "list", code=2)
    run(capsys, "inbox", "list", "--store", "memory:", code=2)


def test_worker_waits_for_an_unavailable_store(
    outbox: Outbox, server: VendorServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """A worker of `moorage outbox run` waits for an unavailable store, and reports that once."""
    put_call(outbox)
    Path("calls.db").rename("away.db")
    Path("calls.db").mkdir()
    command = [sys.executable, "-m", "moorage", "outbox", "run", "--store", URL, "--pause", "0.05"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline().startswith("The worker is running")
        assert worker.stdout.readline().startswith("Waiting: ")
        Path("calls.db").rmdir()
        Path("away.db").rename("calls.db")
        server.wait_for_requests(1)
        worker.send_signal(signal.SIGTERM)
        worker.communicate(timeout=30)
    assert worker.returncode == 0
    assert capsys.readouterr().err == ""


class UnavailableOutbox(SqliteOutbox):
    """An outbox whose store is unavailable; at its first use it also stops the worker."""

    def claim(self, *_: Any, **__: Any) -> Any:
        """Send the signal that ends the worker, and fail like an unavailable store."""
        os.kill(os.getpid(), signal.SIGTERM)
        raise StorageUnavailable("The store is away.")


def test_a_worker_reports_that_its_store_is_away(capsys: pytest.CaptureFixture[str]) -> None:
    """A worker reports that it waits for its store, and stops at a signal."""
    outbox = Outbox(UnavailableOutbox("calls.db", create=True))
    host = Host(source=Path("moorage.toml"), stores=lambda: {"calls": outbox})
    Path("moorage.toml").touch()
    assert main(["outbox", "run"], host=host) == 0
    working_line, waiting, counts = capsys.readouterr().out.splitlines()
    assert "The worker is running. Press Ctrl-C or send SIGTERM to stop it." == working_line
    assert waiting.startswith("Waiting: The store is away.")
    assert "0 done, 0 later, 0 dead, 0 unknown, 0 settled" == counts


def test_program_can_run_the_commands_on_its_own_outbox(
    outbox: Outbox, capsys: pytest.CaptureFixture[str]
) -> None:
    """A program can run the commands on its own outbox and inbox."""
    put_call(outbox)
    inbox = WebhookInbox(Hub([]), SqliteInbox("calls.db", create=True))
    inbox.on("webhook")(print)
    host = Host(source=Path("moorage.toml"), stores=lambda: {"calls": outbox, "webhooks": inbox})
    assert run(capsys, "outbox", "run", "--once", host=host)["done"] == 1
    assert run(capsys, "inbox", "run", "--once", host=host)["done"] == 0


def test_calls_are_paused(outbox: Outbox, capsys: pytest.CaptureFixture[str]) -> None:
    """A paused call is listed as paused and is not made; after `resume` it is made."""
    put_call(outbox)
    paused = run(capsys, "outbox", "pause", "shop", "--reason", "incident 7", "--store", URL)
    assert ("shop", None, "incident 7") == (paused["target"], paused["tenant"], paused["reason"])
    assert run(capsys, "outbox", "run", "--store", URL, "--once")["done"] == 0

    entries = run(capsys, "outbox", "list", "--store", URL)["entries"]
    assert [("paused", False), ("waiting", True)] == [
        (entry["state"], entry["paused"]) for entry in entries
    ]
    assert main(["outbox", "list", "--store", URL]) == 0
    assert "waiting, paused" in capsys.readouterr().out

    assert run(capsys, "outbox", "resume", "shop", "--store", URL)["resumed"]
    assert run(capsys, "outbox", "run", "--store", URL, "--once")["done"] == 1


def test_resuming_names_the_pauses_that_remain(
    outbox: Outbox, capsys: pytest.CaptureFixture[str]
) -> None:
    """`outbox resume` ends the pauses with the given names, and shows all remaining pauses."""
    outbox.pause(reason="incident 7")
    assert main(["outbox", "resume", "shop", "--tenant", "acme", "--store", URL]) == 1
    assert capsys.readouterr().out == (
        "There is no pause of target shop, tenant acme.\nstill paused: all (incident 7)\n"
    )
    assert main(["outbox", "resume", "--store", URL]) == 0
    assert capsys.readouterr().out == "resumed: all\n"


@pytest.mark.usefixtures("outbox")
def test_webhooks_are_paused(capsys: pytest.CaptureFixture[str]) -> None:
    """`moorage inbox` pauses and resumes webhooks, like `moorage outbox` does with calls."""
    SqliteInbox("calls.db").migrate()
    run(capsys, "inbox", "pause", "--subject", "ada", "--reason", "incident 7", "--store", URL)
    entries = run(capsys, "inbox", "list", "--state", "paused", "--store", URL)["entries"]
    assert ["incident 7"] == [entry["error"] for entry in entries]
    assert run(capsys, "inbox", "resume", "--subject", "ada", "--store", URL)["resumed"]
