import json
import re
import subprocess

from commands.results_table import METRICS, read, table
from commands.write_deps import ROOT

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
