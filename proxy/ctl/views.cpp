// SPDX-License-Identifier: Apache-2.0
#include "proxy/ctl/views.hpp"

#include "proxy/ctl/table.hpp"

#include <sstream>

namespace manypath::ctl {

namespace {

std::string text_of(const asio::ip::address& a)
{
    return a.to_string();
}

std::string text_of(const endpoint& e)
{
    std::ostringstream out;
    out << e;
    return std::move(out).str();
}

template <typename V>
std::string list(const std::vector<V>& values)
{
    std::string out;
    for (const auto& v : values)
        out += (out.empty() ? "" : ", ") + text_of(v);
    return out;
}

std::string flag_names(const config::path_flags& f)
{
    std::string out;
    const auto add = [&](bool set, const char* name) {
        if (set)
            out += (out.empty() ? "" : ",") + std::string{name};
    };
    add(f.subflow, "subflow");
    add(f.signal, "signal");
    add(f.backup, "backup");
    add(f.fullmesh, "fullmesh");
    return out;
}

std::string line(std::string label, const std::string& value)
{
    constexpr std::size_t width = 15;
    label.resize(width, ' ');
    return label + value + '\n';
}

/// "mptcp", "tcp", or "tcp (fell back)" where the gateway wanted MPTCP and the server did not.
std::string server_protocol(const connection_info& side)
{
    const bool fell_back = side.asked == protocol::mptcp && side.negotiated == protocol::tcp;
    return std::string{config::name_of(side.negotiated)} + (fell_back ? " (fell back)" : "");
}

std::string subflow_count(const connection_info& side)
{
    return side.negotiated == protocol::mptcp ? std::to_string(side.subflows.size()) : "-";
}

} // namespace

std::string view(const control::daemon_state& s)
{
    std::string out = line("version", s.version);
    out += line("up", as_duration(s.uptime));
    out += line("backend",
                s.backend == "tcp" ? "tcp (MPTCP is refused here, see manypath check)" : s.backend);
    out += line("configuration", s.file);
    out += line("threads", std::to_string(s.threads));
    out += line("connections", std::to_string(s.connections) + " of at most " +
                                   std::to_string(s.connections_maximum));
    out += line("accepting", s.accepting ? "yes" : "no (draining or out of descriptors)");
    out += line("fallbacks",
                std::to_string(s.fallbacks_remembered) + " destinations remembered as TCP only");
    table listeners{{{"LISTENER", align::left},
                     {"MODE", align::left},
                     {"ACCEPT", align::left},
                     {"DIAL", align::left},
                     {"ACTIVE", align::right},
                     {"ACCEPTED", align::right},
                     {"REFUSED", align::right},
                     {"FAILED", align::right},
                     {"ADDRESSES", align::left}}};
    for (const auto& l : s.listeners)
        listeners.add({l.name, std::string{config::name_of(l.mode)},
                       std::string{config::name_of(l.accept)}, std::string{config::name_of(l.dial)},
                       std::to_string(l.active), std::to_string(l.accepted),
                       std::to_string(l.refused), std::to_string(l.failed), list(l.addresses)});
    return out + '\n' + (s.listeners.empty() ? "No listeners.\n" : listeners.text());
}

std::string view(const std::vector<control::connection_state>& connections)
{
    if (connections.empty())
        return "No connections.\n";
    table out{{{"LISTENER", align::left},
               {"CLIENT", align::left},
               {"TO", align::left},
               {"CLIENT SIDE", align::left},
               {"SUBFLOWS", align::right},
               {"SERVER SIDE", align::left},
               {"SUBFLOWS", align::right},
               {"TO SERVER", align::right},
               {"TO CLIENT", align::right},
               {"AGE", align::right}}};
    for (const auto& c : connections)
        out.add({c.listener, text_of(c.client), c.to,
                 std::string{config::name_of(c.client_side.negotiated)},
                 subflow_count(c.client_side), server_protocol(c.server_side),
                 subflow_count(c.server_side), as_bytes(c.bytes_to_server),
                 as_bytes(c.bytes_to_client), as_duration(c.age)});
    return out.text();
}

std::string view(const std::vector<control::path_state>& paths)
{
    if (paths.empty())
        return "No paths. The configuration has no [[path]].\n";
    table out{{{"PATH", align::left},
               {"INTERFACE", align::left},
               {"STATE", align::left},
               {"FLAGS", align::left},
               {"SUBFLOWS", align::right},
               {"SENT", align::right},
               {"RECEIVED", align::right},
               {"ADDRESSES", align::left}}};
    for (const auto& p : paths)
        out.add({p.name, p.interface, p.up ? "up" : "down", flag_names(p.flags),
                 std::to_string(p.subflows), as_bytes(p.sent_bytes), as_bytes(p.received_bytes),
                 list(p.addresses)});
    return out.text();
}

} // namespace manypath::ctl
