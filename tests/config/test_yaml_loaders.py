"""YAML is read alike by libyaml and by PyYAML's Python loader."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from moorage.config import yaml_text
from moorage.config.syntax import MalformedText

# PyYAML writes a next-line character (U+0085) as a line break, and cannot read it back.
CHARACTERS = st.characters(codec="utf-8", exclude_characters="\x85")
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.floats(allow_nan=False)
    | st.text(CHARACTERS, max_size=12)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(CHARACTERS, max_size=6), inner, max_size=4)
    ),
    max_leaves=12,
)
PIECES = st.lists(
    st.sampled_from(
        (
            *(
                "a",
                "key",
                ": ",
                ":",
                "- ",
                "\n",
                "  ",
                "\t",
                "'",
                '"',
                "[",
                "]",
                "{",
                "}",
                ",",
                "#",
            ),
            *("|", ">", "|#", ">-#", "?", "? ", "&a", "*a", "!!int", "---", "...", "%", "@", "<<"),
            *("1", "0x1f", "1:30", "~", "é", "\x07", "\x85", "\u2028", "\ufeff", "\\", "\r"),
        )
    ),
    max_size=24,
).map("".join)


def outcome(text: str) -> Any:
    """Return the value of a YAML string, or the message of its error."""
    try:
        return repr(yaml_text.read_yaml(text))
    except MalformedText as error:
        return error.args


def outcome_in_python(text: str) -> Any:
    """Return the value or the error of PyYAML's Python loader for a YAML string."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yaml_text, "_FAST_LOADER", None)
        return outcome(text)


@given(VALUES, st.booleans())
def test_pyyaml_c_and_python_loaders_read_pyyaml_own_output_as_same_value(
    value: Any, flow: bool
) -> None:
    """PyYAML's C and Python loaders read the same value from PyYAML's own output."""
    text = yaml.safe_dump(value, default_flow_style=flow, allow_unicode=True, sort_keys=False)

    assert repr(value) == outcome(text) == outcome_in_python(text)


@given(PIECES)
@example("a: b: c")
@example("a: 1\na: 2")
@example("a: &x 1\nb: *x")
@example("a: !!int '1'")
@example("a:\n\t- 1")
@example("a: 1\n---\nb: 2")
@example("a: 'open")
@example("1: a")
@example("a: [1, 2")
def test_both_yaml_loaders_raise_the_same_error(text: str) -> None:
    """PyYAML's C and Python loaders raise the same error for invalid YAML."""
    assert outcome_in_python(text) == outcome(text)
