// SPDX-License-Identifier: Apache-2.0
#pragma once

/// What the shared library shows; all else in it is hidden.
#define NIGHTJAR_API [[gnu::visibility("default")]]
