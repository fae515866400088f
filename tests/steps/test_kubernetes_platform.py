"""Steps as Jobs, with a strict fake of the Kubernetes API."""

from __future__ import annotations

import json
import subprocess
from base64 import b64decode
from traceback import format_exception
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectionFailed,
    EndReason,
    InvalidData,
    KubernetesPlatform,
    KubernetesSettings,
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
from moorage.domain.steps.runs import LogChunk
from tests.steps.kubernetes_harness import (
    FakeCluster,
    cluster,
    ended_pod,
    expand_variables,
    pod_state,
    reading_pod,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

_BEGUN = "2030-01-02T03:04:05Z"
Harness = tuple[FakeCluster, KubernetesPlatform]
STEP = Step(
    "report",
    ["sh", "-c", "echo $(A)"],
    image="erp:1",
    environment={"A": "b"},
    secrets={"TOKEN": "secret://env/T"},
    resources=Resources(cpus=0.5, memory=1024),
)


@pytest.fixture(scope="module")
def shared_harness(tmp_path_factory: pytest.TempPathFactory) -> Generator[Harness]:
    """Yield a fake cluster."""
    with cluster(tmp_path_factory.mktemp("cluster")) as pair:
        yield pair


@pytest.fixture
def harness(shared_harness: Harness) -> Harness:
    """Yield the fake cluster without objects."""
    shared_harness[0].__init__()  # type: ignore[misc]  # as new
    return shared_harness


def spec(name: str = "run-1", step: Step = STEP) -> RunSpec:
    """Return the specification of a run."""
    secrets = {"TOKEN": Secret("tok_16180339887")} if step.secrets else {}
    return RunSpec(name=name, step=step, secrets=secrets, labels={"kit": "x y"})


def test_job_has_no_secret_and_few_rights(harness: Harness) -> None:
    """The Job shows no secret, does not run as root, and is not retried."""
    api, platform = harness
    status = platform.start(spec(), 10.0)

    job = api.jobs["run-1"]
    pod = job["spec"]["template"]["spec"]
    assert "tok_16180339887" not in json.dumps(job)
    assert (0, "Never", False) == (
        job["spec"]["backoffLimit"],
        pod["restartPolicy"],
        pod["automountServiceAccountToken"],
    )
    assert {"cpu": "500m", "memory": "1024"} == pod["containers"][0]["resources"]["limits"]
    assert "echo $$(A)" == pod["containers"][0]["command"][2]
    assert "uid-run-1" == api.secrets["run-1"]["metadata"]["ownerReferences"][0]["uid"]
    facts = (status.phase, status.step, status.fingerprint, dict(status.labels))
    assert (RunPhase.RUNNING, "report", STEP.fingerprint, {"kit": "x y"}) == facts


@pytest.mark.parametrize("text", ["kill $$", "$(A)", "$$(A) $", "$", "${B} $$$C", "$)(", "a"])
def test_cluster_own_variable_expansion_changes_neither_arguments_nor_variables(
    text: str, harness: Harness
) -> None:
    """The cluster's own variable expansion changes neither arguments nor variables."""
    api, platform = harness
    step = attrs.evolve(STEP, command=["sh", "-c", text], environment={"A": "b", "C": text})
    platform.start(spec(step=step), 10.0)

    (container,) = api.jobs["run-1"]["spec"]["template"]["spec"]["containers"]
    variables = {
        variable["name"]: expand_variables(variable["value"]) for variable in container["env"]
    }
    assert [expand_variables(argument) for argument in container["command"]] == ["sh", "-c", text]
    assert (text, "b") == (variables["C"], variables["A"])


def test_files_of_a_job_are_in_its_secret(harness: Harness) -> None:
    """Files are mounted one by one in the working directory, separate from the secrets."""
    api, platform = harness
    step = attrs.evolve(STEP, workspace=Workspace(files={"in/a.csv": b"1"}))
    platform.start(attrs.evolve(spec(step=step), inputs={"b.csv": b"2"}), 10.0)

    pod = api.jobs["run-1"]["spec"]["template"]["spec"]
    data = api.secrets["run-1"]["data"]
    mounts = {mount["mountPath"]: mount for mount in pod["containers"][0]["volumeMounts"]}
    answer = {
        path: b64decode(data[mounts[f"/workspace/{path}"]["subPath"]])
        for path in ("in/a.csv", "b.csv")
    }
    assert {"in/a.csv": b"1", "b.csv": b"2"} == answer
    secrets = next(volume for volume in pod["volumes"] if volume["name"] == "secrets")
    assert [{"key": "TOKEN", "path": "TOKEN"}] == secrets["secret"]["items"]


def test_files_too_large_for_a_secret_are_refused(harness: Harness) -> None:
    """A step with more than a megabyte of files is refused, and nothing is started."""
    api, platform = harness
    large_spec = attrs.evolve(spec(), inputs={"a": b"x" * 1024 * 1024})
    with pytest.raises(InvalidData, match="Secret"):
        platform.start(large_spec, 10.0)
    assert not api.jobs


LEAVING = attrs.evolve(
    STEP,
    secrets={},
    workspace=Workspace(
        files={"given.txt": b"given"},
        collect=["total.csv", "-r", "missing", "link", "given.txt"],
        outputs={"in/a b.bin": "a", "large": "b"},
    ),
)


def test_successful_step_output_files_are_written_to_second_log(
    harness: Harness, tmp_path: Path
) -> None:
    """A successful step's output files are written to a second log, with any name and bytes."""
    api, platform = harness
    platform.start(spec(step=LEAVING), 10.0)
    pod = api.jobs["run-1"]["spec"]["template"]["spec"]
    (reader,) = pod["containers"]
    assert ("step", "busybox:1") == (pod["initContainers"][0]["name"], reader["image"])
    assert not {"secrets", "claim-0"} & {mount["name"] for mount in reader["volumeMounts"]}
    assert all(mount["readOnly"] for mount in reader["volumeMounts"])
    output_files = {"total.csv": b"total,12\n", "-r": b"", "in/a b.bin": bytes(range(256)) * 99}
    (tmp_path / "in").mkdir()
    for path, content in {
        **output_files,
        "large": bytes(4 * 1024 * 1024),
        "given.txt": b"given",
    }.items():
        (tmp_path / path).write_bytes(content)
    (tmp_path / "link").symlink_to("total.csv")
    command = [expand_variables(argument) for argument in reader["command"]]
    api.files["run-1"] = subprocess.run(
        command, cwd=tmp_path, check=True, capture_output=True
    ).stdout

    collected = {
        path: platform.collect("run-1", path, 100_000, 10.0)
        for path in (*output_files, "given.txt")
    }

    assert {**output_files, "given.txt": b"given"} == collected
    for path in ("missing", "link", "large", "undeclared"):
        assert platform.collect("run-1", path, 1 << 30, 10.0) is None
    assert platform.collect("run-1", "total.csv", 3, 10.0) is None
    assert platform.collect("run-2", "total.csv", 3, 10.0) is None
    for torn in (api.files["run-1"][:-2], api.files["run-1"][3:], b".\n", b""):
        api.files["run-1"] = torn
        with pytest.raises(VendorFailed, match="does not contain all files"):
            platform.collect("run-1", "total.csv", 100, 10.0)
    del api.files["run-1"]
    assert platform.collect("run-1", "total.csv", 100, 10.0) is None


def test_run_ends_when_its_files_are_read(harness: Harness) -> None:
    """A successful run ends once its files were read or are unreadable; a failed one at once."""
    api, platform = harness
    platform.start(spec(step=LEAVING), 10.0)
    problem = {"reason": "ImagePullBackOff", "message": "not found"}
    throttled = {"reason": "ErrImagePull", "message": "toomanyrequests"}
    phases = []
    for pod in (
        {
            **reading_pod(0),
            "initContainerStatuses": [{"state": {"running": {"startedAt": _BEGUN}}}],
        },
        {**reading_pod(0), "containerStatuses": None},
        reading_pod(0),
        reading_pod(0, waiting=throttled),
        reading_pod(0, running={}),
        reading_pod(0, terminated={"exitCode": 1}),
        reading_pod(0, waiting=problem),
        reading_pod(0, reason="Evicted"),
        reading_pod(3),
    ):
        api.pods["run-1"] = pod
        status = platform.status("run-1", 10.0)
        assert status is not None
        phases.append((status.phase, status.exit_code))
    running, success = (RunPhase.RUNNING, None), (RunPhase.ENDED, 0)
    assert [*[running] * 5, *[success] * 3, (RunPhase.ENDED, 3)] == phases


def test_second_start_finds_the_job(harness: Harness) -> None:
    """A second start finds the existing Job, and writes its secret if that is missing."""
    api, platform = harness
    platform.start(spec(), 10.0)
    api.secrets.clear()

    assert RunPhase.RUNNING is platform.start(spec(), 10.0).phase

    assert 1 == len(api.jobs)
    assert ["run-1"] == list(api.secrets)
    api.failures.append((409, {}, b"{}"))
    api.jobs.clear()
    with pytest.raises(ConnectionFailed, match="was removed"):
        platform.start(spec(), 10.0)


FAILED = {"type": "Failed", "status": "True", "lastTransitionTime": "2030-01-02T03:05:00Z"}
LATE = {**FAILED, "reason": "DeadlineExceeded"}


@pytest.mark.parametrize(
    "pod, condition, expected",
    [
        (ended_pod(7), FAILED, (RunPhase.ENDED, 7, EndReason.EXITED)),
        (ended_pod(137, "OOMKilled"), None, (RunPhase.ENDED, 137, EndReason.OUT_OF_MEMORY)),
        (
            ended_pod(5, pod_reason="DeadlineExceeded"),
            None,
            (RunPhase.ENDED, 5, EndReason.DEADLINE),
        ),
        (
            pod_state("Failed", "DeadlineExceeded"),
            None,
            (RunPhase.ENDED, 137, EndReason.DEADLINE),
        ),
        (
            pod_state("Failed", "DeadlineExceeded", running={"startedAt": "2030-01-02T03:04:05Z"}),
            None,
            (RunPhase.RUNNING, None, None),
        ),
        (
            pod_state("Failed", "DeadlineExceeded", running={"startedAt": "2020-01-02T03:04:05Z"}),
            {**FAILED, "lastTransitionTime": "2020-01-02T03:05:00Z"},
            (RunPhase.ENDED, 137, EndReason.DEADLINE),
        ),
        (
            pod_state("Failed", "DeadlineExceeded", running={"startedAt": "2020-01-02T03:04:05Z"}),
            {**FAILED, "lastTransitionTime": "2999-01-02T03:05:00Z"},
            (RunPhase.RUNNING, None, None),
        ),
        (None, LATE, (RunPhase.ENDED, 137, EndReason.DEADLINE)),
        (None, FAILED, (RunPhase.LOST, None, None)),
        (pod_state("Failed", "Evicted"), None, (RunPhase.LOST, None, None)),
        (None, None, (RunPhase.STARTING, None, None)),
        (
            pod_state("Pending", waiting={"reason": "ErrImagePull", "message": "not found"}),
            None,
            (RunPhase.ENDED, 125, EndReason.EXITED),
        ),
        (
            pod_state("Pending", waiting={"reason": "ErrImagePull", "message": "toomanyrequests"}),
            None,
            (RunPhase.STARTING, None, None),
        ),
    ],
)
def test_pod_and_job_determine_end_of_run(
    harness: Harness, pod: dict[str, Any] | None, condition: dict[str, Any] | None, expected: object
) -> None:
    """The state of a pod and its Job determines the phase, exit code and reason of the run."""
    api, platform = harness
    platform.start(spec(), 10.0)
    api.pods["run-1"] = pod
    api.jobs["run-1"]["status"] = {"conditions": [condition] if condition else None}

    (status,) = platform.runs(10.0)

    assert expected == (status.phase, status.exit_code, status.reason)
    assert status == platform.status("run-1", 10.0)
    assert status.is_over is (status.ended_at is not None)


def test_missing_image_is_refused_at_the_start(harness: Harness) -> None:
    """A missing image is refused at the start, and its Job is removed."""
    api, platform = harness
    api.pods["run-1"] = pod_state("Pending", waiting={"reason": "ImagePullBackOff"})

    with pytest.raises(VendorRejected, match="ImagePullBackOff"):
        platform.start(spec(), 10.0)

    assert {} == api.jobs


def test_start_does_not_wait_for_a_node(harness: Harness) -> None:
    """A pod without a node counts as starting, and can be stopped before it has a time limit."""
    api, platform = harness
    api.pods["run-1"] = {"phase": "Pending"}

    assert RunPhase.STARTING is platform.start(spec(), 1.0).phase

    platform.stop("run-1", 1.0, 10.0)
    assert 1 == api.jobs["run-1"]["spec"]["activeDeadlineSeconds"]


def test_stopping_run_sets_its_time_limit_to_past(harness: Harness) -> None:
    """Stopping a run sets its time limit to the past, and its end is reported as a stop."""
    api, platform = harness
    platform.start(spec(), 10.0)
    platform.stop("run-1", 1.0, 10.0)
    assert {"spec": {"activeDeadlineSeconds": 1}} == api.requests[-1][2]
    api.pods["run-1"] = ended_pod(143, pod_reason="DeadlineExceeded")

    status = platform.status("run-1", 10.0)

    assert status is not None
    assert EndReason.STOPPED is status.reason
    before = len(api.requests)
    platform.stop("run-1", 1.0, 10.0)
    assert not any("PATCH" == request[0] for request in api.requests[before:])


def test_run_that_exceeded_its_limit_is_not_stopped(harness: Harness) -> None:
    """If a run is already being ended at its limit, a stop changes nothing: it timed out."""
    api, platform = harness
    platform.start(spec(), 10.0)
    api.pods["run-1"] = pod_state("Failed", "DeadlineExceeded", running={"startedAt": _BEGUN})
    before = len(api.requests)

    platform.stop("run-1", 0.0, 10.0)

    assert not any("PATCH" == request[0] for request in api.requests[before:])
    api.pods["run-1"] = ended_pod(137, pod_reason="DeadlineExceeded")
    status = platform.status("run-1", 10.0)
    assert status is not None
    assert EndReason.DEADLINE is status.reason


def test_text_of_a_node_without_the_log_is_no_output(harness: Harness) -> None:
    """If a node sends an error text instead of a deleted pod's log, it is not read as output."""
    api, platform = harness
    platform.start(spec(), 10.0)
    api.logs["run-1"] = (
        b"2030-01-02T03:04:05.1Z a\nunable to retrieve container logs for containerd://a1b2"
    )
    api.pods["run-1"] = ended_pod(0)

    chunk = platform.logs("run-1", "stdout", "", 10.0)

    assert LogChunk(b"a\n", "2030-01-02T03:04:05.1Z#1", True) == chunk
    api.logs["run-1"] = b"unable to retrieve container logs for containerd://a1b2"
    assert LogChunk(b"", "", True) == platform.logs("run-1", "stdout", "", 10.0)


def test_answer_that_was_cut_is_a_failed_connection(harness: Harness) -> None:
    """If a connection ends in the middle of a response, a retryable error is raised."""
    api, platform = harness
    api.failures = [(200, {"Content-Length": "1000"}, b'{"items": [')]

    with pytest.raises(ConnectionFailed, match="before the end") as cut:
        platform.runs(10.0)

    assert cut.value.retryable


def test_output_with_equal_times_is_read_once(harness: Harness) -> None:
    """Log entries with equal times are read only once, even if a read ends between them."""
    api, platform = harness
    platform.start(spec(), 10.0)
    assert LogChunk(b"", "", False) == platform.logs("run-1", "stdout", "", 10.0)
    first = b"2030-01-02T03:04:05.1Z a\n2030-01-02T03:04:05.2Z b\n"
    api.logs["run-1"] = first + b"2030-01-02T03:04:05.2Z tor"
    chunk = platform.logs("run-1", "stdout", "", 10.0)
    assert LogChunk(b"a\nb\n", "2030-01-02T03:04:05.2Z#1", False) == chunk
    piece = b"x" * 16384
    api.logs["run-1"] = (
        first
        + b"2030-01-02T03:04:05.2Z torn\n2030-01-02T03:04:06Z "
        + piece
        + b"2030-01-02T03:04:06.1Z y\n2030-01-02T03:04:07Z end"
    )
    api.pods["run-1"] = ended_pod(0)

    chunk = platform.logs("run-1", "stdout", chunk.position, 10.0)

    assert b"torn\n" + piece + b"y\nend" == chunk.data
    assert chunk.is_last
    assert b"" == platform.logs("run-1", "stdout", chunk.position, 10.0).data
    assert LogChunk(b"", "", True) == platform.logs("run-1", "stderr", "", 10.0)
    api.logs["run-1"] = b"2030-01-02T03:04:05Z " + b"z" * 5_000_000 + b"\n" + first
    assert not platform.logs("run-1", "stdout", "", 10.0).is_last


def test_lines_within_one_microsecond_are_read_once(harness: Harness) -> None:
    """Log entries whose times differ by nanoseconds are read only once, in any number of reads."""
    api, platform = harness
    platform.start(spec(), 10.0)
    lines = (
        b"2030-01-02T03:04:05.123456Z a\n"
        b"2030-01-02T03:04:05.123456001Z b\n"
        b"2030-01-02T03:04:05.123456789Z c\n"
    )
    api.logs["run-1"] = lines
    chunk = platform.logs("run-1", "stdout", "", 10.0)
    assert b"a\nb\nc\n" == chunk.data
    assert LogChunk(b"", chunk.position, False) == platform.logs(
        "run-1", "stdout", chunk.position, 10.0
    )

    api.logs["run-1"] = lines + b"2030-01-02T03:04:05.12345679Z d\n"

    assert b"d\n" == platform.logs("run-1", "stdout", chunk.position, 10.0).data


def test_ended_run_is_removed(harness: Harness) -> None:
    """Only an ended run is removed; removing an unknown run does nothing."""
    api, platform = harness
    platform.start(spec(), 10.0)
    platform.remove("run-1", 10.0)
    assert ["run-1"] == list(api.jobs)
    api.pods["run-1"] = ended_pod(0)
    platform.remove("run-1", 10.0)
    platform.remove("run-1", 10.0)

    assert platform.status("run-1", 10.0) is None
    api.pods.clear()
    assert LogChunk(b"", "", True) == platform.logs("run-1", "stdout", "", 10.0)
    assert platform.collect("run-1", "a", 1, 10.0) is None
    platform.close()


def test_failures_are_typed(harness: Harness) -> None:
    """Each error response of the API raises its error type, with the pause in seconds."""
    api, platform = harness
    api.failures = [(429, {"Retry-After": "7"}, b"{}"), (500, {}, b"broken"), (422, {}, b"{}")]
    with pytest.raises(RateLimitExceeded) as paused:
        platform.runs(10.0)
    with pytest.raises(VendorFailed, match="broken"):
        platform.runs(10.0)
    with pytest.raises(VendorRejected):
        platform.start(spec(), 10.0)
    assert paused.value.retry_at is not None


@pytest.mark.parametrize("content", [b"<html>Log in</html>", b"[]", b"{}"])
@pytest.mark.parametrize("method", ["runs", "start", "status", "check_access"])
def test_answer_of_another_program_is_a_failure_of_the_vendor(
    harness: Harness, method: str, content: bytes
) -> None:
    """An answer that is not of the Kubernetes API, such as a proxy's page, raises VendorFailed."""
    api, platform = harness
    acts: dict[str, Callable[[], object]] = {
        "runs": lambda: platform.runs(10.0),
        "start": lambda: platform.start(spec(), 10.0),
        "status": lambda: platform.status("run-1", 10.0),
        "check_access": lambda: platform.check_access(10.0),
    }
    api.failures = [(200, {}, content)]
    with pytest.raises(VendorFailed, match="moorage cannot read"):
        acts[method]()


def test_redirect_is_not_a_success(harness: Harness) -> None:
    """A request that a proxy redirects to its login page was not carried out."""
    api, platform = harness
    platform.start(spec(), 10.0)
    api.pods["run-1"] = ended_pod(0)
    job, pods = (
        api.answer("GET", "/namespaces/default/jobs/run-1", {}),
        api.answer("GET", "/namespaces/default/pods?labelSelector=job-name=run-1", {}),
    )
    answers: list[tuple[int, dict[str, str], bytes]] = [
        (status, {}, json.dumps(body).encode()) for status, body in (job, pods)
    ]
    api.failures = [*answers, (302, {"Location": "https://login.example/"}, b"")]

    with pytest.raises(VendorFailed, match="login page") as redirected:
        platform.remove("run-1", 10.0)

    assert not redirected.value.retryable
    assert ["run-1"] == list(api.jobs)


@pytest.mark.parametrize("pause", ["²", "9" * 400, "soon", "-1"])
def test_pause_of_any_form_is_typed(harness: Harness, pause: str) -> None:
    """A malformed or too long Retry-After still leads to the error type of its status."""
    api, platform = harness
    api.failures = [(429, {"Retry-After": pause}, b"{}")]
    with pytest.raises(RateLimitExceeded) as paused:
        platform.runs(10.0)
    assert paused.value.retry_at is not None


def test_rights_are_checked(harness: Harness) -> None:
    """The error for a permission that the account lacks names it."""
    api, platform = harness
    platform.check_access(10.0)
    api.denied = "pods"
    with pytest.raises(ConfigurationError, match="may not list pods"):
        platform.check_access(10.0)


def test_wrong_settings_are_named(harness: Harness, tmp_path: Path) -> None:
    """An invalid server, certificate, authority or token raises an error."""
    settings = harness[1]._settings  # noqa: SLF001 - to change one of them
    wrong_options: tuple[dict[str, Any], ...] = (
        {"server": "http://x"},
        {"ca_file": "/no"},
        {"certificate_file": "/no"},
    )
    for options in wrong_options:
        with pytest.raises(ConfigurationError) as wrong:
            KubernetesPlatform(attrs.evolve(settings, **options))
        assert list(options) == [wrong.value.path]
    with pytest.raises(ConfigurationError, match="token"):
        KubernetesPlatform(attrs.evolve(settings, token_file="/no")).runs(10.0)
    (tmp_path / "token").write_text("another")
    with pytest.raises(AuthenticationFailed):
        KubernetesPlatform(attrs.evolve(settings, token_file=str(tmp_path / "token"))).runs(10.0)
    for content in (b"", b"tok_1\ntok_16180339887", b"tok_16180339887\xff"):
        (tmp_path / "token").write_bytes(content)
        with pytest.raises(ConfigurationError, match="does not contain a token") as refused:
            KubernetesPlatform(attrs.evolve(settings, token_file=str(tmp_path / "token"))).runs(9.0)
        assert "tok_" not in "".join(format_exception(refused.value))
    with pytest.raises(ConnectionFailed, match="self-signed certificate") as untrusted:
        KubernetesPlatform(attrs.evolve(settings, ca_file=None)).runs(10.0)
    assert not untrusted.value.may_have_been_processed


@pytest.mark.parametrize(
    "options",
    [
        {"image": None},
        {"workspace": Workspace(collect=["a"])},
        {"workspace": Workspace(outputs={"a": "a"})},
        {"resources": Resources(processes=2)},
    ],
)
def test_steps_that_no_job_can_run_are_refused(options: dict[str, Any]) -> None:
    """A step without an image, with files that are not read, or with a process limit is refused."""
    platform = KubernetesPlatform(KubernetesSettings(ca_file=None))
    with pytest.raises(InvalidData):
        platform.validate(attrs.evolve(STEP, **options))
