"""The prompt of the daily summaries, as tests and benchmarks ask it; a test compares it with the DAG file."""

SUMMARY_PROMPT = """Summarize the following article in exactly two sentences, in the article's own language.

<title>{title}</title>
<article>
{content}
</article>"""
