/* cost.c: times what a preload library costs a program.
 *
 *     preload_cost socket PROTOCOL        nanoseconds per socket() call, as one number
 *     preload_cost start COUNT LIBRARY…   microseconds from spawn to exit of /bin/true, plain and
 *                                         under each library in turn: one line per round
 * SPDX-License-Identifier: Apache-2.0
 */
#include <netinet/in.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { sockets_at_once = 500, rounds = 20 };

static double now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* The best round: what disturbs a round only ever makes it longer. */
static int time_socket(int protocol)
{
    static int fds[sockets_at_once];
    double best = 1e18;
    for (int round = 0; round < rounds; ++round) {
        const double begin = now_ns();
        for (int i = 0; i < sockets_at_once; ++i)
            fds[i] = socket(AF_INET, SOCK_STREAM, protocol);
        const double took = now_ns() - begin;
        best = took < best ? took : best;
        for (int i = 0; i < sockets_at_once; ++i)
            if (fds[i] < 0 || close(fds[i]) != 0)
                return 1;
    }
    printf("%.1f\n", best / sockets_at_once);
    return 0;
}

static double time_start(const char* library)
{
    char preload[4096];
    char* environment[] = {NULL, NULL};
    char* arguments[] = {(char[]){"true"}, NULL};
    int status = 0;
    pid_t child;
    (void)snprintf(preload, sizeof(preload), "LD_PRELOAD=%s", library);
    if (library[0] != '\0')
        environment[0] = preload;
    const double begin = now_ns();
    if (posix_spawn(&child, "/bin/true", NULL, NULL, arguments, environment) != 0 ||
        waitpid(child, &status, 0) != child || status != 0)
        exit(1);
    return (now_ns() - begin) / 1e3;
}

int main(int count, char** arguments)
{
    if (count == 3 && strcmp(arguments[1], "socket") == 0)
        return time_socket(atoi(arguments[2]));
    if (count < 3 || strcmp(arguments[1], "start") != 0)
        return 2;
    for (int round = atoi(arguments[2]); round > 0; --round) {
        printf("%.1f", time_start(""));
        for (int i = 3; i < count; ++i)
            printf(" %.1f", time_start(arguments[i]));
        printf("\n");
    }
    return 0;
}
