"""Pausing and resuming the outbox and the inbox on the operations page."""

from __future__ import annotations

import pytest

from moorage.domain.entries.queue import EntryQuery, EntryState
from tests.dashboard.harness import VIEWER, Harness

ALL = "/acts/queue-pause?box=outbox"
STRIPE = "/acts/queue-pause?box=inbox&target=stripe&subject=ada"


def test_queue_is_paused_and_resumed() -> None:
    """A person can pause and resume a queue; the page shows the reason, the trail records it."""
    with Harness() as harness:
        visitor = harness.visitor()
        assert "all) until somebody resumes them" in visitor.get(ALL).text
        page = visitor.act(ALL, reason="incident 7").text
        assert "Workers take no more entries of the outbox (all)." in page
        assert ("incident 7" in page, "queue-resume" in page) == (True, True)

        page = visitor.act("/acts/queue-resume?box=outbox", reason="").text
        assert "Workers take entries of the outbox (all) again." in page
        assert ("incident 7" in page, "queue-resume" in page) == (False, False)
        second_page = visitor.act("/acts/queue-resume?box=outbox", reason="").text
        assert "There is no pause of the outbox (all)" in second_page
        assert [
            ("ann", "outbox.pause", "outbox all", "incident 7"),
            ("ann", "outbox.resume", "outbox all", ""),
        ] == harness.trail.records


def test_person_and_account_are_paused() -> None:
    """A pause of one person's webhooks of one account names the person and the account."""
    with Harness() as harness:
        page = harness.visitor().act(STRIPE, reason="erasure").text
        assert "the inbox (target stripe, subject ada)" in page
        (pause,) = harness.inbox.pauses()
        assert ("stripe", None, "ada") == (pause.target, pause.tenant, pause.subject)


def test_paused_entry_shows_pause_reason() -> None:
    """A paused entry shows the reason for its pause.

    The entry of a pause itself offers no actions.
    """
    with Harness() as harness:
        visitor = harness.visitor()
        harness.put_outbox_entry("07", EntryState.WAITING, subject="ada")
        assert "incident 7" not in visitor.get("/entry?box=outbox&id=07").text
        visitor.act(ALL, reason="incident 7")
        (pause,) = harness.outbox.find(EntryQuery(states={EntryState.PAUSED})).items

        page = visitor.get("/entry?box=outbox&id=07").text
        assert all(words in page for words in ("incident 7", "Pause payments", "Pause ada"))
        page = visitor.get(f"/entry?box=outbox&id={pause.id}").text
        assert ("This entry is a pause" in page, "/acts/" in page) == (True, False)
        assert "incident 7" in visitor.get("/queues?box=outbox&state=waiting").text


@pytest.mark.parametrize("url", [ALL, "/acts/queue-resume?box=outbox"])
def test_read_only_person_cannot_pause(url: str) -> None:
    """A person with a read-only role sees no button for a pause; a request for one is refused."""
    with Harness() as harness:
        visitor = harness.visitor(VIEWER)
        assert "queue-pause" not in visitor.get("/queues").text
        assert 403 == visitor.get(url).status
        assert () == harness.outbox.pauses()


def test_pause_needs_a_reason() -> None:
    """A pause without a reason is refused, and nothing is paused."""
    with Harness() as harness:
        page = harness.visitor().act(ALL, reason=" ")
        assert "The reason is missing" in page.text
        assert () == harness.outbox.pauses()
