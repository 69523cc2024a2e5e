"""Write DVC's plots to a page that needs no network.

    python -m commands.plots [REVISIONS ...]      # of the workspace, or of several revisions and experiments

`dvc plots show` and `dvc plots diff` write a page that loads Vega from a server. This command gives them a template
that holds the scripts itself (`--html-template`; the scripts come with the package vl-convert-python), so the page
opens anywhere, and still does in years. It is dvc_plots/index.html, 0.9 MB larger than DVC's own.
"""

import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from stages.command import command

VEGA_LITE = "v5.20"  # DVC's plot templates are written in Vega-Lite 5
DVC = Path(sys.executable).with_name("dvc")
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Plots</title>
<script>{bundle}</script>
<style>body {{ font-family: sans-serif; margin: 2em; }} body > div {{ margin-bottom: 2em; }}</style>
</head>
<body>
{{plot_divs}}
</body>
</html>
"""


def run(revisions: Annotated[Sequence[str], "commits, branches, tags, experiments or workspace"] = ()) -> int:
    """Write the page and print its path; return DVC's exit status."""
    with tempfile.TemporaryDirectory() as folder:
        template = Path(folder) / "page.html"
        template.write_text(page())
        words = ["plots", "diff", *revisions] if revisions else ["plots", "show"]
        return subprocess.run([str(DVC), *words, "--html-template", str(template)]).returncode


def page() -> str:
    """Return the template: the scripts, and `{plot_divs}`, which DVC replaces with the plots."""
    import vl_convert

    # A script ends at the first "</script", even within one of its strings.
    scripts = vl_convert.javascript_bundle(vl_version=VEGA_LITE)  # type: ignore[call-arg]  # its stub requires more
    bundle = re.sub(r"</(script)", r"<\\/\1", scripts, flags=re.IGNORECASE)
    return PAGE.format(bundle=bundle)


if __name__ == "__main__":
    command(run)
