"""Platforms and steps in a configuration: their settings, and the path of each mistake."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

import moorage
from moorage import ConnectorType, Resources, Secret
from moorage.config import json_schema, read_configuration
from moorage.errors import ConfigurationError
from tests.support.schema import fits

LOCAL = {"kind": "local", "folder": "runs"}
STEP = {"command": ["sh", "-c", "echo $GREETING; cat $TOKEN_FILE; echo 7 > total.txt"]}

TOML = """
[state]
url = "sqlite:///state.db"

[services.steps]
timeout = 60

[platforms.here]
kind = "local"
folder = "runs"

[platforms.boxes]
kind = "docker"
network = "none"

[steps.total]
platform = "here"
command = ["sh", "-c", "echo $GREETING; cat $TOKEN_FILE; echo 7 > total.txt"]
environment = {GREETING = "hello"}
secrets = {TOKEN = "secret://env/TOTAL_TOKEN"}
resources = {memory = 100_000_000}
collect = ["total.txt"]
timeout = 30
grace = 2

[steps."a report"]
platform = "boxes"
image = "registry.example/erp:1"
command = ["report"]
"""


@pytest.fixture(autouse=True)
def _token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Set the step's secret, and work in a temporary folder."""
    monkeypatch.setenv("TOTAL_TOKEN", "tok_9183aa")
    monkeypatch.chdir(tmp_path)


def problems(**tables: Any) -> dict[str, str]:
    """Return a configuration's problems, by their paths."""
    with pytest.raises(ConfigurationError) as excinfo:
        read_configuration(tables)
    return {problem.path: f"{problem.found} {problem.remedy}" for problem in excinfo.value.problems}


def test_file_names_platforms_and_steps() -> None:
    """A file sets all settings of platforms and steps, with secrets by reference."""
    Path("moorage.toml").write_text(TOML, encoding="utf-8")

    configured = read_configuration(Path("moorage.toml"))

    assert [("here", "local"), ("boxes", "docker")] == [
        (platform.name, platform.kind) for platform in configured.platforms
    ]
    total, report = configured.steps
    assert ("total", ConnectorType("here"), 30.0, 2.0) == (
        total.name,
        total.type,
        total.timeout,
        total.grace,
    )
    assert {"TOKEN": Secret("tok_9183aa")} == dict(total.secrets)
    assert Resources(memory=100_000_000) == total.resources
    assert ("total.txt",) == total.workspace.collect
    assert ("a report", "registry.example/erp:1") == (report.name, report.image)
    assert () == configured.warnings
    assert "tok_9183aa" not in repr(configured)


def test_schema_describes_steps() -> None:
    """The JSON Schema accepts platforms and steps, and rejects unknown settings in them."""
    tables: dict[str, Any] = {"platforms": {"here": LOCAL}, "steps": {"total": STEP}}
    schema = json_schema()

    assert fits(schema, schema, tables)
    mistakes: tuple[dict[str, Any], ...] = ({"comand": []}, {"command": "make all"})
    for mistake in mistakes:
        assert not fits(schema, schema, {**tables, "steps": {"total": {**STEP, **mistake}}})


def test_hub_runs_a_configured_step_once_per_key() -> None:
    """A hub runs a configured step by name, once per idempotency key, on the step's platform."""
    Path("moorage.toml").write_text(TOML, encoding="utf-8")

    with moorage.open(Path("moorage.toml")) as hub:
        results = [hub.steps.run("total", idempotency_key="t1") for _ in range(2)]
        names = list(hub.steps.steps)

    assert "hello\n***" == results[0].stdout
    assert b"7\n" == results[0].files["total.txt"]
    assert results[0] == results[1]
    assert ["total", "a report"] == names


def test_asynchronous_hub_runs_configured_steps() -> None:
    """An asynchronous hub also runs configured steps, and a single run may get extra variables."""
    Path("moorage.toml").write_text(TOML, encoding="utf-8")

    async def run() -> str:
        async with moorage.aopen(Path("moorage.toml")) as hub:
            result = await hub.steps.run("total", environment={"GREETING": "bonjour"})
            return result.stdout

    assert "bonjour\n***" == asyncio.run(run())


def test_steps_need_no_configured_service() -> None:
    """A step's service need not be configured.

    The step uses the settings of a configured service.
    """
    platforms = {"platforms": {"here": LOCAL}}
    configuration = read_configuration({**platforms, "steps": {"total": STEP}})
    without_steps = read_configuration(platforms)
    explicit = read_configuration(
        {**platforms, "services": {"steps": {"timeout": 7}}, "steps": {"total": STEP}}
    )

    assert ["steps"] == [service.name for service in configuration.services]
    assert ["steps"] == [service.name for service in without_steps.services]
    assert [7.0] == [service.timeout for service in explicit.services]
    assert () == read_configuration({}).services


@pytest.mark.parametrize(
    "tables, path, text",
    [
        ({"platforms": {"here": {}}}, "platforms.here.kind", "Use one of: azure-containers"),
        ({"platforms": {"here": {"kind": "locl"}}}, "platforms.here.kind", "Did you mean local?"),
        (
            {"platforms": {"here": {"kind": "local"}}},
            "platforms.here.folder",
            "the folder of the runs",
        ),
        ({"platforms": {"Here": LOCAL}}, "platforms.Here", "lower-case letters"),
        (
            {"platforms": {"k": {"kind": "kubernetes", "user": 0}}},
            "platforms.k.user",
            "",
        ),
        ({"steps": {"total": {}}}, "steps.total.command", "the program and its arguments"),
        ({"steps": {"total": {"command": []}}}, "steps.total.command", "program"),
        (
            {"steps": {"total": {"command": "make all"}}},
            "steps.total.command",
            "Write a list, each entry a string",
        ),
        ({"steps": {"a;b": STEP}}, 'steps."a;b".name', "not a valid name of a step"),
        (
            {"platforms": {"here": LOCAL}, "steps": {"total": {**STEP, "platform": "hree"}}},
            "steps.total.platform",
            "Did you mean here?",
        ),
        (
            {"steps": {"total": {**STEP, "platform": "local"}}},
            "steps.total.platform",
            "Add a table [platforms.local]",
        ),
        (
            {"steps": {"total": STEP}},
            "steps.total.platform",
            "Add a table [platforms.local]",
        ),
        (
            {"platforms": {"one": LOCAL, "two": LOCAL}, "steps": {"total": STEP}},
            "steps.total.platform",
            "Name one of: one, two",
        ),
        ({"steps": {"total": {**STEP, "timeout": 0}}}, "steps.total.timeout", "more than zero"),
        (
            {"steps": {"total": {**STEP, "resources": {"memory": -1}}}},
            "steps.total.resources.memory",
            "",
        ),
        ({"steps": {"total": {**STEP, "collect": ["../a"]}}}, "steps.total.collect", "relative"),
        (
            {"steps": {"total": {**STEP, "environment": {"A-B": "1"}}}},
            "steps.total.environment",
            "not a valid name of a variable",
        ),
        ({"steps": {"total": {**STEP, "pinned": True}}}, "steps.total.image", "digest"),
        ({"steps": {"total": {**STEP, "cache": 3e6}}}, "steps.total.cache", "30 days"),
        (
            {
                "platforms": {"here": LOCAL},
                "steps": {"total": {**STEP, "secrets": {"T": "secret://env/NOBODY"}}},
            },
            "steps.total.secrets.T",
            "NOBODY",
        ),
        (
            {
                "vendors": {"steps": {"kind": "postmark", "credentials": "t"}},
                "platforms": {"here": LOCAL},
            },
            "platforms",
            "Rename the account",
        ),
    ],
)
def test_mistake_in_a_platform_or_step_is_reported_with_a_remedy(
    tables: dict[str, Any], path: str, text: str
) -> None:
    """Each mistake in a platform or step is reported at its path, with a remedy."""
    texts = problems(**tables)

    assert [path] == list(texts)
    assert text in texts[path]


def test_reload_with_other_platforms_or_steps_is_refused() -> None:
    """A reload that changes platforms or steps is refused.

    The hub continues to use the first ones.
    """
    tables = {"platforms": {"here": LOCAL}, "steps": {"total": STEP}}

    with moorage.open(tables) as hub:
        with pytest.raises(ConfigurationError) as excinfo:
            hub.reload({"platforms": {}, "steps": {}})

        assert ["platforms", "steps"] == [problem.path for problem in excinfo.value.problems]
        assert ["total"] == list(hub.steps.steps)


def test_unknown_step_is_refused() -> None:
    """Running a step that is not configured starts nothing.

    The error lists the configured steps.
    """
    with (
        moorage.open({"platforms": {"here": LOCAL}, "steps": {"total": STEP}}) as hub,
        pytest.raises(ConfigurationError, match=r"no step named 'sum'.*Use one of: total"),
    ):
        hub.steps.run("sum")
