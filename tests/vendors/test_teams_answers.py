"""Which responses of a Microsoft Teams workflow mean that a message was accepted."""

from __future__ import annotations

import pytest

from moorage.domain.http.requests import Response
from moorage.errors import VendorFailed
from moorage.vendors.chat.teams import read_accepted


@pytest.mark.parametrize("body", [b"", b'{"status": "posted"}', b"[]"])
def test_workflow_accepts_a_message(body: bytes) -> None:
    """An empty response, or a workflow's own object or array, means accepted."""
    assert "accepted" == read_accepted(Response(202, body=body)).status


def test_receipt_has_the_response_of_the_workflow() -> None:
    """The receipt's raw response has the status and the body, because a workflow has no fields."""
    receipt = read_accepted(Response(202, body=b'{"status": "posted"}'))
    assert {"status": 202, "body": '{"status": "posted"}'} == receipt.raw


@pytest.mark.parametrize("body", [b"null", b"1", b"<html></html>"])
def test_foreign_answer_is_no_success(body: bytes) -> None:
    """A response that no workflow would send is a failure."""
    with pytest.raises(VendorFailed):
        read_accepted(Response(200, body=body))
