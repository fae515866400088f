"""Writers of a SQLite file that are killed wherever they are."""

from __future__ import annotations

import os
import random
import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING

from moorage import ConnectorManager, RateLimitConfig, Service
from tests.integration.places import Place
from tests.integration.workers import Job

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.crew import Crew

ROUNDS = 20 if os.environ.get("MOORAGE_LONG") else 1


def test_what_was_answered_outlives_its_writers(crew: Crew, tmp_path: Path, name: str) -> None:
    """After writers were killed the file is whole, and no key that was answered is asked again."""
    place = Place("sqlite", str(tmp_path / "state.db"))
    service = Service(name, limits=RateLimitConfig.per_second(10_000), timeout=60)
    answered: dict[str, str] = {}
    for number in range(ROUNDS):
        job = Job(
            scenario="claim", services=(service,), state=place, threads=2, key=f"key {number}"
        )
        hands = crew.ready([job] * 3)
        for hand in hands:
            hand.go()
        for hand in hands:
            hand.wait_for("answered")
            time.sleep(random.uniform(0, 0.2))
            hand.kill()
            answered |= {result["key"]: result["value"] for result in hand.of("answered")}
        with closing(sqlite3.connect(place.where)) as file:
            assert [("ok",)] == file.execute("PRAGMA integrity_check").fetchall()
    assert len(answered) >= 3 * ROUNDS
    with place.open() as store, ConnectorManager([service], state=store) as manager:
        repeated = {
            key: manager.run(name, lambda: "again", idempotency_key=key) for key in answered
        }
    assert answered == repeated
