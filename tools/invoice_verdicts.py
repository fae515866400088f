"""Records the rules that the official Schematron files find violated in moorage's test documents.

    python -m tools.invoice_verdicts FOLDER [--check]

FOLDER has checkouts of `eInvoicing-EN16931`, `peppol-bis-invoice-3`, `xrechnung-schematron` and
`xrechnung-testsuite`, under these names. First, each official example there must be valid and
survive writing and reading in both syntaxes, and the official unit tests of the rules must have the
expected results. Then the documents of
`tests/invoices/spoiled_documents.py` are validated, and the identifiers of the violated rules are
written to `tests/invoices/verdicts`, with which the tests compare moorage's own rules. With
`--check` nothing is written, and the command fails if a file would change. It needs Saxon:
`pip install saxonche`.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sys
import xml.etree.ElementTree as ET
from collections import Counter, defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage import InvalidData
from moorage.invoices import Invoice, read_cii, read_ubl, validate, write_cii, write_ubl
from tests.invoices.spoiled_documents import GROUPS, PROFILES, documents
from tools.command_line import tool_parser
from tools.schematron import Schematron, SchematronCompiler, StoppedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

TARGET: Final = Path("tests") / "invoices" / "verdicts"
"""The folder of the recorded verdicts."""

STOPPED: Final = "stopped"
"""The verdict on documents at which an official rule ends with an error."""

EXAMPLES: Final = (
    ("eInvoicing-EN16931/ubl/examples", "en16931"),
    ("eInvoicing-EN16931/cii/examples", "en16931"),
    ("eInvoicing-EN16931/test/testfiles", "en16931"),
    ("peppol-bis-invoice-3/rules/examples", "peppol"),
    ("xrechnung-testsuite/src/test/business-cases/standard", "xrechnung"),
    ("xrechnung-testsuite/src/test/technical-cases/cius", "xrechnung"),
)
"""The folders of official examples, each with its profile."""

UNIT_TESTS: Final = (
    ("eInvoicing-EN16931/test/Invoice-unit-UBL", "en16931", 340, 1),
    ("eInvoicing-EN16931/test/CreditNote-unit-UBL", "en16931", 98, 1),
    ("peppol-bis-invoice-3/rules/unit-UBL-PEPPOL", "peppol", 53, 5),
    ("peppol-bis-invoice-3/rules/unit-CII-PEPPOL", "peppol", 31, 3),
)
"""The folders of official unit tests, each with its profile, the least number of reported errors,
and the greatest number of missed ones. The missed ones are about empty elements, or parties that no
schema allows."""

_VEFA: Final = "{http://difi.no/xsd/vefa/validator/1.0}"
_RULE: Final = re.compile(r"\b(?:BR|UBL|PEPPOL)-[A-Z0-9-]+\b")
_PATTERNS_OF_EXTENSIONS: Final = frozenset(
    f"{syntax}-{name}-pattern" for syntax in ("ubl", "cii") for name in ("extension", "cvd")
)


def schemas(folder: Path, compiler: SchematronCompiler) -> dict[tuple[str, str], list[Schematron]]:
    """Return the official rules of each profile and syntax."""
    result: dict[tuple[str, str], list[Schematron]] = {}
    core = {syntax: _core_rules(folder, compiler, syntax) for syntax in ("ubl", "cii")}
    for profile, syntax in GROUPS:
        result[profile, syntax] = [core[syntax]]
        if profile == "peppol":
            result[profile, syntax].append(compiler.compile(_peppol_rules(folder, syntax)))
        elif profile == "xrechnung":
            with TemporaryDirectory() as copy:
                result[profile, syntax].append(
                    _xrechnung_rules(folder, compiler, syntax, Path(copy))
                )
    return result


def _core_rules(folder: Path, compiler: SchematronCompiler, syntax: str) -> Schematron:
    rules = folder / "eInvoicing-EN16931" / syntax / "schematron" / "preprocessed"
    return compiler.compile(rules / f"EN16931-{syntax.upper()}-validation-preprocessed.sch")


def _peppol_rules(folder: Path, syntax: str) -> Path:
    rules = folder / "peppol-bis-invoice-3" / "rules" / "sch"
    return rules / f"PEPPOL-EN16931-{syntax.upper()}.sch"


def _xrechnung_rules(
    folder: Path, compiler: SchematronCompiler, syntax: str, copy: Path
) -> Schematron:
    """Return XRechnung's rules, including the rules that its stylesheet adopts from Peppol."""
    shutil.copytree(folder / "xrechnung-schematron" / "src", copy / "src")
    peppol = copy / "build" / "bis"
    peppol.mkdir(parents=True)
    shutil.copy(_peppol_rules(folder, syntax), peppol)
    rules = copy / "src" / "validation" / "schematron" / syntax
    target = rules / "with-peppol.sch"
    compiler.transform(
        copy / "src" / "xsl" / "peppol-into-xr.xsl",
        rules / f"XRechnung-{syntax.upper()}-validation.sch",
        target,
        syntax=syntax.upper(),
    )
    return compiler.compile(target, without=_PATTERNS_OF_EXTENSIONS)


def verdicts(profile: str, syntax: str, rules: list[Schematron]) -> dict[str, Any]:
    """Return the verdicts on all documents of a profile and a syntax, as JSON."""
    names: defaultdict[str, list[str]] = defaultdict(list)
    digest = hashlib.sha256()
    for name, body in documents(profile, syntax):
        digest.update(body)
        names[_verdict(rules, body)].append(name)
    own_rules = {rule.id for rule in PROFILES[profile].rules}
    return {
        "documents": digest.hexdigest(),
        "rules": sorted(own_rules & _all_rules(rules)),
        "verdicts": dict(sorted(names.items())),
    }


def _verdict(rules: Iterable[Schematron], body: bytes) -> str:
    try:
        flags = {rule: flag for item in rules for rule, flag in item.violated_rules(body).items()}
    except StoppedError:
        return STOPPED
    return " ".join(
        rule if flag == "fatal" else f"{rule}:{flag}" for rule, flag in sorted(flags.items())
    )


def _all_rules(rules: Iterable[Schematron]) -> frozenset[str]:
    return frozenset(rule for item in rules for rule in item.rules)


def wrong_examples(folder: Path) -> list[str]:
    """Return a sentence for each official example that is not valid, or changes when written."""
    sentences: list[str] = []
    for place, profile in EXAMPLES:
        paths = sorted((folder / place).glob("*.xml"))
        print(f"{place}: {len(paths)} examples")
        for path in paths:
            body = path.read_bytes()
            invoice = read_cii(body) if b"CrossIndustryInvoice" in body else read_ubl(body)
            fatal = [item.rule for item in validate(invoice, PROFILES[profile]) if item.fatal]
            if fatal:
                sentences.append(f"{path} violates {', '.join(fatal)}.")
            if read_ubl(write_ubl(invoice)) != invoice:
                sentences.append(f"{path} changes in UBL.")
            fits_cii = len(invoice.preceding) <= 1  # CII carries no more
            if fits_cii and read_cii(write_cii(invoice)) != _without_network(invoice):
                sentences.append(f"{path} changes in CII.")
    return sentences


def unit_test_results(folder: Path, profile: str) -> Counter[str]:
    """Count the expectations of official unit tests by result.

    An expected error is reported, missed, or refused while the document is read; an expected
    success is rightly silent or a false alarm.
    """
    ids = {rule.id for rule in PROFILES[profile].rules}
    counts: Counter[str] = Counter()
    for body, expectations in _unit_tests(folder):
        read = read_cii if b"CrossIndustryInvoice" in body else read_ubl
        try:
            reported = {item.rule for item in validate(read(body), PROFILES[profile])}
            missed = "missed"
        except InvalidData as error:
            reported = set(_RULE.findall(str(error)))
            missed = "refused while read"
        for kind, rule in expectations:
            if rule in ids and kind == "success":
                counts["false alarm" if rule in reported else "rightly silent"] += 1
            elif rule in ids and kind in {"error", "fatal", "warning"}:
                counts["reported" if rule in reported else missed] += 1
    return counts


def _unit_tests(folder: Path) -> Iterator[tuple[bytes, list[tuple[str, str]]]]:
    """Yield the document of each unit test, with the kind and the rule of each expectation."""
    for path in sorted(folder.glob("*.xml")):
        for case in ET.fromstring(path.read_bytes()).iter(f"{_VEFA}test"):  # noqa: S314 - a file that the developer named
            expectations = [
                (item.tag.removeprefix(_VEFA), (item.text or "").strip())
                for item in case.iterfind(f"{_VEFA}assert/*")
            ]
            document = next(item for item in case if not item.tag.startswith(_VEFA))
            yield ET.tostring(document), expectations


def _without_network(invoice: Invoice) -> Invoice:
    """Return the invoice without the card's network, which CII cannot carry."""
    payment = invoice.payment
    if payment is None or payment.card is None:
        return invoice
    card = attrs.evolve(payment.card, network=None)
    return attrs.evolve(invoice, payment=attrs.evolve(payment, card=card))


def main(folder: Path, *, check: bool) -> int:
    """Write or check all verdicts; return 1 if an example is wrong or a check finds a change."""
    problems = wrong_examples(folder)
    for place, profile, least, most in UNIT_TESTS:
        counts = unit_test_results(folder / place, profile)
        print(f"{place}: {dict(counts)}")
        if counts["reported"] < least or counts["missed"] > most or counts["false alarm"] > 7:
            problems.append(f"{place} has fewer expected results than before.")
    for (profile, syntax), rules in schemas(folder, SchematronCompiler()).items():
        file = TARGET / f"{profile}_{syntax}.json"
        text = json.dumps(verdicts(profile, syntax, rules), indent=1) + "\n"
        if check and file.read_text("utf-8") != text:
            problems.append(f"{file} would change.")
        elif not check:
            file.write_text(text, "utf-8")
    print("\n".join(problems) or "All examples are valid and survive both syntaxes.")
    return int(bool(problems))


if __name__ == "__main__":
    PARSER = tool_parser("invoice_verdicts", __doc__)
    PARSER.add_argument("folder", type=Path, metavar="FOLDER")
    PARSER.add_argument("--check", action="store_true", help="compare, and write nothing")
    OPTIONS = PARSER.parse_args()
    sys.exit(main(OPTIONS.folder, check=OPTIONS.check))
