"""Every command in a block of README.md, CONTRIBUTING.md and docs/ can be typed: its words are parsed, not run.

docs/results.md is left out, because its commands belong to the commits that it names.
"""

import importlib
import inspect
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dvc.cli import DvcParserError
from dvc.cli.parser import get_main_parser
from ruamel.yaml import YAML

from commands.nested import flatten
from commands.profile import PROFILES, flags
from commands.write_deps import ROOT
from src.errors import InputError
from src.params import validated
from src.schema import Params
from stages import command as calls

DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PLAIN = {".", "export", "git", "pip", "apt-get", "openssl", "qemu-x86_64"}  # programs that are not the project's
PLACEHOLDERS = re.compile(r"\b(STAGE|NAME|FILE|FOLDER)\b|\.\.\.")
PARAMETERS = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
PIPELINE = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]
INLINE = ("README.md", "quickstart.md")  # documents whose commands within sentences count, too


def written(path: Path) -> Iterator[str]:
    """Yield the commands of a document, without comments and placeholders."""
    text = path.read_text()
    for block in re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        for line in block.replace("\\\n", " ").splitlines():
            yield from re.split(r"\s*(?:;|&&)\s+", re.sub(r"\s+#\s.*|^#.*", "", line))
    if path.name in INLINE:
        yield from re.findall(r"`((?:python -m|dvc|make|pytest) [^`]+)`", text.replace("\n", " "))


def unexplained(text: str) -> list[str]:
    """Return the commands of which a document says nothing: no comment beside them, and no words around."""
    found = []
    for above, block, below in re.findall(r"(.?)\s*^```sh\n(.*?)^```\n\s*(.?)", text, re.DOTALL | re.MULTILINE):
        lines = block.replace("\\\n", " ").splitlines()
        found += [line for line in lines if line and "# " not in line and above != ":" and below in ("", "#")]
    return found


COMMANDS = sorted(
    {
        (path.name, line.strip())
        for path in DOCUMENTS
        for line in written(path)
        if path.name != "results.md" and line.strip() and not PLACEHOLDERS.search(line)
    }
)


@pytest.mark.parametrize(("document", "line"), COMMANDS)
def test_a_command_is_one_that_the_project_takes(document: str, line: str) -> None:
    understand(line)


@pytest.mark.parametrize("path", [path for path in DOCUMENTS if path.name != "results.md"], ids=lambda path: path.name)
def test_a_document_says_what_a_command_does_or_prints(path: Path) -> None:
    assert unexplained(path.read_text()) == []


def test_a_command_without_a_word_would_be_found() -> None:
    block = "```sh\nmake demo      # a page\nmake repro\n```\n\n"
    assert unexplained(f"{block}## The next section") == unexplained(block) == ["make repro"]
    assert unexplained(f"{block}It prints a table.") == unexplained(f"Two ways:\n\n{block}") == []


@pytest.mark.parametrize(
    "line",
    [
        "python -m commands.predct ssd300 photos/",
        "python -m commands.predict ssd300 photos/ --ot x",
        "python -m commands.export",
        "dvc exp run -S detect_rcnn.nms_tresh=0.4",
        "dvc exp run -S +detect_rcnn.nms_thresh=0.4",
        "dvc exp run -S detect_rcnn.nms_thresh=4",
        "dvc exp run evaluate_detections@yolo",
        "dvc exp run $(python -m commands.profile no_such)",
        "dvc exp sav -n mine",
        "make everything",
        "pytest tests/test_nothing.py",
        "dask workers tcp://HOST:8786",
        "rm -r data",
    ],
)
def test_a_command_that_the_project_does_not_take_would_be_found(line: str) -> None:
    with pytest.raises((AssertionError, SystemExit, DvcParserError, InputError)):
        understand(line)


def understand(line: str) -> None:
    """Fail if a command has a wrong program, option, target, stage, profile, parameter or value."""
    profiles = [
        name for found in re.findall(r"\$\(python -m commands\.profile ([^)]+)\)", line) for name in found.split()
    ]
    words = shlex.split(re.sub(r"\$\([^)]*\)", "", line))
    while re.fullmatch(r"[A-Z_]+=\S*", words[0]):
        words = words[1:]
    program, rest = words[0], words[1:]
    if program == "make":
        for target in [word for word in rest if "=" not in word]:
            assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE), target
    elif program.endswith("python") or program == "pytest":
        module(*(rest[1:] if program != "pytest" else ["pytest", *rest]))
    elif program == "dvc":
        dvc(rest, profiles)
    elif program == "dask":
        dask(rest)
    else:
        assert program in PLAIN, program


def module(name: str, *words: str) -> None:
    """Parse the arguments of `python -m name` by the module's own parser."""
    if name == "pytest":
        for path in [word.partition("::")[0] for word in words if word.startswith("tests")]:
            assert (ROOT / path).exists(), path
        return
    source = ROOT / f"{name.replace('.', '/')}.py"
    assert source.exists(), name
    if "command(run" in source.read_text():
        run = importlib.import_module(name).run
        arguments = list(inspect.signature(run, eval_str=True).parameters.values())
        given = [argument for argument in arguments if not calls._is_model(argument.annotation)]
        calls._parser(run, given).parse_args(words)
    else:
        for option in [word for word in words if word.startswith("--")]:
            assert re.search(rf'"(--)?{option[2:]}"', source.read_text().replace("_", "-")), option


def dvc(words: list[str], profiles: list[str]) -> None:
    """Parse a command of DVC by its own parser; its stages and parameters must exist, and the values be valid."""
    options = get_main_parser().parse_args(words)
    for target in [word for word in getattr(options, "targets", None) or [] if words[0] in ("repro", "exp")]:
        assert target.partition("@")[0] in PIPELINE, target
        assert "@" not in target or target.partition("@")[2] in items(target.partition("@")[0]), target
    content: dict[str, Any] = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
    for profile in profiles:
        assert (ROOT / PROFILES / f"{profile}.yaml").exists(), profile
    overlay = flags([ROOT / PROFILES / f"{name}.yaml" for name in profiles], ROOT / "params.yaml") if profiles else []
    changes = [flag.removeprefix("-S ") for flag in overlay] + (getattr(options, "set_param", None) or [])
    for change in changes:
        key, _, value = change.partition("=")
        put(content, key, YAML(typ="safe").load(value))
    validated(content, Params, "")


def dask(words: list[str]) -> None:
    """Parse a command of Dask by its own parser."""
    name, *rest = words
    assert name in ("scheduler", "worker"), name
    main = pytest.importorskip(f"distributed.cli.dask_{name}", reason="needs Dask: see docs/cluster.md").main
    main.make_context(name, rest)


def put(content: dict[str, Any], key: str, value: Any) -> None:
    """Set a parameter; it must exist, or with `+` must not."""
    *above, last = key.removeprefix("+").split(".")
    for part in above:
        content = content[part]
    assert (last in content) != key.startswith("+"), key
    content[last] = value


def items(stage: str) -> list[str]:
    each = PIPELINE[stage].get("foreach", [])
    return list(PARAMETERS[each[2:-1]] if isinstance(each, str) else each)


def test_the_stages_that_the_documents_call_have_the_options_of_the_pipeline() -> None:
    """Another machine of a training calls its stage by hand, and a file of another name would be no output of DVC's."""
    lock = YAML(typ="safe").load((ROOT / "dvc.lock").read_text())["stages"]
    calls = {tuple(shlex.split(stage["cmd"])) for stage in lock.values()}
    lines = [line for _, line in COMMANDS if "-m stages." in line]
    assert lines
    for line in lines:
        words = shlex.split(line)
        assert tuple(words[words.index("python") :]) in calls, line


def test_the_parameters_that_the_documents_name_exist() -> None:
    known = {key for key, _ in flatten(PARAMETERS)}
    known |= {".".join(key.split(".")[:number]) for key in known for number in range(1, 6)}
    for path in DOCUMENTS:
        for key in re.findall(r"-S '?([a-z_]+(?:\.\w+)+)=", path.read_text()):
            assert key in known or path.name == "results.md", f"{path.name}: {key}"
