"""Steps as Cloud Run jobs, with a strict fake whose executions are processes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage import (
    AttemptTimeout,
    AuthenticationFailed,
    CloudRunPlatform,
    CloudRunSettings,
    ConfigurationError,
    ConnectionFailed,
    EndReason,
    InvalidData,
    Resources,
    RunPhase,
    RunSpec,
    Secret,
    Step,
    VendorFailed,
)
from moorage.domain.steps.cloud_run_executions import execution_end, log_chunk
from moorage.domain.steps.runs import STREAMS, LogChunk
from moorage.testing import VirtualClock, name_of
from moorage.testing.kits import platform_conformance
from moorage.testing.kits.platform_conformance import PlatformLimit
from tests.steps.cloud_harness import json_response
from tests.steps.cloud_run_harness import FakeCloudRun

if TYPE_CHECKING:
    from pathlib import Path

    from moorage import Request, Response

STEP = Step("report", ["sh", "-c", "echo rows; exit 3"], image="erp:1")
LIMITS = frozenset(
    {
        PlatformLimit.OTHER_LINES,
        PlatformLimit.OTHER_VARIABLES,
        PlatformLimit.NO_SECRETS,
        PlatformLimit.NO_FILES,
        PlatformLimit.NOTHING_COLLECTED,
    }
)
FAILED = {"type": "Completed", "state": "CONDITION_FAILED", "message": "It failed."}


@pytest.fixture
def cloud(tmp_path: Path) -> FakeCloudRun:
    """Return a fake Cloud Run."""
    return FakeCloudRun(tmp_path)


def spec(name: str, step: Step = STEP) -> RunSpec:
    """Return the specification of a run."""
    return RunSpec(name=name, step=step, labels={"key": "x y"})


@pytest.mark.parametrize("check", platform_conformance.CHECKS, ids=name_of)
def test_platform_passes_conformance_kit_as_far_as_cloud_run_allows(
    check: platform_conformance.Check, cloud: FakeCloudRun
) -> None:
    """The platform passes the conformance kit as far as Cloud Run allows."""
    check(platform_conformance.PlatformSubject(make=cloud.platform, image="erp:1", limits=LIMITS))


def end(**facts: Any) -> object:
    """Return how an execution with this task result ended: phase, exit code and reason."""
    execution = {"conditions": [{**FAILED, **facts.pop("condition", {})}]}
    result = {"lastAttemptResult": facts, "startTime": "2030-01-02T03:04:05Z"}
    end = execution_end({}, execution, result)
    return end.phase, end.exit_code, end.reason


def test_failures_of_tasks_are_distinguished() -> None:
    """A task's result determines the exit code and the reason of the run."""
    condition = {"message": "The configured timeout was reached."}
    memory = {"message": "Memory limit of 512 MiB exceeded with 530 MiB used."}
    assert (RunPhase.ENDED, 7, EndReason.EXITED) == end(exitCode=7)
    assert (RunPhase.ENDED, 139, EndReason.EXITED) == end(termSignal=11)
    assert (RunPhase.ENDED, 137, EndReason.DEADLINE) == end(status=condition)
    assert (RunPhase.ENDED, 137, EndReason.OUT_OF_MEMORY) == end(termSignal=9, status=memory)
    assert (RunPhase.LOST, None, None) == end()
    stopped = end(condition={"executionReason": "CANCELLED"})
    assert (RunPhase.ENDED, 137, EndReason.STOPPED) == stopped


@pytest.mark.parametrize(
    "job, execution, expected",
    [
        ({}, None, (RunPhase.STARTING, None)),
        ({"terminalCondition": {"state": "CONDITION_PENDING"}}, None, (RunPhase.STARTING, None)),
        ({"terminalCondition": FAILED}, None, (RunPhase.ENDED, 125)),
        ({}, {"conditions": [FAILED]}, (RunPhase.ENDED, 125)),
        ({}, {}, (RunPhase.STARTING, None)),
        ({}, {"startTime": "2030-01-02T03:04:05Z"}, (RunPhase.RUNNING, None)),
        ({}, {"completionTime": "2030-01-02T03:04:05Z"}, (RunPhase.LOST, None)),
    ],
)
def test_states_of_jobs_are_distinguished(
    job: dict[str, Any], execution: dict[str, Any] | None, expected: object
) -> None:
    """A job may be starting, unable to start, running, or ended with an unknown outcome."""
    end = execution_end(job, execution, {})
    assert expected == (end.phase, end.exit_code)


def test_lines_of_json_are_documents() -> None:
    """A log entry that Cloud Logging parsed as JSON is written as a JSON line again."""
    entries: list[dict[str, Any]] = [
        {"timestamp": "t1", "insertId": "a", "textPayload": "one"},
        {"timestamp": "t1", "insertId": "b", "jsonPayload": {"rows": 12}},
        {"timestamp": "t2", "insertId": "a"},
    ]
    assert LogChunk(b"one\n", "t1#a", False) == log_chunk(entries[:1], "", is_last=False)
    last_chunk = log_chunk(entries, "t1#a", is_last=True)
    assert LogChunk(b'{"rows": 12}\n{}\n', "t2#a", True) == last_chunk


def test_job_has_limits_and_references_to_secrets(cloud: FakeCloudRun) -> None:
    """A Cloud Run job has its step's limits and refers to its secrets in Secret Manager."""
    platform = cloud.platform(
        secrets={"TOKEN": "erp-token"}, service_account="erp@acme.iam.gserviceaccount.com"
    )
    step = attrs.evolve(STEP, resources=Resources(cpus=0.5, memory=1024), timeout=90.5)
    platform.start(spec("run-1", step), 9.0)

    task = cloud.jobs["run-1"]["template"]["template"]
    (container,) = task["containers"]
    assert ("91s", 0) == (task["timeout"], task["maxRetries"])
    assert {"cpu": "500m", "memory": "1024"} == container["resources"]["limits"]
    assert {"name": "TOKEN_FILE", "value": "/run/secrets/TOKEN/value"} in container["env"]
    assert "erp-token" == task["volumes"][0]["secret"]["secret"]
    assert "erp@acme.iam.gserviceaccount.com" == task["serviceAccount"]


def test_same_name_finds_job_if_response_to_start_is_lost(cloud: FakeCloudRun) -> None:
    """If the response to the start is lost, the job is found by its name."""
    cloud.platform().start(spec("run-1"), 9.0)
    lost_error = ConnectionFailed("lost", may_have_been_processed=True)
    platform = cloud.platform()
    platform.runs(9.0)
    cloud.queued = [json_response({}, 404), lost_error]
    with pytest.raises(ConnectionFailed):
        platform.start(spec("run-1"), 9.0)

    cloud.queued = [json_response({}, 404)]
    status = platform.start(spec("run-1"), 9.0)

    assert STEP.fingerprint == status.fingerprint
    cloud.queued = [json_response({}, 404), json_response({}, 409), json_response({}, 404)]
    with pytest.raises(VendorFailed, match="does not list it yet"):
        platform.start(spec("run-1"), 9.0)


def test_job_without_an_execution_is_not_cancelled(cloud: FakeCloudRun) -> None:
    """A job without an execution counts as starting; a job that is being deleted is not a run."""
    platform = cloud.platform()
    platform.start(spec("run-1"), 9.0)
    cloud.changes["run-1"] = {"job": {"latestCreatedExecution": {}}}
    status = platform.status("run-1", 9.0)

    assert status is not None
    assert RunPhase.STARTING is status.phase
    platform.stop("run-1", 1.0, 9.0)
    assert LogChunk(b"", "", False) == platform.logs("run-1", "stdout", "", 9.0)
    assert set() == cloud.cancelled
    cloud.changes["run-1"] = {"job": {"deleteTime": "2030-01-02T03:04:05Z"}}
    assert cloud.platform().status("run-1", 9.0) is None
    assert [] == cloud.platform().runs(9.0)
    cloud.changes["run-1"] = {"job": {"labels": {}}}
    assert [] == cloud.platform().runs(9.0)
    cloud.changes["run-1"] = {"job": {"annotations": {}}}
    assert [] == cloud.platform().runs(9.0)


def test_execution_may_disappear(cloud: FakeCloudRun) -> None:
    """If Cloud Run does not find an execution, the execution counts as not started."""
    platform = cloud.platform()
    platform.start(spec("run-1"), 9.0)
    job = json_response(cloud._job("run-1"))  # noqa: SLF001 - as Cloud Run would
    cloud.queued = [job, json_response({}, 404)]
    status = platform.status("run-1", 9.0)
    assert status is not None
    assert RunPhase.STARTING is status.phase
    for tasks in (json_response({}, 404), json_response({})):
        failed = {"name": "run-1-run", "conditions": [FAILED], "startTime": "2030-01-02T03:04:05Z"}
        cloud.queued = [job, json_response(failed), tasks]
        status = platform.status("run-1", 9.0)
        assert status is not None
        assert 125 == status.exit_code


def test_recent_log_entries_are_not_read_yet(cloud: FakeCloudRun) -> None:
    """While an execution runs, log entries too recent to be complete are not read yet."""
    platform = cloud.platform(VirtualClock())
    platform.start(spec("run-1", attrs.evolve(STEP, command=["sleep", "60"])), 9.0)

    chunk = platform.logs("run-1", "stdout", "2030-01-01T00:00:01Z#1", 9.0)

    sent_json = cloud.vendor.requests[-1].json()["filter"]
    assert 'timestamp<="2029-12-31T23:59:55+00:00"' in sent_json
    assert 'timestamp>="2030-01-01T00:00:01Z"' in sent_json
    assert not chunk.is_last
    platform.stop("run-1", 1.0, 9.0)


def test_all_pages_of_runs_are_listed(cloud: FakeCloudRun) -> None:
    """If runs fill more than one page, all are listed, by name."""
    platform = cloud.platform()
    for number in range(5):
        platform.start(spec(f"run-{number}"), 9.0)

    names = [status.name for status in platform.runs(9.0)]

    assert [f"run-{number}" for number in range(5)] == names


def test_each_output_is_read_rarely_while_last_entries_of_ended_execution_may_appear(
    cloud: FakeCloudRun,
) -> None:
    """After an execution has ended, its outputs are polled rarely until their last entries come."""
    clock = VirtualClock()
    platform = cloud.platform(clock, pace=5.0)
    platform.start(spec("run-1"), 9.0)
    end_fields = {"completionTime": "2030-01-01T00:00:00Z", "conditions": [FAILED]}
    cloud.changes["run-1"] = {
        "execution": end_fields,
        "task": {"lastAttemptResult": {"exitCode": 3}},
    }
    clock.advance(5.0)
    platform.logs("run-1", "stdout", "", 9.0)
    before = len(cloud.vendor.requests)

    assert not any(platform.logs("run-1", "stdout", "", 9.0).is_last for _ in range(9))

    assert before == len(cloud.vendor.requests)
    clock.advance(20.0)
    chunks = [platform.logs("run-1", stream, "", 9.0) for stream in STREAMS]
    assert [True, True] == [chunk.is_last for chunk in chunks]


def test_all_pages_of_a_log_are_read(cloud: FakeCloudRun) -> None:
    """A log of several pages is read completely, beginning at the given position."""
    platform = cloud.platform()
    platform.start(spec("run-1"), 9.0)
    entries = [
        {"timestamp": f"t{number}", "insertId": "a", "textPayload": f"line {number}"}
        for number in range(3)
    ]
    job, execution = cloud._job("run-1"), cloud._execution("run-1")  # noqa: SLF001 - as Cloud Run would
    pages = [{"entries": entries[:2], "nextPageToken": "p2"}, {"entries": entries[2:]}]
    cloud.queued = [
        json_response(job),
        json_response({**execution, "conditions": []}),
        *map(json_response, pages),
    ]

    chunk = platform.logs("run-1", "stdout", "t0#a", 9.0)

    assert (b"line 1\nline 2\n", "t2#a") == (chunk.data, chunk.position)
    assert "p2" == cloud.vendor.requests[-1].json()["pageToken"]


class SlowCloud(FakeCloudRun):
    """A fake Google Cloud project that takes five seconds for each page of a list.

    Args:
        path: the end of the path of the list.
    """

    def __init__(self, folder: Path, path: str) -> None:
        super().__init__(folder)
        self.clock = VirtualClock()
        self.path = path

    def _receive(self, request: Request, url: str) -> Response:
        if url.partition("?")[0].endswith(self.path):
            self.clock.advance(5.0)
        return super()._receive(request, url)


def test_pages_of_a_log_share_the_time_limit(tmp_path: Path) -> None:
    """Reading a log of many pages ends with its time limit, and the rest follows later."""
    cloud = SlowCloud(tmp_path, "/entries:list")
    platform = cloud.platform(cloud.clock)
    platform.start(spec("run-1"), 9.0)
    job, execution = cloud._job("run-1"), cloud._execution("run-1")  # noqa: SLF001 - as Cloud Run would
    pages = [
        {
            "entries": [{"timestamp": f"t{number}", "insertId": "a", "textPayload": str(number)}],
            "nextPageToken": f"p{number}",
        }
        for number in range(4)
    ]
    cloud.queued = [
        json_response(job),
        json_response({**execution, "conditions": []}),
        *map(json_response, pages),
    ]

    chunk = platform.logs("run-1", "stdout", "", 9.0)

    assert (b"0\n1\n", "t1#a", False) == (chunk.data, chunk.position, chunk.is_last)
    assert 2 == len(cloud.queued)


def test_pages_of_runs_share_the_time_limit(tmp_path: Path) -> None:
    """Listing many pages of runs ends with its time limit, and raises an error."""
    cloud = SlowCloud(tmp_path, "/jobs")
    platform = cloud.platform(cloud.clock)
    platform.runs(9.0)
    cloud.queued = [json_response({"nextPageToken": f"p{number}"}) for number in range(4)]

    with pytest.raises(AttemptTimeout, match="did not answer all requests within 9 seconds"):
        platform.runs(9.0)
    assert 2 == len(cloud.queued)


def test_failures_are_typed(cloud: FakeCloudRun, tmp_path: Path) -> None:
    """The error for a missing permission names it, and a malformed response raises an error."""
    platform = cloud.platform()
    platform.runs(9.0)
    denied = json_response({"error": {"status": "PERMISSION_DENIED", "message": "no right"}}, 403)
    cloud.queued = [denied, json_response({"access_token": "t0ken", "expires_in": 60}), denied]
    with pytest.raises(AuthenticationFailed, match="no right") as excinfo:
        platform.runs(9.0)
    assert "t0ken" not in f"{excinfo.value!r}"
    cloud.queued = [json_response({"jobs": [7]})]
    with pytest.raises(VendorFailed, match="moorage cannot read"):
        platform.runs(9.0)
    cloud.queued = [ConnectionFailed("no such host", may_have_been_processed=True)]
    machine = cloud.platform()
    with pytest.raises(ConnectionFailed, match="are not available") as unsent:
        machine.runs(9.0)
    assert not unsent.value.may_have_been_processed
    (tmp_path / "key.json").write_text(json.dumps({"client_email": "x"}))
    with pytest.raises(ConfigurationError, match="service account"):
        cloud.platform(key_file=str(tmp_path / "key.json"))
    platform.close()


@pytest.mark.parametrize(
    "options, field",
    [
        ({"image": None}, "image"),
        ({"secrets": {"TOKEN": Secret("tok_1")}}, "secrets"),
        ({"timeout": 700_000.0}, "timeout"),
    ],
)
def test_steps_that_no_job_can_run_are_refused(options: dict[str, Any], field: str) -> None:
    """A step without an image, with secrets or with a limit of over a week is refused."""
    platform = CloudRunPlatform(CloudRunSettings(project="acme", location="europe-west1"))
    with pytest.raises(InvalidData) as excinfo:
        platform.validate(attrs.evolve(STEP, **options))
    assert field == excinfo.value.field


@pytest.mark.parametrize(
    "options", [{"project": ""}, {"location": "../x"}, {"scope": "A B"}, {"secrets": 7}]
)
def test_wrong_settings_are_named(options: dict[str, Any]) -> None:
    """An impossible setting is refused; the error contains its name."""
    values: dict[str, Any] = {"project": "acme", "location": "europe-west1"} | options
    with pytest.raises((ConfigurationError, InvalidData)):
        CloudRunSettings(**values)
