// SPDX-License-Identifier: Apache-2.0
#include "preload/launcher/say.hpp"

#include <cerrno>
#include <string>
#include <unistd.h>

namespace manypath::launcher {

namespace {

bool write_whole(int fd, std::string_view text)
{
    while (!text.empty()) {
        const ssize_t size = ::write(fd, text.data(), text.size());
        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0)
            return false;
        text.remove_prefix(static_cast<std::size_t>(size));
    }
    return true;
}

} // namespace

void say(std::string_view line)
{
    say_text(std::string{"manypath: "}.append(line).append("\n"));
}

void say_text(std::string_view text)
{
    (void)write_whole(STDERR_FILENO, text);
}

bool print_text(std::string_view text)
{
    return write_whole(STDOUT_FILENO, text);
}

} // namespace manypath::launcher
