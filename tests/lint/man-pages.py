#!/usr/bin/python3
"""man-pages.py: manuals and completions against --help, manuals against the configuration's keys.

    tests/lint/man-pages.py [BUILD]     BUILD/bin has the programs; default: build

Both directions count: an option without a line in the manual, and a line without an option.

SPDX-License-Identifier: Apache-2.0
"""

import re
import subprocess
import sys
from pathlib import Path

PAGES = {"manypath": "man/manypath.1", "manypathctl": "man/manypathctl.1", "manypathd": "man/manypathd.8"}
CONFIGURATION = "config/manypathd.toml"
CONFIGURATION_PAGE = "man/manypathd.toml.5"
OPTION = re.compile(r"(?<![\w-])--?[A-Za-z][\w-]*")


def output_of(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    return done.stdout


def rendered(page):
    """The lines of a manual as a terminal shows them, without bold and underline."""
    text = output_of("mandoc", "-T", "ascii", "-O", "width=1000", page)
    return re.sub(r".\x08", "", text).splitlines()


def options(lines):
    """The options that lines begin with, as lists of options do: "  -h,--help  Print ..."."""
    found = set()
    for line in lines:
        if head := re.match(r"\s+(-\S.*?)(?:\s{2,}|$)", line):
            found |= set(OPTION.findall(head[1]))
    return found


def subcommands(help_lines):
    names = []
    listing = False
    for line in help_lines:
        if not line.startswith(" "):
            listing = line.startswith("Subcommands:")
        elif listing and (name := re.match(r"  ([a-z][\w-]*)", line)):
            names.append(name[1])
    return names


def check_program(program, page, build):
    binary = Path(build, "bin", program)
    if not binary.exists():
        yield f"{binary} is missing; ./dev build makes it"
        return
    if not Path(page).exists():
        yield f"{page} is missing"
        return
    help_lines = output_of(binary, "--help").splitlines()
    commands = subcommands(help_lines)
    offered = options(help_lines)
    for command in commands:
        offered |= options(output_of(binary, command, "--help").splitlines())
    lines = rendered(page)
    documented = options(lines)
    text = "\n".join(lines)
    yield from (f"{page}: nothing about {o} of {program} --help" for o in sorted(offered - documented))
    yield from (f"{page}: {o} is no option of {program}" for o in sorted(documented - offered))
    yield from (f"{page}: nothing about the command {c}" for c in commands
                if not re.search(rf"\b{c}\b", text))
    for completion in sorted(Path("packaging/completions").glob(f"{program}.*")):
        words = set(re.findall(r"[\w-]+", completion.read_text(encoding="utf-8")))
        wanted = {*offered, *commands}
        if completion.suffix == ".fish":  # writes --help as "-l help"
            wanted = {w.lstrip("-") for w in wanted}
        yield from (f"{completion}: nothing about {w}" for w in sorted(wanted - words))


def configuration_keys():
    """Keys of the commented file, switched on ("key = ") or not ("#key = "), with their tables."""
    keys = set()
    table = ""
    for line in Path(CONFIGURATION).read_text(encoding="utf-8").splitlines():
        if heading := re.fullmatch(r"#?\[\[?([a-z.]+)\]\]?", line):
            table = heading[1] + "."
        elif key := re.match(r"#?([a-z_]+) = ", line):
            keys.add(table + key[1])
    return keys


def check_keys():
    page = Path(CONFIGURATION_PAGE).read_text(encoding="utf-8")
    documented = set(re.findall(r"^\.It Ic (\S+)$", page, re.MULTILINE)) - {"listen.intercept"}
    keys = configuration_keys()
    yield from (f"{CONFIGURATION_PAGE}: nothing about {k}" for k in sorted(keys - documented))
    yield from (f"{CONFIGURATION}: nothing about {k}" for k in sorted(documented - keys))


def check_references():
    """A page of ours that another page of ours names has to exist."""
    for page in sorted(Path("man").glob("*.[1-9]")):
        text = page.read_text(encoding="utf-8")
        for name, section in re.findall(r"^\.Xr ((?:lib)?manypath\S*) (\d)", text, re.MULTILINE):
            if not Path("man", f"{name}.{section}").exists():
                yield f"{page}: refers to {name}({section}), which is missing"


def main():
    build = sys.argv[1] if len(sys.argv) > 1 else "build"
    wrong = [line for program, page in PAGES.items() for line in check_program(program, page, build)]
    wrong += [*check_keys(), *check_references()]
    print(*wrong, sep="\n", end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
