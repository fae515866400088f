"""A remembered status of a run is returned once for each of the run's outputs."""

from moorage.domain.steps.status_answers import LatestStatusAnswers


def test_noted_status_is_returned_once_per_output() -> None:
    """A remembered status is returned once for each output, until the run is forgotten."""
    answers = LatestStatusAnswers()
    answers.note("a", is_over=False)
    answers.note("b", is_over=True)
    assert (False, None) == (answers.take("a", "stdout"), answers.take("a", "stdout"))
    assert answers.take("b", "stderr")
    answers.forget("a")
    answers.forget("b")
    assert (None, None) == (answers.take("a", "stderr"), answers.take("b", "stdout"))


def test_unused_answers_are_dropped() -> None:
    """Only a limited number of statuses is remembered, so unused ones do not fill the memory."""
    answers = LatestStatusAnswers()
    for number in range(2000):
        answers.note(f"run-{number}", is_over=True)
    assert answers.take("run-0", "stdout") is None
    assert answers.take("run-1999", "stdout")
