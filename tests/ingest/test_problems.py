from src.ingest.problems import SHOWN, ProblemsError, told


def test_the_first_problems_are_shown_and_the_others_counted() -> None:
    problems = [f"file {k}: bad: correct it" for k in range(SHOWN + 2)]
    few, many = ProblemsError(problems[:2]), ProblemsError(problems)
    assert str(few) == "file 0: bad: correct it; file 1: bad: correct it"
    assert str(many).endswith(f"file {SHOWN - 1}: bad: correct it; and 2 more problems")
    assert many.problems == problems
    assert str(ProblemsError(problems[:2], "files 0 and 1 are bad")) == "files 0 and 1 are bad"


def test_the_table_has_a_row_per_problem_if_there_are_several(tmp_path) -> None:
    path = tmp_path / "new" / "problems.csv"
    assert told(path, ["a, b"]) == told(path, []) == ""
    assert not path.exists()
    assert told(path, ["a, b", "Müll"]) == f"all 2 problems are in {path}"
    assert path.read_text("utf-8") == 'problem\n"a, b"\nMüll\n'
