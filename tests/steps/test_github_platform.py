"""Steps as runs of workflows, against a strict stand-in for GitHub whose workflows really run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from moorage import GitHubPlatform, GitHubSettings, Step
from moorage.testing import name_of
from moorage.testing.kits import platform_conformance
from moorage.testing.kits.platform_conformance import PlatformLimit
from tests.steps.github_lab import FakeGitHub, github

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

Lab = tuple[FakeGitHub, GitHubSettings]


@pytest.fixture(scope="module")
def lab() -> Generator[Lab]:
    """Lend a stand-in for GitHub."""
    with github() as pair:
        yield pair


def workflow_step(script: str, options: Mapping[str, Any]) -> Step:
    """Return the step that runs a script in the workflow of the stand-in."""
    fields = {name: value for name, value in options.items() if name != "image"}
    environment = {**fields.pop("environment", {}), "script": script}
    return Step("check", ["step.yml"], environment=environment, **fields)


@pytest.mark.parametrize("check", platform_conformance.CHECKS, ids=name_of)
def test_conformance(check: platform_conformance.Check, lab: Lab) -> None:
    """Runs of workflows pass each check of the kit, with the limits of a git host."""
    fake, settings = lab
    check(
        platform_conformance.PlatformSubject(
            make=lambda: GitHubPlatform(settings),
            step=workflow_step,
            limits=frozenset(PlatformLimit),
        )
    )
    assert [] == fake.mistakes
