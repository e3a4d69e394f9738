"""HumanEval, pass@1 of one greedy output: do the data set's own tests pass?

    sudo humaneval.py --data humaneval.jsonl OUTPUTS.jsonl... >scores.jsonl

An output is a completion of the prompt, or text with a code block that holds the whole function. It runs as nobody,
without network, in an empty folder, for at most ten seconds, with 512 MB of memory and a handful of processes.
"""
import ctypes
import os
import pwd
import re
import resource
import subprocess
import sys
import tempfile

import outputs

PYTHON = "/usr/bin/python3"  # one that nobody may execute
CLONE_NEWNET = 0x40000000
SECONDS, MEMORY, FILE, PROCESSES = 10, 512 << 20, 1 << 20, 16


def confine():
    """In the child, before the program starts: no network, limits, and then nobody."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "no network namespace of its own")
    for what, most in ((resource.RLIMIT_CPU, SECONDS), (resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_FSIZE, FILE),
                       (resource.RLIMIT_NPROC, PROCESSES), (resource.RLIMIT_CORE, 0)):
        resource.setrlimit(what, (most, most))
    nobody = pwd.getpwnam("nobody")
    os.setgroups([])
    os.setgid(nobody.pw_gid)
    os.setuid(nobody.pw_uid)


def program(d, completion):
    block = re.search(r"```(?:python)?\n(.*?)```", completion, re.S)
    code = block.group(1) if block else completion
    if "def " + d["entry_point"] not in code:
        code = d["prompt"] + code
    else:  # the prompt's imports and helpers stay
        code = d["prompt"] + "    pass\n\n" + code
    return "%s\n%s\ncheck(%s)\n" % (code, d["test"], d["entry_point"])


def passes(text):
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        try:
            done = subprocess.run([PYTHON, "-I", "-c", text], cwd=folder, preexec_fn=confine, env={},
                                  timeout=SECONDS, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            return False
        return done.returncode == 0


def main():
    a = outputs.arguments(__doc__)
    if os.geteuid() != 0:
        sys.exit("humaneval.py: needs root, to run what a model wrote as nobody and without network")
    by_id = {d["task_id"]: d for d in outputs.lines(a.data)}
    if not os.access(PYTHON, os.X_OK):
        sys.exit("humaneval.py: %s is not there" % PYTHON)
    if not passes("pass") or passes("import socket; socket.create_connection(('1.1.1.1', 53), 2)"):
        sys.exit("humaneval.py: programs cannot be confined on this machine; nothing was run")
    for path in a.outputs:
        for line in outputs.lines(path):
            d = by_id[line["task_id"]]
            outputs.put(path, "humaneval", d["task_id"], passes(program(d, line["completion"])))


if __name__ == "__main__":
    main()
