"""The tool that checks wording reports each bad wording with its line, and nothing else."""

from pathlib import Path

import pytest

from tools import words

FILE = Path("some_file.py")


def _advice(text: str) -> list[str]:
    return [finding.advice for finding in words.check(text, FILE)]


@pytest.mark.parametrize(
    "text, advice",
    [
        ('"""What is current."""', "docstring begins with 'What'"),
        ('class A:\n    """Those that differ."""', "docstring begins with 'Those'"),
        ('def f():\n    """One that is late."""', "'One that' in a docstring"),
        ('def f():\n    """Its storage."""', "docstring begins with 'Its'"),
        ('def f():\n    """So does the other one."""', "docstring begins with 'So'"),
        ('def f():\n    """The same, a moment later."""', "'The same' in a docstring"),
        ('async def f():\n    """Let a field be."""', "docstring begins with 'Let'"),
        ('"""Tests, in both colours."""', "'colours' in a docstring"),
        ('"""A client, plain and awaited."""', "'plain and awaited' in a docstring"),
        ('x = "Give a int."', "'a int': write 'an int'"),  # words: a sample
        ('x = "This is an list."', "'an list': write 'a list'"),  # words: a sample
        (
            'x = "Give a `OrderedDict`."',  # words: a sample
            "'a OrderedDict': write 'an OrderedDict'",  # words: a sample
        ),
        ('x = f"This is a {type(v).__name__}."', "article before a class's name"),
        ('raise InvalidData("some text is wrong.")', "message begins in lower case"),
        ('raise InvalidData(f"some {x} is wrong.")', "message begins in lower case"),
        ('raise errors.InvalidData("Some text is wrong")', "message has no full stop"),
        ('raise InvalidData(f"The field {x} is wrong")', "message has no full stop"),
        ("def f(asked): ...", "value named 'asked'"),
        ("def f():\n    found = 1", "value named 'found'"),
        ("def f():\n    twice = 1", "value named 'twice': add the noun"),
        ("def f():\n    return [1 for kept in ()]", "value named 'kept'"),
        ("def f():\n    if (own := 1): ...", "value named 'own'"),
        ("x = [f(one) for one in y]", "element named 'one'"),
        ("for name, each in y: ...", "element named 'each'"),
        ('x = Problem("a.b", "this is wrong.", "Correct it.")', "message begins in lower case"),
        ('x = rejected(reason, "This is wrong")', "message has no full stop"),
        ('self._report.add(path, "this is wrong.", "Correct it.")', "message begins in lower case"),
        ("class CalmPath: ...", "'calm' in the name 'CalmPath'"),
        ("def lent_client(): ...", "'lent' in the name 'lent_client'"),
        ("pantry = 1", "'pantry' in the name 'pantry'"),
        ("x = f()  # noqa", "silenced check"),  # words: a sample
        ("x = f()  # noqa: S101, SLF001", "silenced check"),  # words: a sample
        ("x = f()  # type: ignore[arg-type, misc]", "silenced check"),  # words: a sample
        ("x = f()  # pyright: ignore[reportX]  # noqa: S1", "silenced check"),  # words: a sample
        ("if x:  # pragma: no cover\n    f()", "silenced check"),  # words: a sample
        ("# ruff: noqa: S101", "silenced check"),  # words: a sample
    ],
)
def test_wording_is_reported(text: str, advice: str) -> None:
    """Each wording rule reports its bad example once."""
    (reported_advice,) = _advice(text)
    assert reported_advice.startswith(advice)


@pytest.mark.parametrize(
    "text",
    [
        '"""Return whether the vendor answered; what it said is in the log."""',
        '"""One attempt."""',
        '"""The state has a `fence` and a `calm` function."""',
        '"""An offer, a user, a URL, a UUID, an hour, an HTTP status, a one-slot queue."""',
        '"""A unit, a European tax id, an unknown key, an S3 bucket, an x-ray, a helper."""',
        'raise InvalidData("The text is wrong.")',
        'raise InvalidData(f"{x!r} is wrong.")',
        'raise InvalidData("moorage cannot read `moorage.toml`.")',
        'raise InvalidData("base_url has no host.")',
        'def f(services):\n    raise InvalidData("services must be a list.")',
        'class A:\n    path: str\n    def f(self):\n        raise InvalidData("path is empty.")',
        'raise ValueError("of another library")',
        "raise InvalidData(message)",
        "raise",
        "class A:\n    found: str",
        "x = kept(1)",
        "def f(below): ...",
        "def told(): ...",
        "def calmly(): ...",
        "x = f()  # noqa: S101, SLF001 - only a sample",
        "x = f()  # type: ignore[arg-type]  # only a sample",
        "x = f()  # type: ignore[arg-type]  # noqa: S101 - only a sample",
        "if x:  # pragma: no cover - only on Windows\n    f()",
    ],
)
def test_sentence_or_name_that_breaks_no_rule_is_not_reported(text: str) -> None:
    """A sentence or name that breaks no rule is not reported."""
    assert _advice(text) == []


def test_word_that_has_to_stay_can_be_kept_with_comment_that_gives_reason() -> None:
    """A comment with a reason can exempt a word from the check of wording."""
    assert _advice("news = 1  # words: the field of an answer of the vendor") == []


def test_reported_line_is_that_of_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The reported line is the one where the bad sentence begins, and the command fails."""
    file = tmp_path / "thing.py"
    text = '"""A thing.\n\nIt is a THING.\n"""\n\n\ndef f(told):\n    """Do."""\n'
    file.write_text(text.replace("THING", "item"))

    assert words.main([str(tmp_path)]) == 1

    assert capsys.readouterr().out.splitlines() == [
        f"{file}:3: 'a item': write 'an item'",  # words: a sample
        f"{file}:7: value named 'told': name the thing",
    ]


def test_checked_folders_exist() -> None:
    """Every file and folder that `make lint` checks for wording exists."""
    assert [] == [folder for folder in words.FOLDERS if not Path(folder).exists()]


@pytest.mark.parametrize("name", ["page.md", "no_such_file.py", "no_such_folder"])
def test_arguments_that_are_not_python_files_are_reported(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """If an argument is not an existing Python file, the error says what to pass instead."""
    (tmp_path / "page.md").write_text("# It's a page, no Python", encoding="utf-8")

    assert 2 == words.main([str(tmp_path / name)])
    assert (
        f"{tmp_path / name} is not a file of Python. Give Python files" in capsys.readouterr().out
    )
