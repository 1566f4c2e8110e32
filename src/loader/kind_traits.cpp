// SPDX-License-Identifier: Apache-2.0
#include "kind_traits.hpp"

namespace nightjar {

std::optional<KindTraits> traits_of(ProgramKind kind) {
  constexpr bpf_attach_type none{};
  switch (kind) {
    case ProgramKind::kprobe:
    case ProgramKind::kretprobe:
    case ProgramKind::uprobe:
    case ProgramKind::uretprobe:
    case ProgramKind::usdt:
      return KindTraits{BPF_PROG_TYPE_KPROBE, none};
    case ProgramKind::socket:
      return KindTraits{BPF_PROG_TYPE_SOCKET_FILTER, none};
    case ProgramKind::tracepoint:
      return KindTraits{BPF_PROG_TYPE_TRACEPOINT, none};
    case ProgramKind::raw_tracepoint:
      return KindTraits{BPF_PROG_TYPE_RAW_TRACEPOINT, none};
    case ProgramKind::tp_btf:
      return KindTraits{BPF_PROG_TYPE_TRACING, BPF_TRACE_RAW_TP};
    case ProgramKind::fentry:
      return KindTraits{BPF_PROG_TYPE_TRACING, BPF_TRACE_FENTRY};
    case ProgramKind::fexit:
      return KindTraits{BPF_PROG_TYPE_TRACING, BPF_TRACE_FEXIT};
    case ProgramKind::fmod_ret:
      return KindTraits{BPF_PROG_TYPE_TRACING, BPF_MODIFY_RETURN};
    case ProgramKind::lsm:
      return KindTraits{BPF_PROG_TYPE_LSM, BPF_LSM_MAC};
    case ProgramKind::iterator:
      return KindTraits{BPF_PROG_TYPE_TRACING, BPF_TRACE_ITER};
    case ProgramKind::cgroup:
    case ProgramKind::other:
      break;
  }
  return std::nullopt;
}

std::optional<Feature> feature_of(ProgramKind kind) {
  switch (kind) {
    case ProgramKind::kprobe:
    case ProgramKind::kretprobe:
      return Feature::kprobe;
    case ProgramKind::tracepoint:
      return Feature::tracepoint;
    case ProgramKind::raw_tracepoint:
      return Feature::raw_tracepoint;
    case ProgramKind::tp_btf:
      return Feature::tp_btf;
    case ProgramKind::fentry:
    case ProgramKind::fexit:
    case ProgramKind::fmod_ret:
      return Feature::fentry;
    case ProgramKind::lsm:
      return Feature::lsm;
    case ProgramKind::iterator:
      return Feature::task_iterator;
    default:
      return std::nullopt;
  }
}

}  // namespace nightjar
