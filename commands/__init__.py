"""Commands that a person runs beside the pipeline: `python -m commands.NAME`. No stage depends on a command."""
