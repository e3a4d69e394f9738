"""What all peers do: answer questions for times, line by line.

    PEER.py MODEL DTYPE THREADS IDS

The first line on standard output is "hello VERSIONS", or "skip REASON". Then each line "METHOD LENGTH QUESTION BLOCK" on
standard input is answered with "time SECONDS TOKEN" or "skip REASON". README.md says what the methods are.
"""
import sys
import time


def arguments():
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    with open(sys.argv[4]) as f:
        ids = [int(word) for word in f.read().split()]
    return sys.argv[1], sys.argv[2], int(sys.argv[3]), ids


def say(kind, text):
    print(kind, " ".join(str(text).split())[:400], flush=True)


def blocks(ids, block):
    return [ids[i:i + block] for i in range(0, len(ids), block)]


def timed(work, *args):
    """(seconds, what work returns)"""
    start = time.perf_counter()
    result = work(*args)
    return time.perf_counter() - start, result


def serve(start):
    """start(model, dtype, threads, ids) -> (versions, {method: function(length, question, block) -> (seconds, token)})"""
    try:
        versions, methods = start(*arguments())
    except Exception as e:  # whatever is missing, the others go on
        say("skip", "%s: %s" % (type(e).__name__, e))
        return
    say("hello", versions)
    for line in sys.stdin:
        method, *sizes = line.split()
        if method not in methods:
            say("skip", "there is no such method here")
            continue
        try:
            say("time", "%.9f %d" % methods[method](*map(int, sizes)))
        except Exception as e:
            say("skip", "%s: %s" % (type(e).__name__, e))
