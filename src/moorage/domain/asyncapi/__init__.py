"""AsyncAPI descriptions: channels, operations and messages of a described application."""
