"""The results of a run: tables, plots, JSON, HTML and Markdown, and warnings about doubtful rows.

A table's text may change without a look elsewhere; `content` is the JSON that other programs read.
"""
