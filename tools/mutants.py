"""Break the decisions and flows on purpose, and ask whether a test notices.

mutmut makes and tries the mutants; this script bounds the time and gives the verdict. A mutant
that its tests do not notice must be explained in `tests/mutants-explained.toml`, by the lines it
changes (mutmut's own numbers move with every edit). The run fails for a survivor without an
explanation, for a function that no test calls, for an explanation without a survivor, and when
time ran out before every mutant was tried.

The wording of sentences is free: a mutant that only garbles a string of several words is left
out. Strings of one word are headers, keys and names, and count.
"""

import argparse
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

from attrs import field, frozen

MUTMUT = Path(sys.executable).with_name("mutmut")
WORK = Path("mutants")
LOG = Path("build/mutants.log")
EXPLAINED = Path("tests/mutants-explained.toml")

LITERAL = re.compile(r"""\"(?:[^"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'""")
PLACEHOLDER = re.compile(r"\{[^{}]*\}")

# What else mutmut says of a mutant means that it has no verdict.
TRIED = {
    "caught by type check",
    "killed",
    "no tests",
    "segfault",
    "skipped",
    "survived",
    "suspicious",
    "timeout",
}


@frozen
class Change:
    """What a mutant does to the source, independent of mutmut's numbering."""

    function: str
    was: str
    becomes: str
    name: str = field(default="", eq=False)
    """mutmut's name for it, for `mutmut show`."""

    def is_wording(self) -> bool:
        """Whether only the wording of sentences differs."""
        if LITERAL.sub("''", self.was) != LITERAL.sub("''", self.becomes):
            return False
        pairs = zip(LITERAL.findall(self.was), LITERAL.findall(self.becomes), strict=True)
        return all(
            one == other
            or (is_sentence(one) and one.casefold() == other.replace("XX", "").casefold())
            for one, other in pairs
        )

    def as_toml(self) -> str:
        """Print it the way it would be explained."""
        return "\n".join(
            [
                f"# {self.name}",
                "[[survivor]]",
                f"function = {self.function!r}",
                f"was = '''{self.was}'''",
                f"becomes = '''{self.becomes}'''",
                'because = ""',
            ]
        )


def is_sentence(literal: str) -> bool:
    """Whether a string has several words of its own."""
    words = PLACEHOLDER.sub("", literal)
    return " " in words and any(letter.isalpha() for letter in words)


def function_of(name: str) -> str:
    """Turn mutmut's mangled name into the dotted path of the function."""
    mangled = name.rpartition("__mutmut_")[0]
    module, _, function = mangled.rpartition(".")
    return f"{module}.{function.removeprefix('x_').strip('ǁ').removeprefix('xǁ')}".replace("ǁ", ".")


def change_of(name: str) -> Change:
    """Read the lines that a mutant changes."""
    shown = subprocess.run([MUTMUT, "show", name], capture_output=True, check=True, text=True)
    lines = [line for line in shown.stdout.splitlines() if not line.startswith(("---", "+++"))]
    was = " ".join(line[1:].strip() for line in lines if line.startswith("-"))
    becomes = " ".join(line[1:].strip() for line in lines if line.startswith("+"))
    return Change(function_of(name), was, becomes, name)


def try_mutants(only: list[str], workers: int, seconds: float) -> None:
    """Run mutmut until it is done or the time is up; what it found stays on disk."""
    LOG.parent.mkdir(exist_ok=True)
    print(f"trying mutants for at most {seconds / 60:.0f} minutes; progress is in {LOG}")
    with LOG.open("w") as log:
        child = subprocess.Popen(
            [MUTMUT, "run", "--max-children", str(workers), *only],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            child.wait(seconds)
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGINT)
            child.wait()
    if child.returncode != 0:
        print("\n".join(LOG.read_text().replace("\r", "\n").splitlines()[-30:]))
        sys.exit("mutmut could not do its work; its last words are above")


def statuses(only: list[str]) -> dict[str, str]:
    """Each mutant's fate, by name."""
    shown = subprocess.run(
        [MUTMUT, "results", "--all", "true"], capture_output=True, check=True, text=True
    )
    pairs = (line.strip().rpartition(": ") for line in shown.stdout.splitlines() if ": " in line)
    return {
        name: status
        for name, _, status in pairs
        if not only or any(Path(name).match(pattern) for pattern in only)
    }


def explained() -> set[Change]:
    """Read the survivors that somebody has explained."""
    if not EXPLAINED.exists():
        return set()
    entries = tomllib.loads(EXPLAINED.read_text("utf-8")).get("survivor", [])
    unreasoned = [entry for entry in entries if not entry.get("because")]
    if unreasoned:
        sys.exit(f"{EXPLAINED}: no reason is given for {unreasoned[0]}")
    return {Change(entry["function"], entry["was"], entry["becomes"]) for entry in entries}


def main() -> int:
    """Try the mutants and say what the tests are worth."""
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("only", nargs="*", help="patterns, such as 'mooring.domain.bucket.*'")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--go-on", action="store_true", help="keep what an earlier run found")
    options = parser.parse_args()

    if not options.go_on and WORK.exists():
        shutil.rmtree(WORK)
    try_mutants(options.only, options.workers, options.minutes * 60)

    found = statuses(options.only)
    survivors = [change_of(name) for name, status in found.items() if status == "survived"]
    untested = Counter(function_of(name) for name, status in found.items() if status == "no tests")
    known = explained()
    unexplained = [one for one in survivors if one not in known and not one.is_wording()]
    untried = sum(status not in TRIED for status in found.values())
    stale = [] if options.only or untried else sorted(known - set(survivors), key=str)

    for one in unexplained:
        print(f"\n{one.as_toml()}")
    for function, count in untested.items():
        print(f"\nno selected test calls {function} ({count} mutants)")
    for one in stale:
        print(f"\nexplained, but noticed by a test or gone: {one}")
    counts = ", ".join(f"{count} {status}" for status, count in Counter(found.values()).items())
    print(
        f"\n{len(found)} mutants: {counts or 'none'}\n"
        f"{len(unexplained)} unexplained, {len(untested)} functions without a test, "
        f"{len(stale)} stale explanations, {untried} not tried"
    )
    return int(bool(unexplained or untested or stale or untried or not found))


if __name__ == "__main__":
    sys.exit(main())
