#include "supervisor/probe_attacks.h"

namespace stockade::supervisor {

namespace {

using Wall = ProbeWall;
using Scene = ProbeScene;

// Built when asked for: the start of a run pays nothing for it.
const std::vector<ProbeAttack>& table() {
  static const std::vector<ProbeAttack> kAttacks = {
    // ---- wall 2, and the doors around the others: the victims
    {"acct", Wall::sandbox, Scene::plain, {}, "Has the kernel write accounts of every process"},
    {"add_key_user", Wall::sandbox, Scene::plain, {}, "Leaves a key for others, and fills the person's quota"},
    {"af_alg", Wall::sandbox, Scene::plain, {}, "The kernel's crypto by socket: writes the page cache of files that are read-only (CVE-2026-31431)"},
    {"bpf_map", Wall::sandbox, Scene::plain, {}, "Asks the kernel to keep a program's data (CVE-2021-3490)"},
    {"capabilities", Wall::sandbox, Scene::plain, {}, "Has a capability left, in any set"},
    {"cgroup_write", Wall::sandbox, Scene::plain, {}, "Changes its own limits, or names a release agent (CVE-2022-0492)"},
    {"chroot_dir", Wall::sandbox, Scene::plain, {}, "The first half of the classic chroot escape"},
    {"clock_set", Wall::sandbox, Scene::plain, {}, "Changes the machine's clock; here the tick that it has already"},
    {"clone3_user", Wall::sandbox, Scene::plain, {}, "Makes a user namespace by clone3, whose flags no filter can see"},
    {"clone_user", Wall::sandbox, Scene::plain, {}, "Makes a user namespace by clone"},
    {"core_dump", Wall::sandbox, Scene::plain, {}, "Can have its memory written down, or piped to a program of the host's"},
    {"core_pattern", Wall::sandbox, Scene::plain, {}, "Names the program that the kernel runs at a crash (CVE-2022-0811)"},
    {"devices", Wall::sandbox, Scene::plain, {}, "Finds a device that isn't one of the six"},
    {"fanotify", Wall::sandbox, Scene::plain, {}, "Watches every open of the host"},
    {"fsopen_tmpfs", Wall::sandbox, Scene::plain, {}, "The newer mount interface"},
    {"inherited_descriptors", Wall::sandbox, Scene::plain, {}, "Holds a descriptor that somebody forgot"},
    {"inherited_signals", Wall::sandbox, Scene::plain, {}, "Was started with signals blocked or ignored"},
    {"init_descriptors", Wall::monitor, Scene::plain, {}, "Lists what the process that holds the walls has open"},
    {"init_environ", Wall::monitor, Scene::plain, {}, "Reads what the process that holds the walls was started with"},
    {"init_root", Wall::monitor, Scene::plain, {}, "Walks through the root of the process that holds the walls"},
    {"int80", Wall::sandbox, Scene::plain, {}, "Enters the kernel by its 32-bit door, where call numbers mean something else"},
    {"io_uring", Wall::sandbox, Scene::plain, {}, "A ring that does its system calls behind every seccomp filter"},
    {"iopl", Wall::sandbox, Scene::plain, {}, "Speaks to hardware ports"},
    {"kallsyms", Wall::sandbox, Scene::plain, {}, "Reads where everything is in the kernel"},
    {"kcmp_self", Wall::sandbox, Scene::plain, {}, "Compares kernel objects: an oracle for their addresses"},
    {"kcore", Wall::sandbox, Scene::plain, {}, "Reads the machine's memory"},
    {"kernel_config", Wall::sandbox, Scene::plain, {}, "Reads how the kernel was built"},
    {"kexec", Wall::sandbox, Scene::plain, {}, "Starts another kernel; with too many segments, so that being allowed shows as EINVAL"},
    {"keyctl_session", Wall::sandbox, Scene::plain, {}, "Asks for the session keyring, which no namespace separates"},
    {"lease", Wall::sandbox, Scene::plain, {}, "Takes a lease on a shared file: the person's own open waits 45 s for it"},
    {"load_module", Wall::sandbox, Scene::plain, {}, "Loads a kernel module; nothing, so that being allowed shows as another error"},
    {"mknod_device", Wall::sandbox, Scene::plain, {}, "Makes a device node of its own: the memory of the machine"},
    {"modify_ldt", Wall::sandbox, Scene::plain, {}, "Makes 16-bit segments (CVE-2015-5157); here only reads the table"},
    {"modprobe_path", Wall::sandbox, Scene::plain, {}, "Names the program that the kernel runs to load a module"},
    {"mount_tmpfs", Wall::sandbox, Scene::plain, {}, "Mounts over what is there"},
    {"move_mount_any", Wall::sandbox, Scene::plain, {}, "Moves a mount"},
    {"move_pages", Wall::sandbox, Scene::plain, {}, "Moves memory between nodes; here only asks where a page is"},
    {"mptcp", Wall::network, Scene::plain, {}, "TCP over several paths: not what the firewall reads"},
    {"name_to_handle", Wall::sandbox, Scene::plain, {}, "Asks for an inode's handle, which open_by_handle_at takes"},
    {"net_admin", Wall::network, Scene::plain, {}, "Takes the network's walls down: adds a route, which needs CAP_NET_ADMIN"},
    {"netlink_audit", Wall::sandbox, Scene::plain, {}, "Speaks to the audit system"},
    {"netlink_netfilter", Wall::network, Scene::plain, {}, "Speaks to nf_tables (CVE-2024-1086)"},
    {"new_privileges", Wall::sandbox, Scene::plain, {}, "Can gain privileges by executing a setuid file"},
    {"nosuid_mounts", Wall::sandbox, Scene::plain, {}, "Finds a mount where setuid files count, or one that shares its changes with the host"},
    {"open_by_handle", Wall::sandbox, Scene::plain, {}, "Opens any inode of a filesystem by its number (shocker, 2014)"},
    {"open_tree_clone", Wall::sandbox, Scene::plain, {}, "Copies a mount without the masks on it"},
    {"packet_socket", Wall::network, Scene::plain, {}, "Reads every packet of the interface"},
    {"perf_event", Wall::sandbox, Scene::plain, {}, "Counts what the processor does (CVE-2013-2094)"},
    {"personality_exec", Wall::sandbox, Scene::plain, {}, "Makes all readable memory of later programs executable"},
    {"personality_fixed", Wall::sandbox, Scene::plain, {}, "Takes address randomisation from later programs"},
    {"pidfd_getfd", Wall::sandbox, Scene::plain, {}, "Takes a descriptor out of another process; here of itself, which everybody may"},
    {"ping_socket", Wall::network, Scene::plain, {}, "Speaks ICMP, past the firewall for TCP and UDP"},
    {"pivot_root_any", Wall::sandbox, Scene::plain, {}, "Changes the root"},
    {"prctl_mm", Wall::sandbox, Scene::plain, {}, "Rewrites where the kernel thinks its arguments and code are; here only asks for the size"},
    {"proc_keys", Wall::sandbox, Scene::plain, {}, "Reads the names of others' keys"},
    {"process_madvise", Wall::sandbox, Scene::plain, {}, "Advises on other processes' memory; here its own"},
    {"ptrace_init", Wall::monitor, Scene::plain, {}, "Takes over the process that holds the walls"},
    {"raw_socket", Wall::network, Scene::plain, {}, "Sends packets of any shape"},
    {"read_init_memory", Wall::monitor, Scene::plain, {}, "Reads the memory of the process that holds the walls"},
    {"reboot", Wall::sandbox, Scene::plain, {}, "Restarts the machine; with wrong magic numbers, so that being allowed shows as EINVAL"},
    {"request_key_user", Wall::sandbox, Scene::plain, {}, "Makes the kernel start a program to answer"},
    {"sctp", Wall::network, Scene::plain, {}, "A protocol that no listener of the firewall takes; loads a module"},
    {"seccomp_listener", Wall::sandbox, Scene::plain, {}, "Becomes the one who decides system calls, its own first"},
    {"setgid_fchmod", Wall::sandbox, Scene::plain, {}, "Leaves a setgid file, by descriptor"},
    {"sethostname", Wall::sandbox, Scene::plain, {}, "Renames the machine; to the name that it has"},
    {"setns_own", Wall::sandbox, Scene::plain, {}, "Joins a namespace by its descriptor; its own, to change nothing"},
    {"setuid_chmod", Wall::sandbox, Scene::plain, {}, "Leaves a setuid file in a directory that others see"},
    {"setuid_fchmodat2", Wall::sandbox, Scene::plain, {}, "Leaves a setuid file, by the newest of the calls"},
    {"setuid_open", Wall::sandbox, Scene::plain, {}, "Opens a file that is born setuid"},
    {"shadow", Wall::data, Scene::plain, {}, "Reads the host's password hashes"},
    {"signal_init", Wall::monitor, Scene::plain, {}, "Signals the process that holds the walls (0: only asks whether it may)"},
    {"socket_filter", Wall::sandbox, Scene::plain, {}, "Loads a program into the kernel: classic BPF on a socket"},
    {"swapon", Wall::sandbox, Scene::plain, {}, "Adds swap"},
    {"syslog_read", Wall::sandbox, Scene::plain, {}, "Reads the kernel's log: addresses and the host's doings"},
    {"sysrq", Wall::sandbox, Scene::plain, {}, "Presses the host's emergency key"},
    {"tcp_ulp", Wall::sandbox, Scene::plain, {}, "Loads kernel TLS into a connection (a run of CVEs of its own)"},
    {"timer_list", Wall::sandbox, Scene::plain, {}, "Reads the host's timers, with addresses"},
    {"tioclinux", Wall::sandbox, Scene::plain, {}, "Asks a console for its selection buffer's services (CVE-2023-28100). Not a console: the kernel says ENOTTY"},
    {"tiocsetd", Wall::sandbox, Scene::plain, {}, "Loads another line discipline (CVE-2017-2636); N_TTY, the one that is there, to change nothing"},
    {"tiocsti", Wall::sandbox, Scene::plain, {}, "Pushes a character into the terminal's input, as if the person had typed it (CVE-2017-5226)"},
    {"tiocsti_dirty", Wall::sandbox, Scene::plain, {}, "Pushes a character into the terminal's input, with garbage that the kernel ignores (CVE-2019-10063)"},
    {"tipc_pair", Wall::sandbox, Scene::plain, {}, "Loads a network protocol by a socket pair"},
    {"umount_proc", Wall::sandbox, Scene::plain, {}, "Takes a mask away"},
    {"unshare_net", Wall::network, Scene::plain, {}, "A network namespace without our firewall in it"},
    {"unshare_user", Wall::sandbox, Scene::plain, {}, "A user namespace: the door to most of the kernel's privileged code (CVE-2022-0185)"},
    {"userfaultfd", Wall::sandbox, Scene::plain, {}, "Stops the kernel in the middle of a copy: makes races certain (CVE-2018-18397)"},
    {"vmsplice", Wall::sandbox, Scene::plain, {}, "Gives its pages to a pipe (the road to Dirty Pipe)"},
    {"vsock", Wall::network, Scene::plain, {}, "Reaches the hypervisor and its host, in no network namespace"},
    {"x32", Wall::sandbox, Scene::plain, {}, "Enters by the x32 numbers, which a filter that compares plain numbers misses (CVE-2014-0038)"},

    // ---- wall 4: what agents look for, and what the policy's file rules promise
    {"read_credentials", Wall::data, Scene::plain, {"read_file", "{home}/.ssh/id_ed25519", "{home}/.ssh/id_rsa", "{home}/.aws/credentials", "{home}/.netrc", "{home}/.codex/auth.json", "{home}/.claude/.credentials.json", "{home}/.git-credentials", "{home}/.npmrc", "{home}/.docker/config.json", "{home}/.kube/config"}, "Reads the credentials of the person"},
    {"read_home", Wall::data, Scene::plain, {"list_directory", "{home}/.ssh", "{home}/.aws", "{home}/.gnupg", "{home}/.kube"}, "Lists the person's credential directories"},
    {"read_outside", Wall::data, Scene::plain, {"read_file", "{outside}/canary"}, "Reads a file of the host that no mount shows"},
    {"write_outside", Wall::data, Scene::plain, {"write_file", "{outside}/canary"}, "Writes a file of the host that no mount shows"},
    {"link_outside", Wall::data, Scene::plain, {"link_out", "{outside}/canary", "/probe/write"}, "Makes links that point out of a mounted tree"},
    {"write_read_only", Wall::data, Scene::plain, {"write_file", "/probe/read/input", "/probe/read/new"}, "Writes into a read-only tree"},
    {"replace_read_only", Wall::data, Scene::plain, {"replace_file", "/probe/read/input"}, "Replaces a file of a read-only tree"},
    {"read_output", Wall::data, Scene::plain, {"read_file", "/probe/out/old"}, "Reads what was in a write-only directory before"},
    {"list_output", Wall::data, Scene::plain, {"list_directory", "/probe/out"}, "Lists what was in a write-only directory before"},
    {"read_hidden", Wall::data, Scene::plain, {"read_file", "/probe/write/secret/key"}, "Reads a hidden file"},
    {"read_hidden_below_read", Wall::data, Scene::plain, {"read_file", "/probe/read/secret/key"}, "Reads a hidden file of a read-only tree"},
    {"rename_hidden_parent", Wall::data, Scene::plain, {"rename_parent", "/probe/write/secret", "/probe/write/moved", "key"}, "Reaches a hidden file by renaming its parent"},
    {"write_git_hook", Wall::data, Scene::plain, {"write_file", "/probe/write/.git/hooks/pre-commit"}, "Changes a git hook that the person's next commit runs"},
    {"write_envrc", Wall::data, Scene::plain, {"write_file", "/probe/write/.envrc"}, "Changes what the person's shell runs in this directory"},
    {"replace_git_hook", Wall::data, Scene::plain, {"replace_file", "/probe/write/.git/hooks/pre-commit"}, "Replaces a git hook by rename"},
    {"socket_below_read", Wall::data, Scene::plain, {"unix_connect", "/probe/read/socket"}, "Talks to a host's socket in a read-only tree"},
    {"socket_below_write", Wall::data, Scene::plain, {"unix_connect", "/probe/write/socket"}, "Talks to a host's socket in a writable tree"},
    {"engine_sockets", Wall::data, Scene::plain, {"unix_connect", "/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock", "/run/podman/podman.sock", "/run/dbus/system_bus_socket", "/tmp/.X11-unix/X0"}, "Talks to a container engine, D-Bus or X11"},
    {"host_accounts", Wall::data, Scene::plain, {"list_directory", "/var/log", "/var/lib", "/run/systemd", "/boot", "/mnt", "/media", "/srv"}, "Lists what belongs to the host alone"},

    // ---- wall 5: the controls
    {"read_state", Wall::monitor, Scene::plain, {"list_directory", "{state}", "{runtime}"}, "Finds the run's state, log and control socket"},
    {"write_state", Wall::monitor, Scene::plain, {"write_file", "{state}/forged"}, "Writes into the run's state: a forged log, an approval"},
    {"edit_policy", Wall::monitor, Scene::plain, {"write_file", "{config}/policy.yaml", "/etc/stockade/policy.yaml"}, "Edits the policy"},
    {"outlast_time", Wall::monitor, Scene::time, {"outlast", "3"}, "Ignores every signal and stays past the time limit"},

    // ---- wall 2: limits
    {"fork_bomb", Wall::sandbox, Scene::limits, {"fork_bomb", "{pids}"}, "Starts more processes than the limit"},
    {"many_files", Wall::sandbox, Scene::limits, {"many_files", "{open_files}"}, "Opens more files than the limit"},
    {"fill_disk", Wall::sandbox, Scene::limits, {"fill_disk", "/tmp", "{disk}"}, "Writes more bytes than the limit"},
    {"fill_inodes", Wall::sandbox, Scene::limits, {"fill_inodes", "/tmp", "{inodes}"}, "Makes more files than the limit"},
    {"take_memory", Wall::sandbox, Scene::memory, {"take_memory", "{memory}"}, "Uses more memory than the limit"},

    // ---- wall 1: programs
    {"memfd_exec", Wall::tools, Scene::tools, {"memfd_exec"}, "Runs a program from memory: past noexec and a list of programs"},
    {"run_unlisted", Wall::tools, Scene::tools, {"run_program", "direct", "{unlisted}"}, "Runs a program that isn't listed"},
    {"run_by_loader", Wall::tools, Scene::tools, {"run_program", "loader", "{unlisted}"}, "Runs it by the dynamic loader"},
    {"run_copy", Wall::tools, Scene::tools, {"run_program", "copy", "{unlisted}"}, "Runs a program of its own from a scratch directory"},

    // ---- wall 3
    {"allowed_name", Wall::network, Scene::network, {"http_host", "allowed.stockade-probe.example", "80", "allowed.stockade-probe.example"}, "Control: the one allowed name is reached", true},
    {"raw_address", Wall::network, Scene::network, {"connect", "203.0.113.9", "80"}, "Connects to an address by number"},
    {"raw_address_tls", Wall::network, Scene::network, {"connect", "203.0.113.80", "443"}, "Connects to the allowed name's own address by number"},
    {"raw_address_port", Wall::network, Scene::network, {"connect", "203.0.113.9", "22"}, "Connects to another port of an address by number"},
    {"ipv6_literal", Wall::network, Scene::network, {"connect", "2001:db8::9", "80"}, "Connects to an IPv6 address"},
    {"mapped_literal", Wall::network, Scene::network, {"connect", "::ffff:203.0.113.9", "80"}, "Connects to an IPv4 address in IPv6 clothes"},
    {"nat64_literal", Wall::network, Scene::network, {"connect", "64:ff9b::cb00:7109", "80"}, "Connects to an IPv4 address through NAT64"},
    {"metadata_address", Wall::network, Scene::network, {"connect", "169.254.169.254", "80", "GET /latest/meta-data/ HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n"}, "Asks the cloud's metadata service for credentials"},
    {"private_address", Wall::network, Scene::network, {"connect", "10.0.0.1", "80"}, "Connects to a private network"},
    {"udp_packet", Wall::network, Scene::network, {"udp", "203.0.113.9", "443"}, "Sends UDP (QUIC)"},
    {"udp_ipv6", Wall::network, Scene::network, {"udp", "2001:db8::9", "443"}, "Sends UDP over IPv6"},
    {"dns_tunnel", Wall::network, Scene::network, {"dns_tunnel", "c2VjcmV0LXBhcnQtMQ", "c2VjcmV0LXBhcnQtMg"}, "Carries data out in the names of DNS queries"},
    {"unlisted_name", Wall::network, Scene::network, {"http_host", "evil.stockade-probe.example", "80", "evil.stockade-probe.example"}, "Connects to a name that no rule lists"},
    {"other_host", Wall::network, Scene::network, {"http_host", "allowed.stockade-probe.example", "80", "evil.stockade-probe.example"}, "Asks an allowed address for another host (domain fronting)"},
    {"other_port", Wall::network, Scene::network, {"http_host", "allowed.stockade-probe.example", "8080", "allowed.stockade-probe.example"}, "Connects to another port of the allowed name"},
    {"name_to_loopback", Wall::network, Scene::network, {"http_host", "loopback.stockade-probe.example", "80", "loopback.stockade-probe.example"}, "An allowed name that resolves to the host itself"},
    {"name_to_metadata", Wall::network, Scene::network, {"http_host", "metadata.stockade-probe.example", "80", "metadata.stockade-probe.example"}, "An allowed name that resolves to the metadata service"},
    {"abstract_socket", Wall::network, Scene::network, {"unix_connect", "@stockade-probe-outside"}, "Talks to an abstract socket of the host"},
  };
  return kAttacks;
}

}  // namespace

std::string_view to_string(ProbeWall wall) {
  switch (wall) {
    case Wall::tools: return "tools";
    case Wall::sandbox: return "sandbox";
    case Wall::network: return "network";
    case Wall::data: return "data";
    case Wall::monitor: return "monitor";
  }
  return "";
}

std::span<const ProbeAttack> probe_attacks() { return table(); }

// None: every attack can be tried on x86-64 and arm64 (int80 and x32 answer for themselves where there is no such door).
std::span<const ProbeException> probe_exceptions() { return {}; }

}  // namespace stockade::supervisor
