"""What must start afresh in a forked child."""

import gc
import weakref

from mooring.adapters.forking import in_child, start_afresh


class _Owner:
    def __init__(self) -> None:
        self.started = 0

    def start(self) -> None:
        self.started += 1


def test_every_owner_starts_afresh_once() -> None:
    """A fork reaches each owner once, however often it asked."""
    first, second = _Owner(), _Owner()
    for owner in (first, second, second):
        in_child(owner, _Owner.start)

    start_afresh()

    assert (1, 1) == (first.started, second.started)


def test_an_owner_is_not_kept() -> None:
    """Asking keeps nobody alive."""
    owner = _Owner()
    gone = weakref.ref(owner)
    in_child(owner, _Owner.start)

    del owner
    gc.collect()

    assert gone() is None
