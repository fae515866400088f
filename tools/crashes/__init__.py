"""The crash matrix: calls with an effect, crash points and faults.

`python -m tools.crashes` runs the matrix and writes `docs/explanation/crashes.md`.
"""
