"""The secrets of a step are hidden in its repr and in errors."""

from __future__ import annotations

import pytest

from moorage.domain.steps.step import Step
from moorage.errors import CredentialNotFound
from moorage.wiring.step_secrets import referenced_secret


def test_a_plain_text_is_not_shown() -> None:
    """A string in place of a secret's reference is masked, since it may be the secret itself."""
    step = Step("build", ["make"], secrets={"A": "sk-plain-text", "B": "secret://env/TOKEN"})
    assert "'A': '***', 'B': 'secret://env/TOKEN'" in repr(step)
    assert "sk-plain-text" not in repr(step)


def test_an_error_shows_references_only() -> None:
    """The error for a missing secret shows its reference, but no text that is not a reference."""
    with pytest.raises(CredentialNotFound, match="secret://vault/a") as excinfo:
        referenced_secret("secret://vault/a")
    assert "secret://env/NAME" in excinfo.value.remedy
    with pytest.raises(CredentialNotFound) as excinfo:
        referenced_secret("sk-plain-text")
    assert "The secret of the step cannot be found, or is empty." == excinfo.value.message
