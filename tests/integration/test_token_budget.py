"""All processes share the token budget of an account at a vendor of language models."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from moorage import Hub, RateLimitExceeded, Service
from moorage.testing.sandboxes.base import Lost, SlowAnswer
from moorage.testing.sandboxes.inference.openai import OpenAISandbox
from tests.integration.store_locations import wait_until
from tests.integration.worker_pool import calls
from tests.integration.workers import MODEL_REQUEST, Job, model_account

if TYPE_CHECKING:
    from collections.abc import Generator

    from tests.integration.store_locations import StoreLocation
    from tests.integration.worker_pool import WorkerPool

MOST = MODEL_REQUEST.most_tokens
LONGEST_ANSWER = "x" * 1_600
BILLED = 400 + 10
"""The tokens that the sandbox counts for a request with the longest answer."""


@contextmanager
def hub_at(name: str, location: StoreLocation, url: str, tokens: int) -> Generator[Hub]:
    """Open a hub of this process with the same account and store."""
    with location.open() as state, Hub([model_account(name, url, tokens)], state=state) as hub:
        yield hub


def test_ten_processes_never_use_more_than_the_budget(
    pool: WorkerPool, location: StoreLocation, name: str
) -> None:
    """Ten processes that race for the last tokens use at most the budget, lost answers included.

    The wall clocks of the processes differ by hours, so some of them are in another day.
    """
    sandbox, budget = OpenAISandbox(), 20 * MOST
    sandbox.say(*[LONGEST_ANSWER] * 200)
    sandbox.fail(*[Lost(), None, None, None] * 50)
    with sandbox.serving() as server:
        jobs = [
            Job(
                scenario="generate",
                services=(Service(name),),
                state=location,
                path=server.url,
                tokens=budget,
                threads=2,
                calls=6,
                hours=hours,
            )
            for hours in (-24, -12, -6, -1, 0, 0, 1, 6, 12, 24)
        ]
        history = calls(pool.work(*jobs))
    outcomes = [call["outcome"] for call in history]
    lost_answers = (len(sandbox.requests) + 3) // 4
    # Each lost answer counts with all its tokens, and each answer with those that were billed.
    counted = lost_answers * MOST + outcomes.count("good") * BILLED
    assert {"good", "RateLimitExceeded"} == set(outcomes)
    assert len(sandbox.requests) == lost_answers + outcomes.count("good")
    assert budget / 3 < counted <= budget


def test_request_of_a_killed_process_counts_with_all_its_tokens(
    pool: WorkerPool, location: StoreLocation, name: str
) -> None:
    """If a process is killed while it waits for an answer, all tokens of its request stay taken."""
    sandbox, budget = OpenAISandbox(), 2 * MOST + BILLED - 1
    sandbox.say(*[LONGEST_ANSWER] * 4)
    with sandbox.serving() as server:
        sandbox.fail(SlowAnswer(3_600))
        job = Job(
            scenario="generate",
            services=(Service(name),),
            state=location,
            path=server.url,
            tokens=budget,
        )
        (worker,) = pool.prepare_workers([job])
        worker.go()
        wait_until(lambda: sandbox.requests, "no request at the vendor")
        worker.kill()
        with hub_at(name, location, server.url, budget) as hub:
            hub.inference().generate(MODEL_REQUEST)
            with pytest.raises(RateLimitExceeded):
                hub.inference().generate(MODEL_REQUEST)
    assert 2 == len(sandbox.requests)
