"""Proposals to close an operation: a second person confirms them within a day."""

from __future__ import annotations

from moorage.adapters.state.memory import MemoryStorage
from moorage.domain.idempotency.approval import LIFE, Proposal, Propose, ReadProposal
from moorage.testing import VirtualClock

SUBJECT = ("payments", "acme", "INV-7")
FIRST = Proposal("ann", done=True, receipt="pi_1", reason="It is on the vendor's page.")


def test_proposal_is_read_by_every_process() -> None:
    """Every process can read a stored proposal and its age by its key and tenant only."""
    clock = VirtualClock()
    store = MemoryStorage(clock)
    store.execute(Propose(*SUBJECT, FIRST))
    clock.advance(5)
    assert FIRST._replace(age=5.0) == store.execute(ReadProposal(*SUBJECT))
    assert None is store.execute(ReadProposal("payments", None, "INV-7"))
    assert None is store.execute(ReadProposal("payments", "acme", "INV-8"))


def test_later_proposal_for_same_operation_replaces_earlier_one() -> None:
    """A later proposal for the same operation replaces the earlier one."""
    store = MemoryStorage(VirtualClock())
    second = FIRST._replace(person="ben", done=False)
    store.execute(Propose(*SUBJECT, FIRST))
    store.execute(Propose(*SUBJECT, second))
    assert second == store.execute(ReadProposal(*SUBJECT))


def test_proposal_is_withdrawn_and_expires() -> None:
    """A proposal to close an operation ends when a user withdraws it, or after a day."""
    clock = VirtualClock()
    store = MemoryStorage(clock)
    store.execute(Propose(*SUBJECT, None))
    store.execute(Propose(*SUBJECT, FIRST))
    store.execute(Propose(*SUBJECT, None))
    assert None is store.execute(ReadProposal(*SUBJECT))
    store.execute(Propose(*SUBJECT, FIRST))
    clock.advance(LIFE / 1e6)
    assert None is store.execute(ReadProposal(*SUBJECT))


def test_expired_state_is_not_a_proposal() -> None:
    """An expired proposal that is still in the store does not count as a proposal."""
    command = Propose(*SUBJECT, FIRST)
    (state,), _ = command.apply((None,), 1_000)
    assert state is not None
    assert FIRST == ReadProposal(*SUBJECT).apply((state,), 1_000)[1]
    assert None is ReadProposal(*SUBJECT).apply((state,), 1_000 + LIFE)[1]
