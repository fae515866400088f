"""The crash matrix: each call is interrupted at each crash point by each fault.

`python -m tools.crashes` runs the matrix and writes `docs/explanation/crashes.md`.
"""
