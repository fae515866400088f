"""Looks at runs serve one reading of each output."""

from moorage.domain.steps.looks import LatestLooks


def test_look_serves_one_reading_of_each_output() -> None:
    """The answer of a look is there once for each output, until the run is forgotten."""
    looks = LatestLooks()
    looks.note("a", is_over=False)
    looks.note("b", is_over=True)
    assert (False, None) == (looks.take("a", "stdout"), looks.take("a", "stdout"))
    assert looks.take("b", "stderr")
    looks.forget("a")
    looks.forget("b")
    assert (None, None) == (looks.take("a", "stderr"), looks.take("b", "stdout"))


def test_looks_that_nobody_uses_are_dropped() -> None:
    """Looks without a reading take bounded memory."""
    looks = LatestLooks()
    for number in range(2000):
        looks.note(f"run-{number}", is_over=True)
    assert looks.take("run-0", "stdout") is None
    assert looks.take("run-1999", "stdout")
