"""The connector of SQL databases."""
