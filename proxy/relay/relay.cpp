// SPDX-License-Identifier: Apache-2.0
#include "proxy/relay/relay.hpp"

#include <algorithm>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <utility>

namespace manypath {

namespace {

/// How long bytes that arrived before a reset may take to move on before it overtakes them.
constexpr std::chrono::seconds reset_grace{2};

/// Bytes that the kernel has taken but not put on the wire once; RST would discard them.
std::uint64_t unsent_bytes(const stream& s)
{
    int count = 0;
    if (s.native_handle() < 0 || ::ioctl(s.native_handle(), SIOCOUTQNSD, &count) != 0)
        return 0;
    return static_cast<std::uint64_t>(std::max(count, 0));
}

/// Adds what `now` knows to `known`, which may have seen subflows that are gone.
void merge(connection_info& known, connection_info now)
{
    for (auto& gone : known.subflows) {
        const auto same = [&](const subflow_info& s) {
            return s.local == gone.local && s.remote == gone.remote;
        };
        if (std::ranges::none_of(now.subflows, same))
            now.subflows.push_back(gone);
    }
    if (now.token == 0)
        now.token = known.token;
    known = std::move(now);
}

} // namespace

std::shared_ptr<relay> relay::create(std::unique_ptr<stream> client_stream,
                                     std::unique_ptr<stream> server_stream, relay_limits limits,
                                     pipe_pool& pipes)
{
    return std::shared_ptr<relay>{
        new relay{std::move(client_stream), std::move(server_stream), limits, pipes}};
}

relay::relay(std::unique_ptr<stream> client_stream, std::unique_ptr<stream> server_stream,
             relay_limits limits, pipe_pool& pipes)
    : halves_{half{std::move(client_stream), pipes, false},
              half{std::move(server_stream), pipes, true}},
      limits_(limits),
      seen_at_(clock::now())
{
}

void relay::start(std::vector<std::byte> early, done_handler done)
{
    done_ = std::move(done);
    halves_[client].forward.deliver_first(std::move(early));
    wait(server, server, readiness::readable); // pending, so that nothing below ends the relay
    advance(client);                           // the client's request is often there already
}

void relay::abort()
{
    finish(relay_end::aborted);
}

void relay::check(clock::time_point now)
{
    if (closed_)
        return;
    if (const auto current = activity(); current != seen_activity_) {
        seen_activity_ = current;
        seen_at_ = now;
        remember_subflows();
    }
    for (const side s : {client, server})
        if (halves_[s].ended || halves_[s].blocked)
            watch(s);
    const bool patience_is_over = now - seen_at_ >= patience();
    if (failed_) {
        if (patience_is_over)
            finish(end_);
        else if (halves_[*failed_].ended)
            pass_reset_on();
    } else if (patience_is_over) {
        const bool half_closed = halves_[client].ended || halves_[server].ended;
        finish(half_closed ? relay_end::half_close_timeout : relay_end::idle_timeout);
    }
}

relay_report relay::snapshot() const
{
    relay_report report{.end = end_,
                        .error = error_,
                        .bytes_to_server = halves_[client].forward.delivered_bytes(),
                        .bytes_to_client = halves_[server].forward.delivered_bytes(),
                        .client = {},
                        .server = {}};
    if (remembered_) {
        report.client = (*remembered_)[client];
        report.server = (*remembered_)[server];
    }
    if (!closed_) {
        merge(report.client, halves_[client].from->info());
        merge(report.server, halves_[server].from->info());
    }
    return report;
}

// The handlers hold no more than a pointer to the relay: that much fits into ready_handler
// without an allocation.
void relay::wait(side direction, side where, readiness what)
{
    ++pending_waits_;
    auto& stream = *halves_[where].from;
    if (direction == client)
        stream.async_wait(what,
                          [self = shared_from_this()](error_code) { self->on_ready(client); });
    else
        stream.async_wait(what,
                          [self = shared_from_this()](error_code) { self->on_ready(server); });
}

/// Notices the death of a side that nobody reads from.
void relay::watch(side where)
{
    if (std::exchange(halves_[where].watched, true))
        return;
    ++pending_waits_;
    auto& stream = *halves_[where].from;
    if (where == client) {
        stream.async_wait(readiness::hang_up, [self = shared_from_this()](error_code ec) {
            self->on_hang_up(client, ec);
        });
    } else {
        stream.async_wait(readiness::hang_up, [self = shared_from_this()](error_code ec) {
            self->on_hang_up(server, ec);
        });
    }
}

void relay::on_ready(side direction)
{
    --pending_waits_;
    const bool sink_is_dead = failed_ && *failed_ == other(direction);
    if (!closed_ && !sink_is_dead)
        advance(direction);
    leave_handler();
}

void relay::on_hang_up(side where, error_code ec)
{
    --pending_waits_;
    // Without an error the wait ended for urgent data, which stays: waiting again would spin.
    // The flag stays set, so that nobody does.
    if (!closed_ && (ec || failed_))
        fail(where, ec);
    leave_handler();
}

void relay::advance(side direction)
{
    half& from = halves_[direction];
    from.blocked = false;
    error_code ec;
    switch (from.forward.run(*from.from, *halves_[other(direction)].from, ec)) {
    case flow_state::wants_source:
        wait(direction, direction, readiness::readable);
        break;
    case flow_state::wants_sink:
        from.blocked = true;
        wait(direction, other(direction), readiness::writable);
        break;
    case flow_state::ended:
        end_direction(direction);
        break;
    case flow_state::source_failed:
        from.ended = true;
        fail(direction, ec);
        break;
    case flow_state::sink_failed:
        fail(other(direction), ec);
        break;
    }
}

void relay::end_direction(side direction)
{
    half& sink = halves_[other(direction)];
    halves_[direction].ended = true;
    if (failed_) { // a dead socket ends like a closed one once somebody has taken its error
        pass_reset_on();
        return;
    }
    remember_subflows();
    if (sink.ended) {
        finish(relay_end::finished); // closing sends this side's end as well
        return;
    }
    error_code ec;
    sink.from->shutdown_send(ec);
    if (ec)
        fail(other(direction), ec);
}

/// `where` is dead. What it sent before still goes to the other side, then the reset.
void relay::fail(side where, error_code ec)
{
    if (failed_ && *failed_ != where) { // both are
        finish(end_);
        return;
    }
    if (!failed_) {
        failed_ = where;
        error_ = ec;
        end_ = where == client ? relay_end::reset_by_client : relay_end::reset_by_server;
        remember_subflows();
        halves_[other(where)].forward.release();
    }
    if (halves_[where].ended)
        pass_reset_on();
}

void relay::pass_reset_on()
{
    const side survivor = other(*failed_);
    if (unsent_bytes(*halves_[survivor].from) == 0)
        finish(end_);
    else
        watch(survivor); // check() comes back here
}

void relay::finish(relay_end end)
{
    if (std::exchange(closed_, true))
        return;
    end_ = end;
    for (half& h : halves_) {
        if (end == relay_end::finished)
            h.from->close();
        else
            h.from->abort();
        h.forward.release();
    }
}

/// The last pending wait ends here, and with it the relay.
void relay::leave_handler()
{
    if (pending_waits_ > 0)
        return;
    finish(end_); // no-op unless nothing is left to wait for
    auto done = std::exchange(done_, {});
    if (done)
        done(snapshot());
}

/// TCP connections have nothing that could get lost.
void relay::remember_subflows()
{
    auto client_info = halves_[client].from->info();
    auto server_info = halves_[server].from->info();
    if (client_info.asked == protocol::tcp && server_info.asked == protocol::tcp)
        return;
    if (!remembered_)
        remembered_ = std::make_unique<std::array<connection_info, 2>>();
    merge((*remembered_)[client], std::move(client_info));
    merge((*remembered_)[server], std::move(server_info));
}

/// Changes whenever something happens.
std::uint64_t relay::activity() const
{
    std::uint64_t sum = 0;
    for (const half& h : halves_)
        sum += h.forward.delivered_bytes() + (h.ended ? 1 : 0);
    return failed_ ? sum + unsent_bytes(*halves_[other(*failed_)].from) : sum;
}

std::chrono::nanoseconds relay::patience() const
{
    if (failed_)
        return reset_grace;
    return halves_[client].ended || halves_[server].ended ? limits_.half_close : limits_.idle;
}

} // namespace manypath
