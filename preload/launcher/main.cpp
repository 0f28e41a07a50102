// main.cpp: the command `manypath`: options, and which part serves them.
//
// `run` splits its own arguments before CLI11 sees them, so that no option of the wrapped program
// is ever taken for one of ours. SPDX-License-Identifier: Apache-2.0
#include "preload/launcher/check/check.hpp"
#include "preload/launcher/connect.hpp"
#include "preload/launcher/run.hpp"
#include "preload/launcher/say.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <exception>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace manypath::launcher;

constexpr int status_usage = 2;
constexpr double longest_timeout_seconds = 86'400;

struct options {
    run_options run;
    check_options check;
    connect_options connect;
    dial_target target;
    double timeout_seconds = 10;
    bool ipv4 = false;
    bool ipv6 = false;
};

/// Moves the program and its arguments out of `arguments` of `manypath run`.
std::vector<std::string> split_command(std::vector<std::string>& arguments)
{
    if (arguments.empty() || arguments.front() != "run")
        return {};
    std::size_t at = 1;
    while (at < arguments.size() && arguments[at].starts_with('-') && arguments[at] != "--")
        ++at;
    const std::size_t begin = at < arguments.size() && arguments[at] == "--" ? at + 1 : at;
    std::vector<std::string> command(arguments.begin() + static_cast<std::ptrdiff_t>(begin),
                                     arguments.end());
    arguments.resize(at);
    return command;
}

void add_target(CLI::App& command, options& o, bool required)
{
    auto* host = command.add_option("HOST", o.target.host, "name or address of the server");
    auto* port = command.add_option("PORT", o.target.port, "port number or name of the service");
    host->required(required)->needs(port);
    port->required(required);
    command.add_option("--timeout", o.timeout_seconds, "seconds for name and connection")
        ->check(CLI::Range(0.001, longest_timeout_seconds))
        ->type_name("SECONDS")
        ->capture_default_str();
    auto* v4 = command.add_flag("-4,--ipv4", o.ipv4, "use IPv4 only");
    command.add_flag("-6,--ipv6", o.ipv6, "use IPv6 only")->excludes(v4);
}

CLI::App* add_run(CLI::App& app, options& o)
{
    auto* run = app.add_subcommand("run", "run a program whose TCP connections become MPTCP");
    run->add_flag("--report", o.run.report, "say at the end what became of its sockets");
    run->add_flag("--debug", o.run.debug, "let the library say on standard error what it does");
    // For the help text; split_command() has taken them already.
    run->add_option("PROGRAM", o.run.command, "the program, and then its arguments");
    return run;
}

CLI::App* add_check(CLI::App& app, options& o)
{
    auto* check = app.add_subcommand(
        "check", "say whether MPTCP works here, or towards a server, and how to mend it");
    add_target(*check, o, false);
    check->add_flag("--json", o.check.json, "print the findings as JSON");
    return check;
}

CLI::App* add_connect(CLI::App& app, options& o)
{
    auto* connect = app.add_subcommand(
        "connect", "pass standard input and output over MPTCP, for ssh's ProxyCommand");
    add_target(*connect, o, true);
    connect->add_flag("--fdpass", o.connect.pass_descriptor,
                      "hand over the connected socket, for ssh's ProxyUseFdpass");
    return connect;
}

dial_target finished_target(const options& o)
{
    dial_target target = o.target;
    target.timeout = std::chrono::milliseconds{static_cast<long>(o.timeout_seconds * 1000)};
    if (o.ipv4)
        target.family = AF_INET;
    if (o.ipv6)
        target.family = AF_INET6;
    return target;
}

int usage_error(std::string_view text)
{
    say(text);
    say("see manypath --help");
    return status_usage;
}

int dispatch(std::vector<std::string> arguments)
{
    options o;
    o.run.command = split_command(arguments);
    CLI::App app{"Multipath TCP for programs that only speak TCP", "manypath"};
    app.set_version_flag("--version", "manypath " MANYPATH_VERSION);
    app.require_subcommand(1);
    const CLI::App* run_command = add_run(app, o);
    const CLI::App* check_command = add_check(app, o);
    add_connect(app, o);
    try {
        std::ranges::reverse(arguments); // CLI11 takes them from the back
        app.parse(std::move(arguments));
    } catch (const CLI::ParseError& e) {
        return e.get_exit_code() == 0 ? app.exit(e) : usage_error(e.what());
    }
    if (run_command->parsed())
        return o.run.command.empty() ? usage_error("run: which program?") : run(o.run);
    if (check_command->parsed()) {
        if (!o.target.host.empty())
            o.check.target = finished_target(o);
        return check(o.check);
    }
    o.connect.target = finished_target(o);
    return connect(o.connect);
}

} // namespace

int main(int argc, char** argv)
{
    try {
        return dispatch({argv + 1, argv + argc});
    } catch (const std::exception& e) {
        say(e.what());
        return status_own_failure;
    }
}
