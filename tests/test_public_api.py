"""The public API changes only deliberately."""

from __future__ import annotations

from tools.public_api import PATH, public_api


def test_public_api_is_the_recorded_one() -> None:
    """Every export has the recorded parameters, defaults, methods and fields.

    After a change on purpose, with a changelog fragment that tells users of it,
    `python -m tools.public_api` writes the file anew.
    """
    assert PATH.read_text("utf-8").splitlines() == list(public_api())
