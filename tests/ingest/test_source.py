from pathlib import Path

import pytest

from src.errors import InputError
from src.ingest.source import local


@pytest.mark.parametrize("name", ["annotations.json", "a.XML", "data.yaml", "classes.txt"])
def test_a_file_of_annotations_has_no_images(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(
        InputError, match=rf"data\.voc\.path = .*{name} has no images: give the folder, or a tar or zip"
    ):
        local("data.voc.path", str(tmp_path / name), tmp_path / "raw")
