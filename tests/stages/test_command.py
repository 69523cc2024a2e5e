"""The command line of a `run` function."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import pytest

from src.errors import InputError
from src.params import Count, Sections, Seed
from stages.command import command

CALLS: list[dict[str, object]] = []


class Params(Sections):
    seed: Seed


def stage(params: Params, *, images: Path, words: list[str], out: Path = Path("here")) -> None:
    CALLS.append({"seed": params.seed, "images": images, "words": words, "out": out})


def tool(
    name: Annotated[str, "of the method"],
    inputs: Annotated[Sequence[Path], "photos"] = (),
    *,
    size: Annotated[Count, "pixels"] = 10,
    limit: Annotated[float | None, "at most"] = None,
    kind: Literal["a", "b"] = "a",
    fast: bool = False,
) -> int:
    CALLS.append({"name": name, "inputs": inputs, "size": size, "limit": limit, "kind": kind, "fast": fast})
    return 3 if name == "three" else 0


def broken() -> None:
    raise InputError("params.yaml: seed = -1: take a positive number")


@pytest.fixture(autouse=True)
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("seed: 7\n")
    CALLS.clear()
    return CALLS


def test_a_stage_gets_its_sections_its_paths_and_its_defaults(calls: list[dict[str, object]]) -> None:
    command(stage, ["--images", "a.zip", "--words", "x", "y"])
    assert calls == [{"seed": 7, "images": Path("a.zip"), "words": ["x", "y"], "out": Path("here")}]


def test_a_command_has_positional_words_choices_flags_and_options_that_may_be_missing(
    calls: list[dict[str, object]],
) -> None:
    command(tool, ["ssd"])
    command(tool, ["ssd", "a.jpg", "b.jpg", "--size", "4", "--limit", "0.5", "--kind", "b", "--fast"])
    assert calls == [
        {"name": "ssd", "inputs": (), "size": 10, "limit": None, "kind": "a", "fast": False},
        {"name": "ssd", "inputs": [Path("a.jpg"), Path("b.jpg")], "size": 4, "limit": 0.5, "kind": "b", "fast": True},
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "the following arguments are required: name"),
        (["ssd", "--size", "0"], "argument --size: '0': Input should be greater than or equal to 1"),
        (["ssd", "--size", "big"], "argument --size: 'big': Input should be a valid integer"),
        (["ssd", "--kind", "c"], "argument --kind: 'c': Input should be 'a' or 'b'"),
        (["ssd", "--siz", "3"], "unrecognized arguments: --siz"),
    ],
)
def test_a_word_that_does_not_fit_is_refused_with_the_reason(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str], calls: list[dict[str, object]]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        command(tool, words)
    assert said in capsys.readouterr().err
    assert not calls


def test_help_has_the_words_of_the_signature_and_of_the_module(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        command(tool, ["--help"])
    text = capsys.readouterr().out
    for words in ("The command line of a `run` function.", "of the method", "photos", "pixels", "a|b"):
        assert words in text


def test_the_status_that_a_command_returns_is_that_of_the_process() -> None:
    with pytest.raises(SystemExit, match="3"):
        command(tool, ["three"])


def test_a_mistake_of_the_user_ends_with_its_sentence_and_the_status_that_is_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit, match=r"^test_command: params\.yaml: seed = -1: take a positive number$"):
        command(broken, [])
    with pytest.raises(SystemExit, match="2"):
        command(broken, [], status=2)
    assert capsys.readouterr().err == "test_command: params.yaml: seed = -1: take a positive number\n"
