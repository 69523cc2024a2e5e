"""Serve a page on this machine to try the trained methods on photos: `make demo`, or `python -m commands.demo`.

Nothing leaves the machine: the page listens on the loopback address, fetches nothing from elsewhere, and sends no usage
statistics. Uploads are kept in memory (/dev/shm, if the system has it) until they are decoded.
"""

import os
import signal
import sys
import tempfile
from ipaddress import ip_address
from pathlib import Path
from socket import gethostbyname
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from commands import trained
from src.demo.photo import MAX_UPLOAD, SCENES, Example, Objects
from src.demo.start import DENSE_ABOVE, RCNN_ABOVE, first_scene
from src.errors import InputError
from src.files.boxed_images import BoxedImages
from src.files.damage import regular
from src.files.labelled_images import LabelledImages
from src.files.records import read_records
from src.ingest.source import resolved
from src.splits import Splits
from stages.command import command
from stages.environment import device

if TYPE_CHECKING:
    from src.demo.panels import Panel

MEMORY = Path("/dev/shm")
PREPARED, DETECTIONS = Path("data/prepared"), Path("data/detections")
NUM_SCENES, NUM_IMAGES = 12, 6  # examples from the detectors' data set, and from each classifier's


class Params(trained.Params):
    """The sections that this command reads."""

    splits: Splits
    data: dict[str, Any]


def run(
    params: Params,
    *,
    host: Annotated[str, "address to listen on [127.0.0.1: this machine alone]"] = "127.0.0.1",
    port: Annotated[int | None, "port [the first free one from 7860]"] = None,
    open: Annotated[bool, "open the page in a browser"] = False,  # noqa: A002
    password: Annotated[Path | None, "a file whose first line the page asks for, from the user 'demo'"] = None,
) -> None:
    """Serve the page until Ctrl-C."""
    secret = None if password is None else first_line(password)
    panels, pictures = panels_of(params), examples(params)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # otherwise the folder would not be removed
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        note = about(params, panels)
        serve(panels, pictures, Path(folder), note=note, host=host, port=port, open_browser=open, password=secret)


def first_line(path: Path) -> str:
    """Read a password; a file is safer than a word of the command line, which every user of the machine can see."""
    regular(path)
    if not path.exists():
        raise InputError(f"--password {path}: there is no such file: write the password into its first line")
    line = path.read_text(errors="replace").partition("\n")[0].strip()
    if not line:
        raise InputError(f"--password {path}: its first line is empty, and it must be the password")
    return line


def panels_of(params: trained.Params) -> "dict[str, Panel | str]":
    """Return a panel per method of params.yaml, or for a method whose model is missing, the sentence that says so."""
    import torch  # here, not above: --help does not wait for it

    torch_device = torch.device(device())
    panels: dict[str, Panel | str] = {}
    for name in params.names():
        try:
            panels[name] = _panel(params, name, trained.load(params, name, torch_device))
        except InputError as error:
            panels[name] = f"{error}."
    return panels


def _panel(params: trained.Params, name: str, method: Any) -> "Panel":
    from src.demo.panels import ClassifierPanel, DensePanel, RcnnPanel
    from src.prediction.classifier import Classifier
    from src.prediction.rcnn import Rcnn
    from src.report.inputs import title

    if isinstance(method, Rcnn):
        return RcnnPanel(method, params.features.proposals)
    if isinstance(method, Classifier):
        return ClassifierPanel(method, name)
    return DensePanel(method, title(name))


def about(params: Params, panels: "dict[str, Panel | str]") -> str:
    """Return a sentence on the classes that the detectors know, for the page; empty if there is no detector."""
    from src.demo.panels import DensePanel, RcnnPanel

    named = [panel.names for panel in panels.values() if isinstance(panel, DensePanel) and any(panel.names)]
    named += [panel.method.classes for panel in panels.values() if isinstance(panel, RcnnPanel)]
    if not named:
        return ""
    is_drawn = resolved(params.data[SCENES]["source"], params.data[SCENES]["path"]) == "sample"
    learnt = " They learnt from drawn scenes, and find little in photos of the real world." if is_drawn else ""
    return f"The detectors know {', '.join(named[0])}.{learnt}"


def examples(params: Params) -> list[Example]:
    """Return test images of those prepared sets that exist: a good scene (`first_scene`), then evenly spread ones."""
    pictures: list[Example] = []
    if (path := PREPARED / f"{SCENES}.zip").exists():
        scenes = BoxedImages(path)
        test = scenes.ids(params.splits.test)
        ids = dict.fromkeys([*_first(scenes, test, params), *_spread(test, NUM_SCENES)])
        pictures += [Example(name, scenes.image(name), SCENES, _objects(scenes, name)) for name in ids]
    for name in dict.fromkeys(section["data"] for section in params.classifiers.values()):
        if (path := PREPARED / f"{name}.zip").exists():
            images = LabelledImages(path)
            pictures += [Example(one, images.image(one), name) for one in _spread(images.ids("test"), NUM_IMAGES)]
    return pictures


def _first(scenes: BoxedImages, test: list[str], params: Params) -> list[str]:
    """Return the scene to begin with, by the detections of the last run; nothing if there are none of these scenes."""
    methods = []
    for name in [trained.RCNN, *params.detectors]:
        path = DETECTIONS / name / "detections.npz"
        try:
            if path.exists():
                methods.append((read_records(path, test), RCNN_ABOVE if name == trained.RCNN else DENSE_ABOVE))
        except InputError:  # the detections are of other scenes, from before the last change of the data
            continue
    found = first_scene({name: scenes.target(name) for name in test}, methods, scenes.classes)
    return [found] if found else []


def _objects(scenes: BoxedImages, image_id: str) -> Objects:
    target = scenes.target(image_id)
    return [(scenes.classes[label - 1], box) for label, box in zip(target["labels"], target["boxes"], strict=True)]


def _spread(ids: list[str], count: int) -> list[str]:
    return [ids[row] for row in np.linspace(0, len(ids) - 1, min(count, len(ids))).astype(int)]


def serve(
    panels: "dict[str, Panel | str]",
    pictures: list[Example],
    folder: Path,
    *,
    note: str = "",
    host: str = "127.0.0.1",
    port: int | None = None,
    open_browser: bool = False,
    password: str | None = None,
    wait: bool = True,
) -> Any:
    """Serve the page until Ctrl-C; if `wait` is False, return (page, its address) at once.

    Args:
        panels: by method.
        pictures: test images to choose from.
        folder: the folder for gradio's uploads and the pictures of the gallery.
        note: a remark on the methods, for the page.
        host, port: the address; without a port the first free one.
        open_browser: opens the page in a browser.
        password: what the page asks for, from the user `demo`; None asks for nothing.
        wait: serves until Ctrl-C.
    """
    # Set before gradio is imported; otherwise it looks for newer versions on the network and counts its users.
    os.environ.update(GRADIO_ANALYTICS_ENABLED="False", HF_HUB_OFFLINE="1", GRADIO_TEMP_DIR=str(folder))
    tempfile.tempdir = str(folder)  # gradio puts unfinished uploads there
    from starlette.middleware import Middleware

    from src.demo.page import SCRIPT, STYLE, build
    from src.demo.uploads import PatientProgress

    page = build(panels, pictures, note)
    _, address, _ = page.queue(api_open=False).launch(
        server_name=host,
        server_port=port,
        auth=None if password is None else ("demo", password),
        inbrowser=open_browser,
        share=False,
        max_file_size=MAX_UPLOAD,
        css_paths=STYLE,
        head=f"<script>{SCRIPT.read_text()}</script>",
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        app_kwargs={"middleware": [Middleware(PatientProgress)]},
        quiet=True,
        prevent_thread_lock=True,
    )
    if wait:
        if password is None and not ip_address(gethostbyname(host)).is_loopback:
            print("Everybody who reaches this machine can use the page: --password FILE asks for a password.")
        print(f"The page is at {address}; Ctrl-C ends it.")
        page.block_thread()
    return page, address


if __name__ == "__main__":
    command(run)
