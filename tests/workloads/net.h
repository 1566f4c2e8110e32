// SPDX-License-Identifier: Apache-2.0
// What the network workloads share: a network of their own, and addresses.
#pragma once

#include <arpa/inet.h>

#include <sys/socket.h>

struct address {
  union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
  };
  socklen_t size;
};

// A new network namespace with only the loopback interface, up; {"t":"netns","inode":..}. Ends the workload where that
// cannot be had.
void own_network(void);

struct address parse_address(const char* ip, int port);

// The address as text (TO has INET6_ADDRSTRLEN bytes), and its port.
const char* address_text(const struct address* a, char* to, int* port);

int local_port(int fd);
unsigned long long cookie_of(int fd);
