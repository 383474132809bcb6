"""``nightpress plan`` finds the pipelines that Airflow finds, however their DAGs are written."""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from message_batches.command import dag_files
from message_batches.command.command_settings import CommandError

IMPORTS = "from airflow.sdk import DAG, TaskGroup, dag\nfrom message_batches import message_batch_pipeline\n"
FILES = {
    "plain.py": """
with DAG("plain", schedule=None):
    message_batch_pipeline("plain", prompt="{content}")
""",
    "two.py": """
with DAG("first", schedule=None) as first:
    message_batch_pipeline("first", prompt="{content}")
with DAG("second", schedule=None) as second:
    message_batch_pipeline("second", prompt="{content}")
""",
    "sub/deeper/decorated.py": """
@dag(schedule=None)
def decorated():
    message_batch_pipeline("decorated", prompt="{content}")

decorated()
""",
    "generated.py": """
def make(number):
    with DAG(f"made_{number}", schedule=None):
        message_batch_pipeline(f"made_{number}", prompt="{content}")

for number in range(2):
    make(number)
""",
    "grouped.py": """
with DAG("grouped", schedule=None), TaskGroup("inside"):
    message_batch_pipeline("grouped", prompt="{content}")
""",
    "ignored.py": """
with DAG("ignored", schedule=None):
    message_batch_pipeline("ignored", prompt="{content}")
""",
    "broken.py": "1 / 0\n",
    "unfinished.py": "def (\n",
}
ZIPPED = """
with DAG("zipped", schedule=None):
    message_batch_pipeline("zipped", prompt="{content}")
"""
FOUND = ["decorated", "first", "grouped", "made_0", "made_1", "plain", "second", "zipped"]


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dag_files.DagFiles]:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(IMPORTS + text)
    (tmp_path / ".airflowignore").write_text("ignored.py\n")
    with zipfile.ZipFile(tmp_path / "packed.zip", "w") as packed:
        packed.writestr("zipped.py", IMPORTS + ZIPPED)
    monkeypatch.setattr(dag_files, "prepare_airflow", lambda settings: None)
    level = logging.getLogger("airflow").level
    yield dag_files.read_dag_files({"NIGHTPRESS_DAGS": str(tmp_path)})
    logging.getLogger("airflow").setLevel(level)


def test_every_pipeline_is_found_and_a_broken_file_is_named(found: dag_files.DagFiles) -> None:
    assert sorted(found.pipelines) == FOUND
    assert found.broken == {
        "broken.py": "ZeroDivisionError: division by zero",
        "unfinished.py": "SyntaxError: invalid syntax",
    }
    assert found.find("plain").pipeline == "plain"
    with pytest.raises(CommandError) as caught:
        found.find("plane")
    for words in (
        "did you mean plain?",
        "broken.py cannot be loaded: ZeroDivisionError",
        "there are: decorated",
    ):
        assert words in str(caught.value)
