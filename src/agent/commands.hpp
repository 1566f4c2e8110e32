// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "agent/options.hpp"

namespace nightjar {

/// The commands; each returns the exit status, and has said on stderr what went wrong.
int watch(const Options& options);
int run(const Options& options);
int doctor(const Options& options);
int list_events(const Options& options);
int configuration(const Options& options);
int import_audit(const Options& options);
int report(const Options& options);
int top(const Options& options);

/// One line on stderr (and its causes below), and the exit status that fits the error.
int fail(const Error& error);

}  // namespace nightjar
