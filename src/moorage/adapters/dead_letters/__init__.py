"""Stores of records that a pipeline could not process."""
