from __future__ import annotations

from pathlib import Path

import pytest

from launch import bootstrap


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("requirements.txt", "requirements-dev.txt", "requirements.lock"):
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
    (project / "requirements.lock").write_text("other\n")
    assert not ready("dev", project)


def test_uv_gets_what_pip_is_configured_with(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {
        "index-url": "https://one/simple",
        "extra-index-url": "https://two/simple\nhttps://three/simple",
        "find-links": "/a /b",
        "cert": "/ca.pem",
    }
    monkeypatch.setattr(bootstrap, "read_pip_settings", lambda: settings)
    assert bootstrap.uv_environment({"SSL_CERT_FILE": "/own.pem"}) == {
        "SSL_CERT_FILE": "/own.pem",
        "UV_DEFAULT_INDEX": "https://one/simple",
        "UV_INDEX": "https://two/simple https://three/simple",
        "UV_FIND_LINKS": "/a,/b",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
    }


def test_pip_is_asked_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://from-environment/simple")
    assert bootstrap.read_pip_settings()["index-url"] == "https://from-environment/simple"
