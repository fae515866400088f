"""Generates the admission by one circuit and one token bucket, with the text of both rules in it.

Nearly every call is admitted by these two, and calling the two rules would take 7 % of its time.
`python -m tools.inlined` makes the module from the function that calls the rules, and from the
rules; `python -m tools.inlined --check` only compares, and exits with status 1 if the module is out
of date.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import Final

from tools.command_line import tool_parser

ROOT: Final = Path(__file__).resolve().parents[1]
MODULE: Final = "src/moorage/adapters/state/_inlined_admission.py"
TEMPLATE: Final = ("src/moorage/adapters/state/_memory_admissions.py", "_for_two")
RULES: Final = {
    "rule_1": ("circuit", "src/moorage/domain/resilience/circuit.py", "fast_admit"),
    "rule_2": ("bucket", "src/moorage/domain/resilience/bucket.py", "fast_grant"),
}
"""For each rule that the template calls: the name of its object, its module and its method."""

_HEADER: Final = '''\
"""Admission by one circuit and one token bucket, with the code of both rules copied into it.

`python -m tools.inlined` makes this file; do not edit it.
"""

# ruff: noqa: C901, PLR0912, PLR0915, PLR1730, SLF001 - as in the functions that it is made from

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.adapters.concurrency.sections import release_if_held
from moorage.domain.resilience.admission import GO, refusal_by_open_circuit
from moorage.domain.state.commands import MISREAD

if TYPE_CHECKING:
    from moorage.adapters.state.memory import MemoryStorage
    from moorage.domain.resilience.admission import Admission, Admitted
    from moorage.domain.resilience.bucket import TokenBucket
    from moorage.domain.resilience.circuit import CircuitRule
    from moorage.domain.service.plan import Ask


'''


class _InlinedRule(ast.NodeTransformer):
    """Rewrites a rule's body as statements of the template.

    They stand in a loop that runs once: a result is assigned, and `break` leaves the rule.
    """

    def __init__(self, owner: str, result: str, names: dict[str, str]) -> None:
        self.owner = owner
        self.result = result
        self.names = names
        self.attributes: set[str] = set()

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if isinstance(node.value, ast.Name) and node.value.id == "self":
            self.attributes.add(node.attr)
            return ast.Name(f"{self.owner}_{node.attr}", node.ctx)
        return self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.Name(self.names.get(node.id, node.id), node.ctx)

    def visit_Return(self, node: ast.Return) -> list[ast.stmt]:
        if isinstance(node.value, ast.Constant) and node.value.value is None:
            return [ast.Break()]
        value = self.visit(node.value) if node.value else None
        assert value is not None
        return [ast.Assign([ast.Name(self.result, ast.Store())], value), ast.Break()]


class _Inlining(ast.NodeTransformer):
    """Replaces the template's calls of rules by the rules' statements."""

    def __init__(self) -> None:
        self.attributes: dict[str, set[str]] = {}

    def visit_Assign(self, node: ast.Assign) -> ast.AST | list[ast.stmt]:
        target, value = node.targets[0], node.value
        condition: ast.expr | None = None
        if isinstance(value, ast.IfExp):
            # `None if <the rule before refused> else rule(...)`
            condition, value = value.test, value.orelse
        if not (
            isinstance(target, ast.Name)
            and isinstance(value, ast.Call)
            and isinstance(value.func, ast.Name)
            and value.func.id in RULES
        ):
            return node
        owner, module, method = RULES[value.func.id]
        rule = function_in(module, method)
        number = value.func.id.removeprefix("rule")
        parameters = [argument.arg for argument in (*rule.args.posonlyargs, *rule.args.args)][1:]
        argument_texts = [ast.unparse(argument) for argument in value.args]
        names = dict(zip(parameters, argument_texts, strict=True))
        for inner in ast.walk(rule):
            if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store) and inner.id != "_":
                names.setdefault(inner.id, inner.id + number)
        inlined = _InlinedRule(owner, target.id, names)
        body: list[ast.stmt] = []
        for statement in rule.body[1:]:  # the first is the docstring
            if ast.unparse(statement).startswith("if state is None:"):
                continue  # the template's states exist
            visited = inlined.visit(statement)
            body += visited if isinstance(visited, list) else [visited]
        self.attributes[owner] = inlined.attributes
        loop = ast.While(ast.Constant(True), body, [])
        loop_or_condition = (
            loop if condition is None else ast.If(_negated_condition(condition), [loop], [])
        )
        return [ast.Assign([target], ast.Constant(None)), loop_or_condition]


def _negated_condition(condition: ast.expr) -> ast.expr:
    assert isinstance(condition, ast.Compare)
    return ast.Compare(condition.left, [ast.IsNot()], condition.comparators)


def function_in(module: str, name: str) -> ast.FunctionDef:
    """Return the syntax tree of a function or method of a module."""
    tree = ast.parse((ROOT / module).read_text(encoding="utf-8"))
    return next(
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == name
    )


def inlined_module() -> str:
    """Return the source of the generated module."""
    template = function_in(*TEMPLATE)
    inlining = _Inlining()
    (decide,) = (node for node in template.body if isinstance(node, ast.FunctionDef))
    decide = inlining.visit(decide)
    source = [
        "def for_circuit_and_bucket(",
        "    store: MemoryStorage, circuit: CircuitRule, bucket: TokenBucket, cost: int",
        ") -> Ask:",
        '    """Return a function that admits calls by a circuit and a limit, for any keys."""',
        "    cells, nanoseconds, offset = store._cells, store._nanoseconds, store._offset",
    ]
    source += [
        f"    {owner}_{name} = {owner}.{name}"
        for owner, names in inlining.attributes.items()
        for name in sorted(names)
    ]
    body = ast.unparse(ast.fix_missing_locations(decide)).replace("cost_2", "cost")
    body = body.replace("if has_circuit else AT_ONCE", "")
    source += ["", *(f"    {line}" for line in body.splitlines())]
    source += ["", "    return decide_admission", ""]
    return _formatted(_HEADER + "\n".join(source))


def _formatted(source: str) -> str:
    command = [sys.executable, "-m", "ruff", "format", "--stdin-filename", MODULE, "-"]
    return subprocess.run(
        command, cwd=ROOT, input=source, capture_output=True, encoding="utf-8", check=True
    ).stdout


def main(*, check: bool) -> int:
    """Write the generated module, or check that it is current."""
    source = inlined_module()
    if not check:
        (ROOT / MODULE).write_text(source, encoding="utf-8")
    elif source != (ROOT / MODULE).read_text(encoding="utf-8"):
        print(f"{MODULE} is out of date: run `python -m tools.inlined`.")
        return 1
    return 0


if __name__ == "__main__":
    PARSER = tool_parser("inlined", __doc__)
    PARSER.add_argument("--check", action="store_true", help="compare, and write nothing")
    sys.exit(main(check=PARSER.parse_args().check))
