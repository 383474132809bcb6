"""Every model of the catalogue through the core, against the offline API: answered, planned, billed, to the cent.

The offline API's meter is written from the vendor's price list and shares no code with ours.
"""

from __future__ import annotations

import base64
import random
import sys
from collections.abc import Iterator
from typing import Any

import pyarrow.parquet as pq
import pytest

from nightpress.batches.model_api import SdkModelApi
from nightpress.models.catalogue import CATALOGUE
from nightpress.models.lookup import offered_ids
from nightpress.runs import counted_tokens
from nightpress.shards.prompts import PromptTemplate
from nightpress.shards.requests import RequestTemplate
from tests.support.offline_api_server import LocalApiServer
from tests.support.priced_runs import Priced, PricedRuns

_random = random.Random(12)
SCRIPTS = {
    "english": "The council met on Monday. It approved the new bridge over the river. Work begins soon. ",
    "chinese": "市议会周一开会。会议批准了新的桥梁。工程很快就要开始。",
    "japanese": "市議会は月曜日に会議を開きました。新しい橋を承認しました。",
    "korean": "시의회는 월요일에 회의를 열었다. 새 다리를 승인했다. ",
    "thai": "สภาเมืองประชุมกันเมื่อวันจันทร์และอนุมัติสะพานใหม่ข้ามแม่น้ำ. ",
    "hindi": "नगर परिषद की बैठक सोमवार को हुई। नए पुल को मंज़ूरी दी गई। ",
    "arabic": "اجتمع المجلس يوم الاثنين. ووافق على الجسر الجديد. ",
    "russian": "Совет собрался в понедельник. Он одобрил новый мост через реку. ",
    "greek": "Το συμβούλιο συνεδρίασε τη Δευτέρα. Ενέκρινε τη νέα γέφυρα. ",
    "georgian": "საბჭო შეიკრიბა ორშაბათს. დამტკიცდა ახალი ხიდი. ",
    "emoji": "🎉👩‍👩‍👧‍👦🏳️‍🌈😀🚀 ",
    "digits": "0123456789 98765 3.14159 2026-11-22 ",
    "code": "def f(x):\n    return {k: v[0] for k, v in x.items() if k != '_'}\n\n",
    "base64": base64.b64encode(_random.randbytes(60)).decode(),
    "hex": _random.randbytes(40).hex(),
    "capitals": "THE COUNCIL MET ON MONDAY. ",
    "one letter": "a b c d e f g h ",
    "punctuation": "!?!?.,;:-–—()[]{}<>|/\\*&^%$#@~ ",
    "control": "\x01\x02\x03\x1f\x7f tab\tline\nreturn\r ",
    "rare": "𠀀𠀁𠀂 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 ꙮ ᚠᚢᚦ ",
    "spaces": "word" + " " * 40,
    "accents": "Žluťoučký kůň úpěl ďábelské ódy. Ça c'est déjà vu, naïve. ",
}
TEXTS = [(text * 60)[:1_500] for text in SCRIPTS.values()]
PROMPT = PromptTemplate("Sum it up in two sentences.\n<article>{content}</article>")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PricedRuns]:
    folder = tmp_path_factory.mktemp("every_model")
    with LocalApiServer(folder / "api", seconds_per_batch=0.05) as server:
        yield PricedRuns(server, folder / "data")


def ask(model: str, max_tokens: int = 120, **options: Any) -> RequestTemplate:
    return RequestTemplate(model, max_tokens, PROMPT, **options)


def check(priced: Priced) -> None:
    assert priced.paid_usd == pytest.approx(priced.billed_usd, abs=1e-9)
    assert priced.plan.cost_upper_usd is not None
    assert priced.billed_usd <= priced.plan.cost_upper_usd
    assert priced.billed_usd > 0


def test_a_table_of_every_model(runs: PricedRuns, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [f"{'model':<20}{'answered':>9}{'tokens':>8}{'thinking':>9}{'planned':>11}{'billed':>11}"]
    for model in offered_ids():
        priced = runs.price(TEXTS, ask(model))
        (results,) = priced.results
        answered = results.by_status.get("succeeded", 0) + results.by_status.get("truncated", 0)
        texts = pq.read_table(runs.root.open(results.uri).path, columns=["text"])["text"].to_pylist()
        assert answered == len(TEXTS), f"{model}: {results.by_status}"
        assert all(texts), model
        assert (results.thinking_tokens > 0) is (CATALOGUE[model].thinking_default == "always")
        check(priced)
        # Room for thinking is a limit, not an estimate: how much of it a model takes is only known afterwards.
        upper, room = priced.plan.cost_upper_usd or 0.0, priced.plan.room_upper_usd or 0.0
        assert upper - room <= 2 * priced.billed_usd, model
        assert (room > 0) is (CATALOGUE[model].thinking_default == "always")
        assert upper <= (3 if room else 1.5) * priced.billed_usd, model
        tokens = results.input_tokens + results.output_tokens
        lines.append(
            f"{model:<20}{answered:>9}{tokens:>8,}{results.thinking_tokens:>9,}"
            f"{priced.plan.cost_upper_usd:>11.6f}{priced.billed_usd:>11.6f}"
        )
    with capsys.disabled():
        sys.stdout.write("\n" + "\n".join(lines) + "\n")


@pytest.mark.parametrize("model", offered_ids())
def test_every_model_with_all_the_thinking_it_wants(runs: PricedRuns, model: str) -> None:
    facts = CATALOGUE[model]
    efforts = {facts.efforts[0], facts.efforts[-1]} if facts.efforts else {None}
    for effort in efforts:
        priced = runs.price(TEXTS[:6], ask(model, thinking="auto", effort=effort))
        check(priced)
        (results,) = priced.results
        assert results.by_status.get("empty", 0) == 0, "thinking took all of the tokens"
        assert set(results.by_status) <= {"succeeded", "truncated"}


ALWAYS_THINK = [model for model in offered_ids() if CATALOGUE[model].thinking_default == "always"]


@pytest.mark.parametrize("model", ALWAYS_THINK)
def test_a_smaller_room_for_thinking_keeps_the_bound_near_the_bill(runs: PricedRuns, model: str) -> None:
    priced = runs.price(TEXTS, ask(model, thinking_room=100))
    check(priced)
    assert priced.plan.room_tokens == 100
    assert set(priced.results[0].by_status) <= {"succeeded", "truncated"}
    assert (priced.plan.cost_upper_usd or 0.0) <= 2 * priced.billed_usd


@pytest.mark.parametrize("model", ALWAYS_THINK)
def test_thinking_that_does_not_fit_its_room_is_billed_within_the_bound(runs: PricedRuns, model: str) -> None:
    priced = runs.price(TEXTS, ask(model, thinking_room=1, effort="high"))
    check(priced)


def test_a_budget_for_thinking(runs: PricedRuns) -> None:
    thinking = {"type": "enabled", "budget_tokens": 1_024}
    priced = runs.price(TEXTS[:6], ask("claude-haiku-4-5", thinking=thinking))
    check(priced)
    assert priced.results[0].thinking_tokens > 0


@pytest.mark.parametrize("model", ["claude-opus-5", "claude-haiku-4-5", "claude-fable-5-1"])
def test_inference_in_the_us_by_the_workspaces_own_setting(runs: PricedRuns, model: str) -> None:
    runs.server.post("/local/account", {"inference_geo": "us"})
    try:
        priced = runs.price(TEXTS[:6], ask(model))
    finally:
        runs.server.post("/local/account", {"inference_geo": "global"})
    check(priced)
    assert ("us" in priced.results[0].geographies) is CATALOGUE[model].geography


def test_inference_in_the_us_by_the_request(runs: PricedRuns) -> None:
    check(runs.price(TEXTS[:6], ask("claude-sonnet-5", request={"inference_geo": "us"})))


def test_a_long_prompt_costs_more_and_only_that_one(runs: PricedRuns) -> None:
    texts = [SCRIPTS["chinese"] * 5_000, *TEXTS[:3]]
    check(runs.price(texts, ask("claude-haiku-5-5")))


@pytest.mark.parametrize(
    "category", ["cyber", "general_harms", None, "bio", "frontier_llm", "reasoning_extraction"]
)
@pytest.mark.parametrize("answer", ["refusal", "refusal_after_output"])
def test_refusals_are_billed_as_the_vendor_does(runs: PricedRuns, answer: str, category: str | None) -> None:
    rule = {"endpoint": "create", "kind": "answers", "answer": answer, "share": 0.5}
    runs.server.faults(rule | ({"category": category} if category else {}))
    try:
        priced = runs.price(TEXTS, ask("claude-opus-5"))
    finally:
        runs.server.request("DELETE", "/local/faults")
    check(priced)
    assert priced.results[0].by_status.get("refused", 0) > 0


@pytest.mark.parametrize(
    "model", ["claude-sonnet-5", "claude-opus-5-5", "claude-fable-5-1", "claude-haiku-5-5"]
)
def test_a_cached_system_prompt(runs: PricedRuns, model: str) -> None:
    system = "Follow the style guide of the newsroom. " * 400
    priced = runs.price(TEXTS, ask(model, system=system, cache=True))
    check(priced)
    results = priced.results[0]
    assert results.cache_creation_input_tokens > 0
    assert results.cache_read_input_tokens > 0


@pytest.mark.parametrize("model", ["claude-haiku-5-5", "claude-opus-5"])
def test_a_cached_system_prompt_that_tools_make_long_enough(runs: PricedRuns, model: str) -> None:
    """The tools come before the system prompt, and are written to the cache with it."""
    tools = [
        {"name": f"tool_{n}", "description": "Looks up a place. " * 20, "input_schema": {"type": "object"}}
        for n in range(20)
    ]
    template = ask(model, 1, system="Be brief.", cache=True, request={"tools": tools})
    priced = runs.price(["Yes."], template)
    assert priced.results[0].cache_creation_input_tokens > 512
    check(priced)


class Liar(SdkModelApi):
    """A gateway that answers every count with the same number."""

    told = 0

    def count_tokens(self, params: bytes) -> int | None:
        return self.told


@pytest.mark.parametrize("told", [0, 1, 40, 10**9])
def test_counts_that_cannot_be_bound_nothing(runs: PricedRuns, told: int) -> None:
    honest, runs.models = runs.models, Liar(runs.client, "offline")
    runs.models.told = told
    try:
        check(runs.price(TEXTS, ask("claude-sonnet-5", 1)))
    finally:
        runs.models = honest


class OtherTokenizer(SdkModelApi):
    """A gateway that counts with a tokenizer of its own."""

    def count_tokens(self, params: bytes) -> int | None:
        counted = super().count_tokens(params)
        return None if counted is None else round(0.7 * counted)


@pytest.mark.parametrize("model", ["claude-haiku-4-5", "claude-opus-5"])
def test_what_a_gateway_counts_is_no_upper_bound(runs: PricedRuns, model: str) -> None:
    honest, runs.models = runs.models, OtherTokenizer(runs.client, "gateway.example")
    try:
        check(runs.price(TEXTS[:1] * 5, ask(model, 1)))
    finally:
        runs.models = honest


@pytest.mark.parametrize(
    "answer", ["context_window", "pause_turn", "empty", "thinking_only", "redacted_thinking"]
)
def test_odd_answers_are_billed_all_the_same(runs: PricedRuns, answer: str) -> None:
    runs.server.faults({"endpoint": "create", "kind": "answers", "answer": answer, "share": 0.5})
    try:
        check(runs.price(TEXTS, ask("claude-opus-5-5")))
    finally:
        runs.server.request("DELETE", "/local/faults")


def test_web_searches_are_on_the_bill(runs: PricedRuns) -> None:
    tools = [{"type": "web_search_20260209", "name": "web_search", "max_uses": 3}]
    runs.server.faults({"endpoint": "create", "kind": "answers", "answer": "web_search", "share": 0.5})
    try:
        priced = runs.price(TEXTS, ask("claude-opus-5", request={"tools": tools}))
    finally:
        runs.server.request("DELETE", "/local/faults")
    check(priced)
    assert priced.results[0].web_searches > 0


def test_a_typed_answer(runs: PricedRuns) -> None:
    from nightpress.outputs.output_schema import OutputSchema

    schema = {
        "type": "object",
        "properties": {"topic": {"type": "string"}, "score": {"type": "integer"}},
        "required": ["topic", "score"],
        "additionalProperties": False,
    }
    for model in ("claude-haiku-4-5", "claude-opus-5-5"):
        priced = runs.price(TEXTS[:6], ask(model, output=OutputSchema.of(schema)))
        assert priced.paid_usd == pytest.approx(priced.billed_usd, abs=1e-9)
        assert priced.billed_usd <= (priced.plan.cost_upper_usd or 0)


def test_answers_of_300_000_tokens_go_with_their_beta(runs: PricedRuns) -> None:
    priced = runs.price(TEXTS[:2], ask("claude-opus-5", 200_000, betas=("output-300k-2026-03-24",)))
    assert set(priced.results[0].by_status) <= {"succeeded", "truncated"}
    check(priced)


@pytest.mark.parametrize("most", [0, 100])
def test_the_upper_bound_holds_whether_all_requests_are_counted_or_some(
    runs: PricedRuns, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(counted_tokens, "MAX_ALL", most)
    priced = runs.price(TEXTS, ask("claude-sonnet-5"))
    check(priced)
    billed = sum(result.input_tokens for result in priced.results)
    assert (priced.plan.input_tokens_expected == billed) is (most > 0)


def test_counting_that_stops_half_way_bounds_nothing(runs: PricedRuns) -> None:
    runs.server.faults({"endpoint": "count_tokens", "kind": "status", "status": 429, "skip": 5})
    try:
        priced = runs.price(TEXTS, ask("claude-sonnet-5"))
    finally:
        runs.server.request("DELETE", "/local/faults")
    check(priced)
    assert priced.plan.input_tokens_upper > 1.3 * sum(result.input_tokens for result in priced.results)
    assert runs.server.request_counts()["POST /v1/messages/count_tokens"] > 5


def test_the_expectation_is_near_the_bill_when_the_api_counts(runs: PricedRuns) -> None:
    texts = [SCRIPTS["english"] * 30] * 20
    for model in ("claude-haiku-4-5", "claude-opus-5"):
        priced = runs.price(texts, ask(model))
        assert any("counted (free)" in note for note in priced.plan.notes)
        billed = sum(result.input_tokens for result in priced.results)
        assert priced.plan.input_tokens_expected == pytest.approx(billed, rel=0.03)
