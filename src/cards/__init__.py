"""Model cards (Mitchell et al. 2019, arXiv:1810.03993): the facts about a trained model, as a page of Markdown.

`figures`, `data` and `limits` make one part each from the outputs of the stages; `page` puts the parts together. The
same inputs give the same page.
"""
