"""Vendors of calendars."""
