"""Threads, tasks and forks: locks, concurrent steps, and timers."""
