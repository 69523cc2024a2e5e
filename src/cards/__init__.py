"""Model cards (Mitchell et al. 2019, arXiv:1810.03993): what is known of a trained model, as a page of Markdown.

`figures`, `data` and `limits` say one part each, of what the stages wrote; `page` puts a page together. The
same inputs give the same page.
"""
