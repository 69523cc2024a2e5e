"""The lines that `prepare` prints on a user's own set: counts, and what a user may not expect."""

from collections import Counter
from collections.abc import Mapping, Sequence

from src.ingest.boxed import Checked, Object, Splits
from src.ingest.image_files import passed_over

SHOWN = 20  # classes


def notes(images: Mapping[str, Checked], splits: Splits, names: Sequence[str], tolerance: float) -> list[str]:
    """Return a sentence for each thing that a user should know.

    Args:
        images: the images of all splits by id, at least one.
        splits: the ids by split.
        names: the classes that are kept; objects of others are left out here too.
        tolerance: the pixels by which a box may have been outside its image.
    """
    cut, rotated, dark = (sum(getattr(image, key) for image in images.values()) for key in ("cut", "rotated", "dark"))
    kept = {key: [item for item in image.objects if item.name in names] for key, image in images.items()}
    empty = sum(not objects for objects in kept.values())
    told = [
        (cut, f"{cut} boxes reached up to {tolerance:g} pixels over the border and were cut"),
        (rotated, f"{rotated} images have a rotation in EXIF, which is ignored: boxes refer to the stored pixels"),
        (dark, f"{dark} images are nearly black, as if 12 bits were stored in files of 16"),
        (empty, f"{empty} images have no object"),
    ]
    return [
        _counts(kept, splits, names),
        *_extremes(kept),
        *(words for number, words in told if number),
        *_twins(names),
    ]


def others(files: Sequence[str]) -> list[str]:
    """Return a sentence on files that no format reads, by suffix; empty if there are none."""
    counts = Counter(passed_over(files))
    words = ", ".join(f"{count} {suffix}" for suffix, count in sorted(counts.items()))
    return [f"files that are not read: {words}"] if words else []


def _counts(kept: Mapping[str, list[Object]], splits: Splits, names: Sequence[str]) -> str:
    shown = [name for name in splits if name != "trainval"] or list(splits)
    counts = {split: Counter(item.name for key in splits[split] for item in kept[key]) for split in shown}
    rows = [f"{name} {', '.join(str(counts[split][name]) for split in shown)}" for name in names[:SHOWN]]
    more = f"; and {len(names) - SHOWN} more classes" if len(names) > SHOWN else ""
    return f"objects by class ({', '.join(shown)}): {'; '.join(rows)}{more}"


def _extremes(kept: Mapping[str, list[Object]]) -> list[str]:
    """Name the boxes of the smallest and the largest area; empty if no class that is kept has an object."""
    boxes = [(item.box, item.name, key) for key, objects in kept.items() for item in objects]
    if not boxes:
        return []
    ends = (
        end(boxes, key=lambda found: (found[0][2] - found[0][0]) * (found[0][3] - found[0][1])) for end in (min, max)
    )
    words = [f"{x2 - x1:g} x {y2 - y1:g} pixels ({name} in {key})" for (x1, y1, x2, y2), name, key in ends]
    return [f"smallest box {words[0]}, largest {words[1]}"]


def _twins(names: Sequence[str]) -> list[str]:
    plain = {name: "".join(name.lower().split()) for name in names}
    alike = [sorted(name for name in names if plain[name] == key) for key in sorted(set(plain.values()))]
    return [f"the classes {' and '.join(twin)} differ in capitals or blanks alone" for twin in alike if len(twin) > 1]
