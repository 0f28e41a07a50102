"""archives.py: the archives of `common` ask the operating system for nothing.

nm lists what an archive leaves undefined; everything must be defined in the archives of `common`
themselves or be memory, strings, arithmetic or the C++ run time.

    archives.py BUILD-DIRECTORY

SPDX-License-Identifier: Apache-2.0
"""

import re
import subprocess
import sys
from pathlib import Path

# What pure code may need of the run time. Clocks, sockets, files, threads, randomness, environment
# and log are not here, and so anything new has to be argued for in this place.
ALLOWED = re.compile(
    r"_GLOBAL_OFFSET_TABLE_|__stack_chk_fail|__cxa_\w+|__gxx_personality_v0|_Unwind_Resume|__dso_handle"
    r"|mem(cpy|move|set|cmp|chr)|__mem(cpy|move|set)_chk|str(len|cmp|ncmp)|abort|__assert_fail"
    r"|_Zn[wa]\w+|_Zd[la]\w+"  # operator new and delete
    r"|_ZTV?[ISN].*|_ZTI.*|_ZTVN10__cxxabiv1.*"  # type information
    r"|_ZNS?K?t?(9exception|8bad|11logic|12|13|14|15|16|17)?.*(exception|error|bad_).*"
    r"|_ZN?K?S[sta].*(__throw_|error_category|basic_string|_Hash_bytes|_Rb_tree|generic_category).*"
    r"|_ZSt(\d+__throw_|\d+_Rb_tree|\d+_Hash_bytes|7nothrow|9terminate).*"
    r"|__asan_.*|__ubsan_.*|__sanitizer_.*"
)
FORBIDDEN = re.compile(r"chrono|thread|mutex|random|clock|time|socket|filesystem|stream|getenv|rand|open")


def symbols(archives, *options):
    text = subprocess.run(["nm", "--format=just-symbols", *options, *archives],
                          capture_output=True, text=True, check=True).stdout
    return {line for line in text.splitlines() if line and not line.endswith(":")}


def main(build):
    archives = sorted(str(p) for p in Path(build).glob("common/**/*.a"))
    if not archives:
        print(f"{build} has no archive of common")
        return 1
    missing = symbols(archives, "--undefined-only") - symbols(archives, "--defined-only")
    plain = {name.partition("@")[0] for name in missing}
    wrong = sorted(n for n in plain if not ALLOWED.fullmatch(n) or FORBIDDEN.search(n))
    for name in wrong:
        print(f"common references {name}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
