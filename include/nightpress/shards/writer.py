"""Cut a stream of articles into shards on disk, and store the rejected rows in the same folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass, field

from nightpress.articles.article import Article, Rejected, show_position
from nightpress.articles.field_names import show_names
from nightpress.costs.text_sizes import RequestSizes
from nightpress.errors import InputError, TooManyRejectsError
from nightpress.folders import RunFolder
from nightpress.plain_text import without_queries
from nightpress.settings import ShardLimits
from nightpress.shards.column_names import MetadataColumnNames
from nightpress.shards.rejected_rows import RejectedFile
from nightpress.shards.requests import RequestTemplate
from nightpress.shards.shard import Shard
from nightpress.shards.shard_writer import Answered, ShardWriter, StagedRequest
from nightpress.storage import StoragePath

MISSING_FIELD = "missing_field"


@dataclass(slots=True)
class ReadReport:
    """The result of reading a source.

    :param shards: references, in the order of the articles.
    :param sizes: the sizes of each shard's requests.
    :param articles: articles in the shards.
    :param reused: articles with an answer that was paid for before.
    :param rejected: rows not sent, by reason.
    :param cut: articles that are not sent whole, by the field that is cut.
    :param cut_characters: how many characters are left out of them.
    """

    shards: list[Shard] = field(default_factory=list)
    sizes: list[RequestSizes] = field(default_factory=list)
    articles: int = 0
    reused: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    cut: Counter[str] = field(default_factory=Counter)
    cut_characters: int = 0

    def notes(self, template: RequestTemplate) -> list[str]:
        """Return a note on how much of the articles is not sent, if anything is not."""
        if not self.cut:
            return []
        fields = ", ".join(f"{name} of {count:,}" for name, count in self.cut.most_common())
        return [
            f"Cut at max_content_chars={template.prompt.max_content_chars:,}: {fields} of "
            f"{self.articles + self.reused:,} articles; {self.cut_characters:,} characters are not sent."
        ]

    @property
    def rejected_share(self) -> float:
        """Share of the rows that are lost; an exact duplicate of another row does not count."""
        lost = self.rejected.total() - self.rejected["duplicate"]
        seen = self.articles + self.reused + lost
        return lost / seen if seen else 0.0


def write_shards(
    rows: Iterable[Article | Rejected],
    folder: StoragePath,
    template: RequestTemplate,
    *,
    limits: ShardLimits,
    max_rejected_share: float = 1.0,
    salt: str = "",
    answered: Answered | None = None,
    write: bool = True,
) -> ReadReport:
    """Write the shards of ``rows`` and ``rejected.parquet`` into ``folder``.

    :param answered: takes the articles that need not be sent.
    :param write: False only counts and makes the keys; nothing is stored.
    :param salt: makes the shards differ from those of the same articles sent before (fresh answers).
    :param max_rejected_share: 0 to 1; a higher share of rejected rows fails the read before anything is spent.
    :raises InputError: the prompt names a field that no row has.
    :raises TooManyRejectsError: naming the counts by reason and where the rejected rows are.
    """
    report = ReadReport()
    fields: list[str] = []
    first: Rejected | None = None
    writer = ShardWriter(folder, limits, salt=salt, answered=answered, write=write, betas=template.betas)
    writer.names = MetadataColumnNames(template.output_names)
    with RejectedFile(RunFolder(folder).rejected) if write else nullcontext() as rejected_file:
        for row in rows:
            refused = row if isinstance(row, Rejected) else _add_article(writer, row, template, report)
            if refused is not None:
                if refused.reason == MISSING_FIELD and not fields and isinstance(row, Article):
                    fields = ["id", "title", "content", *row.metadata]
                report.rejected[refused.reason] += 1
                first = first or refused
                if rejected_file is not None:
                    rejected_file.add(refused)
        writer.close_shard()
        if answered is not None:
            answered.flush()
    report.shards, report.sizes, report.reused = writer.shards, writer.sizes, writer.reused
    report.articles = sum(shard.articles for shard in writer.shards)
    if fields and not report.articles + report.reused:
        named = ", ".join(f"{{{name}}}" for name in template.prompt.extra_fields)
        raise InputError(
            f"the prompt names {named}, and no row of the source has all of that; its fields are "
            f"{show_names(fields)}. Nothing was sent. Correct the prompt or the source."
        )
    if report.rejected_share > max_rejected_share and first is not None:
        listed = f"All are in {RunFolder(folder).rejected}. " if write else ""
        raise _too_many_rejects(report, max_rejected_share, first, listed)
    return report


def _too_many_rejects(
    report: ReadReport, max_share: float, first: Rejected, listed: str
) -> TooManyRejectsError:
    """Return the error; the details of a rejected row never have a text of its article.

    :param listed: where all rejected rows are; empty for a preview, which stores nothing.
    """
    reasons = ", ".join(f"{reason}: {count}" for reason, count in report.rejected.most_common())
    return TooManyRejectsError(
        f"{report.rejected_share:.1%} of the rows were rejected ({reasons}), more than "
        f"max_rejected_share={max_share:.1%} allows. Nothing was sent. The first is {without_queries(first.file)}: "
        f"{show_position(first)}: {first.detail}. {listed}Fix the source, or raise max_rejected_share."
    )


def write_staged_shards(
    staged: Iterable[StagedRequest],
    folder: StoragePath,
    *,
    limits: ShardLimits,
    prefix: str,
    salt: str,
    betas: tuple[str, ...] = (),
) -> list[Shard]:
    """Write staged requests into shards named ``<prefix>00000`` and so on.

    :param betas: beta headers that their batches are created with.
    :raises ValueError: a request does not fit a shard of these limits.
    """
    writer = ShardWriter(folder, limits, prefix=prefix, salt=salt, betas=betas)
    for request in staged:
        if not writer.add(request):
            raise ValueError(f"a request of {len(request.params):,} bytes does not fit {limits.max_bytes:,}")
    writer.close_shard()
    return writer.shards


def _add_article(
    writer: ShardWriter, article: Article, template: RequestTemplate, report: ReadReport
) -> Rejected | None:
    prompt = template.prompt
    if prompt.extra_fields and (missing := prompt.missing_field(article)):
        detail = f"the prompt names the field {missing!r}, which this row does not have"
        return _reject(article, MISSING_FIELD, detail)
    metadata = article.metadata
    fields = tuple(metadata)
    columns = writer.names.columns(fields)
    if columns != fields:
        metadata = dict(zip(columns, metadata.values(), strict=True))
    if writer.names.count > writer.limits.max_metadata_columns:
        raise _too_wide(writer.limits.max_metadata_columns, article)
    row = {
        "article_id": article.article_id,
        "title": article.title,
        **metadata,
        "source_file": article.file,
        "source_position": article.position,
    }
    params = template.params(article)
    if writer.add(StagedRequest(params, row)):
        for name, characters in prompt.cut_fields(article):
            report.cut[name] += 1
            report.cut_characters += characters
        return None
    detail = f"its request of {len(params):,} bytes does not fit a batch of {writer.limits.max_bytes:,}"
    return _reject(article, "too_large", detail)


def _too_wide(most: int, article: Article) -> InputError:
    return InputError(
        f"{article.file}: {show_position(article)}: up to here the articles have more than {most:,} different "
        "fields, and each is a column. Keep the ones you need with metadata=, or raise max_metadata_columns of "
        "limits. Nothing was sent"
    )


def _reject(article: Article, reason: str, detail: str) -> Rejected:
    return Rejected(article.article_id[:200], article.file, article.position, reason, detail, article.record)
