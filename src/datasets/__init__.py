"""Data sets, one file each.

Each file has:

* `Params`, its section of params.yaml under `data`, a `src.ingest.source.Source`.
* `TASK`, the annotation of its images: "boxes" or "labels".
* `fetch(section, out, *, seed, jobs) -> [paths]`. It puts the files of the sample, or the official files, into the
  folder `out` and returns their paths. (`stages/download.py` copies local data, for any data set.)
* `prepare(raw, section, jobs) -> data`. It reads and checks the files in the folder `raw`. `data.splits` has the image
  ids by split, `data.write(path)` writes the prepared file, `data.summary()` describes it in one line.
"""
