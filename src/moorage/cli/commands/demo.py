"""`moorage demo`: a business day on local vendors that fail in many ways."""

from __future__ import annotations

import sys
import webbrowser
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from moorage.cli import exit_codes
from moorage.cli.answer import CommandResult
from moorage.cli.context import Context
from moorage.demo import REPORT, run_demo
from moorage.demo.narration import HEADINGS


def demo(
    *, report: Path = REPORT, show: Annotated[bool, Parameter("--open")] = False, context: Context
) -> CommandResult:
    """Simulate a business day on local vendors that fail in many ways.

    The demo needs no configuration, network or server, and takes a few seconds.

    Args:
        report: the path of the HTML report.
        show: open the report in a browser.
        context: the options that all commands share.
    """
    with redirect_stdout(sys.stderr if context.as_json else sys.stdout):
        demo_result = run_demo(report, show=webbrowser.open if show else None)
    figures = {
        title: dict(zip(HEADINGS, row, strict=True)) for title, row in demo_result.figures.items()
    }
    result = {"scenes": figures, "wrong": [*demo_result.wrong], "report": str(demo_result.report)}
    return CommandResult(result, code=exit_codes.FAILED if demo_result.wrong else exit_codes.OK)
