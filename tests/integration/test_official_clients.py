"""The offline API with clients that are not ours, unchanged: the SDK and two Airflow providers."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import anthropic
import pytest

from tests.support.batch_requests import items
from tests.support.offline_api_server import PROJECT, LocalApiServer

SEED_PROGRAM = """
import anthropic
import json
import time
from pathlib import Path
client = anthropic.Anthropic()
# 1. 读取文章数据
articles = json.loads(Path("articles.json").read_text())
print(f"共 {len(articles)} 篇文章需要处理")
# 2. 分批提交(每批最多 10,000 个)
BATCH_SIZE = 1000
all_batches = []
for i in range(0, len(articles), BATCH_SIZE):
    chunk = articles[i:i+BATCH_SIZE]
    batch = client.messages.batches.create(
        requests=[
            {
                "custom_id": f"article-{a['id']}",
                "params": {
                    "model": "claude-haiku-4-5",
                    "max_tokens": 200,
                    "messages": [{
                        "role": "user",
                        "content": f"用两句话概括这篇文章的核心内容:\\n{a['content'][:2000]}"
                    }],
                },
            }
            for a in chunk
        ]
    )
    all_batches.append(batch.id)
    print(f"批次 {len(all_batches)} 已提交,ID: {batch.id}")
# 3. 等待所有批次完成
results = {}
for batch_id in all_batches:
    while True:
        b = client.messages.batches.retrieve(batch_id)
        if b.processing_status == "ended":
            break
        time.sleep(60) # 1 分钟轮询一次
    # 4. 收集结果
    for result in client.messages.batches.results(batch_id):
        if result.result.type == "succeeded":
            article_id = result.custom_id.replace("article-", "")
            results[article_id] = result.result.message.content[0].text
# 5. 保存结果
Path("summaries.json").write_text(json.dumps(results, ensure_ascii=False, indent=2))
print(f"完成!共处理 {len(results)} 篇,节省约 50% 成本")
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalApiServer]:
    with LocalApiServer(tmp_path_factory.mktemp("api"), seconds_per_batch=0.3) as server:
        yield server


@pytest.fixture
def client(server: LocalApiServer) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(api_key="test-key", base_url=server.base_url) as client:
        yield client


def run_program(program: str, folder: Path, server: LocalApiServer, **environment: str) -> str:
    """Run a Python program in a process of its own, its sleeps cut to a tenth of a second at most."""
    patch = "import time\n_sleep = time.sleep\ntime.sleep = lambda seconds: _sleep(min(seconds, 0.1))\n"
    (folder / "sitecustomize.py").write_text(patch)
    (folder / "program.py").write_text(program)
    done = subprocess.run(
        [sys.executable, "program.py"],
        cwd=folder,
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": str(folder),
            "PYTHONPATH": f"{folder}:{PROJECT}:{PROJECT / 'include'}",
            "PYTHONUTF8": "1",
            "ANTHROPIC_API_KEY": "test-key",
            "ANTHROPIC_BASE_URL": server.base_url,
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_seed_program(server: LocalApiServer, tmp_path: Path) -> None:
    articles = [{"id": index, "content": f"第{index}篇文章。它很短。再见。" * 9} for index in range(2500)]
    (tmp_path / "articles.json").write_text(json.dumps(articles, ensure_ascii=False))
    accepted = server.billing()["batches_accepted"]
    output = run_program(SEED_PROGRAM, tmp_path, server)
    assert "完成!共处理 2500 篇" in output
    summaries = json.loads((tmp_path / "summaries.json").read_text())
    prompt = "用两句话概括这篇文章的核心内容:"
    assert summaries == {str(index): f"{prompt}\n第{index}篇文章。它很短。" for index in range(2500)}
    assert server.billing()["batches_accepted"] == accepted + 3


def test_the_sdk_as_documented(client: anthropic.Anthropic) -> None:
    batches = client.messages.batches
    created = batches.create(requests=items(3))
    assert batches.retrieve(created.id).id == created.id
    with pytest.raises(anthropic.BadRequestError):
        batches.delete(created.id)
    while batches.retrieve(created.id).processing_status != "ended":
        pass
    assert {row.custom_id for row in batches.results(created.id)} == {"a-0", "a-1", "a-2"}
    others = {batches.create(requests=items(1)).id for _ in range(5)}
    assert others | {created.id} <= {batch.id for batch in batches.list(limit=2)}
    canceled = batches.cancel(batches.create(requests=items(5)).id)
    assert canceled.processing_status == "canceling"
    assert batches.delete(created.id).id == created.id
    with pytest.raises(anthropic.NotFoundError) as caught:
        batches.retrieve(created.id)
    assert caught.value.type == "not_found_error"
    assert caught.value.request_id


def test_the_async_sdk(server: LocalApiServer) -> None:
    async def run() -> set[str]:
        async with anthropic.AsyncAnthropic(api_key="k", base_url=server.base_url) as client:
            batch = await client.messages.batches.create(requests=items(3))
            while (await client.messages.batches.retrieve(batch.id)).processing_status != "ended":
                await asyncio.sleep(0.05)
            return {row.custom_id async for row in await client.messages.batches.results(batch.id)}

    assert asyncio.run(run()) == {"a-0", "a-1", "a-2"}


ANTHROPIC_PROVIDER = """
import asyncio, sys
from airflow.providers.anthropic.hooks.anthropic import AnthropicHook
from airflow.providers.anthropic.operators.batch import AnthropicBatchOperator
from airflow.providers.anthropic.sensors.batch import AnthropicBatchSensor
from airflow.providers.common.compat.sdk import TaskDeferred

class TaskInstance:
    def xcom_push(self, key, value): pass

context = {"ti": TaskInstance()}
requests = [
    {"custom_id": f"a-{n}", "params": {"max_tokens": 50,
     "messages": [{"role": "user", "content": f"Number {n}. Second. Third."}]}}
    for n in range(20)
]
def operator(name, **options):
    return AnthropicBatchOperator(task_id=name, requests=requests, model="claude-haiku-4-5",
                                  poll_interval=0.1, **options)

def resume(task, deferred):
    async def first(): return await anext(aiter(deferred.value.trigger.run()))
    return task.execute_complete(context, asyncio.run(first()).payload)

def until_deferred(task):
    class Caught: value = None
    try: task.execute(context)
    except TaskDeferred as deferred: Caught.value = deferred; return Caught
    raise SystemExit("did not defer")

hook = AnthropicHook()
def texts(batch_id):
    return {r.custom_id: r.result.message.content[0].text for r in hook.stream_batch_results(batch_id)}
wanted = {f"a-{n}": f"Number {n}. Second." for n in range(20)}

waiting = operator("waits", deferrable=False)
assert texts(waiting.execute(context)) == wanted

deferring = operator("defers", deferrable=True)
assert texts(resume(deferring, until_deferred(deferring))) == wanted

batch_id = operator("submits", deferrable=False, wait_for_completion=False).execute(context)
sensor = AnthropicBatchSensor(task_id="sees", batch_id=batch_id, poke_interval=0.1, timeout=30, deferrable=False)
while not sensor.poke(context): pass
assert texts(batch_id) == wanted
sensor = AnthropicBatchSensor(task_id="waits_for", batch_id=batch_id, poke_interval=0.1, timeout=30, deferrable=True)
resume(sensor, until_deferred(sensor))
print("done", hook.test_connection())
"""


COMMON_AI = """
import json
from pathlib import Path
from pydantic import BaseModel
from airflow.providers.common.ai.operators.llm_batch import LLMBatchOperator

class Summary(BaseModel):
    headline: str
    score: int

class TaskInstance:
    dag_id, run_id, map_index, try_number = "dag", "run", -1, 1
    def __init__(self, task_id): self.task_id = task_id
    def xcom_push(self, key, value): pass

def run(name, **options):
    ti = TaskInstance(name)
    task = LLMBatchOperator(
        task_id=name, requests=[f"Number {n}. Second. Third." for n in range(20)],
        result_path=f"file://{Path.cwd()}/{name}", llm_conn_id="pydanticai_default",
        model_id="anthropic:claude-haiku-4-5", deferrable=False, **options)
    return task.execute({"task_instance": ti, "ti": ti})

def rows(manifest):
    path = next(value for value in manifest.values() if isinstance(value, str) and value.endswith(".jsonl"))
    return [json.loads(line) for line in Path(path.removeprefix("file://")).read_text().splitlines()]

manifest = run("plain")
found = rows(manifest)
assert len(found) == 20, manifest
assert {row["output"] for row in found} == {f"Number {n}. Second." for n in range(20)}, found[0]
manifest = run("structured", output_type=Summary)
found = rows(manifest)
assert all(Summary.model_validate(row["output"]) for row in found) and len(found) == 20, found[0]
print("done", manifest["counts"])
"""


def airflow_environment(folder: Path, **connections: str) -> dict[str, str]:
    return {
        "AIRFLOW_HOME": str(folder / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        **{f"AIRFLOW_CONN_{name.upper()}": value for name, value in connections.items()},
    }


def test_the_anthropic_provider(server: LocalApiServer, tmp_path: Path) -> None:
    connection = {"conn_type": "anthropic", "password": "test-key", "host": server.base_url}
    environment = airflow_environment(tmp_path, anthropic_default=json.dumps(connection))
    output = run_program(ANTHROPIC_PROVIDER, tmp_path, server, **environment)
    assert "done (True" in output


def test_the_common_ai_provider(server: LocalApiServer, tmp_path: Path) -> None:
    connection = {"conn_type": "pydanticai", "password": "test-key", "host": server.base_url}
    environment = airflow_environment(tmp_path, pydanticai_default=json.dumps(connection))
    output = run_program(COMMON_AI, tmp_path, server, **environment)
    assert "done" in output
