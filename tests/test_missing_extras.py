"""Names that need a missing extra appear in `help()`, and their errors name the extra."""

from __future__ import annotations

import subprocess
import sys
from textwrap import dedent

import pytest

WITHOUT_EXTRAS = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"grpc", "sqlalchemy", "websockets"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
"""


def run_without_extras(program: str) -> str:
    """Return the output of a program in an interpreter that lacks all optional packages."""
    finished = subprocess.run(
        [sys.executable, "-c", WITHOUT_EXTRAS + dedent(program)],
        capture_output=True,
        text=True,
        check=False,
    )
    return finished.stdout + finished.stderr


def test_help_of_the_testing_package() -> None:
    """`help(moorage.testing)` describes all names, also those that need a missing extra."""
    text = run_without_extras(
        "import pydoc; print(pydoc.plain(pydoc.render_doc('moorage.testing')))"
    )

    assert "class GrpcServer" in text
    assert "class WebSocketServer" in text


@pytest.mark.parametrize(
    "program, package, extra",
    [
        ("import moorage.testing as t; t.GrpcServer().start()", "grpc", "grpc"),
        ("import moorage.testing as t; t.WebSocketServer(str).start()", "websockets", "websockets"),
        ("import moorage.adapters.sql.sink", "sqlalchemy", "sql"),
        ("import moorage.adapters.sql.checkpoints", "sqlalchemy", "sql"),
        ("import moorage.adapters.sql.transactions", "sqlalchemy", "sql"),
        ("import moorage.adapters.sql.outbox_table", "sqlalchemy", "sql"),
    ],
)
def test_missing_package_names_its_extra(program: str, package: str, extra: str) -> None:
    """The error for a missing package contains its name, and the command that installs it."""
    text = run_without_extras(program)

    assert f"ImportError: The package {package} is not installed." in text
    assert f"pip install '.[{extra}]'" in text
