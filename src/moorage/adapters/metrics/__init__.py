"""Stores of metrics about calls, which are observers too."""
