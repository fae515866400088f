"""The system's clocks, and waiting."""
