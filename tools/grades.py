"""Writes the page with the rules for vendors and the grade of each vendor.

    python -m tools.grades [--check]

Every vendor is graded anew, which takes minutes. With `--check` nothing is written, and the command
fails if the page would change.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from moorage.grading.gathering import evidence_of
from moorage.grading.grade import RULES, grade
from moorage.grading.rule import Tier
from moorage.wiring.installed_vendors import vendor_names
from tools.command_line import tool_parser

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moorage.grading.grade import Grade

PAGE: Final = Path(__file__).parent.parent / "docs" / "vendor-grades.md"
_INTRODUCTION: Final = """# Grades of vendors

`moorage grade VENDOR` grades an installed vendor of any package. The command calls the vendor's
sandbox on this machine, and sends nothing elsewhere. A vendor has a tier if all rules of the tier,
and of the tiers below it, hold; a rule that does not apply to the vendor counts as met. `python -m
tools.grades` writes this page, and grades every vendor for it.

## Vendors
"""


def page() -> str:
    """Return the page as Markdown."""
    grades = [grade(evidence_of(name)) for name in vendor_names()]
    rows = [row_of(result) for result in grades]
    return "\n".join(
        [
            _INTRODUCTION,
            "| vendor | tier | rules that do not hold |",
            "|---|---|---|",
            *rows,
            *rules(),
        ]
    )


def row_of(result: Grade) -> str:
    """Return a vendor's row in the table of grades."""
    failed_rules = ", ".join(finding.rule.name for finding in result.failures)
    page_path = f"vendors/{result.vendor}.md"
    has_page = (PAGE.parent / page_path).exists()
    name = f"[{result.vendor}]({page_path})" if has_page else result.vendor
    return f"| {name} | {result.tier} | {failed_rules} |"


def rules() -> Iterator[str]:
    """Yield the page's part about the rules."""
    for tier in (Tier.BRONZE, Tier.SILVER, Tier.GOLD):
        yield f"\n## Rules of {tier}\n"
        yield "| rule | what must hold | what to do otherwise |"
        yield "|---|---|---|"
        for rule in RULES:
            if rule.tier is tier:
                yield f"| {rule.name} | {rule.sentence} | {rule.remedy} |"
    yield ""


def main(*, check: bool) -> int:
    """Write the page, or only check that it is current."""
    text = page()
    if not check:
        PAGE.write_text(text, "utf-8")
        return 0
    is_changed = PAGE.read_text("utf-8") != text
    if is_changed:
        print(f"{PAGE} differs from the grades. Run python -m tools.grades.")
    return int(is_changed)


if __name__ == "__main__":
    PARSER = tool_parser("grades", __doc__)
    PARSER.add_argument("--check", action="store_true", help="compare, and write nothing")
    sys.exit(main(check=PARSER.parse_args().check))
