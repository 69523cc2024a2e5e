"""Regions on one map of their image: the convolutions run once per image (SPP-net, He et al. 2014, Sec. 3).

R-CNN warps each region and runs the whole network on it. Here the convolutions see the image once, and a region takes
its values from that map by RoIAlign (He et al. 2017), at the places where the cells of its own crop would lie. The last
pooling and the layers after it then work as on a crop. So both ways share the network, its weights and the width of
the features.

N regions, S the side of a crop, G cells on a side of its map before the last pooling, D numbers per region.
"""

from collections.abc import Mapping
from typing import NamedTuple, cast

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset
from torchvision.ops import roi_align

from src.detection.sizes import Size
from src.errors import InputError
from src.files.boxed_images import BoxedImages
from src.files.records import Record
from src.rcnn import network
from src.rcnn.warp import Warp, normalize

AT_ONCE = 256  # regions after the map at a time, which bounds the memory
LONGEST = 5 / 3  # of the shorter side, as 1,000 pixels of 600 in Fast R-CNN Sec. 4.1


class Scene(NamedTuple):
    """An image and its regions."""

    pixels: Tensor  # uint8 [H, W, 3]
    boxes: Tensor  # [N, 4], in pixels of `pixels`
    flipped: Tensor  # bool [N], True for regions of the mirrored image


class Cells(NamedTuple):
    """The places of a map's cells in its input, along one side."""

    stride: int  # pixels from cell to cell
    first: float  # pixels from the input's border to the centre of the first cell
    number: int


class Maps(Dataset[Scene]):
    """The images that have regions, with these. Item i is the i-th of them; the order is that of the regions."""

    def __init__(self, data: BoxedImages, regions: Mapping[str, Record], side: int) -> None:
        self.data, self.regions, self.side = data, regions, side
        self.ids = [image_id for image_id, record in regions.items() if len(record["boxes"])]

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> Scene:
        record = self.regions[self.ids[index]]
        return scene(self.data.image(self.ids[index]), record["boxes"], record["flipped"], self.side)


def scene(image: np.ndarray, boxes: np.ndarray, flipped: np.ndarray, side: int) -> Scene:
    """Scale an image and its regions.

    Args:
        image: uint8 [H, W, 3], RGB.
        boxes: [N, 4], pixels of the image; N may be 0.
        flipped: bool [N].
        side: pixels of the shorter side; less where the longer side would have more than 5/3 of them.
    """
    height, width = Size(side, int(side * LONGEST)).scaled(image.shape[:2])
    shrinks = height < image.shape[0]
    pixels = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    factors = np.array([width / image.shape[1], height / image.shape[0]] * 2)
    scaled = torch.from_numpy((np.asarray(boxes, np.float64).reshape(-1, 4) * factors).astype(np.float32))
    return Scene(torch.from_numpy(pixels), scaled, torch.from_numpy(np.asarray(flipped, bool)))


def describe(model: nn.Module, image: Scene, settings: Warp, layer: str, precision: str = "32-true") -> Tensor:
    """Compute the features [N, D] of the regions of an image, as `src.rcnn.network.describe` does for crops.

    Args:
        model: the network, in eval mode, on the device of `image`.
        image: an image and its regions; N may be 0.
        settings: the crop whose cells are taken from the map: a region and its context. Beyond the image the map is 0.
        layer, precision: as for `src.rcnn.network.describe`.

    Raises:
        InputError: the network has layers that are neither convolution nor pooling.
    """
    layers, found = cast(nn.Sequential, model.features), []
    cells = cells_of(layers[:-1], settings.size)
    sides = [image.pixels, image.pixels.flip(1)] if image.flipped.any() else [image.pixels]
    with network.mixed(image.pixels.device, precision):
        maps = layers[:-1](normalize(torch.stack(sides)))
        for places in _places(image, settings, cells).split(AT_ONCE):
            crops = roi_align(maps, places.to(maps.dtype), cells.number, 1 / cells.stride, aligned=True)
            found.append(network.layers_of(model, layers[-1](crops), layer))
    return torch.cat(found) if len(image.boxes) else maps.new_zeros(0, sum(network.widths(model, layer)))


def cells_of(layers: nn.Sequential, size: int) -> Cells:
    """Return where the cells of the map lie that convolutions and poolings make of `size` pixels.

    >>> cells_of(nn.Sequential(nn.Conv2d(3, 8, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)), 227)
    Cells(stride=8, first=7.5, number=27)
    """
    stride, first, number = 1, 0.5, size
    for part in layers:
        if isinstance(part, nn.Conv2d | nn.MaxPool2d):
            kernel, step, padding = (int(np.max(value)) for value in (part.kernel_size, part.stride, part.padding))
            first += ((kernel - 1) / 2 - padding) * stride
            number = (number + 2 * padding - kernel) // step + 1
            stride *= step
        elif not isinstance(part, nn.ReLU | nn.BatchNorm2d | nn.Dropout):
            raise InputError(
                f"features.from = map in params.yaml knows convolutions and poolings, and finetune.backbone has a "
                f"{type(part).__name__}: choose warp, or alexnet or a vgg"
            )
    return Cells(stride, first, number)


def _places(image: Scene, settings: Warp, cells: Cells) -> Tensor:
    """Return [N, 5]: the map (0, or 1 for the mirrored image), and the part of the image that the region's cells cover.

    RoIAlign puts the first cell of a map at half a stride; the network puts it at `cells.first`.
    """
    left, top, right, bottom = image.boxes.unbind(1)
    width, flipped = image.pixels.shape[1], image.flipped
    low = torch.stack([torch.where(flipped, width - right, left), top], 1)
    high = torch.stack([torch.where(flipped, width - left, right), bottom], 1)
    crop = (high - low) * settings.size / (settings.size - 2 * settings.context)  # sides, with the context
    start, shift = (low + high - crop) / 2, cells.first - cells.stride / 2
    first = start + crop * shift / settings.size - shift
    last = first + crop * cells.number * cells.stride / settings.size
    return torch.cat([flipped[:, None].to(first.dtype), first, last], dim=1)
