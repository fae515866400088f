"""Generates synchronous modules from their asynchronous sources.

`python -m tools.twins` writes the twin of each module in `MODULES`, line by line, so that both have
the same line numbers. `python -m tools.twins --check` only compares; it prints the twins that are
out of date, and exits with status 1 if there are any.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Final

from tools.command_line import tool_parser

MODULES: Final = {
    "src/moorage/adapters/grpc/connector_async.py": "src/moorage/adapters/grpc/connector_sync.py",
    "src/moorage/adapters/grpc/operations_async.py": "src/moorage/adapters/grpc/operations_sync.py",
    "src/moorage/adapters/grpc/streams_async.py": "src/moorage/adapters/grpc/streams_sync.py",
    "src/moorage/adapters/http_operations/connector_async.py": (
        "src/moorage/adapters/http_operations/connector_sync.py"
    ),
    "src/moorage/adapters/http_operations/soap/connector_async.py": (
        "src/moorage/adapters/http_operations/soap/connector_sync.py"
    ),
    "src/moorage/adapters/http/pyreqwest/_whole_async.py": (
        "src/moorage/adapters/http/pyreqwest/_whole_sync.py"
    ),
    "src/moorage/adapters/imap/connector_async.py": "src/moorage/adapters/imap/connector_sync.py",
    "src/moorage/adapters/ldap/connector_async.py": "src/moorage/adapters/ldap/connector_sync.py",
    "src/moorage/adapters/links/connector_async.py": "src/moorage/adapters/links/connector_sync.py",
    "src/moorage/adapters/links/pool_async.py": "src/moorage/adapters/links/pool_sync.py",
    "src/moorage/adapters/links/shared_async.py": "src/moorage/adapters/links/shared_sync.py",
    "src/moorage/adapters/mongodb/changes_async.py": (
        "src/moorage/adapters/mongodb/changes_sync.py"
    ),
    "src/moorage/adapters/mongodb/connector_async.py": (
        "src/moorage/adapters/mongodb/connector_sync.py"
    ),
    "src/moorage/adapters/mongodb/documents_async.py": (
        "src/moorage/adapters/mongodb/documents_sync.py"
    ),
    "src/moorage/adapters/mongodb/operations_async.py": (
        "src/moorage/adapters/mongodb/operations_sync.py"
    ),
    "src/moorage/adapters/mongodb/streams_async.py": (
        "src/moorage/adapters/mongodb/streams_sync.py"
    ),
    "src/moorage/adapters/messages/publisher_async.py": (
        "src/moorage/adapters/messages/publisher_sync.py"
    ),
    "src/moorage/adapters/state/leasing_async.py": "src/moorage/adapters/state/leasing_sync.py",
    "src/moorage/hub/_run_following_async.py": "src/moorage/hub/_run_following_sync.py",
    "src/moorage/hub/connectors_async.py": "src/moorage/hub/connectors_sync.py",
    "src/moorage/hub/_step_cache_async.py": "src/moorage/hub/_step_cache_sync.py",
    "src/moorage/hub/_step_log_writer_async.py": "src/moorage/hub/_step_log_writer_sync.py",
    "src/moorage/hub/step_files_async.py": "src/moorage/hub/step_files_sync.py",
    "src/moorage/hub/step_connector_async.py": "src/moorage/hub/step_connector_sync.py",
    "src/moorage/hub/step_manager_async.py": "src/moorage/hub/step_manager_sync.py",
    "src/moorage/runtime/fast_operations_async.py": "src/moorage/runtime/fast_operations_sync.py",
    "src/moorage/runtime/fast_path_async.py": "src/moorage/runtime/fast_path_sync.py",
}

_RULES: Final = (
    (
        r"`python -m tools.twins` makes .*",
        "`python -m tools.twins` makes this file; do not edit it.",
    ),
    (r"\bawait |\basync (?=def |with |for )|\bAwaitable, (?=Callable)", ""),
    (r"\bAwaitable\[([^\[\]]+)\]", r"\1"),
    (r"\brun_later\b", "run_now"),
    (r"\b(Abstract)?Async(?=[A-Z])", r"\1"),
    (r"\b__a(?=(?:enter|exit|iter|next)__)", "__"),
    (r"(?<=[a-z])_async\b", "_sync"),
    (r"\baiter\(", "iter("),
    (r"\baclose\b", "close"),
    (r"`async (?=with|for)", "`"),
    (r"# only event loops (?=end|await)", "# pragma: no cover - only event loops "),
    (r"\ban asynchronous\b", "a synchronous"),
    (r"\basynchronous\b", "synchronous"),
)


def twin(source: str) -> str:
    """Return the synchronous variant of an asynchronous module's source."""
    for pattern, replacement in _RULES:
        source = re.sub(pattern, replacement, source)
    return source


def main(*, check: bool) -> int:
    """Write the synchronous modules, or check that they are current."""
    status = 0
    for source, target in MODULES.items():
        twin_source = twin(Path(source).read_text(encoding="utf-8"))
        if not check:
            Path(target).write_text(twin_source, encoding="utf-8")
        elif twin_source != Path(target).read_text(encoding="utf-8"):
            print(f"{target} is out of date: run `python -m tools.twins`.")
            status = 1
    return status


if __name__ == "__main__":
    PARSER = tool_parser("twins", __doc__)
    PARSER.add_argument("--check", action="store_true", help="compare, and write nothing")
    sys.exit(main(check=PARSER.parse_args().check))
