"""The detection lineage: what the DVC stages call. Imported from the repository root, never installed."""
