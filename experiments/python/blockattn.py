"""blockattn from Python: the shared library through ctypes, with numpy arrays.

    model = Model("SmolLM2-135M-Instruct.Q4_1.gguf")
    request = model.ask("Which river flows through Bern?", ["The river Aare flows through Bern."])
    run = request.plan("block").run()
    run.logits()            # float64 [vocab]
    run.counts().reused     # tokens whose keys and values came from the store

Shapes, units and meanings are those of blockattn.h. Every failure raises blockattn.Error with the library's one line. An
object keeps alive what it was made from. A model and all that was made from it take one call at a time.

The library is $BLOCKATTN_LIBRARY, else that of the same installation or source tree, else the one the loader finds.

    python3 blockattn.py MODEL        full and block attention on one question about two documents
"""
import ctypes
import json
import os
import pathlib
import sys

import numpy

_ERR_LEN = 512
_NAME = "libblockattn.so.0"


class Error(Exception):
    """One line that names the file or field, and the fix."""


class _Options(ctypes.Structure):
    _fields_ = [(name, ctypes.c_char_p) for name in ("backend", "dtype", "adapter", "chat", "chat_template", "packed")] + [
        ("threads", ctypes.c_size_t), ("kv_bytes", ctypes.c_uint64), ("run_bytes", ctypes.c_uint64)]


class Counts(ctypes.Structure):
    """Tokens, FLOPs, bytes, and seconds to the first token (0 in a plan); see blockattn_counts in blockattn.h."""
    _fields_ = [(name, ctypes.c_uint64) for name in ("tokens", "computed", "reused", "flops", "flops_dense", "bytes_read",
                                                     "bytes_written", "kv_bytes")] + [("seconds", ctypes.c_double)]


_ids = numpy.ctypeslib.ndpointer(numpy.int32, ndim=1, flags="C")
_lengths = numpy.ctypeslib.ndpointer(numpy.uintp, ndim=1, flags="C")
_mask = numpy.ctypeslib.ndpointer(numpy.uint8, ndim=2, flags="C,W")
_logprob = numpy.ctypeslib.ndpointer(numpy.float64, ndim=1, flags="C,W")
_handle, _text, _size, _int = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int
_out, _counts = ctypes.POINTER(_handle), ctypes.POINTER(Counts)

# Function, type of its result, types of its arguments. Those whose result is an int fail with a text in the last argument.
_TABLE = [
    ("version", _text, []),
    ("model_open", _int, [_text, ctypes.POINTER(_Options), _out, _text]),
    ("model_close", None, [_handle]),
    ("model_vocab", _size, [_handle]),
    ("model_forget", None, [_handle]),
    ("model_text", _size, [_handle, _ids, _size, _text, _size]),
    ("model_ends", _int, [_handle, ctypes.c_int32]),
    ("request_parse", _int, [_handle, _text, _out, _text]),
    ("request_ask", _int, [_handle, _text, ctypes.POINTER(_text), _size, _out, _text]),
    ("request_ids", _int, [_handle, _ids, _lengths, _size, _out, _text]),
    ("request_free", None, [_handle]),
    ("request_tokens", _size, [_handle]),
    ("plan_new", _int, [_handle, _text, _out, _text]),
    ("plan_free", None, [_handle]),
    ("plan_mode", _text, [_handle]),
    ("plan_rows", _size, [_handle]),
    ("plan_mask", _int, [_handle, _mask, _text]),
    ("plan_counts", _int, [_handle, _handle, _int, _counts, _text]),
    ("run_new", _int, [_handle, _handle, _size, _out, _text]),
    ("run_free", None, [_handle]),
    ("run_logits", ctypes.POINTER(ctypes.c_double), [_handle, _text]),
    ("run_extend", _int, [_handle, _ids, _size, _logprob, _text]),
    ("run_counts", None, [_handle, _counts]),
]


def _load():
    here = pathlib.Path(__file__).resolve().parent
    beside = [here.parents[2] / "lib" / _NAME, here.parents[1] / "build" / _NAME]
    library = ctypes.CDLL(os.environ.get("BLOCKATTN_LIBRARY") or next((str(p) for p in beside if p.exists()), _NAME))
    for name, result, arguments in _TABLE:
        function = getattr(library, "blockattn_" + name)
        function.restype, function.argtypes = result, arguments
    return library


_library = _load()


def _call(name, *arguments):
    """Calls a function that can fail; raises Error."""
    err = ctypes.create_string_buffer(_ERR_LEN)
    result = getattr(_library, "blockattn_" + name)(*arguments, err)
    if result != 0:
        raise Error(err.value.decode("utf-8", "replace"))


def _as_ids(ids):
    return numpy.ascontiguousarray(ids, dtype=numpy.int32).reshape(-1)


class _Owner:
    """A handle, freed when neither its object nor anything made from it is left. References do not suffice for that: the
    garbage collector ends the objects of a cycle, such as the globals of a program, in any order."""

    _handle, _users, _dropped = None, 0, False

    def __init__(self, free, source, make, *arguments):
        self._handle, self._source, self._free = _handle(), source, getattr(_library, "blockattn_" + free)
        _call(make, *arguments, ctypes.byref(self._handle))
        if source:
            source._users += 1

    def __del__(self):
        self._dropped = True
        self._release()

    def _release(self):
        if self._dropped and self._users == 0 and self._handle:
            self._free(self._handle)
            self._handle = None
            if self._source:
                self._source._users -= 1
                self._source._release()


class Model(_Owner):
    """A GGUF file or a Hugging Face folder. Options: backend, dtype, adapter, chat, chat_template, packed (texts), threads,
    kv_bytes, run_bytes (numbers)."""

    def __init__(self, path, **options):
        given = {name: value.encode() if isinstance(value, str) else value for name, value in options.items()}
        super().__init__("model_close", None, "model_open", os.fsencode(path), ctypes.byref(_Options(**given)))

    @property
    def vocab(self):
        """Length of logits."""
        return _library.blockattn_model_vocab(self._handle)

    def forget(self):
        """Forgets the keys and values of all passages that no run is using."""
        _library.blockattn_model_forget(self._handle)

    def text(self, ids):
        ids = _as_ids(ids)
        size = _library.blockattn_model_text(self._handle, ids, len(ids), None, 0) + 1
        text = ctypes.create_string_buffer(size)
        _library.blockattn_model_text(self._handle, ids, len(ids), text, size)
        return text.value.decode("utf-8", "replace")

    def ends(self, token):
        """Whether the token ends an answer."""
        return bool(_library.blockattn_model_ends(self._handle, token))

    def ask(self, question, documents):
        """A question about a list of texts."""
        texts = (_text * len(documents))(*(d.encode() for d in documents))
        return Request("request_free", self, "request_ask", self._handle, question.encode(), texts, len(documents))

    def ids(self, segments):
        """Token ids, a list or array a segment; the last is the question."""
        arrays = [_as_ids(s) for s in segments]
        lengths = numpy.array([len(a) for a in arrays], dtype=numpy.uintp)
        joined = numpy.concatenate(arrays) if arrays else _as_ids([])
        return Request("request_free", self, "request_ids", self._handle, joined, lengths, len(arrays))

    def request(self, value):
        """A request as the program's --request takes it, as a dict."""
        return Request("request_free", self, "request_parse", self._handle, json.dumps(value).encode())


class Request(_Owner):
    @property
    def tokens(self):
        return _library.blockattn_request_tokens(self._handle)

    def plan(self, mode):
        """Who attends to what in a mode such as "full" or "lego:k=16"."""
        return Plan("plan_free", self, "plan_new", self._handle, mode.encode())


class Plan(_Owner):
    @property
    def mode(self):
        return _library.blockattn_plan_mode(self._handle).decode()

    def mask(self):
        """uint8 [rows, rows]: 1 where a row sees a key."""
        rows = _library.blockattn_plan_rows(self._handle)
        mask = numpy.empty((rows, rows), dtype=numpy.uint8)
        _call("plan_mask", self._handle, mask)
        return mask

    def counts(self, stored=False):
        """Closed form up to the first logits, with an empty store or with every passage in it."""
        counts = Counts()
        _call("plan_counts", self._source._source._handle, self._handle, int(stored), ctypes.byref(counts))
        return counts

    def run(self, room=0):
        """Prefill; room for that many more tokens."""
        return Run("run_free", self, "run_new", self._source._source._handle, self._handle, room)


class Run(_Owner):
    def logits(self):
        """float64 [vocab] of the next token; a copy."""
        err = ctypes.create_string_buffer(_ERR_LEN)
        logits = _library.blockattn_run_logits(self._handle, err)
        if not logits:
            raise Error(err.value.decode("utf-8", "replace"))
        return numpy.ctypeslib.as_array(logits, (self._source._source._source.vocab,)).copy()

    def extend(self, ids):
        """Appends tokens; float64 [n]: log P in nats of each given all before it."""
        ids = _as_ids(ids)
        logprob = numpy.empty(len(ids))
        _call("run_extend", self._handle, ids, len(ids), logprob)
        return logprob

    def counts(self):
        """Counted so far by the kernels."""
        counts = Counts()
        _library.blockattn_run_counts(self._handle, ctypes.byref(counts))
        return counts


def version():
    return _library.blockattn_version().decode()


def main():
    model = Model(sys.argv[1])
    request = model.ask("Which river flows through Bern?",
                        ["Bern is the capital of Switzerland.", "The river Aare flows through Bern."])
    for mode in ("full", "block", "block"):
        run = request.plan(mode).run()
        logits, counts = run.logits(), run.counts()
        best = int(logits.argmax())
        print(f"{mode}: logit {logits[best]:.17g} of id {best} '{model.text([best])}'; {counts.flops} FLOPs, "
              f"{counts.reused} of {counts.tokens} tokens reused")


if __name__ == "__main__":
    main()
