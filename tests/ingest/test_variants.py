"""200 generated variants of sets as VOC, COCO and YOLO, from the user's own file to the data set.

A variant either loads with the right boxes, or gives one sentence that names the user's file and the remedy. The user's
file is copied first, as the stage `download` does, and no message may name the copy.
"""

import re
import unicodedata
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from src.errors import InputError
from src.files.prepared import DataSet
from src.ingest import formats
from src.ingest.archives import open_archive, store
from src.ingest.own_splits import OwnSplit
from tests.ingest.boxed_sets import WITH_SPLITS, WITHOUT_SPLITS, Files, Image, drawn, expected, splits
from tests.ingest.test_archives import FORMS
from tests.ingest.test_own_splits import SPLIT

LAYOUTS = [*WITH_SPLITS.items(), *WITHOUT_SPLITS.items()]
STEMS = ["im{}", "tür-{}", "a.b{}"]
REMEDY = re.compile(
    r"(?:: |, or |and )(?:add|annotate|change|choose|correct|give|keep|name|pack|remove|rename|replace|save|set|write) "
)
FOREIGN = {".git/HEAD": b"x", "__MACOSX/._im0.png": b"x", "Thumbs.db": b"x", "film.mp4": b"x", "LICENSE": b"x"}


def texts(files: Files, change: Callable[[bytes], bytes]) -> Files:
    return {name: content if name.lower().endswith(".png") else change(content) for name, content in files.items()}


HARMLESS: dict[str, Callable[[Files], Files]] = {
    "as it is": dict,
    "folders above": lambda files: {f"my set/Müll/{name}": content for name, content in files.items()},
    "line ends of Windows": lambda files: texts(files, lambda text: text.replace(b"\n", b"\r\n")),
    "byte order marks": lambda files: texts(files, lambda text: b"\xef\xbb\xbf" + text),
    "empty last lines": lambda files: texts(files, lambda text: text + b"\n\n"),
    "suffixes in capitals": lambda files: {name.replace(".png", ".PNG"): content for name, content in files.items()},
    "names of a Mac": lambda files: {unicodedata.normalize("NFD", name): files[name] for name in files},
    "files of other programs": lambda files: {**files, **FOREIGN},
}
DAMAGE = {
    "removed": None,
    "empty": b"",
    "no text": bytes(range(128, 200)),
    "a word": b"word\n",
    "numbers": b"1 2 3\n0 0.1 0.1 0.1 0.1\n",
    "braces": b'{"images": 3, "annotations": [[]], "categories": {}}',
    "entries": b'{"images": [{"id": 1, "file_name": 3}], "annotations": [{"bbox": []}], "categories": [{"id": null}]}',
    "settings": b"names: [ball]\ntrain: nowhere\n",
    "tags": b"<annotation><object><name>a</name><bndbox><xmin>1</xmin></bndbox></object></annotation>",
    "half": b"half",
}


def attempt(path: Path, files: Files, form: str) -> DataSet | str:
    """Load the user's set, `mine` in a folder of that path, by way of our copy; return the message of a refusal."""
    (path / "raw").mkdir()
    own = FORMS[form](path / form.replace("set", "mine").replace("folder", "mine"), files)
    try:
        archive = open_archive(store(own, path / "raw", "copied"), own)
        options: dict[str, Any] = {"classes": None, "other_classes": "drop", "limit": None, "jobs": 1, "format": "auto"}
        return formats.load([archive], **options, split=OwnSplit.model_validate(SPLIT))[0]
    except InputError as error:
        return str(error)


def boxes_of(data: DataSet, image_id: str) -> list[tuple[str, list[float]]]:
    entry = data.images[image_id]
    return [(data.classes[label - 1], box) for label, box in zip(entry["labels"], entry["boxes"], strict=True)]


def right(data: DataSet, images: list[Image], *, without: str = "") -> None:
    """Compare all images but one with what was drawn."""
    known = {image.stem: [(name, [x, y, x + w, y + h]) for name, (x, y, w, h) in image.objects] for image in images}
    for image_id in set(data.images) - {without}:
        assert boxes_of(data, image_id) == known[image_id]


def refused(message: str, *words: str) -> None:
    assert "mine" in message
    assert "copied" not in message
    assert "\n" not in message
    assert REMEDY.search(message), message
    for word in words:
        assert word in message


images_of_a_set = st.builds(
    lambda number, seed, stem: [i._replace(stem=stem.format(k)) for k, i in enumerate(drawn(number, seed))],
    st.integers(8, 12),
    st.integers(0, 99),
    st.sampled_from(STEMS),
)
layouts = st.sampled_from(range(len(LAYOUTS)))
forms = st.sampled_from(sorted(FORMS))
plain = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@settings(plain, max_examples=80)
@given(
    images_of_a_set, layouts, st.lists(st.sampled_from(sorted(HARMLESS)), min_size=1, max_size=3, unique=True), forms
)
def test_harmless_variants_load_with_the_right_boxes(tmp_path_factory, images, layout, changes, form) -> None:
    files = LAYOUTS[layout][1](images)
    for change in changes:
        files = HARMLESS[change](files)
    data = attempt(tmp_path_factory.mktemp("set"), files, form)
    assert isinstance(data, DataSet), data
    assert data.classes == expected(images)["classes"]
    assert set(data.images) == {image.stem for image in images}
    right(data, images)
    if layout < len(WITH_SPLITS):
        assert {name: sorted(ids) for name, ids in data.splits.items()} == splits(images)


@settings(plain, max_examples=80)
@given(images_of_a_set, layouts, st.sampled_from(sorted(DAMAGE)), st.integers(0, 999), forms)
def test_a_damaged_file_loads_or_is_one_sentence_with_its_set_and_the_remedy(
    tmp_path_factory, images, layout, damage, number, form
) -> None:
    files = LAYOUTS[layout][1](images)
    name = sorted(files)[number % len(files)]
    content = files.pop(name)
    if damage != "removed":
        files[name] = content[: len(content) // 2] if damage == "half" else DAMAGE[damage] or b""
    found = attempt(tmp_path_factory.mktemp("set"), files, form)
    stem = PurePosixPath(name).stem
    if isinstance(found, str):
        refused(found)
    elif stem in {image.stem for image in images}:
        right(found, images, without=stem)


@settings(plain, max_examples=40)
@given(images_of_a_set, layouts, st.integers(66, 90), forms)
def test_boxes_outside_are_refused_and_all_their_files_are_named(tmp_path_factory, images, layout, far, form) -> None:
    wrong = [k for k, image in enumerate(images) if image.objects][:2]
    for k in wrong:
        (name, (x, y, w, h)), *others = images[k].objects
        images[k] = images[k]._replace(objects=[*others, (name, (x, y, w + far, h))])
    message = attempt(tmp_path_factory.mktemp("set"), LAYOUTS[layout][1](images), form)
    assert isinstance(message, str)
    refused(message, *(f"{images[k].stem}." for k in wrong))
    assert re.search("lies outside its image|is in pixels: write shares", message)
