"""When log entries reach the database, and in which order they are shown."""

from __future__ import annotations

import re
import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from django.contrib.auth.models import User
from django.core.signals import request_finished
from django.db import connections, transaction
from django.test import Client
from django.urls import reverse

from moorage import ConfigurationError, IntegrationLog, InvalidData, LogQuery
from moorage.domain.observation.log_pages import window_of
from moorage.testing import integration_log_conformance
from moorage_django import hub
from moorage_django.checks import _missing_log_message
from moorage_django.log import MOST, NEWEST_FIRST, UNKEPT, OrmLogger, _matching_calls, split_fields
from moorage_django.models import Call
from moorage_django.runtime import process
from tests.embedding.django.shop import Shop, open_shop, order
from tests.support.django_project import BARE_NAME

if TYPE_CHECKING:
    from collections.abc import Generator

PATIENCE = 30.0
"""Seconds for a thread on a machine that is busy."""


@pytest.fixture
def shop() -> Generator[Shop]:
    """Return a shop with an empty log."""
    with open_shop(Shop()) as new_shop:
        yield new_shop


def rows(alias: str) -> int:
    """Return the number of log entries in the database."""
    return Call.objects.using(alias).count()


def test_log_is_written_in_the_background(shop: Shop) -> None:
    """A call's log entry soon reaches the database, even without another call or request."""
    hub().payments().charge(order(), idempotency_key="INV-1/1")

    end_time = time.monotonic() + PATIENCE
    while not rows("moorage") and time.monotonic() < end_time:
        threading.Event().wait(0.05)
    assert 1 == rows("moorage")


def test_log_thread_ends_when_idle(alias: str) -> None:
    """The thread that writes the log ends when the queue is empty."""
    Call.objects.using(alias).all().delete()
    log = OrmLogger(alias, every=0.01)
    log.write(integration_log_conformance.entry(1))
    end_time = time.monotonic() + PATIENCE
    while "moorage-log" in _threads() and time.monotonic() < end_time:
        threading.Event().wait(0.01)

    assert (1, False) == (rows(alias), "moorage-log" in _threads())
    log.close()


def test_log_without_threads_is_written_after_the_request(shop: Shop) -> None:
    """On a server without threads, the log is written at the end of the request."""
    log = OrmLogger("moorage", threads=False)
    process._made["log"] = log  # noqa: SLF001 - as where uWSGI runs no threads
    hub().payments().charge(order(), idempotency_key="INV-1/1")
    assert ("moorage-log" in _threads(), rows("moorage")) == (False, 0)

    request_finished.send(sender=None)
    assert 1 == rows("moorage")


def test_request_does_not_wait_for_the_log_thread(alias: str) -> None:
    """If a background thread writes the log, the end of a request does not write it."""
    Call.objects.using(alias).all().delete()
    log = OrmLogger(alias, every=3_600.0, threads=True)
    log.write(integration_log_conformance.entry(1))
    log.after_request()
    assert 0 == rows(alias)

    log.close()
    assert 1 == rows(alias)


def test_log_is_not_written_inside_a_transaction(alias: str) -> None:
    """Queued entries are not written inside a transaction that may be rolled back."""
    Call.objects.using(alias).all().delete()
    log = OrmLogger(alias, threads=False)
    with transaction.atomic(using=alias):
        log.write(integration_log_conformance.entry(1))
        log.after_request()
        transaction.set_rollback(True, using=alias)
    assert 0 == rows(alias)

    log.after_request()
    assert 1 == rows(alias)


def test_entries_wait_for_an_unreachable_database() -> None:
    """Entries that cannot be written stay queued in order, and the failure is reported."""
    log = OrmLogger(BARE_NAME, threads=False)
    for number in range(5):
        log.write(integration_log_conformance.entry(number))
    with pytest.warns(RuntimeWarning, match="Tables of moorage are missing"):
        log.after_request()
    with pytest.raises(ConfigurationError):
        log.find(LogQuery())

    assert 0 == log.lost
    with pytest.warns(RuntimeWarning, match="loses entries"):
        log.close()
    assert 5 == log.lost


def test_rejected_entry_does_not_block_others(alias: str) -> None:
    """An entry that cannot be written does not delay other entries."""
    Call.objects.using(alias).all().delete()
    log = OrmLogger(alias, threads=False)
    entries = [integration_log_conformance.entry(number) for number in range(5)]
    entries[2] = attrs.evolve(entries[2], attempts=2**70)
    for entry in entries:
        log.write(entry)
    with pytest.warns(RuntimeWarning, match="databases cannot store"):
        log.after_request()

    stored_ids = {entry.id for entry in log.find(LogQuery()).items}
    assert ({"call-0000", "call-0001", "call-0003", "call-0004"}, 1) == (stored_ids, log.lost)


def test_log_is_ordered_by_time(alias: str) -> None:
    """Pages of the log are ordered by the time of each call, not by the time of writing."""
    Call.objects.using(alias).all().delete()
    log = OrmLogger(alias, threads=False)
    late_entry, early_entry = (
        integration_log_conformance.entry(2),
        integration_log_conformance.entry(1),
    )
    same_time_entry = attrs.evolve(early_entry, id="same")
    for entry in (late_entry, early_entry, same_time_entry):
        log.write(entry)
        log.flush()
    pages: list[Any] = [log.find(LogQuery(limit=1))]
    while pages[-1].next is not None:
        pages.append(log.find(LogQuery(limit=1, after=pages[-1].next)))

    assert timedelta() < late_entry.started_at - early_entry.started_at
    assert [late_entry.id, "same", early_entry.id] == [page.items[0].id for page in pages]
    for cursor in ("7", "x.y", "9" * 30 + ".1"):
        with pytest.raises(InvalidData):
            log.find(LogQuery(after=cursor))


def test_admin_shows_latest_calls_first(shop: Shop) -> None:
    """The admin sorts calls by time, independent of the process that wrote them."""
    User.objects.all().delete()
    for number in (2, 3, 1):
        process.log().write(integration_log_conformance.entry(number))
        process.flush()
    client = Client()
    client.force_login(User.objects.create_user("ann", is_staff=True, is_superuser=True))
    page = client.get(reverse("admin:moorage_django_call_changelist")).content.decode()

    calls = {row.pk: row.call for row in Call.objects.using("moorage")}
    shown_ids = [calls[int(number)] for number in re.findall(r"/call/(\d+)/change/", page)]
    assert [integration_log_conformance.entry(number).id for number in (3, 2, 1)] == shown_ids


def _threads() -> set[str]:
    return {thread.name for thread in threading.enumerate()}


def test_unknown_field_of_a_log_entry_is_dropped() -> None:
    """A log entry with a newer moorage's field is stored; the Django checks name the field."""

    @attrs.frozen(kw_only=True)
    class NewerLog(IntegrationLog):
        mode: str = "red"

    columns = [field.name for field in Call._meta.concrete_fields]
    stored_columns, unkept = split_fields(NewerLog, columns)

    assert ("mode",) == unkept
    assert {"id", "service", "subject", "started_at"} <= {*stored_columns}
    assert () == UNKEPT
    assert "mode" in str(_missing_log_message(unkept).msg)


def test_reading_one_page_of_log_uses_single_index(alias: str) -> None:
    """Reading one page of the log uses a single index, also in SQLite."""
    if connections[alias].vendor != "sqlite":
        pytest.skip("Other databases know which index chooses fewer rows.")
    query = LogQuery(tenant="acme", service="adyen", after="9.9")
    calls = _matching_calls(alias, query, window_of(query)).order_by(*NEWEST_FIRST)

    assert "USING INDEX moorage_call_tenant (tenant=?)" in calls.explain()


def test_lost_entries_are_counted() -> None:
    """A full queue drops its oldest entry, counts this, and warns the first time."""
    log = OrmLogger(BARE_NAME, threads=False)
    for number in range(MOST):
        log.write(integration_log_conformance.entry(number % 9))
    with pytest.warns(RuntimeWarning, match="loses entries") as reports:
        log.write(integration_log_conformance.entry(1))
    log.write(integration_log_conformance.entry(2))

    assert (2, 1) == (log.lost, len(reports))
