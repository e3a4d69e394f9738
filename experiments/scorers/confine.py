"""Runs a program that nobody has read: what a model wrote.

Needs root, to give it up. A program runs as the user nobody, without network, for a limited time, with limits on memory,
processes and file size. Where the system has them it gets namespaces of its own: of mounts, in which everything but its
own folder is read-only, and of processes, which all end with the first one. What it has started is killed in any case,
also processes that left its group: they become children of the scorer (a "subreaper"), which kills until none is left.
"""
import ctypes
import os
import pwd
import resource
import secrets
import signal
import subprocess
import sys
import tempfile
import time

PYTHON = "/usr/bin/python3"  # one that nobody may execute
SECONDS, MEMORY, FILE, PROCESSES = 10, 512 << 20, 1 << 20, 16
CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWPID, CLONE_NEWNET = 0x20000, 0x8000000, 0x20000000, 0x40000000
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 36, 38

libc = ctypes.CDLL(None, use_errno=True)

# Reads a token and a program from standard input. The token comes back only when the program has run to its end: one that
# leaves early, with whatever status, does not get there.
RUNNER = """
import os, sys
def run():
    token, program = sys.stdin.read().split("\\n", 1)
    done = int(sys.argv[1])
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    try:
        exec(compile(program, "program", "exec"), {})
    except BaseException:
        os._exit(1)
    os.write(done, token.encode())
    os._exit(0)
run()
"""


def call(what, *args):
    if getattr(libc, what)(*args):
        raise OSError(ctypes.get_errno(), what)


def mounts():
    """Mount points, parents first."""
    with open("/proc/self/mountinfo", "rb") as f:
        return [line.split()[4].decode("unicode_escape").encode("latin-1") for line in f]


def make_read_only(folder):
    """Everything but the folder. A mount that cannot be changed (as in some containers) is the system's own business."""
    own = folder.encode()
    call("mount", b"none", b"/", None, MS_REC | MS_PRIVATE, None)
    call("mount", own, own, None, MS_BIND, None)
    failed = []
    for point in mounts():
        if point != own and libc.mount(None, point, None, MS_REMOUNT | MS_BIND | MS_RDONLY, None):
            failed.append(point)
    if b"/" in failed:
        raise OSError("the root cannot be made read-only")


def enter(folder, spaces):
    """In the child, before the program starts: namespaces, limits, and then nobody."""
    call("unshare", CLONE_NEWNET)
    if spaces:
        call("unshare", CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWPID)
        make_read_only(folder)
        os.chdir(folder)  # through the mount that can be written
        inner = os.fork()  # the first process of the new namespace
        if inner:
            os.closerange(0, 1024)  # the pipes are the program's alone
            _, status = os.waitpid(inner, 0)
            os._exit(os.waitstatus_to_exitcode(status) & 255)
    for what, most in ((resource.RLIMIT_CPU, SECONDS), (resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_FSIZE, FILE),
                       (resource.RLIMIT_NPROC, PROCESSES), (resource.RLIMIT_CORE, 0)):
        resource.setrlimit(what, (most, most))
    nobody = pwd.getpwnam("nobody")
    os.setgroups([])
    os.setgid(nobody.pw_gid)
    os.setuid(nobody.pw_uid)
    call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def children():
    """Of this process, by /proc: also those of others that ended."""
    found = []
    for name in os.listdir("/proc"):
        try:
            with open("/proc/%s/stat" % name) as f:
                parent = int(f.read().rsplit(")", 1)[1].split()[1])
        except (OSError, ValueError, IndexError):
            continue
        if parent == os.getpid():
            found.append(int(name))
    return found


def kill_all(process):
    """The group of the process, and whatever became a child of this one; for at most ten seconds."""
    end = time.monotonic() + 10
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except OSError:
        pass
    process.wait()
    while time.monotonic() < end:
        left = children()
        if not left:
            return
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            except OSError:
                pass
    raise SystemExit("a program's processes cannot be killed; nothing more is run")


def passes(text, spaces):
    """Whether the program runs to its end without an exception."""
    token = secrets.token_hex(16)
    with tempfile.TemporaryDirectory() as folder:
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        source, done = os.pipe()
        with subprocess.Popen([PYTHON, "-I", "-c", RUNNER, str(done)], cwd=folder, env={}, pass_fds=[done],
                              start_new_session=True, preexec_fn=lambda: enter(folder, spaces),
                              stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            os.close(done)
            try:
                process.communicate((token + "\n" + text).encode("utf-8", "surrogatepass"), timeout=SECONDS)
            except subprocess.TimeoutExpired:
                pass
            finally:
                kill_all(process)
        os.set_blocking(source, False)
        try:
            said = os.read(source, 64)
        except BlockingIOError:
            said = b""
        os.close(source)
        return said == token.encode()


def prepare():
    """Whether namespaces are there; ends the scorer where programs cannot be confined at all."""
    if os.geteuid() != 0:
        sys.exit("humaneval.py: needs root, to run what a model wrote as nobody and without network")
    if not os.access(PYTHON, os.X_OK):
        sys.exit("humaneval.py: %s is not there" % PYTHON)
    call("prctl", PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    spaces = False
    for tried in (True, False):
        try:
            if passes("pass", tried):
                spaces = tried
                break
        except (OSError, subprocess.SubprocessError):
            continue
    else:
        sys.exit("humaneval.py: programs cannot be confined on this machine; nothing was run")
    wrong = ["import socket; socket.create_connection(('1.1.1.1', 53), 2)", "import os; os._exit(0)", "raise SystemExit(0)"]
    if spaces:
        wrong.append("open('%s/outside', 'w').write('x')" % tempfile.gettempdir())
    else:
        print("humaneval.py: this system gives no namespaces of mounts and processes: programs can write where nobody "
              "can, such as /tmp", file=sys.stderr)
    if any(passes(text, spaces) for text in wrong):
        sys.exit("humaneval.py: programs cannot be confined on this machine; nothing was run")
    return spaces
