"""Data sets, one file each: `CLASSES` (or a way to read them) and `load`."""
