"""The answers of a workflow of Microsoft Teams."""

from __future__ import annotations

import pytest

from moorage.domain.http.requests import Response
from moorage.errors import VendorFailed
from moorage.vendors.chat.teams import read_accepted


@pytest.mark.parametrize("body", [b"", b'{"status": "posted"}', b"[]"])
def test_workflow_accepts_a_message(body: bytes) -> None:
    """An empty answer, and an object or array of the workflow's own, mean that it was accepted."""
    assert "accepted" == read_accepted(Response(202, body=body)).status


@pytest.mark.parametrize("body", [b"null", b"1", b"<html></html>"])
def test_foreign_answer_is_no_success(body: bytes) -> None:
    """An answer that no workflow gives is not taken for an accepted message."""
    with pytest.raises(VendorFailed):
        read_accepted(Response(200, body=body))
