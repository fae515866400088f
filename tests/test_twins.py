"""The tool that generates synchronous modules from asynchronous ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import inlined, twins

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("source", twins.MODULES)
def test_twins_are_current(source: str) -> None:
    """Each generated synchronous module is up to date with its asynchronous source."""
    twin_source = (ROOT / twins.MODULES[source]).read_text(encoding="utf-8")

    assert twins.twin((ROOT / source).read_text(encoding="utf-8")) == twin_source


def test_inlined_rules_are_current() -> None:
    """The admission code that is generated from both rules is up to date with them."""
    assert inlined.main(check=True) == 0


def test_twin_awaits_nothing() -> None:
    """A generated module contains no `async` or `await`, and calls synchronous helpers."""
    source = (
        "async def get(read: Callable[[], Awaitable[R]]) -> R:\n"
        '    """Call an asynchronous function."""\n'
        "    async with lock_async() as held:\n"
        "        return await run_later(step_async(read, held))\n"
    )

    assert (
        "def get(read: Callable[[], R]) -> R:\n"
        '    """Call a synchronous function."""\n'
        "    with lock_sync() as held:\n"
        "        return run_now(step_sync(read, held))\n"
    ) == twins.twin(source)


def test_twin_drops_the_mode_from_names_of_classes_and_of_context_managers() -> None:
    """`AsyncPool` becomes `Pool` in the generated module, and is used with a plain `with`."""
    source = "class AsyncPool:\n    async def __aenter__(self) -> AsyncLink: ...\n"

    assert "class Pool:\n    def __enter__(self) -> Link: ...\n" == twins.twin(source)


def test_outdated_generated_modules_are_named_or_rewritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--check` reports an outdated generated module; without it, the tool writes the module."""
    (tmp_path / "a_async.py").write_text("async def a() -> None: ...\n", encoding="utf-8")
    (tmp_path / "a_sync.py").write_text("", encoding="utf-8")
    modules = {str(tmp_path / "a_async.py"): str(tmp_path / "a_sync.py")}
    monkeypatch.setattr(twins, "MODULES", modules)

    assert twins.main(check=True) == 1
    assert "a_sync.py is out of date" in capsys.readouterr().out

    assert twins.main(check=False) == 0
    assert (tmp_path / "a_sync.py").read_text(encoding="utf-8") == "def a() -> None: ...\n"
    assert twins.main(check=True) == 0
