import re

from stages.results_table import METRICS, table
from tests.pipeline import ROOT

README = (ROOT / "README.md").read_text()


def test_table_is_that_of_the_metrics() -> None:
    shown = README.split("-->\n")[1].split("\n<!--")[0]
    assert shown == table(ROOT / METRICS)


def test_files_that_the_documents_link_to_exist() -> None:
    for document in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
            assert target.startswith("http") or (document.parent / target).exists(), f"{document.name}: {target}"


def test_profiles_and_targets_that_the_documents_name_exist() -> None:
    text = "".join(path.read_text() for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
    for name in re.findall(r"stages\.profile ([a-z]\w+)", text):
        assert (ROOT / f"profiles/{name}.yaml").exists()
    for target in re.findall(r"^make (\w+)", text, re.MULTILINE):
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
