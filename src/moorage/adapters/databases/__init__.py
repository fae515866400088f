"""Database connections and transactions, for all adapters that store data in databases."""
