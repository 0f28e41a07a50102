/* neighbour.c: another preload library, which tells of each socket() that passes through it, and
 * whose constructor opens one itself, maybe before libmanypath.so's constructor has run.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

int socket(int family, int type, int protocol)
{
    int (*next)(int, int, int) = (int (*)(int, int, int))dlsym(RTLD_NEXT, "socket");
    char line[64];
    int size = snprintf(line, sizeof(line), "neighbour saw %d\n", protocol);
    if (write(STDOUT_FILENO, line, (size_t)size) < 0)
        return -1;
    return next(family, type, protocol);
}

__attribute__((constructor)) static void open_early(void)
{
    static int (*volatile open_socket)(int, int, int);
    int protocol = 0;
    int timeout = 4000;
    socklen_t length = sizeof(protocol);
    char line[64];
    int size;
    int fd;
    /* Through the program's first definition, as any library would call it. */
    open_socket = (int (*)(int, int, int))dlsym(RTLD_DEFAULT, "socket");
    fd = open_socket(AF_INET6, SOCK_STREAM, 0);
    if (setsockopt(fd, IPPROTO_TCP, 18 /* TCP_USER_TIMEOUT */, &timeout, sizeof(timeout)) != 0)
        return;
    getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &length);
    size = snprintf(line, sizeof(line), "early %d\n", protocol);
    if (write(STDOUT_FILENO, line, (size_t)size) < 0)
        return;
    close(fd);
}
