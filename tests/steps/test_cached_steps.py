"""A step with a `cache` is not run again while a recent result of an equal step is cached."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage import (
    AsyncConnectorManager,
    AsyncPlatformInThreads,
    AsyncStepConnector,
    ConfigurationError,
    ConnectorManager,
    IdempotencyConflict,
    InvalidData,
    OutcomeUnknown,
    Secret,
    Service,
    StepConnector,
    StorageUnavailable,
)
from moorage.adapters.state.memory import MemoryStorage
from moorage.adapters.steps.local import LocalPlatform
from moorage.domain.idempotency.claims import WriteRecordOnce
from moorage.domain.steps.cached import cache_key, is_cacheable
from moorage.domain.steps.result import ExecutionResult, HookError, StepOutcome
from moorage.domain.steps.runs import RunSpec
from moorage.domain.steps.step import (
    LONGEST_CACHE,
    ConnectorType,
    Resources,
    Step,
    Workspace,
    run_name,
)
from moorage.testing import VirtualClock
from moorage.testing.fakes.platform import MockPlatform
from tests.steps.step_harness import MODES, executor

if TYPE_CHECKING:
    from pathlib import Path

modes = pytest.mark.parametrize("mode", MODES)

IMAGE = "registry.example/erp@sha256:" + "a" * 64
STEP = Step(
    "report",
    ["report", "--all"],
    image=IMAGE,
    environment={"MONTH": "2030-01"},
    secrets={"TOKEN": "secret://env/TOKEN"},
    workspace=Workspace(files={"a.csv": b"1", "b.csv": b"2"}, collect=("c.csv", "d.csv")),
    cache=3600,
)


def key_of(step: Step, *, tenant: str | None = None) -> str:
    """Return the cache key of a step."""
    return cache_key(step, "steps", ConnectorType.DOCKER, tenant)


# --- the key ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "other name"},
        {"timeout": 5.0, "grace": 1.0},
        {"image": "mirror.example/erp@sha256:" + "a" * 64},
        {"workspace": Workspace(files={"b.csv": b"2", "a.csv": b"1"}, collect=("d.csv", "c.csv"))},
    ],
)
def test_equal_steps_have_one_key(changes: dict[str, Any]) -> None:
    """The name, time limits, registry and file order of a step do not change its cache key."""
    assert key_of(STEP) == key_of(attrs.evolve(STEP, **changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"command": ["report"]},
        {"command": ["report --all"]},
        {"image": "registry.example/erp@sha256:" + "b" * 64},
        {"image": None},
        {"environment": {"MONTH": "2030-02"}},
        {"secrets": {"TOKEN": "secret://env/OTHER"}},
        {"secrets": {"KEY": "secret://env/TOKEN"}},
        {"workspace": Workspace(files={"a.csv": b"2", "b.csv": b"1"}, collect=("c.csv", "d.csv"))},
        {"workspace": Workspace(files={"a.csv": b"1", "b.csv": b"2"}, collect=("c.csv",))},
        {"resources": Resources(cpus=1.0)},
        {"cache": 7200},
    ],
)
def test_other_steps_have_other_keys(changes: dict[str, Any]) -> None:
    """The command, image, inputs, secret references and age determine the cache key."""
    assert key_of(STEP) != key_of(attrs.evolve(STEP, **changes))


def test_keys_are_separate_by_service_platform_and_tenant() -> None:
    """Services, platform types and tenants do not share cached results."""
    keys = {
        cache_key(STEP, service, kind, tenant)
        for service in ("steps", "batch")
        for kind in (ConnectorType.DOCKER, ConnectorType.KUBERNETES)
        for tenant in (None, "acme")
    }
    assert 8 == len(keys)


# --- what may be cached -----------------------------------------------------------------


@pytest.mark.parametrize(
    "result",
    [
        ExecutionResult.failure(1),
        ExecutionResult(exit_code=0, outcome=StepOutcome.CANCELLED),
        ExecutionResult(exit_code=0, outcome=StepOutcome.DEADLINE),
        ExecutionResult(exit_code=7, outcome=StepOutcome.SUCCESS),
        ExecutionResult(exit_code=0, hook_errors=(HookError("post_execute", "no"),)),
        ExecutionResult(exit_code=0, files={"c.csv": b""}),
    ],
)
def test_unsuccessful_results_are_not_cacheable(result: ExecutionResult) -> None:
    """A failure, a stop, a timeout, a hook error or a missing file makes a result not reusable."""
    assert not is_cacheable(STEP, result)
    assert is_cacheable(STEP, ExecutionResult(exit_code=0, files={"c.csv": b"", "d.csv": b""}))


@pytest.mark.parametrize(
    "changes, field",
    [
        ({"cache": LONGEST_CACHE + 1}, "cache"),
        ({"image": "erp:latest"}, "image"),
        ({"secrets": {"TOKEN": Secret("tok_8c1e55d0a3")}}, "secrets.TOKEN"),
    ],
)
def test_invalid_caches_are_refused(changes: dict[str, Any], field: str) -> None:
    """A cache with a wrong age, a mutable image tag or a secret by value is refused."""
    with pytest.raises(InvalidData) as excinfo:
        attrs.evolve(STEP, **changes)
    assert field == excinfo.value.field
    assert "8c1e55d0a3" not in str(excinfo.value)


@pytest.mark.parametrize("age", [0, -1, float("nan"), "1 hour", True, 1e400, 10**400])
def test_invalid_ages_are_refused(age: Any) -> None:
    """An age that is not a positive duration is refused."""
    with pytest.raises((ConfigurationError, InvalidData)) as excinfo:
        attrs.evolve(STEP, cache=age)
    assert excinfo.value.remedy


def test_age_can_be_a_timedelta() -> None:
    """The age is a number of seconds or a timedelta of at most thirty days."""
    assert 86_400.0 == attrs.evolve(STEP, cache=timedelta(days=1)).cache
    assert LONGEST_CACHE == attrs.evolve(STEP, cache=timedelta(days=30)).cache


# --- running ----------------------------------------------------------------------------


@modes
def test_equal_step_is_not_run_again(mode: str, tmp_path: Path) -> None:
    """For another key with an equal step, the first run's result is reused, and marked so."""
    execute = executor(mode, LocalPlatform(tmp_path / "runs"), f"sqlite:///{tmp_path}/state.db")
    counter = tmp_path / "counter"
    step = Step(
        "count",
        ["sh", "-c", f"echo x >> {counter}; echo done; echo 1 > out.txt"],
        workspace=Workspace(collect=("out.txt",)),
        cache=3600,
    )
    lines: list[Any] = []

    first = execute(step, idempotency_key="a")
    second = execute(step, idempotency_key="b", log=lines.append)

    assert "x\n" == counter.read_text()
    assert first.with_metadata(cached=True) == second
    assert {"out.txt": b"1\n"} == second.files
    assert ["done"] == [line.text for line in lines]
    assert second == execute(step, idempotency_key="b")
    assert first == execute(step, idempotency_key="a")
    assert execute(step).metadata["cached"]
    execute(step, idempotency_key="c", environment={"MONTH": "2030-02"})
    assert "x\nx\n" == counter.read_text()


def test_results_are_cached_in_memory_without_a_store() -> None:
    """Without a store, a connector reuses the results of its own earlier steps."""
    platform, step = MockPlatform(), Step("build", ["make"], cache=3600)
    connector = StepConnector(platform, ConnectorManager([Service("steps")]))
    results = [connector.execute_step(step) for _ in range(2)]

    async def execute_twice() -> list[ExecutionResult]:
        manager = AsyncConnectorManager([Service("steps")])
        async_connector = AsyncStepConnector(AsyncPlatformInThreads(platform), manager)
        return [await async_connector.execute_step(step) for _ in range(2)]

    results += asyncio.run(execute_twice())

    assert [None, True, None, True] == [result.metadata.get("cached") for result in results]
    assert 2 == len(platform.started)


@modes
def test_failed_steps_run_again(mode: str, tmp_path: Path) -> None:
    """A failure or an unknown outcome is never reused."""
    platform = MockPlatform({"build": [ExecutionResult.failure(3), ExecutionResult.success("ok")]})
    execute = executor(mode, platform, f"sqlite:///{tmp_path}/state.db")
    step = Step("build", ["make"], cache=3600)

    results = [execute(step, idempotency_key=key) for key in ("a", "b", "c")]

    assert [3, 0, 0] == [result.exit_code for result in results]
    assert [None, None, True] == [result.metadata.get("cached") for result in results]
    assert 2 == len(platform.started)


@modes
def test_hooks_are_not_called_for_a_reused_result(mode: str, tmp_path: Path) -> None:
    """A reused result calls no hooks."""
    calls: list[str] = []
    execute = executor(
        mode,
        MockPlatform(),
        f"sqlite:///{tmp_path}/state.db",
        pre_execute=lambda _: calls.append("pre"),
        post_execute=lambda _, __: calls.append("post"),
    )
    for key in ("a", "b", "b"):
        execute(Step("build", ["make"], cache=3600), idempotency_key=key)
    assert ["pre", "post"] == calls


@modes
def test_key_of_a_reused_result_stands_for_its_step(mode: str, tmp_path: Path) -> None:
    """Using the key of a reused result for another step is a conflict and starts nothing."""
    platform = MockPlatform()
    execute = executor(mode, platform, f"sqlite:///{tmp_path}/state.db")
    for key in ("a", "b"):
        execute(Step("build", ["make"], cache=3600), idempotency_key=key)
    for other in (Step("other", ["make"]), Step("other", ["make"], cache=60)):
        with pytest.raises(IdempotencyConflict):
            execute(other, idempotency_key="b")
    assert 1 == len(platform.started)


@modes
def test_running_step_of_a_key_is_followed(mode: str, tmp_path: Path) -> None:
    """A call with a key whose run has started follows that run, even if a cached result exists."""
    platform = MockPlatform({"build": [ExecutionResult.success("1"), ExecutionResult.success("2")]})
    execute = executor(mode, platform, f"sqlite:///{tmp_path}/state.db")
    step = Step("build", ["make"], cache=3600)
    execute(step, idempotency_key="a")
    platform.start(RunSpec(name=run_name("steps", None, "b"), step=step), 1.0)

    result = execute(step, idempotency_key="b")

    assert ("2", None) == (result.stdout, result.metadata.get("cached"))


def test_result_is_forgotten_after_its_age() -> None:
    """The store's clock decides when a cached result is too old."""
    clock = VirtualClock()
    platform = MockPlatform()
    manager = ConnectorManager([Service("steps")], state=MemoryStorage(clock), clock=clock)
    connector = StepConnector(platform, manager)
    step = Step("build", ["make"], cache=3600)
    for seconds, runs in ((0.0, 1), (3_590.0, 1), (20.0, 2)):
        clock.advance(seconds)
        connector.execute_step(step)
        assert runs == len(platform.started)


@modes
def test_tenants_share_no_results(mode: str, tmp_path: Path) -> None:
    """A tenant never gets the cached result of another tenant's step."""
    platform = MockPlatform()
    execute = executor(mode, platform, f"sqlite:///{tmp_path}/state.db")
    for tenant in ("acme", "globex", None, "acme"):
        execute(Step("build", ["make"], cache=3600), tenant=tenant)
    assert 3 == len(platform.started)


def test_result_that_cannot_be_stored_is_still_returned() -> None:
    """If the cache cannot store a result, the step still returns it."""

    class ForgetfulStorage(MemoryStorage):
        refusals = 0

        def execute(self, command: Any, *arguments: Any, **options: Any) -> Any:
            if isinstance(command, WriteRecordOnce) and "steps.cached" in command.keys[0]:
                self.refusals += 1
                raise StorageUnavailable("The store is down.")
            return super().execute(command, *arguments, **options)

    platform = MockPlatform()
    state = ForgetfulStorage()
    connector = StepConnector(platform, ConnectorManager([Service("steps")], state=state))
    for _ in range(2):
        assert connector.execute_step(Step("build", ["make"], cache=3600)).is_success
    assert 2 == state.refusals
    assert 2 == len(platform.started)


@modes
def test_unknown_end_is_not_reused(mode: str, tmp_path: Path) -> None:
    """After a step whose outcome is unknown, an equal step is run instead of reusing a result."""
    url = f"sqlite:///{tmp_path}/state.db"
    step = Step("build", ["make"], cache=3600)
    platform = MockPlatform()
    execute = executor(mode, platform, url)
    with pytest.raises(OutcomeUnknown):
        executor(mode, _LosingPlatform(), url)(step, idempotency_key="a")
    assert "cached" not in execute(step, idempotency_key="b").metadata


class _LosingPlatform(MockPlatform):
    """A platform that loses each run as soon as it has started."""

    def status(self, name: str, timeout: float, /) -> Any:
        """Return None, as if somebody had removed the container or process."""
        return None
