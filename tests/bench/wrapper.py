"""What the wrapper costs a program: socket(), and the start of /bin/true.

All candidates take turns in one run; medians, and ratios to a program without any preload library.
Both libraries open real MPTCP sockets, which cost the kernel more than TCP sockets, so the third
comparison is a program that asks for MPTCP itself: what remains is the library's own share.

    ./dev bench wrapper [ROUNDS]      20 by default

SPDX-License-Identifier: Apache-2.0
"""

import os
import statistics
import subprocess
import sys
from pathlib import Path

from support import MissingPrerequisite, program

TCP, MPTCP = "0", "262"
STARTS_PER_ROUND = 100


def mptcpize():
    """The library of Debian's mptcpize."""
    found = sorted(Path("/usr/lib").glob("*/mptcpize/libmptcpwrap.so.*.*"))
    if not found:
        raise MissingPrerequisite("mptcpize is missing: run ./dev setup")
    return str(found[0])


def socket_cost(cost, library, protocol):
    env = {**os.environ, **({"LD_PRELOAD": library} if library else {})}
    return float(subprocess.check_output([cost, "socket", protocol], env=env))


def table(title, unit, candidates, medians, reference):
    print(f"\n{title}")
    for name in candidates:
        print(f"  {name:<28}{medians[name]:>10.1f} {unit}"
              f"{medians[name] / medians[reference]:>9.3f}")


def bench_socket(cost, rounds):
    candidates = {
        "TCP, plain": (None, TCP),
        "MPTCP, asked for directly": (None, MPTCP),
        "libmanypath.so": (program("libmanypath.so"), TCP),
        "mptcpize": (mptcpize(), TCP),
    }
    samples = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, (library, protocol) in candidates.items():
            samples[name].append(socket_cost(cost, library, protocol))
    medians = {name: statistics.median(values) for name, values in samples.items()}
    table("socket()", "ns", candidates, medians, "MPTCP, asked for directly")


def bench_start(cost, rounds):
    candidates = ["plain", "libmanypath.so", "mptcpize"]
    out = subprocess.check_output(
        [cost, "start", str(rounds * STARTS_PER_ROUND), program("libmanypath.so"), mptcpize()],
        text=True)
    columns = zip(*(map(float, line.split()) for line in out.splitlines()))
    medians = dict(zip(candidates, map(statistics.median, columns)))
    table("start of /bin/true", "us", candidates, medians, "plain")


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    cost = program("preload_cost")
    bench_socket(cost, rounds)
    bench_start(cost, rounds)


if __name__ == "__main__":
    main()
