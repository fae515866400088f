"""Model fields with the same meaning in all databases and under all project settings."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import models
from django.db.models.functions import Lower

from moorage_django.moments import EPOCH, MICROSECOND


class _ComparedByBytes(models.Field):
    """A string that all databases compare byte by byte; MySQL usually ignores case."""

    description = "text, compared byte by byte"

    def db_type(self, connection: Any) -> str | None:
        """Return the column type of this database."""
        kind: str | None = super().db_type(connection)
        return f"{kind} CHARACTER SET utf8mb4" if connection.vendor == "mysql" else kind

    def db_parameters(self, connection: Any) -> dict[str, str | None]:
        """Return the column type and collation of this database."""
        parameters: dict[str, str | None] = super().db_parameters(connection)
        if connection.vendor == "mysql":
            # These collations do not ignore spaces at the end.
            kind = "nopad" if connection.mysql_is_mariadb else "0900"
            parameters["collation"] = f"utf8mb4_{kind}_bin"
        return parameters


class WordField(_ComparedByBytes, models.CharField):
    """A short string that is compared byte by byte."""


class LongTextField(_ComparedByBytes, models.TextField):
    """A long string that is compared byte by byte."""


WordField.register_lookup(Lower)


class MomentField(models.BigIntegerField):
    """A time with time zone, exact to the microsecond, even if the project sets USE_TZ = False."""

    description = "microseconds since 1970"

    def from_db_value(self, value: int | None, *_: object) -> datetime | None:
        """Return a stored time in UTC."""
        return None if value is None else EPOCH + value * MICROSECOND

    def to_python(self, value: Any) -> Any:
        """Return the value if it is a time."""
        return value if isinstance(value, datetime) else super().to_python(value)

    def get_prep_value(self, value: Any) -> int | None:
        """Return the value to store."""
        if isinstance(value, datetime):
            return (value - EPOCH) // MICROSECOND
        prepared: int | None = super().get_prep_value(value)
        return prepared
