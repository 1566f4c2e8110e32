// SPDX-License-Identifier: Apache-2.0
// net_udp LOG WHAT [N]: UDP, DNS and unix sockets in a network namespace of their own. What was done, by whom:
// {"t":"flow","pid":..,"port":..,"peer_port":..,"sent":DATAGRAMS,"sent_bytes":..,"received":..,"received_bytes":..}
#include <errno.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "net.h"
#include "truth.h"

static int bound(const char* ip, int port) {
  struct address a = parse_address(ip, port);
  int fd = socket(a.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0 && errno == EAFNOSUPPORT) truth_skip("no IPv6");
  TRUTH_CHECK(bind(fd, &a.any, a.size));
  return fd;
}

static void send_to(int fd, const char* ip, int port, const void* bytes, size_t size) {
  struct address a = parse_address(ip, port);
  if (sendto(fd, bytes, size, 0, &a.any, a.size) != (ssize_t)size) truth_die("sendto");
}

static size_t receive(int fd, struct address* from, void* to, size_t room) {
  from->size = sizeof(from->v6);
  ssize_t size = recvfrom(fd, to, room, 0, &from->any, &from->size);
  if (size < 0) truth_die("recvfrom");
  return (size_t)size;
}

static void tell(int port, int peer_port, int sent, long sent_bytes, int received, long received_bytes) {
  truth(
      "\"t\":\"flow\",\"pid\":%d,\"port\":%d,\"peer_port\":%d,\"sent\":%d,\"sent_bytes\":%ld,\"received\":%d,"
      "\"received_bytes\":%ld",
      getpid(), port, peer_port, sent, sent_bytes, received, received_bytes);
}

// Two processes; the receiver says after each 61 datagrams that it can take more, so that none is dropped.
static void flow(const char* ip, const char* to_ip, int count) {
  int server = bound(ip, 0), port = local_port(server), tokens[2];
  TRUTH_CHECK(pipe(tokens));
  int fd = bound(to_ip, 0);
  int client_port = local_port(fd);
  pid_t pid = fork();
  char block[256] = {0};
  long bytes = 0;
  if (!pid) {
    struct address from;
    close(fd);
    for (int i = 0; i < count; i++) {
      bytes += (long)receive(server, &from, block, sizeof(block));
      if (i % 61 == 60 && write(tokens[1], block, 1) != 1) truth_die("write");
    }
    tell(port, client_port, 0, 0, count, bytes);
    _exit(0);
  }
  close(server);
  for (int i = 0; i < count; i++) {
    send_to(fd, to_ip, port, block, (size_t)(i % 199));
    bytes += i % 199;
    if (i % 61 == 60 && read(tokens[0], block, 1) != 1) truth_die("read");
  }
  waitpid(pid, NULL, 0);
  tell(client_port, port, count, bytes, 0, 0);
  close(fd);
}

// One question, a second one, one answer; every end in its own process. `how`: connected or not.
static void answer(int connected) {
  int server = bound("127.0.0.1", 0), port = local_port(server);
  pid_t pid = fork();
  char block[64] = {0};
  struct address from;
  if (!pid) {
    receive(server, &from, block, sizeof(block));
    receive(server, &from, block, sizeof(block));
    if (sendto(server, block, 41, 0, &from.any, from.size) != 41) truth_die("sendto");
    tell(port, ntohs(from.v4.sin_port), 1, 41, 2, 30);
    _exit(0);
  }
  close(server);
  int fd = bound("127.0.0.1", 0);
  struct address to = parse_address("127.0.0.1", port);
  if (connected) {
    TRUTH_CHECK(connect(fd, &to.any, to.size));
    if (send(fd, block, 13, 0) != 13 || write(fd, block, 17) != 17) truth_die("send");
    if (read(fd, block, sizeof(block)) != 41) truth_die("read");
  } else {
    struct iovec part = {.iov_base = block, .iov_len = 17};
    struct msghdr message = {.msg_name = &to.any, .msg_namelen = to.size, .msg_iov = &part, .msg_iovlen = 1};
    send_to(fd, "127.0.0.1", port, block, 13);
    if (sendmsg(fd, &message, 0) != 17) truth_die("sendmsg");
    part.iov_len = sizeof(block);
    message.msg_namelen = sizeof(to);
    if (recvmsg(fd, &message, 0) != 41) truth_die("recvmsg");
  }
  waitpid(pid, NULL, 0);
  tell(local_port(fd), port, 2, 30, 1, 41);
  close(fd);
}

static void two_ports(void) {
  int a = bound("127.0.0.1", 0), b = bound("127.0.0.1", 0), fd = bound("127.0.0.1", 0);
  for (int i = 0; i < 3; i++) send_to(fd, "127.0.0.1", local_port(a), "abc", 3);
  for (int i = 0; i < 5; i++) send_to(fd, "127.0.0.1", local_port(b), "ab", 2);
  tell(local_port(fd), local_port(a), 3, 9, 0, 0);
  tell(local_port(fd), local_port(b), 5, 10, 0, 0);
}

// Neither asks: the sender has no address of its own, the receiver does not want to know who sent.
static void unasked(void) {
  int server = bound("127.0.0.1", 0), fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  char block[16];
  send_to(fd, "127.0.0.1", local_port(server), "abcdefg", 7);
  if (read(server, block, sizeof(block)) != 7) truth_die("read");
  tell(local_port(fd), local_port(server), 1, 7, 0, 0);
}

// The same ports twice, by two processes one after the other.
static void reused(void) {
  int server = bound("127.0.0.1", 0);
  for (int i = 0; i < 2; i++) {
    pid_t pid = fork();
    if (!pid) {
      int fd = bound("127.0.0.1", 40013);
      send_to(fd, "127.0.0.1", local_port(server), "abcdefg", 7);
      tell(40013, local_port(server), 1, 7, 0, 0);
      close(fd);
      _exit(0);
    }
    waitpid(pid, NULL, 0);
  }
}

static const unsigned char question[] =
    "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x07"
    "example\x03org\x00\x00\x01\x00\x01";
static const unsigned char answers[] =
    "\x12\x34\x81\x80\x00\x01\x00\x02\x00\x00\x00\x00\x03www\x07"
    "example\x03org\x00\x00\x01\x00\x01"
    "\xc0\x0c\x00\x05\x00\x01\x00\x00\x00\x3c\x00\x06\x03"
    "cdn\xc0\x10"
    "\xc0\x2d\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xc0\x00\x02\x07";

static void dns(void) {
  int server = bound("127.0.0.1", 53);
  pid_t pid = fork();
  char block[512];
  struct address from;
  if (!pid) {
    receive(server, &from, block, sizeof(block));
    if (sendto(server, answers, sizeof(answers) - 1, 0, &from.any, from.size) < 0) truth_die("sendto");
    receive(server, &from, block, sizeof(block));
    // Not DNS at all: counted, and not told.
    if (sendto(server, "\xff\xff\xff", 3, 0, &from.any, from.size) != 3) truth_die("sendto");
    _exit(0);
  }
  int fd = bound("127.0.0.1", 0);
  for (int i = 0; i < 2; i++) {
    send_to(fd, "127.0.0.1", 53, question, sizeof(question) - 1);
    receive(fd, &from, block, sizeof(block));
  }
  truth("\"t\":\"dns\",\"pid\":%d,\"port\":%d", getpid(), local_port(fd));
  waitpid(pid, NULL, 0);
}

static void write_all(int fd, const void* bytes, size_t size) {
  if (write(fd, bytes, size) != (ssize_t)size) truth_die("write");
}

static void read_all(int fd, void* to, size_t size) {
  for (size_t at = 0; at < size;) {
    ssize_t n = read(fd, (char*)to + at, size - at);
    if (n <= 0) truth_die("read");
    at += (size_t)n;
  }
}

// The server gets a question and answers in three segments, none of which is a message.
static void answer_in_segments(int fd) {
  unsigned char block[512], message[2 + sizeof(answers) - 1];
  int on = 1;
  TRUTH_CHECK(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)));
  read_all(fd, block, 2 + sizeof(question) - 1);
  message[0] = 0;
  message[1] = sizeof(answers) - 1;
  memcpy(message + 2, answers, sizeof(answers) - 1);
  write_all(fd, message, 1);
  usleep(20000);
  write_all(fd, message + 1, 20);
  usleep(20000);
  write_all(fd, message + 21, sizeof(message) - 21);
}

static void read_answer(int fd) {
  unsigned char length[2], block[512];
  if (recv(fd, length, 1, MSG_PEEK) != 1) truth_die("recv");
  read_all(fd, length, 2);
  read_all(fd, block, length[1]);
}

// Three questions over one connection: with two parts at once, as glibc asks; in pieces; and one that gets no DNS.
static void dns_tcp(void) {
  struct address a = parse_address("127.0.0.1", 53);
  int server = socket(AF_INET, SOCK_STREAM, 0);
  TRUTH_CHECK(bind(server, &a.any, a.size));
  TRUTH_CHECK(listen(server, 1));
  pid_t pid = fork();
  if (!pid) {
    unsigned char block[512];
    int fd = accept(server, NULL, NULL);
    answer_in_segments(fd);
    answer_in_segments(fd);
    read_all(fd, block, 2 + sizeof(question) - 1);
    write_all(fd, "\0\3abc", 5);
    _exit(0);
  }
  int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
  TRUTH_CHECK(connect(fd, &a.any, a.size));
  TRUTH_CHECK(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)));
  unsigned char length[2] = {0, sizeof(question) - 1}, block[512];
  struct iovec parts[2] = {{.iov_base = length, .iov_len = 2},
                           {.iov_base = (void*)question, .iov_len = sizeof(question) - 1}};
  if (writev(fd, parts, 2) != (ssize_t)sizeof(question) + 1) truth_die("writev");
  read_answer(fd);
  write_all(fd, length, 1);
  if (send(fd, length + 1, 1, 0) != 1) truth_die("send");
  write_all(fd, question, 13);
  struct msghdr message = {.msg_iov = parts + 1, .msg_iovlen = 1};
  parts[1].iov_base = (char*)question + 13;
  parts[1].iov_len = sizeof(question) - 1 - 13;
  if (sendmsg(fd, &message, 0) != (ssize_t)parts[1].iov_len) truth_die("sendmsg");
  read_answer(fd);
  write_all(fd, length, 2);
  write_all(fd, question, sizeof(question) - 1);
  read_all(fd, block, 5);
  truth("\"t\":\"dns\",\"pid\":%d,\"port\":%d", getpid(), local_port(fd));
  waitpid(pid, NULL, 0);
}

static void unix_connect(const char* dir, int abstract) {
  struct sockaddr_un a = {.sun_family = AF_UNIX};
  int length = snprintf(a.sun_path + abstract, sizeof(a.sun_path) - 1, "%s/socket", dir);
  socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)(length + 1));
  int ready[2];
  TRUTH_CHECK(pipe(ready));
  pid_t pid = fork();
  if (!pid) {
    int server = socket(AF_UNIX, SOCK_STREAM, 0);
    TRUTH_CHECK(bind(server, (struct sockaddr*)&a, size));
    TRUTH_CHECK(listen(server, 1));
    if (write(ready[1], "", 1) != 1) truth_die("write");
    TRUTH_CHECK(accept(server, NULL, NULL));
    _exit(0);
  }
  char byte;
  if (read(ready[0], &byte, 1) != 1) truth_die("read");
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  TRUTH_CHECK(connect(fd, (struct sockaddr*)&a, size));
  truth("\"t\":\"unix\",\"pid\":%d,\"peer\":%d,\"uid\":%d,\"path\":\"%s%s/socket\"", getpid(), pid, geteuid(),
        abstract ? "@" : "", dir);
  waitpid(pid, NULL, 0);
}

int main(int argc, char** argv) {
  if (argc < 4) return 98;
  const char* what = argv[2];
  truth_open(argv[1]);
  own_network();
  if (!strcmp(what, "flow"))
    flow("127.0.0.1", "127.0.0.1", atoi(argv[3]));
  else if (!strcmp(what, "flow6"))
    flow("::1", "::1", atoi(argv[3]));
  else if (!strcmp(what, "mapped"))
    flow("::", "::ffff:127.0.0.1", atoi(argv[3]));
  else if (!strcmp(what, "answer"))
    answer(0);
  else if (!strcmp(what, "answer_connected"))
    answer(1);
  else if (!strcmp(what, "two_ports"))
    two_ports();
  else if (!strcmp(what, "unasked"))
    unasked();
  else if (!strcmp(what, "reused"))
    reused();
  else if (!strcmp(what, "dns"))
    dns();
  else if (!strcmp(what, "dns_tcp"))
    dns_tcp();
  else if (!strcmp(what, "unix"))
    unix_connect(argv[3], 0);
  else if (!strcmp(what, "abstract"))
    unix_connect(argv[3], 1);
  else
    return 98;
  return 0;
}
