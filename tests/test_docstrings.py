"""Each example in a docstring is complete, runs as printed, and prints the shown output."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.support.pages import Block, blocks

SOURCE = Path(__file__).parent.parent / "src" / "moorage"
_PRINTED_LINE = re.compile(r"# → (.*)$", re.MULTILINE)
_HOMES = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def _examples() -> list[Any]:
    results = []
    for path in sorted(SOURCE.rglob("*.py")):
        text = path.read_text("utf-8")
        if "```" not in text:
            continue
        for node in ast.walk(ast.parse(text)):
            docstring = ast.get_docstring(node) if isinstance(node, _HOMES) else None
            results += [
                pytest.param(block, id=f"{path.relative_to(SOURCE)}:{block.line}")
                for block in blocks(f"{docstring}\n")
            ]
    return results


@pytest.mark.parametrize("block", _examples())
def test_example_is_complete(
    block: Block,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> None:
    """An example in a docstring runs as printed; if it shows a conformance kit, one check runs."""
    monkeypatch.chdir(tmp_path)
    if block.language == "toml":
        assert tomllib.loads(block.text)
        return
    names: dict[str, Any] = {"__name__": "docstring"}
    exec(compile(block.text, "docstring", "exec"), names)  # noqa: S102 - it is our own
    assert _PRINTED_LINE.findall(block.text) == capsys.readouterr().out.splitlines()
    for name, test in names.items():
        if not name.startswith("test_"):
            continue
        marks = getattr(test, "pytestmark", None)
        target = () if marks else test.__code__.co_varnames[: test.__code__.co_argcount]
        value = [marks[0].args[1][0]] if marks else map(request.getfixturevalue, target)
        test(*value)
