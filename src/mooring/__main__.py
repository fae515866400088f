"""`python -m mooring` is the command line."""

import sys

from mooring.cli import main

if __name__ == "__main__":  # pragma: no cover - tests run it in processes of their own
    sys.exit(main())
