from src.cards.limits import of_classifier, of_data, of_detector
from src.detection.sizes import Size


def test_a_sample_and_few_images_are_limits() -> None:
    drawn, few = of_data("sample", 60)
    assert "published" in drawn
    assert few.startswith("60 test images are few")
    assert of_data("official", 4952) == []
    assert "writers" in of_data("local", 10_000, same_people=True)[0]


def test_the_weakest_class_is_named() -> None:
    said = of_detector(["boat", "car"], Size(128), {"boat": 0.25, "car": 0.5})
    assert any("128 x 128" in sentence for sentence in said)
    assert "It is weakest on boat, with an AP of 0.250." in said
    assert any("2 classes" in sentence for sentence in said)


def test_a_detector_of_one_class_and_one_of_none() -> None:
    assert any("1 class and" in sentence for sentence in of_detector(["car"], None, {"car": 0.5}))
    assert any("not what it is" in sentence for sentence in of_detector([], Size(600, 1000), {}))


def test_a_class_without_test_images_is_not_the_one_missed_most() -> None:
    classes = {"one": {"recall": 0.0, "images": 0}, "two": {"recall": 0.5, "images": 3}}
    said = of_classifier(["one", "two"], classes, flip=True)
    assert "It misses two most often: its recall is 0.500." in said
    assert "mirror" in said[-1]
    assert len(of_classifier(["one"], {"one": {"recall": 0.0, "images": 0}}, flip=False)) == 1
