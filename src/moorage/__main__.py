"""The command line as `python -m moorage`."""

import sys

from moorage.cli import main

if __name__ == "__main__":  # pragma: no cover - tests run it in a child process
    sys.exit(main())
