"""The library that the DVC stages call. It is imported from the repository root, never installed."""
