// SPDX-License-Identifier: Apache-2.0
// The ground truth of a workload: one JSON object a line, each written with one write(2) to a file opened O_APPEND, so
// that several processes may share it. Byte strings are written in hex, since they need not be UTF-8.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdnoreturn.h>

#include <sys/types.h>

// Opens the log (created 0666) on a high descriptor, close-on-exec.
void truth_open(const char* path);

// Adopts the log that truth_inherit() left open; returns 0 when there is none.
int truth_adopt(void);

// Lets programs that this process executes write to the same log: clears close-on-exec, sets NJ_TRUTH_FD in environ.
void truth_inherit(void);

int truth_fd(void);

// One line; the caller gives the text between the braces: truth("\"t\":\"end\",\"pid\":%d", pid).
void truth(const char* format, ...) __attribute__((format(printf, 1, 2)));

// Everything that a process can know about itself, as {"t":WHAT,"pid":...,...}.
void truth_self(const char* what);

// {"t":WHAT,"path":hex,"ino":..,"major":..,...} of a file.
void truth_stat(const char* what, const char* path);

// {"t":WHAT,"status":raw wait status,"exited":code} or "signal", "core", and the rusage; waits for the child.
int truth_wait(const char* what, pid_t pid);

// What this thread just did, and an event must tell: {"t":"told","action":ACTION,"pid":..,"tid":..,"is":{FIELDS}}.
// FIELDS is the text between the braces: "nightjar.mount.target":"/mnt", ... null for a field that must be absent.
void truth_told(const char* action, const char* fields, ...) __attribute__((format(printf, 2, 3)));

// The namespaces of this thread as /proc has them: PREFIX.mnt, PREFIX.pid, ... to the members of a JSON object.
const char* truth_namespaces(const char* prefix);

// CLOCK_REALTIME, nanoseconds.
int64_t truth_now(void);

// Hex of SIZE bytes, malloc'd.
char* truth_hex(const void* bytes, size_t size);

// Ends the workload with status 99 and a line on stderr: a broken workload is not a failed sensor.
noreturn void truth_die(const char* what);

// Ends the workload with status 77 after logging {"t":"skip","why":...}: this machine cannot do what is wanted.
noreturn void truth_skip(const char* why);

#define TRUTH_CHECK(call)             \
  do {                                \
    if ((call) < 0) truth_die(#call); \
  } while (0)
