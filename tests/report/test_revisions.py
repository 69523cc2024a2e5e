import dataclasses
import json
from pathlib import Path

from src.report.blocks import Paragraph, Table
from src.report.inputs import Inputs
from src.report.revisions import COMMAND, section
from tests.test_documented_commands import understand


def test_without_a_comparison_one_sentence_names_the_command(inputs: Inputs) -> None:
    (block,) = section(inputs).blocks
    assert isinstance(block, Paragraph)
    assert COMMAND in block.text
    understand(COMMAND)


def test_a_comparison_is_shown_with_both_names_and_its_verdict(inputs: Inputs, tmp_path: Path) -> None:
    path = tmp_path / "compared.json"
    content = {
        "old": "mine (1a2b3c4)",
        "new": "change (5d6e7f8)",
        "verdict": "Verdict: 1 better, 0 worse, 0 noise, 0 same.",
        "head": ["metric", "old", "new", "change", "95 % interval", "seed", "verdict"],
        "rows": [["rcnn.map_voc07", "0.6000", "0.7000", "+0.1000", "+0.0500 .. +0.1500", "-", "better"]],
        "words": ["interval: of the change."],
    }
    path.write_text(json.dumps(content))
    verdict, table, more = section(dataclasses.replace(inputs, comparison=path)).blocks
    assert verdict.text.startswith("Verdict: 1 better")
    assert isinstance(table, Table)
    assert "mine (1a2b3c4)" in table.caption
    assert "change (5d6e7f8)" in table.caption
    assert table.rows == [["rcnn.map_voc07", "0.6000", "0.7000", "+0.1000", "+0.0500 .. +0.1500", None, "better"]]
    assert table.wordy() == [True, False, False, False, False, False, True]
    assert [block.text for block in more.blocks] == ["interval: of the change."]
