"""Time to first token of llama.cpp (through llama-cpp-python), on the quantised GGUF as it is.

full     the whole prompt; logits of the last position only
ready    the question alone, over the passages' KV that is there already (llama.cpp's own prefix cache)

Raw samples as JSON lines on stdout. KV is kept in fp32 (--dtype fp32) or fp16.
"""
import ctypes
import time

import workload


def main():
    a = workload.options(__doc__, ["full", "ready"], ["fp32", "fp16"])
    import llama_cpp

    kv_type = llama_cpp.GGML_TYPE_F32 if a.dtype == "fp32" else llama_cpp.GGML_TYPE_F16
    llm = llama_cpp.Llama(model_path=a.model, n_ctx=max(a.lengths) + 8, n_batch=512, n_ubatch=512, n_threads=a.threads,
                          n_threads_batch=a.threads, type_k=kv_type, type_v=kv_type, logits_all=False, verbose=False)
    passages, question = workload.token_ids(a, llm.n_vocab())

    def argmax():
        logits = llama_cpp.llama_get_logits(llm.ctx)
        row = ctypes.cast(logits, ctypes.POINTER(ctypes.c_float * llm.n_vocab())).contents
        return max(range(len(row)), key=row.__getitem__)

    there = []  # what the KV cache begins with

    def run(behind, ids):
        """Evaluates ids behind `behind`, which is evaluated before, and not timed, unless it is there."""
        if there != behind:
            llm.n_tokens = 0
            llm.eval(behind)
            there[:] = behind
        llm.n_tokens = len(behind)  # what lies further back is dropped by the next eval
        start = time.perf_counter()
        llm.eval(ids)
        llama_cpp.llama_synchronize(llm.ctx)
        return {"prefill": time.perf_counter() - start}, argmax()

    def full(ids):
        there.clear()
        return run([], ids)

    def ready(prefix):
        return run(prefix, question)

    cases = {}
    for length in a.lengths:
        n = length - a.question
        if "full" in a.methods:
            cases["full", length] = lambda ids=passages[:n] + question: full(ids)
        if "ready" in a.methods and n:
            cases["ready", length] = lambda prefix=passages[:n]: ready(prefix)
    workload.measure(a, "llama.cpp", {"llama_cpp": llama_cpp.__version__,
                                      "cpu": llama_cpp.llama_print_system_info().decode()}, cases)


if __name__ == "__main__":
    main()
