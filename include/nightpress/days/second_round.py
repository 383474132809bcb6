"""Choose the articles to send again, and write the shards to send them in.

============================================  =====================================================
outcome                                       second round
============================================  =====================================================
expired, canceled, missing                    the same request again
errored: the API's fault, or of a new type    the same request again
errored: the request is refused               never in the run that sent it; another run sends it again
errored: credit, permission, authentication   the run pauses once, then the same request again
truncated by ``max_tokens``                   again with twice the ``max_tokens``, up to a cap, unless
                                              so many are truncated that the setting is too low
invalid_output                                the request with its answer and the reason it is invalid
truncated by the context window; refused;     never: the result would be the same
empty; unfinished
a result of a new type                        never: it may have been billed
============================================  =====================================================

(API documentation, "Errors" and "Handling stop reasons".) Errored requests are not billed. What was wrong with one
may be set right elsewhere, such as the account's access to the model; so a run that finds a batch of an earlier run
sends them again. Else a batch without any answer would be found for ever.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from nightpress.batches.refusals import is_account_trouble
from nightpress.errors import ResultsError
from nightpress.outputs.problems import Problem, repair_params
from nightpress.parquet_files import read_parquet
from nightpress.settings import ShardLimits
from nightpress.shards.kept_bodies import DamagedBodyError, read_body
from nightpress.shards.requests import RequestParams, canonical_params, iter_params
from nightpress.shards.shard import SECOND_ROUND_PREFIX, Shard, ShardFiles
from nightpress.shards.shard_writer import StagedRequest, fit_limits
from nightpress.shards.writer import write_staged_shards
from nightpress.statuses import ERRORED, INVALID_OUTPUT, STATUSES, SUCCEEDED, UNKNOWN_RESULT
from nightpress.storage import INVALID_JSON, StoragePath

REFUSED_REQUESTS = ("invalid_request_error", "not_found_error", "request_too_large")
"""Error types of requests that would fail in the same way again."""

MAX_TOKENS_CAP = 4_096
"""Cap for doubling ``max_tokens``; a request that had more keeps its value."""

MAX_THINKING_TOKENS_CAP = 16_384
"""The same cap for a request without any answer text, because its tokens went into thinking."""

MAX_CUT_OFF_SHARE = 0.2
"""If more of a shard's answers are truncated, ``max_tokens`` is too low, and none of them is sent again."""

_CUT_OFF = "max_tokens"
_JUDGED = ["status", "error_type", "error_message", "stop_reason", "text"]


@dataclass(frozen=True, slots=True)
class WrongAnswer:
    """An answer that does not fit its schema.

    :param text: the answer; empty if there was none.
    """

    text: str
    problem: Problem


@dataclass(slots=True)
class SecondRound:
    """The articles chosen for a second round.

    :param picked: ordinals to send again by the shard's name, in order.
    :param longer: of those, the ordinals that need more tokens.
    :param unbegun: of those, the ordinals truncated before any text.
    :param wrong: of those, the answers that did not fit the schema, and why.
    :param billed: of those, the ordinals whose first request was, or may have been, billed.
    :param refused: of those, the ordinals that only another run than the one that sent the shard sends again.
    :param reasons: number of articles by the reason for sending them again.
    :param account: articles that failed because of the account, by the shard's name and the API's message.
    :param cut_off: answers truncated by ``max_tokens`` that are not sent again, because they are too many.
    """

    picked: dict[str, list[int]] = field(default_factory=dict)
    longer: dict[str, set[int]] = field(default_factory=dict)
    unbegun: dict[str, set[int]] = field(default_factory=dict)
    wrong: dict[str, dict[int, WrongAnswer]] = field(default_factory=dict)
    billed: dict[str, set[int]] = field(default_factory=dict)
    refused: dict[str, set[int]] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)
    account: dict[str, Counter[str]] = field(default_factory=dict)
    cut_off: int = 0

    @property
    def articles(self) -> int:
        """Articles to send again."""
        return sum(map(len, self.picked.values()))


def judge(results: Iterable[tuple[Shard, StoragePath]], of_others: Collection[str] = ()) -> SecondRound:
    """Check the results of all shards and choose the articles that are worth a second round.

    :param results: each shard with its ``results-*.parquet``, in order.
    :param of_others: names of the shards that an earlier run sent.
    """
    chosen = SecondRound()
    for shard, path in results:
        table = read_parquet(path, _JUDGED)
        # Most rows succeeded; only the others are converted to Python objects.
        ordinals = pc.indices_nonzero(pc.not_equal(table["status"], SUCCEEDED))
        for ordinal, row in zip(ordinals.to_pylist(), table.take(ordinals).to_pylist(), strict=True):
            _pick(chosen, shard.name, ordinal, row, shard.name in of_others)
        if len(chosen.longer.get(shard.name, ())) > MAX_CUT_OFF_SHARE * shard.articles:
            _leave_cut_off(chosen, shard.name)
    return chosen


def _leave_cut_off(chosen: SecondRound, name: str) -> None:
    ordinals = chosen.longer.pop(name)
    chosen.cut_off += len(ordinals)
    chosen.reasons -= Counter({_CUT_OFF: len(ordinals)})
    chosen.picked[name] = [ordinal for ordinal in chosen.picked[name] if ordinal not in ordinals]


def _pick(chosen: SecondRound, name: str, ordinal: int, row: dict[str, Any], of_another: bool) -> None:
    reason = _reason(row, of_another)
    if reason is None:
        return
    if reason == INVALID_OUTPUT:
        problem = Problem(row["error_type"], row["error_message"] or "")
        chosen.wrong.setdefault(name, {})[ordinal] = WrongAnswer(row["text"] or "", problem)
    elif reason == _CUT_OFF:
        chosen.longer.setdefault(name, set()).add(ordinal)
        if not (row["text"] or "").strip():
            chosen.unbegun.setdefault(name, set()).add(ordinal)
    elif row["status"] == ERRORED and is_account_trouble(reason, row["error_message"]):
        said = f"{reason}: {(row['error_message'] or '')[:200]}".rstrip(": ")
        chosen.account.setdefault(name, Counter())[said] += 1
    if STATUSES[row["status"]].billed != "no":
        chosen.billed.setdefault(name, set()).add(ordinal)
    if _is_refused(row):
        chosen.refused.setdefault(name, set()).add(ordinal)
    chosen.reasons[reason] += 1
    chosen.picked.setdefault(name, []).append(ordinal)


def _reason(row: dict[str, Any], of_another: bool) -> str | None:
    """Return why a row is sent again, or None if it is not."""
    status = STATUSES.get(row["status"])
    if status is None or status.again == "never":
        return None
    if status.again == "more_room":
        return _CUT_OFF if row["stop_reason"] == _CUT_OFF else None
    if status.name != ERRORED:
        return status.name
    kind = str(row["error_type"] or ERRORED)
    if kind.startswith(UNKNOWN_RESULT):
        return None
    return None if _is_refused(row) and not of_another else kind


def _is_refused(row: dict[str, Any]) -> bool:
    kind = str(row["error_type"] or ERRORED)
    refused = row["status"] == ERRORED and kind in REFUSED_REQUESTS
    return refused and not is_account_trouble(kind, row["error_message"])


def write_second_round(
    chosen: SecondRound, shards: Sequence[Shard], folder: StoragePath, limits: ShardLimits
) -> list[Shard]:
    """Write the chosen articles of each shard into a new shard, named after it.

    The new shard depends on that one shard only. So another run of the same shard makes the same second
    shard, whatever happened to other shards, and finds the batch that was paid for it. Requests that only
    another run sends again are in a shard of their own, so that the rest is the shard that the first run made.

    :param shards: shards of the first round, in order; their bodies and articles are read.
    :param folder: folder of the run.
    :raises ResultsError: a body or the articles of a shard are not what was sent.
    """
    found = []
    for shard in shards:
        refused, picked = chosen.refused.get(shard.name, set()), chosen.picked.get(shard.name, [])
        usual = [ordinal for ordinal in picked if ordinal not in refused]
        found += _write_part(chosen, shard, usual, folder, limits)
        late = [ordinal for ordinal in picked if ordinal in refused]
        found += _write_part(chosen, shard, late, folder, limits, part="refused-")
    return found


def _write_part(  # noqa: PLR0917 - private, called twice
    chosen: SecondRound,
    shard: Shard,
    ordinals: Sequence[int],
    folder: StoragePath,
    limits: ShardLimits,
    part: str = "",
) -> list[Shard]:
    staged = list(_iter_staged(chosen, shard, ordinals, folder))
    if not staged:
        return []
    return write_staged_shards(
        staged,
        folder,
        limits=fit_limits(limits, max(len(request.params) for request in staged)),
        prefix=f"{SECOND_ROUND_PREFIX}{shard.name}-{part}",
        salt=f"second round of {part}{shard.key}",
        betas=shard.betas,
    )


def _iter_staged(
    chosen: SecondRound, shard: Shard, ordinals: Sequence[int], folder: StoragePath
) -> Iterator[StagedRequest]:
    if not ordinals:
        return
    longer, wrong = chosen.longer.get(shard.name, set()), chosen.wrong.get(shard.name, {})
    unbegun = chosen.unbegun.get(shard.name, set())
    files = ShardFiles(folder, shard.name)
    rows = read_parquet(files.articles).take(pa.array(ordinals)).to_pylist()
    params = _read_params(files.requests, ordinals)
    for ordinal, row, sent in zip(ordinals, rows, params, strict=True):
        changed: bytes | None = sent
        if ordinal in wrong:
            changed = _with_repair(sent, wrong[ordinal])
        elif ordinal in longer:
            changed = _with_more_tokens(
                sent, MAX_THINKING_TOKENS_CAP if ordinal in unbegun else MAX_TOKENS_CAP
            )
        if changed is None:
            continue
        origin = {"origin_shard": shard.name, "origin_ordinal": ordinal}
        yield StagedRequest(
            changed, {name: value for name, value in row.items() if name != "request_key"} | origin
        )


def _read_params(body: StoragePath, ordinals: Sequence[int]) -> list[bytes]:
    try:
        params = list(iter_params(read_body(body)))
        return [params[ordinal] for ordinal in ordinals]
    except (FileNotFoundError, DamagedBodyError, IndexError, *INVALID_JSON):
        raise ResultsError(
            f"{body} is not the body that was sent, so nothing of it can be sent again. Read the articles of the "
            "run once more; results that are paid for are found by the ledger.",
            code="sent_body_gone",
        ) from None


def _with_more_tokens(params: bytes, cap: int) -> bytes | None:
    """Return the params with twice the ``max_tokens``, or None if they are at the cap."""
    decoded = msgspec.json.decode(params, type=RequestParams)
    tokens = decoded["max_tokens"]
    if not isinstance(tokens, int) or tokens >= cap:
        return None
    return canonical_params(decoded | {"max_tokens": min(2 * tokens, cap)})


def _with_repair(params: bytes, wrong: WrongAnswer) -> bytes:
    decoded = msgspec.json.decode(params, type=RequestParams)
    return canonical_params(repair_params(decoded, wrong.text, wrong.problem))
