"""The connector of WebSocket servers."""
