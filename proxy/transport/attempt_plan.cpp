// SPDX-License-Identifier: Apache-2.0
#include "proxy/transport/attempt_plan.hpp"

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <boost/system/errc.hpp>
#include <utility>

namespace manypath {

namespace {

/// Whether a device on the way, which dislikes the MPTCP option, could cause this error.
bool tcp_may_fare_better(const error_code& why)
{
    return why == asio::error::connection_refused || why == asio::error::connection_reset ||
           why == asio::error::connection_aborted || why == asio::error::timed_out;
}

} // namespace

std::vector<asio::ip::address> interleave_families(const std::vector<asio::ip::address>& preferred)
{
    std::vector<asio::ip::address> first;
    std::vector<asio::ip::address> second;
    for (const auto& address : preferred)
        (address.is_v6() == preferred.front().is_v6() ? first : second).push_back(address);
    std::vector<asio::ip::address> mixed;
    for (std::size_t i = 0; i < std::max(first.size(), second.size()); ++i) {
        if (i < first.size())
            mixed.push_back(first[i]);
        if (i < second.size())
            mixed.push_back(second[i]);
    }
    return mixed;
}

attempt attempt_plan::start(std::size_t candidate, protocol speak, time_point now)
{
    started_.push_back({candidate, speak});
    ++running_;
    state& of = states_[candidate];
    if (speak == protocol::mptcp)
        of.mptcp_since = now;
    else
        of.mptcp_since.reset();
    of.tcp_due = false;
    return {started_.size() - 1, {candidates_[candidate].to, speak}};
}

std::optional<attempt> attempt_plan::next(time_point now)
{
    for (std::size_t i = 0; i < next_candidate_; ++i) {
        state& of = states_[i];
        const bool silent = of.mptcp_since && now >= *of.mptcp_since + timing_.mptcp_patience;
        if (silent)
            of.mptcp_failed = true;
        if (silent || of.tcp_due)
            return start(i, protocol::tcp, now);
    }
    if (next_candidate_ == candidates_.size())
        return std::nullopt;
    if (running_ > 0 && now < last_start_ + timing_.attempt_delay)
        return std::nullopt;
    last_start_ = now;
    const std::size_t index = next_candidate_++;
    return start(index, host_has_mptcp_ ? candidates_[index].speak : protocol::tcp, now);
}

std::optional<attempt_plan::time_point> attempt_plan::due() const
{
    std::optional<time_point> earliest;
    const auto consider = [&earliest](time_point at) {
        earliest = earliest ? std::min(*earliest, at) : at;
    };
    for (const state& of : states_) {
        if (of.mptcp_since)
            consider(*of.mptcp_since + timing_.mptcp_patience);
    }
    if (next_candidate_ < candidates_.size())
        consider(last_start_ + timing_.attempt_delay);
    return earliest;
}

void attempt_plan::on_failure(std::size_t number, error_code why)
{
    --running_;
    error_ = why;
    const started& ended = started_[number];
    if (ended.speak != protocol::mptcp)
        return;
    state& of = states_[ended.candidate];
    const bool tcp_not_tried = of.mptcp_since.has_value();
    of.mptcp_since.reset();
    if (why == boost::system::errc::protocol_not_supported)
        host_has_mptcp_ = false;
    else
        of.mptcp_failed = of.mptcp_failed || tcp_may_fare_better(why);
    of.tcp_due = tcp_not_tried && (of.mptcp_failed || !host_has_mptcp_);
}

bool attempt_plan::exhausted() const
{
    const auto tcp_due = [](const state& of) { return of.tcp_due; };
    return running_ == 0 && next_candidate_ == candidates_.size() &&
           std::none_of(states_.begin(), states_.end(), tcp_due);
}

bool attempt_plan::mptcp_failed_beside(std::size_t number) const
{
    const started& of = started_[number];
    return of.speak == protocol::tcp && states_[of.candidate].mptcp_failed;
}

} // namespace manypath
