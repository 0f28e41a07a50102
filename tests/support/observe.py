"""observe.py: what the kernel says about MPTCP, and waiting for it to say something.

SPDX-License-Identifier: Apache-2.0
"""

import re
import socket
import struct
import time
from pathlib import Path

SOL_MPTCP = 284
MPTCP_INFO = 1
TCP_IS_MPTCP = 43


def wait_until(condition, deadline=10.0, what="the condition"):
    """Asks again and again, for `deadline` seconds at most. @return the first true value"""
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not come true within {deadline} s (last: {value!r})")
        time.sleep(0.01)


def counters(host):
    """The MPTCP counters of a namespace by the kernel's names, e.g. {"MPJoinAckRx": 1, …}."""
    return _netstat(host, "MPTcpExt:")


def tcp_counters(host):
    """The TcpExt counters of a namespace."""
    return _netstat(host, "TcpExt:")


def _netstat(host, group):
    with host.entered():
        lines = Path("/proc/thread-self/net/netstat").read_text().splitlines()
    names, values = (line.split()[1:] for line in lines if line.startswith(group))
    return dict(zip(names, map(int, values)))


class CounterDelta:
    """What the MPTCP counters of a namespace counted since this object was made."""

    def __init__(self, host):
        self.host = host
        self.before = counters(host)

    def read(self):
        """Only those that moved."""
        now = counters(self.host)
        return {k: v - self.before.get(k, 0) for k, v in now.items() if v != self.before.get(k, 0)}

    def __getitem__(self, name):
        return self.read().get(name, 0)


def speaks_mptcp(sock):
    """Whether a connected socket speaks MPTCP now, that is, has not fallen back to TCP."""
    try:
        return sock.getsockopt(socket.IPPROTO_TCP, TCP_IS_MPTCP) == 1
    except OSError:
        return mptcp_info(sock) is not None


def mptcp_info(sock):
    """The start of struct mptcp_info as a dictionary; None when the socket speaks TCP."""
    try:
        raw = sock.getsockopt(SOL_MPTCP, MPTCP_INFO, 96)
    except OSError:
        return None
    flags, token = struct.unpack_from("=II", raw, 8)
    return {"extra_subflows": raw[0], "fallback": bool(flags & 1), "token": token}


def subflow_count(sock):
    """Subflows of a connected socket, the first included; 0 when it speaks TCP."""
    info = mptcp_info(sock)
    return info["extra_subflows"] + 1 if info and not info["fallback"] else 0


def mptcp_sockets(host):
    """Established MPTCP connections as `ss -M` shows them.
    @return a list of {"local": "addr:port", "remote": "addr:port", "subflows": n, "token": t}"""
    text = host.run("ss", "-MnHi", "state", "established").stdout
    found = []
    for line in re.sub(r"\n[ \t]+", " ", text).splitlines():
        words = line.split()
        facts = dict(re.findall(r"\b(subflows|token):([0-9a-f]+)", line))
        if len(words) >= 4:
            found.append({"local": words[2], "remote": words[3], "token": facts.get("token"),
                          "subflows": int(facts.get("subflows", 0)) + 1})
    return found


def tcp_sockets(host, *state_filter):
    """TCP sockets, subflows included, as lines of `ss -t`."""
    return host.run("ss", "-tanH", *state_filter).stdout.splitlines()


def listening(host, port):
    """Whether something listens on a TCP port of the namespace (MPTCP listeners too)."""
    return bool(host.run("ss", "-tlnH", f"sport = :{port}").stdout.strip())
