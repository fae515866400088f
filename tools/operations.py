"""Generates the classes that users call from the declarations of the contracts.

It also generates the table of built-in vendors from the entry points in `pyproject.toml`.
`python -m tools.operations` writes the files, and `make operations` runs it. A test compares them
with their sources.
"""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
import textwrap
import tomllib
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.catalog import CONTRACTS, contract
from moorage.domain.values.uncopyable import Uncopyable
from tools.command_line import tool_parser

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator
    from types import ModuleType

    from moorage.contracts.declaration import Contract

ROOT: Final = Path(__file__).parent.parent
SOURCE: Final = Path("src/moorage")
_NOTE: Final = "Written by tools/operations.py from the declarations in contracts/declared."
SERVICES: Final = "moorage.services.contracts"
_OWN_FLOWS: Final = '''
class {name}Flows(Flows, {name}Contract):
    """The operations of one tenant."""

'''
_RESULT: Final = "Requirements"
_MODES: Final = ("", "Async")
_VENDOR_GROUP: Final = "moorage.vendors"
_LONGEST_DOCSTRING: Final = 86  # in a method, with its quotes


def files() -> dict[Path, str]:
    """Return the text of each generated file, by its repository path."""
    texts = {SOURCE / "operations" / f"{kind}.py": _operations(kind) for kind in CONTRACTS}
    texts[SOURCE / "operations" / "__init__.py"] = _package()
    texts[SOURCE / "hub" / "contract_methods.py"] = _hub_methods()
    texts[SOURCE / "wiring" / "vendor_classes.py"] = _vendor_classes()
    return {path: _format(text, path) for path, text in texts.items()}


def main(root: Path = ROOT) -> None:
    """Write the generated files to a folder."""
    for path, text in files().items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, "utf-8")


def _format(text: str, path: Path) -> str:
    for command in (["check", "--select=I,F401", "--fix-only"], ["format"]):
        ruff = [sys.executable, "-m", "ruff", *command, "-q", f"--stdin-filename={path}", "-"]
        run = subprocess.run(ruff, input=text, capture_output=True, text=True, check=True, cwd=ROOT)
        text = run.stdout
    return text


# --- the classes of a contract -----------------------------------------------


def _operations(kind: str) -> str:
    declaration = contract(kind)
    name = kind.capitalize()
    by_hand = _by_hand(kind)
    sources = [_Source(import_module(declaration.__module__))]
    imports_at_run_time = {f"from {SERVICES}.live_configuration import CurrentOperations"}
    own_flows = ""
    if declaration.flows:
        sources.append(_Source(import_module(f"{SERVICES}.{kind}")))
        imports_at_run_time.add(f"from {SERVICES}.{kind} import {name}Flows")
    else:
        imports_at_run_time.add(f"from {declaration.__module__} import {name}Contract")
        imports_at_run_time.add(f"from {SERVICES}.flows import Flows")
        own_flows = _OWN_FLOWS.format(name=name)
    all_line, methods_by_hand = "", set[str]()
    if by_hand is None:
        imports_at_run_time.add(f"from {Uncopyable.__module__} import {Uncopyable.__name__}")
    else:
        public_classes = {item for item in by_hand.classes if not item.startswith("_")}
        imports_at_run_time |= {f"from {by_hand.module} import {item}" for item in public_classes}
        names = {item for item in public_classes if not item.endswith("Methods")}
        all_line = f"__all__ = {sorted(names | {f'{mode}{name}' for mode in _MODES})}"
        methods_by_hand |= by_hand.classes[f"{name}Methods"].keys()
    methods = _methods(declaration, sources, methods_by_hand)
    imports = {key: line for source in sources for key, line in source.imports.items()}
    defaults = {name for method in methods for name in _names(*_defaults(method.args))}
    types = {name for method in methods for name in _names(method.args, method.returns)}
    imports_at_run_time |= {imports[name] for name in defaults & imports.keys()}
    for_types = {imports[name] for name in (types - defaults) & imports.keys()}
    classes = [
        _class(
            name, mode, f"{mode}{name}Methods" if by_hand else "Uncopyable", declaration, methods
        )
        for mode in _MODES
    ]
    title = CONTRACTS[kind].lower()
    return f'''"""The operations on {title} for users, synchronous and asynchronous.

{_NOTE}
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.runtime.flows import run_now
{_command_lines(imports_at_run_time)}

if TYPE_CHECKING:
    from {SERVICES}.live_configuration import FindDispatcher
{textwrap.indent(_command_lines(for_types), "    ")}

{all_line}
{own_flows}
{"".join(classes)}
'''


def _by_hand(kind: str) -> _Source | None:
    """Return the source of a contract's methods written by hand; None if there are none."""
    name = f"{SOURCE.name}.operations._{kind}"
    return None if find_spec(name) is None else _Source(import_module(name))


def _command_lines(lines: Iterable[str]) -> str:
    return "\n".join(sorted(lines))


def _names(*parts: ast.AST) -> set[str]:
    """Return the names that occur in these parts of a signature."""
    nodes = (node for part in parts for node in ast.walk(part))
    return {node.id for node in nodes if isinstance(node, ast.Name)}


def _defaults(parameters: ast.arguments) -> list[ast.expr]:
    keyword_defaults = (default for default in parameters.kw_defaults if default is not None)
    return [*parameters.defaults, *keyword_defaults]


class _Source:
    """A module's source: its imports, and its classes' methods.

    Attributes:
        module: name of the module.
        imports: for each name in the module, the line that imports it elsewhere.
        classes: for each class, its methods by name.
    """

    def __init__(self, module: ModuleType) -> None:
        tree = ast.parse(inspect.getsource(module))
        self.module = module.__name__
        self.imports: dict[str, str] = {}
        self.classes: dict[str, dict[str, Any]] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    name = alias.asname or alias.name
                    self.imports[name] = f"from {node.module} import {ast.unparse(alias)}"
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                functions = (ast.FunctionDef, ast.AsyncFunctionDef)
                methods = [item for item in node.body if isinstance(item, functions)]
                self.classes[node.name] = {method.name: method for method in methods}
                self.imports[node.name] = f"from {self.module} import {node.name}"
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                self.imports[node.target.id] = f"from {self.module} import {node.target.id}"


def _methods(
    declaration: type[Contract], sources: Iterable[_Source], written: Container[str]
) -> list[Any]:
    """Return the generated methods, with the operations' signatures and docstrings."""
    methods = {
        name: item
        for source in sources
        for methods in source.classes.values()
        for name, item in methods.items()
    }
    return [
        _with_result(methods[name])
        for name in declaration.operation_effects()
        if name not in written
    ]


def _with_result(method: Any) -> Any:
    """Return a declared method that returns its operation's result."""
    returns = method.returns
    if isinstance(returns, ast.Subscript) and ast.unparse(returns.value) == _RESULT:
        method.returns = returns.slice
    return method


def _class(
    name: str, mode: str, base: str, declaration: type[Contract], methods: Iterable[Any]
) -> str:
    doc = f"The asynchronous version of `{name}`." if mode else inspect.getdoc(declaration)
    return f'''
class {mode}{name}({base}):
    """{doc}"""

    def __init__(self, find_dispatcher: FindDispatcher, tenant: str | None) -> None:
        self._flows = CurrentOperations({name}Flows, find_dispatcher, tenant)
{"".join(_method(name, mode, method) for method in methods)}'''


def _method(name: str, mode: str, method: Any) -> str:
    start, run = ("async def", "await {}") if mode else ("def", "run_now({})")
    arguments = ", ".join([f"{name}Flows.{method.name}", *_forwarded_arguments(method.args)])
    doc = textwrap.indent(ast.get_docstring(method) or "", "        ").strip()
    end = "\n        " if "\n" in doc else ""
    return f'''
    {start} {method.name}({ast.unparse(method.args)}) -> {ast.unparse(method.returns)}:
        """{doc}{end}"""
        return {run.format(f"self._flows.run({arguments})")}
'''


def _forwarded_arguments(parameters: ast.arguments) -> Iterator[str]:
    yield from (parameter.arg for parameter in parameters.args[1:])
    yield from (f"{parameter.arg}={parameter.arg}" for parameter in parameters.kwonlyargs)


# --- the package of operations, the methods of hubs, and the vendors ---------


def _package() -> str:
    names = sorted(kind.capitalize() for kind in CONTRACTS)
    imports = "\n".join(
        f"    from {SOURCE.name}.operations.{name.lower()} import {mode}{name} as {mode}{name}"
        for name in names
        for mode in _MODES
    )
    return f'''"""The operations of the contracts for users, synchronous and asynchronous.

They contain no logic: their methods run the flows in `services`. A contract is loaded when its
operations are first used.

{_NOTE}
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

from {SOURCE.name}.domain.values.loading import LOADING_ERRORS, not_loaded_error

if TYPE_CHECKING:
{imports}

_CONTRACTS: Final = {tuple(names)!r}

if not TYPE_CHECKING:  # a type checker would take every name for exported

    def __getattr__(name: str) -> object:
        contract = name.removeprefix("Async")
        if contract not in _CONTRACTS:
            raise AttributeError(f"module {{__name__!r}} has no attribute {{name!r}}")
        try:
            module = import_module(f"{{__name__}}.{{contract.lower()}}")
        except LOADING_ERRORS as error:
            failure = error
        else:
            value = globals()[name] = getattr(module, name)
            return value
        raise not_loaded_error(f"The contract of {{contract}}", failure)


def __dir__() -> list[str]:
    return sorted({{*globals(), *_CONTRACTS, *(f"Async{{name}}" for name in _CONTRACTS)}})
'''


def _hub_methods() -> str:
    classes = "\n".join(_hub_class(mode) for mode in _MODES)
    imports = ", ".join(f"{mode}{kind.capitalize()}" for kind in CONTRACTS for mode in _MODES)
    return f'''"""The methods of hubs that return the operations of the contracts.

{_NOTE}
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage import operations

if TYPE_CHECKING:
    from moorage.operations import {imports}
    from moorage.services.contracts.live_configuration import LiveConfiguration

{classes}
'''


def _hub_class(mode: str) -> str:
    methods = "".join(
        f'''
    def {kind}(self, tenant: str | None = None, *, subject: str | None = None) -> {mode}{name}:
        """{hub_docstring(title.lower())}"""
        return operations.{mode}{name}(self._live.about(subject), tenant)
'''
        for kind, title in CONTRACTS.items()
        for name in [kind.capitalize()]
    )
    hub = "an asynchronous hub" if mode else "a hub"
    doc = f"The methods of {hub} that return the operations of its contracts"
    return f'''
class {mode}ContractMethods:
    """{doc}."""

    _live: LiveConfiguration
{methods}'''


def hub_docstring(title: str) -> str:
    """Return a docstring on one line, or on several if it is too long."""
    result, subject = f"Return the tenant's operations on {title}", "the person concerned."
    sentence = f"{result}; `subject` is {subject}"
    if len(sentence) <= _LONGEST_DOCSTRING:
        return sentence
    return f"{result}.\n\n        `subject` is {subject}\n        "


def _vendor_classes() -> str:
    points = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["entry-points"]
    places = {
        name: value.removeprefix(f"{_VENDOR_GROUP}.")
        for name, value in sorted(points[_VENDOR_GROUP].items())
    }
    return f'''"""The class of each built-in vendor below `moorage.vendors`, by the vendor's name.

Written by tools/operations.py from the entry points in pyproject.toml.
"""

from __future__ import annotations

from typing import Final

VENDOR_CLASSES: Final = {places}
'''


if __name__ == "__main__":
    tool_parser("operations", __doc__).parse_args()
    main()
