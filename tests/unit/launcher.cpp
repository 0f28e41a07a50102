// launcher.cpp: the parts of `manypath` that need no network.
// SPDX-License-Identifier: Apache-2.0
#include "preload/launcher/connect.hpp"
#include "preload/launcher/counters.hpp"
#include "preload/launcher/dial.hpp"
#include "preload/launcher/elf_image.hpp"
#include "preload/launcher/environment.hpp"
#include "preload/launcher/program_file.hpp"
#include "preload/launcher/report_file.hpp"
#include "preload/launcher/report_text.hpp"
#include "preload/launcher/socket_watch.hpp"

#include <array>
#include <catch2/catch.hpp>
#include <cerrno>
#include <cstring>
#include <elf.h>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

namespace {

using namespace manypath;
using namespace manypath::launcher;

/// A directory of its own that goes when the test ends.
class scratch_folder {
public:
    scratch_folder()
    {
        std::string pattern = "/tmp/manypath-test-XXXXXX";
        REQUIRE(::mkdtemp(pattern.data()) != nullptr);
        path_ = pattern;
    }
    scratch_folder(const scratch_folder&) = delete;
    scratch_folder& operator=(const scratch_folder&) = delete;
    ~scratch_folder() { std::filesystem::remove_all(path_); }

    [[nodiscard]] std::string file(const std::string& name, const std::string& content,
                                   mode_t mode = 0755) const
    {
        const std::string path = path_ + "/" + name;
        std::ofstream{path} << content;
        ::chmod(path.c_str(), mode);
        return path;
    }
    [[nodiscard]] const std::string& path() const { return path_; }

private:
    std::string path_;
};

template <class Header>
void append(std::string& file, const Header& header)
{
    file.append(reinterpret_cast<const char*>(&header), sizeof header);
}

/// A 64-bit little-endian ELF file with one segment of each given kind and no sections.
struct made_up_elf {
    std::uint16_t type = ET_EXEC;
    std::uint16_t machine = EM_X86_64;
    std::string interpreter;
    bool pie_flag = false;

    /// A program of Go's compiler: sections for names and for what Go writes about itself.
    [[nodiscard]] static std::string of_go(const std::string& version)
    {
        const std::string names{"\0.go.buildinfo\0", 15};
        std::string info = "\xff Go buildinf:" + std::string{"\x08\x02", 2};
        info.resize(32, '\0');
        info += static_cast<char>(version.size()) + version;
        std::string file = made_up_elf{}.bytes();
        std::array<Elf64_Shdr, 2> sections{};
        sections[0].sh_offset = file.size();
        sections[1].sh_name = 1;
        sections[1].sh_offset = file.size() + names.size();
        file += names + info;
        Elf64_Ehdr header{};
        std::memcpy(&header, file.data(), sizeof header);
        header.e_shoff = file.size();
        header.e_shentsize = sizeof(Elf64_Shdr);
        header.e_shnum = sections.size();
        header.e_shstrndx = 0;
        std::memcpy(file.data(), &header, sizeof header);
        append(file, sections);
        return file;
    }

    [[nodiscard]] std::string bytes() const
    {
        Elf64_Ehdr header{};
        std::memcpy(header.e_ident, ELFMAG, SELFMAG);
        header.e_ident[EI_CLASS] = ELFCLASS64;
        header.e_ident[EI_DATA] = ELFDATA2LSB;
        header.e_type = type;
        header.e_machine = machine;
        header.e_phoff = sizeof header;
        header.e_phentsize = sizeof(Elf64_Phdr);
        header.e_phnum = 2;
        const std::uint64_t data_at = sizeof header + 2 * sizeof(Elf64_Phdr);
        const std::array<Elf64_Dyn, 2> dynamic{{
            {.d_tag = DT_FLAGS_1, .d_un = {.d_val = pie_flag ? DF_1_PIE : 0U}},
            {.d_tag = DT_NULL, .d_un = {.d_val = 0}},
        }};
        Elf64_Phdr interp{};
        interp.p_type = interpreter.empty() ? static_cast<Elf64_Word>(PT_NULL)
                                            : static_cast<Elf64_Word>(PT_INTERP);
        interp.p_offset = data_at + sizeof dynamic;
        interp.p_filesz = interpreter.size() + 1;
        Elf64_Phdr dynamic_header{};
        dynamic_header.p_type = PT_DYNAMIC;
        dynamic_header.p_offset = data_at;
        dynamic_header.p_filesz = sizeof dynamic;
        std::string file;
        append(file, header);
        append(file, interp);
        append(file, dynamic_header);
        append(file, dynamic);
        return file + interpreter + '\0';
    }
};

std::optional<elf_image> read(const std::string& bytes)
{
    return read_elf(std::as_bytes(std::span{bytes}));
}

const elf_abi this_abi = read_elf_file("/proc/self/exe").value_or(elf_image{}).abi;
const preload_context ordinary_user{{this_abi}, true};

bool contains(const std::string& text, const std::string& part)
{
    return text.find(part) != std::string::npos;
}

} // namespace

TEST_CASE("a program without a loader is static, the loader itself is not", "[launcher][elf]")
{
    CHECK(read(made_up_elf{}.bytes())->is_static);
    CHECK(read(made_up_elf{.type = ET_DYN, .interpreter{}, .pie_flag = true}.bytes())->is_static);
    CHECK_FALSE(read(made_up_elf{.type = ET_DYN, .interpreter{}}.bytes())->is_static);
    const auto dynamic = read(made_up_elf{.interpreter = "/lib/ld.so"}.bytes());
    REQUIRE(dynamic);
    CHECK_FALSE(dynamic->is_static);
    CHECK(dynamic->interpreter == "/lib/ld.so");
    CHECK(dynamic->abi == elf_abi{ELFCLASS64, ELFDATA2LSB, EM_X86_64});
}

// Goal: no file makes the reader read outside it.
// Method: every prefix of a sound file, and every file with one byte changed; a build with
// AddressSanitizer watches.
TEST_CASE("a torn or damaged ELF file is read without harm", "[launcher][elf]")
{
    const std::string whole = made_up_elf{.interpreter = "/lib/ld.so"}.bytes();
    for (std::size_t size = 0; size < sizeof(Elf64_Ehdr); ++size)
        CHECK_FALSE(read(whole.substr(0, size)));
    for (std::size_t size = sizeof(Elf64_Ehdr); size < whole.size(); ++size)
        (void)read(whole.substr(0, size));
    for (std::size_t i = 0; i < whole.size(); ++i) {
        std::string damaged = whole;
        damaged[i] = '\xff';
        (void)read(damaged);
    }
    CHECK_FALSE(read("#!/bin/sh\n" + std::string(100, ' ')));
}

TEST_CASE("this test program is dynamic and needs the loader of its system", "[launcher][elf]")
{
    const auto self = read_elf_file("/proc/self/exe");
    REQUIRE(self);
    CHECK_FALSE(self->is_static);
    CHECK(contains(self->interpreter, "ld-"));
    CHECK_FALSE(self->go_version);
    CHECK_FALSE(preload_obstacle("/proc/self/exe", ordinary_user));
}

TEST_CASE("a library of another architecture is named as obstacle", "[launcher][elf]")
{
    const scratch_folder folder;
    const auto foreign = folder.file(
        "foreign", made_up_elf{.machine = EM_AARCH64, .interpreter = "/lib/ld.so"}.bytes());
    const auto obstacle = preload_obstacle(foreign, {{{ELFCLASS64, ELFDATA2LSB, EM_X86_64}}, true});
    REQUIRE(obstacle);
    CHECK(contains(*obstacle, "64-bit ARM64"));
    CHECK_FALSE(preload_obstacle(foreign, {{{ELFCLASS64, ELFDATA2LSB, EM_AARCH64}}, true}));
}

TEST_CASE("static and musl programs, and scripts that they interpret, are named as obstacles",
          "[launcher][elf]")
{
    const scratch_folder folder;
    const auto fixed = folder.file("static", made_up_elf{}.bytes());
    const auto musl =
        folder.file("musl", made_up_elf{.interpreter = "/lib/ld-musl-x86_64.so.1"}.bytes());
    const auto script = folder.file("script", "#! " + fixed + " -x\n");
    const preload_context x86{{{ELFCLASS64, ELFDATA2LSB, EM_X86_64}}, true};
    CHECK(contains(preload_obstacle(fixed, x86).value_or(""), "statically linked"));
    CHECK(contains(preload_obstacle(musl, x86).value_or(""), "another C library"));
    CHECK(contains(preload_obstacle(script, x86).value_or(""), "statically linked"));
    CHECK(script_interpreter(script) == fixed);
    CHECK_FALSE(script_interpreter(fixed));
}

TEST_CASE("a Go program is told apart, with the version that decides what to do", "[launcher][elf]")
{
    const scratch_folder folder;
    const auto obstacle = [&](const std::string& version) {
        const std::string program = folder.file("go", made_up_elf::of_go(version));
        REQUIRE(read_elf_file(program));
        CHECK(read_elf_file(program)->go_version == version);
        return preload_obstacle(program, ordinary_user).value_or("");
    };
    CHECK(contains(obstacle("go1.22.1"), "GODEBUG=multipathtcp=1"));
    CHECK(contains(obstacle("go1.21"), "GODEBUG=multipathtcp=1"));
    CHECK(contains(obstacle("go1.19.8"), "build it with Go 1.21"));
    CHECK(contains(obstacle("devel go1.99-abcdef"), "GODEBUG=multipathtcp=1"));
}

TEST_CASE("a setuid program of another user is an obstacle, unless root runs it", "[launcher][elf]")
{
    const scratch_folder folder;
    const auto program =
        folder.file("setuid", made_up_elf{.interpreter = "/lib/ld.so"}.bytes(), 04755);
    if (::geteuid() == 0)
        REQUIRE(::chown(program.c_str(), 1, 1) == 0);
    REQUIRE(::chmod(program.c_str(), 04755) == 0);
    const std::vector<elf_abi> abis{{ELFCLASS64, ELFDATA2LSB, EM_X86_64}};
    const auto obstacle = preload_obstacle(program, {abis, true});
    CHECK(obstacle.has_value() == (::geteuid() == 0)); // else the file is the user's own
    CHECK_FALSE(preload_obstacle(program, {abis, false}));
}

TEST_CASE("our library goes behind others in LD_PRELOAD, and only once", "[launcher][environment]")
{
    CHECK(with_library("", "/x/libmanypath.so") == "/x/libmanypath.so");
    CHECK(with_library("a.so b.so", "/x/libmanypath.so") == "a.so b.so:/x/libmanypath.so");
    CHECK(with_library("a.so:/usr/$LIB/libmanypath.so c.so", "/x/libmanypath.so") ==
          "a.so:/usr/$LIB/libmanypath.so c.so");
    CHECK(with_library("/y/notlibmanypath.so", "/x/libmanypath.so") ==
          "/y/notlibmanypath.so:/x/libmanypath.so");
}

TEST_CASE("GODEBUG gets multipathtcp=1 unless it already decides it", "[launcher][environment]")
{
    CHECK(with_go_multipath("") == "multipathtcp=1");
    CHECK(with_go_multipath("http2debug=1") == "http2debug=1,multipathtcp=1");
    CHECK(with_go_multipath("multipathtcp=0,http2debug=1") == "multipathtcp=0,http2debug=1");
}

TEST_CASE("assigning a variable replaces it and touches no other", "[launcher][environment]")
{
    environment variables{"A=1", "AB=2", "A=3"};
    CHECK(lookup(variables, "A") == "1");
    assign(variables, "A", "4");
    CHECK(variables == environment{"AB=2", "A=4"});
    CHECK(lookup(variables, "C").empty());
}

TEST_CASE("a program is searched as shells search it", "[launcher][exec]")
{
    const scratch_folder folder;
    const std::string tool = folder.file("tool", "#!/bin/sh\n");
    const std::string barred = folder.file("barred", "", 0644);
    const std::string search = "/nonexistent:" + folder.path() + ":/usr/bin";
    CHECK(find_program("tool", search) == tool);
    CHECK(find_program("./tool", search) == "./tool");
    CHECK(find_program("absent", search).error().status == 127);
    CHECK(find_program("", search).error().status == 127);
    const auto refused = find_program("barred", search);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().status == 126);
    CHECK(contains(refused.error().reason, barred));
}

TEST_CASE("a failed exec is explained by what is wrong with the file", "[launcher][exec]")
{
    const scratch_folder folder;
    const auto script = folder.file("script", "#!/nonexistent/python\n");
    const auto loader = folder.file("loader", made_up_elf{.interpreter = "/no/ld.so"}.bytes());
    const auto text = folder.file("text", "hello\n");
    const auto plain = folder.file("plain", "#!/bin/sh\n", 0644);
    const auto check = [](const std::string& path, int error, int status, const char* reason) {
        const exec_refusal refusal = explain_exec_failure(path, error);
        CAPTURE(path, refusal.reason);
        CHECK(refusal.status == status);
        CHECK(contains(refusal.reason, reason));
    };
    check(folder.path() + "/absent", ENOENT, 127, "no such file");
    check(folder.path(), EACCES, 126, "directory");
    check(script, ENOENT, 126, "/nonexistent/python");
    check(loader, ENOENT, 126, "/no/ld.so");
    check(text, ENOEXEC, 126, "no format");
    check(text, E2BIG, 126, "rgument list too long");
    if (::geteuid() != 0)
        check(plain, EACCES, 126, "not executable");
}

TEST_CASE("a passed descriptor arrives with the single byte that OpenSSH reads",
          "[launcher][connect]")
{
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    const unique_fd ours{ends[0]};
    const unique_fd theirs{ends[1]};
    const unique_fd sent{::memfd_create("sent", MFD_CLOEXEC)};
    REQUIRE(::write(sent.get(), "it", 2) == 2);
    REQUIRE_FALSE(pass_descriptor(ours.get(), sent.get()));

    std::array<char, 16> bytes{};
    iovec payload{bytes.data(), bytes.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    msghdr message{};
    message.msg_iov = &payload;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    REQUIRE(::recvmsg(theirs.get(), &message, 0) == 1);
    const cmsghdr* header = CMSG_FIRSTHDR(&message);
    REQUIRE(header != nullptr);
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
    const unique_fd received{fd};
    CHECK(::pread(received.get(), bytes.data(), bytes.size(), 0) == 2);
}

TEST_CASE("passing a descriptor over something that is no socket fails", "[launcher][connect]")
{
    const unique_fd file{::memfd_create("file", MFD_CLOEXEC)};
    CHECK(pass_descriptor(file.get(), file.get()) == std::errc::not_a_socket);
}

// Goal: the end of one direction is passed on and leaves the other one open.
// Method: the peer of the socket answers only after it has seen the end of the input.
TEST_CASE("the relay passes a half-close on and then brings the answer", "[launcher][connect]")
{
    int socket_ends[2];
    int in_ends[2];
    int out_ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, socket_ends) == 0);
    REQUIRE(::pipe(in_ends) == 0);
    REQUIRE(::pipe(out_ends) == 0);
    const unique_fd socket{socket_ends[0]};
    unique_fd peer{socket_ends[1]};
    const unique_fd in{in_ends[0]};
    unique_fd source{in_ends[1]};
    const unique_fd sink{out_ends[0]};
    std::string question;
    std::thread server{[&] {
        std::array<char, 64> buffer{};
        for (ssize_t size; (size = ::read(peer.get(), buffer.data(), buffer.size())) > 0;)
            question.append(buffer.data(), static_cast<std::size_t>(size));
        (void)!::write(peer.get(), "answer", 6);
        peer.reset();
    }};
    REQUIRE(::write(source.get(), "question", 8) == 8);
    source.reset();
    CHECK_FALSE(relay_descriptors(in.get(), out_ends[1], socket.get()));
    server.join();
    CHECK(question == "question");
    std::array<char, 64> buffer{};
    REQUIRE(::read(sink.get(), buffer.data(), buffer.size()) == 6);
    CHECK(std::string(buffer.data(), 6) == "answer");
    CHECK(::read(sink.get(), buffer.data(), buffer.size()) == 0);
}

TEST_CASE("names resolve to numeric addresses of the wanted family", "[launcher][dial]")
{
    const auto found = resolve({.host = "127.0.0.1", .port = "80", .family = AF_INET});
    REQUIRE(found);
    REQUIRE(found->size() == 1);
    CHECK(to_text(found->front().storage) == "127.0.0.1:80");
    CHECK_FALSE(resolve({.host = "127.0.0.1", .port = "no-such-service", .family = AF_INET}));
    CHECK_FALSE(resolve({.host = "127.0.0.1", .port = "80", .family = AF_INET6}));
}

TEST_CASE("the kernel's counters are read by name and compared", "[launcher][counters]")
{
    const auto before = parse_counters("TcpExt: A B\nTcpExt: 1 2\nMPTcpExt: X Y\nMPTcpExt: 3 4\n");
    const auto after = parse_counters("MPTcpExt: X Y Z\nMPTcpExt: 3 6 1\n");
    CHECK(before == mptcp_counters{{"X", 3}, {"Y", 4}});
    CHECK(growth(before, after) == mptcp_counters{{"Y", 2}, {"Z", 1}});
    CHECK(value_of(after, "absent") == 0);
    CHECK(parse_counters("").empty());
}

TEST_CASE("MPTCP_INFO is understood in its old and its new length", "[launcher][report]")
{
    std::array<std::byte, 96> info{};
    info[0] = std::byte{1};  // one additional subflow
    info[8] = std::byte{2};  // remote key received
    info[12] = std::byte{7}; // token
    for (const std::size_t size : {std::size_t{48}, info.size()}) {
        const auto head = read_mptcp_info(std::span{info}.first(size));
        CHECK((head.connected && head.has_more && !head.fallback));
        CHECK(head.token != 0);
    }
    info[8] = std::byte{3};
    CHECK(read_mptcp_info(info).fallback);
    CHECK_FALSE(read_mptcp_info(info).connected);
    CHECK_FALSE(read_mptcp_info(std::span{info}.first(15)).has_more);
}

TEST_CASE("the report counts what stayed MPTCP, what fell back, and says why", "[launcher][report]")
{
    process_record curl{.pid = 7, .command = "curl", .sockets = {}};
    curl.asked = 3;
    curl.granted = 2;
    curl.refused = 1;
    curl.refused_errno = ENOPROTOOPT;
    curl.sockets = {{.cookie = 1, .verdict = report::verdict::multipath, .subflows = 2},
                    {.cookie = 2, .verdict = report::verdict::fallback, .subflows = 1}};
    const auto text = render_report({curl}, {{"MPCapableFallbackSYNACK", 1}});
    CAPTURE(text);
    CHECK(contains(text, "ASKED  ACCEPTED  MPTCP  TCP  SUBFLOWS"));
    CHECK(contains(text, "7  curl"));
    CHECK(contains(text, " 3         0      1    2         2 "));
    CHECK(contains(text, "Protocol not available"));
    CHECK(contains(text, "answered without MPTCP"));
}

TEST_CASE("a program that never asked is reported as such", "[launcher][report]")
{
    const process_record silent{.pid = 7, .command = "true", .sockets = {}};
    CHECK(contains(render_report({silent}, {}), "no process asked"));
}

TEST_CASE("an empty report file can be read, and its path leads to it", "[launcher][report]")
{
    const auto file = report_file::create();
    REQUIRE(file);
    CHECK(file->read().empty());
    CHECK(std::filesystem::file_size(file->path()) == sizeof(report::file));
}
