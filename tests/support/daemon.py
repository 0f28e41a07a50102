"""manypathd between a client and a server, and everything that it may change on its host.

SPDX-License-Identifier: Apache-2.0
"""

import os
import signal
from pathlib import Path

from .observe import wait_until
from .programs import Gateway

PATHS = """
[[path]]
name = "first"
interface = "wan0"
gateway = ["{wan0.peer.v4}", "{wan0.peer.v6}"]

[[path]]
name = "second"
interface = "wan1"
address = ["{wan1.v4}", "{wan1.v6}"]
gateway = ["{wan1.peer.v4}", "{wan1.peer.v6}"]
"""

TRANSPARENT = """
[[listen]]
name = "lan"
mode = "transparent"
address = ["0.0.0.0:1081", "[::]:1081"]
dial = "mptcp"
intercept = {{ interfaces = ["lan0"], ports = ["1-65535"], except = ["203.0.113.9"] }}
allow = ["0.0.0.0/0", "::/0"]
"""

FORWARD = """
[[listen]]
name = "{name}"
mode = "forward"
address = "127.0.0.1:{port}"
to = "127.0.0.1:9"
"""


def snapshot(host):
    """Everything on a host that the keeper may change, as text by name."""
    state = {
        "rules": host.ip("-4", "rule") + host.ip("-6", "rule"),
        "routes": host.ip("route", "show", "table", "all", "proto", "77"),
        "routes6": host.ip("-6", "route", "show", "table", "all", "proto", "77"),
        "nft": host.run("nft", "list", "ruleset").stdout,
        "endpoints": host.ip("mptcp", "endpoint"),
        "limits": host.ip("mptcp", "limits"),
    }
    for name in ("net.mptcp.blackhole_timeout", "net.ipv4.conf.all.src_valid_mark",
                 "net.ipv4.conf.lan0.src_valid_mark"):
        state[name] = host.sysctl(name)
    return state


def status_of(pid):
    """/proc/PID/status as a dictionary."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


class Daemon:
    """manypathd on the gateway of a chain client - gateway = server."""

    def __init__(self, lab, toml=PATHS + TRANSPARENT, start=True, client_paths=1, **sysctls):
        self.client, self.host, self.server = lab.chain(client_paths, gateway_endpoints=False)
        self.host.ip("mptcp", "limits", "set", "subflows", 1, "add_addr_accepted", 0)
        for name, value in {"net.mptcp.blackhole_timeout": 3600,
                            "net.ipv4.conf.all.src_valid_mark": 1, **sysctls}.items():
            self.host.sysctl(name, value)
        self.before = snapshot(self.host)
        self.toml = toml
        if start:
            self.start()

    def text(self, toml):
        return toml.format(**self.host.interfaces)

    def start(self, **options):
        self.gateway = Gateway(self.host, self.text(self.toml), **options)

    @property
    def keeper(self):
        return self.gateway.process.pid

    def children(self):
        pid = self.keeper
        return [int(c) for c in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def worker(self):
        return next(c for c in self.children() if status_of(c)["Name"] != "manypath-undo")

    def janitor(self):
        return next(c for c in self.children() if status_of(c)["Name"] == "manypath-undo")

    def is_clean(self):
        return (snapshot(self.host) == self.before and not self.gateway.control.exists()
                and not Path(f"{self.gateway.control}.undo").exists())

    def reload(self, toml, outcome):
        """Sends SIGHUP and waits for the line of the log that tells `outcome`."""
        seen = self.gateway.log().count(outcome)
        self.gateway.write(self.text(toml))
        os.kill(self.keeper, signal.SIGHUP)
        wait_until(lambda: self.gateway.log().count(outcome) > seen,
                   what=f"{outcome!r} in the log:\n{self.gateway.log()}")
