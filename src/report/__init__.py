"""The report: one HTML page made from the outputs of the stages.

Each section of the page is one module of this folder with `section(inputs) -> Section`, listed in `page.SECTIONS`. A
section consists of `blocks`; `templates/page.html.j2` and `templates/page.css` define how a block looks. The methods
are found in the pipeline's outputs (`inputs.Inputs.named`), so a new method appears by itself.
"""
