"""The files between stages: written completely or not at all, with the same bytes for the same content."""
