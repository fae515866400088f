"""Releases, statuses, checks and pull mirrors of git hosts, with strict fake hosts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage import (
    AlreadyExists,
    AsyncConnectorManager,
    ConnectorManager,
    GitHubRepository,
    GitLabProject,
    InvalidData,
    OperationInThread,
    RetryPolicy,
    Service,
    VendorFailed,
    VendorRejected,
)
from tests.steps.github_harness import github
from tests.steps.gitlab_harness import gitlab

if TYPE_CHECKING:
    from collections.abc import Generator

    from moorage import GitHubSettings, GitLabSettings
    from tests.steps.github_harness import FakeGitHub
    from tests.steps.gitlab_harness import FakeGitLab

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub() -> Generator[tuple[FakeGitHub, GitHubSettings]]:
    """Yield a fake GitHub."""
    with github() as pair:
        yield pair


@pytest.fixture
def harness() -> Generator[tuple[FakeGitLab, GitLabSettings]]:
    """Yield a fake GitLab."""
    with gitlab() as pair:
        yield pair


@pytest.fixture
def manager() -> ConnectorManager:
    """Return a manager that retries without pauses."""
    retry = RetryPolicy(max_attempts=3, base_delay=0.001)
    return ConnectorManager([Service("git", retry=retry)])


def test_release_of_github_is_published_once(
    hub: tuple[FakeGitHub, GitHubSettings], manager: ConnectorManager
) -> None:
    """A release whose response is lost is found by its tag, and its file is uploaded once."""
    host, settings = hub
    repository = GitHubRepository(settings)
    host.cuts = ["POST /repos/{owner}/{repo}/releases"]

    first = manager.perform("git", repository.release("v1.0", notes="New.", commit="main"))
    second = manager.perform("git", repository.release("v1.0"))
    host.cuts = ["assets"]
    files = [manager.perform("git", repository.upload("v1.0", "a.bin", b"\x00a")) for _ in range(2)]

    assert first == second
    assert 1 == len(host.releases)
    assert files[0] == files[1]
    assert 1 == len(host.assets)
    with pytest.raises(AlreadyExists, match=r"a\.bin"):
        manager.perform("git", repository.upload("v1.0", "a.bin", b"other"))
    with pytest.raises(VendorRejected, match="no release"):
        manager.perform("git", repository.upload("v2.0", "a.bin", b"x"))
    assert [] == host.mistakes


def test_partial_upload_is_deleted_and_repeated(
    hub: tuple[FakeGitHub, GitHubSettings], manager: ConnectorManager
) -> None:
    """A file that GitHub received only in part is deleted and uploaded again."""
    host, settings = hub
    repository = GitHubRepository(settings)
    manager.perform("git", repository.release("v3.0"))
    file = manager.perform("git", repository.upload("v3.0", "b.bin", b"whole"))
    host.assets[file["id"]].update(state="open", size=0)

    second_result = manager.perform("git", repository.upload("v3.0", "b.bin", b"whole"))

    assert file["id"] != second_result["id"]
    assert file["id"] not in host.assets


def test_upload_to_another_host_gets_no_token(
    hub: tuple[FakeGitHub, GitHubSettings], manager: ConnectorManager
) -> None:
    """A release whose upload URL names another host is refused before anything is sent."""
    host, settings = hub
    manager.perform("git", GitHubRepository(settings).release("v4.0"))
    release = next(item for item in host.releases.values() if item["tag_name"] == "v4.0")
    release["upload_url"] = f"{host.storage}/log/1{{?name}}"
    before = len(host.downloads)

    with pytest.raises(VendorFailed, match="another host"):
        manager.perform("git", GitHubRepository(settings).upload("v4.0", "a", b""))

    assert before == len(host.downloads)


def test_github_status_is_set_and_check_is_created_once(
    hub: tuple[FakeGitHub, GitHubSettings], manager: ConnectorManager
) -> None:
    """A commit status is set on GitHub; a check is created once per key and then updated."""
    host, settings = hub
    repository = GitHubRepository(settings)

    manager.perform("git", repository.status(COMMIT, "success", context="erp", url="https://e.x"))
    check = manager.perform("git", repository.check(COMMIT, "import", key="k1"))
    completed_check = manager.perform(
        "git", repository.check(COMMIT, "import", key="k1", conclusion="success", summary="12 rows")
    )
    other = manager.perform("git", repository.check(COMMIT, "import", key="k2"))

    assert ("success", "erp") == (host.statuses[0]["state"], host.statuses[0]["context"])
    assert (check["id"], "success") == (completed_check["id"], completed_check["conclusion"])
    assert other["id"] != check["id"]
    assert [] == host.mistakes


def test_release_of_gitlab_is_published_once(
    harness: tuple[FakeGitLab, GitLabSettings], manager: ConnectorManager
) -> None:
    """A release whose response is lost is found by its tag; file and link are created once."""
    host, settings = harness
    project = GitLabProject(settings)
    host.cuts = ["POST /projects/{id}/releases"]

    first = manager.perform("git", project.release("v1.0", notes="New.", ref="main"))
    host.cuts = ["PUT /projects/{id}/packages", "assets/links"]
    files = [manager.perform("git", project.upload("v1.0", "a.bin", b"\x00a")) for _ in range(2)]

    assert {"tag": "v1.0", "name": "v1.0"} == first
    assert files[0] == files[1]
    assert {"release/v1.0/a.bin": b"\x00a"} == host.packages
    assert 1 == len(host.links["v1.0"])
    with pytest.raises(AlreadyExists, match=r"a\.bin"):
        manager.perform("git", project.upload("v1.0", "a.bin", b"other"))
    assert [] == host.mistakes


def test_gitlab_status_is_set_once_and_mirror_is_started(
    harness: tuple[FakeGitLab, GitLabSettings], manager: ConnectorManager
) -> None:
    """A commit status is set once, even if its repeat is refused; a pull mirror is started."""
    host, settings = harness
    project = GitLabProject(settings)
    status = project.status(COMMIT, "success", context="erp", url="https://e.x")
    manager.perform("git", status)
    text = "Cannot transition status via :succeed from :success"
    host.failures = [("statuses", 400, {"message": text}, {})]

    assert {"state": "success", "context": "erp"} == manager.perform("git", status)
    assert {"started": True} == manager.perform("git", project.pull_mirror())
    state = manager.perform("git", project.mirror_state())
    assert {"status": "finished", "error": None} == state
    assert (1, 1) == (len(host.statuses), host.mirrored)
    host.failures = [("statuses", 400, {"message": "name is invalid"}, {})]
    with pytest.raises(VendorRejected, match="invalid"):
        manager.perform("git", status)


@pytest.mark.parametrize("event, state", [("enqueue", "pending"), ("skip", "skipped")])
def test_refused_change_of_a_gitlab_status_is_an_error(
    harness: tuple[FakeGitLab, GitLabSettings], manager: ConnectorManager, event: str, state: str
) -> None:
    """A state that GitLab refuses, because the commit has another one, is not reported as set."""
    host, settings = harness
    text = (
        f"Cannot transition status via :{event} from :running"
        f' (Reason(s): Status cannot transition via "{event}")'
    )
    host.failures = [("statuses", 400, {"message": text}, {})]

    with pytest.raises(VendorRejected, match="from :running"):
        manager.perform("git", GitLabProject(settings).status(COMMIT, state, context="erp"))


def test_operations_run_in_an_event_loop(hub: tuple[FakeGitHub, GitHubSettings]) -> None:
    """An asynchronous program runs an operation in a thread."""
    _, settings = hub
    operation = OperationInThread(GitHubRepository(settings).release("v9.0"))

    async def run() -> Any:
        return await AsyncConnectorManager([Service("git")]).perform("git", operation)

    assert "v9.0" == asyncio.run(run())["tag"]


@pytest.mark.parametrize(
    "make",
    [
        lambda repository: repository.release("v 1"),
        lambda repository: repository.upload("v1", "a b", b""),
        lambda repository: repository.upload("v1", "../a", b""),
        lambda repository: repository.status("main", "success", context="x"),
    ],
)
def test_wrong_names_are_refused(hub: tuple[FakeGitHub, GitHubSettings], make: Any) -> None:
    """A name that a git host would change or misread is refused before anything is sent."""
    with pytest.raises(InvalidData):
        make(GitHubRepository(attrs.evolve(hub[1], api="https://127.0.0.1:9")))
