// SPDX-License-Identifier: Apache-2.0
#include "preload/launcher/run.hpp"

#include "preload/launcher/environment.hpp"
#include "preload/launcher/library.hpp"
#include "preload/launcher/program_file.hpp"
#include "preload/launcher/report_file.hpp"
#include "preload/launcher/report_text.hpp"
#include "preload/launcher/say.hpp"
#include "preload/launcher/supervise.hpp"

#include <cerrno>
#include <sys/prctl.h>
#include <unistd.h>

namespace manypath::launcher {

namespace {

std::vector<char*> pointers_to(std::vector<std::string>& texts)
{
    std::vector<char*> pointers;
    for (std::string& text : texts)
        pointers.push_back(text.data());
    pointers.push_back(nullptr);
    return pointers;
}

int refuse(const std::string& program, const exec_refusal& refusal)
{
    say("cannot run " + program + ": " + refusal.reason);
    return refusal.status;
}

/// Without PATH, what execvp(3) takes; its current directory is left out.
std::string_view search_path(const environment& variables)
{
    const std::string_view path = lookup(variables, "PATH");
    return path.empty() ? "/bin:/usr/bin" : path;
}

/// Takes this process's place, or says why not.
int replace_by(const std::string& path, std::vector<std::string> arguments, environment variables)
{
    const std::string name = arguments.front();
    const auto argv = pointers_to(arguments);
    const auto envp = pointers_to(variables);
    ::execve(path.c_str(), argv.data(), envp.data());
    return refuse(name, explain_exec_failure(path, errno));
}

int run_with_report(const std::string& path, const run_options& options, environment variables)
{
    auto file = report_file::create();
    if (!file) {
        say("no report: " + file.error().message());
        return replace_by(path, options.command, std::move(variables));
    }
    assign(variables, report::environment_name, file->path());
    const auto outcome =
        supervise([&] { return replace_by(path, options.command, std::move(variables)); }, *file);
    if (!outcome) {
        say("cannot start a process: " + outcome.error().message());
        return status_own_failure;
    }
    if (outcome->executed)
        say_text(render_report(outcome->processes, outcome->grown));
    return end_like(outcome->wait_status);
}

} // namespace

int run(const run_options& options)
{
    environment variables = copy_environment(environ);
    const auto library = find_library(lookup(variables, "MANYPATH_LIBRARY"));
    if (!library) {
        say(library.error());
        return status_own_failure;
    }
    const std::string& name = options.command.front();
    const auto path = find_program(name, search_path(variables));
    if (!path)
        return refuse(name, path.error());

    const bool can_gain = ::getuid() != 0 && ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0;
    if (const auto obstacle = preload_obstacle(*path, {library->abis, can_gain}))
        say(name + " will not be wrapped: " + *obstacle);

    assign(variables, "LD_PRELOAD",
           with_library(lookup(variables, "LD_PRELOAD"), library->preload_path));
    assign(variables, "GODEBUG", with_go_multipath(lookup(variables, "GODEBUG")));
    if (options.debug)
        assign(variables, "MANYPATH_DEBUG", "1");
    if (options.report)
        return run_with_report(*path, options, std::move(variables));
    return replace_by(*path, options.command, std::move(variables));
}

} // namespace manypath::launcher
