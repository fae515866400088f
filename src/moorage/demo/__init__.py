"""A day of a business system, on vendors that fail in every way.

Seven vendors run on this machine as real HTTP servers, in sandboxes that behave as they do. The
business names none of them: `configuration` says who does what. At the end a table sets what
moorage counted beside what the vendors counted, which must agree, and a page with charts is left.
"""

from __future__ import annotations

import sys
import time
from io import TextIOWrapper
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import attrs

from moorage.demo.report import write_report
from moorage.demo.story import Story, verdict
from moorage.demo.street import Street, Vendors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

REPORT: Final = Path("build") / "demo.html"
"""Where the page is left unless somebody says otherwise."""


@attrs.frozen(kw_only=True)
class Told:
    """What a telling came to.

    Attributes:
        report: where the page is.
        figures: the row of each scene, by its title, under `HEADINGS`.
        wrong: what does not agree; nothing if all is well.
    """

    report: Path
    figures: Mapping[str, tuple[int, ...]]
    wrong: tuple[str, ...]


def tell(report: Path = REPORT, *, show: Callable[[str], object] | None = None) -> Told:
    """Tell the story, and leave its page.

    Args:
        report: where the page goes; its folder is made.
        show: is given the URL of the page at the end, such as `webbrowser.open`.
    """
    if isinstance(sys.stdout, TextIOWrapper):  # a terminal may lack letters that we use
        sys.stdout.reconfigure(errors="replace")  # pyright: ignore[reportUnknownMemberType]
    began = time.monotonic()
    vendors = Vendors()
    with TemporaryDirectory() as folder, Street(vendors) as street:
        story = Story(vendors, street, folder)
        story.tell()
    narrator = story.narrator
    print(f"\n{narrator.table()}\n")
    wrong = verdict(narrator.scenes, vendors.effects)
    print("\n".join(wrong) or "Attempts and arrivals agree, and nothing was done twice.")
    write_report(report, narrator, wrong)
    print(f"Told in {time.monotonic() - began:.0f} s, over real connections.")
    print(f"With charts: {report}")
    if show is not None:
        show(report.resolve().as_uri())
    figures = {scene.title: scene.figures for scene in narrator.scenes}
    return Told(report=report, figures=figures, wrong=tuple(wrong))
