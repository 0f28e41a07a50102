// SPDX-License-Identifier: Apache-2.0
#include "proxy/keeper/keeper.hpp"
#include "proxy/config/parse.hpp"
#include "proxy/keeper/changes.hpp"
#include "proxy/keeper/channel.hpp"
#include "proxy/keeper/janitor.hpp"
#include "proxy/keeper/journal.hpp"
#include "proxy/keeper/notify.hpp"
#include "proxy/keeper/numbers.hpp"
#include "proxy/keeper/plan.hpp"
#include "proxy/keeper/ruleset.hpp"

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <netinet/in.h>
#include <new>
#include <optional>
#include <poll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <thread>

using namespace manypath;
using namespace manypath::keeper;

namespace {

/// A descriptor that can be told from every other one by its inode.
unique_fd distinct_file()
{
    return unique_fd{::open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)};
}

ino_t inode(const unique_fd& fd)
{
    struct stat s{};
    REQUIRE(::fstat(fd.get(), &s) == 0);
    return s.st_ino;
}

} // namespace

// Goal: a gateway with any number of addresses and threads gets all of its sockets.
// Method: more descriptors and more text than any single datagram can carry; compare inodes.
TEST_CASE("a configuration with hundreds of listeners arrives whole", "[keeper]")
{
    auto pair = channel::make_pair();
    REQUIRE(pair);
    configure sent{.file = "/etc/manypath/manypathd.toml",
                   .text = std::string(700'000, 'x') + "end",
                   .threads = 4,
                   .listeners = {},
                   .control = distinct_file()};
    std::vector<ino_t> inodes;
    for (std::uint32_t i = 0; i < 400; ++i) {
        sent.listeners.push_back({i / 4, i % 4, distinct_file()});
        inodes.push_back(inode(sent.listeners.back().socket));
    }
    const ino_t control = inode(sent.control);
    const order o{std::move(sent)};
    std::thread sender{[&] { CHECK_FALSE(pair->first.send(o)); }};
    auto received = pair->second.receive_order();
    sender.join();

    REQUIRE(received);
    const auto& original = std::get<configure>(o);
    const auto& copy = std::get<configure>(*received);
    CHECK(copy.file == original.file);
    CHECK((copy.text == original.text));
    CHECK(copy.threads == 4);
    CHECK(inode(copy.control) == control);
    REQUIRE(copy.listeners.size() == inodes.size());
    for (std::size_t i = 0; i < inodes.size(); ++i) {
        CHECK(copy.listeners[i].listener == i / 4);
        CHECK(copy.listeners[i].thread == i % 4);
        CHECK(inode(copy.listeners[i].socket) == inodes[i]);
    }
    CHECK((::fcntl(copy.listeners[0].socket.get(), F_GETFD) & FD_CLOEXEC) != 0);
}

// Goal: a process without free descriptors loses one configuration and not its keeper.
// Method: room for a part of the descriptors only, then another message.
TEST_CASE("a configuration that finds too few descriptors is dropped whole", "[keeper]")
{
    auto pair = channel::make_pair();
    REQUIRE(pair);
    configure sent{.file = "f", .text = "t", .threads = 1, .listeners = {}, .control = {}};
    for (std::uint32_t i = 0; i < 300; ++i)
        sent.listeners.push_back({i, 0, distinct_file()});
    const auto highest = static_cast<rlim_t>(sent.listeners.back().socket.get());
    {
        const order whole{std::move(sent)}; // its descriptors are closed here once they are sent
        CHECK_FALSE(pair->first.send(whole));
    }
    CHECK_FALSE(pair->first.send(order{drain{}}));
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    const rlimit scarce{highest - 100, before.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &scarce) == 0);
    const auto refused = pair->second.receive_order();
    const auto next = pair->second.receive_order();
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
    REQUIRE_FALSE(refused);
    CHECK(refused.error() == std::errc::too_many_files_open);
    REQUIRE(next);
    CHECK(std::holds_alternative<drain>(*next));
}

TEST_CASE("every report arrives as it was sent", "[keeper]")
{
    auto pair = channel::make_pair();
    REQUIRE(pair);
    CHECK_FALSE(pair->second.send(report{serving{}}));
    CHECK_FALSE(pair->second.send(report{refused{"no such listener"}}));
    CHECK_FALSE(pair->second.send(report{reload_wish{}}));
    CHECK(std::holds_alternative<serving>(pair->first.receive_report().value()));
    CHECK(std::get<refused>(pair->first.receive_report().value()).reason == "no such listener");
    CHECK(std::holds_alternative<reload_wish>(pair->first.receive_report().value()));
}

TEST_CASE("orders without descriptors arrive as they were sent", "[keeper]")
{
    auto pair = channel::make_pair();
    REQUIRE(pair);
    CHECK_FALSE(pair->first.send(order{drain{}}));
    CHECK_FALSE(pair->first.send(order{reloaded{}}));
    CHECK_FALSE(pair->first.send(order{reloaded{"manypathd.toml:3: listen.mode: unknown"}}));
    const auto first = pair->second.receive_order();
    REQUIRE(first);
    CHECK(std::holds_alternative<drain>(*first));
    const auto second = pair->second.receive_order();
    REQUIRE(second);
    CHECK(std::get<reloaded>(*second).failure.empty());
    const auto third = pair->second.receive_order();
    REQUIRE(third);
    CHECK(std::get<reloaded>(*third).failure == "manypathd.toml:3: listen.mode: unknown");
}

TEST_CASE("the end of the other side is told as not connected", "[keeper]")
{
    auto pair = channel::make_pair();
    REQUIRE(pair);
    {
        const channel gone = std::move(pair->second);
    }
    CHECK(pair->first.receive_report().error() == std::errc::not_connected);
    CHECK(pair->first.send(order{drain{}}) == std::errc::not_connected);
}

// Goal: a worker that was taken over cannot speak to systemd or the log in the keeper's name.
TEST_CASE("a reason arrives as one line of bounded length", "[keeper]")
{
    auto pair = channel::make_pair();
    REQUIRE(pair);
    CHECK_FALSE(pair->second.send(report{refused{"bad\nMAINPID=1\r\x1b[2J"}}));
    CHECK(std::get<refused>(pair->first.receive_report().value()).reason == "bad?MAINPID=1??[2J");
    std::string overlong(20'000, 'x');
    overlong.front() = '\6'; // the tag of a refusal
    REQUIRE(::send(pair->second.native_handle(), overlong.data(), overlong.size(), 0) > 0);
    CHECK(std::get<refused>(pair->first.receive_report().value()).reason == std::string(4096, 'x'));
}

// Goal: a report can never be taken for an order, whatever a broken worker sends.
TEST_CASE("a message of the wrong direction is refused", "[keeper]")
{
    auto pair = channel::make_pair();
    REQUIRE(pair);
    CHECK_FALSE(pair->second.send(report{serving{}}));
    CHECK_FALSE(pair->first.send(order{drain{}}));
    CHECK(pair->first.receive_order().error() == std::errc::bad_message);
    CHECK(pair->second.receive_report().error() == std::errc::bad_message);
}

namespace {

/// A directory that goes with the test.
class scratch {
public:
    scratch() { REQUIRE(::mkdtemp(name_.data()) != nullptr); }
    scratch(const scratch&) = delete;
    scratch& operator=(const scratch&) = delete;
    ~scratch() { std::filesystem::remove_all(name_); }
    [[nodiscard]] std::string file(const char* name) const { return name_ + "/" + name; }

private:
    std::string name_ = "/tmp/manypath-unit-XXXXXX";
};

ip_address address(const char* text)
{
    return asio::ip::make_address(text);
}

std::vector<step> one_of_each()
{
    return {
        policy_rule{.v6 = false, .from = address("198.18.1.1"), .table = 1000, .priority = 17001},
        policy_rule{.v6 = true, .from = std::nullopt, .table = 999, .priority = 17000},
        route{.kind = route_kind::unicast,
              .table = 1000,
              .to = {address("198.18.1.0"), 24},
              .gateway = std::nullopt,
              .interface = 7,
              .metric = 3},
        route{.kind = route_kind::unreachable,
              .table = 1001,
              .to = {address("::"), 0},
              .gateway = address("2001:db8::1")},
        path_endpoint{
            .address = address("2001:db8::9"),
            .interface = 3,
            .flags = {.subflow = true, .signal = false, .backup = true, .fullmesh = false},
            .id = 255},
        raised_limits{.before = {2, 0}, .after = {8, 3}},
        sysctl_setting{"net/ipv4/conf/lan.5/src_valid_mark", "1", "0"},
        nft_table{"manypath"},
        socket_file{"/run/many path/control.sock"},
        directory{"/run/many path"},
    };
}

config::configuration two_paths()
{
    config::configuration c;
    for (const char* name : {"wan0", "wan1"}) {
        config::path p;
        p.name = name;
        p.interface = name;
        c.paths.push_back(p);
    }
    return c;
}

/// wan0 (2) and wan1 (3) with a default route each, lan0 (4) with a network behind a router.
network_state network_of_three()
{
    const auto to_main = [](const char* to, unsigned length, std::uint32_t interface,
                            std::optional<ip_address> gateway) {
        return route{.kind = route_kind::unicast,
                     .table = 254,
                     .to = {address(to), length},
                     .gateway = gateway,
                     .interface = interface};
    };
    network_state n;
    n.links = {{1, "lo", true}, {2, "wan0", true}, {3, "wan1", true}, {4, "lan0", true}};
    n.addresses = {{2, address("198.18.0.1"), true},
                   {3, address("198.18.1.1"), true},
                   {3, address("fe80::1"), false},
                   {4, address("198.18.4.1"), true}};
    n.main_routes = {to_main("0.0.0.0", 0, 2, address("198.18.0.254")),
                     to_main("0.0.0.0", 0, 3, address("198.18.1.254")),
                     to_main("198.18.0.0", 24, 2, std::nullopt),
                     to_main("198.18.1.0", 24, 3, std::nullopt),
                     to_main("198.18.4.0", 24, 4, std::nullopt),
                     to_main("198.19.0.0", 16, 4, address("198.18.4.9"))};
    return n;
}

/// "DESTINATION/LENGTH via INTERFACE" of all routes of a table.
std::vector<std::string> routes_in(const plan& p, std::uint32_t table)
{
    std::vector<std::string> found;
    for (const auto& s : p.steps)
        if (const auto* r = std::get_if<route>(&s.what); r != nullptr && r->table == table)
            found.push_back(r->to.address.to_string() + "/" + std::to_string(r->to.length) +
                            " via " + std::to_string(r->interface));
    std::ranges::sort(found);
    return found;
}

} // namespace

TEST_CASE("every kind of step survives the journal's text", "[keeper]")
{
    for (const step& s : one_of_each()) {
        CAPTURE(to_line(s));
        const auto parsed = parse_line(to_line(s));
        REQUIRE(parsed);
        CHECK(*parsed == s);
    }
    CHECK_FALSE(parse_line(""));
    CHECK_FALSE(parse_line("rule 4 17000"));
    CHECK_FALSE(parse_line("route 0 1000 nonsense 24 0 0 -"));
    CHECK_FALSE(parse_line("unknown 1 2 3"));
}

// Goal: what was undone at run time is not undone a second time at the end.
TEST_CASE("the journal remembers steps until they are forgotten", "[keeper]")
{
    const scratch place;
    auto book = journal::open(place.file("j"));
    REQUIRE(book);
    const auto steps = one_of_each();
    std::vector<std::uint64_t> numbers;
    for (const step& s : steps)
        numbers.push_back(book->record(s).value());
    book->forget(numbers[1]);
    book->forget(numbers[4]);
    const auto pending = book->pending();
    REQUIRE(pending.size() == steps.size() - 2);
    CHECK(pending[0].what == steps[0]);
    CHECK(pending[1].what == steps[2]);
    CHECK(book->is_of_this_network());
}

// Goal: a full disk costs one step, not the memory of the next one. Method: a limit on the size of
// files stands for the disk.
TEST_CASE("a line that could not be written whole leaves no trace in the journal", "[keeper]")
{
    const scratch place;
    auto book = journal::open(place.file("j"));
    REQUIRE(book);
    REQUIRE(book->record(directory{"/first"}));
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
    const rlimit full{std::filesystem::file_size(place.file("j")) + 5, before.rlim_max};
    const auto handler = std::signal(SIGXFSZ, SIG_IGN);
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &full) == 0);
    const auto refused = book->record(directory{"/second"});
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
    (void)std::signal(SIGXFSZ, handler);
    CHECK_FALSE(refused);
    REQUIRE(book->record(directory{"/third"}));
    const auto pending = book->pending();
    REQUIRE(pending.size() == 2);
    CHECK(pending[0].what == step{directory{"/first"}});
    CHECK(pending[1].what == step{directory{"/third"}});
}

// Goal: who can write beside the control socket cannot have files and sysctls changed by root.
TEST_CASE("a journal that somebody else could have written is refused", "[keeper]")
{
    const scratch place;
    const std::string name = place.file("j");
    std::ofstream{name} << "precious\n";
    REQUIRE(::chmod(name.c_str(), 0666) == 0);
    CHECK_FALSE(journal::open(name));
    REQUIRE(::chmod(name.c_str(), 0600) == 0);
    std::filesystem::create_hard_link(name, place.file("k"));
    CHECK_FALSE(journal::open(name));
    std::filesystem::remove(place.file("k"));
    if (::geteuid() == 0) {
        REQUIRE(::chown(name.c_str(), 65534, 65534) == 0);
        CHECK_FALSE(journal::open(name));
        REQUIRE(::chown(name.c_str(), 0, 0) == 0);
    }
    CHECK(std::filesystem::file_size(name) == 9);
    CHECK(journal::open(name));
}

// Goal: nothing stays when the process that undoes was killed and no other could be started.
TEST_CASE("without a janitor the end undoes everything nevertheless", "[keeper]")
{
    const scratch place;
    const std::string made = place.file("run");
    REQUIRE(std::filesystem::create_directory(made));
    auto book = journal::open(made + "/control.sock.undo");
    REQUIRE(book);
    REQUIRE(book->record(directory{made}));
    auto watcher = janitor::start(*book, -1);
    REQUIRE(watcher);
    REQUIRE(::kill(watcher->pid(), SIGKILL) == 0);
    SECTION("whose end was noticed")
    {
        REQUIRE(::waitpid(watcher->pid(), nullptr, 0) == watcher->pid());
        watcher->has_ended();
    }
    SECTION("whose end was not noticed yet") {}
    watcher->finish();
    CHECK_FALSE(std::filesystem::exists(made));
}

// Goal: whoever takes the worker over cannot keep the gateway's changes in force.
// Method: a process that outlives the worker and holds the pipe which says that it lives.
TEST_CASE("a process that the worker left behind does not hold up the end", "[keeper]")
{
    const scratch place;
    const std::string made = place.file("run");
    REQUIRE(std::filesystem::create_directory(made));
    auto book = journal::open(made + "/control.sock.undo");
    REQUIRE(book);
    REQUIRE(book->record(directory{made}));
    auto watcher = janitor::start(*book, -1);
    REQUIRE(watcher);
    const pid_t orphan = ::fork();
    REQUIRE(orphan >= 0);
    if (orphan == 0) {
        ::alarm(30); // so that the test fails instead of waiting for ever
        for (;;)
            ::pause();
    }
    watcher->finish();
    const bool outlived = ::waitpid(orphan, nullptr, WNOHANG) == 0;
    ::kill(orphan, SIGKILL);
    if (outlived)
        ::waitpid(orphan, nullptr, 0);
    CHECK(outlived);
    CHECK_FALSE(std::filesystem::exists(made));
}

// Goal: the end leaves an empty place. Method: steps that need no privilege.
TEST_CASE("undoing everything removes files, directory and the journal itself", "[keeper]")
{
    const scratch place;
    const std::string made = place.file("run");
    REQUIRE(std::filesystem::create_directory(made));
    auto book = journal::open(made + "/control.sock.undo");
    REQUIRE(book);
    REQUIRE(book->record(directory{made}));
    REQUIRE(book->record(socket_file{made + "/control.sock"})); // never made
    book->undo_all();
    CHECK_FALSE(std::filesystem::exists(made));
}

TEST_CASE("the undo of a socket leaves a file of another kind alone", "[keeper]")
{
    const scratch place;
    std::ofstream{place.file("control.sock")} << "precious";
    CHECK(undo(socket_file{place.file("control.sock")}));
    CHECK(std::filesystem::exists(place.file("control.sock")));
}

// Goal: leftovers of another boot are not taken for changes of this one.
TEST_CASE("a journal of another network is thrown away, not undone", "[keeper]")
{
    const scratch place;
    const std::string innocent = place.file("innocent");
    REQUIRE(std::filesystem::create_directory(innocent));
    std::ofstream{place.file("j")} << "manypath-undo-1 another-boot:1\n1 directory " << innocent
                                   << "\n";
    auto book = journal::open(place.file("j"));
    REQUIRE(book);
    CHECK_FALSE(book->is_of_this_network());
    book->undo_leftovers();
    CHECK(std::filesystem::exists(innocent));
    CHECK(book->pending().empty());
}

// Goal: a path's traffic leaves by the path, and clients' networks stay reachable.
TEST_CASE("a path's table has its own network, the clients' and its own way out", "[keeper]")
{
    path_tables tables;
    const plan p = make_plan(two_paths(), network_of_three(), tables, {});
    CHECK(p.warnings.empty());
    CHECK(routes_in(p, 1000) ==
          std::vector<std::string>{"0.0.0.0/0 via 0", "0.0.0.0/0 via 2", "198.18.0.0/24 via 2",
                                   "198.18.4.0/24 via 4", "198.19.0.0/16 via 4"});
    CHECK(routes_in(p, 1001) ==
          std::vector<std::string>{"0.0.0.0/0 via 0", "0.0.0.0/0 via 3", "198.18.1.0/24 via 3",
                                   "198.18.4.0/24 via 4", "198.19.0.0/16 via 4"});
}

TEST_CASE("a path without interface or address is a warning and no step", "[keeper]")
{
    path_tables tables;
    auto network = network_of_three();
    network.links.erase(network.links.begin() + 1);
    auto c = two_paths();
    c.paths[1].addresses = {address("203.0.113.1")};
    const plan p = make_plan(c, network, tables, {});
    CHECK(p.steps.empty());
    CHECK(p.warnings.size() == 3);
    CHECK(p.warnings[0].find("path \"wan0\": there is no interface wan0") == 0);
    CHECK(p.warnings[0].find("unused until it appears") != std::string::npos);
    CHECK(p.warnings[1].find("203.0.113.1 is no address of wan1") != std::string::npos);
}

TEST_CASE("a path keeps its table when another one goes", "[keeper]")
{
    path_tables tables;
    auto c = two_paths();
    (void)make_plan(c, network_of_three(), tables, {});
    c.paths.erase(c.paths.begin());
    tables.keep_only(c.paths);
    const plan p = make_plan(c, network_of_three(), tables, {});
    CHECK(routes_in(p, 1000).empty());
    CHECK(std::ranges::count(routes_in(p, 1001), "0.0.0.0/0 via 3") == 1);
}

// Goal: MP_JOINs reach a listener of their own port; the kernel refuses them elsewhere.
TEST_CASE("intercepted MPTCP keeps its port, intercepted TCP goes to one", "[keeper]")
{
    config::configuration c;
    config::listen l;
    l.mode = config::listen_mode::transparent;
    l.intercept = config::intercept{.interfaces = {"lan0"}, .ports = {{80, 81}}, .except = {}};
    const asio::ip::address any = asio::ip::address_v4{};
    l.addresses = {{any, 80}, {any, 81}};
    l.accept = protocol::mptcp;
    c.listeners = {l};
    const std::string mptcp = intercept_chains(c);
    CHECK(mptcp.find("tcp dport 80 tproxy ip to :80 ") != std::string::npos);
    CHECK(mptcp.find("tcp dport 81 tproxy ip to :81 ") != std::string::npos);
    c.listeners[0].accept = protocol::tcp;
    const std::string tcp = intercept_chains(c);
    CHECK(tcp.find("tcp dport { 80-81 } tproxy ip to :80 ") != std::string::npos);
    CHECK(tcp.find("to :81") == std::string::npos);
    c.listeners[0].rules = false;
    CHECK(intercept_chains(c).empty());
    c.listeners[0].rules = true;
    c.listeners[0].mode = config::listen_mode::forward;
    CHECK(intercept_chains(c).empty());
}

namespace {

/// A keeper in a process of its own, with a worker that the test makes up.
class keeper_with {
public:
    /// @param body  runs in the worker; counts the configurations that it has got in the second
    ///              parameter, which the test sees as well
    using body = int (*)(channel orders, std::atomic<int>& configured);

    explicit keeper_with(body b)
    {
        void* shared = ::mmap(nullptr, sizeof(std::atomic<int>), PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        REQUIRE(shared != MAP_FAILED);
        configured_ = new (shared) std::atomic<int>{0};
        std::ofstream{place_.file("toml")} << text();
        pid_ = ::fork();
        REQUIRE(pid_ >= 0);
        if (pid_ == 0)
            ::_exit(serve(b));
    }
    keeper_with(const keeper_with&) = delete;
    keeper_with& operator=(const keeper_with&) = delete;
    ~keeper_with()
    {
        if (!status_) {
            ::kill(pid_, SIGKILL);
            ::waitpid(pid_, nullptr, 0);
        }
        ::munmap(configured_, sizeof *configured_);
    }

    bool wait_for_configurations(int count)
    {
        return until([&] { return *configured_ >= count; });
    }
    void send(int signal) const { REQUIRE(::kill(pid_, signal) == 0); }

    /// @return the exit status; nothing where it goes on
    std::optional<int> wait_for_end()
    {
        until([&] {
            int how = 0;
            if (!status_ && ::waitpid(pid_, &how, WNOHANG) == pid_)
                status_ = WIFEXITED(how) ? WEXITSTATUS(how) : -1;
            return status_.has_value();
        });
        return status_;
    }

private:
    template <typename Condition>
    static bool until(Condition holds)
    {
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{30};
        while (!holds()) {
            if (std::chrono::steady_clock::now() > deadline)
                return false;
            ::poll(nullptr, 0, 10);
        }
        return true;
    }

    /// Asks for nothing that needs a privilege or that the host would notice.
    std::string text() const
    {
        const unique_fd probe{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
        sockaddr_in at{};
        socklen_t size = sizeof at;
        at.sin_family = AF_INET;
        REQUIRE(::bind(probe.get(), reinterpret_cast<const sockaddr*>(&at), size) == 0);
        REQUIRE(::getsockname(probe.get(), reinterpret_cast<sockaddr*>(&at), &size) == 0);
        return "[[listen]]\nname = \"a\"\nmode = \"forward\"\naddress = \"127.0.0.1:" +
               std::to_string(ntohs(at.sin_port)) +
               "\"\ndial = \"tcp\"\nto = \"127.0.0.1:9\"\n[timeouts]\ndrain = 1\n" +
               "[control]\nsocket = \"" + place_.file("control.sock") + "\"\n";
    }

    int serve(body b) const
    {
        const std::string file = place_.file("toml");
        const auto first = config::parse(text(), file);
        if (!first)
            return 2;
        return keeper::run(
            {.file = file, .worker_user = {}, .threads = 1}, *first, text(),
            [this, b](channel orders) { return b(std::move(orders), *configured_); });
    }

    scratch place_;
    std::atomic<int>* configured_ = nullptr;
    pid_t pid_ = -1;
    std::optional<int> status_;
};

} // namespace

// Goal: whoever takes the worker over cannot keep the daemon from being stopped.
// Method: a worker that wishes another reload in the middle of each.
TEST_CASE("a worker that never stops wishing reloads does not hold up a signal", "[keeper]")
{
    keeper_with daemon{[](channel orders, std::atomic<int>& configured) {
        for (;;) {
            const auto o = orders.receive_order();
            if (!o || std::holds_alternative<drain>(*o))
                return EXIT_SUCCESS;
            (void)orders.send(report{reload_wish{}});
            if (!std::holds_alternative<configure>(*o))
                continue;
            ++configured;
            (void)orders.send(report{serving{}});
            (void)orders.send(report{reload_wish{}});
        }
    }};
    REQUIRE(daemon.wait_for_configurations(5));
    daemon.send(SIGTERM);
    CHECK(daemon.wait_for_end() == EXIT_SUCCESS);
}

// Goal: keeper and worker never serve different configurations.
TEST_CASE("a worker that gives no verdict on a configuration ends the daemon", "[keeper]")
{
    keeper_with daemon{[](channel orders, std::atomic<int>& configured) {
        if (!orders.receive_order() || orders.send(report{serving{}}))
            return EXIT_FAILURE;
        ++configured;
        for (;;)
            ::pause();
    }};
    REQUIRE(daemon.wait_for_configurations(1));
    daemon.send(SIGHUP);
    CHECK(daemon.wait_for_end() == EXIT_FAILURE);
}

// Goal: systemd hears of start, reload and end. Method: a socket of our own in its place.
TEST_CASE("systemd is told over the socket that it names", "[keeper]")
{
    const scratch place;
    const std::string path = place.file("notify");
    const unique_fd systemd{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    sockaddr_un at{};
    at.sun_family = AF_UNIX;
    std::ranges::copy(path, std::begin(at.sun_path));
    REQUIRE(::bind(systemd.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0);
    const auto heard = [&] {
        std::string text(256, '\0');
        const ssize_t size = ::recv(systemd.get(), text.data(), text.size(), 0);
        text.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
        return text;
    };
    notify("READY=1"); // nobody has asked
    CHECK(heard().empty());
    ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
    notify("READY=1\nSTATUS=serving");
    CHECK(heard() == "READY=1\nSTATUS=serving");
    notify_reloading();
    CHECK(heard().find("RELOADING=1\nMONOTONIC_USEC=") == 0);
    ::unsetenv("NOTIFY_SOCKET");
}
