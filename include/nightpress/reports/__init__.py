"""A published day as a page to read in the morning: figures, plots, HTML and Markdown."""
