"""Steps as ECS tasks, with a fake ECS whose tasks are processes."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectionFailed,
    EcsPlatform,
    EcsSettings,
    EndReason,
    InvalidData,
    InvalidRequest,
    RateLimitExceeded,
    Resources,
    RunPhase,
    RunSpec,
    Secret,
    Step,
    VendorFailed,
    VendorRejected,
    Workspace,
)
from moorage.domain.http.requests import Response
from moorage.domain.steps.cloud_runs import CloudRunNote, moment_of
from moorage.domain.steps.ecs_tasks import REASONS, task_end, task_run
from moorage.domain.steps.runs import LogChunk
from moorage.testing import VirtualClock, name_of
from moorage.testing.kits import platform_conformance
from moorage.testing.kits.platform_conformance import PlatformLimit
from tests.steps.cloud_harness import AheadClock, json_response
from tests.steps.ecs_harness import SETTINGS, FakeEcs
from tests.steps.step_harness import MODES, executor

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

STEP = Step("report", ["sh", "-c", "echo rows; exit 3"], environment={"MONTH": "2030-01"})
LIMITS = frozenset(
    {
        PlatformLimit.ONE_OUTPUT,
        PlatformLimit.OTHER_LINES,
        PlatformLimit.OTHER_VARIABLES,
        PlatformLimit.NO_SECRETS,
        PlatformLimit.NO_FILES,
        PlatformLimit.NOTHING_COLLECTED,
        PlatformLimit.FORGETS_BY_ITSELF,
    }
)


@pytest.fixture
def cloud(tmp_path: Path) -> FakeEcs:
    """Return a fake ECS."""
    return FakeEcs(tmp_path)


def spec(name: str, step: Step = STEP) -> RunSpec:
    """Return the specification of a run."""
    return RunSpec(name=name, step=step, labels={"key": "x y"})


@pytest.mark.parametrize("shell_limit", [False, True], ids=["by followers", "by a shell"])
@pytest.mark.parametrize("check", platform_conformance.CHECKS, ids=name_of)
def test_platform_passes_conformance_kit_as_far_as_ecs_allows(
    check: platform_conformance.Check, cloud: FakeEcs, *, shell_limit: bool
) -> None:
    """The platform passes the kit within ECS's limits; a shell may enforce the time limit."""
    check(
        platform_conformance.PlatformSubject(
            make=lambda: cloud.platform(AheadClock(), shell_limit=shell_limit), limits=LIMITS
        )
    )


@pytest.mark.parametrize(
    "task, expected",
    [
        ({"lastStatus": "PENDING"}, (RunPhase.STARTING, None, None)),
        ({"lastStatus": "DEPROVISIONING"}, (RunPhase.RUNNING, None, None)),
        ({"lastStatus": "A_NEW_WORD"}, (RunPhase.RUNNING, None, None)),
        ({"containers": [{"name": "erp", "exitCode": 4}]}, (RunPhase.ENDED, 4, EndReason.EXITED)),
        (
            {"containers": [{"name": "erp", "exitCode": 137, "reason": "OutOfMemoryError: …"}]},
            (RunPhase.ENDED, 137, EndReason.OUT_OF_MEMORY),
        ),
        (
            {"stopCode": "TaskFailedToStart", "stoppedReason": "CannotPullContainerError: …"},
            (RunPhase.ENDED, 125, EndReason.EXITED),
        ),
        (
            {"stopCode": "UserInitiated", "stoppedReason": REASONS[EndReason.DEADLINE]},
            (RunPhase.ENDED, 137, EndReason.DEADLINE),
        ),
        (
            {"stopCode": "UserInitiated", "containers": [{"name": "erp", "exitCode": 143}]},
            (RunPhase.ENDED, 143, EndReason.STOPPED),
        ),
        (
            {"stopCode": "SpotInterruption", "containers": [{"name": "erp", "exitCode": 0}]},
            (RunPhase.LOST, None, None),
        ),
        (
            {"stopCode": "SpotInterruption", "containers": [{"name": "erp", "exitCode": 143}]},
            (RunPhase.ENDED, 143, EndReason.EXITED),
        ),
        ({"containers": [{"name": "sidecar", "exitCode": 1}]}, (RunPhase.LOST, None, None)),
    ],
)
def test_ends_are_distinguished(task: Mapping[str, Any], expected: object) -> None:
    """A task's state determines the phase, the exit code and the reason of the run."""
    end = task_end({"lastStatus": "STOPPED", **task}, "erp")

    assert expected == (end.phase, end.exit_code, end.reason)
    assert end.phase is not RunPhase.LOST or end.problem


def test_task_names_the_image_and_the_problem() -> None:
    """If a task could not start, its metadata contain the image and the reason."""
    note = CloudRunNote.of(spec("run-1"))
    task = {
        "taskArn": "arn",
        "lastStatus": "STOPPED",
        "stopCode": "TaskFailedToStart",
        "stoppedReason": "CannotPullContainerError: no such image",
        "stoppedAt": "2030-01-02T03:04:05Z",
        "containers": [{"name": "erp", "image": "erp:9"}],
        "tags": [{"key": name, "value": value} for name, value in note.tags().items()],
    }

    run = task_run(task, "erp", datetime(2030, 1, 3, tzinfo=UTC))

    assert run is not None
    assert "no such image" in run.status.metadata["problem"]
    assert "erp:9" == run.status.metadata["image"]
    assert task_run({**task, "tags": []}, "erp", run.now) is None


@pytest.mark.parametrize("text", ["", "%%", "e30=", "W10=", "eyJuYW1lIjoxfQ=="])
def test_tags_of_other_programs_are_ignored(text: str) -> None:
    """An ECS tag that another program wrote is not taken for a note about a run."""
    assert CloudRunNote.of_tags({"moorage-note-00": text}) is None
    assert CloudRunNote.of_tags(None) is None


def test_note_with_wrong_types_is_ignored() -> None:
    """A note about a run whose fields have wrong types is ignored."""
    note = CloudRunNote.of(spec("run-1"))
    assert note == CloudRunNote.of_tags(note.tags())
    changes: tuple[dict[str, Any], ...] = ({"labels": []}, {"timeout": -1}, {"step": 7})
    for change in changes:
        wrong_note: Any = attrs.evolve(note, **change)
        assert CloudRunNote.of_tags(wrong_note.tags()) is None
    with pytest.raises(InvalidData, match="labels"):
        CloudRunNote.of(RunSpec(name="x", step=STEP, labels={"key": "k" * 9000})).tags()


@pytest.mark.parametrize("value", [None, "soon", True, 1e300, float("nan"), "2030-01-02T03:04:05"])
def test_wrong_times_are_unknown(value: object) -> None:
    """A time that cannot be parsed is None."""
    assert moment_of(value) is None


def test_overrides_and_network_are_sent(cloud: FakeEcs) -> None:
    """The step's command and limits override the container's, in the configured network."""
    step = attrs.evolve(STEP, resources=Resources(cpus=0.5, memory=1024 * 1024 * 300))
    cloud.platform(capacity_provider="FARGATE_SPOT", public_ip=True).start(spec("run-1", step), 9.0)

    sent_json = next(item for item in cloud.vendor.requests if b"clientToken" in item.body).json()

    (container,) = sent_json["overrides"]["containerOverrides"]
    assert (512, 300) == (container["cpu"], container["memory"])
    assert [{"capacityProvider": "FARGATE_SPOT"}] == sent_json["capacityProviderStrategy"]
    assert "ENABLED" == sent_json["networkConfiguration"]["awsvpcConfiguration"]["assignPublicIp"]
    assert "launchType" not in sent_json


def test_another_step_under_a_name_is_found(cloud: FakeEcs) -> None:
    """If ECS refuses a second task with the same client token, the first task is returned."""
    cloud.platform().start(spec("run-1"), 9.0)
    other = spec("run-1", attrs.evolve(STEP, command=["true"]))
    empty = json_response({"taskArns": []})
    cloud.queued = [empty, empty]

    status = cloud.platform().start(other, 9.0)

    assert STEP.fingerprint == status.fingerprint
    cloud.queued = [empty, empty]
    cloud.hidden = True
    with pytest.raises(VendorFailed, match="does not list it yet"):
        cloud.platform().start(other, 9.0)


def test_task_without_room_may_be_tried_again(cloud: FakeEcs) -> None:
    """A task for which ECS has no capacity is refused, and may be retried."""
    empty = json_response({"taskArns": []})
    for reason, is_retryable in (("RESOURCE:MEMORY", True), ("MISSING", False)):
        cloud.queued = [
            empty,
            empty,
            json_response({"tasks": [], "failures": [{"reason": reason}]}),
        ]
        with pytest.raises(VendorRejected, match=reason) as excinfo:
            cloud.platform().start(spec("run-1"), 9.0)
        assert is_retryable is excinfo.value.retryable


def test_started_task_may_appear_late(cloud: FakeEcs) -> None:
    """For a minute, a task that ECS does not list yet still counts as started."""
    clock = VirtualClock(datetime.now(UTC))
    platform = cloud.platform(clock)
    status = platform.start(spec("run-1"), 9.0)
    cloud.hidden = True

    assert status == platform.status("run-1", 9.0)
    clock.advance(61.0)
    assert platform.status("run-1", 9.0) is None


def test_status_and_log_requests_keep_their_rate(cloud: FakeEcs) -> None:
    """If a run is polled often, most polls are answered without a request to ECS."""
    clock = VirtualClock(datetime.now(UTC))
    platform = cloud.platform(clock, pace=5.0)
    platform.start(spec("run-1", attrs.evolve(STEP, command=["sleep", "60"])), 9.0)
    platform.logs("run-1", "stdout", "", 9.0)
    before = len(cloud.vendor.requests)

    platform.status("run-1", 9.0)
    chunk = platform.logs("run-1", "stdout", "f/0", 9.0)

    assert LogChunk(b"", "f/0", False) == chunk
    assert before == len(cloud.vendor.requests)
    platform.stop("run-1", 1.0, 9.0)
    assert platform.status("run-1", 9.0) is not None
    assert before < len(cloud.vendor.requests)
    platform.stop("unknown", 1.0, 9.0)


def test_log_waits_for_the_last_lines(cloud: FakeEcs) -> None:
    """The log of a task that has just ended may still grow; later it is complete."""
    platform = cloud.platform(log_group=None)
    platform.start(spec("run-1"), 9.0)
    arn = next(iter(cloud.tasks))
    now = datetime.now(UTC)
    end_fields: dict[str, Any] = {"lastStatus": "STOPPED", "stoppedAt": now.timestamp()}
    cloud.tasks[arn]["fields"] = end_fields
    assert LogChunk(b"", "", True) == platform.logs("run-1", "stdout", "", 9.0)
    missing = json_response({"__type": "ResourceNotFoundException", "message": "no stream"}, 400)
    headers = {"Date": now.strftime("%a, %d %b %Y %H:%M:%S GMT")}
    for seconds, is_last in ((0, False), (60, True)):
        cloud.tasks[arn]["fields"] = {
            **end_fields,
            "stoppedAt": (now - timedelta(seconds=seconds)).timestamp(),
        }
        task = cloud._shown(arn)  # noqa: SLF001 - as ECS would
        cloud.queued = [
            json_response({"taskArns": [arn]}),
            Response(200, headers, json.dumps({"tasks": [task]}).encode()),
            missing,
        ]
        chunk = cloud.platform().logs("run-1", "stdout", "", 9.0)
        assert LogChunk(b"", "", is_last) == chunk
    cloud.queued = [
        *cloud.queued,
        json_response({"taskArns": [arn]}),
        json_response({"tasks": [task]}),
    ]
    cloud.queued += [
        json_response({"__type": "InvalidParameterException", "message": "token"}, 400)
    ]
    with pytest.raises(InvalidRequest, match="token"):
        cloud.platform().logs("run-1", "stdout", "", 9.0)


@pytest.mark.parametrize(
    "answer, error, words",
    [
        (json_response({"__type": "a#ThrottlingException"}, 400), RateLimitExceeded, "Throttling"),
        (Response(429, {"Retry-After": "7"}, b"slow\x1b"), RateLimitExceeded, "slow "),
        (json_response({"__type": "AccessDeniedException"}, 400), AuthenticationFailed, "refused"),
        (Response(503, {}, b"<html>"), VendorFailed, "503"),
        (json_response({"__type": "ClientException", "message": "no"}, 400), InvalidRequest, "no"),
        (json_response([], 404), VendorRejected, "404"),
        (Response(200, {}, b"no json"), VendorFailed, "that is not JSON"),
        (json_response({"other": 1}), VendorFailed, "moorage cannot read"),
    ],
)
def test_failures_are_typed(
    cloud: FakeEcs, answer: Response, error: type[Exception], words: str
) -> None:
    """Each error response of ECS raises the matching error type."""
    cloud.queued = [answer]

    with pytest.raises(error, match=words) as failure:
        cloud.platform().runs(9.0)

    assert "s3cr3t-key-of-aws" not in f"{failure.value!r} {failure.value}"


def test_all_pages_of_tasks_are_listed(cloud: FakeEcs) -> None:
    """If tasks fill more than one page, all are listed, by name; subnets are optional."""
    platform = cloud.platform(subnets=[])
    for number in range(5):
        platform.start(spec(f"run-{number}"), 9.0)

    names = [status.name for status in platform.runs(9.0)]

    assert [f"run-{number}" for number in range(5)] == names
    assert "networkConfiguration" not in cloud.vendor.requests[2].json()


def test_refused_task_is_no_conflict(cloud: FakeEcs) -> None:
    """A task that ECS refuses raises an error with the reason."""
    empty = json_response({"taskArns": []})
    missing = json_response({"__type": "ClientException", "message": "no definition"}, 400)
    cloud.queued = [empty, empty, missing]

    with pytest.raises(InvalidRequest, match="no definition"):
        cloud.platform().start(spec("run-1"), 9.0)


@pytest.mark.parametrize("mode", MODES)
def test_repeated_step_starts_no_second_task(cloud: FakeEcs, mode: str, tmp_path: Path) -> None:
    """Sync and async programs get the exit code and output; a repeat starts nothing."""
    platform = cloud.platform(AheadClock())
    execute = executor(mode, platform, f"sqlite:///{tmp_path}/state.db")

    results = [execute(STEP, idempotency_key="report-1") for _ in range(2)]

    assert [(3, "rows\n")] * 2 == [(result.exit_code, result.stdout) for result in results]
    assert 1 == len(cloud.tasks)


def test_same_name_finds_task_if_response_to_start_is_lost(cloud: FakeEcs) -> None:
    """If the response to the start is lost, the task is found by its name."""
    empty = json_response({"taskArns": []})
    cloud.queued = [empty, empty, ConnectionFailed("lost", may_have_been_processed=True)]
    with pytest.raises(ConnectionFailed):
        cloud.platform().start(spec("run-1"), 9.0)

    cloud.platform().start(spec("run-1"), 9.0)
    cloud.platform().start(spec("run-1"), 9.0)

    assert 1 == len(cloud.tasks)


@pytest.mark.parametrize(
    "options, field",
    [
        ({"image": "erp:1"}, "image"),
        ({"secrets": {"TOKEN": Secret("tok_1")}}, "secrets"),
        ({"environment": {"A": "x" * 9000}}, "command"),
        ({"workspace": Workspace(files={"a": b""})}, "workspace"),
        ({"resources": Resources(processes=2)}, "resources.processes"),
    ],
)
def test_steps_that_no_task_can_run_are_refused(options: dict[str, Any], field: str) -> None:
    """A step with an image, secrets, files, many variables or a process limit is refused."""
    platform = EcsPlatform(EcsSettings(**SETTINGS))
    with pytest.raises(InvalidData) as excinfo:
        platform.validate(attrs.evolve(STEP, **options))
    assert field == excinfo.value.field
    platform.close()
    platform.close()


@pytest.mark.parametrize(
    "options",
    [
        {"region": "Frankfurt"},
        {"task_definition": ""},
        {"launch_type": "MAGIC"},
        {"secret_access_key": None},
        {"pace": float("nan")},
        {"pace": "soon"},
        {"subnets": 7},
        {"endpoint": "no url"},
    ],
)
def test_wrong_settings_are_named(options: dict[str, Any]) -> None:
    """An impossible setting is refused; the error contains its name."""
    with pytest.raises((ConfigurationError, InvalidData)):
        EcsSettings(**{**SETTINGS, **options})


def test_chinese_regions_and_credentials_of_the_machine_are_used() -> None:
    """AWS regions in China have their own domain; credentials may be those of the machine."""
    options: dict[str, Any] = {"access_key_id": None, "secret_access_key": None}
    options["region"] = "cn-north-1"
    values: dict[str, Any] = SETTINGS | options
    settings = EcsSettings(**values)

    assert "https://ecs.cn-north-1.amazonaws.com.cn" == settings.endpoint
    assert "AWS ecs in cn-north-1" == EcsPlatform(settings)._cloud.ecs.api._session.manager.where  # type: ignore[attr-defined]  # noqa: SLF001 - as a message has it
