"""A cached status of a run is used once for each output."""

from moorage.domain.steps.looks import LatestStatusAnswers


def test_noted_status_is_returned_once_per_output() -> None:
    """A noted status is returned once for each output, until the run is forgotten."""
    looks = LatestStatusAnswers()
    looks.note("a", is_over=False)
    looks.note("b", is_over=True)
    assert (False, None) == (looks.take("a", "stdout"), looks.take("a", "stdout"))
    assert looks.take("b", "stderr")
    looks.forget("a")
    looks.forget("b")
    assert (None, None) == (looks.take("a", "stderr"), looks.take("b", "stdout"))


def test_looks_that_nobody_uses_are_dropped() -> None:
    """Statuses that are never taken use bounded memory."""
    looks = LatestStatusAnswers()
    for number in range(2000):
        looks.note(f"run-{number}", is_over=True)
    assert looks.take("run-0", "stdout") is None
    assert looks.take("run-1999", "stdout")
