"""Effects of moorage on a host's SQLite transactions and error pages."""

from __future__ import annotations

import asyncio
import sys
from time import perf_counter
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.test import RequestFactory
from django.test.utils import override_settings
from django.views.debug import ExceptionReporter

from moorage import AuthenticationFailed, ConfigurationError, LogQuery
from moorage_django import ahub, hub
from moorage_django.runtime import process
from moorage_django.state import OrmStorage
from tests.embedding.django.shop import Shop, open_shop, order

if TYPE_CHECKING:
    from collections.abc import Generator

MAX_SECONDS = 2.5
"""Half of the seconds for which a connection waits for a lock of SQLite before it gives up."""


@pytest.fixture
def shop() -> Generator[Shop]:
    """Return a shop whose database is SQLite."""
    with open_shop(Shop()) as new_shop:
        yield new_shop


def test_call_inside_a_write_transaction_waits_for_no_lock(shop: Shop) -> None:
    """A call to a vendor inside the host's open write transaction does not wait for a lock."""

    def shortest_duration(name: str) -> float:
        """Return the shortest of several durations, because a busy machine lengthens some."""
        duration: list[float] = []
        for number in range(20):
            start_time = perf_counter()
            hub().payments().charge(order(), idempotency_key=f"{name}/{number}")
            duration.append(perf_counter() - start_time)
        return min(duration)

    time_before = shortest_duration("INV-1")
    with transaction.atomic():
        User.objects.all().delete()  # the host holds the lock of its file now
        duration_inside = shortest_duration("INV-2")

    assert 40 == shop.charges
    assert duration_inside - time_before < MAX_SECONDS


def test_default_store_is_the_database(shop: Shop) -> None:
    """By default, the state of calls and payments is stored in Django's database."""
    assert isinstance(process.ports()["state"], OrmStorage)
    assert shop.settings["CONFIGURATION"].keys() == {"vendors"}


def test_log_survives_a_rollback(shop: Shop) -> None:
    """A rollback by the host removes no call from the log."""
    with transaction.atomic():
        hub().payments().charge(order(), idempotency_key="INV-1/1")
        process.flush()
        transaction.set_rollback(True)

    assert 1 == process.log().summarise(LogQuery()).count


def test_sync_hub_in_an_event_loop_is_refused(shop: Shop) -> None:
    """In an event loop the synchronous hub is refused, and the error names the asynchronous hub."""

    async def calls() -> None:
        hub().payments().charge(order(), idempotency_key="INV-1/1")

    with pytest.raises(ConfigurationError, match="ahub"):
        asyncio.run(calls())


def test_error_page_shows_no_secret(shop: Shop) -> None:
    """Django's debug page of a failed call shows no secret among the local variables."""
    configuration = {"vendors": {"stripe": {"credentials": "sk_test_" + "wrong" * 5}}}
    with override_settings(MOORAGE={**shop.settings, "CONFIGURATION": configuration}, DEBUG=True):
        hub()
        # Values that the test itself holds are not searched for.
        configuration.clear()
        page = _page_of(_charge_in_a_view)

    assert "AuthenticationFailed" in page
    assert "wrong" * 5 not in page


def _charge_in_a_view() -> None:
    hub().payments().charge(order(), idempotency_key="INV-1/1")


def _page_of(view: Any) -> str:
    try:
        view()
    except AuthenticationFailed:
        reporter = ExceptionReporter(RequestFactory().get("/"), *sys.exc_info())
        return f"{reporter.get_traceback_html()}{reporter.get_traceback_text()}"
    raise AssertionError("nothing failed")


def test_process_has_one_hub_of_each_mode(shop: Shop) -> None:
    """A process has one synchronous and one asynchronous hub, renewed if its settings change."""
    first = hub(), ahub()
    assert first == (hub(), ahub())

    with override_settings(MOORAGE=shop.settings):
        assert hub() is not first[0]
