// main.cpp: the program manypathd: reads the command line and the configuration file.
// SPDX-License-Identifier: Apache-2.0
#include "proxy/app/worker.hpp"
#include "proxy/config/parse.hpp"
#include "proxy/keeper/keeper.hpp"
#include "proxy/log/log.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>
#include <map>
#include <sched.h>
#include <string>

namespace {

using namespace manypath;

struct command_line {
    std::string file = "/etc/manypath/manypathd.toml";
    std::string user = "manypath";
    log::level least = log::level::info;
    bool check = false;
};

unsigned usable_cpus()
{
    cpu_set_t set;
    CPU_ZERO(&set);
    if (::sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    return static_cast<unsigned>(std::max(1, CPU_COUNT(&set)));
}

void declare(CLI::App& app, command_line& line)
{
    app.option_defaults()->always_capture_default();
    app.add_option("-c,--config", line.file, "Configuration file, see manypathd.toml(5)")
        ->type_name("FILE");
    app.add_option("--user", line.user, "User of the worker when started as root")
        ->type_name("NAME");
    app.add_flag("--check", line.check, "Validate the configuration and exit");
    const std::map<std::string, log::level> levels{{"debug", log::level::debug},
                                                   {"info", log::level::info},
                                                   {"warning", log::level::warning},
                                                   {"error", log::level::error}};
    app.add_option("--log-level", line.least, "Least severe lines to log")
        ->transform(CLI::CheckedTransformer(levels, CLI::ignore_case)
                        .description("debug, info, warning or error"))
        ->type_name("LEVEL")
        ->default_str("info");
    app.set_version_flag("--version", "manypathd " MANYPATH_VERSION);
}

int run(const command_line& line)
{
    const auto text = config::read_file(line.file);
    if (!text) {
        (void)std::fprintf(stderr, "manypathd: %s: cannot be read\n", line.file.c_str());
        return EXIT_FAILURE;
    }
    const auto parsed = config::parse(*text, line.file);
    if (!parsed) {
        for (const auto& message : parsed.error())
            (void)std::fprintf(stderr, "%s\n", message.c_str());
        return EXIT_FAILURE;
    }
    if (line.check) {
        (void)std::printf("%s: valid\n", line.file.c_str());
        return EXIT_SUCCESS;
    }
    log::initialize(line.least);
    keeper::keeper_options options;
    options.file = line.file;
    options.worker_user = line.user;
    options.threads = usable_cpus();
    return keeper::run(options, *parsed, *text, run_worker);
}

} // namespace

int main(int argc, char** argv)
{
    command_line line;
    CLI::App app{"MPTCP gateway for hosts that only speak TCP.", "manypathd"};
    try {
        declare(app, line);
        app.parse(argc, argv);
        return run(line);
    } catch (const CLI::ParseError& e) {
        return app.exit(e);
    } catch (const std::exception& e) {
        (void)std::fprintf(stderr, "manypathd: %s\n", e.what());
        return EXIT_FAILURE;
    }
}
