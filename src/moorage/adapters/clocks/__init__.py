"""The system's clocks, and ways to wait."""
