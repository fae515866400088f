"""Messages for brokers: their values, each broker's rules, and the meaning of failures."""
