"""`manypath check` on hosts that are sound, and on hosts with one thing wrong each.

The commands that it prints are run, and the next check has to be content: a finding is worth what
its command is worth.

SPDX-License-Identifier: Apache-2.0
"""

import json
import socket
import unittest

from support import Lab, Server, observe, program

FAMILIES = (socket.AF_INET, socket.AF_INET6)


def check(host, *arguments, status=None, prefix=()):
    """Runs the command with --json. @return its object; fails unless the exit status fits"""
    done = host.run(*prefix, program("manypath"), "check", "--json", *arguments, check=False)
    result = json.loads(done.stdout)
    wanted = {"ok": 0, "problem": 1}[result["result"]] if status is None else status
    if done.returncode != wanted or result["version"] != 1:
        raise AssertionError(f"status {done.returncode}, expected {wanted}: {done.stdout}")
    return result


def problems(result):
    return [f for f in result["findings"] if f["level"] == "problem"]


def mend(host, result):
    """Runs the commands of all problems."""
    for finding in problems(result):
        if finding["fix"]:
            host.run("sh", "-c", finding["fix"])


def remove_endpoints(host):
    host.ip("mptcp", "endpoint", "flush")


class check_here(unittest.TestCase):
    def test_a_sound_host_has_no_problem(self):
        with Lab() as lab:
            client, _server = lab.pair(paths=2)
            self.assertEqual(problems(check(client, status=0)), [])

    def test_disabled_mptcp_is_found_and_mended(self):
        with Lab() as lab:
            client, _server = lab.pair(paths=2)
            client.sysctl("net.mptcp.enabled", 0)
            found = check(client, status=1)
            self.assertEqual([f["id"] for f in problems(found)], ["kernel.socket"])
            mend(client, found)
            check(client, status=0)

    def test_it_works_without_privilege(self):
        user = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")
        with Lab() as lab:
            client, server = lab.pair(paths=2)
            service = Server(server, mptcp=True)
            result = check(client, *map(str, service.address()), prefix=user)
            self.assertEqual(problems(result), [])
            self.assertEqual(len(result["target"]["subflows"]), 2)

    def test_the_text_has_a_line_per_finding_and_a_verdict(self):
        with Lab() as lab:
            client, _server = lab.pair(paths=2)
            result = check(client)
            text = client.run(program("manypath"), "check").stdout
            self.assertTrue(text.endswith("no problem found\n"), text)
            for finding in result["findings"]:
                self.assertIn(f"{finding['level']:9}{finding['text']}\n", text)


class check_target(unittest.TestCase):
    def test_two_paths_give_two_subflows_even_if_nobody_speaks(self):
        with Lab() as lab:
            client, server = lab.pair(paths=2)
            service = Server(server, mptcp=True)
            for family in FAMILIES:
                with self.subTest(family=family.name):
                    result = check(client, *map(str, service.address(family)), status=0)
                    self.assertTrue(result["target"]["mptcp"])
                    self.assertEqual(len(result["target"]["subflows"]), 2, result)
                    self.assertIn(client.interfaces["wan1"].address(family),
                                  result["target"]["subflows"][1])

    def test_missing_endpoints_are_found_and_mended(self):
        with Lab() as lab:
            client, server = lab.pair(paths=2)
            remove_endpoints(client)
            service = Server(server, mptcp=True)
            for family in FAMILIES:
                with self.subTest(family=family.name):
                    address = list(map(str, service.address(family)))
                    found = check(client, *address, status=1)
                    self.assertEqual([f["id"] for f in problems(found)],
                                     ["endpoint.none", "target.one_path"])
                    mend(client, found)
                    self.assertEqual(len(check(client, *address, status=0)["target"]["subflows"]), 2)

    def test_limits_that_forbid_subflows_are_found_and_mended(self):
        with Lab() as lab:
            client, server = lab.pair(paths=2)
            client.ip("mptcp", "limits", "set", "subflows", 0, "add_addr_accepted", 0)
            address = list(map(str, Server(server, mptcp=True).address()))
            found = check(client, *address, status=1)
            self.assertIn("limits.subflows", [f["id"] for f in problems(found)])
            mend(client, found)
            check(client, *address, status=0)

    def test_a_missing_rule_is_found_and_mended(self):
        with Lab() as lab:
            client, server = lab.host("client"), lab.host("server")
            first, second = lab.paths(client, server, 2, endpoints=False, policy_routes=False)
            client.add_route("default", first.peer.v4)
            client.ip("route", "add", "default", "via", second.peer.v4, "metric", 100)
            client.ip("mptcp", "endpoint", "add", second.v4, "subflow")
            # What leaves through the wrong link is dropped by the first careful router.
            server.sysctl("net.ipv4.conf.all.rp_filter", 1)
            address = list(map(str, Server(server, mptcp=True).address()))
            found = check(client, *address, status=1)
            self.assertEqual([f["id"] for f in problems(found)], ["path.rule", "target.one_path"])
            mend(client, found)
            self.assertEqual(len(check(client, *address, status=0)["target"]["subflows"]), 2)

    def test_a_path_that_leads_nowhere_is_found(self):
        with Lab() as lab:
            client, server = lab.host("client"), lab.host("server")
            lab.paths(client, server, 2, policy_routes=False)
            client.add_route("default", "198.18.0.2")
            address = list(map(str, Server(server, mptcp=True).address()))
            self.assertIn("path.route", [f["id"] for f in problems(check(client, *address))])

    def test_the_reverse_path_filter_trap_is_found_and_mended(self):
        with Lab() as lab:
            client, server = lab.host("client"), lab.host("server")
            first, second = lab.paths(client, server, 2, endpoints=False, policy_routes=False)
            # Bound to its interface the second path leaves by the worse route, but answers to it
            # come in where no route leads back.
            client.add_route("default", first.peer.v4)
            client.ip("route", "add", "default", "via", second.peer.v4, "metric", 100)
            client.ip("route", "add", "198.18.0.2/32", "via", second.peer.v4, "dev", "wan1",
                      "metric", 100)
            client.ip("route", "add", "198.18.0.2/32", "dev", "wan0", "metric", 10)
            client.ip("mptcp", "endpoint", "add", second.v4, "dev", "wan1", "subflow")
            client.sysctl("net.ipv4.conf.wan1.rp_filter", 1)
            address = list(map(str, Server(server, mptcp=True).address()))
            found = check(client, *address, status=1)
            self.assertEqual([f["id"] for f in problems(found)],
                             ["path.rp_filter", "target.one_path"])
            mend(client, found)
            self.assertEqual(len(check(client, *address, status=0)["target"]["subflows"]), 2)

    def test_a_server_without_mptcp_is_told_apart_from_a_kernel_without(self):
        with Lab() as lab:
            client, server = lab.pair(paths=2)
            address = list(map(str, Server(server).address()))
            for family in FAMILIES:
                with self.subTest(family=family.name):
                    found = check(client, server.interfaces["wan0"].address(family), address[1],
                                  status=1)
                    self.assertFalse(found["target"]["mptcp"])
                    text = problems(found)[0]["text"]
                    self.assertIn("answered without MPTCP", text)
                    self.assertIn("MPCapableFallbackSYNACK +1", text)
            client.sysctl("net.mptcp.enabled", 0)
            found = check(client, *address, status=1)
            self.assertEqual([f["id"] for f in problems(found)],
                             ["kernel.socket", "target.fallback"])
            self.assertIn("net.mptcp.enabled=1", problems(found)[1]["fix"])

    def test_a_server_that_forbids_joins_is_recognised(self):
        with Lab() as lab:
            client, server = lab.pair(paths=2)
            server.sysctl("net.mptcp.allow_join_initial_addr_port", 0)
            address = list(map(str, Server(server, mptcp=True).address()))
            found = check(client, *address, status=1)
            self.assertEqual([f["id"] for f in problems(found)], ["target.one_path"])
            self.assertIn("C flag", problems(found)[0]["text"])

    def test_a_cut_second_path_is_recognised_as_silent(self):
        with Lab() as lab:
            client, server = lab.pair(paths=2)
            client.interfaces["wan1"].cut_silently()
            address = list(map(str, Server(server, mptcp=True).address()))
            found = check(client, *address, status=1)
            self.assertEqual([f["id"] for f in problems(found)], ["target.one_path"])
            self.assertIn("got no answer", problems(found)[0]["text"])
            self.assertIn("MPJoinSynTx", problems(found)[0]["text"])

    def test_a_target_that_does_not_answer_is_bounded_by_the_timeout(self):
        with Lab() as lab:
            client, _server = lab.pair(paths=1)
            client.interfaces["wan0"].cut_silently()
            found = check(client, "--timeout", "0.3", "198.18.0.2", "80", status=1)
            self.assertIn("no answer in time", problems(found)[-1]["text"])

    def test_an_announced_address_that_the_limits_ignore_is_noted(self):
        with Lab() as lab:
            client, server = lab.pair(paths=2)
            client.ip("mptcp", "limits", "set", "subflows", 8, "add_addr_accepted", 0)
            server.add_endpoint(server.interfaces["wan1"], "signal")
            seen = observe.CounterDelta(client)
            address = list(map(str, Server(server, mptcp=True).address()))
            found = check(client, *address)
            self.assertGreater(seen["AddAddr"], 0)
            noted = {f["id"]: f for f in found["findings"]}["target.announced"]
            self.assertIn("add_addr_accepted", noted["fix"])


if __name__ == "__main__":
    unittest.main()
