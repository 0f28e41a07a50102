// main.cpp: manypathctl, the command that shows what the daemon does.
//
// Everything it can do is one request on the control socket; see manypathctl(1).
// SPDX-License-Identifier: Apache-2.0
#include "proxy/control/json.hpp"
#include "proxy/ctl/client.hpp"
#include "proxy/ctl/views.hpp"

#include <CLI/CLI.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <iostream>

using namespace manypath;

namespace {

constexpr int status_failed = 1;
constexpr int status_usage = 2;
constexpr std::chrono::seconds patience{30}; // a reload waits for the keeper

template <typename State>
std::expected<std::string, std::string> show(const boost::json::value& v)
{
    const auto state = control::from_json<State>(v);
    if (!state)
        return std::unexpected{"the daemon's answer is of another version: " + state.error()};
    return ctl::view(*state);
}

std::expected<std::string, std::string> show(const std::string& command,
                                             const boost::json::value& v)
{
    if (command == "status")
        return show<control::daemon_state>(v);
    if (command == "connections")
        return show<std::vector<control::connection_state>>(v);
    if (command == "paths")
        return show<std::vector<control::path_state>>(v);
    return "The new configuration is in force.\n";
}

int run(const std::string& socket, const std::string& command, bool as_json)
{
    const auto result = ctl::ask(socket, command, patience);
    auto output = std::expected<std::string, std::string>{};
    if (!result)
        output = std::unexpected{result.error()};
    else if (as_json)
        output = boost::json::serialize(*result) + '\n';
    else
        output = show(command, *result);
    if (!output) {
        std::cerr << "manypathctl: " << output.error() << '\n';
        return status_failed;
    }
    std::cout << *output << std::flush;
    return std::cout ? 0 : status_failed;
}

} // namespace

int main(int argc, char** argv)
{
    CLI::App app{"Shows what manypathd does, and tells it to read its configuration again.",
                 "manypathctl"};
    std::string socket = config::control{}.socket;
    bool as_json = false;
    app.add_option("--socket", socket, "Control socket of the daemon")
        ->type_name("PATH")
        ->capture_default_str();
    app.add_flag("--json", as_json, "Print JSON instead of tables");
    app.set_version_flag("--version", "manypathctl " MANYPATH_VERSION);
    app.require_subcommand(0, 1); // so that a mistyped one is quoted
    app.fallthrough();
    app.add_subcommand("status", "The daemon and its listeners");
    app.add_subcommand("connections", "The connections that it carries now");
    app.add_subcommand("paths", "The uplinks and what goes over them");
    app.add_subcommand("reload", "Put the configuration file into force");
    try {
        app.parse(argc, argv);
        if (app.get_subcommands().empty()) {
            std::cerr << app.help();
            return status_usage;
        }
        return run(socket, app.get_subcommands().front()->get_name(), as_json);
    } catch (const CLI::ParseError& e) {
        return app.exit(e) == 0 ? 0 : status_usage;
    } catch (const std::exception& e) {
        std::cerr << "manypathctl: " << e.what() << '\n';
        return status_failed;
    }
}
