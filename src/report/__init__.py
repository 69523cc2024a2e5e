"""The report: one HTML page made of what the stages wrote.

A section of the page is one file here with `section(inputs) -> Section`, and its place in `page.SECTIONS`. It says what
is shown in `blocks`; how a block looks is `templates/page.html.j2` and `templates/page.css`. Which methods there are is
read from the pipeline's outputs (`inputs.Inputs.named`), so a new method appears by itself.
"""
