"""Processes that are killed while they write to a SQLite file."""

from __future__ import annotations

import os
import random
import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING

from moorage import ConnectorManager, RateLimitConfig, Service
from tests.integration.store_locations import StoreLocation
from tests.integration.workers import Job

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.worker_pool import WorkerPool

ROUNDS = 20 if os.environ.get("MOORAGE_LONG") else 1


def test_completed_keys_survive_killed_writers(pool: WorkerPool, tmp_path: Path, name: str) -> None:
    """After writers are killed the file is intact, and completed keys are not executed again."""
    location = StoreLocation("sqlite", str(tmp_path / "state.db"))
    service = Service(name, limits=RateLimitConfig.per_second(10_000), timeout=60)
    stored_answers: dict[str, str] = {}
    for number in range(ROUNDS):
        job = Job(
            scenario="claim", services=(service,), state=location, threads=2, key=f"key {number}"
        )
        workers = pool.prepare_workers([job] * 3)
        for worker in workers:
            worker.go()
        for worker in workers:
            worker.wait_for("answered")
            time.sleep(random.uniform(0, 0.2))
            worker.kill()
            stored_answers |= {
                result["key"]: result["value"] for result in worker.reports_of("answered")
            }
        with closing(sqlite3.connect(location.where)) as file:
            assert [("ok",)] == file.execute("PRAGMA integrity_check").fetchall()
    assert len(stored_answers) >= 3 * ROUNDS
    with location.open() as store, ConnectorManager([service], state=store) as manager:
        repeated_answers = {
            key: manager.run(name, lambda: "again", idempotency_key=key) for key in stored_answers
        }
    assert stored_answers == repeated_answers
