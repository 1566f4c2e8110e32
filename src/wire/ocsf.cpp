// SPDX-License-Identifier: Apache-2.0
#include "wire/ocsf.hpp"

#include <algorithm>

namespace nightjar {
namespace {

struct Class {
  unsigned uid;
  std::string_view name;
  unsigned category;
  std::string_view category_name;
};
constexpr Class base{0, "Base Event", 0, "Uncategorized"};
constexpr Class file_system{1001, "File System Activity", 1, "System Activity"};
constexpr Class kernel_extension{1002, "Kernel Extension Activity", 1, "System Activity"};
constexpr Class kernel{1003, "Kernel Activity", 1, "System Activity"};
constexpr Class memory{1004, "Memory Activity", 1, "System Activity"};
constexpr Class process{1007, "Process Activity", 1, "System Activity"};
constexpr Class network{4001, "Network Activity", 4, "Network Activity"};
constexpr Class dns{4003, "DNS Activity", 4, "Network Activity"};

/// Which process is the class's `process`, and which its actor.
enum class Roles : std::uint8_t {
  launched,  ///< process: the one that acts; actor: its parent
  itself,    ///< both: the one that acts
  target,    ///< process: nightjar.target; actor: the one that acts
  actor,     ///< the class has no process
};

constexpr unsigned other = 99;

struct Activity {
  std::string_view action;  ///< event.action
  const Class* class_;
  unsigned id;
  std::string_view name;
  Roles roles;
  std::string_view file;       ///< the object that file.* describe; empty: none of the class's
  std::string_view file_type;  ///< OCSF file.type_id
};

constexpr std::string_view unknown_type = "0";
constexpr std::string_view regular = "1";
constexpr std::string_view folder = "2";
constexpr std::string_view link = "7";
constexpr std::string_view executable = "8";

// An event without a row is a base event.
constexpr Activity activities[] = {
    {"exec", &process, 1, "Launch", Roles::launched, "process.file", executable},
    {"exec_failed", &process, 1, "Launch", Roles::launched, "", ""},
    {"fork", &process, 1, "Launch", Roles::launched, "", ""},
    {"exit", &process, 2, "Terminate", Roles::itself, "", ""},
    {"process_snapshot", &process, other, "Snapshot", Roles::itself, "process.file", executable},

    {"connect", &network, 1, "Open", Roles::actor, "", ""},
    {"accept", &network, 1, "Open", Roles::actor, "", ""},
    {"unix_connect", &network, 1, "Open", Roles::actor, "", ""},
    {"close", &network, 2, "Close", Roles::actor, "", ""},
    {"udp_send", &network, 6, "Traffic", Roles::actor, "", ""},
    {"udp_receive", &network, 6, "Traffic", Roles::actor, "", ""},
    {"listen", &network, 7, "Listen", Roles::actor, "", ""},
    {"bind", &network, other, "Bind", Roles::actor, "", ""},
    {"dns_query", &dns, 1, "Query", Roles::actor, "", ""},
    {"dns_answer", &dns, 2, "Response", Roles::actor, "", ""},

    {"create", &file_system, 1, "Create", Roles::actor, "file", regular},
    {"mkdir", &file_system, 1, "Create", Roles::actor, "file", folder},
    {"mknod", &file_system, 1, "Create", Roles::actor, "file", unknown_type},
    {"symlink", &file_system, 1, "Create", Roles::actor, "file", link},
    {"link", &file_system, 1, "Create", Roles::actor, "file", unknown_type},
    {"modify", &file_system, 3, "Update", Roles::actor, "file", unknown_type},
    {"truncate", &file_system, 3, "Update", Roles::actor, "file", unknown_type},
    {"delete", &file_system, 4, "Delete", Roles::actor, "file", unknown_type},
    {"rmdir", &file_system, 4, "Delete", Roles::actor, "file", folder},
    {"rename", &file_system, 5, "Rename", Roles::actor, "file_result", unknown_type},
    {"utimes", &file_system, 6, "Set Attributes", Roles::actor, "file", unknown_type},
    {"xattr_set", &file_system, 6, "Set Attributes", Roles::actor, "file", unknown_type},
    {"chmod", &file_system, 7, "Set Security", Roles::actor, "file", unknown_type},
    {"chown", &file_system, 7, "Set Security", Roles::actor, "file", unknown_type},
    {"mount", &file_system, 12, "Mount", Roles::actor, "file", folder},
    {"move_mount", &file_system, 12, "Mount", Roles::actor, "file", folder},
    {"umount", &file_system, 13, "Unmount", Roles::actor, "file", folder},
    {"open_read", &file_system, 14, "Open", Roles::actor, "file", unknown_type},
    {"open_write", &file_system, 14, "Open", Roles::actor, "file", unknown_type},

    {"unshare", &process, other, "Unshare", Roles::itself, "", ""},
    {"setns", &process, other, "Set Namespace", Roles::itself, "", ""},
    {"pivot_root", &process, other, "Pivot Root", Roles::itself, "", ""},
    {"chroot", &process, other, "Change Root", Roles::itself, "", ""},

    {"ptrace", &process, 3, "Open", Roles::target, "", ""},
    {"process_vm_write", &memory, 8, "Write", Roles::target, "", ""},
    {"proc_mem_write", &memory, 8, "Write", Roles::target, "", ""},
    {"mprotect_exec", &memory, other, "Make Executable", Roles::itself, "", ""},
    {"mmap_exec", &memory, 1, "Allocate Page", Roles::itself, "", ""},
    {"memfd_create", &memory, 1, "Allocate Page", Roles::itself, "", ""},

    // IAM's class 3005 tells of an administrator who changes an account; a process that changes its own identity is
    // OCSF's 1007, activity 5.
    {"set_credentials", &process, 5, "Set User ID", Roles::itself, "", ""},
    {"capability_set", &process, other, "Set Capabilities", Roles::itself, "", ""},
    {"login_uid_set", &process, other, "Set Login User ID", Roles::itself, "", ""},
    {"kill", &process, other, "Signal", Roles::target, "", ""},

    {"module_load", &kernel_extension, 1, "Load", Roles::actor, "driver.file", unknown_type},
    {"module_unload", &kernel_extension, 2, "Unload", Roles::actor, "driver.file", unknown_type},
    {"bpf_program_load", &kernel, 1, "Create", Roles::actor, "", ""},
    {"bpf_access", &kernel, other, "Access", Roles::actor, "", ""},
    {"kexec_load", &kernel, 4, "Invoke", Roles::actor, "", ""},
    {"sysctl_write", &kernel, other, "Set", Roles::actor, "", ""},
};

constexpr Activity unknown_activity{"", &base, other, "", Roles::actor, "", ""};

constexpr Choice status_ids[] = {{"\"success\"", "1"}, {"\"failure\"", "2"}, {"\"unknown\"", "0"}};
constexpr Choice statuses[] = {
    {"\"success\"", "\"Success\""}, {"\"failure\"", "\"Failure\""}, {"\"unknown\"", "\"Unknown\""}};
constexpr Choice protocols[] = {{"\"tcp\"", "6"},    {"\"udp\"", "17"},       {"\"icmp\"", "1"},
                                {"\"sctp\"", "132"}, {"\"ipv6-icmp\"", "58"}, {"\"unix\"", "-1"}};
constexpr Choice versions[] = {{"\"ipv4\"", "4"}, {"\"ipv6\"", "6"}};
constexpr Choice directions[] = {
    {"\"ingress\"", "1"}, {"\"inbound\"", "1"}, {"\"egress\"", "2"}, {"\"outbound\"", "2"}};
constexpr Choice response_codes[] = {{"\"NOERROR\"", "0"},  {"\"FORMERR\"", "1"}, {"\"SERVFAIL\"", "2"},
                                     {"\"NXDOMAIN\"", "3"}, {"\"NOTIMP\"", "4"},  {"\"REFUSED\"", "5"},
                                     {"\"YXDOMAIN\"", "6"}, {"\"YXRRSET\"", "7"}, {"\"NXRRSET\"", "8"},
                                     {"\"NOTAUTH\"", "9"},  {"\"NOTZONE\"", "10"}};
constexpr Choice executable_type[] = {{"", executable}};
constexpr Choice linux_name[] = {{"", "\"Linux\""}};
constexpr Choice linux_type[] = {{"", "200"}};
constexpr Choice server_type[] = {{"", "0"}};

/// Where a field goes. `@` stands for the object of the acting process, `$file` for the one of the activity's file.
struct Row {
  std::string_view field, path;
  Convert convert = Convert::none;
  std::span<const Choice> choices{};
};

constexpr Row rows[] = {
    {"@timestamp", "time", Convert::milliseconds},
    {"@timestamp", "metadata.original_time"},
    {"event.id", "metadata.uid"},
    {"event.sequence", "metadata.sequence"},
    {"event.action", "metadata.event_code"},
    {"event.outcome", "status_id", Convert::choose, status_ids},
    {"event.outcome", "status", Convert::choose, statuses},
    {"event.duration", "duration", Convert::ns_to_milliseconds},
    {"error.code", "status_code"},
    {"error.message", "status_detail"},

    {"host.id", "device.uid"},
    {"host.hostname", "device.hostname"},
    {"host.boot.id", "device.boot_uid"},
    {"host.os.kernel", "device.os.kernel_release"},
    {"host.os.kernel", "device.os.name", Convert::constant, linux_name},
    {"host.os.kernel", "device.os.type_id", Convert::constant, linux_type},
    {"host.os.kernel", "device.type_id", Convert::constant, server_type},

    {"process.pid", "@.pid"},
    {"process.thread.id", "@.tid"},
    {"process.vpid", "@.namespace_pid"},
    {"process.entity_id", "@.uid"},
    {"process.start", "@.created_time", Convert::milliseconds},
    {"process.end", "@.terminated_time", Convert::milliseconds},
    {"process.name", "@.name"},
    {"process.command_line", "@.cmd_line"},
    {"process.executable", "@.path"},
    {"process.executable", "@.file.path"},
    {"process.executable", "@.file.name", Convert::base_name},
    {"process.executable", "@.file.type_id", Convert::constant, executable_type},
    {"process.hash.sha256", "@.file.hashes", Convert::sha256},
    {"process.working_directory", "@.working_directory"},
    {"process.env_vars", "@.environment_variables", Convert::environment},
    {"process.exit_code", "exit_code"},
    {"process.user.id", "@.user.uid"},
    {"process.user.id", "@.euid", Convert::integer},
    {"process.user.name", "@.user.name"},
    {"process.group.id", "@.group.uid"},
    {"process.group.id", "@.egid", Convert::integer},
    {"process.group.name", "@.group.name"},
    {"nightjar.login_uid", "@.auid"},
    {"process.session_leader.pid", "@.session.uid", Convert::text},
    {"nightjar.ancestors", "@.ancestry", Convert::ancestry},
    {"container.id", "@.container.uid"},
    {"container.runtime", "@.container.runtime"},
    {"container.image.name", "@.container.image.name"},
    {"container.image.name", "@.container.image.uid"},
    {"orchestrator.resource.id", "@.container.pod_uuid"},
    {"process.parent.pid", "@.parent_process.pid"},
    {"process.parent.entity_id", "@.parent_process.uid"},
    {"process.parent.name", "@.parent_process.name"},
    {"process.parent.executable", "@.parent_process.path"},
    {"user.id", "actor.user.uid"},
    {"user.name", "actor.user.name"},

    {"nightjar.target.pid", "process.pid"},
    {"nightjar.target.entity_id", "process.uid"},
    {"nightjar.target.name", "process.name"},
    {"nightjar.target.executable", "process.path"},

    // The file of a rename is the old name, its result the new one.
    {"nightjar.file.old_path", "file.path"},
    {"nightjar.file.old_path", "file.name", Convert::base_name},
    {"nightjar.mount.target", "$file.path"},
    {"nightjar.mount.target", "$file.name", Convert::base_name},
    {"file.path", "$file.path"},
    {"file.path", "$file.name", Convert::base_name},
    {"file.name", "$file.name"},
    {"nightjar.module.name", "$file.name"},
    {"file.inode", "$file.uid"},
    {"file.size", "$file.size"},
    {"file.mtime", "$file.modified_time", Convert::milliseconds},
    {"file.uid", "$file.owner.uid"},
    {"file.owner", "$file.owner.name"},

    {"source.ip", "src_endpoint.ip"},
    {"source.port", "src_endpoint.port"},
    {"destination.ip", "dst_endpoint.ip"},
    {"destination.port", "dst_endpoint.port"},
    {"destination.domain", "dst_endpoint.hostname"},
    {"network.bytes", "traffic.bytes"},
    {"network.packets", "traffic.packets"},
    {"source.bytes", "traffic.bytes_out"},
    {"source.packets", "traffic.packets_out"},
    {"destination.bytes", "traffic.bytes_in"},
    {"destination.packets", "traffic.packets_in"},
    {"network.transport", "connection_info.protocol_name"},
    {"network.transport", "connection_info.protocol_num", Convert::choose, protocols},
    {"network.type", "connection_info.protocol_ver_id", Convert::choose, versions},
    {"network.direction", "connection_info.direction_id", Convert::choose, directions},
    {"network.community_id", "connection_info.community_uid"},
    {"nightjar.net.socket_cookie", "connection_info.uid", Convert::text},

    {"dns.question.name", "query.hostname"},
    {"dns.question.type", "query.type"},
    {"dns.question.class", "query.class"},
    {"dns.answers", "answers", Convert::answers},
    {"dns.response_code", "rcode"},
    {"dns.response_code", "rcode_id", Convert::choose, response_codes},
};

// Said by the class and the profile.
constexpr std::string_view dropped[] = {"event.kind", "event.category", "event.type", "event.module", "ecs.version"};

const Activity& activity_of(std::string_view action) {
  const auto* const found =
      std::find_if(std::begin(activities), std::end(activities), [&](const Activity& a) { return a.action == action; });
  return found == std::end(activities) ? unknown_activity : *found;
}

class Builder {
 public:
  Builder(const EventInfo& event, const std::vector<Source>& sources)
      : activity_(activity_of(event.action)), event_(event), sources_(sources) {}

  Node build() {
    // unmapped last: it holds nightjar.raw, which is known last.
    for (const std::string_view first : {"time", "class_uid", "class_name", "category_uid", "category_name",
                                         "activity_id", "activity_name", "type_uid", "type_name", "severity_id",
                                         "status_id", "status", "metadata", "actor", "process", "file", "device"})
      root_.child(first);
    constants();
    for (const Source& source : sources_) {
      if (!place(source) && std::find(std::begin(dropped), std::end(dropped), source.name) == std::end(dropped))
        unmapped_.push_back(&source);
    }
    required();
    for (const Source* source : unmapped_) root_.child("unmapped." + std::string(source->name)).leaf = source->leaf;
    return std::move(root_);
  }

 private:
  void constants() {
    const Class& is = *activity_.class_;
    const std::string_view name = activity_.name.empty() ? event_.action : activity_.name;
    constant("class_uid", std::to_string(is.uid));
    constant("class_name", json::quoted(is.name));
    constant("category_uid", std::to_string(is.category));
    constant("category_name", json::quoted(is.category_name));
    constant("activity_id", std::to_string(activity_.id));
    constant("activity_name", json::quoted(name));
    constant("type_uid", std::to_string(is.uid * 100 + activity_.id));
    constant("type_name", json::quoted(std::string(is.name) + ": " + std::string(name)));
    constant("severity_id", "1");
    constant("metadata.version", json::quoted(ocsf_version));
    constant("metadata.product.name", "\"Nightjar\"");
    constant("metadata.product.vendor_name", "\"The Nightjar authors\"");
    constant("metadata.profiles", R"(["host","container","linux/linux_users"])");
  }

  void constant(std::string_view path, std::string value) { root_.child(path).leaf.constant = std::move(value); }

  /// Puts the field into every place that it has; false: it has none.
  bool place(const Source& source) {
    bool placed = false;
    for (const Row& row : rows) {
      if (row.field != source.name) continue;
      for (const std::string& path : paths(row.path)) {
        Node& node = root_.child(path);
        placed = true;
        if (node.leaf.valid()) continue;  // two fields for one place: the first row's
        node.leaf = source.leaf;
        node.leaf.convert = row.convert;
        node.leaf.choices = row.choices;
      }
    }
    return placed;
  }

  [[nodiscard]] std::vector<std::string> paths(std::string_view pattern) const {
    const auto rest = [&](std::size_t from) { return std::string(pattern.substr(from)); };
    if (pattern.starts_with("$file")) {
      if (activity_.file.empty()) return {};
      return {std::string(activity_.file) + rest(5)};
    }
    if (pattern.starts_with("process.") && activity_.roles != Roles::target) return {};
    if (pattern.starts_with("file.") && activity_.file != "file_result") return {};
    if (!pattern.starts_with('@')) return {rest(0)};
    switch (activity_.roles) {
      case Roles::launched: {
        std::vector<std::string> all{"process" + rest(1)};
        constexpr std::string_view parent = "@.parent_process";
        if (pattern.starts_with(parent)) all.push_back("actor.process" + rest(parent.size()));
        return all;
      }
      case Roles::itself:
        return {"process" + rest(1), "actor.process" + rest(1)};
      case Roles::target:
      case Roles::actor:
        break;
    }
    return {"actor.process" + rest(1)};
  }

  /// Attributes that the classes demand, whether a record tells them or not.
  void required() {
    if (!activity_.file.empty()) {
      require_file(activity_.file);
      if (activity_.file == "file_result") require_file("file");
    }
    const unsigned is = activity_.class_->uid;
    if (is == kernel.uid) {
      constant("kernel.name", json::quoted(event_.action));
      constant("kernel.type_id", "0");
    }
    if (is == network.uid || is == dns.uid) {
      demand("connection_info.direction_id", "0");
      // One endpoint at least must be named: of a socket without an address, this machine.
      if (find("source.ip") == nullptr && find("destination.ip") == nullptr) {
        if (const Source* host = find("host.hostname")) root_.child("src_endpoint.hostname").leaf = host->leaf;
      }
    }
    if (is == dns.uid) demand("query.hostname", "\"\"");
  }

  void require_file(std::string_view object) {
    const std::string path(object);
    demand(path + ".name", "\"\"");
    demand(path + ".type_id", activity_.file_type);
  }

  void demand(const std::string& path, std::string_view otherwise) {
    Leaf& leaf = root_.child(path).leaf;
    if (leaf.valid()) {
      leaf.otherwise = otherwise;
    } else {
      leaf.constant = otherwise;
    }
  }

  [[nodiscard]] const Source* find(std::string_view name) const {
    const auto found = std::find_if(sources_.begin(), sources_.end(), [&](const Source& s) { return s.name == name; });
    return found == sources_.end() ? nullptr : &*found;
  }

  const Activity& activity_;
  const EventInfo& event_;
  const std::vector<Source>& sources_;
  std::vector<const Source*> unmapped_;
  Node root_;
};

}  // namespace

Node ocsf_tree(const EventInfo& event, const std::vector<Source>& sources) {
  return Builder(event, sources).build();
}

}  // namespace nightjar
