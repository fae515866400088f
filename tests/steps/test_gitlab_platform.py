"""Steps as pipelines, with a strict fake GitLab that really runs pipelines."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectorManager,
    EndReason,
    GitLabPlatform,
    GitLabSettings,
    InvalidData,
    InvalidRequest,
    OutcomeUnknown,
    RateLimitExceeded,
    Resources,
    RunPhase,
    RunSpec,
    Secret,
    Service,
    Step,
    StepConnector,
    VendorFailed,
    Workspace,
)
from moorage.adapters.steps.gitlab import GITLAB
from moorage.domain.steps.runs import LogChunk
from moorage.testing import name_of
from moorage.testing.kits import platform_conformance
from moorage.testing.kits.platform_conformance import PlatformLimit
from tests.steps.gitlab_harness import TOKEN, FakeGitLab, gitlab
from tests.steps.step_harness import MODES, executor

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

Harness = tuple[FakeGitLab, GitLabSettings]
WORKER = Path(__file__).with_name("git_host_worker.py")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def shared_harness() -> Generator[Harness]:
    """Yield a fake GitLab."""
    with gitlab() as pair:
        yield pair


@pytest.fixture
def harness(shared_harness: Harness) -> Harness:
    """Yield the fake GitLab with its default behaviour."""
    shared_harness[0].has_ranges = shared_harness[0].has_stamps = False
    return shared_harness


def pipeline_step(script: str, options: Mapping[str, Any]) -> Step:
    """Return a step that runs a script in the fake GitLab's pipeline."""
    fields = {name: value for name, value in options.items() if name != "image"}
    environment = {**fields.pop("environment", {}), "script": script}
    return Step("check", ["main"], environment=environment, **fields)


def spec(name: str, script: str = "echo once", **options: Any) -> RunSpec:
    """Return the specification of a run of a script."""
    return RunSpec(name=name, step=pipeline_step(script, options), labels={"store": "s"})


def wait_until(condition: Callable[[], object]) -> None:
    """Wait until a condition holds, for two minutes at most."""
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end, "It did not happen."
        time.sleep(0.02)


def wait_for_end(platform: GitLabPlatform, name: str) -> Any:
    """Wait for a run to end, and return its status."""
    wait_until(lambda: (status := platform.status(name, 10.0)) is not None and status.is_over)
    return platform.status(name, 10.0)


@pytest.mark.parametrize("check", platform_conformance.CHECKS, ids=name_of)
def test_gitlab_pipelines_pass_conformance_kit(
    check: platform_conformance.Check, harness: Harness
) -> None:
    """Pipelines pass the conformance kit, within the limits of a git host."""
    server, settings = harness
    check(
        platform_conformance.PlatformSubject(
            make=lambda: GitLabPlatform(settings),
            step=pipeline_step,
            limits=frozenset(PlatformLimit)
            - {PlatformLimit.NOTHING_COLLECTED, PlatformLimit.FORGETS_BY_ITSELF},
        )
    )
    assert [] == server.mistakes


@pytest.mark.parametrize("mode", MODES)
def test_key_runs_once_and_returns_the_exit_code(
    harness: Harness, mode: str, tmp_path: Path
) -> None:
    """Sync and async code get the exit code that the runner reports; a repeat starts nothing."""
    server, settings = harness
    execute = executor(mode, GitLabPlatform(settings), f"sqlite:///{tmp_path}/state.db")
    before = len(server.pipelines)

    results = [
        execute(pipeline_step("echo rows; exit 42", {}), idempotency_key=f"k-{mode}")
        for _ in range(2)
    ]

    assert [42, 42] == [result.exit_code for result in results]
    assert "rows" in results[0].stdout.splitlines()
    assert before + 1 == len(server.pipelines)


@pytest.mark.parametrize(
    "cut", ["POST /projects/{id}/pipeline", "PUT ", "POST /projects/{id}/labels"]
)
def test_lost_answers_change_nothing(harness: Harness, cut: str) -> None:
    """Whichever response to a start is lost, one pipeline runs, and is found by its variable."""
    server, settings = harness
    name = f"lost-{cut[-6:].strip().strip('/')}"
    server.cuts = [cut]
    before = len(server.pipelines)

    GitLabPlatform(settings).start(spec(name, "exit 3"), 10.0)

    assert 3 == wait_for_end(GitLabPlatform(settings), name).exit_code
    assert before + 1 == len(server.pipelines)
    assert [] == server.cuts


def test_killed_program_finds_its_run(harness: Harness, tmp_path: Path) -> None:
    """After kill -9, the same key follows the same pipeline, and its log has each line once."""
    server, settings = harness
    script = f"echo line 1; until [ -e {tmp_path}/go ]; do sleep 0.05; done; echo line 2; exit 7"
    before = len(server.pipelines)

    def worker() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(WORKER), "gitlab", settings.api, str(tmp_path), script],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}",
                "GIT_TOKEN": TOKEN,
                "GIT_CA": settings.ca_file or "",
            },
        )

    process = worker()
    log = tmp_path / "log" / "stdout.log"
    wait_until(lambda: log.exists() and "\nline 1\n" in log.read_text())
    process.kill()
    process.communicate()
    (tmp_path / "go").touch()

    output, errors = worker().communicate(timeout=120)

    assert "7 failure" in output, errors
    assert before + 1 == len(server.pipelines)
    lines = [line for line in log.read_text().splitlines() if line.startswith("line ")]
    assert ["line 1", "line 2"] == lines


def test_run_that_never_appears_is_lost(harness: Harness) -> None:
    """If a pipeline never appears, its outcome is unknown, and it is not started again."""
    server, settings = harness
    platform = GitLabPlatform(attrs.evolve(settings, lost_after=1.0))
    server.failures = [("/pipeline", 502, {"message": "bad gateway"}, {})]
    before = len(server.pipelines)
    connector = StepConnector(platform, ConnectorManager([Service("steps")]))

    with pytest.raises(OutcomeUnknown):
        connector.execute_step(pipeline_step("exit 0", {}), idempotency_key="never")

    assert before == len(server.pipelines)


@pytest.mark.parametrize(
    "status, body, headers, error",
    [
        (403, {"message": "403 Forbidden"}, {}, AuthenticationFailed),
        (400, {"message": {"base": ["Reference not found"]}}, {}, InvalidRequest),
        (429, {"message": "Retry later"}, {"Retry-After": "7"}, RateLimitExceeded),
    ],
)
def test_refused_pipeline_gives_the_claim_back(
    harness: Harness, status: int, body: Any, headers: dict[str, str], error: type[Exception]
) -> None:
    """If GitLab refuses a pipeline, nothing has started, and the same key can start it later."""
    server, settings = harness
    platform, name = GitLabPlatform(settings), f"refused-{status}"
    server.failures = [("POST /projects/{id}/pipeline", status, body, headers)]

    with pytest.raises(error):
        platform.start(spec(name), 10.0)

    assert platform.status(name, 10.0) is None
    platform.start(spec(name, "exit 0"), 10.0)
    assert 0 == wait_for_end(platform, name).exit_code


@pytest.mark.parametrize(
    "status, reason, expected",
    [
        ("success", "", (RunPhase.ENDED, EndReason.EXITED, 0)),
        ("failed", "script_failure", (RunPhase.ENDED, EndReason.EXITED, 5)),
        ("failed", "job_execution_timeout", (RunPhase.ENDED, EndReason.DEADLINE, 137)),
        ("canceled", "", (RunPhase.ENDED, EndReason.STOPPED, 137)),
        ("skipped", "", (RunPhase.ENDED, EndReason.EXITED, 125)),
        ("manual", "", (RunPhase.RUNNING, None, None)),
        ("pending", "", (RunPhase.STARTING, None, None)),
    ],
)
def test_each_gitlab_status_has_one_meaning(
    harness: Harness, status: str, reason: str, expected: object
) -> None:
    """Each GitLab status has one meaning, and only `success` is a success."""
    server, settings = harness
    platform, name = GitLabPlatform(settings), f"end-{status}-{reason}"
    platform.start(spec(name, "exit 5"), 10.0)
    wait_for_end(platform, name)

    server.set_conclusion(max(server.pipelines), status, reason)

    run = platform.status(name, 10.0)
    assert run is not None
    assert expected == (run.phase, run.reason, run.exit_code)


@pytest.mark.parametrize("has_stamps", [False, True])
@pytest.mark.parametrize("has_ranges", [False, True])
def test_trace_is_followed_live(
    harness: Harness, tmp_path: Path, *, has_ranges: bool, has_stamps: bool
) -> None:
    """Reading of a growing job log continues at the last position, even without range requests."""
    server, settings = harness
    server.has_ranges, server.has_stamps = has_ranges, has_stamps
    gate = tmp_path / "go"
    name = f"live-{has_ranges}-{has_stamps}"
    script = f"echo one {TOKEN}; until [ -e {gate} ]; do sleep 0.02; done; echo two"
    GitLabPlatform(settings).start(spec(name, script), 10.0)
    data, position = b"", ""

    def has_one() -> bool:
        nonlocal data, position
        chunk = GitLabPlatform(settings).logs(name, "stdout", position, 10.0)
        data, position = data + chunk.data, chunk.position
        return b"\none " in data

    wait_until(has_one)
    gate.touch()
    wait_for_end(GitLabPlatform(settings), name)
    server.ranges.clear()
    chunk = GitLabPlatform(settings).logs(name, "stdout", position, 10.0)

    assert f"bytes={position.partition(':')[2]}-" == server.ranges[-1]
    assert chunk.is_last
    lines = (data + chunk.data).decode().splitlines()
    assert 1 == lines.count("two")
    assert f"one {'*' * len(TOKEN)}" in lines
    assert TOKEN not in (data + chunk.data).decode()
    assert not any("section_" in line for line in lines)


def test_gitlab_is_asked_once_in_a_while(harness: Harness, tmp_path: Path) -> None:
    """Within the polling interval, a growing log is read once, and no line is lost."""
    server, settings = harness
    platform = GitLabPlatform(attrs.evolve(settings, pace=1000.0))
    gate = tmp_path / "go"
    platform.start(spec("pace", f"until [ -e {gate} ]; do sleep 0.02; done; echo two"), 10.0)
    first = platform.logs("pace", "stdout", "", 10.0)
    before = len(server.ranges)

    later_chunk = platform.logs("pace", "stdout", first.position, 10.0)

    assert LogChunk(b"", first.position, False) == later_chunk
    assert before == len(server.ranges)
    gate.touch()
    wait_for_end(GitLabPlatform(settings), "pace")
    last_chunk = GitLabPlatform(settings).logs("pace", "stdout", later_chunk.position, 10.0)
    assert "two" in last_chunk.data.decode().splitlines()


def test_another_program_label_that_has_scope_prefix_is_not_shown_as_run(harness: Harness) -> None:
    """Another program's label that has the scope's prefix is not shown as a run."""
    server, settings = harness
    server.labels["moorage.plain"] = {
        "id": 1,
        "name": "moorage.plain",
        "color": "#fff",
        "description": "notes",
        "text_color": "#000",
    }

    assert GitLabPlatform(settings).status("plain", 10.0) is None
    assert "plain" not in {status.name for status in GitLabPlatform(settings).runs(10.0)}


def test_deleted_pipeline_is_lost(harness: Harness) -> None:
    """A run whose pipeline was deleted at GitLab has the phase LOST."""
    server, settings = harness
    platform = GitLabPlatform(settings)
    platform.start(spec("deleted", "true"), 10.0)
    wait_for_end(platform, "deleted")

    del server.pipelines[max(server.pipelines)]

    assert RunPhase.LOST is wait_for_end(platform, "deleted").phase


def test_failures_are_typed_and_masked(harness: Harness) -> None:
    """Each failure raises its error type, without the token that the response repeats."""
    server, settings = harness
    server.failures = [("GET ", 500, {"message": f"bad {TOKEN}"}, {})]

    with pytest.raises(VendorFailed) as failed:
        GitLabPlatform(settings).status("x", 10.0)

    assert TOKEN not in f"{failed.value} {failed.value.vendor_message} {settings!r}"
    other_platform = GitLabPlatform(attrs.evolve(settings, token=Secret("glpat-other")))
    with pytest.raises(AuthenticationFailed):
        other_platform.status("x", 10.0)


@pytest.mark.parametrize(
    "options",
    [
        {"project": "erp"},
        {"project": "a b/c"},
        {"project": "acme/.."},
        {"project": "../acme/erp"},
        {"token": Secret("")},
        {"scope": ""},
        {"api": "http://gitlab.example"},
        {"ca_file": "/no"},
    ],
)
def test_wrong_settings_are_named(harness: Harness, options: dict[str, Any]) -> None:
    """An impossible setting is refused before anything is sent."""
    with pytest.raises(ConfigurationError):
        GITLAB.build(attrs.evolve(harness[1], **options))


@pytest.mark.parametrize(
    "options",
    [
        {"image": "erp:1"},
        {"secrets": {"TOKEN": "secret://env/T"}},
        {"workspace": Workspace(files={"a": b""})},
        {"resources": Resources(memory=1)},
        {"environment": {"MOORAGE_RUN": "x"}},
        {"command": ["main", "x"]},
        {"command": ["a b"]},
    ],
)
def test_steps_that_no_pipeline_can_run_are_refused(
    harness: Harness, options: dict[str, Any]
) -> None:
    """A step that a pipeline cannot run is refused before anything is sent."""
    fields: dict[str, Any] = {"command": ["main"], **options}
    step = Step("x", fields.pop("command"), **fields)

    with pytest.raises(InvalidData):
        GitLabPlatform(harness[1]).validate(step)
