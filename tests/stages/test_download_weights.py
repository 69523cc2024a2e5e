import functools
import hashlib
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
import torchvision

from src.errors import InputError
from src.pretrained import load
from src.rcnn import network
from src.storage import read_tensors
from stages.download_weights import Params, run


def write(weights: str, out: Path) -> None:
    run(Params(), backbone="alexnet", weights=weights, out=out)


def test_none_is_a_file_without_tensors(tmp_path: Path) -> None:
    write("none", tmp_path / "out.safetensors")
    assert read_tensors(tmp_path / "out.safetensors") == ({}, {"source": "none"})


def test_state_dict_is_taken_with_its_hash(tmp_path: Path) -> None:
    torch.save({"features.0.weight": torch.ones(2, 3)}, tmp_path / "mine.pth")
    write(str(tmp_path / "mine.pth"), tmp_path / "out.safetensors")
    tensors, facts = read_tensors(tmp_path / "out.safetensors")
    assert tensors["features.0.weight"].equal(torch.ones(2, 3))
    assert facts["source"] == "mine.pth"
    assert len(facts["sha256"]) == 64


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "there is no such file"), (b"<html>", "is not a state dict"), ([1, 2], "must hold a plain state dict")],
)
def test_file_that_is_no_state_dict(tmp_path: Path, content: object, message: str) -> None:
    path = tmp_path / "mine.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(InputError, match=message):
        write(str(path), tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def official(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Weights on a real server, on the loopback, where torchvision looks for its own; the local cache is empty."""
    folder = tmp_path / "server/models"
    folder.mkdir(parents=True)
    handler = functools.partial(Quiet, directory=str(folder.parent))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    entry = torchvision.models.AlexNet_Weights.DEFAULT.value
    torch.save({"features.0.weight": torch.ones(2, 3)}, folder / "weights.pth")
    digest = hashlib.sha256((folder / "weights.pth").read_bytes()).hexdigest()
    path = (folder / "weights.pth").rename(folder / f"alexnet-owt-{digest[:8]}.pth")  # the name that torchvision gives
    monkeypatch.setattr(entry, "url", f"http://127.0.0.1:{server.server_port}/models/{path.name}")
    yield path
    server.shutdown()
    server.server_close()


def test_imagenet_weights_are_downloaded(official: Path, tmp_path: Path) -> None:
    write("imagenet", tmp_path / "out.safetensors")
    tensors, facts = read_tensors(tmp_path / "out.safetensors")
    assert tensors["features.0.weight"].equal(torch.ones(2, 3))
    assert facts["source"] == "imagenet"
    assert facts["url"].endswith(official.name)


@pytest.mark.parametrize("damage", ["changed", "cut short", "gone"])
def test_imagenet_weights_that_do_not_arrive_whole_are_refused(official: Path, tmp_path: Path, damage: str) -> None:
    content = official.read_bytes()
    official.unlink()
    if damage != "gone":
        official.write_bytes(content + b"x" if damage == "changed" else content[:100])
    with pytest.raises(InputError, match=r"alexnet-owt-\w{8}\.pth could not be downloaded .* give its path"):
        write("imagenet", tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


@pytest.mark.real
def test_imagenet_features_without_fc_layers_leave_those_at_random(shared_data: Path, tmp_path: Path) -> None:
    write(str(shared_data / "weights/alexnet_imagenet_features.pth"), tmp_path / "out.safetensors")
    model = network.build("alexnet", 21, hidden=8)
    fresh = load(model, read_tensors(tmp_path / "out.safetensors")[0])
    assert fresh == ["classifier.1", "classifier.4", "classifier.6"]
