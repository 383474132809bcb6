"""Articles to shards, shards to batches, batches to Parquet, Parquet to a published day.

Each operator is one call into ``include`` and can be used alone. What travels by XCom are references
and numbers; no text of an article or a prompt is templated, rendered, logged or stored in Airflow.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
from airflow.sdk import Asset, BaseOperator, ObjectStoragePath, get_current_context
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from include.errors import ConfigurationError, RequestRefusedError, SubmitLaterError
from include.settings import (
    DEFAULT_MAX_CONTENT_CHARS,
    DEFAULT_MAX_REJECTED_SHARE,
    DEFAULT_MAX_TOKENS,
    DEFAULT_MODEL,
    ShardLimits,
)
from message_batches import config
from message_batches.links import BatchLink, batch_url
from message_batches.triggers import MessageBatchTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

    from include.batches.ledger import Entry
    from include.batches.submission import Wait
    from include.shards.requests import RequestTemplate
    from include.shards.shard import Shard

_SAFE_FIRST_WAIT_SECONDS = 15.0
_MAX_REFUSALS = 50
SECOND_ROUND_PREFIX = "r2-"


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


class SubmitBatchOperator(BaseOperator):
    """Give a shard exactly one batch, and return the batch's id.

    The ledger knows what was submitted before: a retry, a clear, another run or a backfill of the same
    shard gets the same batch. When the answer to a POST is lost, the task looks for the batch and, while
    candidates are running, defers; it never sends a shard again on a guess.

    :param shard: a shard reference as :class:`ReadArticlesOperator` returns it.
    :param pipeline: name of the pipeline, for the ledger.
    :param conn_id: Airflow connection of type ``anthropic``.
    :param skip_on_account_trouble: when the API refuses for the account's sake (key, credit, permission),
        skip instead of failing, so that :class:`CollectFailuresOperator` says it once for all shards.
    """

    template_fields: Sequence[str] = ("shard", "conn_id")
    operator_extra_links = (BatchLink(),)
    ui_color = "#f0e8dc"

    def __init__(
        self,
        *,
        shard: Any,
        pipeline: str,
        conn_id: str = config.DEFAULT_CONN_ID,
        skip_on_account_trouble: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.skip_on_account_trouble = skip_on_account_trouble
        self.shard = shard
        self.pipeline = config.check_pipeline_name(pipeline)
        self.conn_id = conn_id
        self.batch_url = ""

    def execute(self, context: Context, event: Any = None) -> str:  # noqa: ARG002
        """Submit, attach or adopt; defer while it cannot be told which."""
        from include.batches.submission import Body, Wait, submit_shard
        from include.shards.shard import Shard

        with config.clear_failures():
            shard = Shard.from_reference(self.shard)
            label_map_index(shard)
            api = config.connect(self.conn_id)
            ledger = config.open_ledger(api.scope)
            body = Body(ObjectStoragePath(shard.uri), shard.bytes)
            try:
                outcome = submit_shard(self._intent(shard, context), body, api, ledger, time.time)
            except SubmitLaterError as error:
                self._wait_if_told(error, ledger.load(shard.key))
                raise
            except RequestRefusedError as error:
                if error.account and self.skip_on_account_trouble:
                    raise AirflowSkipException(f"not submitted: {error}") from error
                raise
        if isinstance(outcome, Wait):
            self._defer(outcome)
            raise AssertionError("deferring does not return")
        self.log.info("shard %s: batch %s (%s)", shard.name, outcome.batch_id, outcome.how)
        self.batch_url = batch_url(str(api.client.base_url), outcome.batch_id, api.scope == "offline")
        return outcome.batch_id

    def _intent(self, shard: Shard, context: Context) -> Entry:
        from include.batches.ledger import Entry

        return Entry(
            key=shard.key,
            requests=shard.articles,
            bytes=shard.bytes,
            pipeline=self.pipeline,
            day=day_of_shard(shard),
            run=context["run_id"],
            uri=shard.uri,
        )

    def _wait_if_told(self, error: SubmitLaterError, entry: Entry | None) -> None:
        """Defer for as long as the API asked; without a word from it, Airflow's own retries do."""
        refusals = sum(attempt.outcome == "refused" for attempt in entry.attempts) if entry else 0
        if error.retry_after_seconds is None or refusals >= _MAX_REFUSALS:
            return
        self.log.warning("%s; trying again in %.0f s", error, error.retry_after_seconds)
        self._defer_until(time.time() + error.retry_after_seconds)

    def _defer(self, wait: Wait) -> None:
        self.log.warning("shard not submitted yet: %s", wait.why)
        if not wait.batch_ids:
            self._defer_until(wait.until)
        trigger = MessageBatchTrigger(
            batch_ids=list(wait.batch_ids), conn_id=self.conn_id, deadline=wait.until
        )
        self.defer(trigger=trigger, method_name="execute")

    def _defer_until(self, moment: float) -> None:
        from airflow.providers.standard.triggers.temporal import DateTimeTrigger

        moment = max(moment, time.time() + _SAFE_FIRST_WAIT_SECONDS)
        self.defer(trigger=DateTimeTrigger(datetime.fromtimestamp(moment, UTC)), method_name="execute")


class WriteResultsOperator(BaseOperator):
    """Keep the results of an ended batch and write them as Parquet: one row for each article, in order.

    The raw stream is stored first, so that everything after it can be done again without the API.
    Returns the numbers of the shard, ``{"uri", "batch_id", "articles", "by_status", …}``.

    :param shard: the shard reference that was submitted.
    :param batch_id: its batch, once it has ended.
    :param pipeline: name of the pipeline.
    :param conn_id: Airflow connection of type ``anthropic``.
    """

    template_fields: Sequence[str] = ("shard", "batch_id", "conn_id")
    ui_color = "#e8e4f0"

    def __init__(
        self,
        *,
        shard: Any,
        batch_id: str,
        pipeline: str,
        conn_id: str = config.DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.shard = shard
        self.batch_id = batch_id
        self.pipeline = config.check_pipeline_name(pipeline)
        self.conn_id = conn_id

    def execute(self, context: Context) -> dict[str, Any]:  # noqa: ARG002
        """Collect the shard."""
        from include.results.collect import Provenance, collect_batch
        from include.shards.shard import Shard

        with config.clear_failures():
            shard = Shard.from_reference(self.shard)
            label_map_index(shard)
            api = config.connect(self.conn_id)
            provenance = Provenance(
                pipeline=self.pipeline,
                day=day_of_shard(shard),
                batch_id=self.batch_id,
                round=2 if shard.name.startswith(SECOND_ROUND_PREFIX) else 1,
            )
            results = collect_batch(
                shard, ObjectStoragePath(shard.uri), provenance, api, config.open_ledger(api.scope)
            )
        self.log.info("shard %s: %s -> %s", shard.name, results.by_status, results.uri)
        return asdict(results)


class CollectFailuresOperator(BaseOperator):
    """Gather what is worth sending again from all shards into few new ones, and return their references.

    When the API refused for the account's sake (key, credit, permission), the task fails once, with one
    message; cleared after that, it goes on with the shards that were not sent and the articles that failed.

    :param shards: what :class:`ReadArticlesOperator` returned.
    :param results: what :class:`WriteResultsOperator` returned for the shards that were submitted.
    :param conn_id: Airflow connection of type ``anthropic``; its ledger tells why a shard was refused.
    :param limits: when a new shard closes.
    """

    template_fields: Sequence[str] = ("shards", "results", "conn_id")
    ui_color = "#f0dcdc"

    def __init__(
        self,
        *,
        shards: Any,
        results: Any,
        conn_id: str = config.DEFAULT_CONN_ID,
        limits: ShardLimits | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.shards = shards
        self.results = results
        self.conn_id = conn_id
        self.limits = limits or ShardLimits()

    def execute(self, context: Context) -> list[dict[str, Any]]:  # noqa: ARG002
        """Write the second round's shards, or pause."""
        from include.results.second_round import judge, write_second_round
        from include.shards.shard import Shard

        with config.clear_failures():
            shards = [Shard.from_reference(reference) for reference in as_list(self.shards)]
            if not shards:
                return []
            written = {result["uri"] for result in as_list(self.results)}
            files = {shard.uri: results_of(shard.uri) for shard in shards}
            sent = [shard for shard in shards if str(files[shard.uri]) in written]
            unsent = [shard for shard in shards if shard not in sent]
            chosen = judge((shard, files[shard.uri]) for shard in sent)
            folder = ObjectStoragePath(shards[0].uri).parent
            if unsent or chosen.account:
                self._pause_once(folder, unsent, dict(chosen.account))
            again = write_second_round(chosen, sent, folder, self.limits)
        if again:
            self.log.info("sending %s articles again: %s", f"{chosen.articles:,}", dict(chosen.reasons))
        return [shard.to_reference() for shard in [*unsent, *again]]

    def _pause_once(
        self, folder: ObjectStoragePath, unsent: Sequence[Shard], account: dict[str, int]
    ) -> None:
        """Fail the first time, so that a person looks; go on when the task has been cleared."""
        from include.storage import create_exclusively

        said = self._why_refused(unsent) if unsent else ""
        articles = sum(shard.articles for shard in unsent)
        parts = (
            [f"{len(unsent)} shard(s) with {articles:,} articles were not submitted ({said})"]
            if unsent
            else []
        )
        parts += [f"{count:,} articles ended with {kind}" for kind, count in account.items()]
        message = (
            f"the API refuses for the account's sake: {'; '.join(parts)}. What was answered is kept. Mend the key, "
            "the credit or the permission, then clear this task: the run goes on where it was."
        )
        if create_exclusively(folder / "paused.json", msgspec.json.encode({"message": message})):
            raise AirflowFailException(message)
        self.log.info("the run was paused for the account's sake and has been cleared; going on")

    def _why_refused(self, unsent: Sequence[Shard]) -> str:
        ledger = config.open_ledger(config.connect(self.conn_id).scope)
        entries = [ledger.load(shard.key) for shard in unsent]
        details = {entry.attempts[-1].detail for entry in entries if entry and entry.attempts}
        return "; ".join(sorted(details)) or "see their submit_batch tasks"


class PublishResultsOperator(BaseOperator):
    """Publish a day: one row for each article as one Parquet, replaced in one step, and its receipt.

    Returns the numbers of the day, and puts them into the asset event, if there is an outlet. A run
    without a partition key adds the day to the asset event itself.

    :param shards: what :class:`ReadArticlesOperator` returned; a shard without results is not overlooked.
    :param results: what :class:`WriteResultsOperator` returned for each of them.
    :param second_shards: what :class:`CollectFailuresOperator` returned, if there is a second round.
    :param second_results: what :class:`WriteResultsOperator` returned for each of those.
    :param pipeline: name of the pipeline; the day is published under it.
    :param day: YYYY-MM-DD; None takes the run's partition key, else the date the run was due.
    """

    template_fields: Sequence[str] = ("shards", "results", "second_shards", "second_results", "day")
    ui_color = "#dcf0e4"

    def __init__(
        self,
        *,
        shards: Any,
        results: Any,
        pipeline: str,
        second_shards: Any = None,
        second_results: Any = None,
        day: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.shards = shards
        self.results = results
        self.second_shards = second_shards
        self.second_results = second_results
        self.pipeline = config.check_pipeline_name(pipeline)
        self.day = day

    def execute(self, context: Context) -> dict[str, Any]:
        """Publish the day, write its receipt and tell the asset."""
        from include.costs.receipt import batch_receipt, make_receipt, write_receipt
        from include.results.publish import publish_day

        with config.clear_failures():
            day = config.day_of_run(context, self.day or None)
            first, second = self._results_in_order()
            summary = publish_day(
                [ObjectStoragePath(result["uri"]) for result in first],
                config.published_day(self.pipeline, day),
                pipeline=self.pipeline,
                day=day,
                rejected=config.run_folder(self.pipeline, day, context["run_id"]) / "rejected.parquet",
                second=[ObjectStoragePath(result["uri"]) for result in second],
            )
            receipt = make_receipt(
                [batch_receipt(result) for result in [*first, *second]],
                pipeline=self.pipeline,
                day=day,
                run=context["run_id"],
                offline=summary.offline,
                wasted_usd=summary.wasted_usd,
            )
            receipt_uri = str(write_receipt(receipt, config.data_root()))
        self.log.info(
            "published %s: %s articles; receipt %s", summary.uri, f"{summary.articles:,}", receipt_uri
        )
        numbers = asdict(summary) | {"receipt_uri": receipt_uri}
        self._tell_assets(context, day, numbers)
        return numbers

    def _results_in_order(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Return the results of the shards, in their order, and those of the second round."""
        first = [str(results_of(reference["uri"])) for reference in as_list(self.shards)]
        again = [str(results_of(reference["uri"])) for reference in as_list(self.second_shards)]
        found = {result["uri"]: result for result in [*as_list(self.results), *as_list(self.second_results)]}
        missing = [uri for uri in [*first, *again] if uri not in found]
        if missing:
            raise AirflowFailException(
                f"{len(missing)} of {len(first) + len(again)} shards have no results (the first is {missing[0]}), so "
                "the day is not published. See their submit_batch tasks; when that is mended, clear them."
            )
        return [found[uri] for uri in first], [found[uri] for uri in again if uri not in first]

    def _tell_assets(self, context: Context, day: str, numbers: dict[str, Any]) -> None:
        keyless = getattr(context["dag_run"], "partition_key", None) is None
        for outlet in self.outlets:
            if isinstance(outlet, Asset):
                event = context["outlet_events"][outlet]
                event.extra = numbers
                if keyless:
                    event.add_partitions(day)


def results_of(shard_uri: str) -> ObjectStoragePath:
    """Return where the results of a shard are written; a shard is known by its files, not by what is in it."""
    from include.shards.shard import ShardFiles

    results = ShardFiles.beside(ObjectStoragePath(shard_uri)).results
    assert isinstance(results, ObjectStoragePath)
    return results


def day_of_shard(shard: Shard) -> str:
    """Return the day whose run made a shard: ``…/runs/<pipeline>/<day>/<run>/requests-….json``."""
    return shard.uri.rsplit("/", 3)[-3]


def as_list(value: Any) -> list[Any]:
    """Return what the tasks of a mapped group returned.

    Airflow gives a lazy sequence or list, None when nothing was mapped, and the bare value when there was
    only one.
    """
    return [value] if isinstance(value, Mapping) else list(value or [])


def label_map_index(shard: Shard) -> None:
    """Name the mapped task after its shard, for ``map_index_template="{{ shard_label }}"``."""
    label = f"shard {int(shard.name)}" if shard.name.isdigit() else f"shard {shard.name}"
    get_current_context()["shard_label"] = f"{label} · {shard.articles:,} articles"  # type: ignore[typeddict-unknown-key]
