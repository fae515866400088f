"""Local file storage vendors."""
