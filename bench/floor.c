/* The floor: the least that anybody can do to tell N sockets the same thing, which is one send(2) for each.
 *
 * Each line on stdin is sent to every client as one WebSocket message; handshakes are waved through. Prints
 * its port, and ends with stdin. bench/peers/floor.py is the same for machines without a C compiler.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST = 20000, LINE = 65535 };

static const char WELCOME[] =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

static int clients[MOST], count, epoll;

static void admit(int listener) {
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
        epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    }
}

/* A request fits into one packet here. Whoever speaks later, or closes, is let go. */
static void answer(int fd) {
    char request[4096];
    ssize_t size = recv(fd, request, sizeof request, 0);
    if (size > 4 && !memcmp(request, "GET ", 4) && count < MOST) {
        if (send(fd, WELCOME, sizeof WELCOME - 1, MSG_NOSIGNAL) > 0)
            clients[count++] = fd;
        return;
    }
    for (int n = 0; n < count; n++)
        if (clients[n] == fd)
            clients[n--] = clients[--count];
    close(fd);
}

static void say(const char *text, size_t size) {
    char frame[4 + LINE] = {(char)0x81};
    size_t head = size < 126 ? 2 : 4;
    frame[1] = head == 2 ? (char)size : 126;
    if (head == 4) {
        frame[2] = (char)(size >> 8);
        frame[3] = (char)size;
    }
    memcpy(frame + head, text, size);
    for (int n = 0; n < count; n++)
        while (send(clients[n], frame, head + size, MSG_NOSIGNAL) < 0 && errno == EAGAIN)
            poll(&(struct pollfd){.fd = clients[n], .events = POLLOUT}, 1, 100);
}

/* False when stdin has ended. */
static int read_lines(void) {
    static char lines[1 << 20];
    static size_t length;
    ssize_t size = read(STDIN_FILENO, lines + length, sizeof lines - length);
    if (size <= 0)
        return 0;
    length += size;
    char *from = lines, *newline;
    while ((newline = memchr(from, '\n', length - (from - lines)))) {
        if (newline - from <= LINE)
            say(from, newline - from);
        from = newline + 1;
    }
    length -= from - lines;
    memmove(lines, from, length);
    return 1;
}

int main(void) {
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (bind(listener, (struct sockaddr *)&address, size) < 0 || listen(listener, 4096) < 0) {
        perror("floor: listen");
        return 1;
    }
    getsockname(listener, (struct sockaddr *)&address, &size);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, ready[1024];
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    event.data.fd = STDIN_FILENO;
    epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &event);
    for (;;) {
        int found = epoll_wait(epoll, ready, 1024, -1);
        for (int n = 0; n < found; n++) {
            int fd = ready[n].data.fd;
            if (fd == listener)
                admit(listener);
            else if (fd != STDIN_FILENO)
                answer(fd);
            else if (!read_lines())
                return 0;
        }
    }
}
