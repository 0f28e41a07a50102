"""lab.py: network namespaces that live as long as a `with` block.

A lab's namespaces are named after the process that made them (pid and start time), so that any
number of labs run side by side, and the next lab removes what a killed one left behind.
Everything is IPv4 and IPv6. The congestion control is CUBIC, because MPTCP over veth collapses
under BBR; `net.mptcp.blackhole_timeout` is 0, because one lost SYN would otherwise switch MPTCP
off for the whole namespace.

SPDX-License-Identifier: Apache-2.0
"""

import contextlib
import ctypes
import ipaddress
import itertools
import os
import re
import signal
import socket
import subprocess
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path

from .observe import wait_until

CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)
_NETNS_DIR = Path("/run/netns")
_LAB_NAME = re.compile(r"^mp-(\d+)\.(\d+)-")
_lab_numbers = itertools.count()

HOST_SYSCTLS = {
    "net.ipv4.tcp_congestion_control": "cubic",
    "net.ipv4.conf.all.rp_filter": "0",
    "net.ipv4.conf.default.rp_filter": "0",
    "net.ipv6.conf.all.accept_dad": "0",
    "net.ipv6.conf.default.accept_dad": "0",
    "net.mptcp.enabled": "1",
    "net.mptcp.blackhole_timeout": "0",
}


class MissingPrerequisite(RuntimeError):
    """This machine cannot run the test; the message says what is missing."""


def _run(*command, stdin=None):
    done = subprocess.run(command, input=stdin, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}\n{stdin or ''}")
    return done.stdout


def _start_time(pid):
    """The moment a process started, in ticks since boot; None when there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[19])


def require_prerequisites():
    """Raises MissingPrerequisite unless this process may make namespaces that speak MPTCP."""
    if os.geteuid() != 0:
        raise MissingPrerequisite("namespaces need root: run the tests as root or with sudo")
    for tool in ("ip", "tc", "nft", "ss"):
        if not any(os.access(f"{d}/{tool}", os.X_OK) for d in os.environ["PATH"].split(":")):
            raise MissingPrerequisite(f"{tool} is missing: run ./dev setup")
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262).close()
    except OSError as error:
        if not Path("/proc/sys/net/mptcp").exists():
            raise MissingPrerequisite(f"this kernel has no MPTCP: {error}") from error
    _allow_cubic()


def _allow_cubic():
    """A namespace may choose only what the initial one has made public."""
    path = Path("/proc/sys/net/ipv4/tcp_allowed_congestion_control")
    if not path.exists():
        return  # not in the initial namespace; whoever made this one has to care
    allowed = path.read_text().split()
    if "cubic" not in allowed:
        path.write_text(" ".join([*allowed, "cubic"]))


def remove_leftovers():
    """Removes the namespaces of labs whose process is gone, and what still runs in them."""
    for entry in _NETNS_DIR.glob("mp-*"):
        match = _LAB_NAME.match(entry.name)
        if match and _start_time(int(match[1])) != int(match[2]):
            _remove_namespace(entry.name)


def _remove_namespace(name):
    pids = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True)
    for pid in pids.stdout.split():
        if int(pid) != os.getpid():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
    subprocess.run(["ip", "netns", "del", name], capture_output=True)


@dataclass
class Interface:
    """One end of a link. `v4` and `v6` are the addresses as text, without prefix length."""

    host: "Namespace"
    name: str
    v4: str
    v6: str
    peer: "Interface" = field(default=None, repr=False)

    def address(self, family):
        """The address of AF_INET or AF_INET6 as text."""
        return self.v4 if family == socket.AF_INET else self.v6

    def hears_multicast(self):
        """Whether neighbours are found: IPv6 gets ready up to a second after the link is up."""
        return "ff00::/8" in self.host.ip("-6", "route", "show", "table", "local", "dev", self.name)

    def set_link(self, up):
        """Takes the link down as if the cable were pulled: both ends see it."""
        _run("ip", "-n", self.host.name, "link", "set", self.name, "up" if up else "down")
        if up:
            for end in (self, self.peer):
                wait_until(end.hears_multicast, what=f"{end.name} ready for IPv6")
            self.host.restore_routes()

    def cut_silently(self):
        """Loses every packet in both directions from now on; nobody is told."""
        self.host.nft(
            f"table inet cut_{self.name} {{\n"
            f" chain in {{ type filter hook prerouting priority -400; iifname {self.name} drop; }}\n"
            f" chain out {{ type filter hook postrouting priority 400; oifname {self.name} drop; }}\n"
            "}"
        )

    def mend(self):
        """Ends cut_silently()."""
        self.host.nft(f"delete table inet cut_{self.name}")

    def carried_bytes(self):
        """Bytes received and sent by this end since it was made, headers included."""
        text = _run("ip", "-n", self.host.name, "-s", "-s", "link", "show", self.name)
        rows = [line.split() for line in text.splitlines()]
        counts = [int(rows[i + 1][0]) for i, row in enumerate(rows) if row[0] in ("RX:", "TX:")
                  and row[1] == "bytes"]
        return sum(counts[:2])


class Namespace:
    """A host of the lab."""

    def __init__(self, lab, label):
        self.lab = lab
        self.label = label
        self.name = f"{lab.name}-{label}"
        self.interfaces = {}
        self._routes = []

    def __repr__(self):
        return f"<{self.label}>"

    @contextlib.contextmanager
    def entered(self):
        """The calling thread, and it alone, is in the namespace; sockets it opens stay there."""
        with open("/proc/thread-self/ns/net") as before, open(_NETNS_DIR / self.name) as target:
            _setns(target)
            try:
                yield self
            finally:
                _setns(before)

    def socket(self, family=socket.AF_INET, kind=socket.SOCK_STREAM, protocol=0):
        """A socket of this test process that belongs to the namespace."""
        with self.entered():
            return socket.socket(family, kind, protocol)

    def command(self, *command):
        """The command line that runs `command` in the namespace."""
        return ["ip", "netns", "exec", self.name, *map(str, command)]

    def run(self, *command, timeout=60, check=True, **options):
        """Runs a program to its end. @return CompletedProcess with text in stdout and stderr"""
        options = {"capture_output": True, "text": True, **options}
        process = self.lab.spawn_command(
            self.command(*command), **_pipes(options), text=options["text"],
            **{k: v for k, v in options.items() if k in ("env", "cwd", "stdin")})
        try:
            out, err = process.communicate(options.get("input"), timeout=timeout)
        finally:
            self.lab.end(process)
        if check and process.returncode != 0:
            raise RuntimeError(f"{self.label}: {' '.join(map(str, command))}: "
                               f"status {process.returncode}\n{out or ''}{err or ''}")
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    def spawn(self, *command, **options):
        """Starts a program. @return Popen; the lab ends it, if nothing else does"""
        return self.lab.spawn_command(self.command(*command), **options)

    def sysctl(self, name, value=None):
        """Reads, or with `value` writes, a sysctl of the namespace given as "net.mptcp.enabled"."""
        with self.entered():
            path = Path("/proc/sys") / name.replace(".", "/")
            if value is not None:
                path.write_text(str(value))
            return path.read_text().strip()

    def ip(self, *command):
        """`ip` in the namespace, e.g. ip("route", "add", "default", "via", "198.18.0.1")."""
        return _run("ip", "-n", self.name, *map(str, command))

    def nft(self, ruleset):
        """Loads nft rules."""
        return _run(*self.command("nft", "-f", "-"), stdin=ruleset + "\n")

    def add_route(self, destination, via, table=None, rule=None):
        """Adds a route; with `rule` ("from 198.18.0.1", "iif lan1") also the rule that sends such
        packets to `table`, which is this rule's alone. The lab restores both when a link comes
        back."""
        self._routes.append((destination, via, table, rule))
        self._install_route(destination, via, table, rule)

    def restore_routes(self):
        for route in self._routes:
            self._install_route(*route)

    def _install_route(self, destination, via, table, rule):
        family = "-6" if ":" in via else "-4"
        where = ["table", str(table)] if table else []
        with contextlib.suppress(RuntimeError):  # its link is down
            self.ip(family, "route", "replace", destination, "via", via, *where)
        if rule and f"lookup {table}" not in self.ip(family, "rule", "show"):
            self.ip(family, "rule", "add", *rule.split(), *where)

    def add_endpoint(self, interface, *flags):
        """Registers an interface's addresses with the kernel's path manager."""
        for address in (interface.v4, interface.v6):
            self.ip("mptcp", "endpoint", "add", address, "dev", interface.name, *flags)

    def forward_packets(self):
        """Makes the host a router."""
        self.sysctl("net.ipv4.ip_forward", 1)
        self.sysctl("net.ipv6.conf.all.forwarding", 1)


def _setns(file):
    if _LIBC.setns(file.fileno(), CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def _pipes(options):
    pipes = {}
    if options["capture_output"]:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    if "input" in options:
        pipes["stdin"] = subprocess.PIPE
    return pipes


class Lab:
    """Makes namespaces and removes them, however the `with` block ends: exception, Ctrl-C,
    SIGTERM. A directory for files, `lab.directory`, goes the same way."""

    def __init__(self):
        pid = os.getpid()
        self.name = f"mp-{pid}.{_start_time(pid)}-{next(_lab_numbers)}"
        self.hosts = {}
        self._links = 0
        self._processes = []
        self._closing = []

    def __enter__(self):
        require_prerequisites()
        remove_leftovers()
        self._old_handler = None
        if threading.current_thread() is threading.main_thread():
            self._old_handler = signal.signal(signal.SIGTERM, _exit_on_signal)
        self._directory = tempfile.TemporaryDirectory(prefix="manypath-lab-")
        self.directory = Path(self._directory.name)
        self.directory.chmod(0o755)  # programs that dropped privileges read it as well
        return self

    def __exit__(self, *_):
        blocked = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
        old_mask = signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
        try:
            self._remove_all()
        finally:
            if self._old_handler is not None:
                signal.signal(signal.SIGTERM, self._old_handler)
            signal.pthread_sigmask(signal.SIG_SETMASK, old_mask)

    def _remove_all(self):
        for close in reversed(self._closing):
            close()
        for process in reversed(self._processes):
            self.end(process)
        for host in self.hosts.values():
            _remove_namespace(host.name)
        self._directory.cleanup()

    def on_exit(self, function):
        """Calls `function` before the namespaces go."""
        self._closing.append(function)

    # -- hosts and links ---------------------------------------------------------------------

    def host(self, label, sysctls=None):
        """Makes a namespace with loopback up and MPTCP limits at 8 subflows."""
        host = Namespace(self, label)
        self.hosts[label] = host
        _run("ip", "netns", "add", host.name)
        host.ip("link", "set", "lo", "up")
        for name, value in {**HOST_SYSCTLS, **(sysctls or {})}.items():
            host.sysctl(name, value)
        host.ip("mptcp", "limits", "set", "subflows", 8, "add_addr_accepted", 8)
        return host

    def link(self, left, right, left_name, right_name, rate=None):
        """Joins two hosts by a veth pair.
        @param rate  of each direction as tc writes it, e.g. "50mbit"; None: as fast as it goes
        @return the two interfaces; link n has 198.18.n.0/24 and 2001:db8:n::/64, left is .1"""
        number = self._links
        self._links += 1
        _run("ip", "link", "add", left_name, "netns", left.name, "type", "veth",
             "peer", "name", right_name, "netns", right.name)
        ends = []
        for host, name, last in ((left, left_name, 1), (right, right_name, 2)):
            end = Interface(host, name, f"198.18.{number}.{last}", f"2001:db8:{number:x}::{last}")
            host.interfaces[name] = end
            commands = [f"addr add {end.v4}/24 dev {name}",
                        f"addr add {end.v6}/64 dev {name} nodad", f"link set {name} up"]
            _run("ip", "-n", host.name, "-batch", "-", stdin="\n".join(commands))
            host.sysctl(f"net.ipv6.conf.{name}.keep_addr_on_down", 1)
            if rate:
                _run("tc", "-n", host.name, "qdisc", "add", "dev", name, "root", "tbf",
                     "rate", rate, "burst", "64kb", "latency", "40ms")
            ends.append(end)
        ends[0].peer, ends[1].peer = ends[1], ends[0]
        for end in ends:
            wait_until(end.hears_multicast, what=f"{end.name} ready for IPv6")
        return tuple(ends)

    def paths(self, left, right, count, rate=None, left_prefix="wan", right_prefix="wan",
              endpoints=True, policy_routes=True):
        """Joins two hosts by `count` links, over each of which `left` reaches every address of
        `right`: by a rule per source address (`policy_routes`), which subflows need.
        @param endpoints  `left` opens a subflow from each link beyond the first
        @return the left interfaces; .peer has the right ones"""
        ends = [self.link(left, right, f"{left_prefix}{i}", f"{right_prefix}{i}", rate)[0]
                for i in range(count)]
        for number, end in enumerate(ends):
            if policy_routes:
                table = 1000 + int(ipaddress.ip_address(end.v4).packed[2])
                left.add_route("default", end.peer.v4, table, f"from {end.v4}")
                left.add_route("default", end.peer.v6, table, f"from {end.v6}")
            if endpoints and number > 0:
                left.add_endpoint(end, "subflow")
        return ends

    def pair(self, paths=2, rate=None):
        """client ==paths== server. Interfaces are wan0, wan1, … on both. @return both hosts"""
        client, server = self.host("client"), self.host("server")
        self.paths(client, server, paths, rate)
        return client, server

    def chain(self, client_paths=1, server_paths=2, rate=None, gateway_endpoints=True):
        """client ==lan0…== gateway ==wan0…== server. Before any proxy runs the gateway is a router
        that passes lan n on to wan n, and back, so that a client speaking MPTCP has the paths too.
        @param rate  of the wan links
        @param gateway_endpoints  False: leave endpoints and source rules to the program tested
        @return the three hosts"""
        client, gateway, server = (self.host(n) for n in ("client", "gateway", "server"))
        gateway.forward_packets()
        lans = self.paths(client, gateway, client_paths, None, "lan", "lan")
        wans = self.paths(gateway, server, server_paths, rate, "wan", "wan",
                          endpoints=gateway_endpoints, policy_routes=gateway_endpoints)
        for family in (socket.AF_INET, socket.AF_INET6):
            client.add_route("default", lans[0].peer.address(family))
            server.add_route("default", wans[0].address(family))
            for lan, wan in list(zip(lans, wans))[1:]:
                network = ipaddress.ip_interface(
                    lan.address(family) + ("/24" if family == socket.AF_INET else "/64")).network
                gateway.add_route("default", wan.peer.address(family),
                                  2000 + int(lan.name[-1]), f"iif {lan.name}")
                server.add_route(str(network), wan.address(family))
        return client, gateway, server

    # -- processes ---------------------------------------------------------------------------

    def spawn_command(self, command, **options):
        """Starts a program in a process group of its own, which ends with the lab."""
        process = subprocess.Popen(command, start_new_session=True, **options)
        self._processes.append(process)
        return process

    def end(self, process, grace=5):
        """Ends a program and its children: SIGTERM, and SIGKILL after `grace` seconds."""
        if process in self._processes:
            self._processes.remove(process)
        _signal_group(process, signal.SIGTERM if process.poll() is None else signal.SIGKILL)
        try:
            process.wait(grace)
        except subprocess.TimeoutExpired:
            pass
        _signal_group(process, signal.SIGKILL)
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream and not stream.closed:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()


def _signal_group(process, number):
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _exit_on_signal(number, _frame):
    raise SystemExit(128 + number)
