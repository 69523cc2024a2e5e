"""Campaigns that do harm to the pipeline and count what is lost: `python -m tests.faults` (`make faults`)."""
