"""The seal: what is refused, by whom, and counted; what still works; what the receipt says. All for real, in children.

A seal cannot be taken off, so every sealed process here is a child that reports as JSON.
"""

from __future__ import annotations

import ast
import errno
import json
import multiprocessing
import os
import pickle
import re
import shutil
import socket
import subprocess
import sys
from multiprocessing.connection import Connection
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from jiyao import seal
from jiyao.messages import table
from jiyao.seal import landlock, seccomp
from jiyao.seal.audit import is_loopback
from jiyao.seal.checks import Verdict, Way, What
from jiyao.seal.policy import LayerName, Reason, shortened
from jiyao.seal.proof import Outcome
from tests.conftest import ROOT, SAMPLE

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has these kernel layers")
kernel = pytest.mark.skipif(not landlock.abi(), reason="this kernel has no Landlock")
posix = pytest.mark.skipif(os.name != "posix", reason="POSIX calls")

# What every child can use: `tried("…")` runs a line and says what came of it, `native(…)` an errno of a C function.
TOOLS = """
import ctypes, errno, json, os, sys
from pathlib import Path
from jiyao import seal
folder = Path(sys.argv[1])
inside, outside = folder / "inside", folder / "outside"
result = {}
def tried(line):
    try:
        exec(line, globals())
    except seal.Refused as refused:
        return refused.kind
    except Exception as error:
        return type(error).__name__
    return "ok"
def native(name, *arguments):
    answer = getattr(library, name)(*arguments)
    return errno.errorcode[ctypes.get_errno()] if answer < 0 else "ok"
def create(path):
    return native("open", os.fsencode(path), os.O_WRONLY | os.O_CREAT, 0o600)
if os.name == "posix":
    library = ctypes.CDLL(None, use_errno=True)
"""
GUARD = "seal.guard(seal.Policy('parent', (inside,), loopback=True))\n"
CLOSE = "enforcement = seal.close(seal.Policy('worker', (inside,)))\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("inside", "outside"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "old").write_text("kept")
    return tmp_path


def child(code: str, folder: Path, **environment: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", f"{TOOLS}{code}\nsys.stdout.write(json.dumps(result))", str(folder)],
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        env=seal.environment({**os.environ, **environment}),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def content(shared: SharedMemory) -> memoryview:
    assert shared.buf is not None
    return shared.buf


def outcomes(head: str, lines: tuple[str, ...], folder: Path, tail: str = "") -> dict[str, Any]:
    told: dict[str, Any] = child(f"{head}\nfor line in {lines!r}: result[line] = tried(line)\n{tail}", folder)
    return told


# what is told and answered


def test_a_worker_has_no_network_and_no_programs() -> None:
    with pytest.raises(ValueError):
        seal.Policy("worker", loopback=True)
    with pytest.raises(ValueError):
        seal.Policy("worker", programs=("sh",))


def test_a_refusal_travels_and_says_what_and_where() -> None:
    refused = pickle.loads(pickle.dumps(seal.Refused("write", "/x/y")))
    assert isinstance(refused, seal.Refused) and issubclass(seal.Refused, PermissionError)
    assert refused.errno == errno.EPERM
    assert (refused.kind, refused.where) == ("write", "/x/y") and "/x/y" in str(refused)


def test_attempts_of_two_processes_add_up_in_time() -> None:
    first = seal.Attempts(network=1, write=2, latest=(seal.Attempt("write", "a", 1.0), seal.Attempt("write", "c", 3.0)))
    second = seal.Attempts(write=1, program=4, latest=(seal.Attempt("program", "b", 2.0),))
    both = first + second
    assert (both.network, both.write, both.program, both.total) == (1, 3, 4, 8)
    assert [attempt.where for attempt in both.latest] == ["b", "c"]
    assert seal.Attempts() + seal.Attempts() == seal.Attempts()


def test_a_long_name_is_cut() -> None:
    assert shortened("a\nb\x1b") == "a?b?"
    assert shortened("长" * 1000) == "长" * 160 + "…"


def test_loose_threads_weaken_what_is_claimed_of_writes_only() -> None:
    files = seal.Layer("landlock", True, "", ("write", "program"))
    hook = seal.Layer("audit_hook", True, "", ("network", "write", "program"))
    assert seal.Enforcement("worker", (hook, files)).strength("write") == "kernel"
    assert seal.Enforcement("worker", (hook, files)).strength("network") == "python"
    assert seal.Enforcement("worker", (hook, files), loose_threads=1).strength("write") == "python"
    off = seal.Layer("audit_hook", False, "", ("network", "write", "program"), "refused")
    assert seal.Enforcement("worker", (off,)).strength("network") == "none"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "localhost", "LOCALHOST."])
def test_this_computer(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["", "0.0.0.0", "::", "10.0.0.1", "192.0.2.1", "::ffff:8.8.8.8", "localhost.example", "127.0.0.1.example"]
)
def test_not_this_computer(host: str) -> None:
    assert not is_loopback(host)


# the Python layer

WRITES = (
    "open(outside / 'new', 'w')",
    "open(outside / 'old', 'a')",
    "open(outside / 'old', 'r+b')",
    "open(outside / 'old', 'x')",
    "os.open(outside / 'new', os.O_CREAT)",
    "os.open(os.fsencode(outside / 'old'), os.O_RDONLY | os.O_TRUNC)",
    "open(inside / '..' / 'outside' / 'new', 'wb')",
    "(outside / 'new').mkdir()",
    "(outside / 'old').unlink()",
    "(outside / 'old').rename(inside / 'moved')",
    "(inside / 'old').rename(outside / 'moved')",
    "os.replace(inside / 'old', outside / 'old')",
    "os.truncate(outside / 'old', 0)",
    "os.utime(outside / 'old')",
    "os.chmod(outside / 'old', 0o600)",
    "__import__('shutil').rmtree(outside)",
    "__import__('shutil').copy(inside / 'old', outside / 'copy')",
    "__import__('sqlite3').connect(outside / 'base')",
    "__import__('sqlite3').connect(f'file:{outside}/base', uri=True)",
    "__import__('tempfile').mkstemp(dir=outside)",
)


def test_writes_outside_are_refused_and_counted(folder: Path) -> None:
    told = outcomes(GUARD, WRITES, folder, "result['counted'] = seal.attempts().write")
    assert told == {**dict.fromkeys(WRITES, "write"), "counted": len(WRITES)}
    assert [path.name for path in (folder / "outside").iterdir()] == ["old"]
    assert [path.name for path in (folder / "inside").iterdir()] == ["old"]
    assert (folder / "outside" / "old").read_text() == "kept"


@posix
def test_links_lead_nowhere(folder: Path) -> None:
    (folder / "inside" / "out").symlink_to(folder / "outside")
    (folder / "inside" / "file").symlink_to(folder / "outside" / "old")
    (folder / "outside" / "in").symlink_to(folder / "inside" / "old")
    lines = (
        "open(inside / 'out' / 'new', 'w')",
        "open(inside / 'file', 'w')",
        "(outside / 'in').unlink()",
        "os.link(outside / 'old', inside / 'hard')",
        "os.symlink('x', outside / 'new')",
        "os.unlink('old', dir_fd=os.open(outside, os.O_RDONLY))",
    )
    assert outcomes(GUARD, lines, folder) == dict.fromkeys(lines, "write")
    fine = ("(inside / 'file').unlink()", "os.unlink('old', dir_fd=os.open(inside, os.O_RDONLY))")
    assert outcomes(GUARD, fine, folder) == dict.fromkeys(fine, "ok")
    assert (folder / "outside" / "old").read_text() == "kept"


def test_what_is_allowed_works(folder: Path) -> None:
    (folder / "results").mkdir()
    lines = (
        "(inside / 'deep').mkdir()",
        "(inside / 'deep' / 'new').write_text('x')",
        "(inside / 'deep' / 'new').rename(inside / 'moved')",
        "__import__('shutil').rmtree(inside / 'deep')",
        "__import__('sqlite3').connect(inside / 'base').execute('create table a(b)').connection.close()",
        "__import__('sqlite3').connect(':memory:').close()",
        "open(os.devnull, 'w').close()",
        "(outside / 'old').read_text()",
        "os.open(outside / 'old', os.O_RDONLY)",
        "os.fdopen(os.pipe()[1], 'w').close()",
        "import wave, colorsys",
        "__import__('subprocess').run([sys.executable, '-c', ''], check=True)",
        "seal.allow(folder / 'results') or (folder / 'results' / 'new').write_text('x')",
    )
    told = outcomes(GUARD, lines, folder, "result['counted'] = seal.attempts().total")
    assert told == {**dict.fromkeys(lines, "ok"), "counted": 0}


def test_the_parent_reaches_this_computer_only(folder: Path) -> None:
    lines = (
        "socket.create_connection(('192.0.2.1', 443), 1)",
        "socket.socket().connect(('192.0.2.1', 443))",
        "socket.socket().connect_ex(('192.0.2.1', 443))",
        "socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 53))",
        "socket.socket().bind(('0.0.0.0', 0))",
        "socket.socket().bind(('', 0))",
        "socket.getaddrinfo('meeting.invalid', 80)",
        "socket.gethostbyname('meeting.invalid')",
        "socket.gethostbyaddr('192.0.2.1')",
        "socket.getnameinfo(('192.0.2.1', 80), 0)",
        "__import__('urllib.request').request.urlopen('http://meeting.invalid/')",
    )
    served = """
server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(("localhost", server.getsockname()[1]), 5)
server.accept()[0].sendall(b"hello")
result["heard"] = client.recv(5).decode()
attempts = seal.attempts()
result["counted"], result["first"] = attempts.network, attempts.latest[0].where
"""
    told = outcomes(f"import socket\n{GUARD}", lines, folder, served)
    [wrapped] = [line for line in lines if "urlopen" in line]  # urllib makes a URLError of it
    assert told.pop(wrapped) == "URLError"
    assert told.pop("heard") == "hello" and told.pop("counted") == len(lines)
    assert told.pop("first") == "192.0.2.1:443"
    assert told == dict.fromkeys(told, "network")


@posix
def test_the_parent_starts_only_what_it_may(folder: Path) -> None:
    lines = (
        "import subprocess; subprocess.run(['ls'])",
        "subprocess.run('true', shell=True)",
        "os.system('true')",
        "os.execv('/bin/ls', ['ls'])",
        "os.posix_spawn('/bin/ls', ['ls'], {})",
    )
    allowed = GUARD.replace("loopback=True", "programs=('true',)")
    told = outcomes(allowed, (*lines, "subprocess.run(['true'], check=True)"), folder)
    assert told == {**dict.fromkeys(lines, "program"), "subprocess.run(['true'], check=True)": "ok"}


def test_a_process_is_sealed_once_and_as_what_it_is(folder: Path) -> None:
    lines = (
        "seal.allow(outside)",
        "seal.guard(seal.Policy('worker'))",
        "seal.close(seal.Policy('parent'))",
        "seal.guard(seal.Policy('parent'))",
        "seal.guard(seal.Policy('parent', ()))",
    )
    assert list(outcomes("", lines, folder).values()) == [
        "RuntimeError",
        "ValueError",
        "ValueError",
        "ok",
        "RuntimeError",
    ]


def test_a_hook_that_another_hook_forbade_is_not_claimed(folder: Path) -> None:
    code = """
def never(event, _):
    if event == "sys.addaudithook":
        raise RuntimeError
sys.addaudithook(never)
enforcement = seal.guard(seal.Policy("parent"))
result = [enforcement.strength("write"), enforcement.layers[0].reason, tried("open(outside / 'new', 'w').close()")]
"""
    assert child(code, folder) == ["none", "refused", "ok"]


def test_the_latest_attempts_are_few_and_the_counters_go_on(folder: Path) -> None:
    code = f"{GUARD}\nfor n in range(300): tried(f\"open(outside / '{{n}}', 'w')\")\na = seal.attempts()\n"
    told = child(code + "result = [a.write, len(a.latest), Path(a.latest[-1].where).name]", folder)
    assert told == [300, 50, "299"]


# the kernel's layers


@kernel
def test_native_code_and_its_threads_and_children_are_bound(folder: Path) -> None:
    code = f"""
import threading
go, after = threading.Event(), []
def early():
    go.wait()
    after.append(native("socket", 2, 1, 0))
thread = threading.Thread(target=early)
thread.start()
{CLOSE}
go.set(); thread.join()
result["early thread, socket"] = after[0]
late = threading.Thread(target=lambda: after.append(create(outside / "new")))
late.start(); late.join()
result["late thread, write"] = after[1]
result["own, write"] = create(outside / "new")
result["own, truncate"] = native("truncate", os.fsencode(outside / "old"), 0)
result["own, folder"] = native("mkdir", os.fsencode(outside / "new"), 0o700)
result["own, remove"] = native("unlink", os.fsencode(outside / "old"))
result["own, link"] = native("link", os.fsencode(inside / "old"), os.fsencode(outside / "new"))
result["allowed"] = create(inside / "new")
read, write = os.pipe()
if library.fork() == 0:
    os.write(write, json.dumps([create(outside / "new"), native("socket", 2, 2, 0)]).encode())
    os._exit(0)
result["grandchild"] = json.loads(os.read(read, 100))
result["loose"] = enforcement.loose_threads
result["strength"] = [enforcement.strength(kind) for kind in ("network", "write", "program")]
"""
    told = child(code, folder)
    newer = landlock.abi() >= 8
    assert told.pop("loose") == (0 if newer else 1)
    assert told.pop("strength") == ["kernel", "kernel" if newer else "python", "kernel"]
    assert told.pop("grandchild") == ["EACCES", "EPERM"]
    assert told.pop("early thread, socket") == "EPERM"
    assert told.pop("own, link") in ("EACCES", "EXDEV")
    assert told.pop("allowed") == "ok"
    assert told == dict.fromkeys(told, "EACCES")
    assert sorted(path.name for path in (folder / "inside").iterdir()) == ["new", "old"]
    assert [path.name for path in (folder / "outside").iterdir()] == ["old"]


@kernel
def test_no_way_out_for_native_code(folder: Path) -> None:
    code = f"""
import socket, struct
def address(name): return struct.pack("=H", 1) + name
server = socket.socket(socket.AF_UNIX); server.bind(str(outside / "ear")); server.listen()
{CLOSE}
for family in (2, 10, 16, 17, 38, 40):
    for kind in (1, 2, 3):
        result[f"socket {{family}} {{kind}}"] = native("socket", family, kind, 0)
for kind in (2, 3):
    result[f"local datagram {{kind}}"] = native("socket", 1, kind, 0)
    result[f"pair {{kind}}"] = native("socketpair", 1, kind, 0, (ctypes.c_int * 2)())
stream = library.socket(1, 1 | socket.SOCK_CLOEXEC, 0)
ear = address(os.fsencode(outside / "ear") + b"\\0")
result["connect"] = native("connect", stream, ear, len(ear))
result["accept"] = native("accept", server.fileno(), None, None)
empty = (ctypes.c_char_p * 1)(None)
result["execve"] = native("execve", b"/bin/true", empty, empty)
result["io_uring"] = native("syscall", 425, 1, ctypes.create_string_buffer(120))
result["ptrace"] = native("ptrace", 16, os.getppid(), None, None)
result["pidfd_getfd"] = native("syscall", 438, os.pidfd_open(os.getppid()), 0, 0)
result["attribute"] = native("setxattr", os.fsencode(inside / "old"), b"user.a", b"text", 4, 0)
result["typing"] = native("ioctl", 0, ctypes.c_ulong(0x5412), b"x")
result["signal"] = native("kill", os.getppid(), 0) if {landlock.abi()} >= 6 else "EPERM"
# what libcuda does when it starts, and pipes between processes
named = address(b"\\0cuda-like-%d" % os.getpid())
packets = library.socket(1, 5, 0)
fine = [native("bind", packets, named, len(named)), native("listen", packets, 1)]
a, b = socket.socketpair(); a.sendall(b"x"); fine.append(b.recv(1).decode())
result = [result, fine]
"""
    refused, fine = child(code, folder)
    assert len(refused) == 31
    assert refused == dict.fromkeys(refused, "EPERM")
    assert fine == ["ok", "ok", "x"]


@kernel
def test_python_in_the_worker_is_refused_and_counted_too(folder: Path) -> None:
    lines = (
        "import socket; socket.create_connection(('127.0.0.1', 9), 1)",
        "socket.socket()",
        "socket.getaddrinfo('meeting.invalid', 80)",
        "socket.socket(socket.AF_UNIX).connect('/nowhere')",
        "open(outside / 'new', 'w')",
        "os.fork()",
        "import subprocess; subprocess.run([sys.executable, '-c', ''])",
        "open(inside / 'new', 'w').close()",
        "seal.allow(outside)",
    )
    told = outcomes(CLOSE, lines, folder, "a = seal.attempts(); result['n'] = [a.network, a.write, a.program]")
    assert told.pop("n") == [4, 1, 2]
    assert list(told.values()) == ["network"] * 4 + ["write", "program", "program", "ok", "RuntimeError"]


def _attach(connection: Connection, name: str, folder: str) -> None:
    enforcement = seal.close(seal.Policy("worker"))
    given = connection.recv_bytes()
    shared, own = SharedMemory(name), SharedMemory(create=True, size=8)
    content(shared)[: len(given)] = given
    try:
        (Path(folder) / "new").write_bytes(given)
    except PermissionError:
        connection.send((enforcement, seal.attempts(), os.getpid()))
    own.close()
    own.unlink()
    shared.close()


@kernel
def test_a_spawned_worker_keeps_its_pipe_and_its_shared_memory(folder: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    shared = SharedMemory(create=True, size=16)
    try:
        worker = context.Process(target=_attach, args=(theirs, shared.name, str(folder)))
        worker.start()
        ours.send_bytes(b"sound")
        assert ours.poll(60)
        enforcement, attempts, _ = ours.recv()
        worker.join()
        assert bytes(content(shared)[:5]) == b"sound"
        assert enforcement.strength("network") == "kernel"
        assert attempts.write == 1 and attempts.latest[0].where == str(folder / "new")
        assert worker.exitcode == 0
    finally:
        shared.close()
        shared.unlink()


RECOGNISE = """
from jiyao import engines, pipeline, settings
chosen = settings.load()
speaking = engines.open_engine("whisper-base", chosen)
with open(sys.argv[3], "rb") as file:
    found = pipeline.listen(file, Path(sys.argv[2]), pipeline.Options())
from jiyao.recognition import Clip, Hints
span = found.parts[0].clips[0]
[(_, heard)] = speaking.recognize([Clip(found.recording.samples(span), span)], Hints())
sys.stderr.write(heard.text)
"""


@kernel
@pytest.mark.parametrize("first", [True, False], ids=["closed before loading", "closed after loading"])
def test_real_recognition_under_the_seal(starter_home: Path, vad_model: Path, tmp_path: Path, first: bool) -> None:
    """Decoding (PyAV), voice detection (onnxruntime) and recognition (ctranslate2), watched by strace where it is."""
    close = "enforcement = seal.close(seal.Policy('worker'))"
    code = f"{TOOLS}\n" + (f"{close}\n{RECOGNISE}" if first else RECOGNISE.replace("with open", f"{close}\nwith open"))
    code += "\nresult = [seal.attempts().total, enforcement.loose_threads]\nsys.stdout.write(json.dumps(result))"
    log = tmp_path / "trace"
    watch = ["-e", "trace=%network,%file,io_uring_setup,execve"]
    strace = ["strace", "-f", "-qq", "-o", str(log), *watch] if first and shutil.which("strace") else []
    done = subprocess.run(
        [*strace, sys.executable, "-c", code, str(tmp_path), str(vad_model), str(SAMPLE)],
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        env=seal.environment({**os.environ, "JIYAO_HOME": str(starter_home)}),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(re.findall("[\u4e00-\u9fff]", done.stderr)) > 10, "a sentence was heard"
    attempts, loose = json.loads(done.stdout)
    assert attempts == 0
    assert (loose == 0) == (first or landlock.abi() >= 8)
    if strace:
        lines = log.read_text().splitlines()
        assert any(SAMPLE.name in line for line in lines), "strace saw the run"
        sockets = [line for line in lines if re.search(r" (socket|connect|sendto|io_uring_setup)\(", line)]
        assert [line for line in sockets if "EPERM" not in line] == []
        assert len(sockets) == 1, "the proof that the filter works, and nothing else"
        writes = [line for line in lines if re.search(r"O_WRONLY|O_RDWR|O_CREAT| (mkdir|unlink|rename)", line)]
        allowed = re.compile(r'"/dev/(null|shm)|"/tmp/\w{8}"|/proc/|= -1 E')  # Python looks for a temporary folder once
        assert [line for line in writes if not allowed.search(line)] == []


# the filter, also for the processor that is not here


def judged(machine: str, number: int, *arguments: int, mark: int | None = None) -> bool:
    """Run the filter as the kernel would; whether the call is allowed."""
    given = [*arguments, 0, 0, 0, 0, 0, 0][:6]
    words = {0: number, 4: seccomp._MACHINES[machine][0] if mark is None else mark}
    words |= {16 + 8 * n: value for n, value in enumerate(given)}
    register, at = 0, 0
    program = seccomp.instructions(machine)
    while True:
        code, yes, no, value = program[at]
        at += 1
        if code == 0x20:
            register = words[value]
        elif code == 0x54:
            register &= value
        elif code in (0x15, 0x35):
            at += yes if (register == value if code == 0x15 else register >= value) else no
        else:
            return bool(value == 0x7FFF0000)


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_filter(machine: str) -> None:
    calls = {**seccomp._MACHINES[machine][2], **seccomp._COMMON}
    looked_into = {calls[name] for name in ("socket", "socketpair", "ioctl")}
    always = set(calls.values()) - looked_into
    assert len(always) == 17
    assert {number for number in range(600) if not judged(machine, number, 1, 1)} == always
    cloexec = 0o2000000
    for name in ("socket", "socketpair"):
        fine = {(f, t) for f in range(46) for t in range(11) if judged(machine, calls[name], f, t | cloexec)}
        assert fine == {(1, 1), (1, 5)}
    assert [c for c in range(0x5400, 0x5460) if not judged(machine, calls["ioctl"], 0, c)] == [0x5412, 0x541C]
    assert not judged(machine, 0, mark=0x40000003), "32-bit calls have other numbers"
    assert judged(machine, 0x40000000 + 41) == (machine != "x86_64")


@linux
@pytest.mark.parametrize(
    ("machine", "header"),
    [("x86_64", "x86_64-linux-gnu/asm/unistd_64.h"), ("aarch64", "asm-generic/unistd.h")],
)
def test_the_numbers_are_the_kernels(machine: str, header: str) -> None:
    file = Path("/usr/include") / header
    if not file.exists():
        pytest.skip("the kernel's headers are not installed")
    known = dict(re.findall(r"#define __NR_(\w+)\s+(\d+)", file.read_text()))
    ours = {**seccomp._MACHINES[machine][2], **seccomp._COMMON, "seccomp": seccomp._MACHINES[machine][1]}
    ours |= {"landlock_create_ruleset": 444, "landlock_add_rule": 445, "landlock_restrict_self": 446}
    ours.pop("setxattrat")  # newer than most headers
    assert {name: int(known[name]) for name in ours} == ours


# memory


def test_wiping_zeroes_in_place() -> None:
    grid = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert seal.wipe(grid[:, ::2]) == 24
    assert grid.tolist() == [[0, 1, 0, 3], [0, 5, 0, 7], [0, 9, 0, 11]]
    text = bytearray(b"secret words")
    assert seal.wipe(memoryview(text)[:6]) == 6 and text == bytes(6) + b" words"
    seal.wipe(text)
    assert text == bytes(12)
    shared = SharedMemory(create=True, size=10)
    try:
        content(shared)[:3] = b"abc"
        seal.wipe(shared)
        assert bytes(content(shared)[:3]) == bytes(3)
    finally:
        shared.close()
        shared.unlink()
    with pytest.raises(ValueError):
        seal.wipe(shared)


def test_what_cannot_be_wiped_is_said() -> None:
    fixed = np.ones(3)
    fixed.flags.writeable = False
    for wrong in (fixed, memoryview(b"abc")):
        with pytest.raises(ValueError):
            seal.wipe(wrong)
    with pytest.raises(TypeError):
        seal.wipe(np.array(["a"], dtype=object))


@linux
def test_trim_gives_freed_memory_back(folder: Path) -> None:
    code = """
import gc
start = seal.resident_bytes()
kept = []
for n in range(60000):  # small blocks with some kept in between: free() alone gives none of it back
    if n % 100 == 0: kept.append(bytearray(1000))
    kept.append(bytearray(4000))
full = seal.resident_bytes()
kept = [block for block in kept if len(block) == 1000]
gc.collect()
freed = seal.resident_bytes()
seal.trim()
result = [start, full, freed, seal.resident_bytes()]
"""
    start, full, freed, after = child(code, folder, MALLOC_TRIM_THRESHOLD_="1000000000")
    assert full - start > 200_000_000
    assert freed - after > 50_000_000, "it was not given back by itself"
    assert after - start < 40_000_000


def test_resident_bytes_of_another_process(folder: Path) -> None:
    assert seal.resident_bytes() > 10_000_000
    with subprocess.Popen([sys.executable, "-c", "print(); input()"], stdin=-1, stdout=-1) as other:
        assert other.stdout and other.stdout.readline()
        assert seal.resident_bytes(other.pid) > 1_000_000
        other.communicate(b"\n")
    assert seal.resident_bytes(other.pid) == 0


@linux
def test_a_crash_leaves_no_dump(folder: Path) -> None:
    def crash(first: str) -> int:
        code = f"import os, resource; resource.setrlimit(resource.RLIMIT_CORE, (10**9, 10**9)); {first}; os.abort()"
        pid = os.posix_spawn(
            sys.executable, [sys.executable, "-c", f"import os; os.chdir({str(folder)!r}); {code}"], os.environ
        )
        status = os.waitpid(pid, 0)[1]
        assert os.WIFSIGNALED(status)
        return int(os.WCOREDUMP(status))

    sealed = "from jiyao import seal; seal.guard(seal.Policy('parent'))"
    # also with the limit back up: collectors behind a pipe never mind it
    again = f"{sealed}; resource.setrlimit(resource.RLIMIT_CORE, resource.getrlimit(resource.RLIMIT_CORE))"
    assert not crash(sealed) and not crash(again)
    if not crash("pass"):
        pytest.skip("this system writes no dumps anyway")


def test_swap_is_told() -> None:
    total, used = seal.swap_bytes()
    assert 0 <= used <= total


# variables


def test_what_engines_switch_off_is_pinned_here() -> None:
    pinned = seal.environment({"SSLKEYLOGFILE": "keys", "PYTHONFAULTHANDLER": "1", "LANG": "C"})
    assert pinned["LANG"] == "C" and not {"SSLKEYLOGFILE", "PYTHONFAULTHANDLER"} & set(pinned)
    switched = set()
    for path in (ROOT / "src" / "jiyao").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Assign):
                names = [ast.unparse(target) for target in node.targets]
                switched |= {m[1] for name in names if (m := re.fullmatch(r"os\.environ\['(\w+)'\]", name))}
    assert len(switched) >= 4
    assert switched <= set(pinned)


def test_pinning_and_giving_threads_back(folder: Path) -> None:
    names = ("HF_HUB_OFFLINE", "DO_NOT_TRACK", "OPENBLAS_NUM_THREADS")
    code = f"{CLOSE}\nresult = [os.environ.get(name) for name in {names}]"
    assert child(code, folder) == ["1", "1", None]


# the receipt


@kernel
def test_the_receipt_proves_it() -> None:
    found = seal.receipt(seal.Policy("worker"), live=seal.Attempts(network=7))
    assert found.outcome == "kernel" and not found.trouble
    by = {(check.what, check.way): (check.verdict, check.by) for check in found.checks}
    natives = {what for what, way in by if way == "native"}
    assert natives == set(get_args(What)) - {"lookup"}
    for (what, way), answer in by.items():
        layer = "audit_hook" if way == "python" else "landlock" if what.startswith("write") else "seccomp"
        assert answer == ("refused", layer), (what, way)
    assert all(check.control for check in found.checks if check.way == "native" and check.control is not None)
    assert (found.planted.network, found.planted.write, found.planted.program) == (4, 2, 1)
    told = json.loads(found.to_json())
    assert told["version"] == 1 and told["outcome"] == "kernel" and told["live"]["network"] == 7
    assert not list(Path.home().glob(".jiyao-seal-check*"))
    for language in ("zh", "en"):
        assert len(found.rows(language)) == len(found.checks) == 13
        assert any("7" in line for line in found.lines(language))


@linux
def test_the_receipt_says_what_is_not_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    found = seal.receipt(seal.Policy("worker", (tmp_path,)))
    verdicts = {(check.what, check.way): check.verdict for check in found.checks}
    assert verdicts["write_home", "python"] == verdicts["write_home", "native"] == "allowed"
    assert verdicts["write_temp", "python"] == "refused"
    assert found.outcome == "open"
    assert list(tmp_path.iterdir()) == []


@kernel
def test_a_refusal_that_never_worked_before_proves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "absent"))
    found = seal.receipt(seal.Policy("worker"))
    [check] = [check for check in found.checks if (check.what, check.way) == ("write_home", "native")]
    assert (check.verdict, check.control) == ("unproved", False)
    assert found.outcome == "python"


# A system without kernel layers, made by a filter that knows neither seccomp(2) nor Landlock.
WITHOUT_LAYERS = """
import struct
from jiyao.seal import seccomp
number = seccomp._MACHINES[os.uname().machine][1]
program = [(0x20, 0, 0, 0)]
for missing in (444, number):
    program += [(0x15, 0, 1, missing), (0x06, 0, 0, 0x00050000 | errno.ENOSYS)]
program += [(0x06, 0, 0, 0x7FFF0000)]
code = b"".join(struct.pack("=HBBI", *one) for one in program)
held = ctypes.create_string_buffer(code, len(code))
given = seccomp._Program(len(program), ctypes.cast(held, ctypes.c_void_p))
seccomp.no_new_privileges()
assert library.syscall(ctypes.c_long(number), ctypes.c_long(1), ctypes.c_long(0), ctypes.byref(given)) == 0
"""


@linux
def test_the_receipt_of_a_system_without_kernel_layers_is_modest(folder: Path) -> None:
    code = f"""{WITHOUT_LAYERS}
found = seal.receipt(seal.Policy("worker"))
result = {{"json": json.loads(found.to_json()), "en": found.lines("en")}}
"""
    told = child(code, folder, HOME=str(folder))
    layers = {layer["name"]: (layer["on"], layer["reason"]) for layer in told["json"]["enforcement"]["layers"]}
    assert layers["landlock"] == (False, "absent") and layers["seccomp"] == (False, "refused")
    assert told["json"]["outcome"] == "python"
    assert set(told["json"]["strength"].values()) == {"python"}
    native = {c["what"]: c["verdict"] for c in told["json"]["checks"] if c["way"] == "native"}
    assert native.pop("connect") == "untried", "nothing is sent outside to find out"
    assert native == dict.fromkeys(native, "allowed")
    assert "does not bind native code" in told["en"][0]
    assert sorted(path.name for path in folder.iterdir()) == ["inside", "outside"]


@linux
def test_a_guarded_parent_can_make_one(folder: Path) -> None:
    code = f"{GUARD}\nfound = seal.receipt(seal.Policy('worker'))\n"
    code += "result = [found.outcome, found.trouble, seal.attempts().total]"
    assert child(code, folder) == ["kernel" if landlock.abi() else "python", "", 0]


def test_a_proof_that_dies_is_no_seal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("jiyao.seal.proof._CHILD", "raise SystemExit(3)")
    found = seal.receipt(seal.Policy("worker"))
    assert found.outcome == "open" and found.trouble == "CalledProcessError" and found.checks == ()
    assert any("CalledProcessError" in line for line in found.lines("zh"))


def test_every_answer_has_its_sentence() -> None:
    families = {"check": What, "way": Way, "verdict": Verdict, "layer": LayerName, "why": Reason, "outcome": Outcome}
    wanted = [f"seal.{family}_{one}" for family, kind in families.items() for one in get_args(kind)]
    assert [key for key in wanted if key not in table()] == []


def test_network_modules_stay_as_they_were() -> None:
    """Importing the seal seals nothing: this very process may still listen."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert server.getsockname()[1] > 0
    assert seal.attempts() == seal.Attempts()
