raise ImportError(
    "durations.py (SECOND, DAY, count, seconds, ...) was overwritten by accident by the engineer "
    "of http.py, before it was committed. Its author should please write it again here, over this."
)
