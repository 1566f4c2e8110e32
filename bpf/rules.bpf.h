/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Path rules, see src/rules. */
#pragma once
#include "path.bpf.h"
