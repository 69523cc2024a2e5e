"""The tables of the GPU benchmark in Markdown, from its JSON file: `python -m benchmarks.gpu_tables FILE`."""

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]


def _step(row: Row) -> str:
    return f"{row['step'] * 1e3:.1f} ({row['step_lower'] * 1e3:.1f} to {row['step_upper'] * 1e3:.1f})"


def _memory(row: Row) -> str:
    return f"{row['gigabytes']:.1f}" if "gigabytes" in row else ""


COLUMNS: dict[str, dict[str, Callable[[Row], str]]] = {  # kind of row -> head of column -> cell
    "training": {
        "training": lambda row: row["trainer"],
        "batch": lambda row: str(row["batch_size"]),
        "precision": lambda row: row["precision"],
        "workers": lambda row: str(row["workers"]),
        "ms per step": _step,
        "images per second": lambda row: f"{row['images_per_second']:.1f}",
        "utilisation": lambda row: f"{row['utilisation']:.2f}",
        "GB": _memory,
    },
    "features": {
        "features": lambda _: "AlexNet",
        "regions": lambda row: str(row["regions"]),
        "workers": lambda row: str(row["workers"]),
        "regions per second": lambda row: f"{row['per_second']:.0f}",
    },
    "inference": {
        "inference": lambda row: row["detector"],
        "batch": lambda row: str(row["batch_size"]),
        "precision": lambda row: row["precision"],
        "images per second, from file to boxes": lambda row: f"{row['from_file']:.1f}",
        "network and decoding alone": lambda row: f"{row['alone']:.1f}",
    },
    "long training": {
        "longer training": lambda row: row["trainer"],
        "steps": lambda row: str(row["all_steps"]),
        "batch": lambda row: str(row["batch_size"]),
        "minutes": lambda row: f"{row['minutes']:.1f}",
        "ms per step": _step,
        "images per second": lambda row: f"{row['images_per_second']:.1f}",
        "utilisation": lambda row: f"{row['utilisation']:.2f}",
        "GB": _memory,
    },
    "resume": {
        "SSD300, beside an uninterrupted training": lambda row: {"again": "once more", "resumed": "killed, resumed"}[
            row["run"]
        ],
        "the same bytes": lambda row: "yes" if row["equal_bytes"] else "no",
        "largest difference of a weight": lambda row: f"{row['largest_difference']:.1e}",
    },
}
SCORES = {"map_voc07": "mAP at IoU 0.5", "map_coco": "COCO mAP", "recall_50": "recall at IoU 0.5", "mabo": "MABO"}


def tables(results: Mapping[str, Any]) -> str:
    """Return the tables of all rows, the machines and commits they come from, and the parts that failed."""
    parts: Mapping[str, Row] = results["parts"]
    rows: list[Row] = [row for part in parts.values() for row in part["rows"]]
    blocks = [_table(kind, [row for row in rows if row["kind"] == kind]) for kind in COLUMNS]
    blocks.append("\n".join(_scores([row for row in rows if row["kind"] == "scores"])))
    blocks.append("\n".join(_facts(parts, rows)))
    return "\n\n".join(block for block in blocks if block)


def _table(kind: str, rows: Sequence[Row]) -> str:
    columns = COLUMNS[kind]
    if not rows:
        return ""
    lines = [list(columns), ["---"] * len(columns), *([cell(row) for cell in columns.values()] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _scores(rows: Sequence[Row]) -> Iterator[str]:
    for row in rows:
        figures = ", ".join(f"{words} {row[name]:.3f}" for name, words in SCORES.items() if name in row)
        yield f"* {row['trainer']} after {row['all_steps']} steps: {figures}."


def _facts(parts: Mapping[str, Row], rows: Sequence[Row]) -> Iterator[str]:
    for row in rows:
        if row["kind"] == "machine":
            versions = ", ".join(f"{name} {number}" for name, number in row["versions"].items())
            yield f"* Machine: {row['device']}, {row['cpus']} CPUs, CUDA {row['cuda']}; {versions}."
    commits, devices = (", ".join(sorted({part[key] for part in parts.values()})) for key in ("commit", "device"))
    yield f"* Commit {commits}; {sum(part['seconds'] for part in parts.values()) / 60:.1f} minutes on {devices}."
    for name, part in parts.items():
        if part["error"]:
            yield f"* {name} did not end: {part['error'].splitlines()[-1]}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="the JSON file of benchmarks.gpu")
    print(tables(json.loads(parser.parse_args().results.read_text())))
