from pathlib import Path

import cv2
import numpy as np
import pytest

from src.files.prepared import decode_image
from src.ingest.archives import open_archive
from src.ingest.drawn import hands
from src.ingest.drawn.gesture import CLASSES, draw
from src.ingest.drawn.hands import SIDE, person, picture
from src.ingest.drawn.poses import FOLDED, POSES


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sample") / "sample.tar"
    draw(path, 3, 2, 0)
    return path


def read(path: Path) -> dict[str, bytes]:
    archive = open_archive(path)
    return {name: archive.read(name) for name in archive.names()}


def test_one_folder_a_class_and_the_person_in_the_name(drawn: Path) -> None:
    names = ["hand1_0001.jpg", "hand1_0003.jpg", "hand2_0002.jpg"]
    assert list(read(drawn)) == sorted(f"{gesture}/{name}" for gesture in CLASSES for name in names)
    assert [gesture[:4] for gesture in CLASSES] == [f"{number:03d}-" for number in range(14)]


def test_the_jpeg_shows_the_picture_in_its_colours(drawn: Path) -> None:
    image = decode_image(read(drawn)["003-ok/hand2_0002.jpg"])
    assert image is not None
    assert np.abs(image.astype(int) - picture(0, "003-ok", 2, person(0, 2))).mean() < 6


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(drawn: Path, tmp_path: Path) -> None:
    draw(tmp_path / "again.tar", 3, 2, 0)
    assert (tmp_path / "again.tar").read_bytes() == drawn.read_bytes()
    draw(tmp_path / "other.tar", 1, 2, 1)
    other, first = read(tmp_path / "other.tar"), read(drawn)
    assert all(other[name] != first[name] for name in other)


def test_a_picture_does_not_depend_on_how_many_are_drawn(drawn: Path, tmp_path: Path) -> None:
    draw(tmp_path / "fewer.tar", 2, 2, 0)
    fewer = read(tmp_path / "fewer.tar")
    assert len(fewer) == 28
    assert fewer.items() <= read(drawn).items()


def test_people_differ_and_stay_themselves() -> None:
    everyone = [person(0, number) for number in range(1, 7)]
    assert len(set(everyone)) == 6
    assert everyone == [person(0, number) for number in range(1, 7)]
    lightness = [sum(who.skin) for who in everyone]
    assert max(lightness) - min(lightness) > 200


def test_poses_are_pairwise_different_hands_of_a_thumb_and_four_fingers() -> None:
    assert len(set(POSES.values())) == len(POSES) == 14
    stretched = {name: sum(state != FOLDED for state in pose.fingers) for name, pose in POSES.items()}
    assert stretched["002-fist"] == stretched["011-thumbUp"] == 0
    assert stretched["000-one"] == stretched["013-pink"] == stretched["012-nine"] == stretched["010-gun"] == 1
    assert (stretched["005-yearh"], stretched["006-three"], stretched["007-four"], stretched["001-five"]) == (
        2,
        3,
        4,
        4,
    )


@pytest.mark.parametrize("gesture", CLASSES)
def test_the_hand_is_in_the_picture_in_one_piece(gesture: str, monkeypatch) -> None:
    masks = []
    monkeypatch.setattr(hands, "_arm", lambda rng, hand: masks.append(hand.mask))
    for number in range(1, 9):
        image = picture(0, gesture, number, person(0, number))
        assert image.shape == (SIDE, SIDE, 3)
        assert image.dtype == np.uint8
    for mask in masks:
        assert 0.06 < mask.mean() < 0.5
        assert cv2.connectedComponents(mask)[0] == 2  # the background and the hand
        border = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
        assert border.mean() < 0.12


def test_gestures_can_be_told_apart_by_their_outline(monkeypatch) -> None:
    """Most outlines are nearest to another outline of their class, for any turn and mirroring of the hand."""
    masks: list[np.ndarray] = []
    monkeypatch.setattr(hands, "_arm", lambda rng, hand: masks.append(hand.mask))
    labels = [gesture for gesture in CLASSES for _ in range(16)]
    for gesture in CLASSES:
        for number in range(1, 17):
            picture(0, gesture, number, person(0, 1))
    outlines = np.stack([cv2.resize(mask * 255, (16, 16), interpolation=cv2.INTER_AREA).ravel() for mask in masks])
    far = ((outlines[:, None].astype(int) - outlines[None]) ** 2).sum(axis=2).astype(float)
    np.fill_diagonal(far, np.inf)
    right = np.mean([labels[k] == label for k, label in zip(far.argmin(axis=1), labels, strict=True)])
    assert right > 0.5  # chance: 0.07
