// SPDX-License-Identifier: Apache-2.0
#include "proxy/transport/system_resolver.hpp"

#include "proxy/transport/destination.hpp"

#include <algorithm>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <list>
#include <map>
#include <mutex>
#include <netdb.h>
#include <thread>
#include <utility>

namespace manypath {

namespace {

using addresses = resolver::addresses;

error_code to_error_code(int gai)
{
    switch (gai) {
    case 0:
        return {};
    case EAI_AGAIN:
        return asio::error::host_not_found_try_again;
    case EAI_MEMORY:
        return asio::error::no_memory;
    case EAI_SYSTEM:
        return {errno, boost::system::system_category()};
    default:
        return asio::error::host_not_found;
    }
}

addresses ask_system(const std::string& name, error_code& ec)
{
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* list = nullptr;
    ec = to_error_code(::getaddrinfo(name.c_str(), nullptr, &hints, &list));
    addresses found;
    for (const addrinfo* at = list; at != nullptr; at = at->ai_next) {
        endpoint socket_address;
        if (at->ai_addrlen > socket_address.capacity())
            continue;
        std::memcpy(socket_address.data(), at->ai_addr, at->ai_addrlen);
        found.push_back(unmapped(socket_address.address()));
    }
    if (list != nullptr)
        ::freeaddrinfo(list);
    if (found.empty() && !ec)
        ec = asio::error::host_not_found;
    return found;
}

using answer = std::move_only_function<void(error_code, addresses)>;

/// An answer that any thread may give, and that resumes a coroutine on its own.
template <typename Handler>
answer resume_at_home(Handler handler)
{
    const auto home = asio::get_associated_executor(handler);
    auto slot = asio::get_associated_cancellation_slot(handler);
    return [handler = std::move(handler), slot, home,
            work = asio::make_work_guard(home)](error_code ec, addresses found) mutable {
        auto resume = [handler = std::move(handler), slot, ec, found = std::move(found)]() mutable {
            if (slot.is_connected())
                slot.clear();
            std::move(handler)(ec, std::move(found));
        };
        asio::post(home, std::move(resume));
    };
}

} // namespace

/// Lives until the last thread has ended, which may be after the resolver.
class system_resolver::shared : public std::enable_shared_from_this<shared> {
public:
    using ticket = std::uint64_t;

    shared(limits most, look_up how) : most_(most), how_(std::move(how)) {}

    /// @param done  called once, from any thread, possibly from inside this call
    ticket submit(const std::string& name, answer done)
    {
        std::unique_lock lock{mutex_};
        const auto found = names_.find(name);
        if (found == names_.end() && names_.size() >= most_.names) {
            lock.unlock();
            done(asio::error::host_not_found_try_again, {});
            return 0;
        }
        if (found == names_.end())
            queue_.push_back(name);
        names_[name].push_back({++last_ticket_, std::move(done)});
        start_thread_if_useful();
        wake_.notify_one();
        return last_ticket_;
    }

    /// Drops one question. A name that nobody asks for any more leaves the queue.
    void cancel(const std::string& name, ticket which)
    {
        std::unique_lock lock{mutex_};
        const auto found = names_.find(name);
        if (found == names_.end())
            return;
        auto& waiting = found->second;
        const auto mine = std::find_if(waiting.begin(), waiting.end(),
                                       [which](const waiter& w) { return w.number == which; });
        if (mine == waiting.end())
            return;
        answer done = std::move(mine->done);
        waiting.erase(mine);
        const auto queued = std::find(queue_.begin(), queue_.end(), name);
        if (waiting.empty() && queued != queue_.end()) {
            queue_.erase(queued);
            names_.erase(found);
        }
        lock.unlock();
        done(asio::error::operation_aborted, {});
    }

    void stop()
    {
        const std::lock_guard lock{mutex_};
        stopped_ = true;
        wake_.notify_all();
    }

private:
    struct waiter {
        ticket number;
        answer done;
    };

    void start_thread_if_useful() // with the lock held
    {
        if (idle_ >= queue_.size() || threads_ >= most_.threads)
            return;
        std::thread{[self = shared_from_this()] { self->work(); }}.detach();
        ++threads_;
    }

    void work()
    {
        std::unique_lock lock{mutex_};
        for (;;) {
            ++idle_;
            wake_.wait(lock, [this] { return stopped_ || !queue_.empty(); });
            --idle_;
            if (stopped_)
                return;
            const std::string name = std::move(queue_.front());
            queue_.pop_front();
            lock.unlock();
            error_code ec;
            const addresses found = how_(name, ec);
            lock.lock();
            auto node = names_.extract(name);
            lock.unlock();
            for (auto& w : node.mapped())
                w.done(ec, found);
            lock.lock();
        }
    }

    const limits most_;
    const look_up how_;
    std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<std::string> queue_;                  ///< not yet begun
    std::map<std::string, std::list<waiter>> names_; ///< begun and not yet begun
    ticket last_ticket_ = 0;
    unsigned threads_ = 0;
    unsigned idle_ = 0;
    bool stopped_ = false;
};

system_resolver::system_resolver() : system_resolver(limits{}, ask_system) {}

system_resolver::system_resolver(limits most, look_up how)
    : shared_(std::make_shared<shared>(most, std::move(how)))
{
}

system_resolver::~system_resolver()
{
    shared_->stop();
}

asio::awaitable<resolver::addresses> system_resolver::resolve(std::string name, error_code& ec)
{
    auto start = [this, &name](auto handler) {
        auto slot = asio::get_associated_cancellation_slot(handler);
        const auto ticket = shared_->submit(name, resume_at_home(std::move(handler)));
        if (slot.is_connected())
            slot.assign([shared = shared_, name, ticket](asio::cancellation_type) {
                shared->cancel(name, ticket);
            });
    };
    using token = asio::redirect_error_t<asio::use_awaitable_t<>>;
    token resume{asio::use_awaitable, ec};
    co_return co_await asio::async_initiate<token, void(error_code, addresses)>(start, resume);
}

} // namespace manypath
