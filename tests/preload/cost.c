/* cost.c: times what a preload library costs a program, all candidates in turn, one line per round.
 *
 *     preload_cost socket ROUNDS LIBRARY…   nanoseconds per socket(): TCP and MPTCP from libc, then
 *                                           TCP from each library, loaded into this process
 *     preload_cost start ROUNDS LIBRARY…    microseconds from spawn to exit of /bin/true: plain,
 * then under each library SPDX-License-Identifier: Apache-2.0
 */
#include <dlfcn.h>
#include <netinet/in.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { sockets_at_once = 100, protocol_mptcp = 262 };

typedef int socket_function(int, int, int);

static double now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static double time_socket(socket_function* open_socket, int protocol)
{
    int fds[sockets_at_once];
    const double begin = now_ns();
    for (int i = 0; i < sockets_at_once; ++i)
        fds[i] = open_socket(AF_INET, SOCK_STREAM, protocol);
    const double took = now_ns() - begin;
    for (int i = 0; i < sockets_at_once; ++i)
        if (fds[i] < 0 || close(fds[i]) != 0)
            exit(1);
    return took / sockets_at_once;
}

static socket_function* socket_of(const char* library)
{
    void* handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    void* found = handle != NULL ? dlsym(handle, "socket") : NULL;
    if (found == NULL)
        exit(1);
    return (socket_function*)found;
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

/* The n-th candidate: what libc offers first, then the libraries. */
static double time_candidate(int sockets, int n, char** libraries)
{
    if (!sockets)
        return time_start(n == 0 ? "" : libraries[n - 1]);
    if (n < 2)
        return time_socket(socket, n == 0 ? 0 : protocol_mptcp);
    return time_socket(socket_of(libraries[n - 2]), 0);
}

int main(int count, char** arguments)
{
    enum { most_candidates = 16 };
    double took[most_candidates];
    const int sockets = count > 2 && strcmp(arguments[1], "socket") == 0;
    const int candidates = count - 3 + (sockets ? 2 : 1);
    if (count < 3 || candidates > most_candidates ||
        (!sockets && strcmp(arguments[1], "start") != 0))
        return 2;
    for (long round = strtol(arguments[2], NULL, 10); round > 0; --round) {
        /* Each comes first in its turn, because the first finds other caches than the last. */
        for (int i = 0; i < candidates; ++i) {
            const int n = (int)((i + round) % candidates);
            took[n] = time_candidate(sockets, n, arguments + 3);
        }
        for (int n = 0; n < candidates; ++n)
            printf("%.1f%c", took[n], n + 1 < candidates ? ' ' : '\n');
    }
    return 0;
}
