from __future__ import annotations

from pathlib import Path

import pytest

from launch import bootstrap

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("requirements.txt", "requirements-dev.txt", *bootstrap.LOCKS.values(), bootstrap.UV_LOCK):
        (tmp_path / name).write_text(f"{name}\n")
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").touch()
    return tmp_path


def ready(kind: str, project: Path) -> bool:
    return bootstrap.is_ready(kind, project / ".venv", project)


def test_a_stamp_of_development_serves_a_run_too_but_not_the_other_way(project: Path) -> None:
    assert not ready("run", project)
    (project / ".venv" / ".setup-run").write_text(bootstrap.digest("run", project))
    assert ready("run", project)
    assert not ready("dev", project)
    (project / ".venv" / ".setup-run").unlink()
    (project / ".venv" / ".setup-dev").write_text(bootstrap.digest("dev", project))
    assert ready("run", project)


def test_other_requirements_or_an_interrupted_setup_are_not_ready(project: Path) -> None:
    (project / ".venv" / ".setup-dev").write_text(bootstrap.digest("dev", project))
    (project / ".venv" / ".setup-unfinished").touch()
    assert not ready("dev", project)
    (project / ".venv" / ".setup-unfinished").unlink()
    (project / "requirements-dev.lock").write_text("other\n")
    assert not ready("dev", project)


def test_uv_gets_what_pip_is_configured_with(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {
        "index-url": "https://one/simple",
        "extra-index-url": "https://two/simple\nhttps://three/simple",
        "find-links": "/a /b",
        "cert": "/ca.pem",
    }
    monkeypatch.setattr(bootstrap, "read_pip_settings", lambda: settings)
    expected = {
        "SSL_CERT_FILE": "/own.pem",
        "UV_DEFAULT_INDEX": "https://one/simple",
        "UV_INDEX": "https://two/simple https://three/simple",
        "UV_FIND_LINKS": "/a,/b",
    }
    assert bootstrap.uv_environment({"SSL_CERT_FILE": "/own.pem"}) == expected


def test_all_indexes_are_searched_only_when_hashes_are_checked_or_when_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bootstrap, "read_pip_settings", lambda: {"extra-index-url": "https://two/simple"})
    assert "UV_INDEX_STRATEGY" not in bootstrap.uv_environment({})
    assert bootstrap.uv_environment({}, hashed=True)["UV_INDEX_STRATEGY"] == "unsafe-best-match"
    asked = {"UV_INDEX_STRATEGY": "unsafe-first-match"}
    assert bootstrap.uv_environment(asked)["UV_INDEX_STRATEGY"] == "unsafe-first-match"


@pytest.mark.parametrize("name", [*bootstrap.LOCKS.values(), bootstrap.UV_LOCK])
def test_every_locked_version_has_hashes(name: str) -> None:
    blocks = (PROJECT / name).read_text().replace("\\\n", " ").splitlines()
    pinned = [line for line in blocks if line and not line.startswith((" ", "#"))]
    assert len(pinned) == len([line for line in pinned if "==" in line and "--hash=sha256:" in line]) > 0


def test_a_run_has_the_versions_that_were_tested() -> None:
    run, dev = ({line.split(" ")[0] for line in _pinned(name)} for name in bootstrap.LOCKS.values())
    assert run <= dev


def _pinned(name: str) -> list[str]:
    return [line for line in (PROJECT / name).read_text().splitlines() if line[:1].isalnum()]


def test_pip_is_asked_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://from-environment/simple")
    assert bootstrap.read_pip_settings()["index-url"] == "https://from-environment/simple"
