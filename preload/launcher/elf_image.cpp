// SPDX-License-Identifier: Apache-2.0
#include "preload/launcher/elf_image.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <elf.h>
#include <link.h>
#include <string_view>

namespace manypath::launcher {

namespace {

using byte_view = std::span<const std::byte>;

constexpr std::uint8_t native_order =
    std::endian::native == std::endian::little ? ELFDATA2LSB : ELFDATA2MSB;

/// Go's linker writes this before the version of the compiler.
constexpr std::string_view go_magic = "\xff Go buildinf:";
constexpr std::size_t go_flags_at = 15;
constexpr std::size_t go_version_at = 32; ///< a length byte, then the text (Go 1.18 and later)
constexpr std::byte go_inline_version{2};

/// Reads numbers of the file's byte order; past the end it yields zero and clears ok().
class reader {
public:
    reader(byte_view file, bool swap) : file_(file), swap_(swap) {}

    template <class Unsigned>
    Unsigned at(std::uint64_t offset)
    {
        Unsigned value{};
        const byte_view bytes = slice(offset, sizeof value);
        if (bytes.size() != sizeof value) {
            ok_ = false;
            return value;
        }
        std::memcpy(&value, bytes.data(), sizeof value);
        return swap_ ? swapped(value) : value;
    }

    /// The bytes at `offset`, fewer where the file ends earlier.
    [[nodiscard]] byte_view slice(std::uint64_t offset, std::uint64_t size) const
    {
        if (offset > file_.size())
            return {};
        return file_.subspan(offset, std::min<std::uint64_t>(size, file_.size() - offset));
    }

    [[nodiscard]] bool ok() const { return ok_; }

private:
    template <class Unsigned>
    static Unsigned swapped(Unsigned value)
    {
        auto bytes = std::bit_cast<std::array<std::byte, sizeof value>>(value);
        std::ranges::reverse(bytes);
        return std::bit_cast<Unsigned>(bytes);
    }

    byte_view file_;
    bool swap_;
    bool ok_ = true;
};

std::string_view as_text(byte_view bytes)
{
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// The text up to the first zero byte.
std::string c_string(byte_view bytes)
{
    const std::string_view text = as_text(bytes);
    return std::string{text.substr(0, text.find('\0'))};
}

/// Field offsets by class; `Word` is Elf32_Addr or Elf64_Addr.
template <class Header, class Segment, class Section, class Dynamic>
struct layout {
    using word = decltype(Header::e_entry);

    static elf_image read(reader& in, elf_image image);

private:
    static bool marked_as_program(reader& in, std::uint64_t offset, std::uint64_t size);
    static std::optional<std::string> go_version(reader& in);
};

template <class H, class P, class S, class D>
elf_image layout<H, P, S, D>::read(reader& in, elf_image image)
{
    const auto type = in.at<std::uint16_t>(offsetof(H, e_type));
    const auto table = in.at<word>(offsetof(H, e_phoff));
    const auto entry_size = in.at<std::uint16_t>(offsetof(H, e_phentsize));
    const auto count = in.at<std::uint16_t>(offsetof(H, e_phnum));
    bool program = type == ET_EXEC;
    for (std::uint64_t i = 0; i < count && in.ok(); ++i) {
        const std::uint64_t at = table + i * entry_size;
        const auto kind = in.at<std::uint32_t>(at + offsetof(P, p_type));
        const auto offset = in.at<decltype(P::p_offset)>(at + offsetof(P, p_offset));
        const auto size = in.at<decltype(P::p_filesz)>(at + offsetof(P, p_filesz));
        if (kind == PT_INTERP)
            image.interpreter = c_string(in.slice(offset, size));
        else if (kind == PT_DYNAMIC)
            program = program || marked_as_program(in, offset, size);
    }
    image.is_static = program && image.interpreter.empty();
    image.go_version = go_version(in);
    return image;
}

/// A static program of type ET_DYN carries DF_1_PIE; the dynamic loader does not.
template <class H, class P, class S, class D>
bool layout<H, P, S, D>::marked_as_program(reader& in, std::uint64_t offset, std::uint64_t size)
{
    for (std::uint64_t at = offset; at + sizeof(D) <= offset + size && in.ok(); at += sizeof(D)) {
        const auto tag = in.at<word>(at);
        if (tag == DT_NULL)
            return false;
        if (tag == DT_FLAGS_1)
            return (in.at<word>(at + sizeof(word)) & DF_1_PIE) != 0;
    }
    return false;
}

template <class H, class P, class S, class D>
std::optional<std::string> layout<H, P, S, D>::go_version(reader& in)
{
    const auto table = in.at<word>(offsetof(H, e_shoff));
    const auto entry_size = in.at<std::uint16_t>(offsetof(H, e_shentsize));
    const auto count = in.at<std::uint16_t>(offsetof(H, e_shnum));
    const auto names = in.at<std::uint16_t>(offsetof(H, e_shstrndx));
    if (!in.ok() || names >= count)
        return {};
    const auto offset_of = [&](std::uint64_t index) {
        return std::uint64_t{
            in.at<decltype(S::sh_offset)>(table + index * entry_size + offsetof(S, sh_offset))};
    };
    const std::uint64_t names_at = offset_of(names);
    for (std::uint64_t i = 0; i < count && in.ok(); ++i) {
        constexpr std::string_view wanted{".go.buildinfo\0", 14};
        const auto name = in.at<std::uint32_t>(table + i * entry_size + offsetof(S, sh_name));
        if (as_text(in.slice(names_at + name, wanted.size())) != wanted)
            continue;
        const byte_view info = in.slice(offset_of(i), go_version_at + 64);
        if (!as_text(info).starts_with(go_magic) || info.size() <= go_version_at)
            return "";
        if ((info[go_flags_at] & go_inline_version) == std::byte{})
            return "";
        const auto length = std::to_integer<std::size_t>(info[go_version_at]);
        return std::string{as_text(info.subspan(go_version_at + 1)).substr(0, length)};
    }
    return {};
}

using layout_32 = layout<Elf32_Ehdr, Elf32_Phdr, Elf32_Shdr, Elf32_Dyn>;
using layout_64 = layout<Elf64_Ehdr, Elf64_Phdr, Elf64_Shdr, Elf64_Dyn>;

} // namespace

std::optional<elf_image> read_elf(std::span<const std::byte> file)
{
    if (file.size() < sizeof(Elf32_Ehdr) || !as_text(file).starts_with(ELFMAG))
        return {};
    elf_image image;
    image.abi.elf_class = std::to_integer<std::uint8_t>(file[EI_CLASS]);
    image.abi.byte_order = std::to_integer<std::uint8_t>(file[EI_DATA]);
    reader in{file, image.abi.byte_order != native_order};
    image.abi.machine = in.at<std::uint16_t>(offsetof(Elf64_Ehdr, e_machine));
    const auto type = in.at<std::uint16_t>(offsetof(Elf64_Ehdr, e_type));
    if (type != ET_EXEC && type != ET_DYN)
        return {};
    if (image.abi.elf_class == ELFCLASS32)
        image = layout_32::read(in, std::move(image));
    else if (image.abi.elf_class == ELFCLASS64)
        image = layout_64::read(in, std::move(image));
    else
        return {};
    if (!in.ok())
        return {};
    return image;
}

std::string describe(const elf_abi& abi)
{
    struct known {
        std::uint16_t machine;
        std::string_view name;
    };
    static constexpr known names[] = {
        {EM_X86_64, "x86-64"}, {EM_386, "Intel 80386"}, {EM_AARCH64, "ARM64"},  {EM_ARM, "ARM"},
        {EM_RISCV, "RISC-V"},  {EM_PPC64, "PowerPC"},   {EM_S390, "IBM S/390"}, {EM_MIPS, "MIPS"},
    };
    std::string text = abi.elf_class == ELFCLASS64 ? "64-bit " : "32-bit ";
    const auto* found = std::ranges::find(names, abi.machine, &known::machine);
    if (found != std::end(names))
        return text.append(found->name);
    return text + "machine " + std::to_string(abi.machine);
}

} // namespace manypath::launcher
