// SPDX-License-Identifier: Apache-2.0
#include "proxy/kernel/netlink.hpp"

#include <cerrno>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <vector>

namespace manypath::kernel {

namespace {

// The kernel fills dumps up to this size, whatever the page size is.
constexpr std::size_t answer_bytes = 32768;

struct answer {
    const netlink::visitor& each;
    std::string& explanation;
};

std::error_code system_error(int number)
{
    return {number, std::generic_category()};
}

int on_message(const nlmsghdr* message, void* data)
{
    if (const auto* to = static_cast<answer*>(data); to->each)
        to->each(*message);
    return MNL_CB_OK;
}

int on_explanation(const nlattr* attribute, void* data)
{
    if (mnl_attr_get_type(attribute) == NLMSGERR_ATTR_MSG)
        static_cast<answer*>(data)->explanation = mnl_attr_get_str(attribute);
    return MNL_CB_OK;
}

/// The end of an answer: success, or an errno with the kernel's sentence behind it.
int on_error(const nlmsghdr* message, void* data)
{
    if (mnl_nlmsg_get_payload_len(message) < sizeof(nlmsgerr)) {
        errno = EBADMSG;
        return MNL_CB_ERROR;
    }
    const auto* report = static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(message));
    if (report->error == 0)
        return MNL_CB_STOP;
    if ((message->nlmsg_flags & NLM_F_ACK_TLVS) != 0) {
        // Without NLM_F_CAPPED the payload of the request stands between the two.
        const bool capped = (message->nlmsg_flags & NLM_F_CAPPED) != 0;
        const std::size_t skip = capped ? 0 : report->msg.nlmsg_len - sizeof(nlmsghdr);
        mnl_attr_parse(message, static_cast<unsigned>(sizeof *report + skip), on_explanation, data);
    }
    errno = report->error < 0 ? -report->error : report->error;
    return MNL_CB_ERROR;
}

int on_attribute(const nlattr* attribute, void* data)
{
    (*static_cast<const attribute_visitor*>(data))(*attribute);
    return MNL_CB_OK;
}

// libmnl wants a mutable pointer for what its callback gets.
void* as_callback_data(const attribute_visitor& visit)
{
    return const_cast<attribute_visitor*>(&visit);
}

/// The end of a dump, which failed if the payload is a negative errno.
int on_done(const nlmsghdr* message, void*)
{
    if (mnl_nlmsg_get_payload_len(message) < sizeof(int))
        return MNL_CB_STOP;
    const int result = *static_cast<const int*>(mnl_nlmsg_get_payload(message));
    errno = -result;
    return result < 0 ? MNL_CB_ERROR : MNL_CB_STOP;
}

} // namespace

std::expected<netlink, std::error_code> netlink::open(int bus)
{
    mnl_socket* opened = mnl_socket_open2(bus, SOCK_CLOEXEC);
    if (opened == nullptr)
        return std::unexpected{system_error(errno)};
    netlink result{opened};
    if (mnl_socket_bind(opened, 0, MNL_SOCKET_AUTOPID) < 0)
        return std::unexpected{system_error(errno)};
    // Kernels before 4.12 know neither; then the errno is all there is.
    int on = 1;
    (void)mnl_socket_setsockopt(opened, NETLINK_EXT_ACK, &on, sizeof on);
    (void)mnl_socket_setsockopt(opened, NETLINK_CAP_ACK, &on, sizeof on);
    return result;
}

std::error_code netlink::request(nlmsghdr& message, const visitor& each)
{
    explanation_.clear();
    message.nlmsg_seq = ++sequence_;
    message.nlmsg_flags |= NLM_F_REQUEST;
    if ((message.nlmsg_flags & NLM_F_DUMP) != NLM_F_DUMP)
        message.nlmsg_flags |= NLM_F_ACK; // so that every answer has an end
    if (mnl_socket_sendto(socket_.get(), &message, message.nlmsg_len) < 0)
        return system_error(errno);

    std::array<mnl_cb_t, NLMSG_MIN_TYPE> control{};
    control[NLMSG_ERROR] = on_error;
    control[NLMSG_DONE] = on_done;
    answer to{each, explanation_};
    std::vector<std::byte> buffer(answer_bytes);
    for (;;) {
        const ssize_t size = mnl_socket_recvfrom(socket_.get(), buffer.data(), buffer.size());
        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0)
            return system_error(errno);
        const int more = mnl_cb_run2(buffer.data(), static_cast<std::size_t>(size), sequence_,
                                     mnl_socket_get_portid(socket_.get()), on_message, &to,
                                     control.data(), control.size());
        if (more == MNL_CB_ERROR)
            return system_error(errno);
        if (more == MNL_CB_STOP)
            return {};
    }
}

void visit_attributes(const nlmsghdr& message, std::size_t header_bytes,
                      const attribute_visitor& visit)
{
    mnl_attr_parse(&message, static_cast<unsigned>(header_bytes), on_attribute,
                   as_callback_data(visit));
}

void visit_attributes(const nlattr& nest, const attribute_visitor& visit)
{
    mnl_attr_parse_nested(&nest, on_attribute, as_callback_data(visit));
}

} // namespace manypath::kernel
