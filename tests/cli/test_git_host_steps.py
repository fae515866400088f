"""`moorage step run` on the platforms of git hosts, against fake servers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.steps import github_harness, gitlab_harness
from tests.support.command import command

if TYPE_CHECKING:
    from collections.abc import Generator

CONFIGURATION = """
[state]
url = "sqlite:///state.db"

[platforms.host]
kind = "{kind}"
{place} = "acme/erp"
token = "secret://env/GIT_HOST_TOKEN"
api = "{api}"
ca_file = "{ca_file}"
pace = 0

[steps.report]
platform = "host"
command = ["{target}"]
environment = {{script = "echo rows; mkdir out; echo 7 > out/total; exit 4"}}
collect = ["out/total"]
"""


@pytest.fixture(params=["github", "gitlab"])
def host(request: pytest.FixtureRequest) -> Generator[Any]:
    """Configure a step on a fake git host, and yield that host."""
    kind = request.param
    harness: Any
    if kind == "github":
        harness, token, place, target = (
            github_harness.github,
            github_harness.TOKEN,
            "repository",
            "step.yml",
        )
    else:
        harness, token, place, target = (
            gitlab_harness.gitlab,
            gitlab_harness.TOKEN,
            "project",
            "main",
        )
    with harness() as (fake, settings):
        facts = {"kind": kind, "place": place, "target": target}
        text = CONFIGURATION.format(**facts, api=settings.api, ca_file=settings.ca_file)
        Path("moorage.toml").write_text(text, encoding="utf-8")
        os.environ["GIT_HOST_TOKEN"] = token
        yield fake


def test_step_runs_on_a_git_host(host: Any, tmp_path: Path) -> None:
    """A configured step runs on the git host; its file is stored, and its exit code returned."""
    arguments = ["step", "run", "report", "--key", "r1", "--output", str(tmp_path / "files")]

    first, second = command(*arguments), command(*arguments, "--json")

    assert (4, 4) == (first.code, second.code)
    assert "rows" in first.out.splitlines()
    assert "7\n" == (tmp_path / "files" / "out" / "total").read_text()
    document = second.result
    assert ("failure", 4) == (document["outcome"], document["exit_code"])
    assert [] == host.mistakes
    assert "r1" not in command("step", "list").out
