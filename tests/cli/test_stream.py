"""`moorage stream`: running and inspecting configured pipelines on the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import redis

from moorage.cli.host import Host
from moorage.domain.pipelines.control import ReportWorker, control_key
from moorage.wiring.store_urls import open_storage
from tests.support.command import CommandEnding, command
from tests.support.redis_servers import PrivateRedis
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

APP = '''
"""The functions of pipelines."""

import asyncio
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from moorage import BatchSink, InvalidData, SourceRecord

NUMBERS = range(1, 6)


def after(position):
    numbers = [number for number in NUMBERS if number > (position or 0)]
    return [SourceRecord.of_json(number, offset=number, key=b"k") for number in numbers] or None


def store(record):
    if record.json() == 3 and not Path("repaired").exists():
        raise InvalidData("Three is broken.")
    with Path("stored").open("a") as file:
        file.write(f"{record.json()}\\n")


def fail(record):
    raise RuntimeError("Store is broken.")


def hang(record):
    threading.Thread(target=time.sleep, args=(3_600,)).start()
    Path("hanging").touch()
    time.sleep(3_600)


async def block(record):
    Path("hanging").touch()
    time.sleep(3_600)


def sleep():
    Path("hanging").touch()
    time.sleep(3_600)


async def hang_in_default_executor(record):
    await asyncio.to_thread(sleep)


async def hang_in_own_executor(record):
    await asyncio.get_running_loop().run_in_executor(ThreadPoolExecutor(), sleep)


async def leave_thread(record):
    ThreadPoolExecutor().submit(sleep)


def measure(record):
    from prometheus_client import generate_latest

    Path("metrics").write_bytes(generate_latest())


def last(record):
    if record.json() == 4:
        os.kill(os.getpid(), signal.SIGTERM)
    return record


def even(record):
    return record if record.json() % 2 == 0 else None


batches = BatchSink(lambda records: [store(record) for record in records] and None)
TEXT = "no function"
'''
POLLED = """
[state]
url = "sqlite:///state.db"

[pipelines.shop]
source = {function = "our_orders:after"}
sink = {function = "our_orders:store"}
dead_letters = {file = "dead.jsonl"}
"""


@pytest.fixture(autouse=True)
def _program(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Write a Python program, and a configuration whose pipeline uses it."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    Path("our_orders.py").write_text(APP, encoding="utf-8")
    configure(POLLED)
    yield
    sys.modules.pop("our_orders", None)


def configure(text: str) -> None:
    """Write the configuration file."""
    Path("moorage.toml").write_text(text, encoding="utf-8")


def stored_numbers() -> list[int]:
    """Return the numbers that the sink stored."""
    return [int(line) for line in Path("stored").read_text("utf-8").split()]


def letters() -> list[dict[str, Any]]:
    """Return the dead letters that `stream dlq list` shows."""
    entries: list[dict[str, Any]] = command("stream", "dlq", "list", "shop", "--json").result[
        "letters"
    ]
    return entries


def test_pipeline_runs_from_the_configuration() -> None:
    """A pipeline whose source ends exits with 0.

    Its position and record counts are in the store.
    """
    assert (0, "never run") == (command("stream", "status").code, state_of("shop"))
    ending = command("stream", "run")
    assert 0 == ending.code, ending.err
    assert "shop      yes    5" in ending.out
    assert [1, 2, 4, 5] == stored_numbers()
    [row] = command("stream", "status", "--json").result["pipelines"]
    [worker] = row["workers"]
    assert ("stopped", 4, 1) == (row["state"], worker["processed"], worker["dead_letters"])
    assert "Three is broken." in command("stream", "status").out


def test_pipelines_of_the_configuration_have_metrics() -> None:
    """The configured observers get the events of the pipelines that a worker runs."""
    observed = POLLED.replace("our_orders:store", "our_orders:measure")
    configure(f"{observed}\n[observers]\nprometheus = true\n")
    assert 0 == start().wait(60)
    metrics = Path("metrics").read_text("utf-8").splitlines()
    assert {
        'moorage_pipeline_messages_received_total{pipeline="shop"} 5.0',
        'moorage_pipeline_inflight_messages{pipeline="shop"} 5.0',
        'moorage_pipeline_connector_health{pipeline="shop"} 1.0',
    } <= set(metrics)


def state_of(name: str) -> str:
    """Return the state of a pipeline."""
    rows = command("stream", "status", name, "--json").result["pipelines"]
    return str(rows[0]["state"])


def test_pipeline_continues_after_its_stored_position() -> None:
    """A pipeline continues after its stored position; `stream reset` clears or moves that."""
    command("stream", "run")
    Path("repaired").touch()
    assert 0 == command("stream", "run").code
    assert [1, 2, 4, 5] == stored_numbers()
    assert "continues after position 4" in command("stream", "reset", "shop", "--to", "4").out
    command("stream", "run")
    assert [1, 2, 4, 5, 5] == stored_numbers()
    assert "the beginning" in command("stream", "reset", "shop").out
    command("stream", "run", "shop")
    assert [1, 2, 4, 5, 5, 1, 2, 3, 4, 5] == stored_numbers()
    for text in ("x", "1.5", "true"):
        assert 2 == command("stream", "reset", "shop", "--to", text).code


def test_dead_letters_are_listed_shown_replayed_and_dropped() -> None:
    """If a replayed dead letter succeeds, it is removed.

    If it fails, a new dead letter is stored.
    """
    command("stream", "run")
    [letter] = letters()
    assert ("InvalidData", "Three is broken.", 3, 1) == tuple(
        letter[name] for name in ("error", "message", "offset", "attempts")
    )
    output = command("stream", "dlq", "show", "shop", letter["letter"], "--json").result
    assert ("3", "k", []) == (output["payload"], output["key"], output["headers"])

    second_output = command("stream", "dlq", "replay", "shop", "--everything")
    assert (1, "replayed: 0 processed, 1 failed again\n") == (second_output.code, second_output.out)
    [new_letter] = letters()
    assert new_letter["letter"] != letter["letter"]
    Path("repaired").touch()
    assert 0 == command("stream", "dlq", "replay", "shop", new_letter["letter"]).code
    assert ([], [1, 2, 4, 5, 3]) == (letters(), stored_numbers())

    Path("repaired").unlink()
    command("stream", "reset", "shop")
    command("stream", "run")
    [last] = letters()
    assert "1 dead letters" in command("stream", "dlq", "drop", "shop", last["letter"]).out
    assert [] == letters()


def test_payload_that_is_no_text_is_shown_as_base64() -> None:
    """If the payload of a dead letter is not text, the command shows it as Base64."""
    command("stream", "run")
    path = Path("dead.jsonl")
    document = json.loads(path.read_text("utf-8"))
    document |= {"payload": "/w==", "key": None, "headers": [["a", "b"], ["c", {"base64": "/w=="}]]}
    path.write_text(json.dumps(document), encoding="utf-8")
    output = command("stream", "dlq", "show", "shop", document["letter"], "--json").result
    assert ("/w==", None, [["a", "b"], ["c", "\\xff"]]) == (
        output["payload_base64"],
        output["key"],
        output["headers"],
    )


def test_letters_that_are_not_named_are_not_touched() -> None:
    """Dropping or replaying dead letters requires existing ids, or --everything."""
    command("stream", "run")
    for words in (["drop", "shop"], ["replay", "shop", "x"], ["drop", "shop", "x", "--everything"]):
        ending = command("stream", "dlq", *words)
        assert 2 == ending.code
    assert 1 == len(letters())


def test_pause_holds_a_pipeline_until_it_is_resumed() -> None:
    """A paused pipeline shows the reason for its pause, and no worker runs it."""
    assert 1 == command("stream", "resume", "shop").code
    assert "paused: shop (audit)" in command("stream", "pause", "shop", "--reason", "audit").out
    assert "paused" == state_of("shop")
    worker = start("--interval", "0.05")
    wait_until(lambda: bool(workers("shop")), "the report of the worker")
    assert not Path("stored").exists()
    assert "resumed: shop" in command("stream", "resume", "shop").out
    assert 0 == worker.wait(60)
    assert [1, 2, 4, 5] == stored_numbers()


def workers(name: str) -> list[dict[str, Any]]:
    """Return the reports of a pipeline's workers."""
    entries: list[dict[str, Any]] = command("stream", "status", name, "--json").result["pipelines"][
        0
    ]["workers"]
    return entries


def start(*arguments: str) -> subprocess.Popen[bytes]:
    """Start a worker in its own process."""
    return subprocess.Popen(
        [sys.executable, "-m", "moorage", "stream", "run", *arguments],
        stdout=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )


@pytest.fixture(name="private")
def _private_redis() -> Iterator[PrivateRedis]:
    """Start a Redis server, and write a configuration that reads and writes its streams."""
    with PrivateRedis() as private:
        yield private


def redis_configuration(url: str, sink: str, **more: str) -> str:
    """Return a configuration with a pipeline that reads a Redis stream."""
    lines = "\n".join(f"{name} = {value}" for name, value in more.items())
    return f"""
[state]
url = "{url}"

[connectors.events]
kind = "redis-streams"
url = "{url}"

[pipelines.orders]
source = {{connector = "events", topics = ["orders"], group = "billing"}}
sink = {sink}
{lines}
"""


def test_signal_drains_a_pipeline_between_streams(private: PrivateRedis) -> None:
    """Records pass from one stream through a transform to another.

    SIGTERM ends the command with exit code 0.
    """
    configure(
        redis_configuration(
            private.url,
            '{connector = "events", topic = "even"}',
            transforms='["our_orders:even"]',
            dead_letters='{connector = "events", topic = "failed"}',
        )
    )
    with redis.Redis.from_url(private.url) as client:
        for number in (1, 2, 4):
            client.xadd("orders", {"payload": str(number)})
        client.xadd("orders", {"payload": "{"})
        worker = start("--interval", "0.05")
        wait_until(lambda: client.xlen("even") == 2 and client.xlen("failed") == 1, "the records")
        wait_until(lambda: [row["committed"] for row in workers("orders")] == [4], "the commits")
        assert "running" == state_of("orders")
        worker.send_signal(signal.SIGTERM)
        assert 0 == worker.wait(60)
        assert "stopped" == state_of("orders")
        assert 0 == client.xpending("orders", "billing")["pending"]
    ending = command("stream", "reset", "orders")
    assert (2, True) == (ending.code, "does not store the position" in ending.err)
    ending = command("stream", "dlq", "list", "orders")
    assert (2, True) == (ending.code, "no file for dead letters" in ending.err)


def test_record_whose_transform_signal_interrupts_is_still_published_and_acknowledged(
    private: PrivateRedis,
) -> None:
    """If a signal interrupts a transform, its record is still published and acknowledged."""
    configure(
        redis_configuration(
            private.url,
            '{connector = "events", topic = "copies"}',
            transforms='["our_orders:last"]',
            dead_letters='{connector = "events", topic = "failed"}',
        )
    )
    with redis.Redis.from_url(private.url) as client:
        for text in ("{", "4"):
            client.xadd("orders", {"payload": text})
        assert 0 == command("stream", "run").code
        assert (1, 1) == (client.xlen("copies"), client.xlen("failed"))
        assert 0 == client.xpending("orders", "billing")["pending"]


@pytest.mark.parametrize(
    "sink", ["hang", "block", "hang_in_default_executor", "hang_in_own_executor"]
)
def test_exit_code_reports_records_that_are_cut_off(sink: str, private: PrivateRedis) -> None:
    """If a sink hangs, in a thread or in the event loop, the worker exits with 5."""
    configure(redis_configuration(private.url, f'{{function = "our_orders:{sink}"}}', drain="0.01"))
    with redis.Redis.from_url(private.url) as client:
        client.xadd("orders", {"payload": "1"})
        worker = start()
        wait_until(Path("hanging").exists, "the sink")
        worker.send_signal(signal.SIGTERM)
        assert 5 == worker.wait(60)
        assert 1 == client.xpending("orders", "billing")["pending"]


def test_thread_that_hangs_delays_no_clean_end(private: PrivateRedis) -> None:
    """If all records are done, the worker exits with 0 by its deadline, even if a thread hangs."""
    sink = '{function = "our_orders:leave_thread"}'
    configure(redis_configuration(private.url, sink, drain="0.01"))
    with redis.Redis.from_url(private.url) as client:
        client.xadd("orders", {"payload": "1"})
        worker = start("--interval", "0.05")
        wait_until(lambda: [row["committed"] for row in workers("orders")] == [1], "the commit")
        worker.send_signal(signal.SIGTERM)
        assert 0 == worker.wait(60)


def test_failure_of_a_pipeline_is_shown() -> None:
    """A pipeline without a dead-letter queue fails at the first failed record."""
    configure(POLLED.replace('dead_letters = {file = "dead.jsonl"}', ""))
    ending = command("stream", "run")
    assert (1, True) == (ending.code, "Three is broken." in ending.err)
    assert ending.err.startswith("moorage: The pipeline 'shop' failed.\n")
    status = command("stream", "status")
    assert (1, True) == (status.code, "failed" in status.out)


def test_each_worker_is_listed_with_its_own_state() -> None:
    """The table shows the state of each worker, and during a pause the state of all workers."""
    storage = open_storage("sqlite:///state.db")
    for worker, state in (("first", "failed"), ("second", "running")):
        storage.execute(ReportWorker(control_key("shop"), worker, {"state": state}))
    storage.close()
    status = command("stream", "status")
    states = {line.split()[2]: line.split()[1] for line in status.out.splitlines()[1:]}
    assert ({"first": "failed", "second": "running"}, 0) == (states, status.code)
    command("stream", "pause", "shop", "--reason", "move")
    assert 2 == command("stream", "status").out.count("paused")


@pytest.mark.parametrize(
    "state, shown_workers",
    [("running", ["new"]), ("stopped", ["new", "failed", "lost"])],
)
def test_worker_that_ended_long_ago_is_left_out_while_another_runs(
    state: str, shown_workers: list[str]
) -> None:
    """A failure of a worker that ended long ago is shown only while no worker runs."""
    storage, key = open_storage("sqlite:///state.db"), control_key("shop")
    states: Any = (None,)
    long_ago = int((time.time() - 3_600) * 1e6)
    for name, old_state in (("lost", "running"), ("failed", "failed")):
        long_ago += 1_000_000
        states, _ = ReportWorker(key, name, {"state": old_state}).apply(states, long_ago)
    storage.execute(StorePipelineState(key, states[0]))
    storage.execute(ReportWorker(key, "new", {"state": state}))
    storage.close()
    assert shown_workers == [row["worker"] for row in workers("shop")]
    assert 0 == command("stream", "status").code


def test_worker_that_stopped_reporting_is_silent() -> None:
    """A worker that died without a last report is listed with the state "silent"."""
    storage = open_storage("sqlite:///state.db")
    report = ReportWorker(control_key("shop"), "dead", {"state": "running"})
    states, _ = report.apply((None,), 1)
    storage.execute(StorePipelineState(report.key, states[0]))
    storage.close()
    assert "silent" == state_of("shop")
    assert 1 == command("stream", "status").code


class StorePipelineState:
    """A command that stores the pipeline state passed to it."""

    once = False
    durable = True

    def __init__(self, key: str, state: Any) -> None:
        self.keys = (key,)
        self.state = state

    def apply(self, _: Any, now: int, /) -> tuple[Any, None]:
        """Return the state to store, unchanged."""
        return ((now, *self.state[1:]),), None


def test_pipeline_runs_without_a_store(private: PrivateRedis) -> None:
    """A pipeline over a broker runs without a store, but then its status cannot be shown."""
    text = redis_configuration(private.url, '{function = "our_orders:batches"}')
    configure(text.replace(f'[state]\nurl = "{private.url}"\n', ""))
    with redis.Redis.from_url(private.url) as client:
        client.xadd("orders", {"payload": "2"})
        worker = start()
        wait_until(lambda: Path("stored").exists() and stored_numbers() == [2], "the record")
        worker.send_signal(signal.SIGINT)
        assert 0 == worker.wait(60)
    assert 2 == command("stream", "status").code


def refused_message(*arguments: str) -> str:
    """Run a command that must be refused, and return its error message."""
    ending: CommandEnding = command("stream", *arguments)
    assert 2 == ending.code
    return ending.err


def test_command_with_a_mistake_runs_nothing() -> None:
    """A mistake in the command or the configuration runs nothing.

    The error describes the mistake.
    """
    assert "There is no pipeline named 'x'." in refused_message("run", "x")
    for name, message in (
        ("our_orders:TEXT", "is not a function"),
        ("our_orders:nothing", "cannot be imported"),
        ("our_nothing:store", "cannot be imported"),
    ):
        configure(POLLED.replace("our_orders:store", name))
        assert message in refused_message("run")
    configure(POLLED.replace('[state]\nurl = "sqlite:///state.db"', ""))
    assert "has no store for its position" in refused_message("run")
    configure("version = 1\n")
    assert "The configuration has no pipelines." in refused_message("run")


def test_program_that_embeds_command_line_runs_pipelines_with_its_own_store() -> None:
    """A program that embeds the command line runs pipelines with its own store."""
    source = {
        "pipelines": {
            "shop": {
                "source": {"function": "our_orders:after"},
                "sink": {"function": "our_orders:store"},
                "dead_letters": {"file": "dead.jsonl"},
            }
        }
    }
    host = Host(source=source, state="sqlite:///host.db")
    assert 0 == command("stream", "run", host=host).code
    assert 0 == command("stream", "status", host=host).code
    assert Path("host.db").exists()
