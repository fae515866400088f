"""When entries of the integration log reach the database, and in what order they are shown."""

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
from django.db import transaction
from django.test import Client
from django.urls import reverse

from moorage import ConfigurationError, IntegrationLog, InvalidData, LogQuery
from moorage.testing import integration_log_conformance
from moorage_django import hub
from moorage_django.checks import _unkept
from moorage_django.log import MOST, UNKEPT, OrmLogger, kept_fields
from moorage_django.models import Call
from moorage_django.runtime import process
from tests.embedding.django.shop import Shop, opened, order
from tests.support.django_project import BARE

if TYPE_CHECKING:
    from collections.abc import Generator

PATIENCE = 30.0
"""Seconds for a thread on a machine that is busy."""


@pytest.fixture
def shop() -> Generator[Shop]:
    """A shop whose log is empty."""
    with opened(Shop()) as made:
        yield made


def rows(alias: str) -> int:
    """How many entries are in the database."""
    return Call.objects.using(alias).count()


def test_a_thread_writes_it_without_another_request(shop: Shop) -> None:
    """A call is in the database soon, though nobody asks and no request ends."""
    hub().payments().charge(order(), idempotency_key="INV-1/1")

    until = time.monotonic() + PATIENCE
    while not rows("moorage") and time.monotonic() < until:
        threading.Event().wait(0.05)
    assert 1 == rows("moorage")


def test_the_thread_ends_when_all_is_written(alias: str) -> None:
    """There is a thread only while something is to be written."""
    Call.objects.using(alias).all().delete()
    log = OrmLogger(alias, every=0.01)
    log.write(integration_log_conformance.entry(1))
    until = time.monotonic() + PATIENCE
    while "moorage-log" in _threads() and time.monotonic() < until:
        threading.Event().wait(0.01)

    assert (1, False) == (rows(alias), "moorage-log" in _threads())
    log.close()


def test_without_threads_it_is_written_after_the_request(shop: Shop) -> None:
    """Where a server runs no threads, the end of the request writes what it has logged."""
    log = OrmLogger("moorage", threads=False)
    process._made["log"] = log  # noqa: SLF001 - as where uWSGI runs no threads
    hub().payments().charge(order(), idempotency_key="INV-1/1")
    assert ("moorage-log" in _threads(), rows("moorage")) == (False, 0)

    request_finished.send(sender=None)
    assert 1 == rows("moorage")


def test_the_end_of_a_request_writes_nothing_that_a_thread_writes(alias: str) -> None:
    """Nobody waits for the log where a thread writes it."""
    Call.objects.using(alias).all().delete()
    log = OrmLogger(alias, every=3_600.0, threads=True)
    log.write(integration_log_conformance.entry(1))
    log.after_request()
    assert 0 == rows(alias)

    log.close()
    assert 1 == rows(alias)


def test_a_transaction_takes_nothing_along(alias: str) -> None:
    """What is queued is not written in a transaction that may be rolled back."""
    Call.objects.using(alias).all().delete()
    log = OrmLogger(alias, threads=False)
    with transaction.atomic(using=alias):
        log.write(integration_log_conformance.entry(1))
        log.after_request()
        transaction.set_rollback(True, using=alias)
    assert 0 == rows(alias)

    log.after_request()
    assert 1 == rows(alias)


def test_entries_wait_for_a_database_that_is_away() -> None:
    """What cannot be written at the end of a request stays queued, in its order, and is told."""
    log = OrmLogger(BARE, threads=False)
    for number in range(5):
        log.write(integration_log_conformance.entry(number))
    with pytest.warns(RuntimeWarning, match="tables of moorage are missing"):
        log.after_request()
    with pytest.raises(ConfigurationError):
        log.find(LogQuery())

    assert 0 == log.lost
    with pytest.warns(RuntimeWarning, match="loses entries"):
        log.close()
    assert 5 == log.lost


def test_an_entry_that_no_database_takes(alias: str) -> None:
    """One entry that cannot be written holds up none of the others."""
    Call.objects.using(alias).all().delete()
    log = OrmLogger(alias, threads=False)
    entries = [integration_log_conformance.entry(number) for number in range(5)]
    entries[2] = attrs.evolve(entries[2], attempts=2**70)
    for entry in entries:
        log.write(entry)
    with pytest.warns(RuntimeWarning, match="no database can store"):
        log.after_request()

    stored = {entry.id for entry in log.find(LogQuery()).items}
    assert ({"call-0000", "call-0001", "call-0003", "call-0004"}, 1) == (stored, log.lost)


def test_shown_in_order_of_time(alias: str) -> None:
    """Entries that were written later may be of earlier calls; pages go by the calls' time."""
    Call.objects.using(alias).all().delete()
    log = OrmLogger(alias, threads=False)
    late, early = integration_log_conformance.entry(2), integration_log_conformance.entry(1)
    same = attrs.evolve(early, id="same")
    for entry in (late, early, same):
        log.write(entry)
        log.flush()
    pages: list[Any] = [log.find(LogQuery(limit=1))]
    while pages[-1].next is not None:
        pages.append(log.find(LogQuery(limit=1, after=pages[-1].next)))

    assert timedelta() < late.started_at - early.started_at
    assert [late.id, "same", early.id] == [page.items[0].id for page in pages]
    for cursor in ("7", "x.y", "9" * 30 + ".1"):
        with pytest.raises(InvalidData):
            log.find(LogQuery(after=cursor))


def test_the_admin_shows_the_latest_call_first(shop: Shop) -> None:
    """The page of the log goes by time, whichever process wrote first."""
    User.objects.all().delete()
    for number in (2, 3, 1):
        process.log().write(integration_log_conformance.entry(number))
        process.flush()
    client = Client()
    client.force_login(User.objects.create_user("ann", is_staff=True, is_superuser=True))
    page = client.get(reverse("admin:moorage_django_call_changelist")).content.decode()

    calls = {row.pk: row.call for row in Call.objects.using("moorage")}
    shown = [calls[int(number)] for number in re.findall(r"/call/(\d+)/change/", page)]
    assert [integration_log_conformance.entry(number).id for number in (3, 2, 1)] == shown


def _threads() -> set[str]:
    return {thread.name for thread in threading.enumerate()}


def test_a_newer_entry_is_kept_but_for_what_is_new() -> None:
    """A field that only a newer moorage has costs no entry, and is named by the checks."""

    @attrs.frozen(kw_only=True)
    class Newer(IntegrationLog):
        mode: str = "red"

    columns = [field.name for field in Call._meta.concrete_fields]  # noqa: SLF001 - documented
    stored, unkept = kept_fields(Newer, columns)

    assert ("mode",) == unkept
    assert {"id", "service", "subject", "started_at"} <= {*stored}
    assert () == UNKEPT
    assert "mode" in str(_unkept(unkept).msg)


def test_entries_that_are_lost_are_counted_and_told() -> None:
    """Where the queue is full the oldest entry goes, with a warning the first time."""
    log = OrmLogger(BARE, threads=False)
    for number in range(MOST):
        log.write(integration_log_conformance.entry(number % 9))
    with pytest.warns(RuntimeWarning, match="loses entries") as reports:
        log.write(integration_log_conformance.entry(1))
    log.write(integration_log_conformance.entry(2))

    assert (2, 1) == (log.lost, len(reports))
