"""Runs the demo by `python -m moorage.demo`, with only the core dependencies."""

import sys
import webbrowser

from moorage.demo import run_demo

if __name__ == "__main__":  # pragma: no cover - tests run it in a child process
    sys.exit(bool(run_demo(show=webbrowser.open if "--open" in sys.argv else None).wrong))
