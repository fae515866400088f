"""Stores of figures about calls, which are observers too."""
