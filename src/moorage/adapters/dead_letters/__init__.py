"""Places for records that a pipeline could not process."""
