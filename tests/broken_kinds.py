"""The kinds of files that the project reads, each with a valid file, its reader, and files that are made to do harm."""

import gzip
import io
import pickle
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from src.datasets.mnist import parse, serialise
from src.files.boxed_images import BoxedImages
from src.files.prepared import decode_image, write_prepared
from src.files.records import read_records, write_records
from src.files.storage import read_npz, write_npz, write_zip
from src.files.weights import read_tensors, write_tensors
from src.ingest.archives import open_archive, store
from src.ingest.formats import load
from src.ingest.voc.annotations import parse_annotation
from src.params import Sections, read_params
from src.prediction.photos import decode
from src.splits import Splits
from src.training import checkpoints
from src.training.settings import Train
from tests.broken import Kind
from tests.ingest.boxed_sets import drawn, lists_yolo, plain_coco, plain_voc, voc_xml

IMAGE = np.arange(48 * 64 * 3, dtype=np.uint8).reshape(48, 64, 3)
SIDE = 30_000
ZEROS = 260 << 20  # bytes that a bomb unpacks to; the limit is 256 MiB
PARAMS = (Path(__file__).parents[1] / "params.yaml").read_bytes()


class Some(Sections):
    """Two sections of params.yaml."""

    train: Train
    splits: Splits


def all_kinds() -> dict[str, Kind]:
    """Return the kinds by name."""
    return {**_sets(), **_images(), **_arrays(), "params": Kind(PARAMS, _params, _harmful_params())}


def _sets() -> dict[str, Kind]:
    images = drawn(3)
    kinds = {"xml": Kind(voc_xml(images[1]), lambda content, _: parse_annotation(content, "a.xml"), _harmful_xml())}
    for form, files, suffix in (
        ("voc", plain_voc(images), ".xml"),
        ("list", plain_voc(images), "train.txt"),
        ("coco", plain_coco(images), ".json"),
        ("yolo", lists_yolo(images), ".txt"),
        ("yolo's yaml", lists_yolo(images), ".yaml"),
    ):
        name = next((name for name in files if name.endswith(suffix) and files[name]), next(iter(files)))
        kinds[form] = Kind(files[name], _in_set(files, name), {"deep": b"[" * 100_000, "long": b"a" * (100 << 20)})
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        for name, content in plain_voc(images).items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    packed = _zip(plain_voc(images))
    kinds["zip"] = Kind(packed, _archive, _harmful_zips(packed))
    kinds["tar"] = Kind(tar.getvalue(), _archive, {})
    bomb = gzip.compress(bytes(ZEROS), 1)
    kinds["tar.gz"] = Kind(gzip.compress(tar.getvalue()), _archive, {"bomb": bomb})
    digits = serialise(np.zeros((4, 8, 8), np.uint8))
    header = bytes([0, 0, 8, 3]) + struct.pack(">3I", 2**31, 2**31, 2**31)
    kinds["idx"] = Kind(digits, lambda content, _: parse(content, 3, "idx"), {"bomb": bomb, "huge": header})
    return kinds


def _zip(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def _bomb(name: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr(name, bytes(ZEROS))
    return buffer.getvalue()


def _harmful_zips(whole: bytes) -> dict[str, bytes]:
    version = bytearray(whole)
    version[whole.index(b"PK\x01\x02") + 6] = 255
    lzma = bytearray(_zip({"a.txt": b"a" * 999}, zipfile.ZIP_LZMA))
    lzma[39:46] = b"\xff" * 7
    offset = bytearray(whole)
    offset[whole.index(b"PK\x05\x06") + 16 :][:4] = b"\xff" * 4
    return {"version": bytes(version), "lzma": bytes(lzma), "offset": bytes(offset), "bomb": _bomb("a.jpg")}


def _archive(content: bytes, folder: Path) -> None:
    (folder / "in").write_bytes(content)
    archive = open_archive(store(folder / "in", folder, "set"))
    for name in archive.names():
        if not archive.has_link(name):
            archive.read(name)


def _in_set(files: dict[str, bytes], name: str) -> Callable[[bytes, Path], object]:
    def read(content: bytes, folder: Path) -> None:
        for other, whole in files.items():
            (folder / other).parent.mkdir(parents=True, exist_ok=True)
            (folder / other).write_bytes(content if other == name else whole)
        chosen: Any = {"classes": None, "other_classes": "drop", "limit": None, "split": None, "jobs": 1}
        data, _ = load([open_archive(folder)], format="auto", **chosen)
        data.write(folder / "prepared.zip")

    return read


def _harmful_xml() -> dict[str, bytes]:
    names = "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    laughs = f'<!DOCTYPE annotation [<!ENTITY a "lol">{names}]><annotation>&i;</annotation>'
    return {
        "billion laughs": laughs.encode(),
        "deep": b"<a>" * 100_000,
        "deep and closed": b"<a>" * 9999 + b"</a>" * 9999,
    }


def _images() -> dict[str, Kind]:
    kinds = {}
    for suffix in ("png", "jpg", "bmp", "ppm", "tiff", "webp", "hdr", "ras"):
        pixels = IMAGE.astype(np.float32) if suffix == "hdr" else IMAGE
        kinds[suffix] = Kind(cv2.imencode(f".{suffix}", pixels)[1].tobytes(), _image, {})
    heads = {
        "ppm": b"P6\n%d %d\n255\n" % (SIDE, SIDE),
        "hdr": b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y %d +X %d\n" % (SIDE, SIDE),
        "pfm": b"PF\n%d %d\n-1.0\n" % (SIDE, SIDE),
        "ras": struct.pack(">8I", 0x59A66A95, SIDE, SIDE, 24, 0, 1, 0, 0),
        "bmp": b"BM" + struct.pack("<IHHIIiiHHIIiiII", 100, 0, 0, 54, 40, SIDE, SIDE, 1, 24, *[0] * 6),
        "png": _png(SIDE, SIDE),
        "tiff": kinds["tiff"].valid.replace(struct.pack("<H", 64), struct.pack("<H", SIDE)),
        "jpg": kinds["jpg"].valid.replace(struct.pack(">HH", 48, 64), struct.pack(">HH", SIDE, SIDE)),
    }
    kinds["png"].harmful.update({name: head + bytes(100) for name, head in heads.items()})
    return kinds


def _png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")


def _image(content: bytes, _: Path) -> None:
    decode_image(content)
    decode(content)


def _arrays() -> dict[str, Kind]:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        write_npz(path, {"weights": np.arange(12.0), "bias": np.ones(3)})
        npz = path.read_bytes()
        write_records(path, {"a": {"boxes": np.ones((2, 4), np.float32)}, "b": {"boxes": np.ones((1, 4), np.float32)}})
        records = path.read_bytes()
        entry = {
            "file": "a.png",
            "height": 48,
            "width": 64,
            "boxes": [[1, 1, 9, 9]],
            "labels": [1],
            "difficult": [False],
        }
        encoded = cv2.imencode(".png", IMAGE)[1].tobytes()
        write_prepared(path, ["ball"], {"train": ["a"]}, {"a": entry}, [("a.png", encoded)])
        prepared = path.read_bytes()
        write_tensors(path, {"weight": torch.ones(3, 4)}, {"classes": ["ball"]})
        tensors = path.read_bytes()
        checkpoints.save(Path(folder) / "state.pt", {"model": {"weight": torch.ones(3)}})
        state = (Path(folder) / "state.pt").read_bytes()
        write_zip(path, [("weights.npy", _npy((10**12,), "<f8"))])
        huge = path.read_bytes()
        write_zip(path, [("weights.npy", _npy((1,), "|O") + pickle.dumps([1]))])
        objects = path.read_bytes()
    bad = {"huge": huge, "pickled": objects, "bomb": _bomb("weights.npy")}
    long = struct.pack("<Q", 2**62) + b"{}"
    return {
        "npz": Kind(npz, _file(read_npz), bad),
        "records": Kind(records, _file(read_records), {**bad, "arrays": npz}),
        "prepared": Kind(prepared, _file(_prepared), bad),
        "safetensors": Kind(tensors, _file(read_tensors), {"header": long, "pickle": pickle.dumps([1])}),
        "checkpoint": Kind(state, _state, {"pickle": pickle.dumps([1]), "bomb": bad["bomb"]}),
    }


def _npy(shape: tuple[int, ...], dtype: str) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": dtype, "fortran_order": False, "shape": shape})
    return buffer.getvalue()


def _file(read: Callable[[Path], object]) -> Callable[[bytes, Path], object]:
    def written(content: bytes, folder: Path) -> object:
        (folder / "file").write_bytes(content)
        return read(folder / "file")

    return written


def _prepared(path: Path) -> None:
    data = BoxedImages(path)
    for image_id in data.ids(*data.splits):
        data.image(image_id)
        data.target(image_id)


def _state(content: bytes, folder: Path) -> None:
    def restore(state: checkpoints.Content) -> None:
        torch.zeros(3).copy_(state["model"]["weight"])

    (folder / "state.pt").write_bytes(content)
    checkpoints.load(folder / "state.pt", restore, {"model": {"weight": torch.ones(3)}})


def _params(content: bytes, folder: Path) -> None:
    (folder / "params.yaml").write_bytes(content)
    read_params(folder / "params.yaml", Some)


def _harmful_params() -> dict[str, bytes]:
    aliases = "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    return {
        "aliases": f"a: &a [x, x]\n{aliases}".encode(),
        "deep": b"a: " + b"[" * 100_000,
        "latin": "train: é".encode("latin-1"),
        "long": b"# comment\n" * 200_000,
        "digits": b"train: " + b"9" * 9999,
    }
