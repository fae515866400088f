"""Messages published to streams of Redis."""
