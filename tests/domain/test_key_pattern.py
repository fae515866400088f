"""Patterns of storage keys match like pathlib's, and invalid patterns are refused."""

from __future__ import annotations

import glob
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from moorage.domain.values.key_pattern import KeyPattern
from moorage.errors import InvalidData

KEYS = [
    *("a", "b.pdf", "in/a.pdf", "in/b.txt", "in/2041.pdf", "in/x/a.pdf", "in/x/y/a.pdf"),
    *("in/x/y/b.txt", "in/[1].pdf", "in/a-b.pdf", "out/a.pdf", "in/x.y/a", "in/a]b", "in/a&b"),
]


@pytest.mark.parametrize(
    "pattern",
    [
        *("*", "*.pdf", "in/*", "in/*.pdf", "in/?.pdf", "in/[ab].pdf", "in/[!a].pdf", "in/[a-c].*"),
        *(
            "**/*.pdf",
            "in/**/*.pdf",
            "in/**/a.pdf",
            "in/**/y/*",
            "**/a.pdf",
            "*/a.pdf",
            "in/x/**/*",
        ),
        *("in/a[!]x]b", "in/a[]x]b", "in/a[]-]b.pdf", "in/a[+--]b.pdf", "in/a[x&&~~]b"),
        *("in/[[]1].pdf", "in/[0-9][0-9]*.pdf", "in/a.pdf", "none", "in/*/*/*", "in/x.y/*"),
    ],
)
def test_pattern_matches_as_on_a_disk(pattern: str) -> None:
    """A pattern matches the keys that Python's glob would find as files in a folder."""
    with TemporaryDirectory() as name:
        for key in KEYS:
            path = Path(name, key)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        found_paths = glob.glob(pattern, root_dir=name, recursive=True)  # noqa: PTH207 - the rules of `glob`, not of `Path.glob`
        expected = sorted(path for path in found_paths if Path(name, path).is_file())
    keys = KeyPattern.of(pattern)
    assert expected == sorted(filter(keys.matches, KEYS))
    assert all(key.startswith(keys.prefix) for key in expected)
    assert not keys.is_flat or all("/" not in key[len(keys.prefix) :] for key in expected)


def test_set_may_exclude_an_exclamation_mark() -> None:
    """At the start of a character set, `!` and `^` exclude its characters, even each other."""
    for pattern in ("a[!!]", "a[^!]", "a[!^!]"):
        assert ["ab"] == [*filter(KeyPattern.of(pattern).matches, ("ab", "a!", "a/"))]


def test_range_around_the_slash_matches_no_slash() -> None:
    """A set of characters does not match the slash, even if its range contains it."""
    keys = KeyPattern.of("a[.-0]b")
    assert ["a.b", "a0b"] == [*filter(keys.matches, ("a.b", "a/b", "a0b", "a1b"))]


def test_pattern_that_ends_with_two_asterisks_matches_all_keys_below_folder() -> None:
    """A pattern that ends with two asterisks matches all keys below a folder."""
    keys = KeyPattern.of("in/**")
    assert [key for key in KEYS if key.startswith("in/")] == [*filter(keys.matches, KEYS)]
    assert ("in/", False) == (keys.prefix, keys.is_flat)


@pytest.mark.parametrize(
    "pattern, problem",
    [
        ("", "is empty"),
        ("x" * 1_025, "too long"),
        (7, "not a str"),
        ("a[", "not closed"),
        ("a[]", "not closed"),
        ("a[!]", "not closed"),
        ("[z-a]", "not a range"),
    ],
)
def test_invalid_key_pattern_is_refused_with_the_reason(pattern: str, problem: str) -> None:
    """The error for an invalid key pattern contains the reason."""
    with pytest.raises(InvalidData, match=problem):
        KeyPattern.of(pattern)
