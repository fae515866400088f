"""The files common to all generated packages."""

from __future__ import annotations

from typing import Final


def project_file(package: str) -> str:
    """Return the `pyproject.toml` of a package."""
    return _PROJECT.format(dashed=package.replace("_", "-"), package=package)


_PROJECT: Final = """\
[build-system]
requires = ["hatchling>=1.21"]
build-backend = "hatchling.build"

[project]
name = "{dashed}"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = ["attrs>=23.1", "moorage"]

[tool.hatch.build.targets.wheel]
packages = ["src/{package}"]

[tool.pytest.ini_options]
pythonpath = ["src"]

[tool.mypy]
strict = true
mypy_path = "src"

[tool.ruff]
line-length = 100
target-version = "py311"

[tool.ruff.lint]
select = ["B", "D", "E", "F", "I", "RUF", "UP", "W"]
ignore = [
    "E501",   # names of the description may be long
    "E741",   # and short
    "RUF001", # texts of the description have any characters
    "RUF002",
    "UP007",  # a union is laid out one class a line
]

[tool.ruff.lint.pydocstyle]
convention = "google"
"""

ROUND_TRIP_TEST: Final = '''\
CLASSES = [
    value
    for value in vars(models).values()
    if isinstance(value, type) and value.__module__ == models.__name__
]


@pytest.mark.parametrize("kind", CLASSES)
def test_round_trip(kind: Any) -> None:
    """A value is the same after it was written and read, and keeps the limits."""
    value = sample(kind)
    written = write_value(kind, value)
    assert written == write_value(kind, read_value(kind, written, checks=True))
    if attrs.has(kind):
        fields = [field for field in attrs.fields(kind) if field.name != "other_fields"]
        names = {field.metadata.get("member", Member(field.name)).name for field in fields}
        assert set(written) <= names
'''
"""The test that each class of a generated package can be written and read again."""
