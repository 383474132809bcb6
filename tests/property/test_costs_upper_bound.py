"""No text, of any script, for any model, has more tokens at the offline API than its plan's upper bound."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from nightpress.articles.article import Article
from nightpress.costs.estimate import estimate
from nightpress.costs.request_profile import make_profile
from nightpress.costs.text_sizes import KINDS, count_kinds, measure_requests
from nightpress.models.catalogue import CATALOGUE
from nightpress.shards.prompts import PromptTemplate
from nightpress.shards.requests import RequestTemplate
from offline_api.model_catalog import MODELS
from offline_api.token_counts import count_input, tokenizer

ANY = st.text(st.characters(exclude_categories=["Cs"]), max_size=400)
ONE_SCRIPT = st.sampled_from(
    [
        "a-zA-Z ",
        "0-9",
        "一-龥",
        "ก-๛",
        "א-ת",
        "а-я",
        "가-힣",
        "😀-🙏",
        "ऀ-ॿ",
        "!-/",
        "\x01-\x1f",
        "Ⴀ-ჿ",
        "A-Z",
        "ﬀ-ﻼ",
    ]
).flatmap(lambda span: st.from_regex(f"[{span}]{{0,400}}", fullmatch=True))
TEXTS = st.lists(ANY | ONE_SCRIPT, min_size=1, max_size=6)
SCHEMA: dict[str, Any] = {"name": "look_up", "input_schema": {"type": "object", "properties": {}}}


@given(
    texts=TEXTS,
    system=st.none() | ANY.filter(bool),
    model=st.sampled_from(sorted(CATALOGUE)),
    request=st.sampled_from([{}, {"stop_sequences": ["END"]}, {"tools": [SCHEMA]}]),
)
def test_the_upper_bound_is_never_below_what_the_offline_api_counts(
    texts: list[str], system: str | None, model: str, request: dict[str, Any]
) -> None:
    template = RequestTemplate(model, 10, PromptTemplate("Say: {content}"), system, request=request)
    requests = [
        template.params(Article(article_id=str(n), title="", content=text, metadata={}, file="f", position=n))
        for n, text in enumerate(texts)
    ]
    counter = tokenizer(MODELS[model].new_tokenizer)
    counted = sum(count_input(msgspec.json.decode(params), counter) for params in requests)
    cost = estimate(measure_requests(requests), make_profile(template.options))
    assert counted <= cost.input_upper
    assert cost.upper_usd is not None


@given(texts=TEXTS)
def test_sizes_of_a_whole_are_those_of_its_parts(texts: list[str]) -> None:
    parts = [text.encode() for text in texts]
    whole = measure_requests(parts)
    assert whole.requests == len(texts)
    assert sum(whole.characters) == sum(map(len, texts))
    total = measure_requests([])
    for part in parts:
        total += measure_requests([part])
    assert total == whole


@given(texts=TEXTS, english=st.sampled_from(["", "Mostly plain text, 9 of 10 words. " * 50]))
def test_characters_are_counted_by_their_first_byte(texts: list[str], english: str) -> None:
    text = "".join([*texts, english])
    first_bytes = [character.encode()[0] for character in text]
    assert count_kinds(text.encode()) == tuple(
        sum(byte in kind.first_bytes for byte in first_bytes) for kind in KINDS
    )
