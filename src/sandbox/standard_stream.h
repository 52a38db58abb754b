// What may become an agent's stdin, stdout or stderr. A descriptor from outside keeps the powers that it had there,
// whatever the sandbox is: a directory leads out of the root, a socket keeps its network namespace, a device or an
// eventfd has calls of its own. Taken are regular files, pipes, connected unix streams (as node makes them), and the
// devices that the sandbox has anyway. Of a regular file the agent can't open more than it was given (Landlock), but as
// the file's owner it may change the mode. A pipe that the agent's own user made it can open again in the other
// direction, through /proc/self/fd: then it reads what others write there, and writes what others read.
#pragma once

#include <string_view>

namespace stockade::sandbox {

// Empty when it may be one; else the end of a sentence: "is a directory".
std::string_view why_not_a_standard_stream(int fd);

// Lets an agent of another user than the pipe's open it by its path, /dev/stdout, in the direction that it has anyway.
// Only a pipe without a name, which nobody else comes to: not a fifo. Else nothing.
void open_pipe_to_others(int fd);

}  // namespace stockade::sandbox
