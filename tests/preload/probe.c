/* probe.c: prints the protocol of a TCP socket, as an ordinary program would open it.
 *
 * With an argument it first makes descriptor 2 that file, as a daemon does.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int count, char** arguments)
{
    int protocol = 0;
    socklen_t length = sizeof(protocol);
    int fd;
    if (count > 1 && dup2(open(arguments[1], O_WRONLY | O_CREAT, 0600), STDERR_FILENO) < 0)
        return 1;
    fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &length) != 0)
        return 1;
    printf("%d\n", protocol);
    return 0;
}
