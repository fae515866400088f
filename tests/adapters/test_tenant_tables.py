"""Encoding of tenants' configuration tables as bytes."""

from __future__ import annotations

import pytest

from moorage import InvalidData, Secret
from moorage.packing import pack_tables, unpack_tables


def test_secrets_become_texts() -> None:
    """A `Secret` anywhere in a tenant's tables is encoded as its plain text."""
    account = {"credentials": Secret("hunter2"), "webhook_secrets": [Secret("a"), "b"]}
    tables = {"vendors": {"stripe": {**account, "timeout": 5}}}

    assert {
        "vendors": {
            "stripe": {"credentials": "hunter2", "webhook_secrets": ["a", "b"], "timeout": 5}
        }
    } == unpack_tables(pack_tables(tables))


@pytest.mark.parametrize("tables", [7, [Secret("hunter2")], {"a": {1}}, {"a": float("nan")}])
def test_unfit_tables_are_refused(tables: object) -> None:
    """Tables that JSON cannot express are refused, and the error does not show their content."""
    with pytest.raises(InvalidData) as excinfo:
        pack_tables(tables)

    assert "hunter2" not in str(excinfo.value)
