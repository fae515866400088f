"""`moorage demo`: a day of a business on vendors that fail in every way."""

from __future__ import annotations

import sys
import webbrowser
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from moorage.cli import ends
from moorage.cli.answer import Answer
from moorage.cli.desk import Desk
from moorage.demo import REPORT, tell
from moorage.demo.telling import HEADINGS


def demo(
    *, report: Path = REPORT, show: Annotated[bool, Parameter("--open")] = False, desk: Desk
) -> Answer:
    """Tell a day of a business system on vendors that fail in every way.

    It needs no configuration, no network and no server, and takes a few seconds.

    Args:
        report: where its page with charts goes.
        show: open the page in a browser.
        desk: what all commands share.
    """
    with redirect_stdout(sys.stderr if desk.as_json else sys.stdout):
        told = tell(report, show=webbrowser.open if show else None)
    figures = {title: dict(zip(HEADINGS, row, strict=True)) for title, row in told.figures.items()}
    found = {"scenes": figures, "wrong": [*told.wrong], "report": str(told.report)}
    return Answer(found, code=ends.UNWELL if told.wrong else ends.OK)
