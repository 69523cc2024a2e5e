from src.report.blocks import Table


def test_columns_of_words_and_of_numbers() -> None:
    table = Table("A table", ["name", "images", "score", "date"], [["a", 3, "-0.5", None], ["b", None, "1", "2 May"]])
    assert table.wordy() == [True, False, False, True]
    assert Table("Empty", ["name", "images"], []).wordy() == [False, False]
