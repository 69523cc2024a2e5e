"""Files that appear whole or not at all: those between stages, with the same bytes each time, and downloaded ones."""
