// SPDX-License-Identifier: Apache-2.0
#include "version_loader.hpp"

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include <linux/bpf.h>

#include "constants.hpp"
#include "kernel_refusal.hpp"
#include "libbpf_log.hpp"
#include "map_setup.hpp"
#include "text.hpp"

namespace nightjar {
namespace {

struct KindTraits {
  bpf_prog_type type;
  bpf_attach_type attach_type;
  Feature feature;
};

std::optional<KindTraits> traits_of(ProgramKind kind) {
  constexpr bpf_attach_type none{};
  switch (kind) {
    case ProgramKind::kprobe:
    case ProgramKind::kretprobe:
      return KindTraits{BPF_PROG_TYPE_KPROBE, none, Feature::kprobe};
    case ProgramKind::tracepoint:
      return KindTraits{BPF_PROG_TYPE_TRACEPOINT, none, Feature::tracepoint};
    case ProgramKind::raw_tracepoint:
      return KindTraits{BPF_PROG_TYPE_RAW_TRACEPOINT, none, Feature::raw_tracepoint};
    case ProgramKind::tp_btf:
      return KindTraits{BPF_PROG_TYPE_TRACING, BPF_TRACE_RAW_TP, Feature::tp_btf};
    case ProgramKind::fentry:
      return KindTraits{BPF_PROG_TYPE_TRACING, BPF_TRACE_FENTRY, Feature::fentry};
    case ProgramKind::fexit:
      return KindTraits{BPF_PROG_TYPE_TRACING, BPF_TRACE_FEXIT, Feature::fentry};
    case ProgramKind::fmod_ret:
      return KindTraits{BPF_PROG_TYPE_TRACING, BPF_MODIFY_RETURN, Feature::fentry};
    case ProgramKind::lsm:
      return KindTraits{BPF_PROG_TYPE_LSM, BPF_LSM_MAC, Feature::lsm};
    case ProgramKind::iterator:
      return KindTraits{BPF_PROG_TYPE_TRACING, BPF_TRACE_ITER, Feature::task_iterator};
    case ProgramKind::other:
      break;
  }
  return std::nullopt;
}

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
  LibbpfCapture capture(&options_.log);
  NIGHTJAR_CHECK(choose());
  NIGHTJAR_CHECK(check_map_names(blueprint_, options_));
  NIGHTJAR_CHECK(check_needs());
  auto state = std::make_unique<LoadedGroup::State>();
  state->version = version_.name;
  state->object = NIGHTJAR_TRY(load_object());
  NIGHTJAR_CHECK(attach(*state));
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
                .absent_because = {}};
  if (choice.points.empty() && !info->attach_point.empty()) choice.points.push_back(info->attach_point);
  if (choice.points.empty() && choice.kind != ProgramKind::other) {
    return Error(errc::invalid, program_named(wanted.name()) + " has no attach point");
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
    const auto traits = traits_of(choice.kind);
    if (!traits || !features_.pretends_without(traits->feature)) continue;
    NIGHTJAR_CHECK(excuse(choice, Error(errc::unsupported, "needs " + std::string(to_string(traits->feature)) +
                                                               ": told to pretend it is absent")));
  }
  return {};
}

Result<ObjectHandle> VersionLoader::open() const {
  LibbpfCapture capture;
  bpf_object_open_opts options{};
  options.sz = sizeof(options);
  options.object_name = blueprint_.name().c_str();
  if (!options_.btf_path.empty()) options.btf_custom_path = options_.btf_path.c_str();
  const auto bytes = blueprint_.bytes();
  ObjectHandle object(::bpf_object__open_mem(bytes.data(), bytes.size(), &options));
  if (object) return object;
  const int sys = errno;
  if (sys == ENOMEM) return Error::from_errno("open " + blueprint_.name(), sys);
  return Error(errc::corrupt, "open " + blueprint_.name() + ": " + std::string(first_warning(capture.warnings())), sys)
      .with_detail(capture.warnings());
}

Result<> VersionLoader::configure(bpf_object* object) {
  bpf_program* program = nullptr;
  while ((program = ::bpf_object__next_program(object, program)) != nullptr) {
    Choice* choice = find(::bpf_program__name(program));
    if (choice != nullptr && !choice->is_absent) {
      if (auto configured = configure(program, *choice); !configured) {
        NIGHTJAR_CHECK(excuse(*choice, std::move(configured).error()));
      }
    }
    ::bpf_program__set_autoload(program, choice != nullptr && !choice->is_absent);
  }

  NIGHTJAR_CHECK(set_up_maps(object, options_, used_maps(), features_));
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
    for (const std::string& name : spellings(point, choice.kind, choice.wanted->is_syscall())) {
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
  // Each round loads, fails, or drops one optional program: it ends.
  for (;;) {
    ObjectHandle object = NIGHTJAR_TRY(open());
    if (auto configured = configure(object.get()); !configured) {
      load_nothing(object.get());
      return std::move(configured).error();
    }
    LibbpfCapture capture;
    const int result = ::bpf_object__load(object.get());
    if (result == 0) return object;
    Choice* blamed = find(blamed_program(capture.warnings()));
    Error error = load_refused(blamed == nullptr ? "load" : "load as " + blamed->hook(), -result, capture.warnings());
    if (blamed == nullptr || blamed->is_absent) return error;
    NIGHTJAR_CHECK(excuse(*blamed, std::move(error)));
  }
}

Result<> VersionLoader::excuse(Choice& choice, Error error) {
  if (!choice.wanted->is_optional()) return std::move(error).in(program_named(choice.wanted->name()));
  choice.is_absent = true;
  choice.absent_because = error.what();
  return {};
}

std::set<std::string, std::less<>> VersionLoader::used_maps() const {
  std::set<std::string, std::less<>> used;
  for (const Choice& choice : choices_) {
    if (!choice.is_absent) used.insert(choice.info->maps.begin(), choice.info->maps.end());
  }
  return used;
}

VersionLoader::Choice* VersionLoader::find(std::string_view name) {
  const auto found = std::find_if(choices_.begin(), choices_.end(),
                                  [&](const Choice& choice) { return choice.wanted->name() == name; });
  return found == choices_.end() ? nullptr : &*found;
}

Result<> VersionLoader::attach(LoadedGroup::State& state) {
  // The names that libbpf has now are the kernel's for shared maps; the order is still the blueprint's.
  bpf_map* map = nullptr;
  auto known = blueprint_.maps().begin();
  while ((map = ::bpf_object__next_map(state.object.get(), map)) != nullptr) {
    if (::bpf_map__is_internal(map)) continue;
    if (known == blueprint_.maps().end()) break;
    state.maps.insert({known->name, map});
    ++known;
  }

  Attacher attacher;
  for (Choice& choice : choices_) {
    LoadedProgram loaded{.name = choice.wanted->name(),
                         .kind = choice.kind,
                         .hook = {},
                         .absent_because = choice.absent_because,
                         .fd = -1};
    LoadedGroup::State::Attached attached;
    attached.program = ::bpf_object__find_program_by_name(state.object.get(), choice.wanted->name().c_str());
    if (!choice.is_absent && attached.program != nullptr) {
      auto done = choice.target.empty()
                      ? attacher.attach(attached.program, choice.kind, choice.points, choice.wanted->is_syscall(),
                                        choice.wanted->wants_all_points())
                      : attacher.attach(attached.program, choice.kind, {choice.target}, false, false);
      if (done) {
        loaded.hook = std::move(done->hook);
        loaded.fd = ::bpf_program__fd(attached.program);
        attached.links = std::move(done->links);
      } else {
        NIGHTJAR_CHECK(excuse(choice, std::move(done).error()));
        ::bpf_program__unload(attached.program);
        loaded.absent_because = choice.absent_because;
      }
    }
    state.programs.push_back(std::move(loaded));
    state.attached.push_back(std::move(attached));
  }
  return {};
}

}  // namespace nightjar
