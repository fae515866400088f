"""Entries with the same `order` are delivered in order, even if the host's transactions overlap."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from django.db import transaction

from moorage.testing.kits.checks import name_of
from moorage_django.entries import OrmOutbox
from moorage_django.models import Deferred
from tests.support import overlapping
from tests.support.django_project import MARIADB, POSTGRES, migrate

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from tests.support.overlapping import Begin


@pytest.mark.parametrize("alias", [POSTGRES, MARIADB])
@pytest.mark.parametrize("check", overlapping.CHECKS, ids=name_of)
def test_entries_of_one_group_never_overtake_each_other(
    check: Callable[[Begin, Any], None], alias: str
) -> None:
    """Entries of one ordered group never overtake each other, and other groups do not wait."""
    store = OrmOutbox(migrate(alias))
    Deferred.objects.using(alias).all().delete()

    @contextmanager
    def begin() -> Generator[OrmOutbox]:
        with transaction.atomic(using=alias):
            yield store

    check(begin, store)
