/* A swarm of viewers: one thread and epoll, so that it is faster than any server it watches.
 *
 * It is told what to do by lines on stdin and answers with lines on stdout; bench/swarm.py is the other end,
 * and bench/swarm_fallback.py is the same, slower, for machines without a C compiler. It ends with stdin, and
 * after LIFETIME seconds in any case.
 *
 *   swarm PORT ws|sse|socketio PATH LIFETIME
 *
 *   open COUNT good|deaf|slow  so many more viewers       -> open HERE SECONDS, when each was let in or refused
 *   begin EVENTS               count patches from zero    -> begun RECIPIENTS
 *                              and then, by itself        -> all NUMBER NANOSECONDS, when it has reached all
 *   spread NANOSECONDS...      when the first, second ... -> spread P50 P99 in microseconds, over all deliveries
 *                              event was announced
 *   return                     come back, as a page does  -> returning
 *   id ID                      was announced; in order, for `check`
 *   check                      has everybody all of them? -> check RIGHT BEHIND LOST REPEATED
 *   state                      -> state HERE GONE REFUSED RETURNED PATCHES BYTES
 *
 * A good viewer reads at once, a deaf one never, a slow one 1 kB a second. Times are CLOCK_MONOTONIC's.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    AT_ONCE = 128,          /* handshakes under way while opening */
    KEPT = 96,              /* of a line or of a payload: enough for its type and its id */
    SLOW_BYTES = 100,       /* that a slow viewer reads in one turn */
    SMALL_BUFFER = 4096,    /* what the kernel may hold for a deaf or slow viewer */
    MOST_RECORDED = 40000000,
};
static const uint64_t SECOND = 1000000000, MILLISECOND = 1000000;
static const uint64_t SLOW_TURN = 100000000;

enum protocol { WEBSOCKET, SSE, SOCKETIO };
enum behaviour { GOOD, DEAF, SLOW };
enum stage { AWAY, CONNECTING, ASKED, HERE };

/* An id of the log in one number that sorts as ids do; a snapshot is marked in what a viewer remembers. */
typedef uint64_t Id;
static const Id SNAPSHOT = 1ull << 63;

struct viewer {
    int fd;
    uint8_t behaviour, stage;
    /* What is being read: a line of a head or of SSE, or the payload of a frame; its beginning is kept. */
    bool in_head, is_patch, is_snapshot, is_bye;
    uint8_t kept_length, frame_head_length, opcode;
    uint16_t status;
    uint8_t frame_head[14];
    char kept[KEPT + 1];
    uint64_t left; /* of the payload */
    bool in_payload;
    Id id;         /* of the SSE event that is being read */
    /* What it has seen. */
    uint32_t patches; /* since `begin` */
    Id last;
    Id *story;
    uint32_t story_length, story_room;
    /* How it comes back. */
    uint32_t failures;
    uint64_t next_try;
};

static enum protocol protocol;
static int port, epoll;
static const char *path;

static struct viewer *viewers;
static int count, room, opened, to_open, under_way, here, recipients;
static uint64_t opening_since, asked_for_opening;
static bool returns;
static uint64_t gone, refused, returned, patches, bytes;

/* The events that are being counted: how many viewers each has reached, and when. */
static uint32_t events, *reached;
static uint64_t *arrivals;

static Id *announced;
static size_t announced_count, announced_room;

static char buffer[1 << 18];

static uint64_t now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * SECOND + at.tv_nsec;
}

static void *more(void *memory, size_t size) {
    void *grown = realloc(memory, size);
    if (!grown && size) {
        fputs("swarm: out of memory\n", stderr);
        exit(1);
    }
    return grown;
}

static Id parse_id(const char *text) {
    char *end;
    uint64_t milliseconds = strtoull(text, &end, 10);
    return *end == '-' ? milliseconds << 20 | strtoull(end + 1, NULL, 10) : 0;
}

/* Coming and going */

static void listen_for(struct viewer *viewer, uint32_t what, int operation) {
    struct epoll_event event = {.events = what, .data.u32 = viewer - viewers};
    epoll_ctl(epoll, operation, viewer->fd, &event);
}

static void leave(struct viewer *viewer, uint64_t at) {
    if (viewer->stage == HERE) {
        here--;
        gone++;
    } else {
        under_way--;
        refused++;
    }
    close(viewer->fd);
    viewer->fd = -1;
    viewer->stage = AWAY;
    if (!viewer->next_try) { /* else the server has said when */
        double most = viewer->failures < 6 ? 0.5 * (1 << viewer->failures) : 30;
        viewer->next_try = at + (uint64_t)((0.5 + drand48() * (most < 30 ? most : 30)) * SECOND);
        viewer->failures++;
    }
}

static void come(struct viewer *viewer, uint64_t at) {
    viewer->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (viewer->fd < 0) {
        perror("swarm: socket");
        exit(1);
    }
    if (viewer->behaviour != GOOD)
        setsockopt(viewer->fd, SOL_SOCKET, SO_RCVBUF, &(int){SMALL_BUFFER}, sizeof(int));
    setsockopt(viewer->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    /* Without a TIME_WAIT, so that as many can come again at once. */
    setsockopt(viewer->fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
    viewer->stage = CONNECTING;
    viewer->next_try = 0;
    viewer->in_head = true;
    viewer->in_payload = viewer->is_patch = viewer->is_snapshot = viewer->is_bye = false;
    viewer->kept_length = viewer->frame_head_length = 0;
    viewer->status = 0;
    viewer->left = 0;
    viewer->id = 0;
    under_way++;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listen_for(viewer, EPOLLOUT, EPOLL_CTL_ADD);
    if (connect(viewer->fd, (struct sockaddr *)&address, sizeof address) < 0 && errno != EINPROGRESS)
        leave(viewer, at);
}

static void ask(struct viewer *viewer, uint64_t at) {
    char request[1024], since[64] = "", after[64] = "";
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(viewer->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) {
        leave(viewer, at);
        return;
    }
    unsigned long long milliseconds = viewer->last >> 20, number = viewer->last & 0xfffff;
    if (viewer->last && protocol == WEBSOCKET)
        snprintf(since, sizeof since, "?since=%llu-%llu", milliseconds, number);
    if (viewer->last && protocol == SSE)
        snprintf(after, sizeof after, "Last-Event-ID: %llu-%llu\r\n", milliseconds, number);
    int length = snprintf(
        request, sizeof request,
        "GET %s%s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%s%s"
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/130.0 Safari/537.36\r\n"
        "Accept-Encoding: gzip, deflate, br\r\nAccept-Language: en-GB,en;q=0.9\r\nCache-Control: no-cache\r\n\r\n",
        path, since, port, after,
        protocol == SSE ? "Accept: text/event-stream\r\n"
                        : "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n");
    if (send(viewer->fd, request, length, MSG_NOSIGNAL) != length) {
        leave(viewer, at);
        return;
    }
    viewer->stage = ASKED;
    listen_for(viewer, EPOLLIN | EPOLLRDHUP, EPOLL_CTL_MOD);
}

static void arrive(struct viewer *viewer) {
    viewer->stage = HERE;
    under_way--;
    here++;
    returned += viewer->failures > 0;
    viewer->failures = 0;
    if (viewer->behaviour != GOOD)
        listen_for(viewer, EPOLLRDHUP, EPOLL_CTL_MOD); /* only to learn that it was cut */
}

/* What is heard */

static void remember(struct viewer *viewer, Id id, bool is_snapshot) {
    viewer->last = id;
    if (!returns)
        return;
    if (viewer->story_length == viewer->story_room) {
        viewer->story_room = viewer->story_room ? 2 * viewer->story_room : 64;
        viewer->story = more(viewer->story, viewer->story_room * sizeof(Id));
    }
    viewer->story[viewer->story_length++] = id | (is_snapshot ? SNAPSHOT : 0);
}

static void take_patch(struct viewer *viewer, uint64_t at) {
    uint32_t event = viewer->patches++;
    patches++;
    if (event >= events || viewer->behaviour != GOOD)
        return;
    uint32_t nth = reached[event];
    if (nth >= (uint32_t)recipients)
        return;
    arrivals[(size_t)event * recipients + nth] = at;
    reached[event] = nth + 1;
    if (nth + 1 == (uint32_t)recipients) {
        printf("all %u %llu\n", event + 1, (unsigned long long)at);
        fflush(stdout);
    }
}

static void send_frame(struct viewer *viewer, int opcode, const char *payload, int size) {
    char frame[6 + KEPT] = {(char)(0x80 | opcode), (char)(0x80 | size)}; /* masked with zeros */
    memcpy(frame + 6, payload, size);
    if (send(viewer->fd, frame, 6 + size, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        return; /* it is gone, and the next read says so */
}

static void promise_return(struct viewer *viewer, const char *text, uint64_t at) {
    const char *after = strstr(text, "\"after\":");
    if (after)
        viewer->next_try = at + (uint64_t)(strtod(after + 8, NULL) * SECOND);
}

/* One message of socket.io, which has a handshake and a heartbeat of its own. */
static void take_packet(struct viewer *viewer, uint64_t at) {
    if (!strncmp(viewer->kept, "42[\"patch\"", 10))
        take_patch(viewer, at);
    else if (viewer->kept[0] == '0')
        send_frame(viewer, 1, "40", 2);
    else if (viewer->kept[0] == '2')
        send_frame(viewer, 1, "3", 1);
    else if (!strncmp(viewer->kept, "40", 2) && viewer->stage != HERE)
        arrive(viewer);
}

static void take_frame(struct viewer *viewer, uint64_t at) {
    viewer->kept[viewer->kept_length] = 0;
    if (viewer->opcode == 0x9)
        send_frame(viewer, 0xA, viewer->kept, viewer->kept_length);
    if (viewer->opcode != 0x1)
        return; /* whoever says close also closes */
    if (protocol == SOCKETIO) {
        take_packet(viewer, at);
        return;
    }
    static const char PATCH[] = "{\"type\":\"patch\"", WHOLE[] = "{\"type\":\"snapshot\"", BYE[] = "{\"type\":\"bye\"";
    bool is_patch = !strncmp(viewer->kept, PATCH, sizeof PATCH - 1);
    bool is_snapshot = !is_patch && !strncmp(viewer->kept, WHOLE, sizeof WHOLE - 1);
    if (is_patch || is_snapshot) {
        const char *id = strstr(viewer->kept, "\"id\":\"");
        if (id)
            remember(viewer, parse_id(id + 6), is_snapshot);
        if (is_patch)
            take_patch(viewer, at);
    } else if (!strncmp(viewer->kept, BYE, sizeof BYE - 1)) {
        promise_return(viewer, viewer->kept, at);
    }
}

static void take_head_line(struct viewer *viewer) {
    if (!viewer->status) {
        viewer->status = viewer->kept_length > 12 ? atoi(viewer->kept + 9) : 1;
    } else if (viewer->kept_length == 1) { /* nothing but the \r */
        viewer->in_head = false;
        if (viewer->status == (protocol == SSE ? 200 : 101) && protocol != SOCKETIO)
            arrive(viewer);
    }
}

/* A line of SSE. The lines between which HTTP wraps chunks begin otherwise, and fall through. */
static void take_event_line(struct viewer *viewer, uint64_t at) {
    const char *line = viewer->kept;
    if (viewer->kept_length == 0) {
        if (viewer->is_patch || viewer->is_snapshot)
            remember(viewer, viewer->id, viewer->is_snapshot);
        if (viewer->is_patch)
            take_patch(viewer, at);
        viewer->is_patch = viewer->is_snapshot = viewer->is_bye = false;
    } else if (!strncmp(line, "event: ", 7)) {
        viewer->is_patch = !strcmp(line + 7, "patch");
        viewer->is_snapshot = !strcmp(line + 7, "snapshot");
        viewer->is_bye = !strcmp(line + 7, "bye");
    } else if (!strncmp(line, "id: ", 4)) {
        viewer->id = parse_id(line + 4);
    } else if (viewer->is_bye && !strncmp(line, "data: ", 6)) {
        promise_return(viewer, line, at);
    }
}

static void keep(struct viewer *viewer, const char *from, size_t size) {
    size_t most = KEPT - viewer->kept_length;
    memcpy(viewer->kept + viewer->kept_length, from, size < most ? size : most);
    viewer->kept_length += size < most ? size : most;
}

/* Lines, until the bytes end or a WebSocket begins; returns where. */
static const char *read_lines(struct viewer *viewer, const char *from, const char *end, uint64_t at) {
    while (from < end && (viewer->in_head || protocol == SSE)) {
        const char *newline = memchr(from, '\n', end - from);
        keep(viewer, from, (newline ? newline : end) - from);
        if (!newline)
            return end;
        viewer->kept[viewer->kept_length] = 0;
        if (viewer->in_head)
            take_head_line(viewer);
        else
            take_event_line(viewer, at);
        viewer->kept_length = 0;
        from = newline + 1;
    }
    return from;
}

/* True once the whole head of a frame is there. */
static bool read_frame_head(struct viewer *viewer, const char **from, const char *end) {
    uint8_t *head = viewer->frame_head;
    while (*from < end) {
        head[viewer->frame_head_length++] = *(*from)++;
        if (viewer->frame_head_length < 2)
            continue;
        int size = head[1] & 0x7f, extra = size == 126 ? 2 : size == 127 ? 8 : 0;
        if (viewer->frame_head_length < 2 + extra)
            continue;
        viewer->left = extra ? 0 : size;
        for (int n = 0; n < extra; n++)
            viewer->left = viewer->left << 8 | head[2 + n];
        viewer->opcode = head[0] & 0x0f;
        viewer->frame_head_length = viewer->kept_length = 0;
        return viewer->in_payload = true;
    }
    return false;
}

static void read_frames(struct viewer *viewer, const char *from, const char *end, uint64_t at) {
    while (viewer->in_payload || from < end) {
        if (!viewer->in_payload && !read_frame_head(viewer, &from, end))
            return;
        size_t size = (size_t)(end - from) < viewer->left ? (size_t)(end - from) : viewer->left;
        keep(viewer, from, size);
        from += size;
        viewer->left -= size;
        if (viewer->left)
            return;
        viewer->in_payload = false;
        take_frame(viewer, at);
    }
}

static void hear(struct viewer *viewer, size_t at_most) {
    ssize_t size = recv(viewer->fd, buffer, at_most, 0);
    uint64_t at = now();
    if (size <= 0) {
        if (size == 0 || (errno != EAGAIN && errno != EINTR))
            leave(viewer, at);
        return;
    }
    bytes += size;
    const char *end = buffer + size, *from = read_lines(viewer, buffer, end, at);
    if (!viewer->in_head && viewer->status != 200 && viewer->status != 101)
        leave(viewer, at);
    else if (protocol != SSE && !viewer->in_head)
        read_frames(viewer, from, end, at);
}

/* What the other end asks for */

static void answer_open(uint64_t at) {
    if (asked_for_opening && !to_open && !under_way) {
        printf("open %d %.6f\n", here, (at - opening_since) / 1e9);
        fflush(stdout);
        asked_for_opening = 0;
    }
}

static void open_more(uint64_t at) {
    while (to_open && under_way < AT_ONCE) {
        to_open--;
        come(&viewers[opened++], at);
    }
    answer_open(at);
}

static void obey_open(int more_viewers, const char *behaviour) {
    if (count + more_viewers > room) {
        fprintf(stderr, "swarm: at most %d viewers\n", room);
        exit(2);
    }
    for (int n = count; n < count + more_viewers; n++) {
        viewers[n].fd = -1;
        viewers[n].behaviour = !strcmp(behaviour, "deaf") ? DEAF : !strcmp(behaviour, "slow") ? SLOW : GOOD;
    }
    count += more_viewers;
    to_open += more_viewers;
    opening_since = now();
    asked_for_opening = 1;
}

static void obey_begin(uint32_t wanted) {
    recipients = 0;
    for (int n = 0; n < count; n++) {
        viewers[n].patches = 0;
        recipients += viewers[n].stage == HERE && viewers[n].behaviour == GOOD;
    }
    if ((uint64_t)wanted * recipients > MOST_RECORDED) {
        fputs("swarm: too many deliveries to keep the time of each\n", stderr);
        exit(2);
    }
    events = wanted;
    reached = more(reached, wanted * sizeof *reached);
    memset(reached, 0, wanted * sizeof *reached);
    arrivals = more(arrivals, (size_t)wanted * recipients * sizeof *arrivals);
    printf("begun %d\n", recipients);
}

static int ascending(const void *one, const void *other) {
    uint64_t a = *(const uint64_t *)one, b = *(const uint64_t *)other;
    return a < b ? -1 : a > b;
}

static void obey_spread(char *times) {
    uint64_t *took = NULL;
    size_t deliveries = 0;
    char *word = strtok(times, " ");
    for (uint32_t event = 0; event < events && word; event++, word = strtok(NULL, " ")) {
        uint64_t said = strtoull(word, NULL, 10);
        took = more(took, (deliveries + reached[event]) * sizeof *took);
        for (uint32_t nth = 0; nth < reached[event]; nth++)
            took[deliveries++] = arrivals[(size_t)event * recipients + nth] - said;
    }
    if (deliveries)
        qsort(took, deliveries, sizeof *took, ascending);
    printf("spread %.1f %.1f\n", deliveries ? took[deliveries / 2] / 1e3 : 0,
           deliveries ? took[(size_t)(deliveries * 0.99)] / 1e3 : 0);
    free(took);
}

static void obey_id(const char *id) {
    if (announced_count == announced_room) {
        announced_room = announced_room ? 2 * announced_room : 1024;
        announced = more(announced, announced_room * sizeof *announced);
    }
    announced[announced_count++] = parse_id(id);
}

/* How many of what was announced are not newer than `id`. */
static size_t place_of(Id id) {
    size_t low = 0, high = announced_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (announced[middle] <= id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void obey_check(void) {
    uint64_t right = 0, behind = 0, lost = 0, repeated = 0;
    for (int n = 0; n < count; n++) {
        size_t place = 0;
        for (uint32_t entry = 0; entry < viewers[n].story_length; entry++) {
            Id id = viewers[n].story[entry];
            size_t next = place_of(id & ~SNAPSHOT);
            bool goes_back = id & SNAPSHOT ? next < place : next <= place;
            repeated += goes_back;
            /* A snapshot stands for all before it. */
            if (!(id & SNAPSHOT) && next > place + 1)
                lost += next - place - 1;
            if (!goes_back)
                place = next;
        }
        if (place == announced_count)
            right++;
        else
            behind++;
    }
    printf("check %llu %llu %llu %llu\n", (unsigned long long)right, (unsigned long long)behind,
           (unsigned long long)lost, (unsigned long long)repeated);
}

static void obey_return(void) {
    returns = true;
    /* What they have seen until now is where each of them starts from. */
    for (int n = 0; n < count; n++)
        if (viewers[n].last)
            remember(&viewers[n], viewers[n].last, true);
    puts("returning");
}

static void obey(char *line) {
    char *rest = strchr(line, ' ');
    if (rest)
        *rest++ = 0;
    if (!strcmp(line, "open") && rest) {
        char *behaviour;
        int wanted = strtol(rest, &behaviour, 10);
        obey_open(wanted, behaviour + (*behaviour == ' '));
    } else if (!strcmp(line, "begin") && rest) {
        obey_begin(atoi(rest));
    } else if (!strcmp(line, "spread") && rest) {
        obey_spread(rest);
    } else if (!strcmp(line, "return")) {
        obey_return();
    } else if (!strcmp(line, "id") && rest) {
        obey_id(rest);
    } else if (!strcmp(line, "check")) {
        obey_check();
    } else if (!strcmp(line, "state")) {
        printf("state %d %llu %llu %llu %llu %llu\n", here, (unsigned long long)gone,
               (unsigned long long)refused, (unsigned long long)returned, (unsigned long long)patches,
               (unsigned long long)bytes);
    } else {
        fprintf(stderr, "swarm: what is %s?\n", line);
        exit(2);
    }
    fflush(stdout);
}

/* False when there is nobody left who could ask. */
static bool read_orders(void) {
    static char orders[1 << 20];
    static size_t length;
    ssize_t size = read(STDIN_FILENO, orders + length, sizeof orders - 1 - length);
    if (size <= 0)
        return size < 0 && errno == EAGAIN;
    length += size;
    char *from = orders, *newline;
    while ((newline = memchr(from, '\n', length - (from - orders)))) {
        *newline = 0;
        obey(from);
        from = newline + 1;
    }
    length -= from - orders;
    memmove(orders, from, length);
    return true;
}

/* The rest */

static void read_slowly(uint64_t at) {
    static uint64_t next;
    if (at < next)
        return;
    next = at + SLOW_TURN;
    for (int n = 0; n < count; n++)
        if (viewers[n].behaviour == SLOW && viewers[n].stage == HERE)
            hear(&viewers[n], SLOW_BYTES);
}

static void bring_back(uint64_t at) {
    static uint64_t next;
    if (!returns || at < next)
        return;
    next = at + 5 * MILLISECOND;
    for (int n = 0; n < opened; n++)
        if (viewers[n].stage == AWAY && viewers[n].next_try && viewers[n].next_try <= at)
            come(&viewers[n], at);
}

static void attend(struct epoll_event event) {
    struct viewer *viewer = &viewers[event.data.u32];
    if (viewer->stage == CONNECTING)
        ask(viewer, now());
    else if (viewer->stage == ASKED || (viewer->stage == HERE && viewer->behaviour == GOOD))
        hear(viewer, sizeof buffer);
    else if (viewer->stage == HERE && event.events & (EPOLLHUP | EPOLLERR | EPOLLRDHUP))
        leave(viewer, now());
}

int main(int words, char **word) {
    if (words != 5) {
        fputs("usage: swarm PORT ws|sse|socketio PATH LIFETIME\n", stderr);
        return 2;
    }
    port = atoi(word[1]);
    protocol = !strcmp(word[2], "sse") ? SSE : !strcmp(word[2], "socketio") ? SOCKETIO : WEBSOCKET;
    path = word[3];
    uint64_t end = now() + strtoull(word[4], NULL, 10) * SECOND;
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    room = files.rlim_cur < 100000 ? (int)files.rlim_cur - 16 : 100000;
    viewers = calloc(room, sizeof *viewers);
    srand48(now());
    epoll = epoll_create1(0);
    fcntl(STDIN_FILENO, F_SETFL, fcntl(STDIN_FILENO, F_GETFL) | O_NONBLOCK);
    struct epoll_event orders = {.events = EPOLLIN, .data.u32 = UINT32_MAX}, ready[1024];
    epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &orders);
    while (now() < end) {
        int found = epoll_wait(epoll, ready, 1024, 5);
        for (int n = 0; n < found; n++) {
            if (ready[n].data.u32 != UINT32_MAX)
                attend(ready[n]);
            else if (!read_orders())
                return 0;
        }
        uint64_t at = now();
        open_more(at);
        read_slowly(at);
        bring_back(at);
    }
    fputs("swarm: its lifetime is over\n", stderr);
    return 1;
}
