// ruleset.hpp: the nft table that sends traffic to transparent listeners.
//
// The kernel ties a table with `flags owner` to the socket that made it: when this process ends, in
// whatever way, the table is gone. So the context stays open for the whole life of the keeper, and
// no child may keep its descriptor.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/config/config.hpp"

#include <expected>
#include <memory>
#include <nftables/libnftables.h>
#include <string>

namespace manypath::keeper {

inline constexpr const char* table_name = "manypath"; ///< family inet

/// The chains for all transparent listeners with rules = true; a pure function.
/// @return empty where there is none
[[nodiscard]] std::string intercept_chains(const config::configuration& c);

/// The chains for connections that live on when the last such listener has gone.
[[nodiscard]] std::string connection_chains();

class ruleset {
public:
    /// Makes the empty table. Until the first rules nothing is intercepted.
    /// @param owned  false: a kernel before 5.12; the caller has recorded nft_table as a step
    /// @return what nft said; a table of this name, whoever made it, is an error and stays
    [[nodiscard]] static std::expected<ruleset, std::string> create(bool owned);

    /// Whether somebody has a table of this name.
    [[nodiscard]] static bool exists();

    /// Whether this kernel ties tables to their maker. Leaves nothing behind.
    [[nodiscard]] static bool kernel_ties_tables();

    /// Replaces all rules in one transaction: either the old ones or the new ones are in force.
    [[nodiscard]] std::expected<void, std::string> replace(const std::string& chains);

private:
    struct closer {
        void operator()(nft_ctx* c) const noexcept { nft_ctx_free(c); }
    };
    using context = std::unique_ptr<nft_ctx, closer>;
    ruleset(context c, bool owned) noexcept : context_(std::move(c)), owned_(owned) {}

    context context_;
    bool owned_;
};

/// Removes a table of ours that outlived its maker.
[[nodiscard]] std::expected<void, std::string> delete_table(const std::string& name);

} // namespace manypath::keeper
