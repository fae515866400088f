"""One idempotency key starts one step, finds it again, follows it, and stores its result once."""

from __future__ import annotations

import asyncio
import gc
import json
import math
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Event, Thread, current_thread
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage import (
    AsyncConnectorManager,
    AsyncPlatformInThreads,
    AsyncStepConnector,
    AttemptTimeout,
    ConfigurationError,
    ConnectionFailed,
    ConnectorError,
    ConnectorManager,
    CredentialNotFound,
    DeadlineExceeded,
    HeldBack,
    IdempotencyConflict,
    InvalidData,
    OutcomeUnknown,
    Secret,
    Service,
    StepConnector,
    StepRunning,
    StorageUnavailable,
)
from moorage.adapters.audit.file import FileAudit
from moorage.adapters.state.memory import MemoryStorage
from moorage.adapters.steps.local import LocalPlatform
from moorage.domain.steps.following import pause_after, pause_between_polls
from moorage.domain.steps.result import ExecutionResult, HookError, StepOutcome
from moorage.domain.steps.runs import RunPhase, RunSpec
from moorage.domain.steps.step import Step, Workspace, run_name
from moorage.hub._step_hooks_async import call_hook_async
from moorage.hub._step_hooks_sync import call_hook_sync
from moorage.hub.audit import AuditTrail
from moorage.testing import VirtualClock
from moorage.testing.fakes.platform import MockPlatform
from moorage.wiring.store_urls import aopen_storage, open_storage
from tests.steps.step_harness import MODES, executor
from tests.support.threads import no_new_threads
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from moorage.domain.steps.log_lines import LogLine
    from moorage.domain.steps.runs import LogChunk, LogStream, RunStatus

modes = pytest.mark.parametrize("mode", MODES)


@modes
def test_result_has_exit_code_and_output(mode: str, tmp_path: Path) -> None:
    """A step's result has its exit code, stdout and stderr, and says how the step ended."""
    execute = executor(mode, LocalPlatform(tmp_path))

    result = execute(Step("report", ["sh", "-c", "echo out; echo err >&2; exit 7"]))

    assert (7, "out\n", "err\n") == (result.exit_code, result.stdout, result.stderr)
    assert StepOutcome.FAILURE is result.outcome
    assert not result.is_success


@modes
def test_settled_step_is_not_repeated(mode: str, tmp_path: Path) -> None:
    """A repeated key returns the stored result even if the run was removed from its platform."""
    platform = LocalPlatform(tmp_path / "runs")
    execute = executor(mode, platform, f"sqlite:///{tmp_path}/state.db")
    counter = tmp_path / "counter"
    step = Step("count", ["sh", "-c", f"echo x >> {counter}; echo done"])

    first = execute(step, idempotency_key="invoice-1")
    second_result = execute(step, idempotency_key="invoice-1")

    assert "x\n" == counter.read_text()
    assert first == second_result
    assert [] == platform.runs(5.0)


@modes
def test_key_of_one_step_refuses_another_step(mode: str, tmp_path: Path) -> None:
    """A key used for one step is refused for another, even if only the platform knows the first."""
    platform = MockPlatform(endless=["a"])
    first, second = Step("a", ["true"]), Step("b", ["true"])
    platform.start(RunSpec(name=run_name("steps", None, "k"), step=first), 1.0)
    for url in (None, f"sqlite:///{tmp_path}/state.db"):
        execute = executor(mode, platform, url)
        with pytest.raises(IdempotencyConflict):
            execute(second, idempotency_key="k")
    other_executor = executor(mode, MockPlatform(), f"sqlite:///{tmp_path}/other.db")
    other_executor(first, idempotency_key="k")
    with pytest.raises(IdempotencyConflict):
        other_executor(second, idempotency_key="k")


@modes
def test_hooks_are_called_once(mode: str, tmp_path: Path) -> None:
    """`pre_execute` and `post_execute` are called once per key; the second gets the result."""
    calls: list[Any] = []
    execute = executor(
        mode,
        MockPlatform({"build": ExecutionResult.failure(3, stdout="no\n")}),
        f"sqlite:///{tmp_path}/state.db",
        pre_execute=lambda step: calls.append(step.name),
        post_execute=lambda step, result: calls.append((step.name, result.exit_code)),
    )

    for _ in range(3):
        execute(Step("build", ["make"]), idempotency_key="k")

    assert ["build", ("build", 3)] == calls


@modes
def test_failing_hook_does_not_change_step_result(mode: str, tmp_path: Path) -> None:
    """A failing hook does not change the step's result, and its error shows no secret."""

    def raise_error(_: Step, __: ExecutionResult) -> None:
        raise ValueError("cannot parse hunter22-hunter22")

    execute = executor(
        mode, MockPlatform(), f"sqlite:///{tmp_path}/state.db", post_execute=raise_error
    )
    step = Step("build", ["make"], secrets={"TOKEN": Secret("hunter22-hunter22")})

    result = execute(step, idempotency_key="k")

    assert result.is_success
    assert (HookError("post_execute", "ValueError: cannot parse ***"),) == result.hook_errors
    assert result == execute(step, idempotency_key="k")


def hanging_hook(mode: str, released: Event) -> Callable[..., object]:
    """Return a hook that does not return before an event is set."""
    return lambda *_: released.wait() if mode == "sync" else asyncio.Event().wait()


@modes
@pytest.mark.parametrize("outcome", [StepOutcome.DEADLINE, StepOutcome.CANCELLED])
def test_hook_that_never_returns_is_abandoned_at_its_limit(
    mode: str, outcome: StepOutcome, tmp_path: Path
) -> None:
    """After a timeout or stop, a hook that does not end is abandoned at its limit, once per key."""
    released = Event()
    end_status = ExecutionResult(exit_code=143, outcome=outcome)
    execute = executor(
        mode,
        MockPlatform({"build": end_status}),
        f"sqlite:///{tmp_path}/state.db",
        post_execute=hanging_hook(mode, released),
        hook_timeout=0.05,
    )

    result = execute(Step("build", ["make"]), idempotency_key="k")

    assert (143, outcome) == (result.exit_code, result.outcome)
    (error,) = result.hook_errors
    assert error.text.startswith("DeadlineExceeded: The hook post_execute did not end within 0.05")
    assert result == execute(Step("build", ["make"]), idempotency_key="k")
    released.set()


@modes
@pytest.mark.parametrize("patience", [-1, math.nan, math.inf, True, "5"])
def test_wrong_patience_is_refused_before_the_step_starts(mode: str, patience: Any) -> None:
    """A patience that is not a number of seconds starts nothing, and the error names it."""
    platform = MockPlatform()

    with pytest.raises(ConfigurationError) as excinfo:
        executor(mode, platform)(Step("build", ["make"]), patience=patience)
    assert "patience" == excinfo.value.path
    assert [] == platform.started


@pytest.mark.parametrize("hook_timeout", [0, -1, math.nan, "5"])
def test_wrong_limit_of_hooks_is_refused(hook_timeout: Any) -> None:
    """A time limit of hooks that is not a number of seconds is refused."""
    with pytest.raises(ConfigurationError) as excinfo:
        StepConnector(
            MockPlatform(), ConnectorManager([Service("steps")]), hook_timeout=hook_timeout
        )
    assert "hook_timeout" == excinfo.value.path


@modes
def test_first_hook_that_never_returns_keeps_the_step_from_starting(
    mode: str, tmp_path: Path
) -> None:
    """If the first hook never returns, the step does not start, even if the key is repeated."""
    platform, released = MockPlatform(), Event()
    execute = executor(
        mode,
        platform,
        f"sqlite:///{tmp_path}/state.db",
        pre_execute=hanging_hook(mode, released),
        hook_timeout=0.05,
    )
    for _ in range(2):
        with pytest.raises(HeldBack, match="pre_execute did not end"):
            execute(Step("build", ["make"]), idempotency_key="k")
    assert [] == platform.started
    released.set()


def test_hook_runs_in_its_callers_thread_if_no_other_can_be_started() -> None:
    """If the system has no more threads, a hook runs in its caller's thread, and may still fail."""
    threads: list[Thread] = []

    def refuse() -> None:
        threads.append(current_thread())
        raise LookupError("refused")

    with no_new_threads(), pytest.raises(LookupError, match="refused"):
        call_hook_sync("pre_execute", refuse, 60.0)
    assert [current_thread()] == threads


@modes
def test_synchronous_hook_runs_in_its_caller_thread_without_limit(mode: str) -> None:
    """Without a limit, a synchronous hook runs in its caller's thread."""
    threads: list[Thread] = []
    execute = executor(
        mode,
        MockPlatform(),
        pre_execute=lambda _: threads.append(current_thread()),
        hook_timeout=None,
    )

    assert execute(Step("build", ["make"])).is_success
    assert [current_thread()] == threads


def test_hook_of_a_cancelled_caller_is_cancelled(tmp_path: Path) -> None:
    """If a caller is cancelled, so is its hook; a repeat reports the hook's outcome as unknown."""
    calls: list[str] = []

    async def call() -> ExecutionResult:
        start_event = asyncio.Event()

        async def run_after_hook(_: Step, __: ExecutionResult) -> None:
            start_event.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                calls.append("cancelled")
                raise

        async with aopen_storage(f"sqlite:///{tmp_path}/state.db") as state:
            manager = AsyncConnectorManager([Service("steps")], state=state)
            platform = AsyncPlatformInThreads(MockPlatform())
            connector = AsyncStepConnector(platform, manager, post_execute=run_after_hook)
            step = Step("build", ["make"])
            task = asyncio.create_task(connector.execute_step(step, idempotency_key="k"))
            await start_event.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return await connector.execute_step(step, idempotency_key="k")

    result = asyncio.run(call())

    assert ["cancelled"] == calls
    assert result.is_success
    assert ["post_execute"] == [error.hook for error in result.hook_errors]


def test_hook_that_runs_on_after_its_limit_does_not_delay_its_caller() -> None:
    """A hook that runs on after its limit does not delay its caller; its error is ignored."""
    reports: list[object] = []

    async def ignore_cancellation() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        raise ValueError("too late")

    async def call() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, facts: reports.append(facts))
        with pytest.raises(DeadlineExceeded, match="hook x did not end"):
            await call_hook_async("x", ignore_cancellation, 0.01)

    asyncio.run(call())
    gc.collect()

    assert [] == reports


@modes
def test_first_hook_can_refuse(mode: str, tmp_path: Path) -> None:
    """If the first hook raises an error, the step does not start, even if the key is repeated."""
    platform = MockPlatform()

    def refuse(_: Step) -> None:
        raise RuntimeError("it is Sunday")

    execute = executor(mode, platform, f"sqlite:///{tmp_path}/state.db", pre_execute=refuse)
    for _ in range(2):
        with pytest.raises(HeldBack, match="RuntimeError: it is Sunday"):
            execute(Step("build", ["make"]), idempotency_key="k")
    assert [] == platform.started


@modes
def test_removed_run_is_an_unknown_outcome(mode: str, tmp_path: Path) -> None:
    """If a run is removed before its end is recorded, its outcome stays unknown in each repeat."""
    platform = MockPlatform()
    original = platform.start

    def start_and_lose(*arguments: Any) -> Any:
        status = original(*arguments)
        platform._runs.clear()  # noqa: SLF001 - a run that the platform lost
        return status

    platform.start = start_and_lose  # type: ignore[method-assign]  # somebody interferes
    execute = executor(mode, platform, f"sqlite:///{tmp_path}/state.db")
    for _ in range(2):
        with pytest.raises(
            OutcomeUnknown, match="something other than moorage removed or killed"
        ) as excinfo:
            execute(Step("build", ["make"]), idempotency_key="k")
        assert "k" == excinfo.value.idempotency_key
    assert 1 == len(platform.started)


@modes
def test_log_gets_each_line(mode: str, tmp_path: Path) -> None:
    """The log function gets each line of the output in order, with secrets masked."""
    lines: list[LogLine] = []
    execute = executor(mode, LocalPlatform(tmp_path))
    step = Step(
        "print",
        ["sh", "-c", 'cat "$TOKEN_FILE"; echo; for n in 1 2 3; do echo line $n; done; printf torn'],
        secrets={"TOKEN": Secret("s3cret-s3cret-s3cret")},
    )

    result = execute(step, log=lines.append)

    assert ["***", "line 1", "line 2", "line 3", "torn"] == [line.text for line in lines]
    assert [True, True, True, True, False] == [line.is_whole for line in lines]
    assert "s3cret" not in repr(result) + result.stdout


@modes
def test_stopped_step_is_recorded(mode: str, tmp_path: Path) -> None:
    """A manual stop is recorded with its step; if it cannot be recorded, nothing is stopped."""
    trail = AuditTrail(FileAudit(tmp_path / "trail"))
    platform = MockPlatform(endless=["a"])
    labels = {"key": "k", "tenant": "acme"}
    name = run_name("steps", "acme", "k")
    platform.start(RunSpec(name=name, step=Step("a", ["true"]), labels=labels), 1.0)
    broken = AuditTrail(FileAudit(tmp_path / "nowhere" / "trail"))

    with pytest.raises(StorageUnavailable, match="was refused"):
        stop_run(mode, platform, broken)
    assert not stop_run(mode, platform, trail, tenant="other")
    assert stop_run(mode, platform, trail, actor="ada", reason="wrong month")

    [record] = trail.find().items
    assert ("step.stop", "step k of steps/mock", "ada", "wrong month") == (
        record.act,
        record.subject,
        record.actor,
        record.reason,
    )
    assert {"step": "a", "run": name, "tenant": "acme"} == json.loads(record.before or "")


def stop_run(mode: str, platform: MockPlatform, trail: AuditTrail, **options: Any) -> bool:
    """Stop the run of key "k", in sync or async mode; return whether the run was in progress."""
    arguments: dict[str, Any] = {"tenant": "acme", **options}
    if mode == "sync":
        manager = ConnectorManager([Service("steps")], audit=trail)
        return StepConnector(platform, manager).stop("k", **arguments)

    async def stop() -> bool:
        manager = AsyncConnectorManager([Service("steps")], audit=trail)
        connector = AsyncStepConnector(AsyncPlatformInThreads(platform), manager)
        return await connector.stop("k", **arguments)

    return asyncio.run(stop())


class RacingPlatform:
    """A platform on which, at a chosen status request, another follower stores the run's result."""

    def __init__(self, platform: LocalPlatform, looks: int, settle: Callable[[], object]) -> None:
        self._platform = platform
        self._looks = looks
        self._settle = settle

    def __getattr__(self, name: str) -> Any:
        return getattr(self._platform, name)

    def status(self, name: str, timeout: float, /) -> RunStatus | None:
        """Return the status; at the chosen request, let another follower store the result."""
        self._looks -= 1
        if self._looks == 0:
            self._settle()
        return self._platform.status(name, timeout)


@modes
@pytest.mark.parametrize("looks", [1, 2])
def test_follower_whose_run_is_removed_by_another_one_still_gets_each_line_once(
    mode: str, looks: int, tmp_path: Path
) -> None:
    """A follower whose run is removed by another one still gets each line once, in order."""
    url = f"sqlite:///{tmp_path}/state.db"
    platform = LocalPlatform(tmp_path / "runs")
    script = "echo one; echo two; while [ ! -e go ]; do sleep 0.01; done; echo three; printf end"
    step = Step("talk", ["sh", "-c", script])
    name = run_name("steps", None, "k")

    def settle() -> None:
        (tmp_path / "runs" / name / "work" / "go").touch()
        executor(mode, platform, url)(step, idempotency_key="k")

    platform.start(RunSpec(name=name, step=step), 30.0)
    wait_until(lambda: platform.logs(name, "stdout", "", 5.0).data == b"one\ntwo\n", "the lines")
    lines: list[LogLine] = []
    slow_platform: Any = RacingPlatform(platform, looks, settle)
    result = executor(mode, slow_platform, url)(step, idempotency_key="k", log=lines.append)

    assert [(1, "one"), (2, "two"), (3, "three"), (4, "end")] == [
        (line.number, line.text) for line in lines
    ]
    assert "log_error" not in result.metadata


class EndReportingPlatform(MockPlatform):
    """A platform with one endless run, which reports the run's end as a script says.

    A run has ended once the last item of the script was reported.
    """

    can_wait = True

    def __init__(self, *script: bool | ConnectorError) -> None:
        super().__init__(endless=["a"])
        self._script = list(script)
        self.pauses: list[float] = []

    def wait(self, name: str, seconds: float, /) -> bool:
        """Return the next item of the script, or raise it if it is an error."""
        self.pauses.append(seconds)
        item = self._script.pop(0)
        if not self._script:
            self.stop(name, 0.0, 1.0)
        if isinstance(item, ConnectorError):
            raise item
        return item


@modes
def test_pause_ends_when_run_ends(mode: str) -> None:
    """A pause between polls ends when the run ends; early, failed or missing reports do no harm."""
    platform = EndReportingPlatform(True, ConnectionFailed("x"), False, True)

    result = executor(mode, platform)(Step("a", ["true"]))

    assert StepOutcome.CANCELLED is result.outcome
    assert 4 == len(platform.pauses)
    assert sorted(platform.pauses) == platform.pauses


def test_pauses_that_end_with_the_run_grow_faster() -> None:
    """Pauses for a quiet run grow to half a second, and faster if the platform reports its end."""
    quiet = [True, *[False] * 9]
    assert 0.02 == pause_after([True]) == pause_after([True], ends_with_run=True)
    assert pause_after(quiet) < 0.05
    assert 0.5 == pause_after(quiet, ends_with_run=True) == pause_after([False] * 40)


@modes
def test_result_says_so_if_removed_run_had_more_output_than_its_result_keeps(
    mode: str, tmp_path: Path
) -> None:
    """If a removed run had more output than is kept, its result says so."""
    url = f"sqlite:///{tmp_path}/state.db"
    execute = executor(mode, LocalPlatform(tmp_path / "runs"), url)
    step = Step("talk", ["seq", "1", "20000"])
    first = execute(step, idempotency_key="k")
    lines: list[LogLine] = []

    second_result = execute(step, idempotency_key="k", log=lines.append)

    assert [] == lines
    assert "log_error" not in first.metadata
    assert "before its last lines were read" in second_result.metadata["log_error"]
    assert first == execute(step, idempotency_key="k")


@modes
def test_broken_log_changes_nothing(mode: str) -> None:
    """If a log function raises an error, it gets no more lines, and the result has the error."""

    def raise_error(_: LogLine) -> None:
        raise OSError("disk full")

    execute = executor(mode, MockPlatform(default=ExecutionResult.success("a\nb\n")))

    result = execute(Step("build", ["make"]), log=raise_error)

    assert result.is_success
    assert (
        "The log raised OSError, so the further lines of the step were not written."
        == result.metadata["log_error"]
    )


class StubbornPlatform(MockPlatform):
    """A platform that cannot remove runs."""

    def remove(self, name: str, timeout: float, /) -> None:
        """Raise a temporary error."""
        self.started.append(RunSpec(name=f"removal of {name}", step=Step("x", ["true"])))
        raise ConnectionFailed("The platform is away.")


@modes
def test_run_that_cannot_be_removed_has_its_result(mode: str) -> None:
    """If a run cannot be removed, the step's result stays the same, also for a repeated key."""
    failed = ExecutionResult.failure(4, stdout="rows\n")
    platform = StubbornPlatform({"x": failed})
    execute = executor(mode, platform)

    result = execute(Step("x", ["true"]), idempotency_key="k")

    assert (4, "rows\n", StepOutcome.FAILURE) == (result.exit_code, result.stdout, result.outcome)
    assert () == result.hook_errors
    assert any(spec.name.startswith("removal") for spec in platform.started)


@modes
def test_files_go_in_and_out(mode: str, tmp_path: Path) -> None:
    """A step reads its workspace files, and its output files are collected."""
    execute = executor(mode, LocalPlatform(tmp_path))
    workspace = Workspace(files={"in/a.txt": b"12\n"}, collect=("out.txt", "missing.txt"))

    result = execute(
        Step("sum", ["sh", "-c", "cat in/a.txt > out.txt; echo $EXTRA >> out.txt"]),
        workspace=workspace,
        environment={"EXTRA": "30"},
    )

    assert {"out.txt": b"12\n30\n"} == result.files


@modes
def test_deadline_is_an_outcome(mode: str, tmp_path: Path) -> None:
    """A step that exceeds its limit is ended by its platform, and the hook gets the result."""
    outcomes: list[StepOutcome] = []
    execute = executor(
        mode,
        LocalPlatform(tmp_path),
        post_execute=lambda _, result: outcomes.append(result.outcome),
    )

    result = execute(Step("slow", ["sleep", "600"], timeout=0.3, grace=0.2))

    assert (StepOutcome.DEADLINE, 143) == (result.outcome, result.exit_code)
    assert [StepOutcome.DEADLINE] == outcomes


@modes
def test_secret_in_the_command_is_refused(mode: str) -> None:
    """A step that would show a secret is refused, and the error does not show the secret."""
    platform = MockPlatform()
    execute = executor(mode, platform)
    step = Step("push", ["git", "push", "https://tok-12345@x"], secrets={"T": Secret("tok-12345")})

    with pytest.raises(InvalidData, match="T_FILE") as excinfo:
        execute(step)

    assert "tok-12345" not in str(excinfo.value)
    assert [] == platform.started


@modes
def test_missing_secret_is_named(mode: str) -> None:
    """A reference to a missing secret stops the step before it starts."""
    execute = executor(mode, MockPlatform())

    with pytest.raises(CredentialNotFound, match="secret://env/NOT_THERE_AT_ALL"):
        execute(Step("push", ["git"], secrets={"T": "secret://env/NOT_THERE_AT_ALL"}))


def test_name_of_a_run_depends_on_service_tenant_and_key() -> None:
    """A run's name depends only on the service, the tenant and the idempotency key."""
    names = {
        run_name("steps", None, "k"),
        run_name("steps", "t", "k"),
        run_name("other", None, "k"),
    }

    assert 3 == len(names)
    assert all(len(name) == 40 for name in names)


def test_asynchronous_clean_up_stops_orphans_only(tmp_path: Path) -> None:
    """A clean-up stops runs of its own store that nobody follows, and no other store's runs."""
    platform = MockPlatform(endless=["job"])

    async def clean_up() -> list[str]:
        async with aopen_storage(f"sqlite:///{tmp_path}/state.db") as state:
            manager = AsyncConnectorManager([Service("steps")], state=state)
            connector = AsyncStepConnector(AsyncPlatformInThreads(platform), manager)
            own_store = await connector._store_id()  # noqa: SLF001 - the label of its own runs
            for name, store in (("orphan", own_store), ("other", "another")):
                step = Step("job", ["sleep", "1000"])
                platform.start(RunSpec(name=name, step=step, labels={"store": store}), 1.0)
            return [status.name for status in await connector.clean_up(after=0.0)]

    assert ["orphan"] == asyncio.run(clean_up())
    assert [True, False] == [
        run.is_over for run in sorted(platform.runs(1.0), key=lambda run: run.name)
    ]


class SlowStartPlatform(MockPlatform):
    """A platform that creates a run at the first start and starts it only at the second.

    Args:
        before_start: called in the middle of each start.
    """

    def __init__(self, before_start: Callable[[], object] = lambda: None) -> None:
        super().__init__(endless=["job"])
        self._before_start = before_start

    def start(self, spec: RunSpec, timeout: float, /) -> RunStatus:
        """Create a run; a second call starts it."""
        status = super().start(spec, timeout)
        self._before_start()
        return status

    def status(self, name: str, timeout: float, /) -> RunStatus | None:
        """Return a run's status; unless the run has ended, it is shown as not started."""
        status = super().status(name, timeout)
        if status is None or status.is_over:
            return status
        return attrs.evolve(status, phase=RunPhase.STARTING, started_at=None)

    def runs(self, timeout: float, /) -> list[RunStatus]:
        """Return the status of all runs."""
        statuses = (self.status(status.name, timeout) for status in super().runs(timeout))
        return [status for status in statuses if status is not None]


def test_clean_up_ends_runs_that_were_never_started(tmp_path: Path) -> None:
    """A run whose starter died before the start is stopped, and never starts."""
    platform = SlowStartPlatform()
    manager = ConnectorManager(
        [Service("steps")], state=open_storage(f"sqlite:///{tmp_path}/state.db")
    )
    connector = StepConnector(platform, manager)
    labels = {"store": connector._store_id()}  # noqa: SLF001 - the label of its own runs
    spec = RunSpec(name="orphan", step=Step("job", ["sleep", "1000"]), labels=labels)
    platform.start(spec, 1.0)

    assert ["orphan"] == [status.name for status in connector.clean_up(after=0.0)]
    assert ["orphan"] == platform.stopped


class ForgetfulPlatform(MockPlatform):
    """A platform that has lost part of the standard output."""

    def logs(self, name: str, stream: LogStream, position: str, timeout: float, /) -> LogChunk:
        """Return a part of the output; for stdout, also report a gap."""
        chunk = super().logs(name, stream, position, timeout)
        return chunk._replace(has_gap=stream == "stdout")


@modes
def test_result_names_this_output_if_platform_lost_part_of_output(mode: str) -> None:
    """If a platform lost part of an output, the result says which output that is."""
    execute = executor(mode, ForgetfulPlatform())

    result = execute(Step("job", ["rows"]), idempotency_key="k")

    assert ["stdout"] == result.metadata["incomplete"]
    assert "incomplete" not in executor(mode, MockPlatform())(Step("job", ["rows"])).metadata


class PartlyHangingPlatform(MockPlatform):
    """A platform that does not respond before the timeout for the run named "a-hung"."""

    def status(self, name: str, timeout: float, /) -> RunStatus | None:
        """Return the status of a run; for the run "a-hung", raise a timeout."""
        if name == "a-hung":
            raise AttemptTimeout("The platform did not answer in time.")
        return super().status(name, timeout)


def test_clean_up_stops_the_others_of_a_run_that_hangs(tmp_path: Path) -> None:
    """If one run's status cannot be read, the others are stopped before the error is raised."""
    platform = PartlyHangingPlatform(endless=["job"])
    state = open_storage(f"sqlite:///{tmp_path}/state.db")
    connector = StepConnector(platform, ConnectorManager([Service("steps")], state=state))
    labels = {"store": connector._store_id()}  # noqa: SLF001 - the label of its own runs
    for name in ("a-hung", "orphan"):
        step = Step("job", ["sleep", "1000"])
        platform.start(RunSpec(name=name, step=step, labels=labels), 1.0)

    with pytest.raises(AttemptTimeout):
        connector.clean_up(after=0.0)

    assert ["orphan"] == platform.stopped


def test_run_that_is_still_being_started_is_not_stopped(tmp_path: Path) -> None:
    """A run that is still being started is not stopped, even if nobody follows it yet."""
    url = f"sqlite:///{tmp_path}/state.db"
    stopped: list[tuple[RunStatus, ...]] = []
    platform = SlowStartPlatform(lambda: stopped.append(janitor.clean_up(after=0.0)))
    manager = ConnectorManager([Service("steps")], state=open_storage(url))
    janitor = StepConnector(platform, manager)

    with pytest.raises(StepRunning):
        executor("sync", platform, url)(Step("job", ["sleep"]), idempotency_key="k", patience=0.0)

    assert [()] == stopped
    assert [] == platform.stopped


def test_asynchronous_clean_up_needs_a_shared_store() -> None:
    """An asynchronous clean-up is refused if only this process can see its store."""

    async def clean_up() -> None:
        manager = AsyncConnectorManager([Service("steps")])
        await AsyncStepConnector(AsyncPlatformInThreads(MockPlatform()), manager).clean_up()

    with pytest.raises(ConfigurationError, match="memory of this process"):
        asyncio.run(clean_up())


@modes
def test_caller_need_not_wait_for_the_end(mode: str, tmp_path: Path) -> None:
    """A caller that does not wait gets a retry time, and finds the run again by its key."""
    platform = LocalPlatform(tmp_path / "runs")
    execute = executor(mode, platform, f"sqlite:///{tmp_path}/state.db")
    go_path = tmp_path / "go"
    step = Step("slow", ["sh", "-c", f"while [ ! -e {go_path} ]; do sleep 0.05; done; echo done"])

    moments = []
    for _ in range(2):
        with pytest.raises(StepRunning, match="'slow' is still running") as excinfo:
            execute(step, idempotency_key="k", patience=0.0)
        assert excinfo.value.retryable
        assert "k" == excinfo.value.idempotency_key
        assert excinfo.value.retry_at is not None
        moments.append(excinfo.value.retry_at)
    assert 1 == len(platform.runs(5.0))
    go_path.touch()

    assert "done\n" == execute(step, idempotency_key="k", patience=60.0).stdout
    assert "done\n" == execute(step, idempotency_key="k", patience=0.0).stdout
    assert moments == sorted(moments)


def test_hook_before_a_run_of_several_days_is_called_once() -> None:
    """The hook `pre_execute` is called once, even if the run outlives the stored keys."""
    clock, steps = VirtualClock(), list[Step]()
    platform = MockPlatform(endless=["slow"])
    manager = ConnectorManager([Service("steps")], state=MemoryStorage(clock), clock=clock)
    connector = StepConnector(platform, manager, pre_execute=steps.append)
    step = Step("slow", ["sleep"])

    for _ in range(3):
        with pytest.raises(StepRunning):
            connector.execute_step(step, idempotency_key="k", patience=0.0)
        clock.advance(25 * 3_600.0)

    assert [step] == steps
    assert 1 == len({spec.name for spec in platform.started})


@modes
def test_caller_without_patience_gets_the_platforms_error(mode: str) -> None:
    """A caller that does not wait gets the platform's error without a retry."""
    platform = UnreachablePlatform(endless=["a"])

    with pytest.raises(ConnectionFailed):
        executor(mode, platform)(Step("a", ["true"]), idempotency_key="k", patience=0.0)

    assert 1 == platform.looks


class UnreachablePlatform(MockPlatform):
    """A platform that starts runs, and then does not respond."""

    looks = 0

    def status(self, name: str, timeout: float, /) -> RunStatus | None:
        """Raise a temporary error."""
        self.looks += 1
        raise ConnectionFailed("The platform does not answer.")


def test_pauses_between_polls_follow_the_age_of_a_run() -> None:
    """Pauses between polls are a twentieth of the run's age, but from 1 to 15 seconds long."""
    assert [1.0, 1.0, 5.0, 15.0] == [pause_between_polls(age) for age in (-9.0, 3.0, 100.0, 1e9)]


def test_run_that_callers_poll_from_time_to_time_counts_as_followed(tmp_path: Path) -> None:
    """A run whose status callers request from time to time counts as followed."""
    url = f"sqlite:///{tmp_path}/state.db"
    platform = MockPlatform(endless=["a"])
    ask = executor("sync", platform, url)

    def poll() -> None:
        with pytest.raises(StepRunning):
            ask(Step("a", ["true"]), idempotency_key="k", patience=0.0)

    poll()
    manager = ConnectorManager([Service("steps")], state=open_storage(url))
    janitor = StepConnector(platform, manager)
    with ThreadPoolExecutor(1) as threads:
        stopped = threads.submit(janitor.clean_up, 3.0)
        while not stopped.done():
            poll()
    assert () == stopped.result()
    assert 1 == len(janitor.clean_up(0.1))
