"""Messages for brokers: their values, the rules of each broker, and the meaning of its failures."""
