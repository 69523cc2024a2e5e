from pathlib import Path

import pytest

from src.errors import InputError
from src.evaluation.mistakes import findings
from src.pictures.run import METHODS, Run
from src.pictures.scene import chosen
from tests.pictures.toy import OBJECTS, write_run


def choice(run: Run) -> str:
    return chosen(run, {name: findings(run.detections(name), run.targets, run.images.classes) for name in METHODS})


def test_the_scene_is_the_first_with_enough_objects_in_which_the_better_method_finds_more(tmp_path: Path) -> None:
    assert choice(write_run(tmp_path)) == "000003"


def test_without_such_a_scene_it_is_the_first_with_an_object(tmp_path: Path) -> None:
    few = {name: objects for name, objects in OBJECTS.items() if len(objects) < 3}
    assert choice(write_run(tmp_path, few)) == "000002"


def test_without_any_object_the_message_names_the_file(tmp_path: Path) -> None:
    run = write_run(tmp_path, {"000001": []})
    with pytest.raises(InputError, match=r"voc\.zip: no image of the split `test` has an object"):
        choice(run)
