from src.cards.data import Split
from src.cards.figures import Figure
from src.cards.page import Card, markdown

CARD = Card(
    name="x",
    what="A detector.",
    origin="photos",
    splits=[Split("test", "the figures", 2, {"a|b": 3})],
    classes=["a|b"],
    first_label=1,
    figures=[Figure("mAP", 0.12345, {"chance": 0.1, "before": 0.0}, 0.0149), Figure("F1", 0.5, {})],
    parameters={"train": {"lr": 0.001, "patience": None}},
    limits=["Few images."],
    files={"models/x": "00"},
    loading="found = 1\n",
    header={"license": "mit", "tags": ["pytorch"]},
    picture=("x.jpg", "Three images"),
)


def test_tables_parameters_and_code_are_markdown() -> None:
    page = markdown(CARD)
    assert "| split | for | images | a\\|b |\n| --- | --- | --- | --- |\n| test | the figures | 2 | 3 |\n" in page
    assert "| measure | value | standard error | baseline |" in page
    assert "| mAP | 0.123 | 0.015 | 0.100 (chance), 0.000 (before) |\n| F1 | 0.500 |  |  |" in page
    assert "```yaml\ntrain:\n  lr: 0.001\n  patience: null\n```" in page
    assert page.endswith("```python\nfound = 1\n```\n")
    assert "Photos." in page


def test_the_header_comes_first_and_the_picture_after_the_first_sentence() -> None:
    page = markdown(CARD)
    assert page.startswith("---\nlicense: mit\ntags:\n- pytorch\n---\n\n# ")
    assert page.index(CARD.what) < page.index("![Three images](x.jpg)\n\n*Three images*") < page.index("## Data")
    assert "![" not in markdown(CARD._replace(picture=None))
