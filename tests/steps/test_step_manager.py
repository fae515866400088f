"""A step manager chooses, creates and reuses connectors for all types of platform."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from moorage import (
    AsyncConnectorManager,
    AsyncPlatformInThreads,
    AsyncStepManager,
    ConfigurationError,
    ConnectorManager,
    ConnectorType,
    CredentialNotFound,
    ExecutionResult,
    InvalidData,
    LocalPlatform,
    Secret,
    Service,
    Step,
    StepConnector,
    StepManager,
    Workspace,
)
from moorage.domain.steps.log_lines import LONGEST_LINE, TAIL, LineReader, LogLine, OutputTail
from moorage.domain.steps.runs import RunPhase, RunSpec
from moorage.domain.steps.step import run_name
from moorage.testing import MockPlatform
from moorage.wiring.step_secrets import referenced_secret
from tests.adapters.forked import run_in_forked_child
from tests.support.intervening_thread import InterveningThread
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from moorage.domain.steps.runs import RunStatus


def managed_steps() -> StepManager:
    """Return a step manager without any platform."""
    return StepManager(ConnectorManager([Service("steps")]))


def test_connectors_are_made_once() -> None:
    """A connector is created at its first use, reused, counted, and created again when cleared."""
    platform: list[MockPlatform] = []

    def factory() -> MockPlatform:
        platform.append(MockPlatform({"bad": ExecutionResult.failure(2)}))
        return platform[-1]

    steps = managed_steps()
    steps.register("my-cluster", factory)
    assert [] == platform
    steps.execute(Step("good", ["true"]))
    steps.execute(Step("bad", ["false"]))
    steps.clear_cache()
    assert ConnectorType("my-cluster") in steps.list()
    numbers = steps.stats()

    assert 1 == len(platform)
    assert (1, 1, 0) == (numbers["made"], numbers["hits"], numbers["cached"])
    assert (1, 1) == (numbers["success"], numbers["failure"])
    steps.execute(Step("good", ["true"]))
    assert 2 == len(platform)


def test_factory_may_make_a_connector() -> None:
    """A factory may return its own connector, and a second registration replaces the first."""
    manager = ConnectorManager([Service("steps")])
    connector = StepConnector(MockPlatform(), manager)
    with StepManager(manager) as steps:
        steps.register(ConnectorType.MOCK, lambda: connector)
        assert connector is steps.get("mock")
        steps.register(ConnectorType.MOCK, MockPlatform)
        assert connector is not steps.get("mock")


def test_connector_of_replaced_factory_is_closed_with_the_others() -> None:
    """A connector whose factory is replaced stays open for its steps, until the manager closes."""
    closed_platforms: list[object] = []

    class ClosingPlatform(MockPlatform):
        def close(self) -> None:
            closed_platforms.append(self)

    first_platform, second_platform = ClosingPlatform(), ClosingPlatform()
    with managed_steps() as steps:
        for platform in (first_platform, second_platform):
            steps.register("my-cluster", iter([platform]).__next__)
            steps.get("my-cluster")
        assert [] == closed_platforms
    assert [first_platform, second_platform] == closed_platforms


def test_factory_that_is_registered_meanwhile_makes_the_connector() -> None:
    """If a factory is registered while an earlier one makes a connector, the later one is used."""
    closed_platforms: list[object] = []

    class ClosingPlatform(MockPlatform):
        def close(self) -> None:
            closed_platforms.append(self)

    first_platform, second_platform = ClosingPlatform(), ClosingPlatform()
    manager = ConnectorManager([Service("steps")])
    second = StepConnector(second_platform, manager)

    with StepManager(manager) as steps:

        def slow_factory() -> MockPlatform:
            steps.register("my-cluster", lambda: second)
            return first_platform

        steps.register("my-cluster", slow_factory)
        assert second is steps.get("my-cluster")
        assert second is steps.get("my-cluster")
    assert [first_platform, second_platform] == closed_platforms


def test_step_without_a_type_runs_on_the_platform_of_its_image() -> None:
    """A step without a type runs on the only platform; if there are several, its image decides."""
    steps = managed_steps()
    steps.register("one", MockPlatform)
    assert "one" == steps.determine_connector_type(Step("x", ["true"], image="a:1"))
    steps.register("docker", MockPlatform)
    assert "docker" == steps.determine_connector_type(Step("x", ["true"], image="a:1"))
    assert "one" == steps.determine_connector_type(Step("x", ["true"], type=ConnectorType("one")))
    with pytest.raises(ConfigurationError, match="'local' is not registered"):
        steps.determine_connector_type(Step("x", ["true"]))


def test_unregistered_type_is_created_with_default_settings_if_it_has_those() -> None:
    """An unregistered type is created with default settings if it has those."""
    steps = managed_steps()

    assert ConnectorType.DOCKER is steps.get("docker").type
    with pytest.raises(ConfigurationError, match="'local' need the setting 'folder'"):
        steps.get("local")
    with pytest.raises(ConfigurationError, match="no kind of platform named 'moon'"):
        steps.get("moon")
    with pytest.raises(InvalidData, match="not a valid type of step connectors"):
        steps.get("The Moon")


def test_asynchronous_step_manager_runs_steps_in_event_loop() -> None:
    """An asynchronous step manager runs steps in an event loop."""

    async def run() -> ExecutionResult:
        async with AsyncStepManager(AsyncConnectorManager([Service("steps")])) as steps:
            steps.register("mock", lambda: AsyncPlatformInThreads(MockPlatform()))
            return await steps.execute(Step("x", ["true"]))

    assert asyncio.run(run()).is_success


def test_defined_steps_run_by_their_names(tmp_path: Path) -> None:
    """A defined step runs by its name, and collects its own output files and those of the call.

    Its output can be read without following it, and its result later without running it.
    """
    lines: list[LogLine] = []

    async def run() -> tuple[ExecutionResult | None, ...]:
        async with AsyncStepManager(AsyncConnectorManager([Service("steps")])) as steps:
            steps.register("local", lambda: AsyncPlatformInThreads(LocalPlatform(tmp_path)))
            collected = Workspace(collect=("a",))
            steps.define(
                Step("copy", ["sh", "-c", "cp in a; cp in b; cat in"], workspace=collected)
            )
            connector = steps.get("local")
            before = await connector.stored_result("c1")
            workspace = Workspace(files={"in": b"7"}, collect=("b",))
            result = await steps.run("copy", workspace, idempotency_key="c1")
            read = await connector.output(steps.step("copy"), lines.append, idempotency_key="c1")
            assert read is None
            return before, result, await connector.stored_result("c1")

    before, result, stored_result = asyncio.run(run())

    assert before is None
    assert result is not None
    assert {"a": b"7", "b": b"7"} == dict(result.files)
    assert result == stored_result
    assert [] == lines
    with pytest.raises(ConfigurationError, match="Use one of: none is defined"):
        managed_steps().step("copy")


@pytest.mark.parametrize("until_end", [False, True])
def test_output_is_read_without_following(tmp_path: Path, until_end: bool) -> None:
    """A run's output can be read as far as it exists or to its end, without storing a result."""
    lines: list[LogLine] = []
    platform = LocalPlatform(tmp_path)
    step = Step("talk", ["sh", "-c", "echo $$; printf torn"], secrets={"S": Secret("secret")})

    async def run() -> RunStatus | None:
        async with AsyncStepManager(AsyncConnectorManager([Service("steps")])) as steps:
            steps.register("local", lambda: AsyncPlatformInThreads(platform))
            name = run_name("steps", "acme", "t1")
            platform.start(RunSpec(name=name, step=step, secrets={"S": Secret("secret")}), 30.0)
            wait_until(
                lambda: (status := platform.status(name, 30.0)) and status.is_over, "the end"
            )
            return await steps.get("local").output(
                step, lines.append, idempotency_key="t1", tenant="acme", until_end=until_end
            )

    status = asyncio.run(run())

    assert status is not None
    assert RunPhase.ENDED is status.phase
    assert [True, False] == [line.is_whole for line in lines]
    assert "torn" == lines[-1].text
    assert 1 == len(platform.runs(30.0))


@pytest.mark.parametrize(
    "fields",
    [
        {"command": "make test"},
        {"command": []},
        {"command": [""]},
        {"command": ["a\0b"]},
        {"command": ["echo", "\ud800"]},
        {"environment": {"A": "\ud800"}},
        {"name": ""},
        {"image": "Bad Image"},
        {"environment": {"1A": "x"}},
        {"environment": {"A": "x\0"}},
        {"secrets": {"A": ""}},
        {"environment": {"A_FILE": "x"}, "secrets": {"A": "secret://env/A"}},
        {"pinned": True, "image": "a:1"},
        {"timeout": 0},
        {"grace": -1},
    ],
    ids=repr,
)
def test_step_with_impossible_settings_is_refused(fields: dict[str, object]) -> None:
    """A step with impossible settings is refused at construction."""
    values: dict[str, object] = {"name": "x", "command": ["true"], **fields}

    with pytest.raises((InvalidData, ConfigurationError)):
        Step(**values)  # type: ignore[arg-type]  # the cases are wrong on purpose


@pytest.mark.parametrize(
    "arguments, variable",
    [([131_071], 0), ([], 131_069), ([100_000] * 14, 99_800)],
    ids=["argument", "variable", "sum"],
)
def test_step_that_linux_cannot_start_is_refused(arguments: list[int], variable: int) -> None:
    """The largest arguments and variables that Linux allows are accepted; larger ones are refused.

    A Docker Engine would not answer any more when it is asked to start such a container.
    """
    command, environment = ["true", *("x" * size for size in arguments)], {"A": "x" * variable}
    subprocess.run(command, env={**os.environ, **environment}, check=True)

    Step("x", command, environment=environment)
    with pytest.raises(InvalidData, match="bytes"):
        Step("x", [*command[:-1], f"{command[-1]}ü" * 2], environment={"A": "y" * (variable + 1)})


def test_long_line_is_passed_on_in_pieces_with_one_line_number() -> None:
    """A very long line is passed on in pieces of limited size, all with the same line number."""
    reader = LineReader("stdout", [])
    pieces = reader.feed(b"x" * LONGEST_LINE) + reader.feed(b"y\nnext")
    last_lines = reader.finish()

    assert [(1, False), (1, True)] == [(line.number, line.is_whole) for line in pieces]
    assert [LogLine("stdout", 2, b"next", is_whole=False)] == last_lines


def test_result_contains_only_the_end_of_a_long_output() -> None:
    """A result contains only the end of a long output."""
    tail = OutputTail()
    for number in range(20_000):
        tail.add([LogLine("stdout", number, b"line %d" % number)])

    assert TAIL == len(tail.text())
    assert tail.is_cut
    assert tail.text().endswith("line 19999\n")


def test_secret_reference_names_an_environment_variable_or_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A secret reference names an environment variable or a file; a final line break is removed."""
    monkeypatch.setenv("STEP_TOKEN", "from-environment")
    (tmp_path / "token").write_bytes(b"from-file\n")

    assert "from-environment" == referenced_secret("secret://env/STEP_TOKEN").reveal()
    assert "from-file" == referenced_secret(f"secret://file/{tmp_path}/token").reveal()


@pytest.mark.parametrize("name", ["secret://file/a\0b", "secret://env/\ud800", "empty"])
def test_secret_with_an_impossible_name_or_empty_file_is_not_found(
    name: str, tmp_path: Path
) -> None:
    """A name that no file or variable can have is not found, and neither is an empty file."""
    (tmp_path / "empty").write_text("\n")
    reference = f"secret://file/{tmp_path}/empty" if name == "empty" else name

    with pytest.raises(CredentialNotFound, match="cannot be found, or is empty"):
        referenced_secret(reference)


def test_added_metadata_gives_a_new_result() -> None:
    """A result is a success or a failure; adding metadata to it returns a new result."""
    result = ExecutionResult.failure(5, stderr="no", host="a").with_metadata(host="b", cpu=1)

    assert (5, "no", {"host": "b", "cpu": 1}) == (result.exit_code, result.stderr, result.metadata)
    assert ExecutionResult.success("yes").is_success
    assert not ExecutionResult.failure(0).is_success


def test_threads_share_connector_that_both_need_first() -> None:
    """If two threads need a new connector at the same time, its factory is called once."""
    steps = managed_steps()
    other_thread = InterveningThread(lambda: steps.get("mock"))
    platforms: list[MockPlatform] = []

    def factory() -> MockPlatform:
        other_thread.start()
        platforms.append(MockPlatform())
        return platforms[-1]

    steps.register("mock", factory)
    assert steps.get("mock") is other_thread.result()
    assert (1, 1) == (len(platforms), steps.stats()["made"])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_forked_child_makes_connector_that_parent_was_making() -> None:
    """A child process forked while its parent creates a connector can create the connector too."""
    steps = managed_steps()
    kinds: list[str] = []

    def use_in_child() -> str:
        kinds.append("in the child")
        signal.alarm(60)  # otherwise a child process waits for its parent's thread
        return type(steps.get("mock")).__name__

    def factory() -> MockPlatform:
        if not kinds:
            kinds.append(run_in_forked_child(use_in_child))
        return MockPlatform()

    steps.register("mock", factory)
    steps.get("mock")
    assert ["StepConnector"] == kinds
