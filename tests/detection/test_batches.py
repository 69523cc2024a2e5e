import torch

from src.detection.augmentation import Augment
from src.detection.batches import DetectionBatches
from src.files.boxed_images import Samples
from tests.rcnn.conftest import samples  # noqa: F401 (a fixture)

AUGMENT = Augment(photometric=True, zoom_out=0.5, crop=True, flip=0.5)


def batches(samples: Samples, **changes: object) -> DetectionBatches:  # noqa: F811
    options = {"batch_size": 2, "seed": 3} | changes
    return DetectionBatches(samples, samples.ids("train"), 63, AUGMENT, **options)  # type: ignore[arg-type]


def test_a_batch_is_of_seed_and_index_alone(samples: Samples) -> None:  # noqa: F811
    first = batches(samples)
    seen = [first[index] for index in range(6)]
    torch.rand(5)
    state = torch.random.get_rng_state()
    again = batches(samples)
    for index in (4, 0, 5):
        assert again[index]["ids"] == seen[index]["ids"]
        assert torch.equal(again[index]["images"], seen[index]["images"])
    assert torch.equal(torch.random.get_rng_state(), state)  # the loop's own numbers are left alone
    assert not all(torch.equal(batches(samples, seed=4)[i]["images"], seen[i]["images"]) for i in range(6))


def test_difficult_objects_are_left_out_and_images_without_objects_are_not(samples: Samples) -> None:  # noqa: F811
    data = DetectionBatches(samples, samples.ids("train"), 63, batch_size=3)
    targets = dict(zip(data[0]["ids"], data[0]["targets"], strict=True))
    assert len(targets["empty"]["boxes"]) == 0
    assert targets["difficult"]["labels"].tolist() == [1]
    assert len(targets["two_classes"]["boxes"]) == 2


def test_a_kept_image_is_the_one_that_was_read(samples: Samples) -> None:  # noqa: F811
    plain = Augment(photometric=False, zoom_out=0.0, crop=False, flip=0.5)  # the resized image is kept
    data = DetectionBatches(samples, samples.ids("train"), 63, plain, batch_size=2, seed=3)
    first = [data[index] for index in range(data.per_epoch)]
    for index, before in enumerate(first):
        assert torch.equal(data[index]["images"], before["images"])
        for one, other in zip(data[index]["targets"], before["targets"], strict=True):
            assert torch.equal(one["boxes"], other["boxes"])
