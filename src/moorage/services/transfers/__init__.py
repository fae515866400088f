"""The flows of uploads and downloads."""
