"""Steps as Azure container groups, with a strict fake whose containers are processes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage import (
    AuthenticationFailed,
    AzureContainersPlatform,
    AzureContainersSettings,
    ConfigurationError,
    ConnectionFailed,
    EndReason,
    InvalidData,
    InvalidRequest,
    Resources,
    RunPhase,
    RunSpec,
    Secret,
    Step,
    VendorFailed,
)
from moorage.domain.steps.container_groups import group_end, group_run, log_rest
from moorage.domain.steps.runs import LogChunk
from moorage.testing import name_of
from moorage.testing.kits import platform_conformance
from moorage.testing.kits.platform_conformance import PlatformLimit
from tests.steps.azure_containers_harness import SETTINGS, FakeAzure
from tests.steps.cloud_harness import json_response

if TYPE_CHECKING:
    from pathlib import Path

STEP = Step("report", ["sh", "-c", "echo rows; exit 3"], image="erp:1")
LIMITS = frozenset(
    {
        PlatformLimit.ONE_OUTPUT,
        PlatformLimit.OTHER_LINES,
        PlatformLimit.OTHER_VARIABLES,
        PlatformLimit.NO_FILES,
        PlatformLimit.NOTHING_COLLECTED,
    }
)


@pytest.fixture
def cloud(tmp_path: Path) -> FakeAzure:
    """Return a fake Azure."""
    return FakeAzure(tmp_path)


def spec(name: str, step: Step = STEP) -> RunSpec:
    """Return the specification of a run."""
    secrets = {name: Secret("tok_16180339887") for name in step.secrets}
    return RunSpec(name=name, step=step, secrets=secrets, labels={"key": "x y"})


@pytest.mark.parametrize("shell_limit", [False, True], ids=["by followers", "by a shell"])
@pytest.mark.parametrize("check", platform_conformance.CHECKS, ids=name_of)
def test_platform_passes_conformance_kit_as_far_as_azure_allows(
    check: platform_conformance.Check, cloud: FakeAzure, *, shell_limit: bool
) -> None:
    """The platform passes the kit within Azure's limits; a shell may enforce the time limit."""
    check(
        platform_conformance.PlatformSubject(
            make=lambda: cloud.platform(shell_limit=shell_limit), image="erp:1", limits=LIMITS
        )
    )


def test_secrets_are_passed_as_hidden_files(cloud: FakeAzure) -> None:
    """A step reads its secret from a file; neither the group nor the status shows the secret."""
    step = attrs.evolve(
        STEP, command=["sh", "-c", "cat $TOKEN_FILE"], secrets={"TOKEN": "secret://env/T"}
    )
    platform = cloud.platform(
        registry="erp.azurecr.io", registry_user="erp", registry_password="p4ssword", subnet="sn-1"
    )
    status = platform.start(spec("run-1", step), 9.0)

    data = b""
    while b"tok_16180339887" not in data:
        data = platform.logs("run-1", "stdout", "", 9.0).data

    assert "tok_16180339887" not in json.dumps([cloud.shown("run-1"), repr(status)])
    properties = cloud.groups["run-1"]["properties"]
    assert "p4ssword" == properties["imageRegistryCredentials"][0]["password"]
    assert [{"id": "sn-1"}] == properties["subnetIds"]
    (container,) = properties["containers"]
    (variable,) = cloud.vendor.requests[2].json()["properties"]["containers"][0]["properties"][
        "environmentVariables"
    ]
    assert {"name": "TOKEN_FILE", "value": "/run/secrets/moorage/TOKEN"} == variable
    assert {"cpu": 1.0, "memoryInGB": 1.5} == container["properties"]["resources"]["requests"]


def group(view_state: str | None = None, tags: Any = None, /, **current: Any) -> dict[str, Any]:
    """Return a container group whose container is in this state."""
    view: dict[str, Any] = {"currentState": current} if current else {}
    events = [{"type": "Warning", "message": "Failed to pull image"}, {"type": "Normal"}]
    return {
        "tags": tags,
        "properties": {
            "instanceView": {"state": view_state, "events": []},
            "containers": [{"properties": {"instanceView": {**view, "events": events}}}],
        },
    }


@pytest.mark.parametrize(
    "described, expected",
    [
        ({}, (RunPhase.STARTING, None, None)),
        (group("Pending"), (RunPhase.STARTING, None, None)),
        (group("Running", state="Waiting"), (RunPhase.STARTING, None, None)),
        (group("Running", state="Running"), (RunPhase.RUNNING, None, None)),
        (
            group("Failed", state="Terminated", exitCode=7, detailStatus="Error"),
            (RunPhase.ENDED, 7, EndReason.EXITED),
        ),
        (
            group("Failed", state="Terminated", exitCode=137, detailStatus="OOMKilled"),
            (RunPhase.ENDED, 137, EndReason.OUT_OF_MEMORY),
        ),
        (
            group("Stopped", {"moorage-end": "deadline"}, state="Terminated", exitCode=143),
            (RunPhase.ENDED, 143, EndReason.DEADLINE),
        ),
        (group("Stopped"), (RunPhase.ENDED, 137, EndReason.STOPPED)),
        (
            group("Stopped", {"moorage-end": "deadline"}),
            (RunPhase.ENDED, 137, EndReason.DEADLINE),
        ),
        (group("Succeeded"), (RunPhase.LOST, None, None)),
        (group("Running", state="Terminated"), (RunPhase.LOST, None, None)),
        ({"properties": {"provisioningState": "Failed"}}, (RunPhase.ENDED, 125, EndReason.EXITED)),
    ],
)
def test_states_are_distinguished(described: dict[str, Any], expected: object) -> None:
    """The group's state determines the phase, the exit code and the reason of the run."""
    end = group_end(described)
    assert expected == (end.phase, end.exit_code, end.reason)
    assert end.phase is not RunPhase.LOST or end.problem


def test_groups_of_others_are_no_runs() -> None:
    """A container group that moorage did not create is not listed as a run."""
    assert group_run(group("Running"), datetime(2030, 1, 1, tzinfo=UTC)) is None


def test_log_is_read_line_by_line() -> None:
    """Until a run ends, only complete lines of its log are read; a long log is read in parts."""
    assert LogChunk(b"a\n", "2", False) == log_rest(b"a\nto", "", is_last=False)
    assert LogChunk(b"", "2", False) == log_rest(b"a\nto", "2", is_last=False)
    assert LogChunk(b"torn", "6", True) == log_rest(b"a\ntorn", "2", is_last=True)
    assert LogChunk(b"", "1", True) == log_rest(b"a", "7", is_last=True)
    long_output = b"x" * 2_000_000
    first = log_rest(b"a\n" + long_output + b"\nb\n", "2", is_last=True)
    assert (long_output + b"\n", False) == (first.data, first.is_last)
    assert LogChunk(b"", "0", False) == log_rest(long_output, "", is_last=False)
    assert LogChunk(long_output, "2000000", True) == log_rest(long_output, "", is_last=True)


def test_second_group_of_a_name_is_a_conflict(cloud: FakeAzure) -> None:
    """While the first group starts, a second start finds it, even after a lost response."""
    step = attrs.evolve(STEP, resources=Resources(cpus=0.5, memory=700_000_001))
    platform = cloud.platform()
    platform.runs(9.0)
    lost_error = ConnectionFailed("lost", may_have_been_processed=True)
    cloud.queued = [json_response({}, 404), lost_error]
    with pytest.raises(ConnectionFailed):
        platform.start(spec("run-1", step), 9.0)
    platform.start(spec("run-1", step), 9.0)
    cloud.queued = [json_response({}, 404)]

    status = platform.start(spec("run-1", step), 9.0)

    assert step.fingerprint == status.fingerprint
    (container,) = cloud.groups["run-1"]["properties"]["containers"]
    requests = container["properties"]["resources"]["requests"]
    assert {"cpu": 0.5, "memoryInGB": 0.8} == requests
    cloud.queued = [json_response({}, 404), json_response({}, 409), json_response({}, 404)]
    with pytest.raises(VendorFailed, match="does not list it yet"):
        platform.start(spec("run-2", step), 9.0)


def test_container_that_has_not_begun_has_no_log(cloud: FakeAzure) -> None:
    """A container that has not begun has an empty log."""
    platform = cloud.platform()
    platform.start(spec("run-1", attrs.evolve(STEP, command=["sleep", "60"])), 9.0)
    response = json_response(cloud.shown("run-1"))
    cloud.queued = [response, json_response({"error": {"code": "ContainerNotReady"}}, 400)]
    assert LogChunk(b"", "", False) == platform.logs("run-1", "stdout", "", 9.0)
    platform.stop("run-1", 1.0, 9.0)


def test_all_pages_of_runs_are_listed(cloud: FakeAzure) -> None:
    """If runs fill more than one page, all are listed, by name."""
    platform = cloud.platform()
    for number in range(5):
        platform.start(spec(f"run-{number}"), 9.0)

    names = [status.name for status in platform.runs(9.0)]

    assert [f"run-{number}" for number in range(5)] == names


def test_failures_are_typed(cloud: FakeAzure) -> None:
    """An error names the missing image or permission; links to other hosts are not followed."""
    platform = cloud.platform()
    platform.runs(9.0)
    image = json_response(
        {"error": {"code": "InaccessibleImage", "message": "erp:1 is missing"}}, 400
    )
    cloud.queued = [json_response({}, 404), image]
    with pytest.raises(InvalidRequest, match="erp:1 is missing"):
        platform.start(spec("run-1"), 9.0)
    cloud.queued = [json_response({"value": [], "nextLink": "https://evil.example/"})]
    with pytest.raises(VendorFailed, match="another host"):
        platform.runs(9.0)
    other = cloud.platform()
    cloud.queued = [json_response({"error": "invalid_client"}, 401)]
    with pytest.raises(AuthenticationFailed) as excinfo:
        other.runs(9.0)
    assert "s3cr3t-of-azure" not in f"{excinfo.value!r} {SETTINGS['client_id']}"
    platform.close()


def test_machine_managed_identity_is_used_without_application(cloud: FakeAzure) -> None:
    """Without an application, the machine's managed identity is used."""
    login = {"tenant": None, "client_id": None, "client_secret": None}
    platform = cloud.platform(**login)
    cloud.queued = [json_response({"access_token": "t0ken", "expires_in": "3600"})]
    assert [] == platform.runs(9.0)
    assert "169.254.169.254" in cloud.vendor.requests[0].url
    assert cloud.platform(scope="other").runs(9.0) == []


def test_step_without_an_image_is_refused() -> None:
    """A step without an image is refused."""
    platform = AzureContainersPlatform(AzureContainersSettings(**SETTINGS))
    with pytest.raises(InvalidData):
        platform.validate(attrs.evolve(STEP, image=None))


@pytest.mark.parametrize(
    "options",
    [
        {"subscription": ""},
        {"client_secret": None},
        {"registry": "erp.azurecr.io"},
        {"endpoint": "no url"},
        {"pace": -1},
    ],
)
def test_wrong_settings_are_named(options: dict[str, Any]) -> None:
    """An impossible setting is refused; the error contains its name."""
    with pytest.raises((ConfigurationError, InvalidData)):
        AzureContainersSettings(**{**SETTINGS, **options})
