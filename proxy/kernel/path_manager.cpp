// SPDX-License-Identifier: Apache-2.0
#include "proxy/kernel/path_manager.hpp"

#include "proxy/kernel/netlink.hpp"

#include <algorithm>
#include <cstring>
#include <linux/genetlink.h>
#include <linux/mptcp.h>
#include <utility>

namespace manypath::kernel {

namespace {

constexpr std::uint32_t flag(bool set, int bit)
{
    return set ? static_cast<std::uint32_t>(bit) : 0;
}

nlmsghdr& begin_request(netlink_request& buffer, std::uint16_t family, std::uint8_t command,
                        std::uint8_t version)
{
    nlmsghdr* message = mnl_nlmsg_put_header(buffer.data());
    message->nlmsg_type = family;
    auto* header =
        static_cast<genlmsghdr*>(mnl_nlmsg_put_extra_header(message, sizeof(genlmsghdr)));
    header->cmd = command;
    header->version = version;
    return *message;
}

void put_endpoint(nlmsghdr& message, const mptcp_endpoint& e)
{
    nlattr* nest = mnl_attr_nest_start(&message, MPTCP_PM_ATTR_ADDR);
    if (const auto* v4 = std::get_if<in_addr>(&e.address)) {
        mnl_attr_put_u16(&message, MPTCP_PM_ADDR_ATTR_FAMILY, AF_INET);
        mnl_attr_put(&message, MPTCP_PM_ADDR_ATTR_ADDR4, sizeof *v4, v4);
    } else {
        const auto& v6 = std::get<in6_addr>(e.address);
        mnl_attr_put_u16(&message, MPTCP_PM_ADDR_ATTR_FAMILY, AF_INET6);
        mnl_attr_put(&message, MPTCP_PM_ADDR_ATTR_ADDR6, sizeof v6, &v6);
    }
    if (e.id != 0)
        mnl_attr_put_u8(&message, MPTCP_PM_ADDR_ATTR_ID, e.id);
    if (e.port != 0)
        mnl_attr_put_u16(&message, MPTCP_PM_ADDR_ATTR_PORT, e.port);
    if (e.interface != 0)
        mnl_attr_put_u32(&message, MPTCP_PM_ADDR_ATTR_IF_IDX, e.interface);
    mnl_attr_put_u32(&message, MPTCP_PM_ADDR_ATTR_FLAGS,
                     flag(e.signal, MPTCP_PM_ADDR_FLAG_SIGNAL) |
                         flag(e.subflow, MPTCP_PM_ADDR_FLAG_SUBFLOW) |
                         flag(e.backup, MPTCP_PM_ADDR_FLAG_BACKUP) |
                         flag(e.fullmesh, MPTCP_PM_ADDR_FLAG_FULLMESH));
    mnl_attr_nest_end(&message, nest);
}

void read_flags(mptcp_endpoint& e, std::uint32_t flags)
{
    e.signal = (flags & MPTCP_PM_ADDR_FLAG_SIGNAL) != 0;
    e.subflow = (flags & MPTCP_PM_ADDR_FLAG_SUBFLOW) != 0;
    e.backup = (flags & MPTCP_PM_ADDR_FLAG_BACKUP) != 0;
    e.fullmesh = (flags & MPTCP_PM_ADDR_FLAG_FULLMESH) != 0;
    e.implicit = (flags & MPTCP_PM_ADDR_FLAG_IMPLICIT) != 0;
}

template <typename Address>
void read_address(mptcp_endpoint& e, const nlattr& attribute)
{
    Address address{};
    if (mnl_attr_get_payload_len(&attribute) < sizeof address)
        return;
    std::memcpy(&address, mnl_attr_get_payload(&attribute), sizeof address);
    e.address = address;
}

void read_attribute(mptcp_endpoint& e, const nlattr& attribute)
{
    switch (mnl_attr_get_type(&attribute)) {
    case MPTCP_PM_ADDR_ATTR_ADDR4:
        return read_address<in_addr>(e, attribute);
    case MPTCP_PM_ADDR_ATTR_ADDR6:
        return read_address<in6_addr>(e, attribute);
    case MPTCP_PM_ADDR_ATTR_ID:
        e.id = mnl_attr_get_u8(&attribute);
        return;
    case MPTCP_PM_ADDR_ATTR_PORT:
        e.port = mnl_attr_get_u16(&attribute);
        return;
    case MPTCP_PM_ADDR_ATTR_FLAGS:
        return read_flags(e, mnl_attr_get_u32(&attribute));
    case MPTCP_PM_ADDR_ATTR_IF_IDX:
        e.interface = mnl_attr_get_u32(&attribute);
        return;
    default:
        return;
    }
}

mptcp_endpoint read_endpoint(const nlattr& nest)
{
    mptcp_endpoint e;
    visit_attributes(nest, [&](const nlattr& attribute) { read_attribute(e, attribute); });
    return e;
}

bool same_place(const mptcp_endpoint& a, const mptcp_endpoint& b)
{
    if (a.port != b.port || a.address.index() != b.address.index())
        return false;
    if (const auto* v4 = std::get_if<in_addr>(&a.address))
        return v4->s_addr == std::get<in_addr>(b.address).s_addr;
    return IN6_ARE_ADDR_EQUAL(&std::get<in6_addr>(a.address), &std::get<in6_addr>(b.address));
}

} // namespace

class path_manager::connection {
public:
    connection(netlink n, std::uint16_t family) : netlink_(std::move(n)), family_(family) {}

    [[nodiscard]] nlmsghdr& begin(netlink_request& buffer, std::uint8_t command) const
    {
        return begin_request(buffer, family_, command, MPTCP_PM_VER);
    }
    [[nodiscard]] std::error_code ask(nlmsghdr& message, const netlink::visitor& each = {})
    {
        return netlink_.request(message, each);
    }
    [[nodiscard]] const std::string& explanation() const { return netlink_.explanation(); }

private:
    netlink netlink_;
    std::uint16_t family_;
};

path_manager::path_manager(path_manager&& other) noexcept
    : connection_(std::exchange(other.connection_, nullptr))
{
}

path_manager& path_manager::operator=(path_manager&& other) noexcept
{
    std::swap(connection_, other.connection_);
    return *this;
}

path_manager::~path_manager()
{
    delete connection_;
}

std::expected<path_manager, std::error_code> path_manager::open()
{
    auto opened = netlink::open(NETLINK_GENERIC);
    if (!opened)
        return std::unexpected{opened.error()};
    netlink_request buffer{};
    nlmsghdr& message = begin_request(buffer, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 1);
    mnl_attr_put_strz(&message, CTRL_ATTR_FAMILY_NAME, MPTCP_PM_NAME);
    std::uint16_t family = 0;
    const std::error_code failed = opened->request(message, [&](const nlmsghdr& answer) {
        visit_attributes(answer, sizeof(genlmsghdr), [&](const nlattr& attribute) {
            if (mnl_attr_get_type(&attribute) == CTRL_ATTR_FAMILY_ID)
                family = mnl_attr_get_u16(&attribute);
        });
    });
    if (failed)
        return std::unexpected{failed};
    return path_manager{new connection{std::move(*opened), family}};
}

std::expected<std::vector<mptcp_endpoint>, std::error_code> path_manager::endpoints()
{
    netlink_request buffer{};
    nlmsghdr& message = connection_->begin(buffer, MPTCP_PM_CMD_GET_ADDR);
    message.nlmsg_flags |= NLM_F_DUMP;
    std::vector<mptcp_endpoint> found;
    const std::error_code failed = connection_->ask(message, [&](const nlmsghdr& answer) {
        visit_attributes(answer, sizeof(genlmsghdr), [&](const nlattr& attribute) {
            if (mnl_attr_get_type(&attribute) == MPTCP_PM_ATTR_ADDR)
                found.push_back(read_endpoint(attribute));
        });
    });
    if (failed)
        return std::unexpected{failed};
    return found;
}

std::expected<mptcp_limits, std::error_code> path_manager::limits()
{
    netlink_request buffer{};
    nlmsghdr& message = connection_->begin(buffer, MPTCP_PM_CMD_GET_LIMITS);
    mptcp_limits found;
    const std::error_code failed = connection_->ask(message, [&](const nlmsghdr& answer) {
        visit_attributes(answer, sizeof(genlmsghdr), [&](const nlattr& attribute) {
            if (mnl_attr_get_type(&attribute) == MPTCP_PM_ATTR_SUBFLOWS)
                found.subflows = mnl_attr_get_u32(&attribute);
            if (mnl_attr_get_type(&attribute) == MPTCP_PM_ATTR_RCV_ADD_ADDRS)
                found.add_addr_accepted = mnl_attr_get_u32(&attribute);
        });
    });
    if (failed)
        return std::unexpected{failed};
    return found;
}

std::error_code path_manager::add(const mptcp_endpoint& e)
{
    netlink_request buffer{};
    nlmsghdr& message = connection_->begin(buffer, MPTCP_PM_CMD_ADD_ADDR);
    put_endpoint(message, e);
    return connection_->ask(message);
}

std::error_code path_manager::remove(const mptcp_endpoint& e)
{
    // The kernel removes by id alone, and id 0 means something else: the initial address.
    const auto present = endpoints();
    if (!present)
        return present.error();
    const auto match = std::ranges::find_if(*present, [&](const mptcp_endpoint& other) {
        return same_place(e, other) && (e.id == 0 || e.id == other.id);
    });
    if (match == present->end())
        return std::make_error_code(std::errc::address_not_available);
    netlink_request buffer{};
    nlmsghdr& message = connection_->begin(buffer, MPTCP_PM_CMD_DEL_ADDR);
    put_endpoint(message, *match);
    return connection_->ask(message);
}

std::error_code path_manager::set(const mptcp_limits& l)
{
    netlink_request buffer{};
    nlmsghdr& message = connection_->begin(buffer, MPTCP_PM_CMD_SET_LIMITS);
    mnl_attr_put_u32(&message, MPTCP_PM_ATTR_SUBFLOWS, l.subflows);
    mnl_attr_put_u32(&message, MPTCP_PM_ATTR_RCV_ADD_ADDRS, l.add_addr_accepted);
    return connection_->ask(message);
}

const std::string& path_manager::explanation() const noexcept
{
    return connection_->explanation();
}

} // namespace manypath::kernel
