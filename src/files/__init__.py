"""Read and write the files between stages: whole or not at all, and the same bytes for the same content."""
