// SPDX-License-Identifier: Apache-2.0
#include "proxy/control/json.hpp"

#include "proxy/config/values.hpp"

#include <algorithm>
#include <boost/json/value.hpp>
#include <boost/json/value_to.hpp>
#include <charconv>
#include <concepts>
#include <sstream>
#include <stdexcept>

namespace manypath::control {

namespace {

namespace json = boost::json;

/// `T` is State or const State, for reading or writing.
template <typename T, typename State>
concept like = std::same_as<std::remove_const_t<T>, State>;

// The fields, one line each. A number's unit is the last word of its name.

void fields(auto& field, like<config::path_flags> auto& s)
{
    field("subflow", s.subflow);
    field("signal", s.signal);
    field("backup", s.backup);
    field("fullmesh", s.fullmesh);
}

void fields(auto& field, like<subflow_info> auto& s)
{
    field("local", s.local);
    field("remote", s.remote);
    field("sent_bytes", s.sent_bytes);
    field("received_bytes", s.received_bytes);
    field("round_trip_us", s.round_trip);
}

void fields(auto& field, like<connection_info> auto& s)
{
    field("asked", s.asked);
    field("negotiated", s.negotiated);
    field("token", s.token);
    field("subflows", s.subflows);
}

void fields(auto& field, like<listener_state> auto& s)
{
    field("name", s.name);
    field("mode", s.mode);
    field("addresses", s.addresses);
    field("accept", s.accept);
    field("dial", s.dial);
    field("accepted", s.accepted);
    field("refused", s.refused);
    field("failed", s.failed);
    field("active", s.active);
}

void fields(auto& field, like<daemon_state> auto& s)
{
    field("version", s.version);
    field("backend", s.backend);
    field("file", s.file);
    field("uptime_seconds", s.uptime);
    field("threads", s.threads);
    field("connections", s.connections);
    field("connections_maximum", s.connections_maximum);
    field("accepting", s.accepting);
    field("fallbacks_remembered", s.fallbacks_remembered);
    field("listeners", s.listeners);
}

void fields(auto& field, like<connection_state> auto& s)
{
    field("listener", s.listener);
    field("client", s.client);
    field("to", s.to);
    field("client_side", s.client_side);
    field("server_side", s.server_side);
    field("bytes_to_server", s.bytes_to_server);
    field("bytes_to_client", s.bytes_to_client);
    field("age_seconds", s.age);
}

void fields(auto& field, like<path_state> auto& s)
{
    field("name", s.name);
    field("interface", s.interface);
    field("up", s.up);
    field("addresses", s.addresses);
    field("flags", s.flags);
    field("subflows", s.subflows);
    field("sent_bytes", s.sent_bytes);
    field("received_bytes", s.received_bytes);
}

// Writing.

/// A name that a client asked for may hold bytes that are no UTF-8, which no JSON may contain.
json::value written(const std::string& s)
{
    json::string out{s};
    std::ranges::replace_if(out, [](char c) { return c < 0; }, '?');
    return out;
}
json::value written(bool b)
{
    return json::value(b);
}
json::value written(std::unsigned_integral auto n)
{
    return json::value(std::uint64_t{n});
}
template <typename Rep, typename Period>
json::value written(const std::chrono::duration<Rep, Period>& d)
{
    return json::value(std::int64_t{d.count()});
}
json::value written(config::listen_mode m)
{
    return json::value(config::name_of(m));
}
json::value written(protocol p)
{
    return json::value(config::name_of(p));
}
json::value written(const asio::ip::address& a)
{
    return json::value(a.to_string());
}
json::value written(const endpoint& e)
{
    std::ostringstream out;
    out << e;
    return json::value(out.str());
}
template <typename V>
json::value written(const std::vector<V>& list);
template <typename State>
    requires std::is_class_v<State>
json::value written(const State& s);

struct writer {
    json::object out;
    void operator()(const char* name, const auto& value) { out[name] = written(value); }
};

template <typename V>
json::value written(const std::vector<V>& list)
{
    json::array out;
    out.reserve(list.size());
    for (const auto& v : list)
        out.push_back(written(v));
    return out;
}

template <typename State>
    requires std::is_class_v<State>
json::value written(const State& s)
{
    writer w;
    fields(w, s);
    return std::move(w.out);
}

// Reading; what is wrong leaves as an exception, as Boost.JSON's own errors do.

template <typename E, std::size_t Size>
void read_word(const json::value& in, const std::array<config::choice<E>, Size>& choices, E& out)
{
    for (const auto& c : choices)
        if (c.value && c.name == std::string_view{in.as_string()})
            return void(out = *c.value);
    throw std::invalid_argument{"unknown word " + config::quoted(in.as_string())};
}

void read(const json::value& in, std::string& out)
{
    out = in.as_string();
}
void read(const json::value& in, bool& out)
{
    out = in.as_bool();
}
template <std::unsigned_integral N>
void read(const json::value& in, N& out)
{
    out = in.to_number<N>();
}
template <typename Rep, typename Period>
void read(const json::value& in, std::chrono::duration<Rep, Period>& out)
{
    out = std::chrono::duration<Rep, Period>{in.to_number<Rep>()};
}
void read(const json::value& in, config::listen_mode& out)
{
    read_word(in, config::listen_modes, out);
}
void read(const json::value& in, protocol& out)
{
    read_word(in, config::protocols, out);
}
void read(const json::value& in, asio::ip::address& out)
{
    out = asio::ip::make_address(std::string_view{in.as_string()});
}
void read(const json::value& in, endpoint& out)
{
    const std::string_view text = in.as_string();
    const auto colon = text.rfind(':');
    std::uint16_t port = 0;
    if (colon == text.npos || colon == 0 ||
        std::from_chars(text.data() + colon + 1, text.data() + text.size(), port).ec != std::errc{})
        throw std::invalid_argument{"no address with port: " + config::quoted(text)};
    auto host = text.substr(0, colon);
    if (host.starts_with('[') && host.ends_with(']'))
        host = host.substr(1, host.size() - 2);
    out = endpoint{asio::ip::make_address(host), port};
}
template <typename V>
void read(const json::value& in, std::vector<V>& out);
template <typename State>
    requires std::is_class_v<State>
void read(const json::value& in, State& out);

struct reader {
    const json::object& in;
    void operator()(const char* name, auto& value) { read(in.at(name), value); }
};

template <typename V>
void read(const json::value& in, std::vector<V>& out)
{
    for (const auto& element : in.as_array())
        read(element, out.emplace_back());
}

template <typename State>
    requires std::is_class_v<State>
void read(const json::value& in, State& out)
{
    reader r{in.as_object()};
    fields(r, out);
}

} // namespace

json::value to_json(const daemon_state& state)
{
    return written(state);
}

json::value to_json(const std::vector<connection_state>& state)
{
    return written(state);
}

json::value to_json(const std::vector<path_state>& state)
{
    return written(state);
}

template <typename State>
std::expected<State, std::string> from_json(const json::value& json)
{
    try {
        State out;
        read(json, out);
        return out;
    } catch (const std::exception& e) {
        return std::unexpected{std::string{e.what()}};
    }
}

template std::expected<daemon_state, std::string> from_json(const json::value&);
template std::expected<std::vector<connection_state>, std::string> from_json(const json::value&);
template std::expected<std::vector<path_state>, std::string> from_json(const json::value&);

} // namespace manypath::control
