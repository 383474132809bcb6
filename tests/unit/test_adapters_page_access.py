"""Who gets which document, what errors look like, and a store that does not answer; without an Airflow."""

from __future__ import annotations

import csv
import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fastapi.testclient import TestClient
from upath import UPath

from message_batches.page import access, documents, routes
from message_batches.page.airflow_runs import AirflowRuns
from message_batches.page.documents import to_cell
from message_batches.page.store_access import StoreAccess, StoreUnreachableError
from nightpress.costs.plan import write_plan
from nightpress.layout import DataRoot
from nightpress.reports.day.write_day_report import write_report
from tests.support.ledgers import entry, put
from tests.support.plans import make_plan
from tests.support.published_days import DAY, answer, publish
from tests.support.report_pages import NOW

HEADERS = ("content-security-policy", "x-content-type-options", "referrer-policy", "cache-control")
Door = Callable[..., TestClient]


@pytest.fixture
def door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    """The pages of a data root, for a user who may read these DAGs out of those."""
    monkeypatch.setenv("NIGHTPRESS_ROOT", f"file://{tmp_path}")
    monkeypatch.setattr(routes, "store", StoreAccess(patience_seconds=5))
    monkeypatch.setattr(routes, "airflow_runs", AirflowRuns(list))
    routes._overview.cache_clear()

    def open_door(permitted: set[str], known: set[str]) -> TestClient:
        app = routes.build_app()
        app.dependency_overrides[access.guard] = lambda: None
        app.dependency_overrides[access.find_readable] = lambda: access.make_rule(permitted, known)
        return TestClient(routes.build_pages(app), raise_server_exceptions=False)

    yield open_door
    routes._overview.cache_clear()


def publish_two(root: Path) -> None:
    publish(UPath(root), [answer(0)], pipeline="mine", dag_id="my_dag")
    publish(UPath(root), [answer(0, reused=True)], pipeline="theirs", dag_id="their_dag")


@pytest.mark.parametrize(
    ("permitted", "known", "status"),
    [
        ({"my_dag", "their_dag"}, {"my_dag", "their_dag", "other"}, 200),
        ({"my_dag"}, {"my_dag", "their_dag"}, 403),
        ({"my_dag"}, {"my_dag"}, 200),  # the other DAG was deleted: for who may read all that there are
        (set(), {"my_dag", "their_dag"}, 403),
        (set(), set(), 403),  # an empty metadata database tells nothing
    ],
)
def test_a_report_is_for_who_may_read_all_its_dags(
    tmp_path: Path, door: Door, permitted: set[str], known: set[str], status: int
) -> None:
    """The answers of ``theirs`` are reused: the ledger has no entry of that day."""
    publish_two(tmp_path)
    write_report(DataRoot(UPath(tmp_path)), DAY, now=NOW)
    found = door(permitted, known).get(f"/reports/{DAY}")
    assert found.status_code == status
    assert ("Title 0" in found.text) is (status == 200)


NO_RECORD = "<!doctype html><h1>an older one</h1>"
OF_DAGS = (
    '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="nightpress-dags" content="{}">'
)


@pytest.mark.parametrize("kind", ["reports/day", "comparisons/c/day"])
@pytest.mark.parametrize(
    "head",
    [
        NO_RECORD,
        *map(
            OF_DAGS.format,
            ("", "{}", "[]", "null", "{&quot;mine&quot;: 1}", "{&quot;mine&quot;: ", "[" * 99_000),
        ),
    ],
)
def test_a_document_that_does_not_say_whose_it_is(tmp_path: Path, door: Door, kind: str, head: str) -> None:
    root = DataRoot(UPath(tmp_path))
    path = root.report(DAY) if kind == "reports/day" else root.comparison_page("c", DAY)
    path.parent.mkdir(parents=True)
    path.write_text(head)
    address = "/" + kind.replace("day", DAY)
    assert door({"a"}, {"a", "b"}).get(address).status_code == 403
    assert door({"a", "b"}, {"a", "b"}).get(address).status_code == 200
    assert door(set(), set()).get(address).status_code == 403


def test_a_pipeline_that_did_not_publish_is_in_the_record_too(tmp_path: Path, door: Door) -> None:
    publish(UPath(tmp_path), [answer(0)], pipeline="mine", dag_id="my_dag")
    publish(UPath(tmp_path), [answer(0)], pipeline="theirs", dag_id="their_dag", day="2026-11-20")
    (tmp_path / "runs" / "theirs" / DAY / "manual").mkdir(parents=True)
    write_report(DataRoot(UPath(tmp_path)), DAY, now=NOW)
    assert door({"my_dag"}, {"my_dag", "their_dag"}).get(f"/reports/{DAY}").status_code == 403
    both = {"my_dag", "their_dag"}
    assert door(both, {*both, "other"}).get(f"/reports/{DAY}").status_code == 200


def test_a_large_report_is_sent_piece_by_piece(
    tmp_path: Path, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_two(tmp_path)
    root = DataRoot(UPath(tmp_path))
    write_report(root, DAY, now=NOW)
    with Path(root.report(DAY).path).open("ab") as stream:
        stream.write(b"x" * 5_000_000)
    pieces: list[int] = []
    original = documents._iter_pieces

    def count(stream: io.BytesIO, first: bytes) -> Iterator[bytes]:
        for piece in original(stream, first):
            pieces.append(len(piece))
            yield piece

    monkeypatch.setattr(documents, "_iter_pieces", count)
    both = {"my_dag", "their_dag"}
    found = door(both, both).get(f"/reports/{DAY}")
    assert len(found.content) == root.report(DAY).stat().st_size
    assert max(pieces) <= 1_000_000


def test_a_plan_is_for_who_may_read_the_dag_of_its_pipeline(tmp_path: Path, door: Door) -> None:
    put(UPath(tmp_path), entry(1, pipeline="mine", dag_id="my_dag", run="r"))
    for pipeline in ("mine", "theirs"):
        write_plan(make_plan(pipeline=pipeline), UPath(tmp_path) / "runs" / pipeline / "2026-11-22" / "r")
    known = {"my_dag", "their_dag"}
    assert door({"my_dag"}, known).get("/plans/mine/2026-11-22/r").status_code == 200
    assert door({"their_dag"}, known).get("/plans/mine/2026-11-22/r").status_code == 403
    assert door({"my_dag"}, known).get("/plans/theirs/2026-11-22/r").status_code == 403
    assert door(known, known).get("/plans/theirs/2026-11-22/r").status_code == 200


@pytest.mark.parametrize(
    "content", ['{"model": ["odd"], "rejected": {"x": {}}}', "[]", "{", '{"schema_version": 99}']
)
def test_a_plan_that_cannot_be_read_is_said_to_be_so(tmp_path: Path, door: Door, content: str) -> None:
    put(UPath(tmp_path), entry(1, pipeline="mine", dag_id="my_dag", run="r"))
    folder = tmp_path / "runs" / "mine" / "2026-11-22" / "r"
    folder.mkdir(parents=True)
    (folder / "plan.json").write_text(content)
    found = door({"my_dag"}, {"my_dag"}).get("/plans/mine/2026-11-22/r")
    assert found.status_code == 422
    assert "The plan cannot be read" in found.text


def test_answers_are_sent_to_who_may_read_their_dag(tmp_path: Path, door: Door) -> None:
    path = publish(UPath(tmp_path), [answer(n) for n in range(3)], pipeline="mine", dag_id="my_dag")
    allowed, refused = door({"my_dag"}, {"my_dag", "b"}), door({"b"}, {"my_dag", "b"})
    for form in ("parquet", "csv"):
        assert refused.get(f"/answers/mine/{DAY}.{form}").status_code == 403
        found = allowed.get(f"/answers/mine/{DAY}.{form}")
        assert found.status_code == 200
        assert found.headers["content-disposition"] == f'attachment; filename="mine-{DAY}.{form}"'
    assert allowed.get(f"/answers/mine/{DAY}.parquet").content == path.read_bytes()
    rows = list(
        csv.DictReader(io.StringIO(allowed.get(f"/answers/mine/{DAY}.csv").content.decode("utf-8-sig")))
    )
    assert [row["article_id"] for row in rows] == ["a-0", "a-1", "a-2"]
    assert rows[0]["text"] == "Answer 0."
    assert allowed.get(f"/answers/mine/{DAY}.exe").status_code == 422
    assert allowed.get("/answers/mine/2026-01-01.csv").status_code == 404
    path.write_bytes(b"PAR1 damaged")
    assert allowed.get(f"/answers/mine/{DAY}.csv").status_code == 422


def test_a_receipt_is_sent_to_who_may_read_all_dags_of_its_pipeline(tmp_path: Path, door: Door) -> None:
    publish(UPath(tmp_path), [answer(0)], pipeline="mine", dag_id="my_dag", receipt={})
    put(UPath(tmp_path), entry(1, pipeline="mine", dag_id="my_dag", day=DAY))
    path = f"/receipts/mine/{DAY}.json"
    assert door({"other"}, {"my_dag", "other"}).get(path).status_code == 403
    allowed = door({"my_dag"}, {"my_dag", "other"})
    found = allowed.get(path)
    assert (found.status_code, found.headers["content-type"]) == (200, "application/json")
    assert found.json()["pipeline"] == "mine"
    assert allowed.get("/receipts/mine/2026-01-01.json").status_code == 404
    assert allowed.get("/receipts/mine/2026-13-01.json").status_code == 404
    assert allowed.get("/receipts/ledger/2026-11-22.json").status_code == 404
    # Whose a pipeline is that nothing is known of cannot be told.
    assert allowed.get(f"/receipts/unknown/{DAY}.json").status_code == 403


def test_answers_without_a_dag_are_for_who_may_read_all(tmp_path: Path, door: Door) -> None:
    publish(UPath(tmp_path), [answer(0)], pipeline="mine")
    assert door({"mine"}, {"mine", "b"}).get(f"/answers/mine/{DAY}.csv").status_code == 403
    assert door({"mine", "b"}, {"mine", "b"}).get(f"/answers/mine/{DAY}.csv").status_code == 200


@pytest.mark.parametrize(
    "start",
    [
        "=",
        "+",
        "-",
        "@",
        "\t",
        "\r",
        "\n",
        " =",
        "\n\n@",
        "\ufeff=",
        "\u200b-",
        "\xa0+",
        "\x01=",
        "\uff1d",
        "\uff20",
    ],
)
def test_no_cell_is_run_by_a_spreadsheet(tmp_path: Path, door: Door, start: str) -> None:
    text = f"{start}HYPERLINK(1)"
    publish(UPath(tmp_path), [answer(0, text=text, title=text, **{text: text})], pipeline="mine", dag_id="a")
    found = door({"a"}, {"a"}).get(f"/answers/mine/{DAY}.csv").content.decode("utf-8-sig")
    for row in csv.reader(io.StringIO(found)):
        assert not [
            cell
            for cell in row
            if cell.lstrip(" \xa0\ufeff\u200b\ufffd")[:1] in set("=+-@\t\r\n\uff1d\uff20")
        ]
        assert all(cell.startswith("'") for cell in row if "HYPERLINK" in cell)
    assert to_cell(-1.5) == -1.5
    assert to_cell(None) is None


def test_nested_answers_are_json_in_csv(tmp_path: Path, door: Door) -> None:
    path = publish(UPath(tmp_path), [answer(0)], pipeline="mine", dag_id="a")
    table = pq.read_table(path)
    table = table.append_column("tags", pa.array([["x", "y\x00"]]))
    pq.write_table(table, path)
    found = door({"a"}, {"a"}).get(f"/answers/mine/{DAY}.csv").content.decode("utf-8-sig")
    (row,) = csv.DictReader(io.StringIO(found))
    assert json.loads(row["tags"]) == ["x", "y\x00"]
    assert "\x00" not in found


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/nothing", 404),
        ("/reports/2026-13-99", 404),
        (f"/reports/{DAY}", 404),
        ("/plans/%2e%2e/2026-11-22/x", 404),
        ("/answers/reports/2026-11-22.csv", 404),
        ("/batches.json?page=0", 422),
        ("/batches.json?pipeline=" + "x" * 301, 422),
        ("/batches.json", 200),
        ("/batches", 200),
        ("/static/page.css", 200),
        ("/", 307),
    ],
)
@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_every_answer_has_the_headers_that_keep_it_to_itself(
    tmp_path: Path, door: Door, address: str, status: int, accept: str
) -> None:
    found = door({"a"}, {"a"}).get(address, headers={"accept": accept}, follow_redirects=False)
    assert found.status_code == status, found.text
    assert [name for name in HEADERS if name not in found.headers] == []
    assert "Traceback" not in found.text


class StoreGoneError(Exception):
    """As a client of an object store raises it: no OSError."""


StoreGoneError.__module__ = "botocore.exceptions"


@pytest.mark.parametrize("error", [StoreGoneError("http://key:secret@store"), ConnectionError("secret")])
@pytest.mark.parametrize(
    "address", ["/batches.json", f"/reports/{DAY}", f"/answers/a/{DAY}.csv", "/plans/a/2026-11-22/r"]
)
def test_a_store_that_fails_is_a_503_without_its_words(
    door: Door, monkeypatch: pytest.MonkeyPatch, error: Exception, address: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("nightpress.overview.overview.Overview.look", fail)
    monkeypatch.setattr("upath.UPath.open", fail)
    monkeypatch.setattr("airflow.sdk.ObjectStoragePath.open", fail, raising=False)
    found = door({"a"}, {"a"}).get(address)
    assert found.status_code == 503
    assert "The data root cannot be read" in found.text
    assert "secret" not in found.text
    assert "Traceback" not in found.text


def test_a_store_that_does_not_answer_is_given_up_soon_and_not_asked_at_once_again() -> None:
    asked: list[float] = []
    now = [0.0]
    store = StoreAccess(patience_seconds=0.1, retry_seconds=5, clock=lambda: now[0])

    def hang() -> None:
        asked.append(now[0])
        answered.wait(60)

    answered = threading.Event()
    start = time.monotonic()
    for _ in range(10):
        with pytest.raises(StoreUnreachableError, match="has not answered within"):
            store.ask(hang)
    assert time.monotonic() - start < 30  # half of what the store takes
    answered.set()
    assert asked == [0.0]
    now[0] = 5.1
    assert store.ask(lambda: "back") == "back"
    assert store.ask(lambda: "still") == "still"


def test_a_fault_of_ours_is_not_called_a_fault_of_the_store() -> None:
    def fault() -> None:
        raise KeyError("ours")

    with pytest.raises(KeyError):
        StoreAccess().ask(fault)


def test_a_fault_of_ours_is_a_page_with_the_headers_and_without_its_words(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(*_: object) -> None:
        raise KeyError("secret")

    monkeypatch.setattr("nightpress.overview.overview.Overview.answer", fault)
    for accept in ("text/html", "application/json"):
        found = door({"a"}, {"a"}).get("/batches.json", headers={"accept": accept})
        assert found.status_code == 500
        assert "secret" not in found.text
        assert [name for name in HEADERS if name not in found.headers] == []


def test_without_a_data_root_the_page_says_what_to_set(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NIGHTPRESS_ROOT")
    found = door({"a"}, {"a"}).get("/batches.json")
    assert found.status_code == 503
    assert "NIGHTPRESS_ROOT is not set" in found.text


def test_a_ledger_that_cannot_be_listed_is_a_503_without_its_path(tmp_path: Path, door: Door) -> None:
    (tmp_path / "ledger").mkdir()
    loop = tmp_path / "ledger" / "offline"
    loop.symlink_to(loop)
    found = door({"a"}, {"a"}).get("/batches.json")
    assert found.status_code == 503
    assert found.json()["detail"] == "The data root cannot be read: OSError"
