"""Refused settings of platforms, brokers and pipelines name the field and the remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from moorage import ConfigurationError
from moorage.adapters.messages.kafka import KafkaOptions
from moorage.config import read_configuration

if TYPE_CHECKING:
    from collections.abc import Mapping

ECS = {"kind": "ecs", "region": "eu-central-1", "task_definition": "job", "container": "main"}


def platform(**settings: object) -> dict[str, Any]:
    """Return a configuration with a platform of these settings."""
    return {"platforms": {"cluster": settings}}


@pytest.mark.parametrize(
    "tree, path, message",
    [
        (platform(**{**ECS, "container": ""}), "container", "container is empty"),
        (platform(**ECS, launch_type="MOON"), "launch_type", "Use one of: FARGATE, EC2, EXTERNAL"),
        (platform(**ECS, pace=-1), "pace", "Set a number from 0 to 31536000"),
        (platform(kind="kubernetes", keep=5), "keep", "5 is out of range for keep"),
    ],
)
def test_refused_setting_of_a_platform_names_the_remedy(
    tree: Mapping[str, Any], path: str, message: str
) -> None:
    """A refused setting of a platform is reported with its path, its problem and its remedy."""
    with pytest.raises(ConfigurationError, match=message) as excinfo:
        read_configuration(tree)
    assert [f"platforms.cluster.{path}"] == [problem.path for problem in excinfo.value.problems]


def test_empty_list_of_topics_is_a_configuration_error() -> None:
    """Options of a source that a program creates are refused by the same error as a file's."""
    with pytest.raises(ConfigurationError, match="topics is empty") as excinfo:
        KafkaOptions(topics=(), group="shop")
    assert "topics" == excinfo.value.path
