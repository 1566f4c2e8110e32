// SPDX-License-Identifier: Apache-2.0
#include "net.h"

#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include <sys/ioctl.h>
#include <sys/stat.h>

#include "truth.h"

void own_network(void) {
  if (unshare(CLONE_NEWNET)) truth_skip("no network namespaces");
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
  TRUTH_CHECK(ioctl(fd, SIOCSIFFLAGS, &request));
  close(fd);
  struct stat status;
  TRUTH_CHECK(stat("/proc/self/ns/net", &status));
  truth("\"t\":\"netns\",\"inode\":%lu", (unsigned long)status.st_ino);
}

struct address parse_address(const char* ip, int port) {
  struct address a = {.size = sizeof(a.v6)};
  a.v6.sin6_family = AF_INET6;
  a.v6.sin6_port = htons((uint16_t)port);
  if (inet_pton(AF_INET6, ip, &a.v6.sin6_addr) == 1) return a;
  memset(&a, 0, sizeof(a));
  a.size = sizeof(a.v4);
  a.v4.sin_family = AF_INET;
  a.v4.sin_port = htons((uint16_t)port);
  if (inet_pton(AF_INET, ip, &a.v4.sin_addr) != 1) truth_die(ip);
  return a;
}

const char* address_text(const struct address* a, char* to, int* port) {
  if (a->any.sa_family == AF_INET6) {
    *port = ntohs(a->v6.sin6_port);
    return inet_ntop(AF_INET6, &a->v6.sin6_addr, to, INET6_ADDRSTRLEN);
  }
  *port = ntohs(a->v4.sin_port);
  return inet_ntop(AF_INET, &a->v4.sin_addr, to, INET6_ADDRSTRLEN);
}

int local_port(int fd) {
  struct address a = {.size = sizeof(a.v6)};
  char buffer[INET6_ADDRSTRLEN];
  int port;
  TRUTH_CHECK(getsockname(fd, &a.any, &a.size));
  address_text(&a, buffer, &port);
  return port;
}

unsigned long long cookie_of(int fd) {
  unsigned long long cookie = 0;
  socklen_t size = sizeof(cookie);
  TRUTH_CHECK(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size));
  return cookie;
}
