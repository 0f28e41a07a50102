// network_monitor.hpp: tells that interfaces, addresses or routes have changed.
//
// Only that, not what: the keeper looks at everything again.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/async/unique_fd.hpp"

namespace manypath::keeper {

class network_monitor {
public:
    /// Without a socket nothing is ever told.
    network_monitor();

    [[nodiscard]] int native_handle() const noexcept { return socket_.get(); } ///< for polling
    void drain() const;

private:
    unique_fd socket_;
};

} // namespace manypath::keeper
