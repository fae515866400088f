"""Steps as workflow runs, with a strict fake GitHub that really runs workflows."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from moorage import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectionFailed,
    ConnectorManager,
    CredentialRefreshFailed,
    EndReason,
    GitHubPlatform,
    GitHubSettings,
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
    VendorRejected,
    Workspace,
)
from moorage.adapters.steps.github import GITHUB
from moorage.domain.steps.runs import LogChunk
from moorage.testing import name_of
from moorage.testing.kits import platform_conformance
from moorage.testing.kits.platform_conformance import PlatformLimit
from tests.steps.github_harness import TOKEN, FakeGitHub, claims_of, github
from tests.steps.step_harness import MODES, executor

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

Harness = tuple[FakeGitHub, GitHubSettings]
WORKER = Path(__file__).with_name("git_host_worker.py")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def harness() -> Generator[Harness]:
    """Yield a fake GitHub."""
    with github() as pair:
        yield pair


def workflow_step(script: str, options: Mapping[str, Any]) -> Step:
    """Return a step that runs a script in the fake GitHub's workflow."""
    fields = {name: value for name, value in options.items() if name != "image"}
    environment = {**fields.pop("environment", {}), "script": script}
    return Step("check", ["step.yml"], environment=environment, **fields)


@pytest.mark.parametrize("check", platform_conformance.CHECKS, ids=name_of)
def test_workflow_runs_pass_conformance_kit(
    check: platform_conformance.Check, harness: Harness
) -> None:
    """Workflow runs pass the conformance kit, within the limits of a git host."""
    server, settings = harness
    check(
        platform_conformance.PlatformSubject(
            make=lambda: GitHubPlatform(settings),
            step=workflow_step,
            limits=frozenset(PlatformLimit)
            - {PlatformLimit.NOTHING_COLLECTED, PlatformLimit.FORGETS_BY_ITSELF},
        )
    )
    assert [] == server.mistakes


def spec(name: str, script: str = "echo once", **options: Any) -> RunSpec:
    """Return the specification of a run of a script."""
    return RunSpec(name=name, step=workflow_step(script, options), labels={"store": "s"})


def wait_until(condition: Callable[[], object]) -> None:
    """Wait until a condition holds, for two minutes at most."""
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end, "It did not happen."
        time.sleep(0.02)


def wait_for_end(platform: GitHubPlatform, name: str) -> Any:
    """Wait for a run to end, and return its status."""
    wait_until(lambda: (status := platform.status(name, 10.0)) is not None and status.is_over)
    return platform.status(name, 10.0)


@pytest.mark.parametrize("mode", MODES)
def test_key_runs_once_and_returns_the_exit_code(
    harness: Harness, mode: str, tmp_path: Path
) -> None:
    """Sync and async code get the exit code from GitHub's annotation; a repeat starts nothing."""
    server, settings = harness
    execute = executor(mode, GitHubPlatform(settings), f"sqlite:///{tmp_path}/state.db")
    before = len(server.dispatches)

    results = [
        execute(workflow_step("echo rows; exit 42", {}), idempotency_key=f"k-{mode}")
        for _ in range(2)
    ]

    assert [42, 42] == [result.exit_code for result in results]
    assert "rows" in results[0].stdout.splitlines()
    assert "failure" == results[0].metadata["conclusion"]
    assert before + 1 == len(server.dispatches)


@pytest.mark.parametrize("is_silent", [False, True])
def test_lost_answer_of_a_dispatch_finds_the_run(harness: Harness, *, is_silent: bool) -> None:
    """If a response with a run's id is lost, the run is found by its title, not started again."""
    server, settings = harness
    name = f"lost-{is_silent}"
    server.is_silent = is_silent
    server.cuts = [] if is_silent else ["dispatches"]
    platform = GitHubPlatform(settings)
    before = len(server.dispatches)

    platform.start(spec(name, "exit 3"), 10.0)

    server.is_silent = False
    assert 3 == wait_for_end(GitHubPlatform(settings), name).exit_code
    assert before + 1 == len(server.dispatches)


@pytest.mark.parametrize("cut", ["POST /repos/{owner}/{repo}/git/refs", "PATCH"])
def test_lost_answers_of_a_claim_change_nothing(harness: Harness, cut: str) -> None:
    """If the response to a run's claim is lost, the claim is read again and the start continues."""
    server, settings = harness
    name = f"cut-{cut[:5].strip().lower()}"
    server.cuts = [cut]

    GitHubPlatform(settings).start(spec(name), 10.0)

    assert 0 == wait_for_end(GitHubPlatform(settings), name).exit_code
    assert [] == server.cuts


def test_killed_program_finds_its_run(harness: Harness, tmp_path: Path) -> None:
    """After kill -9 between a dispatch and its response, the same key follows the same run."""
    server, settings = harness
    gate = tmp_path / "go"
    script = f"until [ -e {gate} ]; do sleep 0.05; done; echo once; exit 7"
    before = len(server.dispatches)

    def worker() -> subprocess.Popen[str]:
        assert settings.ca_file is not None
        return subprocess.Popen(
            [sys.executable, str(WORKER), "github", settings.api, str(tmp_path), script],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}",
                "GIT_TOKEN": TOKEN,
                "GIT_CA": settings.ca_file,
            },
        )

    process = worker()
    wait_until(lambda: len(server.dispatches) > before)
    process.kill()
    process.communicate()
    gate.touch()

    output, errors = worker().communicate(timeout=120)

    assert "7 failure" in output, errors
    assert before + 1 == len(server.dispatches)


def test_run_that_never_appears_is_lost(harness: Harness) -> None:
    """If a dispatched run never appears, its outcome is unknown, and it is not repeated."""
    server, settings = harness
    settings = attrs.evolve(settings, lost_after=1.0)
    server.failures = [("dispatches", 502, {"message": "bad gateway"}, {})]
    before = len(server.dispatches)
    connector = StepConnector(GitHubPlatform(settings), ConnectorManager([Service("steps")]))

    with pytest.raises(OutcomeUnknown):
        connector.execute_step(workflow_step("exit 0", {}), idempotency_key="never")

    assert before == len(server.dispatches)


@pytest.mark.parametrize(
    "status, body, headers, error",
    [
        (403, {"message": "Resource not accessible"}, {}, AuthenticationFailed),
        (404, {"message": "Not Found"}, {}, VendorRejected),
        (422, {"message": "Unexpected inputs provided"}, {}, InvalidRequest),
        (403, {"message": "rate limit"}, {"X-RateLimit-Remaining": "0"}, RateLimitExceeded),
        (429, {"message": "slow down"}, {"Retry-After": "7"}, RateLimitExceeded),
    ],
)
def test_refused_dispatch_gives_the_claim_back(
    harness: Harness,
    status: int,
    body: dict[str, Any],
    headers: dict[str, str],
    error: type[Exception],
) -> None:
    """If GitHub refuses a dispatch, nothing has started; the same key can start the run later."""
    server, settings = harness
    platform, name = GitHubPlatform(settings), f"refused-{status}-{len(headers)}-{error.__name__}"
    server.failures = [("dispatches", status, body, headers)]

    with pytest.raises(error):
        platform.start(spec(name), 10.0)

    assert platform.status(name, 10.0) is None
    platform.start(spec(name, "exit 0"), 10.0)
    assert 0 == wait_for_end(platform, name).exit_code


def test_workflow_without_the_input_is_explained(harness: Harness) -> None:
    """If a workflow lacks inputs that moorage needs, the step is refused; the error lists them."""
    platform = GitHubPlatform(attrs.evolve(harness[1], run_input="run_name"))

    with pytest.raises(InvalidRequest) as excinfo:
        platform.start(spec("input"), 10.0)

    assert "run_name" in excinfo.value.remedy
    with pytest.raises(VendorRejected) as unknown:
        platform.start(RunSpec(name="wf", step=Step("x", ["other.yml"])), 10.0)
    assert 404 == unknown.value.status


@pytest.mark.untraced
@pytest.mark.parametrize(
    "conclusion, expected",
    [
        ("success", (RunPhase.ENDED, EndReason.EXITED, 0)),
        ("neutral", (RunPhase.ENDED, EndReason.EXITED, 0)),
        ("failure", (RunPhase.ENDED, EndReason.EXITED, 1)),
        ("cancelled", (RunPhase.ENDED, EndReason.STOPPED, 137)),
        ("timed_out", (RunPhase.ENDED, EndReason.DEADLINE, 137)),
        ("skipped", (RunPhase.ENDED, EndReason.EXITED, 125)),
        ("startup_failure", (RunPhase.ENDED, EndReason.EXITED, 125)),
        ("stale", (RunPhase.LOST, None, None)),
        ("something_new", (RunPhase.LOST, None, None)),
    ],
)
def test_each_github_conclusion_has_one_meaning(
    harness: Harness, conclusion: str, expected: object
) -> None:
    """Each GitHub conclusion has one meaning, and only `success` is a success."""
    server, settings = harness
    platform, name = GitHubPlatform(settings), f"end-{conclusion}"
    platform.start(spec(name, "true"), 10.0)
    wait_for_end(platform, name)
    number = max(server.runs)

    server.set_conclusion(number, "completed", conclusion)

    status = platform.status(name, 10.0)
    assert status is not None
    assert expected == (status.phase, status.reason, status.exit_code)
    assert status == next(item for item in platform.runs(10.0) if item.name == name)


def test_run_that_needs_approval_is_an_error_and_goes_on(harness: Harness) -> None:
    """If a run needs approval, an error with its URL is raised; a later call follows the run."""
    server, settings = harness
    platform = GitHubPlatform(settings)
    platform.start(spec("approve", "exit 4"), 10.0)
    wait_for_end(platform, "approve")
    number = max(server.runs)
    server.set_conclusion(number, "completed", "action_required")

    with pytest.raises(VendorRejected) as waiting:
        platform.status("approve", 10.0)

    assert f"runs/{number}" in waiting.value.remedy
    server.set_conclusion(number, "waiting", None)
    server.failures = [("cancel", 409, {"message": "not queued yet"}, {})]
    with pytest.raises(VendorFailed, match="cannot cancel"):
        platform.stop("approve", 1.0, 10.0)
    server.set_conclusion(number, "waiting", None)
    status = platform.status("approve", 10.0)
    assert status is not None
    assert (RunPhase.STARTING, True) == (status.phase, "problem" in status.metadata)
    server.set_conclusion(number, "completed", "failure")
    assert 4 == wait_for_end(platform, "approve").exit_code


def test_token_goes_to_the_api_only_and_is_masked(harness: Harness) -> None:
    """The log storage gets no credential, and a token that a job prints is masked."""
    server, settings = harness
    platform = GitHubPlatform(settings)
    platform.start(spec("mask", f"echo token {TOKEN}"), 10.0)
    wait_for_end(platform, "mask")
    server.downloads.clear()

    chunk = platform.logs("mask", "stdout", "", 10.0)

    assert b"token " + b"*" * len(TOKEN) in chunk.data.splitlines()
    assert TOKEN.encode() not in chunk.data
    assert 1 == len(server.downloads)
    assert "Authorization" not in server.downloads[0]
    assert TOKEN not in repr(settings)


def test_log_of_a_job_is_downloaded_once(harness: Harness) -> None:
    """A log of several parts is downloaded once; positions in it stay valid."""
    server, settings = harness
    platform = GitHubPlatform(settings)
    script = (
        "i=0; while [ $i -lt 300 ]; do head -c 10000 /dev/zero | tr '\\0' x; echo; i=$((i+1)); done"
    )
    platform.start(spec("large", script), 10.0)
    wait_for_end(platform, "large")
    server.downloads.clear()

    chunks = [platform.logs("large", "stdout", "", 10.0)]
    while not chunks[-1].is_last:
        chunks.append(platform.logs("large", "stdout", chunks[-1].position, 10.0))

    assert 1 == len(server.downloads)
    assert 2 < len(chunks)
    second_chunk = GitHubPlatform(settings).logs("large", "stdout", chunks[0].position, 10.0)
    assert chunks[1] == second_chunk
    assert 2 == len(server.downloads)


def test_echoed_token_is_masked_in_errors(harness: Harness) -> None:
    """If an error response repeats the token, the error does not show the token."""
    server, settings = harness
    server.failures = [("git/ref/", 500, {"message": f"bad {TOKEN}"}, {})]

    with pytest.raises(VendorFailed) as failed:
        GitHubPlatform(settings).status("echo", 10.0)

    assert TOKEN not in str(failed.value)
    assert TOKEN not in str(failed.value.vendor_message)


@pytest.fixture(scope="module")
def app_key() -> rsa.RSAPrivateKey:
    """Yield the private key of a GitHub App."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def as_app(harness: Harness, key: rsa.RSAPrivateKey, tokens: list[str]) -> GitHubSettings:
    """Return the settings of a GitHub App whose JWTs the fake GitHub verifies."""
    server, settings = harness
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )

    def is_proof(token: str) -> bool:
        text, _, signature = token.rpartition(".")
        import base64  # noqa: PLC0415 - of this check alone

        raw = base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
        key.public_key().verify(raw, text.encode(), padding.PKCS1v15(), hashes.SHA256())
        tokens.append(token)
        return True

    server.app_checks = is_proof
    return attrs.evolve(
        settings, token=None, app_id="Iv1.acme", installation_id=17, private_key=Secret(pem)
    )


def test_github_app_signs_jwts_of_at_most_ten_minutes(
    harness: Harness, app_key: rsa.RSAPrivateKey
) -> None:
    """A GitHub App signs JWTs of at most ten minutes, and renews a refused token."""
    server, proofs = harness[0], list[str]()
    settings = as_app(harness, app_key, proofs)
    server.issued.clear()
    platform = GitHubPlatform(settings)

    assert platform.status("none", 10.0) is None
    assert platform.status("none", 10.0) is None

    assert 1 == len(server.issued)
    claims = claims_of(proofs[0])
    now = datetime.now(UTC).timestamp()
    assert "Iv1.acme" == claims["iss"]
    assert claims["iat"] < now < claims["exp"] <= claims["iat"] + 600
    server.tokens.discard(server.issued[0])
    assert platform.status("none", 10.0) is None
    assert 2 == len(server.issued)


def test_token_that_ends_soon_is_renewed(
    harness: Harness, app_key: rsa.RSAPrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token that expires within minutes is not used for the next request."""
    server = harness[0]
    settings = as_app(harness, app_key, [])
    expiry = (datetime.now(UTC) + timedelta(minutes=2)).isoformat()
    monkeypatch.setattr(server, "ends_at", lambda: expiry)
    server.issued.clear()
    platform = GitHubPlatform(settings)

    platform.status("none", 10.0)
    platform.status("none", 10.0)

    assert 2 == len(server.issued)


def test_refused_tokens_are_not_fetched_for_ever(
    harness: Harness, app_key: rsa.RSAPrivateKey
) -> None:
    """If the next token is refused too, an error is raised instead of an endless loop."""
    server = harness[0]
    settings = as_app(harness, app_key, [])
    server.issued.clear()
    body = {"message": "Bad credentials"}
    refusal: tuple[str, int, dict[str, Any], dict[str, str]] = ("git/ref/", 401, body, {})
    server.failures = [refusal, refusal]

    with pytest.raises(AuthenticationFailed):
        GitHubPlatform(settings).status("none", 10.0)

    assert 2 == len(server.issued)


def test_app_without_installation_is_explained(
    harness: Harness, app_key: rsa.RSAPrivateKey
) -> None:
    """A GitHub App that GitHub does not know raises a credential error without the key."""
    server = harness[0]
    settings = as_app(harness, app_key, [])
    server.failures = [("access_tokens", 404, {"message": "Not Found"}, {})]

    with pytest.raises(CredentialRefreshFailed, match="issued no token") as failed:
        GitHubPlatform(settings).status("none", 10.0)

    assert "installation_id" in failed.value.remedy


@pytest.mark.parametrize(
    "options",
    [
        {"repository": "acme"},
        {"repository": "../.."},
        {"repository": "acme/.."},
        {"token": None},
        {"token": Secret("")},
        {"app_id": "Iv1", "token": None},
        {"app_id": "Iv1", "installation_id": 1, "private_key": Secret("x")},
        {"app_id": "Iv1", "installation_id": 1, "private_key": Secret("x"), "token": None},
        {"scope": "a/b"},
        {"claims": "tags//x"},
        {"api": "http://git.example"},
        {"api": "https://me@git.example"},
        {"ca_file": "/no"},
    ],
)
def test_wrong_settings_are_named(harness: Harness, options: dict[str, Any]) -> None:
    """An impossible setting is refused before anything is sent."""
    with pytest.raises(ConfigurationError):
        GITHUB.build(attrs.evolve(harness[1], **options))


@pytest.mark.parametrize(
    "options",
    [
        {"image": "erp:1"},
        {"secrets": {"TOKEN": "secret://env/T"}},
        {"workspace": Workspace(files={"a": b""})},
        {"resources": Resources(memory=1)},
        {"environment": {"moorage": "x"}},
        {"environment": {f"V{number}": "x" for number in range(25)}},
        {"command": ["make"]},
        {"command": ["../step.yml"]},
        {"command": ["step.yml", "main", "x"]},
    ],
)
def test_steps_that_no_workflow_can_run_are_refused(
    harness: Harness, options: dict[str, Any]
) -> None:
    """A step that a workflow cannot run is refused before anything is sent."""
    fields: dict[str, Any] = {"command": ["step.yml"], **options}
    step = Step("x", fields.pop("command"), **fields)

    with pytest.raises(InvalidData):
        GitHubPlatform(harness[1]).validate(step)


def test_time_limit_is_an_input_in_minutes(harness: Harness) -> None:
    """A workflow can receive its time limit as an input, in whole minutes."""
    server, settings = harness
    platform = GitHubPlatform(attrs.evolve(settings, minutes_input="minutes"))

    platform.start(spec("minutes", "true", timeout=90.0), 10.0)

    assert "2" == server.dispatches[-1]["inputs"]["minutes"]


def test_github_is_asked_once_in_a_while(harness: Harness, tmp_path: Path) -> None:
    """Within its polling interval, a platform answers all status requests from its cache."""
    server, settings = harness
    platform = GitHubPlatform(attrs.evolve(settings, pace=1000.0))
    gate = tmp_path / "go"
    platform.start(spec("pace", f"until [ -e {gate} ]; do sleep 0.02; done"), 10.0)
    before = len(server.requests)

    for _ in range(5):
        platform.status("pace", 10.0)
        assert LogChunk(b"", "", False) == platform.logs("pace", "stdout", "", 10.0)

    assert before == len(server.requests)
    gate.touch()
    assert 0 == wait_for_end(GitHubPlatform(settings), "pace").exit_code


def test_error_proves_that_start_did_nothing_if_no_connection_can_be_made(harness: Harness) -> None:
    """If no connection can be made, the error proves that a start did nothing."""
    platform = GitHubPlatform(attrs.evolve(harness[1], api="https://127.0.0.1:9"))

    with pytest.raises(ConnectionFailed) as failed:
        platform.start(spec("nowhere"), 5.0)

    assert not failed.value.may_have_been_processed
