"""Reports on published days, for reading: figures, plots, HTML and Markdown."""
