"""Simulates a business day on local vendors that fail in many ways.

Sandboxes of twenty vendors run on this machine as real HTTP servers. The business code names none
of them; `configuration` does. At the end, a table compares moorage's own counts with those of the
vendors, which must agree, and `REPORT` shows the day with charts.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import attrs

from moorage.demo.local_vendors import LocalNetwork, Vendors
from moorage.demo.report import check_report, write_report
from moorage.demo.story import DemoStory, verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

REPORT: Final = Path("build") / "demo.html"
"""The default path of the report."""


@attrs.frozen(kw_only=True)
class DemoResult:
    """The result of a demo.

    Attributes:
        report: the path of the HTML report.
        figures: each scene's counts by its title, in the order of `HEADINGS`.
        wrong: the contradictions between counts; empty if there are none.
    """

    report: Path
    figures: Mapping[str, tuple[int, ...]]
    wrong: tuple[str, ...]


def run_demo(report: Path = REPORT, *, show: Callable[[str], object] | None = None) -> DemoResult:
    """Run the demo and write its report.

    Environment variables that set moorage's configuration are ignored, so that the demo changes no
    store of the user.

    Args:
        report: the path of the report; its folder is created if missing.
        show: called with the report's URL at the end, such as `webbrowser.open`.

    Raises:
        ConfigurationError: the report cannot be written; then the demo does not start.
    """
    check_report(report)
    if isinstance(sys.stdout, TextIOWrapper):  # the terminal's encoding may lack some characters
        sys.stdout.reconfigure(errors="replace")  # pyright: ignore[reportUnknownMemberType]  # half annotated in typeshed
    start_time = time.monotonic()
    with _without_settings(), TemporaryDirectory() as folder:
        vendors = Vendors(folder)
        with LocalNetwork(vendors) as network:
            story = DemoStory(vendors, network, folder)
            story.tell()
    narrator = story.narrator
    print(f"\n{narrator.table()}\n")
    contradictions = verdict(narrator.scenes, vendors.effects)
    print("\n".join(contradictions) or "Attempts and arrivals agree, and nothing happened twice.")
    write_report(report, narrator, contradictions)
    print(f"Finished in {time.monotonic() - start_time:.0f} s, over real connections.")
    print(f"With charts: {report}")
    if show is not None:
        show(report.resolve().as_uri())
    figures = {scene.title: scene.figures for scene in narrator.scenes}
    return DemoResult(report=report, figures=figures, wrong=tuple(contradictions))


@contextmanager
def _without_settings() -> Generator[None]:
    """Remove the environment variables of moorage for the duration of the block."""
    names = [name for name in os.environ if name.upper().startswith("MOORAGE_")]
    values = {name: os.environ.pop(name) for name in names}
    try:
        yield
    finally:
        os.environ.update(values)
