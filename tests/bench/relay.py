"""relay.py: what the gateway costs, against direct routing, HAProxy, nginx, socat and a bare
splice loop.

All relays run on the same machine as the load, so only ratios within one run mean something: the
contestants take turns, round after round, and the table shows medians, and the gateway's ratio to
each of the others within the rounds. The gateway logs every connection, its peers do not. Each
relay is started afresh for every measurement, so that the CPU time which the
kernel accounts to it and its children is that of the measurement.

SPDX-License-Identifier: Apache-2.0
"""

import argparse
import contextlib
import resource
import statistics
import subprocess
import sys
from pathlib import Path

from support.lab import Lab
from support.observe import listening, wait_until
from support.programs import Gateway, program

LISTEN = 5000
SERVER = {"tcp": 6000, "mptcp": 6001}
PAIRS = (("tcp", "tcp"), ("tcp", "mptcp"), ("mptcp", "tcp"))
IDLE_CONNECTIONS = {"socat": 100}  # a process per connection
MANY_IDLE_CONNECTIONS = 2000

# By kind: factor and unit of what is counted per second, then of the CPU time that each costs.
UNITS = {
    "download": (8e-9, "Gbit/s", 1e9, "CPU s/GB"),
    "upload": (8e-9, "Gbit/s", 1e9, "CPU s/GB"),
    "connect": (1, "connections/s", 1e6, "CPU us each"),
    "idle": (1, "bytes per idle connection", 0, ""),
}


class Peer:
    """A relay to measure: how to start it, and its processes while it runs."""

    name = ""

    def __init__(self, bench):
        self.bench = bench

    def supports(self, pair):
        return True

    def command(self, pair):
        """The command line for (accept, dial); None: nothing to start."""
        raise NotImplementedError

    def mptcpize(self, pair):
        return ["mptcpize", "run"] if "mptcp" in pair else []

    @contextlib.contextmanager
    def running(self, pair):
        """Yields the process; with it ends, and is waited for, whatever it started."""
        command = self.command(pair)
        log = open(self.bench.lab.directory / f"{self.name}.log", "wb")
        with log:
            process = self.bench.gateway.spawn(*command, stdout=log, stderr=log,
                                               stdin=subprocess.DEVNULL)
        wait_until(lambda: listening(self.bench.gateway, LISTEN) or process.poll() is not None,
                   what=f"{self.name} listening")
        if process.poll() is not None:
            raise RuntimeError(f"{self.name} ended: {Path(log.name).read_text()}")
        try:
            yield process
        finally:
            self.bench.lab.end(process)


class Manypath(Peer):
    name = "manypathd"

    @contextlib.contextmanager
    def running(self, pair):
        accept, dial = pair
        gateway = Gateway(self.bench.gateway, f"""
            [[listen]]
            name = "bench"
            mode = "forward"
            address = "0.0.0.0:{LISTEN}"
            accept = "{accept}"
            dial = "{dial}"
            to = "{self.bench.server_address}:{SERVER[dial]}"
            allow = ["0.0.0.0/0"]
            """)
        try:
            yield gateway.process
        finally:
            gateway.stop()


class Splice(Peer):
    name = "splice loop"

    def command(self, pair):
        return [program("bench_splice"), pair[0], LISTEN, pair[1], self.bench.server_address,
                SERVER[pair[1]]]


class Haproxy(Peer):
    name = "HAProxy"
    splice = ""

    def command(self, pair):
        file = self.bench.lab.directory / "haproxy.cfg"
        file.write_text(
            f"global\n  maxconn 6000\ndefaults\n  mode tcp\n{self.splice}"
            "  timeout connect 15s\n  timeout client 1h\n  timeout server 1h\n"
            f"listen bench\n  bind 0.0.0.0:{LISTEN}\n"
            f"  server s {self.bench.server_address}:{SERVER[pair[1]]}\n")
        return [*self.mptcpize(pair), "haproxy", "-db", "-f", file]


class HaproxySplice(Haproxy):
    name = "HAProxy splice"
    splice = "  option splice-auto\n"


class Nginx(Peer):
    name = "nginx"

    def command(self, pair):
        file = self.bench.lab.directory / "nginx-stream.conf"
        module = Path("/usr/lib/nginx/modules/ngx_stream_module.so")
        load = f"load_module {module};" if module.exists() else ""
        file.write_text(
            f"{load} daemon off; worker_processes auto; worker_rlimit_nofile 20000;"
            f"pid {self.bench.lab.directory}/nginx-stream.pid; error_log stderr crit;"
            "events { worker_connections 9000; }"
            f"stream {{ server {{ listen {LISTEN} reuseport; proxy_half_close on;"
            f"proxy_pass {self.bench.server_address}:{SERVER[pair[1]]}; }} }}\n")
        return [*self.mptcpize(pair), "nginx", "-e", "stderr", "-c", file]


class Socat(Peer):
    name = "socat"

    def command(self, pair):
        return [*self.mptcpize(pair), "socat", "-b", "262144",
                f"TCP-LISTEN:{LISTEN},fork,reuseaddr,backlog=4096,nodelay",
                f"TCP:{self.bench.server_address}:{SERVER[pair[1]]},nodelay"]


class Direct(Peer):
    name = "direct"

    def supports(self, pair):
        return pair == ("tcp", "tcp")

    @contextlib.contextmanager
    def running(self, pair):
        yield None


PEERS = (Direct, Splice, Manypath, Haproxy, HaproxySplice, Nginx, Socat)


class Bench:
    """The namespaces client, gateway, server and everything that runs in them throughout."""

    def __init__(self, lab, seconds, flows):
        self.lab = lab
        self.seconds = seconds
        self.flows = flows
        self.client, self.gateway, self.server = lab.chain(server_paths=1)
        self.gateway_address = self.client.interfaces["lan0"].peer.v4
        self.server_address = self.gateway.interfaces["wan0"].peer.v4
        for host in (self.client, self.gateway, self.server):
            host.sysctl("net.ipv4.ip_local_port_range", "1024 4999")
            host.sysctl("net.ipv4.ip_local_port_range", "10000 65535")
            host.sysctl("net.ipv4.tcp_tw_reuse", 1)
            host.sysctl("net.core.somaxconn", 4096)
        for protocol, port in SERVER.items():
            self.server.spawn(program("bench_load"), "serve", protocol, port)
            wait_until(lambda p=port: listening(self.server, p), what="the server")

    def load(self, what, pair, direct):
        """Runs the load generator. @return the three numbers it prints"""
        to = (self.server_address, SERVER["tcp"]) if direct else (self.gateway_address, LISTEN)
        flows = 64 if what == "connect" else self.flows
        done = self.client.run(program("bench_load"), what, pair[0], *to, self.seconds, flows,
                               timeout=self.seconds + 15, check=False)
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        return [float(number) for number in done.stdout.split()]

    def transfer(self, peer, pair, what):
        """@return (bytes per second, CPU seconds per byte) or None where the transfer stood still"""
        return self.with_cpu(peer, pair, what, lambda stalled, _: stalled)

    def with_cpu(self, peer, pair, what, is_failure):
        """@return (amount per second, the relay's CPU seconds per amount) or None"""
        before = cpu_of_children()
        with peer.running(pair) as process:
            started = cpu_of_children()
            amount, took, failures = self.load(what, pair, process is None)
            load = cpu_of_children() - started
        if is_failure(failures, amount):
            return None
        return amount / took, (cpu_of_children() - before - load) / amount

    def connections(self, peer, pair):
        """@return (connections per second, CPU seconds per connection), or None where more than
        one in a hundred failed"""
        return self.with_cpu(peer, pair, "connect", lambda failed, done: failed > done / 100)

    def idle_memory(self, peer, pair):
        """@return (bytes of resident memory per idle connection, 0)"""
        count = IDLE_CONNECTIONS.get(peer.name, MANY_IDLE_CONNECTIONS)
        with peer.running(pair) as process:
            before = resident_bytes(process.pid)
            idle = self.client.spawn(program("bench_load"), "idle", pair[0], self.gateway_address,
                                     LISTEN, count, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                     text=True)
            if idle.stdout.readline().strip() != "ready":
                raise RuntimeError(f"{peer.name} did not carry {count} connections")
            growth = resident_bytes(process.pid) - before
            self.lab.end(idle)
        return growth / count, 0


def cpu_of_children():
    """CPU seconds of all children of this process that have ended, and of theirs."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def resident_bytes(pid):
    """Resident memory of a process and its descendants."""
    total = 0
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        status = Path(f"/proc/{pid}/status").read_text()
        total = int(status.split("VmRSS:")[1].split()[0]) * 1024
        for task in Path(f"/proc/{pid}/task").iterdir():
            total += sum(resident_bytes(int(child)) for child in
                         (task / "children").read_text().split())
    return total


def measure(bench, peers, rounds, what, pairs):
    """@return {(kind, pair, peer): [values]}; peers take turns in every round"""
    results = {}
    for number in range(rounds):
        for pair in pairs:
            for kind in what:
                for peer in peers:
                    if kind == "idle" and (peer.name == "direct" or number > 0):
                        continue
                    if not peer.supports(pair):
                        continue
                    print(f"round {number + 1}: {kind} {'->'.join(pair)} {peer.name}",
                          file=sys.stderr)
                    results.setdefault((kind, pair, peer.name), []).append(
                        measure_one(bench, peer, pair, kind))
    return results


def measure_one(bench, peer, pair, kind):
    if kind in ("download", "upload"):
        return bench.transfer(peer, pair, kind)
    if kind == "connect":
        return bench.connections(peer, pair)
    return bench.idle_memory(peer, pair)


def median(values, part):
    """The median of one of the two numbers; None where a run failed."""
    if not values or any(v is None for v in values):
        return None
    return statistics.median(v[part] for v in values)


def ratio(values, others, part):
    """The median over the rounds of values / others; None where either failed."""
    if not values or not others or None in values or None in others:
        return None
    pairs = [(v[part], o[part]) for v, o in zip(values, others) if o[part]]
    return statistics.median(v / o for v, o in pairs) if pairs else None


def print_tables(results, peers, pairs, kinds):
    """Each number is a median; "gateway" is the gateway's number divided by this peer's, also a
    median, of the rounds."""
    for kind in kinds:
        for pair in pairs:
            print(f"\n{kind} {'->'.join(pair)}")
            gateway = results.get((kind, pair, Manypath.name))
            for peer in peers:
                values = results.get((kind, pair, peer.name))
                if values is not None:
                    print(f"  {peer.name:15} {describe(kind, values, gateway)}")


def describe(kind, values, gateway):
    if None in values:
        return "fails" if kind == "connect" else "hangs"
    scale, unit, cost_scale, cost_unit = UNITS[kind]
    text = f"{median(values, 0) * scale:9.2f} {unit}{times(ratio(gateway, values, 0))}"
    if cost_unit and median(values, 1):
        text += (f"  {median(values, 1) * cost_scale:8.3f} {cost_unit}"
                 f"{times(ratio(gateway, values, 1))}")
    return text


def times(value):
    return f" (gateway {value:5.2f}x)" if value is not None else " " * 17


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--peers", help="comma separated: " + ", ".join(p.name for p in PEERS))
    parser.add_argument("--pairs", help="comma separated, e.g. tcp-mptcp; all by default")
    parser.add_argument("--kinds", default="download,upload,connect,idle")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--flows", type=int, default=1)
    options = parser.parse_args()
    pairs = [tuple(p.split("-")) for p in options.pairs.split(",")] if options.pairs else PAIRS
    kinds = options.kinds.split(",")
    with Lab() as lab:
        bench = Bench(lab, options.seconds, options.flows)
        wanted = options.peers.split(",") if options.peers else [p.name for p in PEERS]
        peers = [p(bench) for p in PEERS if p.name in wanted]
        results = measure(bench, peers, options.rounds, kinds, pairs)
        print_tables(results, peers, pairs, kinds)


if __name__ == "__main__":
    main()
