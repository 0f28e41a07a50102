// config.cpp: the parser of manypathd.toml keeps its promises: every rule with its message and
// line, all defects at once, and no text whatever that harms it.
// SPDX-License-Identifier: Apache-2.0
#include "proxy/config/parse.hpp"
#include "proxy/config/schema.hpp"

#include <catch2/catch.hpp>
#include <random>

using namespace manypath;
using namespace manypath::config;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;

namespace {

using lines = std::vector<std::string>;

/// A listener that is right, five lines long.
const std::string proxy = "[[listen]]\n"
                          "name = \"proxy\"\n"
                          "mode = \"socks5\"\n"
                          "address = \"127.0.0.1:1080\"\n"
                          "\n";

/// Every table and nearly every key.
const std::string complete = R"(
backend = "kernel"
[[path]]
name = "fibre"
interface = "wan0"
address = ["198.18.1.1", "2001:db8:1::1"]
gateway = ["198.18.1.254", "fe80::1"]
flags = ["subflow", "backup"]
[[path]]
name = "lte"
interface = "wan1"
[[listen]]
name = "lan"
mode = "transparent"
address = ["0.0.0.0:1081", "[::]:1081"]
accept = "tcp"
dial = "mptcp"
intercept = { interfaces = ["lan0"], ports = ["1-1080", "1082-65535"], except = ["198.18.0.53"] }
preserve_source = true
allow = ["198.18.0.0/15", "2001:db8::/32"]
[[listen]]
name = "edge"
mode = "forward"
address = "198.51.100.1:443"
accept = "mptcp"
dial = "tcp"
to = "farm.example.net:443"
[timeouts]
connect = 5
idle = 60
half_close = 10
drain = 3
[engine]
attach = "auto"
congestion = "olia"
scheduler = "blest"
checksum = true
[control]
socket = "/tmp/x.sock"
metrics = ""
)";

/// The beginning of a listener with one address; what follows stands in line 5.
std::string listener(const std::string& mode, const std::string& more)
{
    return "[[listen]]\nname = \"a\"\nmode = \"" + mode + "\"\naddress = \"0.0.0.0:80\"\n" + more;
}

/// The beginning of a path behind `proxy`; what follows stands in line 9.
std::string path_with(const std::string& more)
{
    return proxy + "[[path]]\nname = \"fibre\"\ninterface = \"wan0\"\n" + more;
}

lines complaints(const std::string& text)
{
    const auto result = parse(text, "f");
    return result ? lines{} : result.error();
}

configuration accepted(const std::string& text)
{
    auto result = parse(text, "f");
    CAPTURE(text, result ? lines{} : result.error());
    REQUIRE(result.has_value());
    return *result;
}

/// One row: the text, and how its only message begins.
struct rule {
    std::string text;
    std::string begins;
};

void check_each(const std::vector<rule>& rules)
{
    for (const auto& r : rules) {
        const auto found = complaints(r.text);
        CAPTURE(r.text, found);
        REQUIRE(found.size() == 1);
        CHECK_THAT(found.front(), StartsWith(r.begins));
        CHECK_THAT(found.front(), Contains("; "));
    }
}

asio::ip::address address(const char* text)
{
    return asio::ip::make_address(text);
}

} // namespace

// Goal: the file of the manual becomes the values that the daemon works with.
TEST_CASE("a complete configuration becomes values", "[config]")
{
    const auto c = accepted(complete);
    CHECK(c.backend == backend_choice::kernel);
    REQUIRE(c.paths.size() == 2);
    CHECK(c.paths[0].addresses == std::vector{address("198.18.1.1"), address("2001:db8:1::1")});
    CHECK(c.paths[0].gateways == std::vector{address("198.18.1.254"), address("fe80::1")});
    CHECK(c.paths[0].flags.backup);
    CHECK(c.paths[1].interface == "wan1");
    CHECK(c.paths[1].flags == path().flags);
    REQUIRE(c.listeners.size() == 2);
    const auto& lan = c.listeners[0];
    CHECK(lan.mode == listen_mode::transparent);
    CHECK(lan.addresses ==
          std::vector<endpoint>{{address("0.0.0.0"), 1081}, {address("::"), 1081}});
    REQUIRE(lan.intercept.has_value());
    CHECK(lan.intercept->interfaces == lines{"lan0"});
    CHECK(lan.intercept->ports == std::vector<port_range>{{1, 1080}, {1082, 65535}});
    CHECK(lan.intercept->except == std::vector{prefix{address("198.18.0.53"), 32}});
    CHECK(lan.preserve_source);
    CHECK(lan.allow ==
          std::vector{prefix{address("198.18.0.0"), 15}, prefix{address("2001:db8::"), 32}});
    const auto& edge = c.listeners[1];
    CHECK(edge.accept == protocol::mptcp);
    CHECK(edge.dial == protocol::tcp);
    CHECK(edge.to == destination{host_port{"farm.example.net", 443}});
    using std::chrono::seconds;
    CHECK(c.timeouts == timeouts{seconds{5}, seconds{60}, seconds{10}, seconds{3}});
    CHECK(c.engine.attach == attachment::automatic);
    CHECK(c.control.socket == "/tmp/x.sock");
}

TEST_CASE("what a file leaves out keeps the default of its type", "[config]")
{
    const auto c = accepted(proxy);
    configuration expected;
    expected.listeners.resize(1);
    expected.listeners[0].name = "proxy";
    expected.listeners[0].mode = listen_mode::socks5;
    expected.listeners[0].addresses = {{address("127.0.0.1"), 1080}};
    CHECK(c == expected);
    CHECK(c.backend == backend_choice::automatic);
    CHECK(c.listeners[0].accept == protocol::tcp);
    CHECK(c.listeners[0].dial == protocol::mptcp);
    CHECK(c.listeners[0].rules);
}

TEST_CASE("a message names file, line, key, the defect and what is allowed", "[config]")
{
    CHECK(complaints("backend = \"kernle\"\n" + proxy) ==
          lines{"f:1: backend: \"kernle\" is unknown; allowed: \"auto\" or \"kernel\""});
    CHECK(complaints(proxy + "[timeouts]\nidle = 0\n") ==
          lines{"f:7: timeouts.idle: is 0; allowed: a whole number of seconds from 1 to 604800"});
    CHECK(complaints(listener("socks5", "adress = 1\n")) ==
          lines{"f:5: listen.adress: unknown key; did you mean \"address\"?"});
}

TEST_CASE("all defects are reported at once, in the order of the file", "[config]")
{
    const auto found = complaints("backend = 1\n"           // 1
                                  "[control]\n"             // 2
                                  "socket = \"relative\"\n" // 3
                                  "[timeouts]\n"            // 4
                                  "idle = \"long\"\n"       // 5
                                  "drain = -1\n"            // 6
                                  "[[listen]]\n"            // 7
                                  "mode = \"forward\"\n"    // 8
                                  "address = [\n"           // 9
                                  "  \"0.0.0.0:99999\",\n"  // 10
                                  "  5,\n"                  // 11
                                  "]\n");
    REQUIRE(found.size() == 8);
    CHECK_THAT(found[0], StartsWith("f:1: backend: is a whole number; "));
    CHECK_THAT(found[1], StartsWith("f:3: control.socket: \"relative\" is no absolute path; "));
    CHECK_THAT(found[2], StartsWith("f:5: timeouts.idle: is a string; "));
    CHECK_THAT(found[3], StartsWith("f:6: timeouts.drain: is -1; "));
    CHECK_THAT(found[4], StartsWith("f:7: listen.name: is missing; "));
    CHECK_THAT(found[5], StartsWith("f:7: listen.to: is missing; "));
    CHECK_THAT(found[6], StartsWith("f:10: listen.address: \"0.0.0.0:99999\" has a port "));
    CHECK_THAT(found[7], StartsWith("f:11: listen.address: is a whole number; "));
}

TEST_CASE("an unknown key is an error in every table", "[config]")
{
    check_each({
        {"colour = 1\n" + proxy, "f:1: colour: unknown key; allowed: \"backend\", \"path\""},
        {"backed = \"auto\"\n" + proxy, "f:1: backed: unknown key; did you mean \"backend\"?"},
        {proxy + "[timeout]\nidle = 1\n", "f:6: timeout: unknown key; did you mean \"timeouts\"?"},
        {proxy + "[timeouts]\nconect = 1\n", "f:7: timeouts.conect: unknown key; did you mean"},
        {proxy + "[engine]\nattached = \"tun\"\n", "f:7: engine.attached: unknown key; did you"},
        {proxy + "[control]\npath = \"/x\"\n", "f:7: control.path: unknown key; "},
        {path_with("flag = \"signal\"\n"), "f:9: path.flag: unknown key; did you mean \"flags\"?"},
        {listener("transparent", "intercept = { interfaces = \"a\", port = \"1\", ports = \"1\" }"),
         "f:5: listen.intercept.port: unknown key; did you mean \"ports\"?"},
    });
}

TEST_CASE("a value of a wrong type is an error that names both types", "[config]")
{
    check_each({
        {"backend = true\n" + proxy, "f:1: backend: is a truth value; allowed: \"auto\""},
        {"listen = 5\n", "f:1: listen: is a whole number; allowed: any number of tables under"},
        {"[listen]\nname = \"a\"\n", "f:1: listen: is a table; allowed: any number of tables"},
        {"path = [1]\n" + proxy,
         "f:1: path: is a list; allowed: any number of tables under [[path"},
        {"timeouts = 3\n" + proxy, "f:1: timeouts: is a whole number; allowed: a table"},
        {proxy + "[timeouts]\nidle = 1.5\n", "f:7: timeouts.idle: is a number with a fraction; "},
        {proxy + "[timeouts]\nidle = 2026-01-01\n", "f:7: timeouts.idle: is a date or time; "},
        {proxy + "[engine]\nchecksum = \"on\"\n",
         "f:7: engine.checksum: is a string; allowed: true"},
        {proxy + "[engine]\nscheduler = 1\n", "f:7: engine.scheduler: is a whole number; "},
        {proxy + "[control]\nmetrics = 9901\n", "f:7: control.metrics: is a whole number; "},
        {path_with("flags = \"signal\"\n"), "f:9: path.flags: is a string; allowed: a list of "},
        {path_with("address = [[]]\n"), "f:9: path.address: is a list; allowed: one address"},
        {listener("transparent", "rules = 0\n"), "f:5: listen.rules: is a whole number; allowed: "},
        {listener("transparent", "intercept = 1\n"), "f:5: listen.intercept: is a whole number; "},
    });
}

TEST_CASE("what this version cannot serve is refused in words", "[config]")
{
    check_each({
        {"backend = \"engine\"\n" + proxy,
         "f:1: backend: \"engine\" is not available in this version; allowed: \"auto\" or"},
        {listener("convert", ""), "f:3: listen.mode: \"convert\" is not available in this version; "
                                  "allowed: \"transparent\""},
        {listener("socks5", "via = \"198.18.9.1:1238\"\n"),
         "f:5: listen.via: a Convert server as next hop is not available in this version; "},
        {proxy + "[control]\nmetrics = \"127.0.0.1:9901\"\n",
         "f:7: control.metrics: metrics are not available in this version; allowed: \"\" (off)"},
    });
}

TEST_CASE("later keys are checked today", "[config]")
{
    check_each({
        {listener("socks5", "via = \"198.18.9.1\"\n"),
         "f:5: listen.via: \"198.18.9.1\" has no port"},
        {proxy + "[control]\nmetrics = \"here\"\n", "f:7: control.metrics: \"here\" has no port; "},
        {proxy + "[engine]\nattach = \"tap\"\n", "f:7: engine.attach: \"tap\" is unknown; "},
        {proxy + "[engine]\ncongestion = \"bbr\"\n",
         "f:7: engine.congestion: \"bbr\" is unknown; "},
        {proxy + "[engine]\nscheduler = \"x\"\n", "f:7: engine.scheduler: \"x\" is unknown; "},
    });
}

TEST_CASE("a mode takes its own keys and no others", "[config]")
{
    const std::string to = "to = \"198.18.2.2:80\"\n";
    const std::string intercept = "intercept = { interfaces = \"lan0\", ports = \"443\" }\n";
    check_each({
        {listener("forward", ""), "f:1: listen.to: is missing; allowed: with mode = \"forward\""},
        {listener("socks5", to), "f:5: listen.to: has no meaning with mode = \"socks5\"; "},
        {listener("transparent", to + intercept),
         "f:5: listen.to: has no meaning with mode = \"tr"},
        {listener("transparent", ""), "f:1: listen.intercept: is missing; allowed: with mode = "},
        {listener("transparent", "rules = false\n" + intercept),
         "f:6: listen.intercept: has no effect with rules = false; allowed: one of the two"},
        {listener("http-connect", intercept), "f:5: listen.intercept: has no meaning with mode = "},
        {listener("socks5", "rules = false\n"), "f:5: listen.rules: has no meaning with mode = "},
        {listener("socks5", "preserve_source = true\n"),
         "f:5: listen.preserve_source: has no meaning with mode = \"socks5\"; allowed: only with "},
        {"[[listen]]\nname = \"a\"\naddress = \"0.0.0.0:80\"\n" + to,
         "f:1: listen.mode: is missing"},
        {listener("transparent", "intercept = { interfaces = \"lan0\" }\n"),
         "f:5: listen.intercept.ports: is missing; "},
        {listener("transparent", "intercept = { ports = \"80\" }\n"),
         "f:5: listen.intercept.interfaces: is missing; "},
    });
    CHECK_FALSE(accepted(listener("transparent", "rules = false\n")).listeners[0].rules);
}

// The kernel refuses an MP_JOIN whose port is not the listener's, so that such a gateway would
// lose every path but the first without a word.
TEST_CASE("an MPTCP listener intercepts only ports that it listens on", "[config]")
{
    const auto with = [](const std::string& addresses, const std::string& ports) {
        return "[[listen]]\nname = \"a\"\nmode = \"transparent\"\naccept = \"mptcp\"\naddress = [" +
               addresses + "]\n[listen.intercept]\ninterfaces = [\"lan0\"]\nports = [" + ports +
               "]\n";
    };
    check_each({
        {with(R"("0.0.0.0:80")", R"("80", "443")"),
         "f:8: listen.intercept.ports: 443 is not served by an IPv4 address of the listener, and "
         "with accept = \"mptcp\" the kernel refuses further paths"},
        {with(R"("0.0.0.0:80", "0.0.0.0:81")", R"("80-82")"), "f:8: listen.intercept.ports: 80-82"},
        {with(R"("0.0.0.0:80", "[::]:443", "[::]:80")", R"("80", "443")"),
         "f:8: listen.intercept.ports: 443 is not served by an IPv4 address"},
    });
    accepted(with(R"("0.0.0.0:80", "0.0.0.0:443")", R"("80", "443")"));
    accepted(with(R"("0.0.0.0:80", "0.0.0.0:81", "[::]:80", "[::]:81")", R"("80-81")"));
}

TEST_CASE("listeners differ in name, address and traffic", "[config]")
{
    const std::string intercept = "intercept = { interfaces = \"lan0\", ports = \"1-100\" }\n";
    const auto second = [](const std::string& name, const std::string& where,
                           const std::string& more) {
        return "[[listen]]\nname = \"" + name + "\"\nmode = \"transparent\"\naddress = \"" + where +
               "\"\n" + more;
    };
    const auto first = listener("transparent", intercept);
    const std::string other = "intercept = { interfaces = \"lan0\", ports = \"101\" }\n";
    check_each({
        {first + second("a", "0.0.0.0:81", other),
         "f:7: listen.name: \"a\" belongs to listener \"a\" already; allowed: a name of its own"},
        {first + second("b", "0.0.0.0:80", other),
         "f:9: listen.address: \"0.0.0.0:80\" belongs to listener \"a\" already; allowed: each"},
        {first + second("b", "0.0.0.0:81", intercept),
         "f:10: listen.intercept: catches traffic that goes to listener \"a\" already; allowed: "},
        {"[[listen]]\nname = \"a\"\nmode = \"socks5\"\naddress = [\n\"[::1]:1\",\n\"[0::1]:1\"]\n",
         "f:6: listen.address: \"[::1]:1\" belongs to listener \"a\" already"},
    });
    accepted(first + second("b", "[::]:80", intercept)); // another family
}

TEST_CASE("paths differ in name and address", "[config]")
{
    const auto path = [](const std::string& name, const std::string& interface,
                         const std::string& more) {
        return "[[path]]\nname = \"" + name + "\"\ninterface = \"" + interface + "\"\n" + more;
    };
    const std::string address = "address = \"198.18.1.1\"\n";
    check_each({
        {proxy + path("a", "wan0", "") + path("a", "wan1", ""),
         "f:10: path.name: \"a\" belongs to path \"a\" already; allowed: a name of its own"},
        {proxy + path("a", "wan0", address) + path("b", "wan1", address),
         "f:13: path.address: \"198.18.1.1\" belongs to path \"a\" already; allowed: each address"},
        {proxy + path("a", "wan0", "") + path("b", "wan0", address),
         "f:8: path.interface: \"wan0\" belongs to several paths, and this one names no address; "},
    });
    accepted(proxy + path("a", "wan0", address) + path("b", "wan0", "address = \"198.18.1.2\"\n"));
}

TEST_CASE("the flags of a path are those that the kernel takes together", "[config]")
{
    check_each({
        {path_with("flags = [\"signal\", \"fullmesh\"]\n"),
         "f:9: path.flags: \"signal\" and \"fullmesh\" exclude each other, the kernel refuses"},
        {path_with("flags = [\"fullmesh\"]\n"),
         "f:9: path.flags: \"fullmesh\" alone has no effect"},
        {path_with("flags = []\n"), "f:9: path.flags: is an empty list; allowed: a list of "},
        {path_with("flags = [\"subflow\", 3]\n"), "f:9: path.flags: is a whole number; "},
        {path_with("flags = [\n\"main\"]\n"), "f:10: path.flags: \"main\" is unknown; allowed: a "},
    });
    const auto c = accepted(path_with("flags = [\"signal\"]\n"));
    CHECK(c.paths[0].flags == path_flags{.signal = true});
}

TEST_CASE("a gateway fits the addresses of its path", "[config]")
{
    const std::string address = "address = [\"198.18.1.1\"]\n";
    check_each({
        {path_with(address + "gateway = \"2001:db8::1\"\n"),
         "f:10: path.gateway: is IPv6, and no address of the path is; "},
        {path_with(address + "gateway = [\"198.18.1.2\", \"198.18.1.3\"]\n"),
         "f:10: path.gateway: is a second IPv4 gateway; allowed: one of each family"},
        {path_with(address + "gateway = \"198.18.1.1\"\n"),
         "f:10: path.gateway: is the path's own address; "},
        {path_with("gateway = \"0.0.0.0\"\n"), "f:9: path.gateway: \"0.0.0.0\" is no router's "},
    });
    accepted(path_with("gateway = \"fe80::1\"\n"));
}

TEST_CASE("addresses, names and interfaces are well-formed", "[config]")
{
    check_each({
        {path_with("address = \"198.18.1\"\n"), "f:9: path.address: \"198.18.1\" is no IP address"},
        {path_with("address = \"127.0.0.1\"\n"), "f:9: path.address: \"127.0.0.1\" is no address"},
        {path_with("address = \"fe80::1\"\n"), "f:9: path.address: \"fe80::1\" is no address that"},
        {path_with("address = \"224.0.0.1\"\n"), "f:9: path.address: \"224.0.0.1\" is no address"},
        {path_with("address = \"fe80::1%wan0\"\n"), "f:9: path.address: \"fe80::1%wan0\" names an"},
        {path_with("address = \"::ffff:198.18.1.1\"\n"),
         "f:9: path.address: \"::ffff:198.18.1.1\" is an IPv4 address in IPv6 notation; "},
        {path_with("address = []\n"), "f:9: path.address: is an empty list; "},
        {proxy + "[[path]]\nname = \"a\"\ninterface = 'wan\"0'\n",
         "f:8: path.interface: \"wan\"0\" is no name that the kernel gives an interface; "},
        {proxy + "[[path]]\nname = \"a b\"\ninterface = \"x\"\n",
         "f:7: path.name: \"a b\" has other"},
        {proxy + "[[path]]\nname = \"\"\ninterface = \"x\"\n", "f:7: path.name: is empty; "},
        {proxy + "[[path]]\nname = \"" + std::string(33, 'n') + "\"\ninterface = \"x\"\n",
         "f:7: path.name: \"nnnnnn"},
        {proxy + "[[path]]\nname = \"a\"\ninterface = \"interface-name16\"\n",
         "f:8: path.interface: \"interface-name16\" is too long; "},
        {proxy + "[[path]]\nname = \"a\"\ninterface = \"a/b\"\n",
         "f:8: path.interface: \"a/b\" is no"},
        {proxy + "[[path]]\nname = \"a\"\n", "f:6: path.interface: is missing; "},
        {proxy + "[control]\nsocket = \"/" + std::string(107, 's') + "\"\n",
         "f:7: control.socket: \"/sss"},
        {proxy + "[control]\nsocket = \"/run/\"\n", "f:7: control.socket: \"/run/\" names no file"},
    });
}

TEST_CASE("addresses with ports are well-formed", "[config]")
{
    const auto at = [](const std::string& text) {
        return "[[listen]]\nname = \"a\"\nmode = \"socks5\"\naddress = \"" + text + "\"\n";
    };
    check_each({
        {at("0.0.0.0"), "f:4: listen.address: \"0.0.0.0\" has no port; "},
        {at(":80"), "f:4: listen.address: \":80\" has no address; "},
        {at("0.0.0.0:0"), "f:4: listen.address: \"0.0.0.0:0\" has a port that is no number from 1"},
        {at("0.0.0.0:65536"),
         "f:4: listen.address: \"0.0.0.0:65536\" has a port that is no number"},
        {at("0.0.0.0:+1"), "f:4: listen.address: \"0.0.0.0:+1\" has a port that is no number "},
        {at("::1:80"), "f:4: listen.address: \"::1:80\" is IPv6 without brackets or has no port"},
        {at("[::1]"), "f:4: listen.address: \"[::1]\" is IPv6 without brackets or has no port"},
        {at("[127.0.0.1]:1"), "f:4: listen.address: \"[127.0.0.1]:1\" has brackets, which are for"},
        {at("localhost:80"), "f:4: listen.address: \"localhost\" is no IP address"},
        {at("[fe80::1]:80"), "f:4: listen.address: \"[fe80::1]:80\" is multicast, broadcast or"},
        {at("224.0.0.1:80"), "f:4: listen.address: \"224.0.0.1:80\" is multicast, broadcast or"},
    });
}

TEST_CASE("a destination is an address or a name that can be looked up", "[config]")
{
    const auto to = [](const std::string& text) {
        return listener("forward", "to = \"" + text + "\"\n");
    };
    check_each({
        {to("198.18.2.300:80"), "f:5: listen.to: \"198.18.2.300\" is no IP address; "},
        {to("0.0.0.0:80"), "f:5: listen.to: \"0.0.0.0:80\" is the wildcard address; "},
        {to("-a.example:80"), "f:5: listen.to: \"-a.example\" is no IP address; "},
        {to("a..example:80"), "f:5: listen.to: \"a..example\" is no IP address; "},
        {to(std::string(64, 'a') + ":80"), "f:5: listen.to: \"aaaa"},
        {to("a b:80"), "f:5: listen.to: \"a b\" is no IP address; "},
        {to("name"), "f:5: listen.to: \"name\" has no port; "},
    });
    CHECK(accepted(to("localhost:80")).listeners[0].to == destination{host_port{"localhost", 80}});
    CHECK(accepted(to("[2001:db8::2]:80")).listeners[0].to ==
          destination{endpoint{address("2001:db8::2"), 80}});
}

TEST_CASE("prefixes and port ranges are well-formed and disjoint", "[config]")
{
    const auto allow = [](const std::string& text) {
        return listener("socks5", "allow = [\"" + text + "\"]\n");
    };
    const auto intercept = [](const std::string& ports, const std::string& except) {
        return listener("transparent", "[listen.intercept]\ninterfaces = \"lan0\"\nports = [" +
                                           ports + "]\nexcept = [" + except + "]\n");
    };
    const std::string any = "\"192.0.2.0/24\"";
    check_each({
        {allow("198.18.0.1/15"), "f:5: listen.allow: \"198.18.0.1/15\" has bits set behind its"},
        {allow("2001:db8::/16"), "f:5: listen.allow: \"2001:db8::/16\" has bits set behind its "},
        {allow("198.18.0.0/33"), "f:5: listen.allow: \"198.18.0.0/33\" has a length that is no "},
        {allow("2001:db8::/129"), "f:5: listen.allow: \"2001:db8::/129\" has a length that is no"},
        {allow("198.18.0.0/"), "f:5: listen.allow: \"198.18.0.0/\" has a length that is no number"},
        {allow("lan"),
         "f:5: listen.allow: \"lan\" is no IP address; allowed: one prefix or a list"},
        {listener("socks5", "allow = []\n"), "f:5: listen.allow: is an empty list; "},
        {intercept("\"0\"", any),
         "f:7: listen.intercept.ports: \"0\" is neither a port nor a range"},
        {intercept("\"1-65536\"", any),
         "f:7: listen.intercept.ports: \"1-65536\" is neither a port"},
        {intercept("\"9-8\"", any), "f:7: listen.intercept.ports: \"9-8\" ends before it begins; "},
        {intercept("\"1-10\", \"5\"", any),
         "f:7: listen.intercept.ports: overlaps an element before"},
        {intercept("\"1\"", "\"192.0.2.0/24\", \"192.0.2.7\""),
         "f:8: listen.intercept.except: overlaps an element before it; allowed: disjoint elements"},
        {intercept("\"1\"", "\"192.0.2.0/24\", \"192.0.2.0/23\", \"2001:db8::/32\""),
         "f:8: listen.intercept.except: overlaps an element before it; allowed: disjoint elements"},
    });
}

TEST_CASE("times have a lower and an upper bound", "[config]")
{
    for (const std::string key : {"connect", "idle", "half_close", "drain"})
        for (const std::string value : {"0", "-1", "604801", "9223372036854775807"}) {
            std::string text = proxy;
            text.append("[timeouts]\n").append(key).append(" = ").append(value).append("\n");
            std::string begins = "f:7: timeouts.";
            begins.append(key).append(": is ").append(value).append("; allowed: a whole number of");
            check_each({{text, begins}});
        }
}

TEST_CASE("a configuration without a listener is an error", "[config]")
{
    const lines none = {"f:1: listen: there is none; allowed: at least one table under [[listen]]"};
    CHECK(complaints("") == none);
    CHECK(complaints("# only a comment\n") == none);
    CHECK(complaints("listen = []\n") == none);
}

TEST_CASE("one mistake gives one message", "[config]")
{
    // Each of these would break a rule between keys as well, if the wrong key counted.
    check_each({
        {listener("forwrad", "to = \"198.18.2.2:80\"\n"),
         "f:3: listen.mode: \"forwrad\" is unknown"},
        {listener("forward", "to = 5\n"), "f:5: listen.to: is a whole number; "},
        {listener("transparent", "intercept = { interfaces = \"lan0\", ports = \"x\" }\n"
                                 "accept = \"mptcp\"\n"),
         "f:5: listen.intercept.ports: \"x\" is neither a port nor a range of ports; "},
        {path_with("address = \"x\"\ngateway = \"198.18.1.2\"\n"),
         "f:9: path.address: \"x\" is no"},
    });
}

TEST_CASE("broken TOML is reported with its line", "[config]")
{
    check_each({
        {"backend = \n", "f:1: syntax: "},
        {proxy + "[timeouts\n", "f:6: syntax: "},
        {"backend = \"auto\nlisten = 1\n", "f:1: syntax: "},
        {proxy + "[timeouts]\nidle = 1\nidle = 2\n", "f:8: syntax: "},
        {std::string{"\x00\x01\x02\xff\xfe", 5}, "f:1: syntax: "},
        {"name = \"\xff\xfe\"\n", "f:1: syntax: "},
    });
}

TEST_CASE("a message is one printable line whatever the file holds", "[config]")
{
    const auto found =
        complaints(proxy + "\"evil\\n\\u001b[2Jkey\" = 1\nbackend = \"a\\u0007b\"\n");
    for (const auto& message : found)
        for (const char c : message)
            CHECK((c >= ' ' || c < 0));
    CHECK(found.size() == 2);
}

TEST_CASE("files of absurd size or depth are refused without harm", "[config]")
{
    constexpr int many = 200000;
    std::string dotted = "x = 1\n";
    std::string brackets = "x = ";
    std::string inline_tables = "x = ";
    for (int i = 0; i < many; ++i) {
        dotted += "a.";
        brackets += '[';
        inline_tables += "{a=";
    }
    check_each({
        {dotted + "a = 1\n", "f:2: syntax: a key has too many parts; "},
        {"[" + dotted.substr(6) + "a]\n", "f:1: syntax: a key has too many parts; "},
        {brackets, "f:1: syntax: "},
        {inline_tables, "f:1: syntax: "},
        {std::string(2U << 20U, '#'), "f:1: file: is too large; allowed: 1 MiB"},
    });
    const auto found = complaints(proxy + "[control]\n" + std::string(100000, 'k') + " = 1\n");
    REQUIRE(found.size() == 1);
    CHECK(found.front().size() < 200);
}

// Goal: no text breaks the parser. Method: damage a good file in many ways; the seed is printed.
TEST_CASE("a damaged file gives values or messages, never a crash", "[config]")
{
    const std::uint32_t seed = std::random_device{}();
    CAPTURE(seed);
    std::mt19937 random{seed};
    const auto below = [&](std::size_t n) { return random() % n; };
    const std::string good =
        listener("transparent", "accept = \"mptcp\"\n[listen.intercept]\n"
                                "interfaces = [\"lan0\"]\nports = [\"80\"]\n") +
        path_with("address = [\"198.18.1.1\"]\nflags = [\"signal\"]\n");
    for (int run = 0; run < 3000; ++run) {
        std::string text = good;
        for (std::size_t edits = 1 + below(4); edits > 0; --edits) {
            const auto at = below(text.size());
            if (below(2) == 0)
                text[at] = static_cast<char>(below(256));
            else
                text.erase(at, 1 + below(12));
        }
        const auto result = parse(text, "f");
        CHECK((result.has_value() || !result.error().empty()));
    }
}

TEST_CASE("a prefix holds the addresses of its block and no others", "[config]")
{
    const prefix block{address("198.18.0.0"), 15};
    CHECK(block.contains(address("198.19.255.255")));
    CHECK(block.contains(address("::ffff:198.18.0.1")));
    CHECK_FALSE(block.contains(address("198.20.0.0")));
    CHECK_FALSE(block.contains(address("2001:db8::1")));
    const prefix host{address("2001:db8::1"), 128};
    CHECK(host.contains(address("2001:db8::1")));
    CHECK_FALSE(host.contains(address("2001:db8::2")));
    CHECK(prefix{address("0.0.0.0"), 0}.contains(address("203.0.113.9")));
    CHECK_FALSE(prefix{address("::"), 0}.contains(address("203.0.113.9")));
}

TEST_CASE("a reload may change everything but what the start has fixed", "[config]")
{
    const auto started = accepted(proxy);
    auto wanted = accepted(path_with("") + "[timeouts]\nidle = 1\n");
    CHECK(fixed_at_start(started, wanted).empty());
    wanted.backend = backend_choice::kernel;
    wanted.engine.attach = attachment::tap_bpf;
    wanted.control.socket = "/elsewhere";
    wanted.listeners[0].preserve_source = true;
    CHECK(fixed_at_start(started, wanted) ==
          lines{"backend", "listen.preserve_source", "engine.attach", "control.socket"});
    auto preserving = started;
    preserving.listeners[0].preserve_source = true;
    CHECK(fixed_at_start(preserving, started).empty());
    CHECK(fixed_at_start(preserving, preserving).empty());
}
