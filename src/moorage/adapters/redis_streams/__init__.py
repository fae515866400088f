"""The connector that publishes messages to Redis streams."""
