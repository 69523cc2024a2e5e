from pathlib import Path

import pytest

from src.errors import InputError
from src.ingest.source import local, resolved, state


@pytest.mark.parametrize("name", ["annotations.json", "a.XML", "data.yaml", "classes.txt"])
def test_a_file_of_annotations_has_no_images(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(
        InputError, match=rf"data\.voc\.path = .*{name} has no images: give the folder, or a tar or zip"
    ):
        local("data.voc.path", str(tmp_path / name), tmp_path / "raw")


def test_a_path_that_is_set_means_that_the_data_are_local() -> None:
    assert resolved("auto", None) == "sample"
    assert resolved("auto", "mine.zip") == "local"
    assert resolved("official", "mine.zip") == "official"


def test_the_state_of_a_path_changes_with_its_files_and_not_with_hidden_ones(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(b"a")
    (tmp_path / "nowhere.txt").symlink_to("none")  # as in a cache of git-annex
    states = [state(tmp_path)]
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "index").write_bytes(b"a")
    assert state(tmp_path) == states[0]
    (tmp_path / "images" / "a.jpg").write_bytes(b"ab")
    states.append(state(tmp_path))
    (tmp_path / "images" / "b.jpg").touch()
    states.append(state(tmp_path))
    (tmp_path / "images" / "b.jpg").rename(tmp_path / "images" / "c.jpg")
    states += [state(tmp_path), state(tmp_path / "images" / "a.jpg"), state(tmp_path / "none.zip")]
    (tmp_path / "images" / "a.jpg").write_bytes(b"abc")
    states.append(state(tmp_path / "images" / "a.jpg"))
    assert len(set(states)) == len(states)
