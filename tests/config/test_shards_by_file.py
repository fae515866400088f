"""Stores with several shards that a configuration file sets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import moorage
from moorage import ConfigurationError, OutcomeUnknown
from moorage.cli.store_probes import unusable_stores
from moorage.config import read_configuration

if TYPE_CHECKING:
    from pathlib import Path

ALL = "url", "former"
"""The settings for the shards of the whole store."""
KEYS = "keys_url", "keys_former"
"""The settings for the shards of a store of idempotency keys alone."""
SERVICES = {"bank": {"base_url": "https://bank.example"}}


def _open_hub(folder: Path, names: str, former: str = "", settings: tuple[str, str] = ALL) -> Any:
    """Open a hub whose settings name one file for each shard."""
    state: dict[str, Any] = {
        setting: [f"sqlite:///{folder}/{name}.db" for name in letters]
        for setting, letters in zip(settings, (names, former), strict=True)
        if letters
    }
    return moorage.open({"services": SERVICES, "state": {"url": "memory:"} | state})


@pytest.mark.parametrize("settings", [ALL, KEYS])
def test_keys_are_honoured_when_a_shard_is_added(tmp_path: Path, settings: tuple[str, str]) -> None:
    """After a shard is added, results and unknown outcomes of all keys are still found."""
    keys = [f"k{number}" for number in range(12)]
    calls: list[str] = []

    def run_function(key: str) -> str:
        calls.append(key)
        if key == "k0":
            raise OutcomeUnknown("The answer was lost.")
        return key

    for names, former_names in (("ab", ""), ("abc", "ab")):
        with _open_hub(tmp_path, names, former_names, settings) as hub:
            for key in keys[1:]:
                answer = hub.manager.run(
                    "bank", lambda key=key: run_function(key), idempotency_key=key
                )
                assert key == answer
            with pytest.raises(OutcomeUnknown):
                hub.manager.run("bank", lambda: run_function("k0"), idempotency_key="k0")
            for number in range(40):
                hub.manager.run("bank", lambda: 1, idempotency_key=f"{names}{number}")
    assert sorted(keys) == sorted(calls)
    assert all((tmp_path / f"{name}.db").exists() for name in "abc")


@pytest.mark.parametrize("setting", ["url", "keys_url"])
def test_empty_list_of_stores_is_refused(setting: str) -> None:
    """An empty list of stores is refused, and not taken for a store in memory."""
    with pytest.raises(ConfigurationError, match="list of stores is empty") as excinfo:
        moorage.open({"services": SERVICES, "state": {setting: []}})
    assert [f"state.{setting}"] == [problem.path for problem in excinfo.value.problems]


@pytest.mark.parametrize("setting", ["url", "keys_url"])
def test_each_shard_whose_file_cannot_be_created_is_reported(tmp_path: Path, setting: str) -> None:
    """Each shard whose file cannot be created is reported before anything is opened."""
    urls = [f"sqlite:///{tmp_path}/{name}.db" for name in ("a", "b/b", "c/c")]
    with pytest.raises(ConfigurationError, match="does not exist") as excinfo:
        moorage.open({"services": SERVICES, "state": {setting: urls}})
    assert [f"state.{setting}"] == [problem.path for problem in excinfo.value.problems]
    assert [f"state.{setting}"] * 2 == [
        problem.path
        for problem in unusable_stores(read_configuration({"state": {setting: urls}}))
        if problem.path == f"state.{setting}"
    ]


@pytest.mark.parametrize("settings", [ALL, KEYS])
def test_changing_first_store_of_list_is_refused(tmp_path: Path, settings: tuple[str, str]) -> None:
    """Changing the first store of a list is refused, because it has the earlier states."""
    with pytest.raises(ConfigurationError) as excinfo:
        _open_hub(tmp_path, "ba", "ab", settings)
    assert f"state.{settings[1]}" == excinfo.value.path
