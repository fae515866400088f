"""Steps as ECS tasks against moto, an independent emulator that checks signatures."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage import (
    AuthenticationFailed,
    EcsPlatform,
    EcsSettings,
    EndReason,
    IdempotencyConflict,
    RunPhase,
    RunSpec,
    Step,
)
from moorage.domain.steps.runs import LogChunk, check_same_step
from tests.support.moto_server import REGION, MotoServer

if TYPE_CHECKING:
    from collections.abc import Iterator

STEP = Step("report", ["erp-report", "--all"], environment={"MONTH": "2030-01"})


@pytest.fixture(scope="module")
def moto() -> Iterator[MotoServer]:
    """Yield a moto server with a cluster, a task definition and a log group."""
    with MotoServer() as server:
        server.act("ecs", "AmazonEC2ContainerServiceV20141113.CreateCluster", clusterName="reports")
        server.act(
            "ecs",
            "AmazonEC2ContainerServiceV20141113.RegisterTaskDefinition",
            family="erp",
            containerDefinitions=[{"name": "erp", "image": "erp:1", "memory": 512, "cpu": 256}],
        )
        server.act("logs", "Logs_20140328.CreateLogGroup", logGroupName="/ecs/erp")
        yield server


@pytest.fixture
def settings(moto: MotoServer) -> EcsSettings:
    """Return the settings of a platform that uses this server."""
    return EcsSettings(
        region=REGION,
        cluster="reports",
        task_definition="erp",
        container="erp",
        log_group="/ecs/erp",
        access_key_id=moto.key.id,
        secret_access_key=moto.key.secret,
        endpoint=moto.url,
        logs_endpoint=moto.url,
        pace=0,
    )


def test_another_program_finds_task_of_name(settings: EcsSettings) -> None:
    """Another program finds the task of a run's name, and does not start a second one."""
    spec = RunSpec(name="run-1", step=STEP, labels={"key": "report-2030-01"})
    first = EcsPlatform(settings).start(spec, 10.0)

    second = EcsPlatform(settings).start(spec, 10.0)

    assert first.metadata["task"] == second.metadata["task"]
    facts = (second.step, second.fingerprint, dict(second.labels))
    assert ("report", STEP.fingerprint, {"key": "report-2030-01"}) == facts
    check_same_step(second, STEP)
    with pytest.raises(IdempotencyConflict):
        check_same_step(second, attrs.evolve(STEP, command=["other"]))


def test_stopped_task_is_still_found(settings: EcsSettings) -> None:
    """A stopped task is still found, with the reason of its end."""
    platform = EcsPlatform(settings)
    platform.start(RunSpec(name="run-2", step=STEP), 10.0)
    platform.stop("run-2", 1.0, 10.0)

    status = EcsPlatform(settings).status("run-2", 10.0)

    assert status is not None
    assert (RunPhase.ENDED, EndReason.STOPPED) == (status.phase, status.reason)
    assert "run-2" in {status.name for status in platform.runs(10.0)}
    assert EcsPlatform(attrs.evolve(settings, scope="other")).runs(10.0) == []
    platform.close()


def test_log_is_read_with_tokens(moto: MotoServer, settings: EcsSettings) -> None:
    """The output is read from the task's log stream, part by part."""
    platform = EcsPlatform(settings)
    status = platform.start(RunSpec(name="run-3", step=STEP), 10.0)
    assert LogChunk(b"", "", False) == platform.logs("run-3", "stdout", "", 10.0)
    task = status.metadata["task"].rpartition("/")[2]
    stream = {"logGroupName": "/ecs/erp", "logStreamName": f"ecs/erp/{task}"}
    moto.act("logs", "Logs_20140328.CreateLogStream", **stream)
    events: list[dict[str, Any]] = [
        {"timestamp": moto.milliseconds() + number, "message": f"line {number}"}
        for number in range(3)
    ]
    moto.act("logs", "Logs_20140328.PutLogEvents", logEvents=events, **stream)

    chunk = EcsPlatform(settings).logs("run-3", "stdout", "", 10.0)
    second_chunk = EcsPlatform(settings).logs("run-3", "stdout", chunk.position, 10.0)

    assert b"line 0\nline 1\nline 2\n" == chunk.data
    assert b"" == second_chunk.data


def test_wrong_key_is_named_without_its_secret(settings: EcsSettings) -> None:
    """A wrong secret key raises AuthenticationFailed, and the error does not show the key."""
    wrong_settings = attrs.evolve(settings, secret_access_key="wr0ng-secret-27182818")

    with pytest.raises(AuthenticationFailed) as excinfo:
        EcsPlatform(wrong_settings).runs(10.0)

    assert "27182818" not in json.dumps([str(excinfo.value), repr(excinfo.value)])
    assert "27182818" not in repr(wrong_settings)
