"""What a person runs beside the pipeline: `python -m commands.NAME`. No stage stands on a command."""
