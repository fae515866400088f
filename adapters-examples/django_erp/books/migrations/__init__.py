"""How the tables have come about."""
