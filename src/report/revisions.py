"""Two revisions side by side, if the page gets a comparison; the pipeline's own page says how to make one."""

import json

from src.report.blocks import Block, More, Paragraph, Section, Table
from src.report.inputs import Inputs

COMMAND = "python -m commands.compare mine change --page"
WITHOUT = (
    f"This page shows one state of the pipeline. The command {COMMAND} writes it once more, to report/compared.html, "
    "with a table here that says which figures of the two states differ by more than chance. A state is a commit, or "
    "has a name from dvc exp save -n mine; docs/comparing.md explains the table."
)


def section(inputs: Inputs) -> Section:
    """Show the table of the comparison and its verdict; without a comparison, the command that adds it."""
    return Section("Two revisions", "revisions", [Paragraph(WITHOUT)] if inputs.comparison is None else _table(inputs))


def _table(inputs: Inputs) -> list[Block]:
    assert inputs.comparison is not None
    found = json.loads(inputs.comparison.read_text())
    rows = [[None if cell == "-" else cell for cell in row] for row in found["rows"]]
    words = [Paragraph(text) for text in found["words"]]
    return [
        Paragraph(f"{found['verdict']} All other sections show the files as they are now."),
        Table(f"Old: {found['old']}. New: {found['new']}.", found["head"], rows),
        More("The columns and words of the table", words),
    ]
