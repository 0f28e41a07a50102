"""includes.py: who may include whom, and which outside headers are whose business.

The table is the architecture in one screen; a new edge is added here together with its reason, or
not at all. A folder may always include itself.

SPDX-License-Identifier: Apache-2.0
"""

import re
import subprocess
import sys
from pathlib import PurePosixPath

# folder -> what of ours it may include, most specific folder first
OURS = {
    # `common` never asks the operating system for anything; lower layers know no higher one.
    "common/base": [],
    "common/wire": ["common/base"],
    # Loaded into other people's programs: constants alone.
    "preload/launcher": ["preload", "proxy/async/unique_fd.hpp", "proxy/kernel", "common/base"],
    "preload": ["common/base/mptcp_abi.hpp"],
    # The gateway, from the bottom up.
    "proxy/log": [],
    "proxy/async": ["proxy/log"],
    "proxy/transport": ["proxy/async", "proxy/log"],
    "proxy/config": ["proxy/async", "proxy/transport/connection_info.hpp",
                     "proxy/transport/destination.hpp"],  # addresses and protocols, as values
    "proxy/acl": ["proxy/async", "proxy/config"],
    "proxy/kernel": ["common/base", "proxy/async", "proxy/log", "proxy/transport"],
    "proxy/relay": ["proxy/async", "proxy/log", "proxy/transport"],
    # A mode sees streams and must never learn which back end carries them.
    "proxy/modes": ["common/base", "common/wire", "proxy/acl", "proxy/async", "proxy/config",
                    "proxy/log", "proxy/relay", "proxy/transport"],
    # The privileged half shares nothing with the data path but the configuration.
    "proxy/keeper": ["common/base", "proxy/async", "proxy/config", "proxy/kernel/mptcp_socket.hpp",
                     "proxy/kernel/netlink.hpp", "proxy/kernel/path_manager.hpp", "proxy/log"],
    "proxy/control": ["proxy/async", "proxy/config", "proxy/log", "proxy/transport"],
    "proxy/ctl": ["proxy/async", "proxy/control"],
    # Wires the parts together and has no algorithm of its own.
    "proxy/app": ["proxy", "common/base"],
    "tests": ["common", "preload", "proxy"],
}

# outside header -> the only folders that may include it
THEIRS = {
    r"linux/mptcp\.h|linux/genetlink\.h": ["proxy/kernel", "tests"],
    r"libmnl/.*|linux/rtnetlink\.h|linux/netlink\.h|linux/fib_rules\.h":
        ["proxy/kernel", "proxy/keeper", "preload/launcher", "tests"],
    r"nftables/.*|linux/netfilter.*": ["proxy/keeper"],
    r"sys/capability\.h": ["proxy/keeper", "tests"],
    r"toml\+\+/.*": ["proxy/config"],
    r"spdlog/.*": ["proxy/log"],
    r"CLI/.*": ["preload/launcher", "proxy/app", "proxy/ctl"],
    r"boost/json.*": ["preload/launcher", "proxy/control", "proxy/ctl", "tests"],
    r"boost/beast.*": ["proxy/modes"],
    r"boost/.*": ["preload/launcher", "proxy", "tests"],
}

# In `common` nothing that asks the system, and in the library no C++ library code that would need
# libstdc++ at run time (headers of plain types are fine).
NEVER = {
    "common": r"chrono|thread|mutex|random|fstream|iostream|filesystem|unistd\.h|sys/.*|time\.h|ctime",
    "preload": r"iostream|string|vector|map|unordered_map|mutex|thread|memory|functional|cstdio|stdio\.h",
}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def folder_of(path, table):
    """The most specific entry of `table` that holds the path; None when there is none."""
    names = [name for name in table if path == name or path.startswith(name + "/")]
    return max(names, key=len, default=None)


def check(path, text):
    folder = folder_of(path, OURS)
    if folder is None:
        yield f"{path}: its folder has no line in tests/lint/includes.py"
        return
    for number, line in enumerate(text.splitlines(), 1):
        if match := INCLUDE.match(line):
            quote, header = match.groups()
            reason = ours(path, folder, header) if quote == '"' else theirs(folder, header)
            if reason:
                yield f"{path}:{number}: {header}: {reason}"


def ours(path, folder, header):
    if "/" not in header:
        return "write includes from the root of the tree"
    if folder_of(header, OURS) == folder:
        return None
    if any(header == allowed or header.startswith(allowed + "/") for allowed in OURS[folder]):
        return None
    return f"{folder} may include only itself and {', '.join(OURS[folder]) or 'nothing else'}"


def theirs(folder, header):
    for pattern, folders in THEIRS.items():
        if re.fullmatch(pattern, header):
            if not any(folder == f or folder.startswith(f + "/") for f in folders):
                return f"belongs to {', '.join(folders)}"
            break
    never = NEVER.get(folder if folder == "preload" else folder.split("/")[0])
    if never and not folder.startswith("preload/") and re.fullmatch(never, header):
        return f"does not belong into {folder}"
    return None


def own_header_first(path, text, files):
    """With it, every header that has a source file is known to compile alone."""
    own = str(PurePosixPath(path).with_suffix(".hpp"))
    if own not in files:
        return
    first = next((m[2] for m in map(INCLUDE.match, text.splitlines()) if m), None)
    if first != own:
        yield f"{path}: its own header {own} comes first, which proves that it compiles alone"


def main():
    listed = subprocess.run(["git", "ls-files", "*.hpp", "*.cpp", "*.h", "*.c"],
                            capture_output=True, text=True, check=True).stdout.split()
    wrong = []
    for path in listed:
        with open(path, encoding="utf-8") as file:
            text = file.read()
        wrong += check(path, text)
        wrong += own_header_first(path, text, listed) if path.endswith(".cpp") else []
    print(*wrong, sep="\n", end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
