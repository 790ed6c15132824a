#!/usr/bin/env python3
"""Write the cases.json of chat templates: conversations and what the reference (transformers, jinja2) makes of them.

usage: make_cases.py FOLDER...      each with chat_template.jinja and tokenizer_config.json; needs `transformers` and `tokenizers`
"""
import json
import os
import sys

WEATHER = {"type": "function", "strict": True, "function": {
    "name": "weather", "description": " Weather at a <place> & \"time\" ", "limits": {"per_day": 3}, "parameters": {
        "type": "object", "required": ["place"], "properties": {
            "place": {"type": "string", "description": "A town, e.g. Zürich"},
            "unit": {"type": "string", "enum": ["C", "F"], "default": "C"},
            "days": {"type": ["integer", "null"], "minimum": 0.5}}}}}
CLOCK = {"type": "function", "function": {"name": "clock", "description": "The time.", "parameters": {"type": "object", "properties": {}}}}


def message(role, content, **more):
    return {"role": role, "content": content, **more}


def call(name, arguments):
    return {"id": "c1", "type": "function", "function": {"name": name, "arguments": arguments}}


CONVERSATIONS = [
    {"name": "one", "messages": [message("user", "Where is Oslo?")]},
    {"name": "system", "messages": [message("system", "One word."), message("user", "Colour of snow?")]},
    {"name": "closed", "messages": [message("user", "1+1?"), message("assistant", "2")], "add_generation_prompt": False},
    {"name": "turns", "messages": [message("user", "Hi"), message("assistant", " Hello! "), message("user", "A joke.\n\nShort.")]},
    {"name": "odd-text", "messages": [message("user", "\n Grüße \U0001f680 {{ x }} {% if %} \\n 'q' \"d\" <b>&amp;</b>\t </s><s>"), message("assistant", ""), message("user", "e\u0301\u3000")]},
    {"name": "bad-order", "messages": [message("assistant", "a"), message("assistant", "b")]},
    {"name": "thoughts", "messages": [message("user", "91 prime?"), message("assistant", "<think>\n7*13\n</think>\n\nNo."), message("user", "97?"),
                                      message("assistant", "Yes.", reasoning_content="no divisor\n")], "kwargs": {"enable_thinking": False}},
    {"name": "thinking-key", "messages": [message("user", "2+2"), message("assistant", "4", thinking="simple")]},
    {"name": "tools-offered", "messages": [message("user", "Weather in Zürich?")], "tools": [WEATHER, CLOCK]},
    {"name": "tools-used", "tools": [WEATHER], "messages": [
        message("user", "Zürich and Oslo?"),
        message("assistant", "", tool_calls=[call("weather", {"place": "Zürich", "days": 2}), call("weather", {"place": "Oslo", "range": [1, 2.5]})]),
        message("tool", "{\"t\": 21.5}", name="weather", tool_call_id="c1"), message("tool", "12"), message("assistant", "21.5 and 12."), message("user", "Thanks")]},
    {"name": "tools-text", "messages": [message("user", "x"), message("assistant", "Wait.", tool_calls=[call("clock", "{\"a\": 1}")]), message("tool", "<result>12:00</result>")]},
    {"name": "parts", "messages": [message("user", [{"type": "image"}, {"type": "text", "text": "What is shown?"}]), message("assistant", [{"type": "text", "text": "A cat."}])]},
]


def render(tokenizer, case):
    messages = case["messages"]
    if "attr('type'" in tokenizer.chat_template:  # takes parts only: a plain text would vanish
        messages = [dict(m, content=[{"type": "text", "text": m["content"]}]) if isinstance(m["content"], str) else m for m in messages]
    more = dict(case.get("kwargs", {}))
    if "tools" in case:
        more["tools"] = case["tools"]
    try:
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=case.get("add_generation_prompt", True), **more)
    except Exception as problem:
        return {"error": f"{type(problem).__name__}: {problem}".split("\n")[0]}
    return {"error": "prints Python's form of a list or mapping"} if "{'" in text or "['" in text else {"text": text}


def write_cases(folder):
    """Writes the folder's cases.json; how many conversations the reference renders."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast
    with open(os.path.join(folder, "tokenizer_config.json"), encoding="utf-8") as file:
        config = json.load(file)
    tokens = {k: v["content"] if isinstance(v, dict) else v for k, v in config.items() if k.endswith("_token") and isinstance(v, (str, dict))}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"<unk>": 0}, unk_token="<unk>")), **tokens)
    with open(os.path.join(folder, "chat_template.jinja"), encoding="utf-8", newline="") as file:
        tokenizer.chat_template = file.read()
    cases = [dict(case, expect=render(tokenizer, case)) for case in CONVERSATIONS]
    with open(os.path.join(folder, "cases.json"), "w", encoding="utf-8") as file:
        json.dump({"cases": cases}, file, ensure_ascii=False, indent=1)
        file.write("\n")
    return sum("text" in case["expect"] for case in cases)


def main():
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    for folder in sys.argv[1:]:
        print(folder, write_cases(folder), "of", len(CONVERSATIONS), "rendered")


if __name__ == "__main__":
    main()
