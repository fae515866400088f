"""The modules that all workers import are compiled once, before the workers start."""

from pathlib import Path

from tests.support.compiled_modules import compile_modules, uncompiled_modules

MODULES = ["test_first.py", "part/test_second.py"]


def test_modules_are_compiled_without_being_run(tmp_path: Path) -> None:
    """All modules are compiled, also those that they import, and no test is run."""
    (tmp_path / "part").mkdir()
    (tmp_path / "pytest.ini").write_text("[pytest]\npythonpath = .\n")
    (tmp_path / "helper.py").write_text("VALUE = 1\n")
    for module in MODULES:
        (tmp_path / module).write_text(
            "import helper\n\n\ndef test_runs():\n    open('has-run', 'w').close()\n"
        )
    assert MODULES == uncompiled_modules(tmp_path, MODULES)

    compile_modules(tmp_path, MODULES)

    assert [] == uncompiled_modules(tmp_path, MODULES)
    assert [*(tmp_path / "__pycache__").glob("helper.*.pyc")]
    assert not (tmp_path / "has-run").exists()


def test_module_that_cannot_be_compiled_does_not_stop_others_from_being_compiled(
    tmp_path: Path,
) -> None:
    """A module that cannot be compiled does not stop the others from being compiled."""
    (tmp_path / "part").mkdir()
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / MODULES[0]).write_text("def broken(:\n")
    (tmp_path / MODULES[1]).write_text("def test_nothing():\n    pass\n")

    compile_modules(tmp_path, MODULES)

    assert MODULES[:1] == uncompiled_modules(tmp_path, MODULES)
