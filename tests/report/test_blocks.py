from src.report.blocks import Table


def test_columns_of_words_and_of_numbers() -> None:
    table = Table(
        "A table",
        ["name", "images", "score", "size", "said"],
        [["a", 3, "-0.5", "1 kB", None], ["b", None, "1", "0 B", "yes"]],
    )
    assert table.wordy() == [True, False, False, False, True]
    assert table.cards()
    assert not Table("A table", ["name", "images", "score"], []).cards()
    assert not Table("A table", ["name", "images", "score", "size"], [], narrow=True).cards()
    assert Table("Empty", ["name", "images"], []).wordy() == [False, False]
