"""The prompt of the daily summaries for tests and benchmarks; a test compares it with the DAG file."""

SUMMARY_PROMPT = """Summarize the following article in exactly two sentences, in the article's own language.

<title>{title}</title>
<article>
{content}
</article>"""
