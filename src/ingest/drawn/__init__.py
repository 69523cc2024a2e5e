"""What the project draws itself, in the form of the real sets, so that a fresh clone runs without them."""
