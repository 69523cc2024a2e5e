from src.evaluation.mistakes import MISTAKES, counts
from src.report.blocks import Grid, Subheading, Table
from src.report.gallery import IMAGES, WORST, section
from src.report.inputs import Inputs
from tests.report.conftest import flat


def test_counts_are_those_of_the_findings_by_class_and_for_all(inputs: Inputs) -> None:
    tables = [block for block in flat(section(inputs).blocks) if isinstance(block, Table)][1:]
    assert len(tables) == 4
    for table, found in zip(tables, inputs.findings.values(), strict=True):
        assert table.rows[-1] == ["all", *counts(found).values()]
        for column in range(1, len(table.head)):
            assert sum(row[column] for row in table.rows[:-1]) == table.rows[-1][column]


def test_every_kind_that_there_is_has_its_worst_pictures(inputs: Inputs) -> None:
    blocks = section(inputs).blocks
    shown = [block.text.split(":")[0].lower() for block in blocks if isinstance(block, Subheading) and block.level == 4]
    wanted = [kind for found in inputs.findings.values() for kind in MISTAKES if counts(found)[kind]]
    assert shown == wanted
    assert all(len(block.blocks) <= WORST for block in blocks if isinstance(block, Grid) and ":" in block.label)


def test_pictures_are_of_images_with_objects_and_say_what_is_there(inputs: Inputs) -> None:
    pictures = next(block for block in section(inputs).blocks if isinstance(block, Grid)).blocks
    with_objects = [image_id for image_id in inputs.test_ids if len(inputs.targets[image_id]["boxes"])]
    assert [picture.caption.split(":")[0] for picture in pictures] == with_objects[:IMAGES]
    for picture in pictures:
        assert any(name in picture.alt for name in inputs.images.classes)


def test_a_misplaced_box_never_reads_as_one_that_overlaps_enough(inputs: Inputs) -> None:
    captions = [
        picture.caption
        for block in section(inputs).blocks
        if isinstance(block, Grid) and block.label.endswith("localisation")
        for picture in block.blocks
    ]
    assert captions
    assert all(0.1 <= float(caption.split("IoU ")[1][:4]) < 0.5 for caption in captions)
