"""A hub opens from a configuration when Python has removed docstrings and assertions."""

import subprocess
import sys

PROGRAM = """
import moorage
services = {"vat": {"base_url": "https://vat.example", "credentials": {"secret": "hidden"}}}
with moorage.open({"services": services, "http": {"proxy": {"url": "http://p.example"}}}) as hub:
    print(hub.manager.run("vat", lambda: "open"))
"""


def test_hub_opens_without_docstrings() -> None:
    """A program that `python -OO` runs opens its hub and makes a call."""
    result = subprocess.run(
        [sys.executable, "-OO", "-c", PROGRAM], capture_output=True, text=True, check=False
    )

    assert ("open", "") == (result.stdout.strip(), result.stderr)
