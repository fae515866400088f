"""A step's files are read from a hub's storage, and stored there."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

import moorage
from moorage import (
    ConfigurationError,
    ConnectionFailed,
    ConnectorError,
    InvalidData,
    Step,
    StepRunning,
    VendorFailed,
    Workspace,
)
from moorage.adapters.steps.docker import DockerPlatform
from moorage.adapters.steps.local import LocalPlatform
from moorage.domain.steps.result import ExecutionResult, StepOutcome
from moorage.domain.steps.runs import RunSpec
from moorage.domain.steps.step import run_name
from moorage.hub.step_files_async import AsyncStorageFiles
from moorage.hub.step_files_sync import StorageFiles
from moorage.testing import MockPlatform
from tests.steps.docker_harness import IMAGE, engine
from tests.steps.step_harness import MODES, executor

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from moorage import StepFiles

modes = pytest.mark.parametrize("mode", MODES)
SUM = Step(
    "sum",
    ["sh", "-c", "cat in/orders.csv more.csv > total.csv; cp total.csv copy.csv"],
    workspace=Workspace(
        files={"more.csv": b"3\n"},
        inputs={"in/orders.csv": "imports/orders.csv"},
        outputs={"total.csv": "reports/total.csv", "missing.csv": "reports/missing.csv"},
        collect=["copy.csv"],
    ),
)


class Files:
    """A storage in memory that fails to write certain keys."""

    def __init__(self, **contents: bytes) -> None:
        self.contents = {f"{name}.csv": content for name, content in contents.items()}
        self.reads: list[tuple[str, str | None]] = []

    def read(self, key: str, limit: int, tenant: str | None, /) -> bytes:
        """Return the content of a file."""
        self.reads.append((key, tenant))
        return self.contents[key]

    def write(self, key: str, content: bytes, tenant: str | None, /) -> None:
        """Store a file, or raise an error if its key asks for one."""
        if "broken" in key:
            raise VendorFailed("The storage is full.")
        self.contents[key] = content


class AsyncFiles:
    """An asynchronous storage over a synchronous one."""

    def __init__(self, files: StepFiles) -> None:
        self._files = files

    async def read(self, key: str, limit: int, tenant: str | None, /) -> bytes:
        """Return the content of a file."""
        return self._files.read(key, limit, tenant)

    async def write(self, key: str, content: bytes, tenant: str | None, /) -> None:
        """Store a file."""
        self._files.write(key, content, tenant)


def files_of(mode: str, files: Files) -> Any:
    """Return a storage for a sync or async program."""
    return files if mode == "sync" else AsyncFiles(files)


def configuration(folder: Path) -> dict[str, Any]:
    """Return a configuration with a storage, and a step that uses it."""
    return {
        "state": {"url": f"sqlite:///{folder}/state.db"},
        "storage": {"vendor": "local_files"},
        "vendors": {"local_files": {"root": str(folder / "kept")}},
        "platforms": {"here": {"kind": "local", "folder": str(folder / "runs")}},
        "steps": {
            "sum": {
                "command": ["sh", "-c", "cat in/orders.csv more.csv > total.csv"],
                "inputs": {"in/orders.csv": "imports/orders.csv"},
                "outputs": {"total.csv": "reports/total.csv"},
            }
        },
    }


def test_configured_step_reads_its_inputs_from_storage(tmp_path: Path) -> None:
    """A configured step reads its inputs from the storage, and stores its outputs there."""
    with moorage.open(configuration(tmp_path)) as hub:
        hub.storage().upload("imports/orders.csv", b"12\n")
        workspace = Workspace(files={"more.csv": b"3\n"})
        result = hub.steps.run("sum", workspace, idempotency_key="k")
        hub.storage().delete("imports/orders.csv")
        second_result = hub.steps.run("sum", workspace, idempotency_key="k")
        content = hub.storage().download("reports/total.csv").read_all()

    assert (b"12\n3\n", {}) == (content, dict(result.files))
    assert "not_stored" not in result.metadata
    assert result == second_result


def test_asynchronous_hub_reads_step_inputs_from_the_storage(tmp_path: Path) -> None:
    """An asynchronous hub reads step inputs from the storage; a missing input starts nothing."""

    async def run() -> bytes:
        async with moorage.aopen(configuration(tmp_path)) as hub:
            workspace = Workspace(files={"more.csv": b"3\n"})
            with pytest.raises(moorage.FileNotFound):
                await hub.steps.run("sum", workspace)
            await hub.storage().upload("imports/orders.csv", b"12\n")
            await hub.steps.run("sum", workspace)
            return await (await hub.storage().download("reports/total.csv")).read_all()

    assert b"12\n3\n" == asyncio.run(run())


def test_large_input_is_refused(tmp_path: Path) -> None:
    """If an input file exceeds a workspace's size, reading stops, and the step is refused."""
    with moorage.open(configuration(tmp_path)) as hub:
        hub.storage().upload("large", b"x" * 4096)
        files = StorageFiles(hub.storage)
        assert 4096 == len(files.read("large", 4096, None))
        with pytest.raises(InvalidData, match="too large"):
            files.read("large", 4095, None)

    async def read() -> bytes:
        async with moorage.aopen(configuration(tmp_path)) as hub:
            return await AsyncStorageFiles(hub.storage).read("large", 4095, None)

    with pytest.raises(InvalidData, match="too large"):
        asyncio.run(read())


@modes
def test_output_that_is_missing_or_cannot_be_stored_is_named_in_result(
    mode: str, tmp_path: Path
) -> None:
    """The result names each output file that is missing or cannot be stored."""
    files = Files()
    outputs = {"a": "broken", "b": "b.csv", "c": "c.csv"}
    step = Step(
        "write",
        ["sh", "-c", "echo 1 > a; echo 2 > b"],
        workspace=Workspace(outputs=outputs, collect=["b"]),
    )

    result = executor(mode, LocalPlatform(tmp_path), files=files_of(mode, files))(step)

    assert StepOutcome.SUCCESS is result.outcome
    assert {"b.csv": b"2\n"} == files.contents
    assert {"a": b"1\n", "b": b"2\n"} == dict(result.files)
    problems = result.metadata["not_stored"]
    assert ["a", "c"] == sorted(problems)
    assert "The storage is full." in problems["a"]


class UnsteadyPlatform(LocalPlatform):
    """A platform that fails a number of times to read a file."""

    failures: list[ConnectorError]

    def collect(self, name: str, path: str, limit: int, timeout: float, /) -> bytes | None:
        """Raise the next error, or return the file."""
        if self.failures:
            raise self.failures.pop()
        return super().collect(name, path, limit, timeout)


WRITE = Step(
    "write",
    ["sh", "-c", "echo 1 > a; echo 2 > b"],
    workspace=Workspace(outputs={"a": "a.csv"}, collect=["b"]),
)


@modes
@pytest.mark.parametrize("error", [ConnectionFailed("Gone."), VendorFailed("Busy.")])
def test_files_are_read_again_after_a_temporary_failure(
    mode: str, tmp_path: Path, error: ConnectorError
) -> None:
    """After a temporary failure, a file is read again, and is in the result or the storage."""
    files, platform = Files(), UnsteadyPlatform(tmp_path)
    platform.failures = [error, error]

    result = executor(mode, platform, files=files_of(mode, files))(WRITE)

    assert ({"a.csv": b"1\n"}, {"b": b"2\n"}) == (files.contents, dict(result.files))
    assert not {"not_stored", "not_collected"} & result.metadata.keys()


@modes
def test_run_keeps_its_files_while_its_platform_cannot_be_reached(
    mode: str, tmp_path: Path
) -> None:
    """While its platform cannot be reached, a run keeps its output files until they are read."""
    files, platform = Files(), UnsteadyPlatform(tmp_path / "runs")
    platform.failures = [ConnectionFailed("Gone.")]
    execute = executor(
        mode, platform, f"sqlite:///{tmp_path}/state.db", files=files_of(mode, files)
    )

    def run_to_end() -> ExecutionResult:
        while True:
            with suppress(StepRunning):
                return execute(WRITE, idempotency_key="k", patience=0.0)

    with pytest.raises(ConnectionFailed):
        run_to_end()
    result = run_to_end()

    assert ({"a.csv": b"1\n"}, {"b": b"2\n"}) == (files.contents, dict(result.files))
    assert () == tuple(platform.runs(5.0))


@modes
def test_file_that_the_platform_cannot_read_is_named_with_the_reason(
    mode: str, tmp_path: Path
) -> None:
    """A file that the platform cannot read does not prevent the result of the run."""
    files, platform = Files(), UnsteadyPlatform(tmp_path)
    platform.failures = [
        VendorFailed(f"Cut {name}.", retryable=False, remedy="Look.") for name in "ab"
    ]

    result = executor(mode, platform, files=files_of(mode, files))(WRITE)

    problems = {name: f"VendorFailed: Cut {name}. Look." for name in "ab"}
    assert problems == result.metadata["not_collected"]
    assert {"a": problems["a"]} == result.metadata["not_stored"]
    assert ({}, {}) == (files.contents, dict(result.files))


@modes
def test_failed_step_stores_nothing(mode: str, tmp_path: Path) -> None:
    """A failed step leaves stored files unchanged; the files that it wrote are in its result."""
    files = Files(a=b"old")
    step = Step(
        "write", ["sh", "-c", "echo 1 > a; exit 3"], workspace=Workspace(outputs={"a": "a.csv"})
    )

    result = executor(mode, LocalPlatform(tmp_path), files=files_of(mode, files))(step)

    assert ({"a.csv": b"old"}, {"a": b"1\n"}) == (files.contents, dict(result.files))


@modes
def test_inputs_are_read_once_per_run(mode: str, tmp_path: Path) -> None:
    """A run that is found again, or has a stored result, does not read its inputs again."""
    url = f"sqlite:///{tmp_path}/state.db"
    step = Step("a", ["true"], workspace=Workspace(inputs={"x": "x.csv"}))
    files, platform = Files(x=b"1"), MockPlatform()
    execute = executor(mode, platform, url, files=files_of(mode, files))

    execute(step, idempotency_key="k", tenant="acme")
    assert {"x": b"1"} == dict(platform.started[0].files)
    execute(step, idempotency_key="k", tenant="acme")
    platform.start(RunSpec(name=run_name("steps", "acme", "l"), step=step), 1.0)
    execute(step, idempotency_key="l", tenant="acme")

    assert [("x.csv", "acme")] == files.reads


@modes
def test_settled_outputs_are_stored_once(mode: str, tmp_path: Path) -> None:
    """A follower that comes after the result was stored does not write to the storage."""
    url = f"sqlite:///{tmp_path}/state.db"
    step = Step("a", ["true"], workspace=Workspace(outputs={"x": "x.csv"}))
    scripted = ExecutionResult(exit_code=0, files={"x": b"1"})
    platform, files = PlatformThatKeepsRuns({"a": scripted}), Files()
    execute = executor(mode, platform, url, files=files_of(mode, files))

    first = execute(step, idempotency_key="k")
    assert {"x.csv": b"1"} == files.contents
    files.contents.clear()
    assert first == execute(step, idempotency_key="k")
    assert {} == files.contents


class PlatformThatKeepsRuns(MockPlatform):
    """A platform that does not remove its runs."""

    def remove(self, name: str, timeout: float, /) -> None:
        """Keep the run."""


@modes
def test_step_with_inputs_needs_a_storage(mode: str, tmp_path: Path) -> None:
    """A step with inputs is refused before it starts if there is no storage."""
    with pytest.raises(ConfigurationError, match="no storage"):
        executor(mode, LocalPlatform(tmp_path))(SUM)


@pytest.mark.parametrize(
    "fields",
    [
        {"inputs": {"../x": "x"}},
        {"inputs": {"x": ""}},
        {"outputs": {"x": 1}},
        {"outputs": {"x": "\ud800"}},
        {"files": ["x"]},
        {"inputs": "x"},
        {"outputs": 7},
        {"collect": 7},
        {"files": {"x": b""}, "inputs": {"x": "x"}},
    ],
)
def test_wrong_files_are_refused(fields: Any) -> None:
    """A path outside the workspace, a key that is not a string and a repeated file are refused."""
    with pytest.raises(InvalidData):
        Workspace(**fields)


def test_cached_step_has_no_files_in_a_storage() -> None:
    """A step with files in a storage cannot be cached, because those files can change."""
    with pytest.raises(InvalidData, match="storage"):
        Step("x", ["true"], cache=60, workspace=Workspace(inputs={"x": "x"}))


def test_steps_with_other_storage_keys_are_different_steps() -> None:
    """Steps that differ only in storage keys are different steps, even if contents are equal."""
    fingerprints = {
        Step("x", ["true"], workspace=workspace).fingerprint
        for workspace in (
            Workspace(),
            Workspace(inputs={"x": "x"}),
            Workspace(outputs={"x": "x"}),
            Workspace(inputs={"x": "y"}),
        )
    }
    assert 4 == len(fingerprints)


@pytest.fixture(scope="module")
def socket() -> Generator[str]:
    """Yield the socket of a Docker Engine."""
    with engine() as path:
        yield path


@modes
def test_container_reads_inputs_and_its_outputs_are_stored(mode: str, socket: str) -> None:
    """A container finds its inputs in its working directory, and its outputs are stored."""
    files = Files()
    files.contents["imports/orders.csv"] = b"12\n"
    script = "cat in/orders.csv more.csv > total.csv; cat total.csv > copy.csv"
    step = Step("sum", ["sh", "-c", script], image=IMAGE, workspace=SUM.workspace)
    platform = DockerPlatform(socket, scope=f"files-{os.getpid()}")

    result = executor(mode, platform, files=files_of(mode, files))(step)

    assert b"12\n3\n" == files.contents["reports/total.csv"]
    assert {"copy.csv": b"12\n3\n"} == dict(result.files)
    assert ["missing.csv"] == list(result.metadata["not_stored"])
