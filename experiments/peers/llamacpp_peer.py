"""llama.cpp through llama-cpp-python, with flash attention; keys and values in fp16: full, ready, cold."""
import ctypes

import peer


def start(path, dtype, threads, ids):
    import llama_cpp

    def new(context):
        return llama_cpp.Llama(model_path=path, n_ctx=context, n_batch=512, n_ubatch=512, n_threads=threads,
                               n_threads_batch=threads, flash_attn=True, logits_all=False, verbose=False)

    made = {}

    def context(name, tokens):
        """A context of its own, so that what one method leaves there is another's never to reuse."""
        if name not in made or made[name].n_ctx() < tokens + 8:
            made.pop(name, None)
            made[name] = new(tokens + 8)
        return made[name]

    def run(llm, kept, tokens):
        llm.n_tokens = kept  # later tokens are dropped
        llm.eval(tokens)
        llama_cpp.llama_synchronize(llm.ctx)
        row = ctypes.cast(llama_cpp.llama_get_logits(llm.ctx),
                          ctypes.POINTER(ctypes.c_float * llm.n_vocab())).contents
        return row

    def argmax(row):
        return max(range(len(row)), key=row.__getitem__)

    there = {}

    def full(length, question, block):
        llm = context("full", max(length, 2048))
        seconds, row = peer.timed(run, llm, 0, ids[:length])
        return seconds, argmax(row)

    def ready(length, question, block):
        llm = context("ready", length + question)
        if there.get("ready") != (id(llm), length):
            run(llm, 0, ids[:length])
            there["ready"] = id(llm), length
        seconds, row = peer.timed(run, llm, length, ids[:question])
        return seconds, argmax(row)

    def cold(length, question, block):
        llm = context("full", max(length, 2048))
        todo = peer.blocks(ids[:length], block)
        return peer.timed(lambda: [run(llm, 0, b) for b in todo])[0], -1

    context("full", 2048)
    flags = " ".join(part.split("=")[0].strip().lower()
                     for part in llama_cpp.llama_print_system_info().decode().replace("CPU :", "").split("|")
                     if part.strip().endswith("= 1"))
    return "llama-cpp-python %s, %s, %s" % (llama_cpp.__version__, flags, dtype), {
        "full": full, "ready": ready, "cold": cold}


if __name__ == "__main__":
    peer.serve(start)
