import re
from pathlib import Path

from src.report.words import ANCHORS, WORDS, linked


def test_the_first_use_of_a_word_in_a_section_leads_to_its_explanation() -> None:
    found = linked("<p>The recall, the recall</p><p>of proposals</p>")
    assert found.count("<a ") == 2
    assert f'<a class="word" href="#{ANCHORS["recall"]}" title="{WORDS["recall"]}">recall</a>, the recall' in found
    assert f'href="#{ANCHORS["proposal"]}"' in found
    assert ">proposals</a>" in found


def test_only_text_of_paragraphs_and_heads_of_tables_is_linked() -> None:
    body = '<p title="recall">none</p><figcaption>recall</figcaption><path d="mAP"/><td>mAP</td><h3>IoU</h3>'
    assert linked(body) == body
    assert "<a " in linked('<thead><tr><th scope="col">MABO</th></tr></thead>')


def test_on_a_phone_the_names_of_columns_in_the_cells_are_linked_once_more() -> None:
    cells = '<td><span class="of">MABO</span> 0.8</td>'
    found = linked(f"<thead><tr><th>MABO</th></tr></thead>{cells}{cells}")
    assert found.count('<a class="word"') == 2
    assert found.index("MABO</a></th>") < found.index("MABO</a></span> 0.8")
    assert found.endswith(cells)


def test_parts_of_other_words_are_not_linked() -> None:
    assert linked("<p>maps recalled</p>") == "<p>maps recalled</p>"


def test_every_link_has_its_explanation_on_the_page(built: Path) -> None:
    text = built.read_text()
    links = set(re.findall(r'<a class="word" href="#([\w-]+)"', text))
    assert len(links) > 8
    assert all(f'id="{anchor}"' in text for anchor in links)
    for word, anchor in ANCHORS.items():
        assert re.search(rf'id="{anchor}"><dt>{word}</dt>', text)
