"""Articles to shards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from include.errors import ConfigurationError
from include.settings import (
    DEFAULT_MAX_CONTENT_CHARS,
    DEFAULT_MAX_REJECTED_SHARE,
    DEFAULT_MAX_TOKENS,
    DEFAULT_MODEL,
    ShardLimits,
)
from message_batches import config

if TYPE_CHECKING:
    from airflow.sdk import Context

    from include.shards.requests import RequestTemplate


class ReadArticlesOperator(BaseOperator):
    """Read and check articles and write them as shards, ready to be submitted.

    Returns a list of shard references, ``{"uri", "articles", "bytes", "key"}``, to expand a mapped task
    group over. What is rejected goes to ``rejected.parquet`` with file, position and reason.

    :param pipeline: name of the pipeline; a folder is named after it.
    :param prompt: the user message, with ``{content}`` and, if wanted, ``{title}`` and ``{id}``; text, or a
        reference such as ``dag.param("prompt")``. It is never templated and never rendered.
    :param source: a file, glob or folder of JSON, JSONL, CSV or Parquet, on any store Airflow knows; None
        reads ``inbox/day=<day>/`` under the data root, and a day without that folder is an empty day.
    :param day: YYYY-MM-DD; None takes the run's partition key, else the date the run was due.
    :param model: model id.
    :param max_tokens: most tokens of one answer.
    :param system: system prompt, or None.
    :param limit: only the first so many articles; None takes all.
    :param max_content_chars: characters of an article's content that are sent; None sends all.
    :param fields: the source's names of the fields, e.g. ``{"id": "sku", "content": "body"}``.
    :param encoding: of CSV files.
    :param limits: when a shard closes.
    :param max_rejected_share: 0 to 1; more rejected rows than this fail the task before money is spent.
    """

    template_fields: Sequence[str] = ("source", "day", "model", "max_tokens", "limit")
    ui_color = "#e4ecf0"

    def __init__(
        self,
        *,
        pipeline: str,
        prompt: Any,
        source: Any = None,
        day: Any = None,
        model: Any = DEFAULT_MODEL,
        max_tokens: Any = DEFAULT_MAX_TOKENS,
        system: str | None = None,
        limit: Any = None,
        max_content_chars: int | None = DEFAULT_MAX_CONTENT_CHARS,
        fields: dict[str, str] | None = None,
        encoding: str = "utf-8",
        limits: ShardLimits | None = None,
        max_rejected_share: float = DEFAULT_MAX_REJECTED_SHARE,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pipeline = config.check_pipeline_name(pipeline)
        if not 0 <= max_rejected_share <= 1:
            raise ConfigurationError(f"max_rejected_share is {max_rejected_share}; it must be 0 to 1")
        self.prompt = prompt
        self.source = source
        self.day = day
        self.model = model
        self.max_tokens = max_tokens
        self.system = system
        self.limit = limit
        self.max_content_chars = max_content_chars
        self.fields = dict(fields or {})
        self.encoding = encoding
        self.limits = limits or ShardLimits()
        self.max_rejected_share = max_rejected_share
        self._check_what_is_known()

    def _check_what_is_known(self) -> None:
        """Refuse at parse time what is wrong whatever the run's params are."""
        if isinstance(self.prompt, str):
            from include.shards.prompts import PromptTemplate

            PromptTemplate(self.prompt, self.max_content_chars)
        unknown = self.fields.keys() - {"id", "title", "content"}
        if unknown:
            raise ConfigurationError(
                f"fields names {sorted(unknown)}; only id, title and content can be mapped"
            )
        for name in ("max_tokens", "limit"):
            value = getattr(self, name)
            if isinstance(value, int) and value < 1:
                raise ConfigurationError(f"{name} is {value}; it must be 1 or more")

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Write the shards and return their references."""
        with config.clear_failures():
            return self._read(context)

    def _read(self, context: Context) -> list[dict[str, Any]]:
        from include.articles.model import FieldMap
        from include.articles.reader import ReadStats, find_files, iter_articles
        from include.shards.writer import write_shards

        template = self._template(context)
        day = config.day_of_run(context, self.day or None)
        folder = config.run_folder(self.pipeline, day, context["run_id"])
        source = config.source_path(self.source, day)
        files = find_files(source, missing_ok=not self.source)
        self.log.info("reading %d file(s) of %s", len(files), source)
        stats = ReadStats()
        rows = iter_articles(
            files,
            fields=FieldMap(**self.fields),
            limit=self._limit(),
            encoding=self.encoding,
            stats=stats,
        )
        report = write_shards(
            rows, folder, template, limits=self.limits, max_rejected_share=self.max_rejected_share
        )
        self.log.info(
            "%s articles in %d shard(s); rejected: %s",
            *(f"{report.articles:,}", len(report.shards), dict(report.rejected) or "none"),
        )
        if stats.replaced_characters:
            self.log.warning(
                "%d characters that are no text (NUL, lone surrogates) were replaced",
                stats.replaced_characters,
            )
        return [shard.to_reference() for shard in report.shards]

    def _template(self, context: Context) -> RequestTemplate:
        from include.shards.prompts import PromptTemplate
        from include.shards.requests import RequestTemplate

        prompt = PromptTemplate(str(config.resolve(self.prompt, context)), self.max_content_chars)
        return RequestTemplate(str(self.model), int(self.max_tokens), prompt, self.system)

    def _limit(self) -> int | None:
        if self.limit in {None, ""}:
            return None
        if int(self.limit) < 1:
            raise ConfigurationError(
                f"limit is {self.limit}; it must be 1 or more, or empty for all articles"
            )
        return int(self.limit)
