// SPDX-License-Identifier: Apache-2.0
// net_tcp LOG WHAT [N]: TCP in a network namespace of its own. Each end writes what it is, sent and received:
// {"t":"end","role":..,"pid":..,"ip":..,"port":..,"peer_ip":..,"peer_port":..,"cookie":..,"sent":..,"received":..}
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "net.h"
#include "truth.h"

// The other end of each descriptor: a socket whose connection is over cannot tell any more.
static struct address peers[64];

// IPPROTO_MPTCP, which not every libc's headers have, or 0: TCP.
static int protocol = 0;

static int take(int server) {
  struct address a = {.size = sizeof(a.v6)};
  int fd = accept4(server, &a.any, &a.size, SOCK_CLOEXEC);
  if (fd < 0 || fd >= 64) truth_die("accept");
  peers[fd] = a;
  return fd;
}

static void tell(const char* role, int fd, long sent, long received) {
  struct address own = {.size = sizeof(own.v6)};
  char own_ip[INET6_ADDRSTRLEN], peer_ip[INET6_ADDRSTRLEN] = "";
  int own_port, peer_port = 0;
  TRUTH_CHECK(getsockname(fd, &own.any, &own.size));
  address_text(&own, own_ip, &own_port);
  address_text(&peers[fd], peer_ip, &peer_port);
  truth(
      "\"t\":\"end\",\"role\":\"%s\",\"pid\":%d,\"ip\":\"%s\",\"port\":%d,\"peer_ip\":\"%s\",\"peer_port\":%d,"
      "\"cookie\":%llu,\"sent\":%ld,\"received\":%ld",
      role, getpid(), own_ip, own_port, peer_ip, peer_port, cookie_of(fd), sent, received);
}

static int listener(const char* ip, int backlog) {
  struct address a = parse_address(ip, 0);
  int fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, protocol);
  if (fd < 0 && errno == EAFNOSUPPORT) truth_skip("no IPv6");
  if (fd < 0 && protocol != 0) truth_skip(errno == ENOPROTOOPT ? "MPTCP is off" : "no MPTCP");
  TRUTH_CHECK(bind(fd, &a.any, a.size));
  TRUTH_CHECK(listen(fd, backlog));
  truth("\"t\":\"listen\",\"pid\":%d,\"ip\":\"%s\",\"port\":%d,\"cookie\":%llu", getpid(), ip, local_port(fd),
        cookie_of(fd));
  return fd;
}

// connect(2) through io_uring: no system call of that name is made. Without liburing, for one request.
static int connect_by_ring(int fd, const struct address* to) {
  struct io_uring_params p = {0};
  int ring = (int)syscall(SYS_io_uring_setup, 1, &p);
  if (ring < 0) truth_skip("no io_uring");
  size_t requests = p.sq_off.array + p.sq_entries * sizeof(unsigned);
  size_t results = p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe);
  const int both = PROT_READ | PROT_WRITE;
  char* sq = mmap(NULL, requests, both, MAP_SHARED, ring, IORING_OFF_SQ_RING);
  char* cq = mmap(NULL, results, both, MAP_SHARED, ring, IORING_OFF_CQ_RING);
  struct io_uring_sqe* sqe = mmap(NULL, p.sq_entries * sizeof(*sqe), both, MAP_SHARED, ring, IORING_OFF_SQES);
  if (sq == MAP_FAILED || cq == MAP_FAILED || sqe == MAP_FAILED) truth_die("mmap");
  sqe->opcode = IORING_OP_CONNECT;
  sqe->fd = fd;
  sqe->addr = (unsigned long)to;
  sqe->off = to->size;
  *(unsigned*)(sq + p.sq_off.array) = 0;
  *(unsigned*)(sq + p.sq_off.tail) = 1;
  if (syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) != 1) truth_die("io_uring_enter");
  errno = -((struct io_uring_cqe*)(cq + p.cq_off.cqes))->res;
  close(ring);
  return errno ? -1 : 0;
}

// connect(2) as a 32-bit program calls it. The address must lie below 4 GiB: static, in a program that has no PIE.
static int connect_32(int fd, const struct address* to) {
#ifdef __x86_64__
  static struct address low;
  long result;
  low = *to;
  __asm__ volatile("int $0x80"
                   : "=a"(result)
                   : "a"(362), "b"((long)fd), "c"((long)&low), "d"((long)low.size)
                   : "memory", "r8", "r9", "r10", "r11");
  errno = (int)-result;
  if (result == -ENOSYS) truth_skip("no system calls of 32-bit programs");
  return result ? -1 : 0;
#else
  (void)fd, (void)to;
  truth_skip("no 32-bit system calls on this architecture");
#endif
}

static int (*how_to_connect)(int fd, const struct address* to) = NULL;

static int connect_to(int fd, const struct address* to) {
  return how_to_connect ? how_to_connect(fd, to) : connect(fd, &to->any, to->size);
}

static int open_to(const char* ip, int port, int flags) {
  struct address a = parse_address(ip, port);
  int fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | flags, protocol);
  if (fd < 0) truth_die("socket");
  if (connect_to(fd, &a) && errno != EINPROGRESS) truth_die("connect");
  peers[fd] = a;
  return fd;
}

static long send_all(int fd, long size) {
  static char block[65536];
  for (long left = size; left > 0;) {
    ssize_t n = write(fd, block, left < (long)sizeof(block) ? (size_t)left : sizeof(block));
    if (n <= 0) truth_die("write");
    left -= n;
  }
  return size;
}

static long drain(int fd) {
  static char block[65536];
  long all = 0;
  for (;;) {
    ssize_t n = read(fd, block, sizeof(block));
    if (n <= 0) return all;
    all += n;
  }
}

static pid_t child(void) {
  pid_t pid = fork();
  if (pid < 0) truth_die("fork");
  return pid;
}

// A request and an answer; the client shuts down its half first.
static void serve(int server, const char* role, long answer) {
  int fd = take(server);
  long received = drain(fd);
  tell(role, fd, send_all(fd, answer), received);
  close(fd);
}

static void ask(int fd, const char* role, long request) {
  send_all(fd, request);
  TRUTH_CHECK(shutdown(fd, SHUT_WR));
  tell(role, fd, request, drain(fd));
  close(fd);
}

static void exchange(const char* listen_ip, const char* connect_ip, int nonblocking) {
  int server = listener(listen_ip, 5);
  int port = local_port(server);
  pid_t pid = child();
  if (!pid) {
    serve(server, "server", 7919);
    _exit(0);
  }
  int fd = open_to(connect_ip, port, nonblocking ? SOCK_NONBLOCK : 0);
  if (nonblocking) {
    struct pollfd ready = {.fd = fd, .events = POLLOUT};
    TRUTH_CHECK(poll(&ready, 1, -1));
    TRUTH_CHECK(fcntl(fd, F_SETFL, 0));
  }
  ask(fd, "client", 1048583);
  waitpid(pid, NULL, 0);
}

static void refused(int nonblocking) {
  int server = listener("127.0.0.1", 5), port = local_port(server);
  close(server);
  struct address a = parse_address("127.0.0.1", port);
  int fd = socket(AF_INET, SOCK_STREAM | (nonblocking ? SOCK_NONBLOCK : 0), 0);
  int error = connect(fd, &a.any, a.size) ? errno : 0;
  if (error == EINPROGRESS) {
    struct pollfd ready = {.fd = fd, .events = POLLOUT};
    socklen_t size = sizeof(error);
    TRUTH_CHECK(poll(&ready, 1, -1));
    TRUTH_CHECK(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size));
  }
  truth("\"t\":\"failed\",\"pid\":%d,\"port\":%d,\"errno\":%d", getpid(), port, error);
}

// A queue that is full drops what comes; the attempt gives up after one more try.
static void timed_out(int give_up) {
  int server = listener("127.0.0.1", 0), port = local_port(server), tries = 1;
  struct address a = parse_address("127.0.0.1", port);
  int fillers[3];
  for (int i = 0; i < 3; i++) fillers[i] = open_to("127.0.0.1", port, SOCK_NONBLOCK);
  usleep(50000);
  int fd = socket(AF_INET, SOCK_STREAM | (give_up ? SOCK_NONBLOCK : 0), 0);
  TRUTH_CHECK(setsockopt(fd, IPPROTO_TCP, TCP_SYNCNT, &tries, sizeof(tries)));
  int error = connect(fd, &a.any, a.size) ? errno : 0;
  truth("\"t\":\"failed\",\"pid\":%d,\"port\":%d,\"local_port\":%d,\"errno\":%d", getpid(), port, local_port(fd),
        error);
  close(fd);
  for (int i = 0; i < 3; i++) close(fillers[i]);
}

static void reset(void) {
  int server = listener("127.0.0.1", 5);
  int fd = open_to("127.0.0.1", local_port(server), 0);
  int taken = take(server);
  tell("client", fd, send_all(fd, 1009), 0);
  char block[1009];
  if (recv(taken, block, sizeof(block), MSG_WAITALL) != 1009) truth_die("recv");
  tell("server", taken, 0, 1009);
  struct linger now = {.l_onoff = 1};
  TRUTH_CHECK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)));
  close(fd);
  if (read(taken, block, 1) >= 0 || errno != ECONNRESET) truth_die("no reset");
  close(taken);
}

// A worker, forked after listen, accepts; its parent has the listening socket too but accepts nothing.
static void forked(void) {
  int server = listener("127.0.0.1", 5), port = local_port(server);
  pid_t workers[3];
  for (int i = 0; i < 3; i++) {
    workers[i] = child();
    if (workers[i]) continue;
    for (int n = 0; n < 7; n++) serve(server, "server", 101);
    _exit(0);
  }
  for (int n = 0; n < 21; n++) ask(open_to("127.0.0.1", port, 0), "client", 211);
  for (int i = 0; i < 3; i++) waitpid(workers[i], NULL, 0);
}

// The client connects and gives the socket away; another process uses it until the server cuts it off.
static void passed(int cut_off) {
  int server = listener("127.0.0.1", 5), port = local_port(server), pair[2];
  TRUTH_CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
  char byte = 0, room[CMSG_SPACE(sizeof(int))] = {0};
  struct iovec part = {.iov_base = &byte, .iov_len = 1};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room)};
  pid_t pid = child();
  if (!pid) {
    close(pair[0]);
    close(server);
    if (recvmsg(pair[1], &message, 0) != 1) truth_die("recvmsg");
    int fd;
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
    peers[fd] = parse_address("127.0.0.1", port);
    send_all(fd, 307);
    if (!cut_off) TRUTH_CHECK(shutdown(fd, SHUT_WR));
    tell("receiver", fd, 307, drain(fd));
    close(fd);
    _exit(0);
  }
  close(pair[1]);
  int fd = open_to("127.0.0.1", port, 0);
  int taken = take(server);
  struct cmsghdr* control = CMSG_FIRSTHDR(&message);
  control->cmsg_level = SOL_SOCKET;
  control->cmsg_type = SCM_RIGHTS;
  control->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(control), &fd, sizeof(fd));
  tell("giver", fd, 0, 0);
  if (sendmsg(pair[0], &message, 0) != 1) truth_die("sendmsg");
  close(fd);
  if (cut_off) {
    char block[307];
    if (recv(taken, block, sizeof(block), MSG_WAITALL) != 307) truth_die("recv");
    struct linger now = {.l_onoff = 1};
    TRUTH_CHECK(setsockopt(taken, SOL_SOCKET, SO_LINGER, &now, sizeof(now)));
  } else {
    drain(taken);
  }
  close(taken);
  waitpid(pid, NULL, 0);
}

static void storm(int count) {
  int server = listener("127.0.0.1", 128), port = local_port(server);
  pid_t pid = child();
  if (!pid) {
    for (int i = 0; i < count; i++) {
      int fd = accept(server, NULL, NULL);
      drain(fd);
      close(fd);
    }
    _exit(0);
  }
  for (int i = 0; i < count; i++) {
    // Each from an address of its own, as the ports of one would run out.
    struct address own = parse_address("127.0.0.1", 0), to = parse_address("127.0.0.1", port);
    own.v4.sin_addr.s_addr = htonl(0x7f000001U + (unsigned)(i / 5000));
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    TRUTH_CHECK(setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on)));
    TRUTH_CHECK(bind(fd, &own.any, own.size));
    TRUTH_CHECK(connect(fd, &to.any, to.size));
    send_all(fd, i % 97 + 1);
    truth("\"t\":\"one\",\"pid\":%d,\"server\":%d,\"port\":%d,\"sent\":%d", getpid(), pid, local_port(fd), i % 97 + 1);
    close(fd);
  }
  waitpid(pid, NULL, 0);
}

int main(int argc, char** argv) {
  if (argc < 3) return 98;
  const char* what = argv[2];
  truth_open(argv[1]);
  own_network();
  if (!strcmp(what, "v4"))
    exchange("127.0.0.1", "127.0.0.1", 0);
  else if (!strcmp(what, "v6"))
    exchange("::1", "::1", 0);
  else if (!strcmp(what, "mapped"))
    exchange("::", "::ffff:127.0.0.1", 0);
  else if (!strcmp(what, "mptcp")) {
    protocol = 262;
    exchange("127.0.0.1", "127.0.0.1", 0);
  } else if (!strcmp(what, "io_uring")) {
    how_to_connect = connect_by_ring;
    exchange("127.0.0.1", "127.0.0.1", 0);
  } else if (!strcmp(what, "32_bit")) {
    how_to_connect = connect_32;
    exchange("127.0.0.1", "127.0.0.1", 0);
  } else if (!strcmp(what, "nonblocking"))
    exchange("127.0.0.1", "127.0.0.1", 1);
  else if (!strcmp(what, "refused"))
    refused(0);
  else if (!strcmp(what, "refused_nonblocking"))
    refused(1);
  else if (!strcmp(what, "timed_out"))
    timed_out(0);
  else if (!strcmp(what, "given_up"))
    timed_out(1);
  else if (!strcmp(what, "reset"))
    reset();
  else if (!strcmp(what, "forked"))
    forked();
  else if (!strcmp(what, "passed"))
    passed(0);
  else if (!strcmp(what, "passed_and_cut_off"))
    passed(1);
  else if (!strcmp(what, "storm"))
    storm(atoi(argv[3]));
  else
    return 98;
  return 0;
}
