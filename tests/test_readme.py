import json
import re
import subprocess
from pathlib import Path

import pytest

from commands.results_table import METRICS, read, table
from commands.write_deps import ROOT
from src.params import ParamsError, read_params
from src.schema import Params

README = (ROOT / "README.md").read_text()


def committed() -> dict:
    """Return the metrics of the last commit; those in `metrics/` differ if another machine has run the pipeline."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    paths = git("ls-tree", "--name-only", "HEAD", "metrics/").split()
    return {
        path.removeprefix("metrics/").removesuffix(".json"): json.loads(git("show", f"HEAD:{path}"))
        for path in paths
        if path.endswith(".json")
    }


def test_table_is_that_of_the_committed_metrics_or_of_those_about_to_be_committed() -> None:
    shown = README.split("-->\n")[1].split("\n<!--")[0]
    assert shown in [table(metrics) for metrics in (committed(), read(ROOT / METRICS)) if "summary" in metrics]


def test_files_that_the_documents_link_to_exist() -> None:
    for document in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
            assert target.startswith("http") or (document.parent / target).exists(), f"{document.name}: {target}"


def test_profiles_and_targets_that_the_documents_name_exist() -> None:
    text = "".join(path.read_text() for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
    for name in re.findall(r"commands\.profile ([a-z]\w+)", text):
        assert (ROOT / f"profiles/{name}.yaml").exists()
    for target in re.findall(r"^make (\w+)", text, re.MULTILINE):
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_the_picture_and_the_first_command_stand_before_all_else() -> None:
    before_results = README.split("## Results")[0]
    assert before_results.index("docs/pictures/scene.png") < before_results.index("make repro") < 3000


def test_the_refusal_that_the_quickstart_shows_is_the_one_that_check_prints(tmp_path: Path) -> None:
    text = (ROOT / "params.yaml").read_text()
    changed = re.sub(r"(?m)(^detect_rcnn:\n(?:  .*\n)*?  nms_thresh:) \S+", r"\1 4", text)
    (tmp_path / "params.yaml").write_text(changed)
    with pytest.raises(ParamsError) as refused:
        read_params(tmp_path / "params.yaml", Params)
    words = str(refused.value).replace(f"{tmp_path}/", "check: ")
    assert words in (ROOT / "docs/quickstart.md").read_text()
