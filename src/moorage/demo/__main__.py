"""Runs the demo for `python -m moorage.demo`, with the core dependencies alone."""

import sys
import webbrowser

from moorage.demo import tell

if __name__ == "__main__":  # pragma: no cover - tests run it in a child process
    sys.exit(bool(tell(show=webbrowser.open if "--open" in sys.argv else None).wrong))
