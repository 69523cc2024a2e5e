"""Data sets, one file each.

A file has `Params`, its section of params.yaml below `data`, a `src.ingest.source.Source`;
`TASK`, "boxes" or "labels", what its images are annotated with;
`fetch(section, out, *, seed, jobs) -> [paths]`, which puts the files of the sample, or the official ones, into the
folder `out` and names those that belong there (what is local is copied for all alike, by `stages/download.py`);
`prepare(raw, section, jobs) -> data`, which reads and checks what lies in the folder `raw`: `data.splits` has the
ids of images by split, `data.write(path)` writes the prepared file, `data.summary()` says in a line what is in it.
"""
