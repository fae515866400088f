"""Synchronous classes refuse asynchronous stores when they are made, and vice versa."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from moorage import AsyncSubjects, ConfigurationError
from moorage.adapters.cache.sealed import AsyncSealedCache, SealedCache
from moorage.adapters.ciphers.aes_gcm import AesGcmCipher, generate_keys
from moorage.adapters.state.lease_broker import LeaseBroker
from moorage.adapters.state.leasing_async import AsyncLeasingStorage
from moorage.adapters.state.memory import AsyncMemoryStorage
from moorage.adapters.state.sqlite import SqliteStorage
from moorage.pipelines.checkpoints import StateCheckpoints
from moorage.pipelines.supervision import SupervisedPipeline

if TYPE_CHECKING:
    from collections.abc import Callable

CIPHER = AesGcmCipher(generate_keys())


@pytest.mark.parametrize(
    "construct",
    [
        pytest.param(StateCheckpoints, id="checkpoints"),
        pytest.param(
            lambda store: SupervisedPipeline("orders", pytest.fail, store, worker="w"),
            id="pipeline",
        ),
        pytest.param(lambda store: LeaseBroker(store, Path("b.sock")), id="broker"),
        pytest.param(
            lambda store: AsyncLeasingStorage(store, "b.sock", services=["hot"]), id="leases"
        ),
        pytest.param(lambda store: AsyncSealedCache(store, CIPHER), id="cache"),
    ],
)
def test_asynchronous_class_refuses_a_synchronous_store(
    construct: Callable[[Any], object], tmp_path: Path
) -> None:
    """If an asynchronous class gets a synchronous store, the error says what to use instead."""
    with (
        SqliteStorage(tmp_path / "s.db") as store,
        pytest.raises(ConfigurationError, match="SqliteStorage is synchronous") as refused,
    ):
        construct(store)

    assert "storage" == refused.value.path
    assert "`AsyncSqliteStorage`" in refused.value.remedy


def test_synchronous_cache_refuses_an_asynchronous_store() -> None:
    """The synchronous cache refuses a store whose methods must be awaited."""
    store: Any = AsyncMemoryStorage()
    with pytest.raises(ConfigurationError, match="AsyncMemoryStorage is asynchronous") as refused:
        SealedCache(store, CIPHER)

    assert "`SqliteStorage`" in refused.value.remedy


def test_value_without_the_methods_of_a_store_is_refused() -> None:
    """A value that lacks a method of stores is refused; the error has the method and the type."""
    value: Any = 3
    with pytest.raises(ConfigurationError, match="int has no method `execute`"):
        StateCheckpoints(value)


def test_asynchronous_class_refuses_a_synchronous_log() -> None:
    """If a log must be asynchronous but is not, the error names the argument."""

    class Log:
        def find(self) -> None: ...

    log: Any = Log()
    with pytest.raises(ConfigurationError, match="log: Log is synchronous") as refused:
        AsyncSubjects(log=log)

    assert "Use an asynchronous integration log." == refused.value.remedy
