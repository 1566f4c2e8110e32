// SPDX-License-Identifier: Apache-2.0
#include "version_loader.hpp"

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

#include <linux/bpf.h>
#include <sys/mman.h>

#include "constants.hpp"
#include "kernel_refusal.hpp"
#include "kernel_version.hpp"
#include "kind_traits.hpp"
#include "libbpf_log.hpp"
#include "map_setup.hpp"
#include "text.hpp"

namespace nightjar {
namespace {

std::string program_named(std::string_view name) {
  return "program " + text::quoted(name);
}

/// libbpf before 1.6 frees the kernel's BTF, which setting an attach target read (6 MB), only when an object is loaded,
/// not when it is closed. So an object that is given up is loaded first, with nothing in it.
void load_nothing(bpf_object* object) {
  const LibbpfCapture quiet;
  bpf_program* program = nullptr;
  while ((program = ::bpf_object__next_program(object, program)) != nullptr) {
    ::bpf_program__set_autoload(program, false);
  }
  bpf_map* map = nullptr;
  while ((map = ::bpf_object__next_map(object, map)) != nullptr) ::bpf_map__set_autocreate(map, false);
  ::bpf_object__load(object);
}

}  // namespace

Result<std::unique_ptr<LoadedGroup::State>> VersionLoader::load() {
  LibbpfCapture capture(&options_.log, options_.log_libbpf_debug);
  NIGHTJAR_CHECK(choose());
  NIGHTJAR_CHECK(check_map_names(blueprint_, options_));
  NIGHTJAR_CHECK(check_needs());
  if (options_.load_threads > 1) handlers_.emplace();
  auto state = std::make_unique<LoadedGroup::State>();
  state->version = version_.name;
  state->object = NIGHTJAR_TRY(load_object());
  state->remarks = std::move(remarks_);
  NIGHTJAR_CHECK(take_maps(*state));
  NIGHTJAR_CHECK(fill_slots(*state));
  return state;
}

std::string VersionLoader::Choice::hook() const {
  return std::string(to_string(kind)) + "/" + (target.empty() ? text::join(points, ",") : target);
}

Result<> VersionLoader::choose() {
  for (const Program& wanted : version_.programs) {
    if (find(wanted.name()) != nullptr) {
      return Error(errc::invalid, program_named(wanted.name()) + " is in the version twice");
    }
    choices_.push_back(NIGHTJAR_TRY(choose(wanted)));
  }
  return {};
}

Result<VersionLoader::Choice> VersionLoader::choose(const Program& wanted) const {
  const auto* info = blueprint_.find_program(wanted.name());
  if (info == nullptr) {
    std::vector<std::string_view> names;
    for (const auto& program : blueprint_.programs()) names.emplace_back(program.name);
    return Error(errc::invalid, "no " + program_named(wanted.name()) + " in " + blueprint_.name() +
                                    text::did_you_mean(wanted.name(), names));
  }
  Choice choice{.wanted = &wanted,
                .info = info,
                .kind = wanted.kind().value_or(info->kind),
                .points = wanted.attach_points(),
                .target = {},
                .absent_because = {},
                .is_syscall = wanted.is_syscall() || (info->names_syscall && wanted.attach_points().empty())};
  if (choice.points.empty() && !info->attach_point.empty()) choice.points.push_back(info->attach_point);
  if (choice.kind == ProgramKind::socket && !wanted.socket() && wanted.tail_calls().empty()) {
    return Error(errc::invalid,
                 program_named(wanted.name()) + " filters no socket: give it one with Program::socket()");
  }
  const bool needs_point = choice.kind != ProgramKind::other && choice.kind != ProgramKind::socket;
  if (choice.points.empty() && needs_point && wanted.tail_calls().empty()) {
    return Error(errc::invalid, program_named(wanted.name()) + " has no attach point");
  }
  for (const TailCallSlot& slot : wanted.tail_calls()) {
    if (blueprint_.find_map(slot.map) != nullptr) continue;
    std::vector<std::string_view> names;
    for (const auto& map : blueprint_.maps()) names.emplace_back(map.name);
    return Error(errc::invalid, program_named(wanted.name()) + ": no map " + text::quoted(slot.map) + " in " +
                                    blueprint_.name() + text::did_you_mean(slot.map, names));
  }
  if (is_fixed_at_load(choice.kind) && wanted.wants_all_points() && choice.points.size() > 1) {
    return Error(errc::invalid, program_named(wanted.name()) + ": a program of kind " +
                                    std::string(to_string(choice.kind)) + " has one attach point only");
  }
  if (is_fixed_at_load(info->kind) && !is_fixed_at_load(choice.kind)) {
    return Error(errc::invalid, program_named(wanted.name()) + " is in section " + info->section +
                                    ", which cannot be loaded as kind " + std::string(to_string(choice.kind)));
  }
  return choice;
}

Result<> VersionLoader::check_needs() {
  for (const Feature feature : version_.needs) {
    const FeatureAnswer& answer = features_.ask(feature);
    // Unknown is not no: the load itself will tell.
    if (answer.answer != Answer::no) continue;
    return Error(errc::unsupported, "needs " + std::string(to_string(feature)) + ": " + answer.why);
  }
  for (Choice& choice : choices_) {
    const auto feature = feature_of(choice.kind);
    if (!feature || !features_.pretends_without(*feature)) continue;
    NIGHTJAR_CHECK(excuse(choice, Error(errc::unsupported, "needs " + std::string(to_string(*feature)) +
                                                               ": told to pretend it is absent")));
  }
  return {};
}

Result<std::string> VersionLoader::btf_path() {
  if (options_.btf_bytes.empty()) return options_.btf_path;
  if (!btf_file_.valid()) {
    btf_file_.reset(::memfd_create("nightjar-btf", MFD_CLOEXEC));
    if (!btf_file_.valid()) return Error::from_errno("memfd for BTF");
    auto rest = options_.btf_bytes;
    while (!rest.empty()) {
      const ssize_t written = ::write(btf_file_.get(), rest.data(), rest.size());
      if (written < 0) return Error::from_errno("memfd for BTF: write");
      rest = rest.subspan(static_cast<std::size_t>(written));
    }
  }
  return "/proc/self/fd/" + std::to_string(btf_file_.get());
}

Result<ObjectHandle> VersionLoader::open() {
  const std::string btf = NIGHTJAR_TRY(btf_path());
  LibbpfCapture capture;
  bpf_object_open_opts options{};
  options.sz = sizeof(options);
  options.object_name = blueprint_.name().c_str();
  if (!btf.empty()) options.btf_custom_path = btf.c_str();
  const auto bytes = blueprint_.bytes();
  ObjectHandle object = own_object(::bpf_object__open_mem(bytes.data(), bytes.size(), &options));
  if (object) {
    // libbpf takes the section's number as it is, even "any".
    if (const auto number = options_.kernel_version ? options_.kernel_version : blueprint_.kernel_version()) {
      ::bpf_object__set_kversion(object.get(), *number);
    } else {
      ::bpf_object__set_kversion(object.get(), running_kernel_version());
    }
    return object;
  }
  const int sys = errno;
  if (sys == ENOMEM) return Error::from_errno("open " + blueprint_.name(), sys);
  return Error(errc::corrupt, "open " + blueprint_.name() + ": " + std::string(first_warning(capture.warnings())), sys)
      .with_detail(capture.warnings());
}

Result<> VersionLoader::configure(bpf_object* object, std::string_view alone) {
  bpf_program* program = nullptr;
  while ((program = ::bpf_object__next_program(object, program)) != nullptr) {
    Choice* choice = find(::bpf_program__name(program));
    if (choice != nullptr && !choice->is_absent) {
      if (auto configured = configure(program, *choice); !configured) {
        NIGHTJAR_CHECK(excuse(*choice, std::move(configured).error()));
      }
    }
    const bool is_left_out = !alone.empty() && alone != ::bpf_program__name(program);
    ::bpf_program__set_autoload(program, choice != nullptr && !choice->is_absent && !is_left_out);
  }

  remarks_.clear();
  NIGHTJAR_CHECK(set_up_maps(object, options_, used_maps(), features_, remarks_));
  Constants constants = options_.constants;
  for (const auto& [name, value] : version_.constants) constants.insert_or_assign(name, value);
  return set_constants(object, constants);
}

Result<> VersionLoader::configure(bpf_program* program, Choice& choice) const {
  NIGHTJAR_CHECK(override_kind(program, choice));
  if (is_fixed_at_load(choice.kind)) return set_target(program, choice);
  return {};
}

Result<> VersionLoader::override_kind(bpf_program* program, const Choice& choice) const {
  if (choice.kind == choice.info->kind) return {};
  const auto traits = traits_of(choice.kind);
  if (!traits) return {};  // other: as the section says
  int result = ::bpf_program__set_type(program, traits->type);
  if (result == 0) result = ::bpf_program__set_expected_attach_type(program, traits->attach_type);
  if (result != 0) return Error::from_errno("set kind", -result);
  return {};
}

Result<> VersionLoader::set_target(bpf_program* program, Choice& choice) const {
  LibbpfCapture capture;
  int sys = 0;
  for (const std::string& point : choice.points) {
    for (const std::string& name : spellings(point, choice.kind, choice.is_syscall)) {
      const int result = ::bpf_program__set_attach_target(program, 0, name.c_str());
      if (result == 0) {
        choice.target = name;
        return {};
      }
      sys = -result;
    }
  }
  if (sys != ESRCH && sys != ENOENT) {
    return kernel_refused("set attach point " + text::join(choice.points, ", "), sys).with_detail(capture.warnings());
  }
  return Error(errc::unsupported,
               std::string(to_string(choice.kind)) + "/" + text::join(choice.points, ", ") +
                   " is not in this kernel's BTF",
               sys)
      .with_detail(capture.warnings());
}

Result<ObjectHandle> VersionLoader::load_object() {
  std::string alone;  // the program that was refused on a thread: libbpf says why
  unsigned threads = options_.load_threads;
  // Each round loads, fails, drops one optional program, or is the only one that loads a program alone: it ends.
  for (;;) {
    ObjectHandle object = NIGHTJAR_TRY(open());
    if (auto configured = configure(object.get(), alone); !configured) {
      load_nothing(object.get());
      return std::move(configured).error();
    }
    if (options_.before_maps) options_.before_maps(memory_of_maps(object.get(), blueprint_, options_));
    LibbpfCapture capture;
    std::optional<ParallelLoad> parallel;
    if (alone.empty() && threads > 1) parallel.emplace(threads, blueprint_.license());
    const int result = ::bpf_object__load(object.get());
    if (result == 0) {
      const bool was_alone = !alone.empty();
      alone = parallel ? parallel->finish() : std::string();
      if (alone.empty() && !was_alone) return object;
      if (was_alone) threads = 1;  // alone it was taken: something else was short
      continue;
    }
    alone.clear();
    Choice* blamed = find(blamed_program(capture.warnings()));
    Error error = load_refused(blamed == nullptr ? "load" : "load as " + blamed->hook(), -result, capture.warnings());
    if (blamed == nullptr || blamed->is_absent) return error;
    NIGHTJAR_CHECK(excuse(*blamed, std::move(error)));
  }
}

Result<> VersionLoader::excuse(Choice& choice, Error error) {
  if (!choice.wanted->is_optional()) {
    if (options_.on_refusal) options_.on_refusal(choice.wanted->name());
    return std::move(error).in(program_named(choice.wanted->name()));
  }
  choice.is_absent = true;
  choice.absent_because = error.what();
  return {};
}

std::set<std::string, std::less<>> VersionLoader::used_maps() const {
  std::set<std::string, std::less<>> used;
  for (const Choice& choice : choices_) {
    if (choice.is_absent) continue;
    used.insert(choice.info->maps.begin(), choice.info->maps.end());
    for (const TailCallSlot& slot : choice.wanted->tail_calls()) used.insert(slot.map);
    // libbpf fills both, whichever the program reads.
    if (choice.kind == ProgramKind::usdt) used.insert({"__bpf_usdt_specs", "__bpf_usdt_ip_to_spec_id"});
  }
  return used;
}

VersionLoader::Choice* VersionLoader::find(std::string_view name) {
  const auto found = std::find_if(choices_.begin(), choices_.end(),
                                  [&](const Choice& choice) { return choice.wanted->name() == name; });
  return found == choices_.end() ? nullptr : &*found;
}

Result<> VersionLoader::take_maps(LoadedGroup::State& state) const {
  // The names that libbpf has now are the kernel's for shared maps; the order is still the blueprint's.
  bpf_map* map = nullptr;
  auto known = blueprint_.maps().begin();
  while ((map = ::bpf_object__next_map(state.object.get(), map)) != nullptr) {
    if (::bpf_map__is_internal(map)) continue;
    if (known == blueprint_.maps().end()) break;
    std::optional<Map>& entry = state.maps[known->name];
    // Since libbpf 1.4 a map that is not created has a descriptor, too: of nothing that could be used.
    if (::bpf_map__autocreate(map) && ::bpf_map__fd(map) >= 0) {
      UniqueFd copy(::fcntl(::bpf_map__fd(map), F_DUPFD_CLOEXEC, 3));
      if (!copy.valid()) return Error::from_errno("map " + text::quoted(known->name) + ": duplicate");
      entry.emplace(known->name, std::move(copy), static_cast<std::uint32_t>(::bpf_map__type(map)),
                    ::bpf_map__key_size(map), ::bpf_map__value_size(map), ::bpf_map__max_entries(map));
    }
    ++known;
  }
  return {};
}

Result<> VersionLoader::fill_slots(const LoadedGroup::State& state) const {
  for (const Choice& choice : choices_) {
    if (choice.is_absent) continue;
    const bpf_program* program = ::bpf_object__find_program_by_name(state.object.get(), choice.wanted->name().c_str());
    for (const TailCallSlot& slot : choice.wanted->tail_calls()) {
      const auto map = state.maps.find(slot.map);
      if (program == nullptr || map == state.maps.end() || !map->second)
        continue;  // choose() and used_maps() saw to both
      auto filled = map->second->set_program(slot.index, ::bpf_program__fd(program));
      if (!filled) {
        return std::move(filled).error().in(program_named(choice.wanted->name()) + ": slot " +
                                            std::to_string(slot.index));
      }
    }
  }
  return {};
}

AttachRequest VersionLoader::request_for(const Choice& choice, bpf_program* program) const {
  AttachRequest request{.program = program,
                        .kind = choice.kind,
                        .points = choice.points,
                        .is_syscall = choice.is_syscall,
                        .wants_all = choice.wanted->wants_all_points(),
                        .pid = choice.wanted->pid(),
                        .socket = choice.wanted->socket()};
  if (!choice.target.empty()) {
    request.points = {choice.target};
    request.is_syscall = request.wants_all = false;
  }
  return request;
}

/// libbpf's object keeps the instructions of every program of the file, loaded or not: megabytes that nobody needs any
/// more. Not where links need it: those of USDT share a table that the object owns.
Result<> VersionLoader::release(LoadedGroup::State& state) const {
  if (std::any_of(choices_.begin(), choices_.end(), [](const Choice& c) { return c.kind == ProgramKind::usdt; }))
    return {};
  for (std::size_t index = 0; index < state.programs.size(); ++index) {
    LoadedProgram& program = state.programs[index];
    if (program.fd < 0) continue;
    UniqueFd& own = state.attached[index].program;
    own.reset(::fcntl(program.fd, F_DUPFD_CLOEXEC, 3));
    if (!own.valid()) return Error::from_errno(program_named(program.name) + ": duplicate");
    program.fd = own.get();
  }
  state.object.reset();
  return {};
}

Result<> VersionLoader::attach(LoadedGroup::State& state) {
  LibbpfCapture capture(&options_.log, options_.log_libbpf_debug);
  Attacher attacher(options_, state.remarks);
  for (Choice& choice : choices_) {
    LoadedProgram loaded{.name = choice.wanted->name(),
                         .kind = choice.kind,
                         .hook = {},
                         .absent_because = choice.absent_because,
                         .fd = -1};
    LoadedGroup::State::Attached attached;
    bpf_program* program = ::bpf_object__find_program_by_name(state.object.get(), choice.wanted->name().c_str());
    if (!choice.is_absent && program != nullptr) {
      auto done = attacher.attach(request_for(choice, program));
      if (done) {
        loaded.hook = std::move(done->hook);
        if (loaded.hook.empty() && !choice.wanted->tail_calls().empty())
          loaded.hook = "tail call/" + choice.wanted->tail_calls().front().map;
        loaded.fd = ::bpf_program__fd(program);
        attached.holds = std::move(done->holds);
      } else {
        NIGHTJAR_CHECK(excuse(choice, std::move(done).error()));
        ::bpf_program__unload(program);
        loaded.absent_because = choice.absent_because;
      }
    }
    if (choice.is_absent) state.remarks.push_back(program_named(loaded.name) + " is absent: " + loaded.absent_because);
    state.programs.push_back(std::move(loaded));
    state.attached.push_back(std::move(attached));
  }
  return release(state);
}

}  // namespace nightjar
