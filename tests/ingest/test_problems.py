from src.ingest.problems import SHOWN, ProblemsError, write_problems


def test_the_first_problems_are_shown_and_the_others_counted() -> None:
    problems = [f"file {k}: bad: correct it" for k in range(SHOWN + 2)]
    few, many = ProblemsError(problems[:2]), ProblemsError(problems)
    assert str(few) == "file 0: bad: correct it; file 1: bad: correct it"
    assert str(many).endswith(f"file {SHOWN - 1}: bad: correct it; and 2 more problems")
    assert many.problems == problems
    assert str(ProblemsError(problems[:2], "files 0 and 1 are bad")) == "files 0 and 1 are bad"


def test_the_table_has_a_row_per_problem(tmp_path) -> None:
    write_problems(tmp_path / "new" / "problems.csv", ["a, b", "Müll"])
    assert (tmp_path / "new" / "problems.csv").read_text("utf-8") == 'problem\n"a, b"\nMüll\n'
