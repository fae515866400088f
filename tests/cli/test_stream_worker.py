"""The worker of `moorage stream run`: reloading single pipelines, and its HTTP pages."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import sys
import urllib.error
import urllib.request
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from moorage import CircuitState
from moorage.cli.context import Context
from moorage.cli.places import opened_async
from moorage.cli.stream_pages import StreamPages, served_pages
from moorage.cli.stream_worker import StreamWorker, pipeline_values
from moorage.domain.pipelines.changes import changes
from moorage.domain.pipelines.settings import PipelineState
from moorage.errors import AuthenticationFailed
from moorage.pipelines.supervision import SupervisedPipeline
from tests.support.command import command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE = 60.0
MODULE = '''
"""The functions of pipelines."""

import asyncio

from moorage import AuthenticationFailed, SourceRecord

stored = []


async def after(position):
    await asyncio.sleep(0.01)
    return [SourceRecord.of_json((position or 0) + 1, offset=(position or 0) + 1, key=b"k")]


async def kept(record):
    stored.append(("kept", record.offset))


async def old(record):
    stored.append(("old", record.offset))


async def new(record):
    stored.append(("new", record.offset))


async def broken(record):
    raise AuthenticationFailed("Out of order.")


class Odd:
    @property
    def process_batch(self):
        raise RuntimeError("s3cret")


odd = Odd()
'''
SERVICE = '[services.erp]\nbase_url = "https://erp.example"\n'


def pipeline(name: str, sink: str) -> str:
    """Return the configuration table of a pipeline that never ends."""
    return (
        f'[pipelines.{name}]\nsource = {{function = "our_stream:after"}}\n'
        f'sink = {{function = "our_stream:{sink}"}}\nretry = {{base_delay = 0.01}}\n'
        "records_in_flight = 4\n"
    )


def configure(*tables: str, store: str = "sqlite:///state.db") -> None:
    """Write the configuration file."""
    text = "\n".join([f'[state]\nurl = "{store}"\n', SERVICE, *tables])
    Path("moorage.toml").write_text(text, encoding="utf-8")


def configure_default_store() -> None:
    """Write a configuration without a store, whose service moves money."""
    Path("moorage.toml").write_text(f"{SERVICE}moves_money = true\n", encoding="utf-8")


def write_module(name: str, content: str) -> None:
    """Write a Python module of the program."""
    Path(f"{name}.py").write_text(content, encoding="utf-8")


@pytest.fixture(name="module", autouse=True)
def _module(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Write a Python program with the functions of the pipelines, and import it."""
    monkeypatch.setattr(sys, "path", [str(Path.cwd()), *sys.path])
    Path("our_stream.py").write_text(MODULE, encoding="utf-8")
    yield import_module("our_stream")
    sys.modules.pop("our_stream", None)


def context() -> Context:
    """Return the context of a command that reads the configuration in the working folder."""
    return Context(config="moorage.toml")


async def wait_until(condition: Callable[[], object]) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - several conditions
            await asyncio.sleep(0.01)


def count(module: Any, sink: str) -> int:
    """Return the number of records that a sink stored."""
    return sum(name == sink for name, _ in module.stored)


def test_pipelines_are_compared_by_name() -> None:
    """Pipelines of two configurations are compared by name: added, removed, changed or equal."""
    difference = changes({"a": 1, "b": 1, "c": 1}, {"d": 1, "b": 2, "c": 1})
    assert (("d",), ("a",), ("b",), ("c",)) == tuple(difference)
    assert ((), (), (), ()) == tuple(changes({}, {}))


POLLS = """
[pipelines.moves]
source = {kind = "http", service = "erp", path = "/orders"}
sink = {kind = "function", function = "our_stream:new"}
"""
DECODES = """
[pipelines.moves]
source = {function = "our_stream:after"}
sink = {function = "our_stream:new"}
schemas = {service = "erp"}
transforms = [{decode = "confluent"}]
"""
READS_WEBHOOKS = """
[pipelines.moves]
source = {kind = "webhooks", inbox = "our_stream:inbox"}
sink = {function = "our_stream:new"}
"""
CALLS_AN_ACCOUNT = """
[pipelines.moves]
source = {function = "our_stream:after"}
sink = {kind = "http", service = "stripe", path = "/v1/events"}
"""
ACCOUNT = '[vendors.stripe]\nvolatile_keys = true\ncredentials = "sk_test_1"\n'


@pytest.mark.parametrize(
    "table, before, after",
    [
        (POLLS, "erp.example", "erp-2.example"),
        (DECODES, "erp.example", "erp-2.example"),
        (READS_WEBHOOKS, "sk_test_1", "sk_test_2"),
        (CALLS_AN_ACCOUNT, "sk_test_1", "sk_test_2"),
        (pipeline("moves", "new"), "dry_run = false", "dry_run = true"),
        (pipeline("moves", "new"), "max_connections = 20", "max_connections = 2"),
        (pipeline("moves", "new"), "2030-01-01", "2031-01-01"),
    ],
)
def test_pipeline_differs_if_something_that_it_uses_does(
    table: str, before: str, after: str
) -> None:
    """A changed service, account or hub setting replaces each pipeline that uses it."""
    safety, http = "[safety]\ndry_run = false\n", "[http]\nmax_connections = 20\n"
    health = '[health]\nexpires = { "a key" = "2030-01-01T00:00:00Z" }\n'
    values: list[dict[str, object]] = []
    for text in (before, before, after):
        configure(safety, http, health, ACCOUNT, table)
        file = Path("moorage.toml")
        file.write_text(file.read_text("utf-8").replace(before, text), encoding="utf-8")
        values.append(pipeline_values(context().configured(), ()))

    assert ("moves",) == changes(values[0], values[1]).unchanged
    assert ("moves",) == changes(values[0], values[2]).changed


async def test_only_changed_pipelines_are_replaced(module: Any) -> None:
    """SIGHUP replaces a changed pipeline, starts a new one, and leaves all others running."""
    configure(pipeline("stays", "kept"), pipeline("moves", "old"), pipeline("goes", "kept"))
    async with StreamWorker((), 0.01, context()) as worker:
        running = asyncio.create_task(worker.run())
        await wait_until(lambda: count(module, "old") > 2 and count(module, "kept") > 2)
        stays = worker.pipelines["stays"]
        assert isinstance(stays, SupervisedPipeline)
        unchanged_run, moves = stays._runs[0], worker.pipelines["moves"]  # noqa: SLF001 - the run itself
        configure(pipeline("stays", "kept"), pipeline("moves", "new"), pipeline("comes", "kept"))
        os.kill(os.getpid(), signal.SIGHUP)
        await wait_until(lambda: count(module, "new") > 2 and "comes" in worker.pipelines)
        count_of_old = count(module, "old")
        received_count = stays.statistics().received
        await wait_until(lambda: stays.statistics().received > received_count)

        assert stays is worker.pipelines["stays"]
        assert unchanged_run is stays._runs[0]  # noqa: SLF001 - the run itself
        assert moves is not worker.pipelines["moves"]
        assert PipelineState.STOPPED is moves.statistics().state
        assert {"stays", "moves", "comes"} == set(worker.pipelines)
        assert count_of_old == count(module, "old")
        os.kill(os.getpid(), signal.SIGTERM)
        reports = await running
    assert all(report.is_clean for report in reports.values())
    offsets = [offset for name, offset in module.stored if name in {"old", "new"}]
    assert list(range(1, len(offsets) + 1)) == offsets


async def test_refused_configuration_leaves_the_pipelines(
    module: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """If the new configuration is wrong, no pipeline changes.

    stderr and `status` show the reason.
    """
    configure(pipeline("moves", "old"))
    async with StreamWorker((), 0.01, context()) as worker:
        running = asyncio.create_task(worker.run())
        await wait_until(lambda: count(module, "old"))
        moves = worker.pipelines["moves"]
        lane, absent = pipeline("moves", "old") + "lane = 2\n", pipeline("moves", "absent")
        for wrong_value in (lane, absent, ""):
            configure(wrong_value)
            await worker.reload()
            _, refusal, reason = capsys.readouterr().err.partition(
                "refused, so the pipelines run on: "
            )
            assert refusal
            assert reason.removeprefix("moorage.toml: ").startswith("pipelines")
            assert moves is worker.pipelines["moves"]
        configure(pipeline("moves", "old"))
        stored_count = count(module, "old")
        await wait_until(lambda: count(module, "old") > stored_count + 3)

        def status() -> str:
            return command("stream", "status").out

        async with asyncio.timeout(PATIENCE):
            while "refused" not in await asyncio.to_thread(status):  # noqa: ASYNC110 - of a store
                await asyncio.sleep(0.05)
        await worker.reload()
        assert "reloaded: nothing has changed" in capsys.readouterr().out
        assert moves is worker.pipelines["moves"]
        configure(SERVICE.replace("erp", "crm"), pipeline("moves", "new"))
        await worker.reload()
        assert "reloaded: changed moves" in capsys.readouterr().out
        os.kill(os.getpid(), signal.SIGTERM)
        await running


@pytest.mark.parametrize(
    "content, reason",
    [
        ("def (", "SyntaxError in|never closed|invalid syntax"),
        ("raise RuntimeError('s3cret')", "RuntimeError in <module>, line 1"),
        ("raise SystemExit(3)", "SystemExit in <module>, line 1"),
    ],
)
async def test_module_that_fails_to_import_is_refused(
    module: Any, capsys: pytest.CaptureFixture[str], content: str, reason: str
) -> None:
    """A reload with a module that cannot be imported is refused, and the next reload works."""
    configure(pipeline("moves", "old"))
    write_module("our_broken", content)
    async with StreamWorker((), 0.01, context()) as worker:
        running = asyncio.create_task(worker.run())
        await wait_until(lambda: count(module, "old"))
        configure(pipeline("moves", "old").replace("our_stream:old", "our_broken:old"))
        os.kill(os.getpid(), signal.SIGHUP)
        error = ""

        def is_refused() -> bool:
            nonlocal error
            error += capsys.readouterr().err
            return "refused" in error and error.endswith("\n")

        await wait_until(is_refused)
        assert re.search(reason, error)
        assert "s3cret" not in error
        configure(pipeline("moves", "new"))
        os.kill(os.getpid(), signal.SIGHUP)
        await wait_until(lambda: count(module, "new"))
        os.kill(os.getpid(), signal.SIGTERM)
        await running


async def test_store_that_cannot_be_used_is_refused(
    module: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """A reload that names an unreachable store is refused, and the pipelines go on."""
    configure(pipeline("moves", "old"))
    async with StreamWorker((), 0.01, context()) as worker:
        running = asyncio.create_task(worker.run())
        await wait_until(lambda: count(module, "old"))
        moves = worker.pipelines["moves"]
        for store in (
            "sqlite:///absent/state.db",
            "redis://127.0.0.1:1/0",
            'sqlite:///state.db"\nkeys_url = "redis://127.0.0.1:1/0',
        ):
            configure(pipeline("moves", "old"), store=store)
            await worker.reload()
            assert "refused, so the pipelines run on: " in capsys.readouterr().err
            assert moves is worker.pipelines["moves"]
        configure(pipeline("moves", "old"), store="sqlite:///other.db")
        await worker.reload()
        assert "reloaded: changed moves" in capsys.readouterr().out
        os.kill(os.getpid(), signal.SIGTERM)
        await running


async def test_folder_of_the_default_store_is_created(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The hub of a pipeline creates the folder of the store that payments use by default."""
    monkeypatch.setenv("MOORAGE_STATE_DIRECTORY", str(tmp_path / "absent" / "moorage"))
    configure_default_store()
    async with opened_async(context()) as (hub, _):
        assert CircuitState.CLOSED is (await hub.manager.circuit_state("erp")).state


async def test_unforeseen_failure_of_a_reload_is_refused(
    module: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """If the program's own code fails during a reload, the reload is refused.

    The error's message is not shown.
    """
    configure(pipeline("moves", "old"))
    async with StreamWorker((), 0.01, context()) as worker:
        running = asyncio.create_task(worker.run())
        await wait_until(lambda: count(module, "old"))
        configure(pipeline("moves", "odd"))
        await worker.reload()
        error = capsys.readouterr().err
        assert "refused, so the pipelines run on: RuntimeError in Odd.process_batch" in error
        assert "s3cret" not in error
        os.kill(os.getpid(), signal.SIGTERM)
        await running


async def test_failure_of_a_replaced_pipeline_stops_the_others(module: Any) -> None:
    """If a pipeline fails after its replacement, the other pipelines stop in order.

    Its error is raised.
    """
    configure(pipeline("stays", "kept"), pipeline("moves", "old"))
    async with StreamWorker((), 0.01, context()) as worker:
        running = asyncio.create_task(worker.run())
        await wait_until(lambda: count(module, "old") and count(module, "kept"))
        configure(pipeline("stays", "kept"), pipeline("moves", "broken"))
        await worker.reload()
        with pytest.raises(AuthenticationFailed, match="Out of order"):
            await running
        assert PipelineState.STOPPED is worker.pipelines["stays"].statistics().state


def read_page(port: int, page: str) -> tuple[int, str]:
    """Return the HTTP status and the text of a page of the worker."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{page}", timeout=PATIENCE) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.mark.parametrize("observers", ["", "[observers]\nprometheus = true\n"])
async def test_pages_show_metrics_and_health_until_the_worker_ends(
    module: Any, observers: str
) -> None:
    """The pages show metrics, liveness, readiness and health until the worker ends."""
    configure(pipeline("moves", "old"), observers)
    async with (
        StreamWorker((), 0.01, context()) as worker,
        served_pages(worker, "127.0.0.1", 0) as port,
    ):
        status, text = await asyncio.to_thread(read_page, port, "ready")
        assert (503, {"pipelines": {"moves": "ready"}}) == (status, json.loads(text))
        running = asyncio.create_task(worker.run())
        await wait_until(lambda: count(module, "old"))
        assert (200, '{"pipelines": {"moves": "running"}}') == await asyncio.to_thread(
            read_page, port, "ready"
        )
        assert 200 == (await asyncio.to_thread(read_page, port, "live"))[0]
        assert "state" in json.loads((await asyncio.to_thread(read_page, port, "health"))[1])
        status, text = await asyncio.to_thread(read_page, port, "metrics")
        assert 'moorage_pipeline_connector_health{pipeline="moves"} 1.0' in text
        assert 404 == (await asyncio.to_thread(read_page, port, "other"))[0]
        os.kill(os.getpid(), signal.SIGTERM)
        await running
    with pytest.raises(urllib.error.URLError):
        read_page(port, "live")


async def test_health_is_that_of_the_new_hub(module: Any) -> None:
    """After a reload that replaced all pipelines, the health page shows the new services."""
    configure(pipeline("moves", "old"))
    async with (
        StreamWorker((), 0.01, context()) as worker,
        served_pages(worker, "127.0.0.1", 0) as port,
    ):
        running = asyncio.create_task(worker.run())
        await wait_until(lambda: count(module, "old"))
        configure(SERVICE.replace("erp", "crm"), pipeline("moves", "new"))
        await worker.reload()

        async with asyncio.timeout(PATIENCE):
            while "crm" not in (await asyncio.to_thread(read_page, port, "health"))[1]:  # noqa: ASYNC110 - of another thread
                await asyncio.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)
        await running


def test_stuck_event_loop_is_not_alive() -> None:
    """`/live` responds with 503 if the event loop has been blocked for half a minute."""
    now = [0.0]
    pages = StreamPages(None, None, bytes, lambda: now[0])  # type: ignore[arg-type]  # not read
    now[0] = 31.0
    statuses: list[str] = []
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/live"}
    pages(environ, lambda status, _: statuses.append(status))
    pages.record_running_loop()
    pages(environ, lambda status, _: statuses.append(status))
    assert ["503 Service Unavailable", "200 OK"] == statuses


def test_port_that_is_taken_is_refused(module: Any) -> None:
    """A port that another program listens on is refused before a pipeline runs."""
    configure(pipeline("moves", "old"))
    with socket.create_server(("127.0.0.1", 0)) as other:
        ending = command("stream", "run", "--port", str(other.getsockname()[1]))
    assert (2, True) == (ending.code, "is not available" in ending.err)
    assert [] == module.stored
