#!/usr/bin/env python3
"""Checks every #include "..." against the MAY_INCLUDE lists of the CMake files, and that file names are unique.

usage: check_includes.py PROJECT_ROOT RULES      RULES: lines "library|folder|allowed,libraries"
       check_includes.py --self-test
"""
import pathlib
import re
import sys
import tempfile

INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.M)
PUBLIC_HEADER = "millrace.h"  # declarations only; stands below everything


def read_rules(path):
    folders, allowed = {}, {}
    for line in pathlib.Path(path).read_text().split():
        name, folder, may = line.split("|")
        folders[folder] = name
        allowed[name] = {name, *filter(None, may.split(","))}
    return folders, allowed


def owner(folders, path):
    """The library whose folder is the longest prefix of path."""
    while path not in folders and "/" in path:
        path = path.rsplit("/", 1)[0]
    return folders.get(path)


def check(root, rules):
    root, problems, seen = pathlib.Path(root), [], {}
    folders, allowed = read_rules(rules)
    for source in sorted([*root.glob("src/**/*.[ch]"), *root.glob("kernels/**/*.[ch]"), *root.glob("io/**/*.[ch]"), *root.glob("pipelines/**/*.[ch]")]):
        relative = source.relative_to(root).as_posix()
        twin = seen.setdefault(source.name, relative)
        if twin != relative:
            problems.append(f"{relative}: file name used already by {twin}")
        me = owner(folders, relative.rsplit("/", 1)[0])
        if me is None:
            continue  # cli/ and the public library see everything
        for included in INCLUDE.findall(source.read_text()):
            if included == PUBLIC_HEADER:
                continue
            full = included if (root / included).exists() else "src/" + included
            if not (root / full).exists():
                if not (source.parent / included).exists():
                    problems.append(f"{relative}: includes {included}, which does not exist")
                continue
            other = owner(folders, full.rsplit("/", 1)[0])
            if other not in allowed[me]:
                problems.append(f"{relative}: {me} may not include {included} ({other}); allowed: {', '.join(sorted(allowed[me]))}")
    return problems


def self_test():
    with tempfile.TemporaryDirectory() as tmp:
        root = pathlib.Path(tmp)
        for folder in ("src/core", "src/top"):
            (root / folder).mkdir(parents=True)
        (root / "src/core/a.h").write_text("")
        (root / "src/top/b.h").write_text('#include "core/a.h"\n')
        (root / "rules").write_text("core|src/core|\ntop|src/top|core\n")
        assert check(root, root / "rules") == []
        (root / "src/core/bad.h").write_text('#include "top/b.h"\n')
        assert len(check(root, root / "rules")) == 1
        (root / "src/top/a.h").write_text("")
        assert len(check(root, root / "rules")) == 2
    return []


def main():
    problems = self_test() if sys.argv[1:] == ["--self-test"] else check(sys.argv[1], sys.argv[2])
    print("\n".join(problems) if problems else "include rules hold")
    return 1 if problems else 0


sys.exit(main())
