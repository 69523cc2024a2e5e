import re
from pathlib import Path

import pytest

from commands import pictures
from commands.write_deps import ROOT
from src.errors import InputError
from src.files.prepared import decode_image
from src.params import read_params
from src.pictures import terms
from tests.pictures.toy import write_run

NAMES = {"scene", *terms.pictures(None)}  # type: ignore[arg-type]


def draw(root: Path, out: Path) -> dict[str, bytes]:
    pictures.run(read_params(root / "params.yaml", pictures.Params), root=root, out=out)
    return {path.stem: path.read_bytes() for path in out.glob("*")}


def test_every_picture_of_a_run_is_drawn_with_the_same_bytes_each_time(tmp_path: Path) -> None:
    write_run(tmp_path)
    first = draw(tmp_path, tmp_path / "a")
    assert first.keys() == NAMES
    assert all(decode_image(content) is not None for content in first.values())
    assert draw(tmp_path, tmp_path / "b") == first


def test_a_missing_output_is_named_with_the_remedy(tmp_path: Path) -> None:
    write_run(tmp_path)
    (tmp_path / "data/scores/rcnn.npy").unlink()
    with pytest.raises(InputError, match=r"scores/rcnn\.npy is missing.*run `make repro` first"):
        draw(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_committed_pictures_are_small_and_each_is_shown_with_words_for_those_who_do_not_see_it() -> None:
    committed = {path.stem: path for path in (ROOT / "docs/pictures").glob("*.png")}
    assert committed.keys() == NAMES | {"costs"}  # of commands/costs.py
    assert all(path.stat().st_size < pictures.MOST_BYTES for path in committed.values())
    documents = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    shown = re.findall(r"!\[([^\]]{20,})\]\((?:docs/)?pictures/(\w+)\.png\)", "".join(p.read_text() for p in documents))
    assert {name for _, name in shown} == NAMES | {"costs"}
