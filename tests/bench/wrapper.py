"""What the wrapper costs a program: socket(), and the start of /bin/true.

All candidates take turns in one run; medians, and ratios to a program without any preload library.
Both libraries open real MPTCP sockets, which cost the kernel more than TCP sockets, so the third
comparison is a program that asks for MPTCP itself: what remains is the library's own share.

    ./dev bench wrapper [ROUNDS]      20 by default

SPDX-License-Identifier: Apache-2.0
"""

import statistics
import subprocess
import sys
from pathlib import Path

from support import MissingPrerequisite, program

SOCKET_ROUNDS = 100  # per round of this program
START_ROUNDS = 50


def mptcpize():
    """The library of Debian's mptcpize."""
    found = sorted(Path("/usr/lib").glob("*/mptcpize/libmptcpwrap.so.*.*"))
    if not found:
        raise MissingPrerequisite("mptcpize is missing: run ./dev setup")
    return str(found[0])


def compare(title, unit, what, rounds, own_candidates):
    """Runs tests/preload/cost.c and prints medians, and ratios to its last own candidate."""
    out = subprocess.check_output([program("preload_cost"), what, str(rounds),
                                   program("libmanypath.so"), mptcpize()], text=True)
    names = [*own_candidates, "libmanypath.so", "mptcpize"]
    columns = zip(*(map(float, line.split()) for line in out.splitlines()))
    medians = dict(zip(names, map(statistics.median, columns), strict=True))
    reference = medians[own_candidates[-1]]
    print(f"\n{title}")
    for name, median in medians.items():
        print(f"  {name:<28}{median:>10.1f} {unit}{median / reference:>9.3f}")


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    compare("socket()", "ns", "socket", rounds * SOCKET_ROUNDS,
            ["TCP, plain", "MPTCP, asked for directly"])
    compare("start of /bin/true", "us", "start", rounds * START_ROUNDS, ["plain"])


if __name__ == "__main__":
    main()
