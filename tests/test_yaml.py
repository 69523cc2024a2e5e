import os
from pathlib import Path

import pytest
from ruamel.yaml.error import YAMLError

from src.params import load_yaml, yaml_text

BOMB = "a: &a [1, 1]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


def test_an_alias_repeats_a_part_and_the_exponent_of_dvc_is_a_number() -> None:
    assert load_yaml("a: &x {b: 1}\nc: *x\nd: 1e-05\n") == {"a": {"b": 1}, "c": {"b": 1}, "d": 1e-05}
    assert load_yaml("") is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BOMB, "stands for more than 100000 values"),
        ("[" * 100_000, "more than 50 sections are inside one another"),
        ("a: " + "9" * 5000, "integer string conversion"),
        ("a: 2020-02-31", "day is out of range"),
        ("a: [1", "expected"),
    ],
)
def test_what_would_hang_or_end_the_process_is_refused(text: str, said: str) -> None:
    with pytest.raises(YAMLError, match=said):
        load_yaml(text)


def test_what_is_no_small_utf_8_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes("é".encode("latin-1"))
    (tmp_path / "long").write_bytes(b"#" * (2 << 20))
    os.mkfifo(tmp_path / "pipe")
    for name, said in {"latin": "UTF-8", "long": "longer than 1 MiB", "pipe": "a pipe", ".": "a folder"}.items():
        with pytest.raises(YAMLError, match=said):
            yaml_text(tmp_path / name)
