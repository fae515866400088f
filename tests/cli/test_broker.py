"""`moorage broker`, and the configuration of a hub that uses it."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

import moorage
from moorage import ConfigurationError, StorageUnavailable
from moorage.adapters.state.leasing_async import AsyncLeasingStorage
from moorage.adapters.state.memory import MemoryStorage
from moorage.adapters.state.sqlite import AsyncSqliteStorage, SqliteStorage
from moorage.cli import main
from moorage.cli.context import Context
from moorage.cli.places import opened_async
from moorage.domain.idempotency.claims import ReadRecord
from moorage.hub.internals import ports_of


def configuration(**broker: Any) -> dict[str, Any]:
    """Return a configuration with a service that gets its tokens from a broker."""
    return {
        "state": {"url": "sqlite:///state.db"},
        "broker": {"socket": "b.sock", "services": ["hot"]} | broker,
        "services": {"hot": {"circuit": "off", "limits": {"rate": 1, "per": "hour", "burst": 9}}},
    }


def test_broker_serves_until_a_signal() -> None:
    """`moorage broker` admits and counts calls of a synchronous and an asynchronous hub."""
    with TemporaryDirectory(prefix="moor") as folder:
        settings = configuration(socket=f"{folder}/b.sock")
        settings["state"] = {"url": f"sqlite:///{folder}/state.db"}
        file = Path(folder, "moorage.json")
        file.write_text(json.dumps(settings), encoding="utf-8")
        command = [sys.executable, "-m", "moorage", "broker", "--config", str(file), "--json"]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stderr is not None
            assert "Serving at" in process.stderr.readline()
            with moorage.open(settings) as hub:
                assert "done" == hub.manager.run("hot", lambda: "done")
            asyncio.run(_call(settings))
            process.send_signal(signal.SIGTERM)
            output, _ = process.communicate()

    assert 0 == process.returncode
    document = json.loads(output)["result"]
    assert 2 == document["admitted"]
    assert document["requests"] in {1, 2}


async def _call(settings: dict[str, Any]) -> None:
    """Make one call with an asynchronous hub."""

    async def run_function() -> str:
        return "done"

    async with moorage.aopen(settings) as hub:
        assert "done" == await hub.manager.run("hot", run_function)


@pytest.mark.parametrize(
    "arguments, problem",
    [
        ([], "broker.socket"),
        (["b.sock", "--mode", "rw"], "--mode"),
        (["b.sock", "--mode", "7777"], "mode"),
        (["x" * 200], "socket"),
    ],
)
def test_wrong_arguments_are_refused(
    arguments: list[str], problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A missing socket, a path that is too long, and wrong permissions are refused."""
    (tmp_path / "moorage.toml").write_text('[state]\nurl = "sqlite:///state.db"\n')
    assert 2 == main(["broker", *arguments])
    assert problem in capsys.readouterr().err


@pytest.mark.parametrize(
    "change, path",
    [
        ({"socket": "x" * 200}, "broker.socket"),
        ({"services": []}, "broker.services"),
        ({"services": ["hot", "surprise"]}, "broker.services"),
        ({"without_broker": "never"}, "broker.without_broker"),
        ({"socket": 7}, "broker.socket"),
    ],
)
def test_wrong_settings_are_reported(change: dict[str, Any], path: str) -> None:
    """A wrong setting is reported with its path below [broker]."""
    with pytest.raises(ConfigurationError) as excinfo:
        moorage.open(configuration(**change))
    assert path == excinfo.value.path


def test_broker_beside_store_in_memory_is_reported() -> None:
    """A broker together with an in-memory store is reported as a mistake."""
    settings = configuration() | {"state": {"url": "memory:"}}
    with pytest.raises(ConfigurationError) as excinfo:
        moorage.open(settings)
    assert "broker" == excinfo.value.path


def test_broker_without_a_shared_store_is_reported() -> None:
    """A broker is reported as a mistake if each process has its own state."""
    settings = configuration()
    del settings["state"]
    with pytest.raises(ConfigurationError) as excinfo:
        moorage.open(settings)
    assert ["broker"] == [problem.path for problem in excinfo.value.problems]


def test_broker_is_asked_before_the_store_of_the_program(tmp_path: Path) -> None:
    """A configured broker is asked before the store that a program passes, which stays open."""
    settings = configuration(socket=str(tmp_path / "b.sock"), without_broker="refuse")
    store = SqliteStorage(tmp_path / "state.db")
    with (
        moorage.open(settings, state=store) as hub,
        pytest.raises(StorageUnavailable, match="does not respond"),
    ):
        hub.manager.run("hot", lambda: "done")
    assert store.execute(ReadRecord("{a}:key")) is None

    with pytest.raises(ConfigurationError) as excinfo:
        moorage.open(settings, state=AsyncSqliteStorage(tmp_path / "state.db"))
    assert {"state"} == {problem.path for problem in excinfo.value.problems}


def test_store_in_memory_of_the_program_has_no_broker() -> None:
    """A program's test may pass a store in memory in place of the store and its broker."""
    with moorage.open(configuration(without_broker="refuse"), state=MemoryStorage()) as hub:
        assert "done" == hub.manager.run("hot", lambda: "done")


async def test_hub_of_a_pipeline_worker_uses_the_configured_broker(tmp_path: Path) -> None:
    """The hub of a pipeline worker asks the configured broker."""
    file = tmp_path / "moorage.json"
    settings = configuration(socket=str(tmp_path / "b.sock"))
    file.write_text(json.dumps(settings), encoding="utf-8")
    async with opened_async(Context(config=str(file))) as (hub, storage):
        assert isinstance(storage, AsyncLeasingStorage)
        assert storage is ports_of(hub.manager).state


def test_protections_that_cannot_be_leased_are_reported() -> None:
    """If a broker's service has a circuit and a retry budget, both are reported as mistakes."""
    settings = configuration()
    settings["services"] = {"hot": {"retry_budget": {}}, "vat": {}}
    with pytest.raises(ConfigurationError) as excinfo:
        moorage.open(settings)
    paths = [problem.path for problem in excinfo.value.problems]
    assert ["services.hot.circuit", "services.hot.retry_budget"] == paths
